"""sweep_summary: a sweep's rows over one or two of its fields, in medians and ranges."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.config import CSV_FIELDS, FIELDS, OPTIMIZER_WORDS, ExperimentConfig
from nnlab.grid import Grid
from nnlab.initializers import INITIALIZERS
from nnlab.metrics import METRICS
from nnlab.numerals import percent, scientific
from nnlab.sweep_row import LAYER_COLUMNS, LEARNED_ACCURACY, NETWORK_COLUMNS, LayerColumn, Row

SEED = "seed"
_LABELS = {
    "activation": {name: entry.label for name, entry in ACTIVATIONS.items()},
    "initializer": {name: entry.label for name, entry in INITIALIZERS.items()},
    "optimizer": OPTIMIZER_WORDS,
}


@dataclass(frozen=True)
class SweptMetric:
    """A number of a run that a sweep can show: its column, what it is called, and what it means.

    `is_share` is from 0 to 1; `is_size` is never negative, so that its powers of ten say something.
    `lost` is the word for no number.
    """

    column: str
    label: str
    definition: str
    is_share: bool = False
    is_size: bool = False
    lost: str = "no finite number"


def _of_network(column: str) -> SweptMetric:
    metric = METRICS[NETWORK_COLUMNS[column]]
    # What is said of the last record's batch is said beside the test split's.
    label = f"Training {metric.label.lower()}" if metric.name in ("loss", "accuracy") else metric.label
    said = f"${metric.formula}$. {metric.meaning} ({metric.source})"
    return SweptMetric(column, label, said, metric.values == "share", metric.values == "size")


def _of_layer(column: LayerColumn) -> SweptMetric:
    metric = column.metric
    end = "worst" if len(metric.worst) == 1 else column.end
    said = f"${metric.formula}$ of {column.words}. {metric.meaning} ({metric.source})"
    label = f"{metric.label}, {end} layer"
    return SweptMetric(column.name, label, said, metric.values == "share", metric.values == "size")


_STEPS_TO_90 = SweptMetric(
    "steps_to_90",
    f"Steps to {LEARNED_ACCURACY:.0%}",
    f"The first probe record with {LEARNED_ACCURACY:.0%} of the test split classified right. "
    "A run that never gets there counts as slower than all others (as nnlab defines it).",
    is_size=True,
    lost="not reached",
)
_EVERY = {
    **{column: _of_network(column) for column in NETWORK_COLUMNS},
    **{name: _of_layer(column) for name, column in LAYER_COLUMNS.items()},
    _STEPS_TO_90.column: _STEPS_TO_90,
}
_WHOLE = ("steps_to_90", "dead_units", "stuck_units", "silent_units")
_SAID = ("test_accuracy", "gradient_ratio", "test_loss")
# What is asked of a sweep first.
_FIRST = ("test_accuracy", "gradient_ratio", "vanishing_index", "dead_fraction", "saturation", "steps_to_90")
SWEPT: dict[str, SweptMetric] = {column: _EVERY[column] for column in dict.fromkeys((*_FIRST, *_EVERY))}


@dataclass(frozen=True, eq=False)
class SweptRuns:
    """Rows of a sweep's finished runs with the fields that its grid varies, and their values in order.

    The seed is always among them, also where there is one only. Equal to itself only: what is said of
    thousands of rows is remembered by the object.
    """

    axes: Mapping[str, tuple[Any, ...]]
    rows: tuple[Row, ...]

    @cached_property
    def ordered(self) -> tuple[Row, ...]:
        """The rows in the order of the grid, however they were finished."""
        order = {name: {v: place for place, v in enumerate(values)} for name, values in self.axes.items()}
        return tuple(sorted(self.rows, key=lambda row: [order[name][row[name]] for name in self.axes]))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields that vary, without the seed."""
        return tuple(name for name in self.axes if name != SEED)


def swept_runs(grid: Grid, rows: Sequence[Row]) -> SweptRuns:
    """Give what has finished of a grid."""
    return SweptRuns({**grid.axes, SEED: grid.axes.get(SEED, (grid.cells[0].seed,))}, tuple(rows))


@dataclass(frozen=True)
class Spot:
    """The runs with one value of each of the shown fields, in one number.

    `state` is value, zero, lost (half of the runs or more have no number) or failed (none could be trained).
    `median`, `low` and `high` are of the runs that have a number.
    """

    values: tuple[Any, ...]
    runs: int
    lost: int
    failed: int
    state: str
    median: float = math.nan
    low: float = math.nan
    high: float = math.nan


def spots(swept: SweptRuns, metric: str, shown: Sequence[str]) -> tuple[Spot, ...]:
    """Give a spot for every combination of the shown fields' values that has a finished run."""
    return _spots(swept, metric, tuple(shown))


# A page asks two or three times for the same, and 2,000 spots take a tenth of a second.
@lru_cache(maxsize=16)
def _spots(swept: SweptRuns, metric: str, shown: tuple[str, ...]) -> tuple[Spot, ...]:
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in swept.rows:
        groups.setdefault(tuple(row[name] for name in shown), []).append(row)
    order = {name: {value: place for place, value in enumerate(swept.axes[name])} for name in shown}
    keys = sorted(groups, key=lambda key: [order[name][v] for name, v in zip(shown, key, strict=True)])
    return tuple(_spot(key, groups[key], metric) for key in keys)


