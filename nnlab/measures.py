"""measures: by which number of a layer the layers of a network are put in order, the worst one first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnlab.numerals import percent, scientific
from nnlab.rules import (
    COLLAPSE_WARN,
    DYING_WARN,
    EXPLODING_WARN,
    SATURATING_WARN,
    UPDATES_LARGE_WARN,
    UPDATES_SMALL_WARN,
    VANISHING_WARN,
    can_saturate,
)
from nnlab.run import Run

Values = Callable[[Run, int], np.ndarray]
BEYOND_ALL = 1e9  # decades: a number that is 0, infinite or NaN is worse than any other


@dataclass(frozen=True)
class Measure:
    """One number of every hidden layer, and how far it is from where it should be.

    `values` gives the numbers at a step, NaN where they were not measured; `badness` gives how bad they
    are, larger is worse; `low` and `high` are the limits that `limits` says in words.
    """

    label: str
    values: Values
    badness: Callable[[np.ndarray], np.ndarray]
    low: float
    high: float
    limits: str
    word: Callable[[float], str]


@dataclass(frozen=True)
class Ranked:
    """A layer among the worst ones: its place in the network, from 0, its number and whether that is bad."""

    place: int
    layer: str
    value: float
    is_beyond: bool


def _signal(run: Run, step: int) -> np.ndarray:
    """Give the error signal of every hidden layer relative to the last hidden one that has any."""
    delta = run.record_at(step).layers["delta_norm"][: run.depth]
    known = delta[np.isfinite(delta) & (delta > 0)]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return delta / known[-1] if len(known) else delta


def _batch(metric: str) -> Values:
    return lambda run, step: run.record_at(step).layers[metric][: run.depth]


def _probe(metric: str) -> Values:
    def values(run: Run, step: int) -> np.ndarray:
        if not run.has_probes:
            return np.full(run.depth, np.nan)
        return run.record_at(step, probe=True).layers[metric][: run.depth]

    return values


def _saturation(run: Run, step: int) -> np.ndarray:
    allowed = np.array([can_saturate(layer) for layer in run.hidden], dtype=bool)
    return np.where(allowed, _batch("saturation")(run, step), np.nan)


def _distance(center: float) -> Callable[[np.ndarray], np.ndarray]:
    """Measure badness in decades from a center."""

    def decades(values: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            far = np.abs(np.log10(values / center))
        return np.where(np.isinf(far), BEYOND_ALL, far)

    return decades


def _itself(values: np.ndarray) -> np.ndarray:
    return values


USUAL_UPDATE = 1e-3  # Karpathy's makemore, part 3
MEASURES: dict[str, Measure] = {
    "signal": Measure(
        "Error signal, relative to the last hidden layer",
        _signal,
        _distance(1.0),
        VANISHING_WARN,
        EXPLODING_WARN,
        "0.05 to 20",
        scientific,
    ),
    "saturation": Measure(
        "Saturated share", _saturation, _itself, 0.0, SATURATING_WARN, "at most 40 %", percent
    ),
    "dead": Measure("Dead share", _probe("dead_fraction"), _itself, 0.0, DYING_WARN, "at most 25 %", percent),
    "cosine": Measure(
        "Likeness of different inputs (mean cosine)",
        _probe("mean_cosine"),
        _itself,
        -1.0,
        COLLAPSE_WARN,
        "at most 0.95",
        scientific,
    ),
    "update": Measure(
        "Update / weights",
        _batch("update_ratio"),
        _distance(USUAL_UPDATE),
        UPDATES_SMALL_WARN,
        UPDATES_LARGE_WARN,
        "0.0001 to 0.01",
        scientific,
    ),
}

# Which measure shows best what a finding is about.
_OF_KIND = {
    "dead_layer": "dead",
    "dying": "dead",
    "stalled": "dead",
    "saturating": "saturation",
    "rank_collapse": "cosine",
    "updates_small": "update",
    "updates_large": "update",
}


def telling(kind: str) -> str:
    """Give the measure that shows best what a kind of finding is about."""
    return _OF_KIND.get(kind, "signal")


def ranked(run: Run, step: int, measure: str) -> list[Ranked]:
    """List the hidden layers at the record nearest to a step, worst first; without those not measured."""
    entry = MEASURES[measure]
    values = np.asarray(entry.values(run, step), dtype=float)
    badness = entry.badness(values)
    order = [int(place) for place in np.argsort(-badness, kind="stable") if not np.isnan(badness[place])]
    return [
        Ranked(
            place,
            run.layers[place].name,
            float(values[place]),
            not entry.low <= values[place] <= entry.high,
        )
        for place in order
    ]


def by_badness(run: Run, step: int, measure: str) -> list[int]:
    """Order all layers of a run, worst first; then those not measured, and the output last of all."""
    worst = [entry.place for entry in ranked(run, step, measure)]
    return worst + [place for place in range(len(run.layers)) if place not in set(worst)]
