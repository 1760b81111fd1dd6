"""Settled: what the signal of a random network comes to deep down, and how deep such networks train."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nnlab.initializers import INITIALIZERS
from nnlab.prediction import Prediction
from nnlab.random_network import RandomNetwork
from nnlab.theory import DEPTHS_OF_XI, MAX_SIGMA, batch_norm_growth, depth_scale, mean_field

# Where chi is 1 but for digits that nobody reads, six depth scales are more layers than anybody builds.
ENDLESS = 10_000


@dataclass(frozen=True)
class Settled:
    """Where the variance of z ends (`q`; inf where it runs away), and chi there.

    `is_fixed_point` tells whether both are a fixed point's; else they are those of the last layers predicted,
    nan at depth 1.
    """

    q: float
    chi: float
    is_fixed_point: bool

    @property
    def xi(self) -> float:
        """Depth scale in layers (Schoenholz et al. 2017, section 3)."""
        return float(depth_scale(self.chi))

    @property
    def trainable_depth(self) -> float:
        """About 6 xi layers (Schoenholz et al. 2017, section 5)."""
        return DEPTHS_OF_XI * self.xi


def is_plain(network: RandomNetwork) -> bool:
    """Whether mean field's sigma_w and sigma_b describe every layer but the first."""
    config = network.config
    is_fitted = INITIALIZERS[config.initializer].fitted_to_data
    return config.normalization == "none" and not config.residual and not is_fitted


def settle(prediction: Prediction) -> Settled:
    """Find where a network's signal settles as it goes deeper."""
    network, layers = prediction.network, prediction.signal.layers
    config = network.config
    if config.normalization == "batch" and not config.residual:
        return Settled(1.0, batch_norm_growth(config.activation), is_fixed_point=True)
    chi = layers[-2].chi if len(layers) > 1 else math.nan
    if not is_plain(network):
        return Settled(layers[-1].pre_activation_variance, chi, is_fixed_point=False)
    if max(network.sigma_w, network.total_sigma_b) > MAX_SIGMA:
        return Settled(math.inf, chi, is_fixed_point=False)
    field = mean_field(config.activation, network.sigma_w, network.total_sigma_b)
    if math.isinf(field.q_star):
        return Settled(math.inf, chi, is_fixed_point=False)
    return Settled(field.q_star, field.chi, is_fixed_point=True)
