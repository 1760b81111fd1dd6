"""sweep_row: what a sweep keeps of a run, as one row of plain values, and the table of such rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.metrics import METRICS, End, Metric
from nnlab.run import Run

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]

# "Steps to 90 %" of the test split, to the nearest probe record: a batch's accuracy would cross it by chance.
LEARNED_ACCURACY = 0.9
# The field `loss` (which function) has that name in the table already.
_COLUMN_OF = {"loss": "train_loss"}
NETWORK_COLUMNS = {
    _COLUMN_OF.get(name, name): name for name, metric in METRICS.items() if metric.scope == "network"
}
# A step that is not known to be the last one is not watched where only the end is recorded.
_WATCHED = "update_ratio"


@dataclass(frozen=True)
class LayerColumn:
    """A column in which one layer speaks for its network: the one with the smallest or largest number."""

    name: str
    metric: Metric
    end: End

    @property
    def layer_column(self) -> str:
        """The column that says which layer it is."""
        return f"{self.name}_layer"

    @property
    def words(self) -> str:
        """Say which layer it is of, and of which runs it is known."""
        known = "; of runs trained to their last step only" * (self.metric.name == _WATCHED)
        return f"the {'hidden ' * self.metric.hidden_only}layer with the {self.end} one{known}"


def _layer_columns(metric: Metric) -> Iterator[LayerColumn]:
    for end in metric.worst:
        yield LayerColumn(metric.name if len(metric.worst) == 1 else f"{metric.name}_{end}", metric, end)


# What only some kinds of networks have, no network of a sweep has.
_LAYER_METRICS = [metric for metric in METRICS.values() if metric.scope == "layer" and not metric.optional]
LAYER_COLUMNS = {column.name: column for metric in _LAYER_METRICS for column in _layer_columns(metric)}
# What a heat map can show.
RESULT_COLUMNS = (*NETWORK_COLUMNS, *LAYER_COLUMNS, "steps_to_90")
_OF_LAYERS = {
    name: text for column in LAYER_COLUMNS.values() for name, text in (
        (column.name, f"{column.metric.meaning} Of {column.words}."),
        (column.layer_column, f"The layer that {column.name} is of."),
    )
}  # fmt: skip
_LAYER_NAMES = tuple(column.layer_column for column in LAYER_COLUMNS.values())
TEXT_COLUMNS = ("status", "reason", *_LAYER_NAMES)
COLUMNS = (*FIELDS, "status", "reason", "last_step", *RESULT_COLUMNS, *_LAYER_NAMES)
MEANINGS = {
    **{name: field.help for name, field in FIELDS.items()},
    "status": "How the run ended.",
    "reason": "Where the first number was not finite, or why there is no run.",
    "last_step": "The step that the numbers are of.",
    **{column: METRICS[metric].meaning for column, metric in NETWORK_COLUMNS.items()},
    **_OF_LAYERS,
    "steps_to_90": "The first probe record with 90 % of the test split classified right; nan if none has.",
}


def sweep_row(run: Run) -> dict[str, Any]:
    """Give a run's row: every field of its experiment, how it ended, and what it came to.

    A diagnostic that the last record did not take is that of the last record that did.
    """
    assert run.config is not None
    row = _empty_row(run.config, run.status)
    row["reason"] = next((note for note in run.notes if "non-finite" in note), "")
    if run.records:
        row["last_step"] = run.records[-1].step
    for column, metric in NETWORK_COLUMNS.items():
        taken = [r.network[metric] for r in run.records if metric in r.network]
        row[column] = float(taken[-1]) if taken else math.nan
    for layers in LAYER_COLUMNS.values():
        row[layers.name], row[layers.layer_column] = _at_end(run, layers)
    reached = [r.step for r in run.records if r.network.get("test_accuracy", math.nan) >= LEARNED_ACCURACY]
    row["steps_to_90"] = float(reached[0]) if reached else math.nan
    return row


def failed_row(config: ExperimentConfig, reason: str) -> dict[str, Any]:
    """Give the row of a cell that could not be trained, with the reason in one line."""
    return {**_empty_row(config, "failed"), "reason": " ".join(reason.split())}


def _empty_row(config: ExperimentConfig, status: str) -> dict[str, Any]:
    row: dict[str, Any] = {**config.to_dict(), "status": status, "reason": "", "last_step": None}
    row |= dict.fromkeys(RESULT_COLUMNS, math.nan)
    return row | dict.fromkeys(_LAYER_NAMES, "")


def _at_end(run: Run, column: LayerColumn) -> tuple[float, str]:
    """Give the number of the layer at a column's end, and that layer; NaN where no layer has one."""
    name = column.metric.name
    numbers = next((record.layers[name] for record in run.records[::-1] if name in record.layers), None)
    is_unwatched = name == _WATCHED and run.status != "completed"
    if numbers is None or is_unwatched or np.isnan(numbers).all():
        return math.nan, ""
    place = int(np.nanargmax(numbers) if column.end == "largest" else np.nanargmin(numbers))
    return float(numbers[place]), run.layers[place].name


def to_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Give rows as a table: None of clip_norm is NaN there, that of whole numbers is missing."""
    import pandas as pd

    shown = [{**row, "features": FIELDS["features"].format(tuple(row["features"]))} for row in rows]
    return pd.DataFrame(shown, columns=list(COLUMNS)).astype({name: _type(name) for name in COLUMNS})


def _type(column: str) -> str:
    if column in TEXT_COLUMNS:
        return "str"
    if column in RESULT_COLUMNS:
        return "float64"
    if column in ("last_step", "record_every"):
        return "Int64"
    kinds = {"integer": "int64", "number": "float64", "switch": "bool"}
    return kinds.get(FIELDS[column].kind, "str")
