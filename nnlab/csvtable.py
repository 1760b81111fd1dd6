"""A visitor's table: the columns of a CSV file, as numbers and as classes, in little memory."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nnlab.csvfile import (
    FILE_LIMITS,
    MAX_BYTES,
    SEPARATORS,
    Cells,
    decode,
    read_cells,
    separator_of,
    to_numbers,
)

MAX_CLASSES = 100
MAX_NAME = 100  # characters of a file's name that are kept
# What a table's notes say, and a script that reads the file again must know.
SEPARATED_BY = "cells are separated by"
DECIMAL_COMMAS = "numbers are written with decimal commas"
_COMMA_NUMBER = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")
_POINT_NUMBER = re.compile(r"[+-]?[0-9]*\.[0-9]+([eE][+-]?[0-9]+)?")
_HAS_DIGIT = r"^[^eE]*[1-9]"  # a number that is not 0, however small its exponent makes it


@dataclass(frozen=True)
class Column:
    """One column of a table.

    `codes` has shape (rows,) and numbers the `words` in their order, -1 where there is none; None where there
    are more than MAX_CLASSES. `values` are float64: of the words where there are codes, else of the cells;
    None where a cell holds text, the first of which is `text`. `vanished` counts numbers too small for it.
    """

    name: str
    values: np.ndarray | None
    text: str
    codes: np.ndarray | None
    words: tuple[str, ...]
    distinct: int
    missing: int
    vanished: int = 0

    @property
    def numbers(self) -> np.ndarray | None:
        """The cells as float64, shape (rows,), NaN where there is no value; None where a cell holds text."""
        if self.values is None or self.codes is None:
            return self.values
        return _spread(self.values, self.codes, np.float64(np.nan))


@dataclass(frozen=True)
class Table:
    """The named columns of a CSV file in their order; `sha256` is that of the file's bytes."""

    name: str
    rows: int
    columns: Mapping[str, Column]
    sha256: str
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(self.columns)

    @property
    def nbytes(self) -> int:
        """The memory that the columns take."""
        arrays = [a for c in self.columns.values() for a in (c.values, c.codes) if a is not None]
        return sum(array.nbytes for array in arrays)


def _column(name: str, cells: list[str | None], *, has_commas: bool) -> Column:
    # Most columns hold few different cells: what a cell means is asked once for all that are alike.
    places, found = pd.factorize(np.array(cells, dtype=object))
    written = pd.Series(found, dtype=object)
    written = written.map(_with_point) if has_commas else written
    meant, text = to_numbers(written)
    is_class = len(found) <= MAX_CLASSES
    order = np.argsort(found)
    values = meant[order] if is_class else _spread(meant, places, np.float64(np.nan))
    return Column(
        name=name,
        values=None if text else values,
        text=text,
        # A byte a cell is enough: most columns of large tables hold few different numbers.
        codes=_spread(np.argsort(order).astype(np.int8), places, np.int8(-1)) if is_class else None,
        words=tuple(found[order]) if is_class else (),
        distinct=len(found),
        missing=int((places < 0).sum()),
        vanished=0 if text else int(np.isin(places, _vanished(meant, written)).sum()),
    )


def _vanished(meant: np.ndarray, written: pd.Series[str]) -> np.ndarray:
    """Give the places of words that are 0 but were not written so."""
    zeros = np.flatnonzero(meant == 0)
    return zeros[written[zeros].str.contains(_HAS_DIGIT).to_numpy(bool)]


def _spread(values: np.ndarray, places: np.ndarray, nothing: np.generic) -> np.ndarray:
    """Give every cell the value of its kind, and `nothing` to those without one (place -1)."""
    return np.append(values, nothing)[places]


def _with_point(cell: str | None) -> str | None:
    return cell.replace(",", ".") if cell is not None and _COMMA_NUMBER.fullmatch(cell) else cell


def _has_decimal_commas(cells: Cells, name: str) -> bool:
    """Whether numbers are written as 1,5; only where the comma does not separate cells."""
    if cells.separator == ",":
        return False
    filled = [cell for row in cells.rows for cell in row if cell is not None]
    comma = next((cell for cell in filled if "," in cell and _COMMA_NUMBER.fullmatch(cell)), None)
    point = next((cell for cell in filled if "." in cell and _POINT_NUMBER.fullmatch(cell)), None)
    if comma and point:
        raise FILE_LIMITS.refuse(
            name, f"holds numbers with decimal commas ({comma[:20]}) and with points ({point[:20]}); use one"
        )
    return comma is not None


def _notes(cells: Cells, unnamed: int, *, has_commas: bool) -> tuple[str, ...]:
    notes = []
    if cells.separator != ",":
        decimals = f", {DECIMAL_COMMAS}" if has_commas else ""
        notes.append(f"{SEPARATED_BY} {SEPARATORS[cells.separator]}{decimals}")
    if unnamed:
        notes.append(f"{unnamed} {'column' if unnamed == 1 else 'columns'} without a name left out")
    return tuple(notes)


def plain_name(name: str) -> str:
    """Give a file's name without folders, whatever a browser sent."""
    return name.replace("\\", "/").rsplit("/", 1)[-1][:MAX_NAME] or "table.csv"


def table_from_csv(content: bytes, name: str) -> Table:
    """Read a file's bytes.

    Raises:
        ValueError: not UTF-8 text, too large, or not a table with distinct column names; one sentence.
    """
    text = decode(content, name)
    cells = read_cells(text, name, separator=separator_of(text))
    has_commas = _has_decimal_commas(cells, name)
    by_column = list(zip(*cells.rows, strict=True)) or [()] * len(cells.header)
    columns = {
        head: _column(head, list(column), has_commas=has_commas)
        for head, column in zip(cells.header, by_column, strict=True)
        if head
    }
    notes = _notes(cells, cells.header.count(""), has_commas=has_commas)
    return Table(name, len(cells.rows), columns, hashlib.sha256(content).hexdigest(), notes)


def read_table(path: Path) -> Table:
    """Read a CSV file; raises ValueError as `table_from_csv` does, and where there is no such file."""
    try:
        if not path.is_file():
            raise FILE_LIMITS.refuse(path.name, "no such file")
        if path.stat().st_size > MAX_BYTES:  # before it is in memory
            raise FILE_LIMITS.refuse(path.name, f"larger than {MAX_BYTES:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise FILE_LIMITS.refuse(path.name, error.strerror or "unreadable") from None
    return table_from_csv(content, path.name)
