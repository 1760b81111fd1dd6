"""Scatter: how far networks of finite width lie from theory by chance, to the first order in 1 / width.

Given one layer's outputs, the next layer's units are independent and normal, so that the mean of their
squares over n units fluctuates by the root of 2 / n, and that of phi(z)^2 by the root of kappa / n. The
variance map carries these fluctuations on: they add up where it keeps ratios (ReLU: 5 / n a layer, Hanin &
Rolnick 2018) and die out where it has a stable fixed point. For a batch, those count that all examples share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from nnlab.activation_facts import entry_of
from nnlab.datasets import DATASETS
from nnlab.gaussian_mean import output_power, power_growth
from nnlab.signal_theory import LARGEST

if TYPE_CHECKING:
    from nnlab.config import ExperimentConfig
    from nnlab.signal_theory import LayerSignal, SignalTheory

NODES = 80  # of each dimension; kinks cost digits of a number that is itself good to 1 / width
STANDARD_DEVIATIONS = 2.0  # 95 % of networks
SMALLEST = 1e-30  # a variance that no bend of an activation shows any more; it stands for all below
ALIKE = 1e-4  # relative; two layers that differ by less pass fluctuations on alike
DEPENDENT = ("orthogonal", "lsuv")  # their weights are not independent of each other


@dataclass(frozen=True)
class _Chance:
    """What enters a layer: mean and variance, over networks, of ln(mean of h^2) about theory's.

    `product` and `power` are E h h' of two examples and E h^2; `apart` is the mean square by which the
    correlations of pairs of examples differ.
    """

    mean: float
    variance: float
    product: float
    power: float
    apart: float


def predict_scatter(config: ExperimentConfig, theory: SignalTheory, cosines: np.ndarray) -> np.ndarray:
    """Give between which spreads of z 95 % of networks lie, shape (hidden layers, 2).

    `cosines` are those of `predict_cosines`. Logarithms are normal to this order, and their mean lies half
    a variance below the logarithm of theory's mean. NaN with a normalization, which fixes the spread, with
    residual connections, with weights that are not independent, and where a variance is 0 or beyond float64.
    """
    band = np.full((config.depth, 2), np.nan)
    if config.normalization != "none" or config.residual or config.initializer in DEPENDENT:
        return band
    chance = _Chance(0.0, 0.0, 0.0, 1.0, 1 / (DATASETS[config.dataset].n_features or config.width))
    passed: tuple[Sequence[float], tuple[float, float]] = ((math.nan, math.nan), (0.0, 0.0))
    for layer, cosine in zip(theory.layers, cosines, strict=True):
        q = layer.pre_activation_variance
        if not 0 < q <= LARGEST:
            break
        alike, squared = _alike(config, layer, chance)
        band[layer.index - 1] = _band(config, layer, chance, squared)
        place = (math.log(max(q, SMALLEST)), math.sqrt(squared))
        if not np.allclose(place, passed[0], rtol=0, atol=ALIKE):
            passed = place, passing(config.activation, math.exp(place[0]), place[1])
        chance = _outgoing(config, layer, chance, passed[1], alike, float(cosine))
    return band


def _alike(config: ExperimentConfig, layer: LayerSignal, chance: _Chance) -> tuple[float, float]:
    """Give the mean correlation of two examples' z, and the mean square over all pairs of a batch."""
    raw = layer.sigma_w2 * chance.product + layer.sigma_b2
    alike = min(1.0, max(0.0, raw / layer.pre_activation_variance))
    itself = 1 / config.batch_size  # of the pairs are an example with itself
    return alike, min(1.0, alike**2 + chance.apart + itself)


def _weighted(layer: LayerSignal, chance: _Chance) -> float:
    """Give the part of z's variance that comes through weights: biases do not fluctuate with h."""
    return layer.sigma_w2 * chance.power / layer.pre_activation_variance


def _band(config: ExperimentConfig, layer: LayerSignal, chance: _Chance, squared: float) -> np.ndarray:
    weighted, own = _weighted(layer, chance), 2 * squared / config.width
    # Halves, since the spread is the root of the variance.
    center = 0.5 * (math.log(layer.pre_activation_variance) + weighted * chance.mean - own / 2)
    reach = STANDARD_DEVIATIONS * 0.5 * math.sqrt(weighted**2 * chance.variance + own)
    with np.errstate(over="ignore"):
        return np.exp(np.array([center - reach, center + reach]))


def _outgoing(
    config: ExperimentConfig,
    layer: LayerSignal,
    chance: _Chance,
    passed: tuple[float, float],
    alike: float,
    cosine: float,
) -> _Chance:
    growth, kappa = passed
    carried = _weighted(layer, chance) * growth
    power = layer.activation_std**2 + layer.activation_mean**2
    return _Chance(
        mean=carried * chance.mean - kappa / 2 / config.width,
        variance=carried**2 * chance.variance + kappa / config.width,
        product=cosine * power if power > 0 else 0.0,
        power=power,
        # A layer of n units gives unlike inputs correlations of 1 / sqrt(n); what all share hides them.
        apart=(1 - alike) ** 2 * (chance.apart + 1 / config.width),
    )


@lru_cache(maxsize=1)
def _rule() -> tuple[np.ndarray, np.ndarray]:
    """Give nodes and weights of a standard normal mean."""
    places, weights = np.polynomial.hermite_e.hermegauss(NODES)
    return places, weights / weights.sum()


def passing(name: str, q: float, alike: float) -> tuple[float, float]:
    """Give d ln E phi(z)^2 / d ln q, and kappa: Cov(phi(z)^2, phi(z')^2) / (E phi(z)^2)^2.

    z and z' are normal with variance q and correlation `alike`, from 0 to 1. Both 0 where phi is 0.
    """
    entry = entry_of(name)
    power = float(output_power(name, q))
    if power == 0:
        return 0.0, 0.0
    growth = power_growth(name, q) * q / power if entry.slope_sup > 0 else 0.0
    places, weights = _rule()
    shared, own = math.sqrt(q * alike) * places[:, None], math.sqrt(q * (1 - alike)) * places
    given_shared = entry.function(shared + own) ** 2 @ weights
    relative = given_shared / (weights @ given_shared)  # its square stays within float64
    return growth, max(0.0, float(weights @ relative**2) - 1)
