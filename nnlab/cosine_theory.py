"""Cosine theory: how alike a wide random network makes two inputs that have nothing in common.

Where `correlation` stays at the fixed point of the variance, this follows two inputs through the layers of
one experiment's network as they are: first layer, biases, normalization, residual connections.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from nnlab.activation_facts import entry_of
from nnlab.correlation import output_product, relu_correlation

if TYPE_CHECKING:
    from nnlab.config import ExperimentConfig
    from nnlab.signal_theory import LayerSignal, SignalTheory

# The eye and float32 tell no two of them apart; a pair that moves less a layer has come to rest.
SETTLED = 1e-7
HOMOGENEOUS = ("identity", "relu", "leaky_relu", "step")  # which look alike at every scale
FAR_OUT = 1e8  # a variance beyond which every other activation looks as from far away, to 1e-3
OUTERMOST = 1e12


def predict_cosines(config: ExperimentConfig, theory: SignalTheory) -> np.ndarray:
    """Predict the mean cosine between phi(z) of different examples, shape (hidden layers,).

    For inputs that are uncorrelated, as those of the dataset gaussian. Poole et al. 2016, equation 5, with
    the variance of each layer; Cho & Saul 2009 for ReLU. NaN where phi(z) is 0 or beyond float64.
    """
    product, mean, power = 0.0, 0.0, 1.0  # of two inputs: E x x', E x, E x^2
    cosines, last = [], (math.nan, math.nan, math.nan)
    for layer in theory.layers:
        raw = layer.sigma_w2 * power + layer.sigma_b2
        alike = _alike(config, layer, product, raw)
        own_power = layer.activation_std**2 + layer.activation_mean**2
        if abs(alike - last[0]) < SETTLED and abs(layer.pre_activation_variance / last[1] - 1) < SETTLED:
            shared = last[2]
        else:
            shared = _shared(config.activation, layer.pre_activation_variance, alike)
            last = alike, layer.pre_activation_variance, shared
        cosines.append(shared / own_power if own_power > 0 else math.nan)
        if config.residual and layer.index > 1:
            product += shared + 2 * mean * layer.activation_mean
            power += own_power + 2 * mean * layer.activation_mean
            mean += layer.activation_mean
        else:
            product, mean, power = shared, layer.activation_mean, own_power
    return np.array(cosines)


def _alike(config: ExperimentConfig, layer: LayerSignal, product: float, raw: float) -> float:
    """Give the correlation of two examples' z."""
    if config.normalization == "batch":
        # What examples share is taken away with the batch's mean: what is left sums to 0 over the batch.
        return -1 / (config.batch_size - 1)
    if not raw > 0:
        return math.nan
    return min(1.0, max(-1.0, (layer.sigma_w2 * product + layer.sigma_b2) / raw))


def _shared(name: str, variance: float, alike: float) -> float:
    """Give E phi(z) phi(z')."""
    if variance == 0:
        return float(entry_of(name).function(np.zeros(1))[0]) ** 2
    if not math.isfinite(variance) or math.isnan(alike):
        return math.nan
    # Closed forms where there are some: the integral takes 20 ms a layer, and more the larger the variance.
    if name in ("sine", "cosine"):
        return _wave_product(name, variance, alike)
    if name in HOMOGENEOUS or variance > FAR_OUT:
        return _far_product(name, variance, alike)
    return output_product(name, variance, alike)


def _wave_product(name: str, variance: float, alike: float) -> float:
    """Give E sin z sin z' or E cos z cos z': half of E cos(z - z') -+ E cos(z + z')."""
    difference, total = math.exp(-variance * (1 - alike)), math.exp(-variance * (1 + alike))
    return (difference - total) / 2 if name == "sine" else (difference + total) / 2


def _far_product(name: str, variance: float, alike: float) -> float:
    """Give E phi(z) phi(z') for what is left of phi far out: two straight half-lines, or two levels.

    With slopes a, b left and right phi is a z + (b - a) relu(z), and E z relu(z') = c q / 2; for relu itself
    Cho & Saul 2009. With levels phi is m + d sign(z), and E sign(z) sign(z') = (2 / pi) arcsin c.
    """
    left, right = (float(value) for value in entry_of(name).function(np.array([-OUTERMOST, OUTERMOST])))
    below, above = -left / OUTERMOST, right / OUTERMOST
    if max(abs(below), abs(above)) > 1 / math.sqrt(OUTERMOST):
        bend = above - below
        straight = below**2 * alike + below * bend * alike
        return variance * (straight + bend**2 * relu_correlation(alike) / 2)
    middle, step = (left + right) / 2, (right - left) / 2
    return middle**2 + step**2 * (2 / math.pi) * math.asin(alike)
