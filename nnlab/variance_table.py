"""Variance table: E phi^2 and E phi'^2 of one activation over 48 decades of variance, computed once.

A map of thousands of points asks it instead of integrating at each point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline

from nnlab.activations import ACTIVATIONS
from nnlab.gaussian_mean import output_power, slope_power

# Softsign's critical point is approached as the square root of q: below 1e-24 nothing shows in float64.
LOWEST, HIGHEST = 1e-24, 1e24
# Knots in a factor e of the variance. Where phi bends, the spline is then good to 1e-8; outside, E phi^2 is a
# power of the variance up to a small correction.
FINE, COARSE = 40, 4
BENDS = 1e6  # phi bends at variances between 1 / BENDS and BENDS
AT_ONCE = 128  # neighbors, which need about the same panels


@dataclass(frozen=True)
class VarianceTable:
    """Knots `variance` (rising; 1 is the one at `start`), and the two powers there."""

    variance: np.ndarray
    output: np.ndarray
    slope: np.ndarray
    start: int
    _log_output: CubicSpline
    _log_slope: CubicSpline | None

    def output_at(self, variance: np.ndarray) -> np.ndarray:
        """Interpolate E phi^2 at variances inside the table."""
        return np.exp(self._log_output(np.log(variance)))

    def slope_at(self, variance: np.ndarray) -> np.ndarray:
        """Interpolate E phi'^2 at variances inside the table."""
        if self._log_slope is None:
            return np.zeros_like(variance)
        return np.exp(self._log_slope(np.log(variance)))


def _knots() -> np.ndarray:
    bend, end = math.log(BENDS), math.log(HIGHEST)
    fine = np.linspace(0, bend, math.ceil(bend * FINE) + 1)
    coarse = np.linspace(bend, end, math.ceil((end - bend) * COARSE) + 1)[1:]
    above = np.concatenate([fine, coarse])
    return np.concatenate([-above[:0:-1], above])


@lru_cache(maxsize=len(ACTIVATIONS))
def variance_table(name: str) -> VarianceTable:
    """Compute the table of one activation, the first time in about a fifth of a second.

    Raises:
        ValueError: no activation has this name.
    """
    logs = _knots()
    variance = np.exp(logs)
    groups = np.array_split(variance, math.ceil(len(variance) / AT_ONCE))
    output = np.concatenate([output_power(name, group) for group in groups])
    slope = np.concatenate([slope_power(name, group) for group in groups])
    for shared in (variance, output, slope):
        shared.flags.writeable = False
    log_slope = CubicSpline(logs, np.log(slope)) if (slope > 0).all() else None
    start = len(logs) // 2
    return VarianceTable(variance, output, slope, start, CubicSpline(logs, np.log(output)), log_slope)
