"""Histograms with fixed edges, so that layers and steps share one axis and counts always add up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from nnlab.activations import ACTIVATIONS

QUANTITIES = ("pre_activation", "activation", "delta", "weight_grad")
LOG_QUANTITIES = ("delta", "weight_grad")  # binned by log10 of the magnitude

# definitions.md, section 2, item 2.
PRE_ACTIVATION_EDGES = np.linspace(-6.0, 6.0, 61)
BOUNDED_BINS = 50
UNBOUNDED_EDGES = np.linspace(-3.0, 6.0, 91)
MAGNITUDE_EDGES = np.linspace(-20.0, 4.0, 97)
# The upper half of a float32: sign, exponent and seven digits of the mantissa.
KEY_SHIFT = 16
LARGEST_COUNT = np.iinfo(np.int32).max
UNSETTLED = 255  # above every number of rows


def bin_edges(quantity: str, activation: str) -> np.ndarray:
    """Give the inner edges, shape (bins + 1,), for a quantity of a layer with this activation.

    An activation that is not in the registry gets the edges of an unbounded one.
    """
    if quantity in LOG_QUANTITIES:
        return MAGNITUDE_EDGES
    if quantity == "pre_activation":
        return PRE_ACTIVATION_EDGES
    entry = ACTIVATIONS.get(activation)
    if entry is not None and entry.is_bounded:
        return np.linspace(*entry.range, BOUNDED_BINS + 1)
    return UNBOUNDED_EDGES


def bin_rows(quantity: str, activation: str) -> tuple[np.ndarray, np.ndarray]:
    """Give bin_left and bin_right of every row that `count` fills.

    Rows: exact zeros (-inf, -inf; log quantities only), underflow (-inf, first edge), the bins,
    overflow (last edge, inf), non-finite (nan, nan).
    """
    edges = bin_edges(quantity, activation)
    left = np.concatenate([[-math.inf], edges, [math.nan]])
    right = np.concatenate([edges, [math.inf, math.nan]])
    if quantity in LOG_QUANTITIES:
        return np.concatenate([[-math.inf], left]), np.concatenate([[-math.inf], right])
    return left, right


def count(values: np.ndarray, quantity: str, activation: str) -> np.ndarray:
    """Count values of any shape into the rows of `bin_rows`; the counts add up to values.size."""
    if values.dtype != np.float32:
        return _count_exactly(values, quantity, activation)
    table = _rows_by_key(quantity, activation)
    flat = np.ascontiguousarray(values).reshape(-1)
    rows = table[flat.view(np.uint32) >> KEY_SHIFT]
    counts = np.bincount(rows, minlength=UNSETTLED + 1)
    unsettled = flat[rows == UNSETTLED] if counts[UNSETTLED] else flat[:0]
    exact = _count_exactly(unsettled, quantity, activation)
    return np.asarray(counts[: len(exact)] + exact)


def packed(layers: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
    """Give the same counts of some layers in one memory and in half of it, where they are equally many."""
    counted = [counts for counts in layers if counts is not None]
    if len({len(counts) for counts in counted}) != 1 or any(c.max() > LARGEST_COUNT for c in counted):
        return list(layers)
    rows = iter(np.array(counted, dtype=np.int32))
    return [None if counts is None else next(rows) for counts in layers]


@cache
def _rows_by_key(quantity: str, activation: str) -> np.ndarray:
    """Give the row of every float32 by its upper 16 bits, UNSETTLED where the lower ones decide.

    Floats are ordered as their bits are, so that a key whose smallest and largest number fall into the same
    row settles it for all between; an edge unsettles but one key in 128.
    """
    keys = np.arange(2**16, dtype=np.uint32) << KEY_SHIFT
    with np.errstate(invalid="ignore"):  # NaNs of all kinds are among them
        first = _row_of_each(keys.view(np.float32), quantity, activation)
        last = _row_of_each((keys | (2**KEY_SHIFT - 1)).view(np.float32), quantity, activation)
    return np.where(first == last, first, UNSETTLED).astype(np.uint8)


def _count_exactly(values: np.ndarray, quantity: str, activation: str) -> np.ndarray:
    rows = _row_of_each(values, quantity, activation)
    return np.bincount(rows, minlength=len(bin_rows(quantity, activation)[0])).astype(np.int64)


def _row_of_each(values: np.ndarray, quantity: str, activation: str) -> np.ndarray:
    """Give the number of the row of `bin_rows` that each value falls into."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    edges = bin_edges(quantity, activation)
    is_log = quantity in LOG_QUANTITIES
    is_finite = np.isfinite(flat)
    is_placed = is_finite & (flat != 0) if is_log else is_finite
    placed = np.log10(np.abs(flat[is_placed])) if is_log else flat[is_placed]
    # Bins are [left, right) and the last one is closed; position 0 is underflow.
    position = np.searchsorted(edges, placed, side="right")
    position[placed == edges[-1]] -= 1
    rows = np.full(flat.shape, len(edges) + 1 + is_log, dtype=np.int64)  # the last row: not finite
    rows[is_placed] = position + is_log
    if is_log:
        rows[flat == 0] = 0
    return rows
