"""Random network: a network as it is drawn, before any training: an experiment's, with biases if wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nnlab.config import ExperimentConfig
from nnlab.initializers import INITIALIZERS


@dataclass(frozen=True)
class RandomNetwork:
    """The network of an experiment at its initial weights.

    `sigma_b` is the standard deviation of normal biases that are added to the initializer's own in every
    hidden layer.
    """

    config: ExperimentConfig
    sigma_b: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma_b) and self.sigma_b >= 0):
            raise ValueError(f"sigma_b: {self.sigma_b!r} is not allowed; allowed: a finite number, 0 or more")

    @property
    def base_sigma_w(self) -> float:
        """What sigma_w would be at gain 1; nan where the weights are fitted to data (LSUV)."""
        initializer = INITIALIZERS[self.config.initializer]
        if initializer.fitted_to_data:
            return math.nan
        width = self.config.width
        return math.sqrt(width) * initializer.std(width, width)

    @property
    def sigma_w(self) -> float:
        """Root of fan_in Var(W) in the layers from the second on."""
        return self.config.gain * self.base_sigma_w

    @property
    def total_sigma_b(self) -> float:
        """Root of Var(b) in the layers from the second on, the initializer's own biases included."""
        bound = INITIALIZERS[self.config.initializer].bias_bound
        own = bound(self.config.width) ** 2 / 3 if bound else 0.0
        return math.sqrt(own + self.sigma_b**2)

    def at(self, sigma_w: float) -> RandomNetwork:
        """Give the same network with the gain that makes its sigma_w this one.

        Raises:
            ValueError: no gain does: the weights are all 0, or fitted to data.
        """
        base = self.base_sigma_w
        if not base > 0:
            raise ValueError(
                f"sigma_w: {sigma_w!r} is not allowed with initializer {self.config.initializer}; allowed: "
                "an initializer whose weights a gain can scale"
            )
        return RandomNetwork(self.config.replace(gain=sigma_w / base), self.sigma_b)
