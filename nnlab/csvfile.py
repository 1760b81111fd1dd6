"""A CSV file as cells of text: every odd file is answered by one sentence."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

# Limits of reliability.md, section 2: 1 x 200,000 columns in 2.3 MB cost 2.2 s and 208 MB.
MAX_BYTES = 5_000_000
MAX_ROWS = 100_000
MAX_COLUMNS = 256
# As many as fill a file of the largest size with one digit each. Rows that end early are filled up to the
# header's width: 200 kB of them were 25 million cells, and 500 MB.
MAX_CELLS = 2_500_000
LEAVE_OUT = "leave the column out or code it as numbers"

# What a cell may hold that stands for "no value".
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
MAX_NAME = 1_000  # characters of a column's name: a link says the chosen ones
MAX_REMEMBERED = 100_000  # different cells; with more, most are there once
LARGEST = float(np.finfo(np.float32).max)  # networks compute in float32
# What separates cells: where two give as many columns, the first one does.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
# How files begin that are no text, and what to do about them.
SIGNATURES = {
    b"\x1f\x8b": "compressed with gzip; unpack it first",
    b"BZh": "compressed with bzip2; unpack it first",
    b"\xfd7zXZ": "compressed with xz; unpack it first",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook; unpack it, or save the table as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save the table as CSV UTF-8",
    b"PAR1": "a Parquet file; save the table as CSV UTF-8",
    b"\xff\xfe": "UTF-16 text; save it as CSV UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as CSV UTF-8",
}
# The reader's words for what is wrong, in words for those who wrote the file.
_READER_SAYS = {
    "unexpected end of data": "a quotation mark is opened and never closed",
    "expected after": "text goes on after a closing quotation mark; double the marks inside of a cell",
    "field larger than": "a cell is longer than 131,072 characters",
}


def shown_name(name: str) -> str:
    """Write a user's name so that a message stays one line."""
    return name if name.isprintable() and len(name) <= 60 else repr(name[:60])


@dataclass(frozen=True)
class Limits:
    """How large a table may be, and the field that a refusal names."""

    field: str = "csv_path"
    size: int = MAX_BYTES
    rows: int = MAX_ROWS
    columns: int = MAX_COLUMNS
    cells: int = MAX_CELLS

    def refuse(self, name: str, why: str) -> ValueError:
        """Give the error for a file called `name`, in one sentence."""
        return ValueError(f"{self.field}: {shown_name(name)}: {why}")


FILE_LIMITS = Limits()


