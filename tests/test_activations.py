"""The registry of activations: values, slopes, and what it says about them."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from nnlab.activations import ACTIVATIONS, Activation

# Kinks, curved parts, tails, and where float32 and float64 run out of digits.
TAILS = [9.0, 17.0, 20.0, 21.0, 40.0, 90.0, 105.0, 710.0, 1000.0]
GRID = np.unique(np.concatenate([np.linspace(-8, 8, 1601), TAILS, np.negative(TAILS), [-1, 0, 1]]))
# Steps of 1/64 are exact in float32, so that the kinks are on the grid; wide enough for every
# slope that float32 turns into 0 (exp(-104) is the last to do so).
WIDE = torch.arange(-128, 128, 1 / 64, dtype=torch.float32)

every_activation = pytest.mark.parametrize("entry", ACTIVATIONS.values(), ids=ACTIVATIONS)


def _autograd(entry: Activation, z: torch.Tensor) -> torch.Tensor:
    """Differentiate what a network uses: the torch.nn module where there is one."""
    z = z.clone().requires_grad_()
    phi = entry.function if entry.module is None else getattr(torch.nn, entry.module)()
    total = phi(z).sum()
    if not total.requires_grad:  # a comparison, as in step, has no gradient at all
        return torch.zeros_like(z)
    (slope,) = torch.autograd.grad(total, z)
    return slope


@every_activation
def test_derivative_is_what_autograd_gives(entry: Activation) -> None:
    z = torch.from_numpy(GRID)
    torch.testing.assert_close(entry.derivative(z), _autograd(entry, z), rtol=1e-9, atol=1e-12)


@every_activation
def test_function_is_what_the_torch_module_gives(entry: Activation) -> None:
    phi = {"sine": torch.sin, "cosine": torch.cos, "step": lambda z: (z > 0).to(z.dtype)}
    wanted = phi[entry.name] if entry.module is None else getattr(torch.nn, entry.module)()
    z = torch.from_numpy(GRID)
    torch.testing.assert_close(entry.function(z), wanted(z), rtol=1e-9, atol=1e-12)


@every_activation
def test_numpy_and_torch_give_the_same_numbers(entry: Activation) -> None:
    for part in (entry.function, entry.derivative):
        by_torch = part(torch.from_numpy(GRID)).numpy()
        np.testing.assert_allclose(part(GRID), by_torch, rtol=1e-12, atol=1e-14)
        single = [part(float(z)) for z in GRID]
        np.testing.assert_allclose(single, by_torch, rtol=1e-12, atol=1e-14)


@every_activation
def test_float32_slope_is_exactly_zero_where_that_of_torch_is(entry: Activation) -> None:
    dead = entry.derivative(WIDE) == 0
    wanted = _autograd(entry, WIDE) == 0
    assert WIDE[dead != wanted].tolist() == []


@every_activation
def test_slope_sup_bounds_the_slope_and_is_approached(entry: Activation) -> None:
    z = np.linspace(-40, 40, 800_001)
    assert abs(entry.derivative(z)).max() == pytest.approx(entry.slope_sup, rel=0, abs=1e-6)


@every_activation
def test_range_bounds_the_values_and_is_approached(entry: Activation) -> None:
    low, high = entry.range
    h = entry.function(np.concatenate([np.linspace(-40, 40, 800_001), [-1e7, 1e7]]))
    assert h.min() < -1e4 if low == -math.inf else h.min() == pytest.approx(low, rel=0, abs=1e-6)
    assert h.max() > 1e4 if high == math.inf else h.max() == pytest.approx(high, rel=0, abs=1e-6)
    assert entry.is_bounded == (math.isfinite(low) and math.isfinite(high))


@every_activation
def test_nan_stays_nan(entry: Activation) -> None:
    for z in (np.array([math.nan, 0.5]), torch.tensor([math.nan, 0.5])):
        assert np.isnan(np.asarray(entry.function(z))).tolist() == [True, False]


@every_activation
def test_far_out_there_is_no_warning_and_no_overflow(entry: Activation) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for part in (entry.function, entry.derivative):
            assert np.isfinite(part(np.array([-1000.0, 1000.0]))).all()


@every_activation
def test_says_what_it_is(entry: Activation) -> None:
    assert ACTIVATIONS[entry.name] is entry
    formulas = (entry.formula, entry.derivative_formula)
    for text in (entry.label, *formulas, entry.source, entry.made_for):
        assert text.strip() == text != ""
