"""Moment map: the mean and the variance of a layer's outputs from the variance of its z (SELU's fixed point).

With weights that sum to 0 and whose squares sum to 1, z has mean 0 and the variance of the layer below
(Klambauer et al. 2017, equations 4 and 5, with omega = 0, tau = 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nnlab.activation_facts import entry_of
from nnlab.gaussian_mean import mean_growth, output_mean, output_power, power_growth


@dataclass(frozen=True)
class Moments:
    """Mean and variance of phi(z), and their derivatives by the variance of z.

    Iterating returns to a fixed point where abs(variance_growth) < 1.
    """

    mean: float
    variance: float
    mean_growth: float
    variance_growth: float


def moment_map(name: str, variance: float) -> Moments:
    """Give the moments of phi(z) for z normal with mean 0 (Klambauer et al. 2017, equations 4 and 5).

    Growths are nan for step, which jumps. For SELU at variance 1 they are the second column of the
    paper's Jacobian, 0.088834 and 0.782648.

    Raises:
        ValueError: unknown activation, or a variance that is not finite and above 0.
    """
    entry_of(name)
    if not (math.isfinite(variance) and variance > 0):
        raise ValueError(f"variance: {variance!r} is not allowed; allowed: a finite number above 0")
    mean = float(output_mean(name, variance))
    spread = float(output_power(name, variance)) - mean**2
    if name == "step":
        return Moments(mean, spread, math.nan, math.nan)
    growth = mean_growth(name, variance)
    return Moments(mean, spread, growth, power_growth(name, variance) - 2 * mean * growth)
