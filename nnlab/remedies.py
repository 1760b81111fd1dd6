"""remedies: which fields of an experiment to change against a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from nnlab.config import ExperimentConfig
from nnlab.run import Run

Change = dict[str, Any]

# The initializer whose variance keeps the signal's size through this activation: Glorot & Bengio 2010
# (slope 1 at 0), He et al. 2015 (half of the units off), Klambauer et al. 2017 (SELU). The rest has no
# closed form that holds at depth, so the data set the scale: Mishkin & Matas 2016.
FITTING_INITIALIZER = {
    "identity": "xavier_uniform",
    "tanh": "xavier_uniform",
    "softsign": "xavier_uniform",
    "hardtanh": "xavier_uniform",
    "sine": "xavier_uniform",
    "relu": "kaiming_normal",
    "leaky_relu": "kaiming_normal",
    "selu": "lecun_normal",
}
# No weight scale keeps both directions: the forward and the backward critical point lie a factor of
# 1.8 to 2.6 apart (definitions.md, "Critical points"), or the slope is 0 where networks start.
UNFIT_WHEN_DEEP = frozenset({"sigmoid", "softplus", "step", "cosine"})
# Against dying units: the nearest activation whose slope is nowhere 0.
NEVER_DEAD = {"relu": "leaky_relu", "hardtanh": "tanh"}
LEARNING_RATE_FACTOR = 10.0
# Above this, ten times smaller is still too large: go back to the default at once.
LARGE_LEARNING_RATE = 1.0
HEALTHY_RATIOS = (0.05, 20.0)  # gradient_ratio between the warnings; definitions.md


def _healthy_activation(config: ExperimentConfig) -> Change:
    return {"activation": "tanh", "initializer": "xavier_uniform", "gain": 1.0}


def _fitting_start(config: ExperimentConfig) -> Change:
    initializer = FITTING_INITIALIZER.get(config.activation, "lsuv")
    return {"initializer": initializer, "gain": 1.0}


def _slower(config: ExperimentConfig) -> Change:
    if config.learning_rate > LARGE_LEARNING_RATE:
        return {"learning_rate": ExperimentConfig.learning_rate}
    return {"learning_rate": config.learning_rate / LEARNING_RATE_FACTOR}


def _signal_candidates(config: ExperimentConfig) -> Iterator[Change]:
    """Give changes against a signal that shrinks or grows, the most direct one first."""
    if config.activation in UNFIT_WHEN_DEEP:
        yield _healthy_activation(config)
    yield _fitting_start(config)
    yield {"residual": True}
    yield {"normalization": "layer"}


def _dead_candidates(config: ExperimentConfig, *, killed: bool) -> Iterator[Change]:
    replacement = NEVER_DEAD.get(config.activation, "leaky_relu")
    yield {"activation": replacement, **(_slower(config) if killed else {})}
    yield {"normalization": "batch"}


def _saturation_candidates(config: ExperimentConfig) -> Iterator[Change]:
    yield _fitting_start(config)
    yield {"normalization": "layer"}
    yield _slower(config)


def _rank_candidates(config: ExperimentConfig) -> Iterator[Change]:
    if config.activation in UNFIT_WHEN_DEEP:
        yield _healthy_activation(config)
    yield {"normalization": "batch"}
    yield {"residual": True}


def _divergence_candidates(config: ExperimentConfig) -> Iterator[Change]:
    too_fast = config.learning_rate > LARGE_LEARNING_RATE
    if config.gain > 1:
        yield _fitting_start(config) | (_slower(config) if too_fast else {})
    yield _slower(config)


def _candidates(kind: str, run: Run, number: int, config: ExperimentConfig) -> Iterator[Change]:
    if kind in ("vanishing", "exploding", "blocked", "updates_small") and _flows_at_start(run):
        # The network started well, so it is the steps that spoil or starve it.
        larger = {"learning_rate": config.learning_rate * LEARNING_RATE_FACTOR}
        yield larger if kind == "updates_small" else _slower(config)
    if kind in ("vanishing", "exploding", "blocked", "updates_small"):
        yield from _signal_candidates(config)
    elif kind in ("dying", "dead_layer", "stalled"):
        yield from _dead_candidates(config, killed=_killed_by_training(run, number))
    elif kind == "saturating":
        yield from _saturation_candidates(config)
    elif kind == "rank_collapse":
        yield from _rank_candidates(config)
    elif kind == "diverged":
        yield from _divergence_candidates(config)
    elif kind == "updates_large":
        yield _slower(config)


def _flows_at_start(run: Run) -> bool:
    """Whether the error signal passed through the whole network before the first update."""
    low, high = HEALTHY_RATIOS
    return low <= run.records[0].network["gradient_ratio"] <= high


def _killed_by_training(run: Run, number: int) -> bool:
    counts = [r.layers["dead_units"].sum() for r in run.records[: number + 1] if r.is_probe]
    return bool(counts[-1] > 2 * counts[0]) if counts else True


def propose(kind: str, run: Run, number: int) -> Change | None:
    """Give the fields to change against a finding at record `number`, None where none is known."""
    if run.config is None:
        return None
    for candidate in _candidates(kind, run, number, run.config):
        change = {n: v for n, v in candidate.items() if getattr(run.config, n) != v}
        if change:
            return change
    return None


_DESCRIPTIONS: dict[str, Callable[[Any], str]] = {
    "residual": lambda value: "residual connections" if value else "no residual connections",
    "normalization": lambda value: f"{value} normalization",
    "learning_rate": lambda value: f"learning rate {value:g}",
    "gain": lambda value: f"gain {value:g}",
}


def describe(change: Change) -> str:
    """Say a change in words: "tanh + xavier_uniform"."""
    return " + ".join(_DESCRIPTIONS.get(name, str)(value) for name, value in change.items())
