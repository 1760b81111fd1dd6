"""Correlation: how alike a wide random network makes two inputs, layer by layer.

The correlation c of two inputs' z goes from layer to layer by the correlation map (Poole et al. 2016,
equation 5). At c = 1 its slope is chi: above 1 alike inputs part, below 1 all inputs become one.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from nnlab.activation_facts import NARROW, entry_of, facts
from nnlab.gaussian_mean import BEYOND, WAVE_VARIANCE, Curve, gaussian_mean

# Averaging over a normal z of spread s rounds a kink off over some s: panels around it get that narrow.
ROUNDED_OFF = (0.5, 1.0, 2.0, 4.0, 8.0)
WAVE_PANEL = 4.0  # two thirds of a period


def _check_correlation(correlation: float) -> None:
    if not -1 <= correlation <= 1:
        raise ValueError(f"correlation: {correlation!r} is not allowed; allowed: a number from -1 to 1")


def _check_variance(variance: float) -> None:
    if not (math.isfinite(variance) and variance > 0):
        raise ValueError(f"variance: {variance!r} is not allowed; allowed: a finite number above 0")


def check_depth(depth: int) -> None:
    """Raise ValueError where a depth is no whole number of 1 or more."""
    if isinstance(depth, bool) or not isinstance(depth, (int, np.integer)) or depth < 1:
        raise ValueError(f"depth: {depth!r} is not allowed; allowed: a whole number, 1 or more")


# Every layer of a network asks what the same layer of a deeper or shallower one has asked.
@lru_cache(maxsize=4096)
def output_product(name: str, variance: float, correlation: float) -> float:
    """Give E phi(z) phi(z') for normal z, z' with mean 0, one variance, and this correlation.

    The part that z and z' share is integrated over what the parts of their own give, one dimension at a
    time (Poole et al. 2016, equation 5, with u1 = m + s z1, u2 = m + s z2).

    Raises:
        ValueError: unknown activation, or variance or correlation out of range.
    """
    return _product(name, entry_of(name).function, variance, correlation)


def slope_product(name: str, variance: float, correlation: float) -> float:
    """Give E phi'(z) phi'(z') for the same z, z': by what `output_product` grows with the covariance.

    Where phi jumps, as step does by 1 at 0, it is the density of z = z' = 0, infinite at a correlation of 1.

    Raises:
        ValueError: unknown activation, or variance or correlation out of range.
    """
    slope = entry_of(name).derivative
    if name != "step":
        return _product(name, slope, variance, correlation)
    _check_variance(variance)
    _check_correlation(correlation)
    apart = math.sqrt(1 - correlation**2)
    return 1 / (2 * math.pi * variance * apart) if apart else math.inf


def _product(name: str, curve: Curve, variance: float, correlation: float) -> float:
    _check_variance(variance)
    _check_correlation(correlation)
    alike, kinks = abs(correlation), facts(name).kinks
    if facts(name).saturates == NARROW:
        if variance > WAVE_VARIANCE:  # the mean over a period, as in gaussian_mean: only z - z' counts
            alike = max(0.0, 1 - variance * (1 - alike) / WAVE_VARIANCE)
            variance = WAVE_VARIANCE
        reach = 2 * BEYOND * math.sqrt(variance)
        kinks = (*kinks, *np.arange(-reach, reach, WAVE_PANEL))
    shared, own = math.sqrt(variance * alike), math.sqrt(variance * (1 - alike))
    sign = math.copysign(1.0, correlation)

    def given_shared(m: np.ndarray) -> np.ndarray:
        if own == 0:
            return curve(m)
        return gaussian_mean(curve, kinks, m.ravel(), np.full(m.size, own)).reshape(m.shape)

    def product(m: np.ndarray) -> np.ndarray:
        first = given_shared(m)
        return first * (first if sign > 0 else given_shared(-m))

    if shared == 0:
        return float(product(np.zeros(1))[0])
    around = {turn * (kink + side * own * step) for kink in (*facts(name).kinks, 0.0) for step in ROUNDED_OFF
              for side in (-1, 1) for turn in (1, sign)}  # fmt: skip
    mirrored = {sign * kink for kink in kinks}
    places = tuple(sorted({*kinks, *mirrored, *around}))
    return float(gaussian_mean(product, places, np.zeros(1), np.array([shared]))[0])


def correlation_map(name: str, sigma_w: float, sigma_b: float, q: float, correlation: float) -> float:
    """Give the next layer's correlation of two inputs at the fixed point q of the variance map.

    Poole et al. 2016, equation 5.

    Raises:
        ValueError: unknown activation, or q or correlation out of range.
    """
    return (sigma_w**2 * output_product(name, q, correlation) + sigma_b**2) / q


def correlation_over_depth(
    name: str, sigma_w: float, sigma_b: float, q: float, correlation: float, depth: int
) -> np.ndarray:
    """Give the correlation of two inputs after 0 to `depth` layers, shape (depth + 1,).

    Raises:
        ValueError: unknown activation, or q, correlation or depth out of range.
    """
    check_depth(depth)
    values = [float(correlation)]
    for _ in range(depth):
        following = correlation_map(name, sigma_w, sigma_b, q, values[-1])
        values.append(min(1.0, max(-1.0, following)))  # rounding may step over 1
    return np.array(values)


def relu_correlation(correlation: float) -> float:
    """Give the next layer's correlation for ReLU with sigma_w = sqrt(2), sigma_b = 0.

    (sqrt(1 - c^2) + (pi - theta) c) / pi with theta = arccos c (Cho & Saul 2009, equation 6, order 1).

    Raises:
        ValueError: correlation is no number from -1 to 1.
    """
    _check_correlation(correlation)
    theta = math.acos(correlation)
    return min(1.0, (math.sin(theta) + (math.pi - theta) * correlation) / math.pi)


def relu_gradient_correlation(correlation: float, depth: int) -> float:
    """Give how alike the input gradients of two inputs are in a wide bias-free ReLU network, He weights.

    prod over its `depth` hidden layers of (1 - theta_k / pi), theta_k the angle between what enters layer k:
    it falls as depth^-3, not as the 2^-depth of Balduzzi et al. 2017, which takes the layers'
    gates to be independent.

    Raises:
        ValueError: correlation or depth is out of range.
    """
    check_depth(depth)
    product = 1.0
    for _ in range(depth):
        _check_correlation(correlation)
        product *= 1 - math.acos(correlation) / math.pi
        correlation = relu_correlation(correlation)
    return product
