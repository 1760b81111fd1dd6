"""A table as a dataset: a target, features, and the rows that have a value for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlab.csvfile import FILE_LIMITS, LARGEST, LEAVE_OUT, is_too_large, no_number, shown_name, too_large
from nnlab.csvtable import MAX_CLASSES, Column, Table, read_table
from nnlab.datasets import Data, prepare

if TYPE_CHECKING:
    from nnlab.config import ExperimentConfig

MIN_ROWS = 10
SHOWN_NAMES = 20  # of columns, in a sentence


def names_in_words(names: tuple[str, ...]) -> str:
    """List columns in a sentence."""
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(repr(shown_name(name)) for name in names[:SHOWN_NAMES]) + more


def _allowed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(shown_name(name) for name in names[:SHOWN_NAMES]) + more


def missing_columns(table: Table, config: ExperimentConfig) -> tuple[str, ...]:
    """Give the columns that an experiment names and a table has not."""
    return tuple(name for name in (config.target, *config.features) if name not in table.columns)


def usual_features(table: Table, target: str) -> tuple[str, ...]:
    """Give the features chosen unasked: all other columns of numbers, () where that is all others."""
    others = [name for name in table.names if name != target]
    numeric = tuple(name for name in others if table.columns[name].numbers is not None)
    return () if len(numeric) == len(others) else numeric


def usual_loss(column: Column) -> str:
    """Give the loss that suits a target: fractions, or more values than classes may be, are numbers."""
    if column.numbers is None:
        return "cross_entropy"
    finite = column.numbers[np.isfinite(column.numbers)]
    is_whole = bool((finite == np.round(finite)).all())
    return "cross_entropy" if is_whole and column.distinct <= MAX_CLASSES else "mse"


def usual_choice(table: Table, target: str = "") -> dict[str, Any]:
    """Give the fields of an experiment on a table that are chosen unasked; the target is the last column."""
    chosen = target or table.names[-1]
    return {
        "dataset": "csv",
        "target": chosen,
        "features": usual_features(table, chosen),
        "loss": usual_loss(table.columns[chosen]),
    }


def _features(table: Table, config: ExperimentConfig) -> list[Column]:
    if config.target not in table.columns:
        raise ValueError(
            f"target: {shown_name(config.target)!r} is no column; allowed: {_allowed(table.names)}"
        )
    names = config.features or tuple(name for name in table.names if name != config.target)
    for name in names:
        if name not in table.columns:
            raise ValueError(f"features: {shown_name(name)!r} is no column; allowed: {_allowed(table.names)}")
    if config.target in names:
        raise ValueError(f"features: {shown_name(config.target)!r} is the target; leave it out")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"features: {shown_name(twice)!r} is named twice; name it once")
    return [table.columns[name] for name in names]


def _numbers(column: Column, field: str) -> np.ndarray:
    if column.numbers is None:
        advice = "write 1.5 for 1,5" if "," in column.text else LEAVE_OUT
        raise no_number(column.name, column.text, field, advice)
    if field == "features" and is_too_large(column.numbers):
        raise too_large(column.name, field)
    return column.numbers


def _check_rows(table: Table, usable: int, columns: list[Column]) -> None:
    if usable >= MIN_ROWS:
        return
    rows = "1 complete row" if usable == 1 else f"{usable} complete rows"
    why = f"{rows}; at least {MIN_ROWS} are needed"
    emptiest = max(columns, key=lambda column: column.missing)
    if table.rows >= MIN_ROWS and emptiest.missing:
        why += f" (column {shown_name(emptiest.name)!r} has no value in {emptiest.missing} of {table.rows})"
    raise FILE_LIMITS.refuse(table.name, why)


def _labels(target: Column, usable: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Number the classes that the usable rows have."""
    if target.codes is None:
        raise _wrong_number(target, target.distinct)
    found, labels = np.unique(target.codes[usable], return_inverse=True)
    if len(found) < 2:
        raise _wrong_number(target, len(found))
    return labels.astype(np.int64), tuple(target.words[code] for code in found)


def _wrong_number(target: Column, count: int) -> ValueError:
    values = "1 distinct value" if count == 1 else f"{count:,} distinct values"
    advice = "for a numeric target choose loss mse" if target.numbers is not None else "choose another column"
    return ValueError(
        f"target: column {shown_name(target.name)!r} has {values}; allowed: 2 to {MAX_CLASSES} classes "
        f"({advice})"
    )


def _heights(target: Column, usable: np.ndarray) -> np.ndarray:
    """Give the usable numbers to predict."""
    assert target.numbers is not None
    heights = target.numbers[usable]
    if heights.min() == heights.max():
        raise ValueError(
            f"target: column {shown_name(target.name)!r} is {heights[0]:g} in every row; choose a column "
            "that changes"
        )
    return heights


def _notes(table: Table, columns: list[Column], dropped: int) -> tuple[str, ...]:
    notes = list(table.notes)
    if dropped:
        rows = "1 row" if dropped == 1 else f"{dropped:,} rows"
        notes.append(f"{rows} with missing, infinite or too large values left out of {table.rows:,}")
    vanished = sum(column.vanished for column in columns)
    if vanished:
        notes.append(f"{vanished:,} numbers too small for float64 are 0")
    return tuple(notes)


def to_data(table: Table, config: ExperimentConfig) -> Data:
    """Choose target and features of a table; with loss mse a numeric target is a regression.

    Raises:
        ValueError: target or features cannot be used; one sentence says why.
    """
    features, target = _features(table, config), table.columns[config.target]
    x = np.stack([_numbers(column, "features") for column in features], axis=1)
    is_regression = config.loss == "mse" and target.numbers is not None
    usable = (np.abs(x) <= LARGEST).all(axis=1)
    if is_regression:
        usable &= np.abs(_numbers(target, "target")) <= LARGEST
    elif target.codes is not None:
        usable &= target.codes >= 0
    _check_rows(table, int(usable.sum()), [*features, target])
    y, classes = (_heights(target, usable), ()) if is_regression else _labels(target, usable)
    columns = [*features, target] if is_regression else features
    return prepare(
        x[usable],
        y,
        "regression" if is_regression else "classification",
        classes,
        tuple(column.name for column in features),
        _notes(table, columns, int((~usable).sum())),
    )


def load_csv(config: ExperimentConfig) -> Data:
    """Load the CSV file of an experiment; raises ValueError as `to_data` does, and for an unusable file."""
    if not config.csv_path:
        raise ValueError("csv_path: missing; the dataset csv needs a file")
    return to_data(read_table(Path(config.csv_path)), config)


def in_words(data: Data) -> str:
    """Say what a dataset is: its task, rows, features and classes."""
    train, test = len(data.x_train), len(data.x_test)
    features = "1 feature" if data.n_features == 1 else f"{data.n_features} features"
    rows = f"{train + test:,} rows ({train:,} to learn from, {test:,} to test), {features}"
    constant = tuple(
        name for name, column in zip(data.feature_names, data.x_train.T, strict=True) if not column.any()
    )
    if constant:
        rows += f" (constant, so of no use: {names_in_words(constant)})"
    if data.task == "regression":
        return f"Regression: a number is predicted. {rows}."
    shown = ", ".join(shown_name(name) for name in data.classes[:SHOWN_NAMES])
    more = ", ..." if len(data.classes) > SHOWN_NAMES else ""
    return f"Classification: one of {len(data.classes)} classes is predicted. {rows}. Classes: {shown}{more}."
