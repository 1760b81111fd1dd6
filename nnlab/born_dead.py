"""Born dead: how likely a ReLU network without biases is constant from the start.

A layer none of whose units fires passes nothing on, forward or backward. Weights are symmetric about 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_DRAWN = 50_000_000  # draws x width: some two seconds a layer
GROUP = 1_000_000  # numbers drawn at once
DEVIATIONS = 1.959964  # of a normal, for a band that covers 95 %


@dataclass(frozen=True)
class Bounds:
    """A probability lies between `low` and `high`."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A share of `draws` networks and the 95 % band around it (Wilson 1927)."""

    share: float
    low: float
    high: float
    draws: int


def _check_whole(field: str, value: int, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
        raise ValueError(f"{field}: {value!r} is not allowed; allowed: a whole number, {low} or more")


def born_dead_at_one_input(widths: Sequence[int]) -> float:
    """Give the probability that a hidden layer is silent for one given input: 1 - prod(1 - 2^-n_l), exact.

    `widths` are those of the hidden layers. Given that a layer fires, each unit of the next is off with
    probability 1/2, independently. The bound of Rister & Rubin 2020 that becomes exact.

    Raises:
        ValueError: there is no width, or one is no whole number of 1 or more.
    """
    if not len(widths):
        raise ValueError("widths: nothing is not allowed; allowed: one whole number for each hidden layer")
    for width in widths:
        _check_whole("widths", width, 1)
    # log1p and expm1 keep a probability of 1e-30 from being rounded to 0.
    logs = (math.log1p(-(2.0 ** -float(width))) for width in widths)
    return -math.expm1(math.fsum(logs))


def born_dead_bounds(hidden_layers: int, width: int) -> Bounds:
    """Bound the probability that a network with one input number is constant on each side of 0.

    With N units in each layer, p = hidden_layers - 1, a1 = 1 - 2^-N, a2 = 1 - 2^(1-N) - (N-1) 4^-N and
    k = (1 - 2^(1-N)) (1 - 2^-N) / (1 + (N-1) 2^-N):  1 - a1^p + k (a2^p - a1^p) <= P <= 1 - a1^p
    (Lu, Shin, Su & Karniadakis 2020, whose depth L counts the output layer: p is L - 2).

    Raises:
        ValueError: hidden_layers or width is no whole number of 1 or more.
    """
    _check_whole("hidden_layers", hidden_layers, 1)
    _check_whole("width", width, 1)
    n, power = float(width), hidden_layers - 1
    off = 2.0**-n
    a1, a2 = 1 - off, 1 - 2 * off - (n - 1) * off**2
    k = (1 - 2 * off) * (1 - off) / (1 + (n - 1) * off)
    return Bounds(1 - a1**power + k * (a2**power - a1**power), 1 - a1**power)


def draw_born_dead(hidden_layers: int, width: int, *, draws: int = 10_000, seed: int = 0) -> Estimate:
    """Draw networks with one input number and Gaussian weights; give the share that is born dead.

    Dead: on each side of 0 some layer is silent. Without biases a side is one ray, so x = 1 and x = -1 stand
    for it. The two z of a unit are jointly normal given the layer below, which is drawn from: the same law as
    drawing all weights, at a width-th of the cost.

    Raises:
        ValueError: a number is no whole number in its range.
    """
    return draw_born_dead_by_depth(hidden_layers, width, draws=draws, seed=seed)[-1]


def draw_born_dead_by_depth(
    hidden_layers: int, width: int, *, draws: int = 10_000, seed: int = 0
) -> tuple[Estimate, ...]:
    """Give the share that is born dead at each depth from 1 on: the same networks, cut after each layer.

    Raises:
        ValueError: as `draw_born_dead`.
    """
    _check_whole("hidden_layers", hidden_layers, 1)
    _check_whole("width", width, 1)
    _check_whole("draws", draws, 1)
    _check_whole("seed", seed, 0)
    if draws * width > MAX_DRAWN:
        raise ValueError(f"draws: {draws!r} with width {width} is not allowed; allowed: draws x width up to "
                         f"{MAX_DRAWN:,}")  # fmt: skip
    rng = np.random.default_rng(seed)
    at_once = max(1, GROUP // width)
    sizes = [min(at_once, draws - first) for first in range(0, draws, at_once)]
    dead = sum(_count_dead(rng, hidden_layers, width, size) for size in sizes)
    return tuple(_estimate(int(count), draws) for count in np.atleast_1d(dead))


def _count_dead(rng: np.random.Generator, hidden_layers: int, width: int, draws: int) -> np.ndarray:
    """Count the dead networks after each layer, shape (hidden_layers,)."""
    first = rng.standard_normal((draws, width))
    right, left = np.maximum(first, 0), np.maximum(-first, 0)
    counts = [_silent_on_both_sides(right, left)]
    for _ in range(hidden_layers - 1):
        # Only the directions matter, so lengths are taken out before they can underflow.
        right, left = _unit(right), _unit(left)
        cosine = np.sum(right * left, axis=1, keepdims=True)
        alive_right, alive_left = right.any(axis=1, keepdims=True), left.any(axis=1, keepdims=True)
        z, own = rng.standard_normal((2, draws, width))
        other = cosine * z + np.sqrt(np.clip(1 - cosine**2, 0, None)) * own
        right, left = np.maximum(z * alive_right, 0), np.maximum(other * alive_left, 0)
        counts.append(_silent_on_both_sides(right, left))
    return np.array(counts)


def _silent_on_both_sides(right: np.ndarray, left: np.ndarray) -> int:
    return int(np.sum(~right.any(axis=1) & ~left.any(axis=1)))


def _unit(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)


def _estimate(hits: int, draws: int) -> Estimate:
    share, z2 = hits / draws, DEVIATIONS**2
    middle = (share + z2 / (2 * draws)) / (1 + z2 / draws)
    half = DEVIATIONS * math.sqrt(share * (1 - share) / draws + z2 / (4 * draws**2)) / (1 + z2 / draws)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half), draws)
