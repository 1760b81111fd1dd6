"""A CSV file as a dataset: every odd file is answered by one sentence."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nnlab.datasets import Data, prepare

if TYPE_CHECKING:
    from nnlab.config import ExperimentConfig

# Limits of reliability.md, section 2: 1 x 200,000 columns in 2.3 MB cost 2.2 s and 208 MB.
MAX_BYTES = 5_000_000
MAX_ROWS = 100_000
MAX_COLUMNS = 256
MIN_ROWS = 10
MAX_CLASSES = 100
LEAVE_OUT = "leave the column out or code it as numbers"


# What a cell may hold that stands for "no value".
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
LARGEST = float(np.finfo(np.float32).max)  # networks compute in float32


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

    def refuse(self, name: str, why: str) -> ValueError:
        """Give the error for a file called `name`, in one sentence."""
        return ValueError(f"{self.field}: {shown_name(name)}: {why}")


FILE_LIMITS = Limits()


def decode(content: bytes, name: str, limits: Limits = FILE_LIMITS) -> str:
    """Give a file's text with plain line ends.

    Raises:
        ValueError: too large or not UTF-8.
    """
    if len(content) > limits.size:
        raise limits.refuse(name, f"larger than {limits.size:,} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise limits.refuse(name, "not UTF-8 text; save it as CSV UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_text(path: Path) -> str:
    try:
        if not path.is_file():
            raise FILE_LIMITS.refuse(path.name, "no such file")
        if path.stat().st_size > MAX_BYTES:  # before it is in memory
            raise FILE_LIMITS.refuse(path.name, f"larger than {MAX_BYTES:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise FILE_LIMITS.refuse(path.name, error.strerror or "unreadable") from None
    return decode(content, path.name)


def _check_header(name: str, columns: list[str], limits: Limits) -> None:
    if len(columns) > limits.columns:
        raise limits.refuse(name, f"{len(columns):,} columns; at most {limits.columns}")
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise limits.refuse(name, f"two columns are called {shown_name(repeated[0])!r}")
    if len(columns) < 2:
        raise limits.refuse(name, "needs a target and at least one more column, separated by commas")


def _rows(name: str, reader: Iterator[list[str]], width: int, limits: Limits) -> Iterator[list[str]]:
    """Give the rows that are not blank, filled up to the header's width."""
    count = 0
    for number, row in enumerate(reader, start=2):
        if not row:
            continue
        if len(row) > width:
            raise limits.refuse(name, f"line {number} has {len(row)} cells, the header has {width}")
        count += 1
        if count > limits.rows:
            raise limits.refuse(name, f"more than {limits.rows:,} rows")
        yield row + [""] * (width - len(row))


def parse_table(text: str, name: str, limits: Limits = FILE_LIMITS) -> pd.DataFrame:
    """Read a table's text as strings; cells without a value are missing.

    Raises:
        ValueError: too large, or not a table with distinct column names.
    """
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = next(reader, [])
        _check_header(name, header, limits)
        rows = list(_rows(name, reader, len(header), limits))
    except csv.Error as error:
        raise limits.refuse(name, f"not a table: {error}") from None
    frame = pd.DataFrame(rows, columns=header, dtype=object)
    return frame.map(lambda cell: None if cell.strip().lower() in MISSING else cell.strip())


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV file as strings; cells without a value are missing.

    Raises:
        ValueError: missing, too large, not UTF-8, or not a table with distinct column names.
    """
    return parse_table(_read_text(path), path.name)


def _allowed(names: list[str]) -> str:
    return ", ".join(shown_name(name) for name in names)


def _choose_features(frame: pd.DataFrame, config: ExperimentConfig) -> list[str]:
    names = list(frame.columns)
    if config.target not in names:
        raise ValueError(f"target: {shown_name(config.target)!r} is no column; allowed: {_allowed(names)}")
    features = list(config.features) or [name for name in names if name != config.target]
    for name in features:
        if name not in names:
            raise ValueError(f"features: {shown_name(name)!r} is no column; allowed: {_allowed(names)}")
    if config.target in features:
        raise ValueError(f"features: {shown_name(config.target)!r} is the target; leave it out")
    return features


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
        numbers = pd.to_numeric(frame[name], errors="coerce")
        text = frame[name][numbers.isna() & frame[name].notna()]
        if len(text):
            raise ValueError(
                f"{field}: column {shown_name(name)!r} holds {text.iloc[0][:60]!r}, which is no number; "
                f"{advice}"
            )
        values = numbers.to_numpy(np.float64)
        if (np.isfinite(values) & (np.abs(values) > LARGEST)).any():
            raise ValueError(
                f"{field}: column {shown_name(name)!r} holds numbers beyond {LARGEST:.1e}, the largest that "
                "float32 knows; scale the column down"
            )
        columns.append(values)
    return np.stack(columns, axis=1)


def _labels(target: pd.Series, task: str) -> tuple[np.ndarray, tuple[str, ...]]:
    if task == "regression":
        return pd.to_numeric(target).to_numpy(np.float64), ()
    classes = sorted(target.unique())
    if not 2 <= len(classes) <= MAX_CLASSES:
        raise ValueError(
            f"target: {len(classes)} distinct values; allowed: 2 to {MAX_CLASSES} classes "
            "(for a numeric target choose loss mse)"
        )
    codes = {name: number for number, name in enumerate(classes)}
    return target.map(codes).to_numpy(np.int64), tuple(classes)


def load_csv(config: ExperimentConfig) -> Data:
    """Load the CSV file of an experiment; with loss mse a numeric target is a regression.

    Raises:
        ValueError: the file, the target or a feature cannot be used; one sentence says why.
    """
    if not config.csv_path:
        raise ValueError("csv_path: missing; the dataset csv needs a file")
    path = Path(config.csv_path)
    frame = read_table(path)
    features = _choose_features(frame, config)
    x = number_columns(frame, features)
    target = frame[config.target]
    numeric_target = bool(pd.to_numeric(target, errors="coerce").notna().eq(target.notna()).all())
    task = "regression" if config.loss == "mse" and numeric_target else "classification"
    usable = (np.abs(x) <= LARGEST).all(axis=1) & target.notna().to_numpy()
    if task == "regression":
        usable &= np.abs(pd.to_numeric(target).to_numpy(np.float64)) <= LARGEST
    if usable.sum() < MIN_ROWS:
        raise FILE_LIMITS.refuse(
            path.name, f"{int(usable.sum())} complete rows; at least {MIN_ROWS} are needed"
        )
    labels, classes = _labels(target[usable], task)
    dropped = int((~usable).sum())
    notes = (f"{dropped} rows with missing, infinite or too large values were left out",) if dropped else ()
    return prepare(x[usable], labels, task, classes, tuple(features), notes)