def decode(content: bytes, name: str, limits: Limits = FILE_LIMITS) -> str:
    """Give a file's text with plain line ends.

    Raises:
        ValueError: too large, not UTF-8, or no text at all.
    """
    if len(content) > limits.size:
        raise limits.refuse(name, f"larger than {limits.size:,} bytes")
    for signature, what in SIGNATURES.items():
        if content.startswith(signature):
            raise limits.refuse(name, what)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise limits.refuse(name, "not UTF-8 text; save it as CSV UTF-8") from None
    if "\0" in text:
        raise limits.refuse(name, "holds NUL bytes, which no text does; save it as CSV UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lines(text: str) -> Iterator[str]:
    """Give the lines with their ends, one at a time: a StringIO takes four bytes a character."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _first_row(text: str, separator: str) -> list[str]:
    reader = csv.reader(_lines(text), delimiter=separator, strict=True)
    try:
        return next((row for row in reader if row), [])
    except csv.Error:
        return []


def separator_of(text: str) -> str:
    """Find what separates the cells: that by which the first line has the most columns."""
    return max(SEPARATORS, key=lambda separator: len(_first_row(text, separator)))


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def _looks_like_data(names: list[str]) -> bool:
    """Whether a first line is no header: numbers that do not even count upward, as names could."""
    numbers = [float(name) for name in names if _is_number(name)]
    rising = all(one < other for one, other in pairwise(numbers))
    return len(numbers) >= max(2, len(names) - 1) and not rising


def _check_header(name: str, header: list[str], limits: Limits) -> None:
    named = [column for column in header if column]
    if len(named) > limits.columns:
        raise limits.refuse(name, f"{len(named):,} columns; at most {limits.columns}")
    if header and header[0].lower().startswith("sep="):
        raise limits.refuse(name, f"its first line, {header[0]!r}, is read by Excel alone; remove the line")
    longest = max(map(len, named), default=0)
    if longest > MAX_NAME:
        raise limits.refuse(name, f"a column's name has {longest:,} characters; at most {MAX_NAME:,}")
    repeated = sorted({column for column in named if named.count(column) > 1})
    if repeated:
        raise limits.refuse(name, f"two columns are called {shown_name(repeated[0])!r}; rename one")
    if len(named) < 2:
        raise limits.refuse(
            name, "needs a header line with a target and at least one more column, separated by commas"
        )
    if _looks_like_data(named):
        raise limits.refuse(name, "the first line holds numbers; put a header line with column names first")


class _Cleaned(dict[str, str | None]):
    """Cells without the blanks around them, None where there is no value; equal cells are one object.

    In a table of small numbers that saves six times the size of the file.
    """

    def __missing__(self, cell: str) -> str | None:
        kept = cell.strip()
        cleaned = None if kept.lower() in MISSING else kept
        if len(self) < MAX_REMEMBERED:
            self[cell] = cleaned
        return cleaned


def _reader_says(error: csv.Error) -> str:
    known = (words for sign, words in _READER_SAYS.items() if sign in str(error))
    return next(known, str(error))


@dataclass(frozen=True)
class Cells:
    """The cells of a file: names of the columns, "" for one without a name, and rows of as many cells.

    A cell without a value is None.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    separator: str


def _rows(
    name: str, reader: Iterator[list[str]], width: int, limits: Limits
) -> Iterator[tuple[str | None, ...]]:
    """Give the rows that are not blank, filled up to the header's width."""
    count, clean = 0, _Cleaned()
    for row in reader:
        if not row:
            continue
        if len(row) > width:
            line: int = reader.line_num  # type: ignore[attr-defined]
            raise limits.refuse(
                name,
                f"line {line} has {len(row)} cells, the header has {width}; put a cell that holds a comma, "
                "semicolon or tab into quotation marks, and write 1.5 for 1,5 where commas separate cells",
            )
        count += 1
        if count > limits.rows:
            raise limits.refuse(name, f"more than {limits.rows:,} rows")
        if count * width > limits.cells:
            raise limits.refuse(
                name, f"more than {limits.cells:,} cells (rows times columns); leave rows or columns out"
            )
        yield (*map(clean.__getitem__, row), *(None,) * (width - len(row)))


def read_cells(text: str, name: str, limits: Limits = FILE_LIMITS, separator: str = ",") -> Cells:
    """Read a table's text, cell by cell.

    Raises:
        ValueError: too large, or not a table with distinct column names.
    """
    reader = csv.reader(_lines(text), delimiter=separator, strict=True)
    try:
        header = [cell.strip() for cell in next((row for row in reader if row), [])]
        _check_header(name, header, limits)
        return Cells(tuple(header), tuple(_rows(name, reader, len(header), limits)), separator)
    except csv.Error as error:
        raise limits.refuse(name, f"not a table: {_reader_says(error)}") from None


def parse_table(text: str, name: str, limits: Limits = FILE_LIMITS) -> pd.DataFrame:
    """Read a table's text as strings; cells without a value are missing.

    Raises:
        ValueError: too large, or not a table with distinct column names.
    """
    cells = read_cells(text, name, limits)
    if "" in cells.header:
        raise limits.refuse(name, f"column {cells.header.index('') + 1} has no name; give it one")
    return pd.DataFrame(cells.rows, columns=list(cells.header), dtype=object)


def to_numbers(cells: pd.Series) -> tuple[np.ndarray, str]:
    """Give a column's cells as float64, NaN where there is no value, and the first cell that is no number."""
    numbers = pd.to_numeric(cells, errors="coerce")
    text = cells[numbers.isna() & cells.notna()]
    return numbers.to_numpy(np.float64), str(text.iloc[0]) if len(text) else ""


def too_large(name: str, field: str) -> ValueError:
    """Give the error for a column with numbers that networks cannot compute with."""
    return ValueError(
        f"{field}: column {shown_name(name)!r} holds numbers beyond {LARGEST:.1e}, the largest that "
        "float32 knows; scale the column down"
    )


def no_number(name: str, text: str, field: str, advice: str = LEAVE_OUT) -> ValueError:
    """Give the error for a column with text where numbers are needed."""
    return ValueError(
        f"{field}: column {shown_name(name)!r} holds {text[:60]!r}, which is no number; {advice}"
    )


def is_too_large(numbers: np.ndarray) -> bool:
    """Whether a column holds finite numbers beyond float32."""
    return bool((np.isfinite(numbers) & (np.abs(numbers) > LARGEST)).any())


def number_columns(
    frame: pd.DataFrame, names: list[str], field: str = "features", advice: str = LEAVE_OUT
) -> np.ndarray:
    """Give columns of a table as float64 (rows, columns); missing cells are NaN.

    Raises:
        ValueError: a column holds text or numbers beyond float32; the message begins with `field`, and
            `advice` says what to do about text.
    """
    columns = []
    for name in names:
        numbers, text = to_numbers(frame[name])
        if text:
            raise no_number(name, text, field, advice)
        if is_too_large(numbers):
            raise too_large(name, field)
        columns.append(numbers)
    return np.stack(columns, axis=1)
