"""Run: the records of one experiment in memory, and the tidy frames everything else is made from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnlab.config import ExperimentConfig
from nnlab.metrics import METRICS

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from nnlab.diagnosis import Finding

STATUSES = (
    "running",
    "completed",
    "stopped",
    "timed_out",
    "diverged",
    "stalled",
    "failed",
    "interrupted",
)

# How a run that did not come to its planned end is said to have ended.
BROKEN_OFF = {
    "stopped": "stopped",
    "timed_out": "out of time",
    "diverged": "diverged",
    "stalled": "stalled",
    "failed": "failed",
    "interrupted": "interrupted",
}


_serials = count()


def spoken(layer: str) -> str:
    """Say a layer's name: "hidden_3" is layer 3, a module's own name stays."""
    prefix, _, number = layer.partition("_")
    return f"layer {number}" if prefix == "hidden" and number.isdigit() else layer


def is_numbered(layer: str) -> bool:
    """Whether a layer's name is one of nnlab's own numbers, not that of somebody's module."""
    return spoken(layer) != layer


@dataclass(frozen=True)
class LayerInfo:
    """What is known of a layer without looking at its numbers.

    `activation` is a registry name, or the class name of an activation nnlab does not know.
    `weight_shape` is (fan_out, fan_in, ...). `notes` says what could not be measured, and why.
    """

    name: str
    index: int
    activation: str
    weight_shape: tuple[int, ...]
    trainable: bool = True
    slope_sup: float = 1.0
    notes: tuple[str, ...] = ()


class LayerNumbers(Mapping[str, np.ndarray]):
    """One record's numbers by metric, one number a layer, in one array: a third of a dict's memory.

    `columns` maps a metric to its row of `numbers` (metrics, layers) and to how many layers it is of.
    """

    __slots__ = ("_columns", "_numbers")

    def __init__(self, columns: Mapping[str, tuple[int, int]], numbers: np.ndarray) -> None:
        self._columns, self._numbers = columns, numbers

    @classmethod
    def of(cls, values: Mapping[str, np.ndarray]) -> LayerNumbers:
        """Gather arrays, one a metric."""
        columns = _columns(tuple((name, len(array)) for name, array in values.items()))
        numbers = np.full((len(columns), max(map(len, values.values()), default=0)), np.nan)
        for row, array in zip(numbers, values.values(), strict=True):
            row[: len(array)] = array
        return cls(columns, numbers)

    def __getitem__(self, metric: str) -> np.ndarray:
        row, layers = self._columns[metric]
        return np.asarray(self._numbers[row, :layers])

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


@lru_cache(maxsize=64)
def _columns(lengths: tuple[tuple[str, int], ...]) -> Mapping[str, tuple[int, int]]:
    """Give what records of the same metrics share."""
    return {name: (row, layers) for row, (name, layers) in enumerate(lengths)}


@dataclass(frozen=True)
class StepRecord:
    """The network after `step` updates.

    `layers` maps a metric to one number a layer: all layers, or all but the output for those that mean
    nothing there. `network` maps a metric to its number. `histograms` maps a quantity to one array of
    counts a layer, None where it was not measured. What was not taken at this record is absent. `extras`
    holds what a newer nnlab wrote into the file and this one does not know.
    """

    step: int
    layers: Mapping[str, np.ndarray]
    network: Mapping[str, float]
    histograms: Mapping[str, Sequence[np.ndarray | None]] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_probe(self) -> bool:
        """Whether the costly diagnostics were taken here too."""
        return bool(self.histograms)


def is_probe_record(number: int, *, last: bool) -> bool:
    """Tell whether record `number` (from 0) takes the costly diagnostics too (design.md, section 3)."""
    if number < 8 or last:
        return True
    return bool(number % 2 ** (number.bit_length() - 1 - 3) == 0)