def _spot(values: tuple[Any, ...], rows: Sequence[Row], metric: str) -> Spot:
    failed = sum(row["status"] == "failed" for row in rows)
    numbers = np.array([float(row[metric]) for row in rows])
    known = np.isfinite(numbers)
    lost = int((~known).sum())
    if 2 * lost >= len(rows):
        return Spot(values, len(rows), lost, failed, "failed" if failed == len(rows) else "lost")
    low, high = float(numbers[known].min()), float(numbers[known].max())
    # A run that never learned is slower than the others, not unknown.
    ranked = np.where(known, numbers, np.inf) if metric == "steps_to_90" else numbers[known]
    median = float(np.median(ranked))
    return Spot(values, len(rows), lost, failed, "zero" if median == 0 else "value", median, low, high)


def value_words(field: str, value: Any) -> str:
    """Give a field's value as a picture says it."""
    if field in _LABELS:
        return _LABELS[field][value]
    if FIELDS[field].kind == "number" and value is not None:
        return f"{value:.4g}"
    return FIELDS[field].format(value)


def first_view(axes: Mapping[str, Sequence[Any]]) -> tuple[str, ...]:
    """Give the fields to look over first, from left to right and from top to bottom: numbers go across."""
    fields = [name for name in axes if name != SEED] or [SEED]
    numeric = [name for name in fields if FIELDS[name].kind in ("integer", "number")]
    across = (numeric or fields)[-1]
    return (across, *[name for name in fields if name != across])[:2]


def config_of(row: Row) -> ExperimentConfig:
    """Give the experiment that a row is of."""
    return ExperimentConfig.from_dict({name: row[name] for name in FIELDS})


def run_at(swept: SweptRuns, values: Mapping[str, Any]) -> Row | None:
    """Give the row of one run by the values of all fields that vary; None where it has not finished."""
    return next((row for row in swept.rows if all(row[name] == v for name, v in values.items())), None)


def number_words(metric: SweptMetric, value: float) -> str:
    """Write a number that a sweep shows."""
    if not np.isfinite(value):
        return metric.lost
    if metric.is_share:
        return percent(value)
    # Counted; a median of an even number of runs may lie between two.
    return f"{value:,.6g}" if metric.column in _WHOLE else scientific(value)


def run_words(row: Row, metric: str) -> str:
    """Say what a run came to, in one line, the number that is looked at among it."""
    if row["status"] == "failed":
        return f"Could not be trained: {row['reason']}"
    said = [
        f"test accuracy {percent(row['test_accuracy'])}",
        f"{scientific(row['gradient_ratio'])} of the signal reaches layer 1",
        f"test loss {scientific(row['test_loss'])}",
    ]
    others = dict.fromkeys(("dead_fraction", metric))
    said += [_shown(row, name) for name in others if name not in _SAID]
    return f"{row['status'].capitalize()} at step {row['last_step']}: {'; '.join(said)}"


def _shown(row: Row, column: str) -> str:
    """Write a run's number, and of which layer it is."""
    layers = LAYER_COLUMNS.get(column)
    # Where the most is nothing, no layer is worse than another.
    layer = row[layers.layer_column] if layers and row[column] else ""
    said = f"{SWEPT[column].label.lower()} {number_words(SWEPT[column], row[column])}"
    return f"{said} ({layer})" if layer else said


def lab_query(config: ExperimentConfig) -> dict[str, str]:
    """Give the link parameters with which the lab trains an experiment at once.

    The lab trains again what a link says was trained and it does not have, and names it by twelve letters.
    """
    name = hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode()).hexdigest()
    return {**config.to_query(), "run": name[:12]}


def fixed_words(config: ExperimentConfig, axes: Mapping[str, Sequence[Any]]) -> str:
    """Say what all cells of a sweep have in common."""
    plain = ExperimentConfig()
    named = [
        name
        for name in SWEEPABLE
        if name not in axes and (name in _ALWAYS or getattr(config, name) != getattr(plain, name))
    ]
    return ", ".join(f"{FIELDS[n].label.lower()} {value_words(n, getattr(config, n))}" for n in named)


def sizes_words(axes: Mapping[str, Sequence[Any]]) -> str:
    """Say what is combined: "5 values of activation, 4 of depth, 3 seeds"."""
    seeds = len(axes.get(SEED, (0,)))
    fields = {FIELDS[name].label.lower(): values for name, values in axes.items() if name != SEED}
    parts = [f"{len(values)} of {label}" for label, values in fields.items()]
    if parts:
        parts[0] = parts[0].replace(" of ", " values of ", 1)
    return ", ".join([*parts, f"{seeds} seed{'s' * (seeds != 1)}"])


# What a page lets vary: a file's columns are no question of a sweep, and a record's rhythm changes nothing.
_ALWAYS = ("dataset", "depth", "width", "activation", "initializer", "optimizer", "learning_rate", "steps")
SWEEPABLE = tuple(name for name in FIELDS if name not in (*CSV_FIELDS, SEED, "record_every"))
