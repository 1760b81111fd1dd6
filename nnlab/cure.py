"""Cure: what to change about a random network so that its error signal keeps its size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from nnlab.config import ExperimentConfig
from nnlab.random_network import RandomNetwork
from nnlab.remedies import FITTING_INITIALIZER, HEALTHY_RATIOS, UNFIT_WHEN_DEEP
from nnlab.rules import COLLAPSE_MIN_DEPTH, SATURATING_WARN, ReluFamily
from nnlab.settled import is_plain
from nnlab.signal_theory import LayerSignal, SignalTheory, predict_signal
from nnlab.theory import MAX_SIGMA, edge_of_chaos

DIGITS = 4  # of a gain that a visitor reads; chi is then 1 to a few thousandths


@dataclass(frozen=True)
class Cure:
    """A network that keeps its signal, what was changed to get there, and the gradient ratio expected."""

    network: RandomNetwork
    change: dict[str, Any]
    gradient_ratio: float


def critical_sigma_w(network: RandomNetwork) -> float:
    """Give the sigma_w at which chi is 1 for the network's biases; nan where there is none."""
    if not is_plain(network) or network.total_sigma_b > MAX_SIGMA:
        return math.nan
    return edge_of_chaos(network.config.activation, network.total_sigma_b)


def critical_gain(network: RandomNetwork) -> float:
    """Give the gain that makes a network critical; nan where none does."""
    sigma_w = critical_sigma_w(network)
    if not (math.isfinite(sigma_w) and network.base_sigma_w > 0):
        return math.nan
    return float(f"{sigma_w / network.base_sigma_w:.{DIGITS}g}")


def flattest(config: ExperimentConfig, theory: SignalTheory) -> LayerSignal | None:
    """Give the layer expected to saturate most; None where flat slopes are no fault (ReLU, step)."""
    known = [layer for layer in theory.layers if math.isfinite(layer.saturation)]
    if config.activation in ReluFamily or config.activation == "step" or not known:
        return None
    return max(known, key=lambda layer: layer.saturation)


def _changes(network: RandomNetwork) -> Iterator[dict[str, Any]]:
    """Give changes of the experiment, the one that changes least first."""
    config = network.config
    gain = critical_gain(network)
    if math.isfinite(gain):
        yield {"gain": gain}
    healthy: dict[str, Any] = {"activation": "tanh", "initializer": "xavier_uniform", "gain": 1.0}
    if config.activation in UNFIT_WHEN_DEEP and config.depth >= COLLAPSE_MIN_DEPTH:
        yield healthy  # as in the lab: whatever keeps their signal makes all examples alike
    start = FITTING_INITIALIZER.get(config.activation, "lsuv")
    yield {"initializer": start, "gain": 1.0}
    yield {"normalization": "layer"}
    yield {"residual": True}
    yield healthy
    yield {**healthy, "normalization": "none", "residual": False}


@lru_cache(maxsize=64)  # a page asks again when its networks are drawn
def find_cure(network: RandomNetwork) -> Cure | None:
    """Give the smallest change after which theory expects a healthy network; None where none does.

    Its gradient ratio is then between the lab's warnings, and so is the saturation of its layers.
    """
    for change in _changes(network):
        config = _changed(network.config, change)
        if config == network.config:
            continue
        theory = predict_signal(config, bias_std=network.sigma_b)
        if _is_healthy(config, theory):
            own = {name: value for name, value in change.items() if getattr(network.config, name) != value}
            return Cure(replace(network, config=config), own, theory.gradient_ratio)
    return None


def _is_healthy(config: ExperimentConfig, theory: SignalTheory) -> bool:
    low, high = HEALTHY_RATIOS
    last, flat = theory.layers[-1], flattest(config, theory)
    passes = 0 < last.pre_activation_variance < math.inf and last.slope_power > 0
    is_bent = flat is None or flat.saturation <= SATURATING_WARN
    return passes and is_bent and low <= theory.gradient_ratio <= high


def _changed(config: ExperimentConfig, change: dict[str, Any]) -> ExperimentConfig:
    try:
        return config.replace(**change)
    except ValueError:  # batch normalization with a batch of one, or more work than is allowed
        return config
