"""remedies: which fields of an experiment to change against a finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

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
# The fields that remedies change.
REMEDIED = ("activation", "initializer", "gain", "normalization", "residual", "learning_rate")
LEARNING_RATE_FACTOR = 10.0
# Above this, ten times smaller is still too large: go back to the default at once.
LARGE_LEARNING_RATE = 1.0
# These step about as far as the learning rate says, whatever the gradient: 0.1 is as large as weights are.
ADAPTIVE = frozenset({"adam", "adamw", "rmsprop"})
LARGE_ADAPTIVE_RATE, USUAL_ADAPTIVE_RATE = 0.1, 0.001  # the usual one: Kingma & Ba 2015, algorithm 1
HEALTHY_RATIOS = (0.05, 20.0)  # gradient_ratio between the warnings; definitions.md
USUAL_UPDATES = 1e-3  # update_ratio; Karpathy's makemore, part 3
HEALTHY_SATURATION, HEALTHY_COSINE = 0.40, 0.95  # the warnings; definitions.md


def _healthy_activation(config: ExperimentConfig) -> Change:
    return {"activation": "tanh", "initializer": "xavier_uniform", "gain": 1.0}


def _fitting_start(config: ExperimentConfig) -> Change:
    initializer = FITTING_INITIALIZER.get(config.activation, "lsuv")
    return {"initializer": initializer, "gain": 1.0}


def _slower(config: ExperimentConfig) -> Change:
    return _usual_rate(config) or _paced(config, 1 / LEARNING_RATE_FACTOR)


def _usual_rate(config: ExperimentConfig) -> Change:
    """Give the usual learning rate where the present one spoils any network, {} elsewhere."""
    if config.optimizer in ADAPTIVE and config.learning_rate >= LARGE_ADAPTIVE_RATE:
        return {"learning_rate": USUAL_ADAPTIVE_RATE}
    if config.learning_rate > LARGE_LEARNING_RATE:
        return {"learning_rate": ExperimentConfig.learning_rate}
    return {}


def _paced(config: ExperimentConfig, factor: float) -> Change:
    return {"learning_rate": float(f"{config.learning_rate * factor:.12g}")}


def _rate(change: Change) -> float:
    return float(change["learning_rate"])


def _at_usual_pace(run: Run, number: int, config: ExperimentConfig) -> Change:
    """Scale the learning rate by the power of ten, at least one, that brings the updates to their usual size.

    An update is about proportional to the learning rate.
    """
    values = run.hidden_updates[: number + 1]
    median = float(np.nanmedian(values)) if np.isfinite(values).any() else 0.0
    if not 0 < median < math.inf:
        return _paced(config, LEARNING_RATE_FACTOR)
    powers = round(math.log10(USUAL_UPDATES / median))
    powers = max(1, powers) if median < USUAL_UPDATES else min(-1, powers)
    if powers < 0:
        return min(_slower(config), _paced(config, LEARNING_RATE_FACTOR**powers), key=_rate)
    return _paced(config, LEARNING_RATE_FACTOR**powers)


def _signal_candidates(config: ExperimentConfig) -> Iterator[Change]:
    """Give changes against a signal that shrinks or grows, the most direct one first."""
    if config.activation in UNFIT_WHEN_DEEP:
        yield _healthy_activation(config)
    if config.residual:
        # Every block adds to what came in, whatever the weights (Yang & Schoenholz 2017).
        yield {"normalization": "layer"}
    yield _fitting_start(config)
    yield {"residual": True}
    yield {"normalization": "layer"}


def _dead_candidates(config: ExperimentConfig, *, killed: bool) -> Iterator[Change]:
    replacement = NEVER_DEAD.get(config.activation, "leaky_relu")
    yield {"activation": replacement, **(_slower(config) if killed else {})}
    yield {"normalization": "batch"}


def _saturation_candidates(config: ExperimentConfig, *, spoiled: bool) -> Iterator[Change]:
    if spoiled:
        yield _slower(config)
    if config.residual:
        # What every block adds piles up, whatever the weights: another start alone saturates more.
        yield {"normalization": "layer"}
    yield _fitting_start(config)
    yield {"normalization": "layer"}
    yield _slower(config)


def _rank_candidates(config: ExperimentConfig, *, spoiled: bool) -> Iterator[Change]:
    if spoiled:
        yield _slower(config)
    if config.activation in UNFIT_WHEN_DEEP:
        yield _healthy_activation(config)
    yield {"normalization": "batch"}
    yield {"residual": True}


def _divergence_candidates(config: ExperimentConfig, *, spoiled: bool) -> Iterator[Change]:
    if config.gain > 1:
        yield _fitting_start(config)
    if not spoiled and config.residual:
        yield {"normalization": "layer"}
    yield _slower(config)


def _candidates(kind: str, run: Run, number: int, config: ExperimentConfig) -> Iterator[Change]:
    if kind in ("vanishing", "exploding", "blocked", "updates_small") and _flows_at_start(run):
        # The network started well, so it is the steps that spoil or starve it.
        yield _at_usual_pace(run, number, config) if kind == "updates_small" else _slower(config)
    if kind in ("vanishing", "exploding", "blocked", "updates_small"):
        yield from _signal_candidates(config)
    elif kind == "stalled" and not _has_dead_units(run, number):
        yield from _signal_candidates(config)  # equal weights, of 0 above all, pass nothing back
    elif kind in ("dying", "dead_layer", "stalled"):
        yield from _dead_candidates(config, killed=_killed_by_training(run, number))
    elif kind == "saturating":
        spoiled = _starts_below(run, "saturation", HEALTHY_SATURATION)
        yield from _saturation_candidates(config, spoiled=spoiled)
    elif kind == "rank_collapse":
        yield from _rank_candidates(config, spoiled=_starts_below(run, "mean_cosine", HEALTHY_COSINE))
    elif kind == "diverged":
        yield from _divergence_candidates(config, spoiled=_flows_at_start(run))
    elif kind == "updates_large":
        yield _at_usual_pace(run, number, config)


def _starts_below(run: Run, metric: str, limit: float) -> bool:
    """Whether a metric was in order in all hidden layers before the first update: then steps spoiled it."""
    start = run.records[0].layers.get(metric)
    return start is not None and bool((start[: run.depth] <= limit).all())


def _flows_at_start(run: Run) -> bool:
    """Whether the error signal passed through the whole network before the first update."""
    low, high = HEALTHY_RATIOS
    return low <= run.records[0].network["gradient_ratio"] <= high


def _killed_by_training(run: Run, number: int) -> bool:
    counts = [r.layers["dead_units"].sum() for r in run.records[: number + 1] if r.is_probe]
    return bool(counts[-1] > 2 * counts[0]) if counts else True


def _has_dead_units(run: Run, number: int) -> bool:
    counts = [r.layers["dead_units"].sum() for r in run.records[: number + 1] if r.is_probe]
    return bool(counts and counts[-1] > 0)


def propose(kind: str, run: Run, number: int) -> Change | None:
    """Give the fields to change against a finding at record `number`, None where none is known."""
    if run.config is None:
        return None
    for candidate in _candidates(kind, run, number, run.config):
        change = {n: v for n, v in candidate.items() if getattr(run.config, n) != v}
        if change:
            return _usual_rate(run.config) | change
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
