"""Histograms with fixed edges, so that layers and steps share one axis and counts always add up."""

from __future__ import annotations

import math

import numpy as np

from nnlab.activations import ACTIVATIONS

QUANTITIES = ("pre_activation", "activation", "delta", "weight_grad")
LOG_QUANTITIES = ("delta", "weight_grad")  # binned by log10 of the magnitude

# definitions.md, section 2, item 2.
PRE_ACTIVATION_EDGES = np.linspace(-6.0, 6.0, 61)
BOUNDED_BINS = 50
UNBOUNDED_EDGES = np.linspace(-3.0, 6.0, 91)
MAGNITUDE_EDGES = np.linspace(-20.0, 4.0, 97)


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
    flat = np.asarray(values, dtype=np.float64).ravel()
    edges = bin_edges(quantity, activation)
    finite = flat[np.isfinite(flat)]
    outside = [flat.size - finite.size]
    zeros: list[int] = []
    if quantity in LOG_QUANTITIES:
        magnitude = np.abs(finite[finite != 0])
        zeros = [finite.size - magnitude.size]
        finite = np.log10(magnitude)
    # Bins are [left, right) and the last one is closed; position 0 is underflow.
    position = np.searchsorted(edges, finite, side="right")
    position[finite == edges[-1]] -= 1
    inner = np.bincount(position, minlength=len(edges) + 1)
    return np.concatenate([zeros, inner, outside]).astype(np.int64)
