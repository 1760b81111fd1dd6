"""Short sums: many float32 numbers added in few reads, losing nothing that matters.

Sums of a few thousand numbers are taken in float32, by BLAS or torch, and collected in float64. `settle`
tells where that is not enough, and `careful_moments` then takes its time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

Array = np.ndarray[Any, np.dtype[Any]]
Call = Callable[[], object]

# Between these a sum of float32 squares has lost nothing: no square overflows (3e38), and a million squares
# too small for float32 (7e-46 each) weigh less than 1e-9 of the sum.
SMALLEST_SQUARE, LARGEST_SQUARE = 1e-30, 1e30
# Numbers whose squares do not fit are multiplied by this power of two first, or divided, which changes no
# digit: from the smallest float32 (1e-45) up to those of the smallest sum, their squares then fit.
SCALE = 2.0**96
# A variance below this share of the mean square that it is the rest of has lost two of seven digits.
SMALLEST_SHARE = 0.01
# BLAS's dot product is by far the quickest sum of squares, but adds in float32: over a million numbers it can
# be off by 2e-4, over so many by 1e-6 at most. The stretches' sums are added in float64.
STRETCH = 4096


def summing(a: Array, b: Array, out: Array) -> Call:
    """Settle a call that writes dot products along the last axis into out.

    Shapes: a (..., numbers) float32, b alike or (numbers,), out (...) float64.
    """
    size = a.shape[-1]
    if size <= STRETCH:
        return partial(np.vecdot, a, b, out)
    whole = size - size % STRETCH
    pieces = [x[..., :whole].reshape(*x.shape[:-1], -1, STRETCH) for x in (a, b)]
    rests = a[..., whole:], b[..., whole:]

    def add_stretches() -> None:
        np.vecdot(*pieces).sum(-1, dtype=np.float64, out=out)
        if rests[0].shape[-1]:
            np.add(out, np.vecdot(*rests), out=out)

    return add_stretches


def dots(a: Array, b: Array) -> Array:
    """Give dot products along the last axis in float64; a (..., numbers) float32, b alike or (numbers,)."""
    out = np.empty(a.shape[:-1])
    summing(a, b, out)()
    return out


def fits(squares: Array) -> Array:
    """Tell which sums of squares are well inside float32's limits."""
    return np.asarray((squares > SMALLEST_SQUARE) & (squares < LARGEST_SQUARE))


def settle(squares: Array, mean: Array, size: Array) -> tuple[Array, Array]:
    """Give standard deviations from sums of squares and means of `size` numbers, and where to trust them."""
    variance = squares / size - mean * mean
    trusted = fits(squares) & (variance * size > SMALLEST_SHARE * squares)
    return np.sqrt(np.where(trusted, variance, 0.0)), trusted


def careful_moments(numbers: Array) -> tuple[float, float]:
    """Give mean and standard deviation (correction 0) of float32 numbers that `settle` does not trust."""
    row = numbers.reshape(-1)
    scaled = row * np.float32(SCALE)
    mean = dots(scaled, np.ones_like(scaled)) / len(row)
    std, trusted = settle(dots(scaled, scaled), mean, np.array(len(row)))
    if trusted:  # it was only too small to be squared
        return float(mean / SCALE), float(std / SCALE)
    wide = torch.from_numpy(numbers).double()
    return float(wide.mean()), float(wide.std(correction=0))


@dataclass(frozen=True)
class Both:
    """One memory as torch sees it, whose sums add in a tree, and as NumPy does, whose calls are short."""

    tensor: torch.Tensor
    array: Array

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Both:
        """Look at a tensor both ways."""
        return cls(tensor, tensor.numpy())


def center(values: Both, scratch: Both) -> tuple[Array, Array]:
    """Give means along the last axis, and write what is left of the values without them into scratch.

    Both (..., numbers) float32. The second result is the mean of what is left, which rounding puts there.
    """
    size = values.array.shape[-1]
    about = values.tensor.sum(-1).numpy() / np.float32(size)
    np.subtract(values.array, about[..., None], out=scratch.array)
    left = scratch.tensor.sum(-1).numpy() / np.float64(size)
    return about + left, left
