"""Isometry: what theory says of the stretches in a network, the singular values s of its Jacobian.

Free probability multiplies wide random matrices: the mean of s^2 is the product of the layers' own, and what
Var(s^2) / (mean s^2)^2 is for one factor adds up over all (Pennington, Schoenholz & Ganguli 2017). Every
length is kept, which is called dynamical isometry, where the mean is 1 and the sum is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from nnlab.gaussian_mean import slope_moment
from nnlab.linear_product import SingularRanking, singular_ranking
from nnlab.random_network import RandomNetwork
from nnlab.signal_theory import LARGEST, LayerSignal, SignalTheory, predict_signal


@dataclass(frozen=True)
class Isometry:
    """The prediction for wide layers; nan where there is none.

    `mean_square` is the mean of s^2. The spreads are Var(s^2) / (mean s^2)^2, for independent weights
    (Gaussian or uniform) and for orthogonal ones.
    """

    mean_square: float
    gaussian_spread: float
    orthogonal_spread: float


@lru_cache(maxsize=64)
def predict_square_signal(network: RandomNetwork) -> SignalTheory:
    """Predict the layers of a network that has as many inputs as units, so that all matrices are square."""
    return predict_signal(network.config, n_inputs=network.config.width, bias_std=network.sigma_b)


def predict_isometry(network: RandomNetwork) -> Isometry:
    """Predict mean and spread of the squared singular values of dh_L/dx, hidden layers only, all square."""
    layers = predict_square_signal(network).layers
    own = [_own_spread(network.config.activation, layer) for layer in layers]
    spread = math.nan if network.config.residual and len(layers) > 1 else math.fsum(own)
    return Isometry(_mean_square(network, layers), spread + len(layers), spread)


def _mean_square(network: RandomNetwork, layers: tuple[LayerSignal, ...]) -> float:
    """Follow a vector back from h_L to x: its squared length grows as that of a gradient does."""
    first, last = layers[0], layers[-1]
    passed = {
        "none": first.sigma_w2,
        "layer": first.sigma_w2 / (first.sigma_w2 + first.sigma_b2) if first.sigma_w2 else math.nan,
        "batch": 1.0 if first.sigma_w2 else math.nan,
    }[network.config.normalization]
    return last.slope_power * math.prod(layer.chi for layer in layers[:-1]) * passed


def _own_spread(name: str, layer: LayerSignal) -> float:
    """Give E phi'^4 / (E phi'^2)^2 - 1, what the unequal slopes of one layer add."""
    if not layer.pre_activation_variance <= LARGEST or not layer.slope_power > 0:
        return math.nan
    return float(slope_moment(name, layer.pre_activation_variance, 4)) / layer.slope_power**2 - 1


def linear_ranking(network: RandomNetwork) -> SingularRanking | None:
    """Give the exact law for independent weights where the network is linear and plain, else None."""
    config = network.config
    is_linear = config.activation == "identity" and config.normalization == "none" and not config.residual
    sizes = [layer.sigma_w2 for layer in predict_square_signal(network).layers]
    if not is_linear or not all(0 < size < math.inf for size in sizes):
        return None
    law = singular_ranking(config.depth)
    return SingularRanking(law.share, law.log10 + sum(0.5 * math.log10(size) for size in sizes))
