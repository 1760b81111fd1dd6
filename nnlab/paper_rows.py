"""Paper rows: the rows of a measurement while they are made, and what of its columns is asked for later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from nnlab.paper import Columns, Interrupted, Report
from nnlab.stop import Stop

Item = TypeVar("Item")


def to_columns(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """Turn rows of one kind into columns, in the order of the first row's names."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def counted(items: Sequence[Item], report: Report, stop: Stop) -> Iterator[Item]:
    """Give the items one by one, saying how many are done; raises Interrupted where it is stopped."""
    for done, item in enumerate(items):
        report(done, len(items))
        if stop.is_set():
            raise Interrupted
        yield item
    report(len(items), len(items))


def picked(columns: Columns, name: str, **wanted: str | float) -> np.ndarray:
    """Give the numbers of a column in the rows that hold all the wanted values."""
    keep = np.ones(len(columns[name]), dtype=bool)
    for column, value in wanted.items():
        keep &= np.asarray(columns[column]) == value
    return np.asarray(columns[name], dtype=np.float64)[keep]


def different(columns: Columns, name: str) -> list[Any]:
    """Give the values of a column, each once, in the order in which they first appear."""
    return list(dict.fromkeys(columns[name]))
