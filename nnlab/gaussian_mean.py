"""Gaussian means: E f(mean + std Z) with Z standard normal, accurate at kinks, in float64.

Gauss-Legendre panels, split where an activation bends. Panels get wider by doubling away from 0 in units
of z, because activations bend at the scale of 1, and never wider than 1 in units of Z, where the density
bends. Both scales are then resolved for any std.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from nnlab.activation_facts import NARROW, entry_of, facts

Curve = Callable[[np.ndarray], np.ndarray]

BEYOND = 10  # the normal density is 8e-23 there
NODES = 20  # in every panel; halving the panels changes no mean by more than 1e-14
FINEST = 0.5  # the innermost panels, in units of z; the nearest pole of any registered phi is 1 away
AT_ONCE = 65_536  # nodes looked at together: half a megabyte an array, which stays in a processor's cache
# A wave's mean is its mean over a period, up to exp(-variance / 2) = 3e-18 at this variance. It is taken
# instead of larger ones, whose oscillations no fixed number of nodes could follow.
WAVE_VARIANCE = 81.0
# Stands for the limit of variance 0 from above: z within 1e-15 of 0, still on both sides of a kink there.
VANISHING = 1e-32


@lru_cache(maxsize=1)
def _rule() -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(NODES)


def _places(kinks: tuple[float, ...], reach: float) -> np.ndarray:
    """Give where panels are split in units of z: at 0, kinks, and doublings out to reach."""
    doublings = max(0, math.ceil(math.log2(max(reach, FINEST) / FINEST)))
    steps = FINEST * 2.0 ** np.arange(doublings + 1)
    return np.unique(np.concatenate([-steps, [0.0], steps, kinks]))


def gaussian_mean(curve: Curve, kinks: tuple[float, ...], mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Give E curve(mean + std Z) for one-dimensional arrays of means and positive stds.

    `kinks` are where the curve or one of its derivatives jumps, in its own units.
    """
    places = _places(kinks, float(np.max(np.abs(mean) + BEYOND * std)))
    rows = max(1, AT_ONCE // (NODES * (len(places) + 2 * BEYOND)))
    groups = [slice(first, first + rows) for first in range(0, len(mean), rows)]
    return np.concatenate([_means(curve, places, mean[group], std[group]) for group in groups])


def _means(curve: Curve, places: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    inner = (places - mean[:, None]) / std[:, None]
    outer = np.broadcast_to(np.arange(-BEYOND, BEYOND + 1.0), (len(mean), 2 * BEYOND + 1))
    edges = np.sort(np.concatenate([outer, np.clip(inner, -BEYOND, BEYOND)], axis=1), axis=1)
    nodes, weights = _rule()
    half = np.diff(edges, axis=1)[..., None] / 2
    z = edges[:, :-1, None] + half * (1 + nodes)
    density = np.exp(-0.5 * z * z) * (half * weights / math.sqrt(2 * math.pi))
    values = curve(mean[:, None, None] + std[:, None, None] * z)
    return np.sum(density * values, axis=(1, 2))


def _mean_of(name: str, curve: Curve, variance: np.ndarray | float) -> np.ndarray:
    found = facts(name)
    given = np.atleast_1d(np.asarray(variance, dtype=np.float64))
    limit = WAVE_VARIANCE if found.saturates == NARROW else math.inf
    std = np.sqrt(np.clip(given.ravel(), VANISHING, limit))
    return gaussian_mean(curve, found.kinks, np.zeros_like(std), std).reshape(np.shape(variance))


def output_mean(name: str, variance: np.ndarray | float) -> np.ndarray:
    """Give E phi(z) for z normal with mean 0; a variance of 0 stands for its limit from above."""
    return _mean_of(name, entry_of(name).function, variance)


def output_power(name: str, variance: np.ndarray | float) -> np.ndarray:
    """Give E phi(z)^2 for z normal with mean 0; it is phi(0)^2 at variance 0."""
    phi = entry_of(name).function
    power = _mean_of(name, lambda z: phi(z) ** 2, variance)
    return np.where(np.asarray(variance) == 0, float(phi(np.zeros(1))[0]) ** 2, power)


def slope_power(name: str, variance: np.ndarray | float) -> np.ndarray:
    """Give E phi'(z)^2 for z normal with mean 0; a variance of 0 stands for its limit from above."""
    slope = entry_of(name).derivative
    return _mean_of(name, lambda z: slope(z) ** 2, variance)


def slope_moment(name: str, variance: np.ndarray | float, order: int) -> np.ndarray:
    """Give E phi'(z)^order for z normal with mean 0; a variance of 0 stands for its limit from above."""
    slope = entry_of(name).derivative
    return _mean_of(name, lambda z: slope(z) ** order, variance)


def mean_growth(name: str, variance: float) -> float:
    """Give d E phi(z) / d variance = E phi'(z) z / (2 variance), for a phi without jumps."""
    slope = entry_of(name).derivative
    return float(_mean_of(name, lambda z: slope(z) * z, variance)) / (2 * variance)


def power_growth(name: str, variance: float) -> float:
    """Give d E phi(z)^2 / d variance = E phi(z) phi'(z) z / variance, for a phi without jumps."""
    entry = entry_of(name)
    return float(_mean_of(name, lambda z: entry.function(z) * entry.derivative(z) * z, variance)) / variance
