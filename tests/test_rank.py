"""The effective rank by its quick way and by singular values, and where the quick way must not be taken."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nnlab.rank import effective_rank, quick_singular_values


def by_svd(h: torch.Tensor) -> float:
    s = np.linalg.svd(h.numpy(), compute_uv=False)
    p = s[s > 0] / s.sum()
    return math.exp(-(p * np.log(p)).sum())


def drawn(examples: int, units: int, spread: float) -> torch.Tensor:
    """Give rows whose directions fade by powers of ten down to `spread`."""
    draw = torch.Generator().manual_seed(examples + units)
    h = torch.empty(examples, units, dtype=torch.float64).normal_(generator=draw)
    return h * torch.logspace(0, math.log10(spread), units, dtype=torch.float64)


@pytest.mark.parametrize("spread", [1.0, 1e-1, 1e-3, 1e-6, 1e-12])
@pytest.mark.parametrize(("examples", "units"), [(1024, 64), (100, 7), (20, 20), (9, 30)])
def test_it_is_that_of_the_singular_values(examples: int, units: int, spread: float) -> None:
    h = drawn(examples, units, spread)
    assert effective_rank(h) == pytest.approx(by_svd(h), rel=1e-9)


def test_the_quick_way_is_taken_where_it_is_exact_and_only_there() -> None:
    assert quick_singular_values(drawn(1024, 64, 0.1)) is not None
    assert quick_singular_values(drawn(1024, 64, 1e-9)) is None
    assert quick_singular_values(torch.ones(100, 5, dtype=torch.float64)) is None


def test_what_has_no_directions_has_no_rank() -> None:
    assert math.isnan(effective_rank(torch.zeros(10, 3, dtype=torch.float64)))
    assert math.isnan(effective_rank(torch.full((10, 3), math.nan, dtype=torch.float64)))
