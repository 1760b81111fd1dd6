"""Counts: every number is in exactly one row, whatever it is, and counts of parts add up."""

from __future__ import annotations

import math
import warnings

import numpy as np
import oracle
import pytest
from any_network import few

import nnlab
from nnlab.histogram import QUANTITIES, bin_rows, count, packed

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")
given = hypothesis.given

EDGES = [
    0.0,
    -0.0,
    6.0,
    -6.0,
    1.0,
    -1.0,
    1e-20,
    1e4,
    math.nan,
    math.inf,
    -math.inf,
    5e-324,
    1e-45,
    1e30,
    3e38,
]


def _values(bits: int) -> st.SearchStrategy[np.ndarray]:
    numbers = st.floats(width=bits) | st.sampled_from(EDGES) | st.floats(-7, 7, width=bits)
    dtype = np.float32 if bits == 32 else np.float64
    return st.lists(numbers, max_size=60).map(lambda values: np.array(values, dtype=dtype))


quantities = st.sampled_from(QUANTITIES)
activations = st.sampled_from([*sorted(nnlab.ACTIVATIONS), "somebody's own"])
arrays = _values(32) | _values(64)


@few(1)
@given(values=arrays, quantity=quantities, activation=activations)
def test_every_number_is_counted_once(values: np.ndarray, quantity: str, activation: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counts = count(values, quantity, activation)
    assert counts.sum() == values.size
    assert (counts >= 0).all()
    left, right = bin_rows(quantity, activation)
    assert len(counts) == len(left) == len(right)
    not_finite = np.isnan(left)
    assert counts[not_finite].sum() == np.count_nonzero(~np.isfinite(values))
    if quantity in ("delta", "weight_grad"):
        zeros = left == right
        assert counts[zeros].sum() == np.count_nonzero(values == 0)


@few(1)
@given(one=_values(32), other=_values(32), quantity=quantities, activation=activations)
def test_counts_of_parts_add_up(one: np.ndarray, other: np.ndarray, quantity: str, activation: str) -> None:
    whole = count(np.concatenate([one, other]), quantity, activation)
    parts = count(one, quantity, activation) + count(other, quantity, activation)
    assert np.array_equal(whole, parts)
    assert np.array_equal(
        count(other.astype(float), quantity, activation), count(other, quantity, activation)
    )
    (kept,) = packed([whole]) if whole.any() else [whole]
    assert np.array_equal(kept, whole)


@few(1)
@given(values=arrays, quantity=quantities, activation=st.sampled_from(sorted(nnlab.ACTIVATIONS)))
def test_counts_are_those_of_the_second_implementation(
    values: np.ndarray, quantity: str, activation: str
) -> None:
    low, high, bins = (-6, 6, 60) if quantity == "pre_activation" else (-3, 6, 90)
    if quantity == "activation" and activation in oracle.BOUNDED:
        low, high, bins = *oracle.BOUNDED[activation], 50
    is_log = quantity in ("delta", "weight_grad")
    wide = values.astype(float)
    if not is_log:
        # An edge such as 0.3 has two neighbors in float64, and each implementation its own of them.
        with np.errstate(invalid="ignore", over="ignore"):
            place = (wide - low) / (high - low) * bins
            wide = wide[~(abs(place - np.round(place)) < 1e-9)]
    finite = wide[np.isfinite(wide)]
    want = oracle.count_magnitudes(finite) if is_log else oracle.count_bins(wide, low, high, bins)
    if is_log:
        want[-2, 2] += wide.size - finite.size
    left, right = bin_rows(quantity, activation)
    found = np.column_stack([left, right, count(wide.astype(values.dtype), quantity, activation)])
    mine, theirs = (rows[np.lexsort((rows[:, 1], rows[:, 0]))] for rows in (found, want))
    assert np.allclose(mine, theirs, rtol=0, atol=1e-9, equal_nan=True)


def test_five_equal_huge_numbers_are_counted() -> None:
    # np.histogram raises on them, torch.histc on what is not finite.
    values = np.array([1e30] * 5 + [math.nan, math.inf, -math.inf], dtype=np.float32)
    for quantity in QUANTITIES:
        counts, (left, right) = count(values, quantity, "relu"), bin_rows(quantity, "relu")
        assert counts[right == math.inf].sum() == 5
        assert counts[np.isnan(left)].sum() == 3