@dataclass(frozen=True)
class Run:
    """One experiment with all its records, wherever they came from.

    `config` is None for a model that nnlab did not build. `notes` says in words what a reader of the
    numbers must know (an effective batch size, dropped rows, a torn line).
    """

    config: ExperimentConfig | None
    status: str
    layers: tuple[LayerInfo, ...]
    records: tuple[StepRecord, ...]
    environment: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    model: nn.Module | None = None
    extras: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def serial(self) -> int:
        """Which object this is: no other run of the process has this number, nor will have it."""
        return next(_serials)

    @property
    def hidden(self) -> tuple[LayerInfo, ...]:
        """All layers but the output."""
        return self.layers[:-1]

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return len(self.layers) - 1

    @property
    def title(self) -> str:
        """The experiment in one line."""
        if self.config is not None:
            return self.config.words
        return f"{self.environment.get('model', 'your model')} · {len(self.layers)} layers"

    @property
    def ending(self) -> str:
        """How the run broke off, and where; "" for one that did not."""
        if self.status not in BROKEN_OFF:
            return ""
        where = f" at step {self.records[-1].step}" if self.records else " before its first record"
        return BROKEN_OFF[self.status] + where

    @property
    def caption(self) -> str:
        """The experiment in one line, and how it broke off: what stands below a picture of it."""
        return f"{self.title} · {self.ending}" if self.ending else self.title

    @property
    def label(self) -> str:
        """The experiment in one word, for file names."""
        if self.config is None:
            return str(self.environment.get("model", "model"))
        c = self.config
        return f"{c.dataset}-{c.depth}x{c.width}-{c.activation}-seed{c.seed}"

    @cached_property
    def steps(self) -> np.ndarray:
        """The recorded steps, shape (records,)."""
        return np.array([record.step for record in self.records], dtype=int)

    @cached_property
    def hidden_updates(self) -> np.ndarray:
        """update_ratio of the hidden layers, shape (records, hidden layers)."""
        return np.array([record.layers["update_ratio"][:-1] for record in self.records], dtype=float)

    def series(self, metric: str) -> tuple[np.ndarray, np.ndarray]:
        """Give the steps at which a metric was taken and its values there.

        Values have shape (records, layers) for a layer's metric and (records,) for the network's.
        """
        layered = METRICS[metric].scope == "layer"
        taken = [r for r in self.records if metric in (r.layers if layered else r.network)]
        steps = np.array([record.step for record in taken], dtype=int)
        rows = [record.layers[metric] if layered else record.network[metric] for record in taken]
        return steps, np.array(rows, dtype=float)

    @property
    def has_probes(self) -> bool:
        """Whether the costly diagnostics were taken at any record."""
        return any(record.is_probe for record in self.records)

    @property
    def predicts_numbers(self) -> bool:
        """Whether numbers are predicted instead of classes: there are losses, and never an accuracy."""
        scores = [(r.network.get("test_loss"), r.network.get("accuracy")) for r in self.records]
        has_loss = any(loss is not None and math.isfinite(loss) for loss, _ in scores)
        return has_loss and all(share is None or math.isnan(share) for _, share in scores)

    def record_at(self, step: int, *, probe: bool = False) -> StepRecord:
        """Give the record nearest to a step; with `probe`, the nearest one with histograms."""
        candidates = [r for r in self.records if r.is_probe] if probe else self.records
        if not candidates:
            raise ValueError(f"step: {step}: the run has no records of this kind")
        return min(candidates, key=lambda record: abs(record.step - step))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """The tidy frame of metrics: step, layer, layer_index, metric, value."""
        # pandas takes a third of a second to load, which a page's first words need not wait for.
        from nnlab.frames import metric_frame

        return metric_frame(self)

    @cached_property
    def histograms(self) -> pd.DataFrame:
        """The tidy frame of histograms: step, layer, layer_index, quantity, edges, count."""
        from nnlab.frames import histogram_frame

        return histogram_frame(self)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with this network, worst first; () for a healthy one."""
        # The one edge against the stream of imports: diagnosis reads runs, and runs offer its verdict.
        from nnlab.diagnosis import find

        return find(self)

    def until(self, step: int) -> Run:
        """Give the run as it was at a step, still running."""
        records = tuple(record for record in self.records if record.step <= step)
        return replace(self, records=records, status="running")

    def save(self, path: str | Path) -> None:
        """Write the run file; raises OSError where the folder is missing or full."""
        from nnlab.runfile import save_run

        save_run(self, path)
