"""Prediction: all that theory says of one random network, layer by layer, by the names of the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnlab.cosine_theory import predict_cosines
from nnlab.random_network import RandomNetwork
from nnlab.scatter import predict_scatter
from nnlab.signal_theory import SignalTheory, predict_signal

# Metrics that are numbers of a predicted layer.
_FIELDS = ("activation_mean", "activation_std", "slope_power", "saturation", "backward_gain")


@dataclass(frozen=True)
class Prediction:
    """What theory says of a network; what takes longest is worked out when it is first asked for."""

    network: RandomNetwork
    signal: SignalTheory

    @cached_property
    def cosines(self) -> np.ndarray:
        """The mean cosine of different examples, shape (hidden layers,)."""
        return predict_cosines(self.network.config, self.signal)

    @cached_property
    def scatter(self) -> np.ndarray:
        """The spreads of z between which 95 % of networks of this width lie, shape (hidden layers, 2).

        NaN where that is not known.
        """
        return predict_scatter(self.network.config, self.signal, self.cosines)

    def curve(self, metric: str) -> np.ndarray:
        """Give what is expected of a metric in each hidden layer, shape (hidden layers,).

        Raises:
            ValueError: theory says nothing of this metric.
        """
        layers = self.signal.layers
        if metric == "mean_cosine":
            return self.cosines
        if metric == "pre_activation_std":
            return np.sqrt([layer.pre_activation_variance for layer in layers])
        if metric == "relative_to_last_hidden":
            gains = [layer.backward_gain for layer in layers[:-1]]
            return np.cumprod([1.0, *gains[::-1]])[::-1]
        if metric not in _FIELDS:
            allowed = ", ".join((*_FIELDS, "pre_activation_std", "relative_to_last_hidden", "mean_cosine"))
            raise ValueError(f"metric: {metric!r} is not allowed; allowed: {allowed}")
        return np.array([getattr(layer, metric) for layer in layers], dtype=float)


def predict(network: RandomNetwork) -> Prediction:
    """Predict a network for independent standard normal inputs, as many as its dataset has.

    Raises:
        ValueError: the dataset is a CSV file, whose inputs are not known before it is read.
    """
    return Prediction(network, predict_signal(network.config, bias_std=network.sigma_b))
