"""overlay: several configurations, each with its seeds, as frames on the same axes.

Layers stand at their number where all networks are equally deep, else at their relative depth: the error
signal comes from the output, so the last hidden layers of a shallow and a deep network belong together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.layer_names import shortened
from nnlab.metrics import METRICS
from nnlab.run import BROKEN_OFF, Run

FEWEST, MOST = 2, 6  # configurations; there are six colors that everybody can tell apart
MOST_SEEDS = 10
# Fields in which runs may differ without being another configuration.
UNSAID = frozenset({"seed", "record_every", "csv_path"})
# Fields whose value says by itself what it is a value of.
_PLAIN = frozenset({"dataset", "activation", "initializer", "optimizer", "loss"})
_MAIN = (
    "dataset", "depth", "width", "activation", "initializer", "optimizer", "learning_rate", "batch_size",
    "steps",
)  # fmt: skip
LAYER_COLUMNS = ["group", "layer", "number", "place", "step", "seeds", "lost", "median", "low", "high"]
STEP_COLUMNS = ["group", "step", "seeds", "lost", "median", "low", "high"]


@dataclass(frozen=True)
class Group:
    """One configuration: its runs, which differ in the seed only. `file` is the run file they come from."""

    runs: tuple[Run, ...]
    file: str = ""

    @property
    def config(self) -> ExperimentConfig | None:
        """The experiment of the first seed."""
        return self.runs[0].config

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return self.runs[0].depth


def said(name: str, config: ExperimentConfig) -> str:
    """Say the value of a field: "tanh", "depth 5", "batch normalization", "no residual"."""
    value = getattr(config, name)
    if name in _PLAIN:
        return str(value)
    if name == "residual":
        return "residual" if value else "no residual"
    if name == "normalization":
        return "no normalization" if value == "none" else f"{value} normalization"
    field = FIELDS[name]
    text = f"{value:g}" if field.kind == "number" and value is not None else field.format(value)
    # Columns of a file may be called anything, at any length.
    return f"{field.label.lower()} {shortened(' '.join(text.split()))}"


def differing(configs: Sequence[ExperimentConfig | None]) -> tuple[str, ...]:
    """Give the fields, in their usual order, in which some configurations differ; never the seed."""
    known = [config for config in configs if config is not None]
    found = {name for config in known for name in config.differences(known[0])} - UNSAID
    return tuple(name for name in FIELDS if name in found)


def config_labels(configs: Sequence[ExperimentConfig | None], files: Sequence[str]) -> tuple[str, ...]:
    """Label configurations by what differs between them, and what was read from a file by its name too."""
    names = differing(configs)
    found = []
    for config, file in zip(configs, files, strict=True):
        words = "" if config is None else ", ".join(said(name, config) for name in names)
        file = shortened(" ".join(file.split()))
        found.append(f"{words} ({file})" if words and file else words or file or "the same")
    times, counts = Counter(found), Counter[str]()
    for number, label in enumerate(found):
        if times[label] > 1:
            counts[label] += 1
            found[number] = f"{label}, {counts[label]}"
    return tuple(found)


def labels(groups: Sequence[Group]) -> tuple[str, ...]:
    """Label groups by what differs between them, each label once."""
    return config_labels([group.config for group in groups], [group.file for group in groups])


def seedless(config: ExperimentConfig) -> str:
    """Say an experiment in one line without its seed."""
    return config.words.removesuffix(f" · seed {config.seed}")


def common(configs: Sequence[ExperimentConfig]) -> str:
    """Say in one line what the main fields of all configurations have in common, "" where nothing."""
    shared = [name for name in _MAIN if name not in differing(configs)]
    return " · ".join(said(name, configs[0]) for name in shared)


def same_but_seed(one: ExperimentConfig, other: ExperimentConfig) -> bool:
    """Whether two experiments are one configuration."""
    return not set(one.differences(other)) - UNSAID


def by_configuration(runs: Sequence[Run]) -> tuple[Group, ...]:
    """Gather neighbors of one configuration; runs without a record yet are left out."""
    found: list[list[Run]] = []
    for run in runs:
        if not run.records or run.config is None:
            continue
        last = found[-1][0].config if found else None
        if last is not None and same_but_seed(last, run.config):
            found[-1].append(run)
        else:
            found.append([run])
    return tuple(Group(tuple(runs)) for runs in found)


def shared_steps(groups: Sequence[Group]) -> list[int]:
    """Give the steps to choose from: those of the run that went furthest."""
    runs = [run for group in groups for run in group.runs]
    longest = max(runs, key=lambda run: (int(run.steps[-1]), len(run.records)))
    return [int(step) for step in longest.steps]


def are_equally_deep(groups: Sequence[Group]) -> bool:
    """Whether layers can stand at their numbers."""
    return len({group.depth for group in groups}) == 1


def band(values: np.ndarray) -> dict[str, np.ndarray]:
    """Give median and range over the seeds, values (seeds, places), of the finite numbers.

    `lost` counts those that are not finite; where all are, median and range are NaN.
    """
    finite = np.isfinite(values)
    lost = (~finite).sum(axis=0)
    is_known = lost < len(values)
    # Where nothing is known, any number keeps NumPy from warning; it is taken out again below.
    known = np.where(finite, values, np.where(is_known, np.nan, 0.0))
    ranges = {
        "median": np.nanmedian(known, axis=0),
        "low": np.nanmin(known, axis=0),
        "high": np.nanmax(known, axis=0),
    }
    found = {name: np.where(is_known, numbers, np.nan) for name, numbers in ranges.items()}
    return {"seeds": np.full(values.shape[1], len(values)), "lost": lost, **found}


def _nearest(run: Run, metric: str, step: int) -> tuple[int, np.ndarray] | None:
    """Give a layer's metric (hidden layers,) at the nearest step at which it was taken; None where never."""
    taken = [record for record in run.records if metric in record.layers]
    if not taken:
        return None
    record = min(taken, key=lambda record: abs(record.step - step))
    return record.step, np.asarray(record.layers[metric][: run.depth], dtype=float)


def layer_bands(groups: Sequence[Group], metric: str, step: int) -> pd.DataFrame:
    """Give a metric of every hidden layer at a step, one row a group and layer: LAYER_COLUMNS.

    `step` is the nearest one at which the group's last seed to get that far took the metric.
    """
    even = are_equally_deep(groups)
    parts = []
    for number, group in enumerate(groups):
        found = [taken for run in group.runs if (taken := _nearest(run, metric, step)) is not None]
        if not found:
            continue
        layers = group.runs[0].hidden
        numbers = np.arange(1, len(layers) + 1)
        columns = {
            "group": number,
            "layer": [layer.name for layer in layers],
            "number": numbers,
            "place": numbers.astype(float) if even else numbers / len(layers),
            "step": max(step for step, _ in found),
            **band(np.stack([values for _, values in found])),
        }
        parts.append(pd.DataFrame(columns)[LAYER_COLUMNS])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=LAYER_COLUMNS)


def step_bands(groups: Sequence[Group], metric: str) -> pd.DataFrame:
    """Give a metric of the network over the steps, one row a group and step: STEP_COLUMNS.

    At every step the band is of the seeds that had not ended; steps that some of these skipped are left out.
    """
    parts = [_group_steps(group, metric).assign(group=number) for number, group in enumerate(groups)]
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True)[STEP_COLUMNS] if parts else pd.DataFrame(columns=STEP_COLUMNS)


def _group_steps(group: Group, metric: str) -> pd.DataFrame:
    series = [dict(zip(*(axis.tolist() for axis in run.series(metric)), strict=True)) for run in group.runs]
    ends = [int(run.steps[-1]) for run in group.runs]
    rows = []
    for step in sorted(set().union(*series)):
        going = [values for values, end in zip(series, ends, strict=True) if end >= step]
        if all(step in values for values in going):
            found = band(np.array([[values[step]] for values in going]))
            rows.append({"step": step} | {name: column[0] for name, column in found.items()})
    return pd.DataFrame(rows, columns=STEP_COLUMNS[1:])


def endings(groups: Sequence[Group]) -> tuple[str, ...]:
    """Say of every group, "" for most, how and where its seeds broke off."""
    said = []
    for group in groups:
        kinds = Counter(BROKEN_OFF[run.status] for run in group.runs if run.status in BROKEN_OFF)
        where = {
            kind: sorted({int(run.steps[-1]) for run in group.runs if BROKEN_OFF.get(run.status) == kind})
            for kind in kinds
        }
        said.append("; ".join(_ending(kind, kinds[kind], len(group.runs), where[kind]) for kind in kinds))
    return tuple(said)


def _ending(kind: str, count: int, seeds: int, steps: Sequence[int]) -> str:
    span = f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"
    which = "" if seeds == 1 else f"{count} of {seeds} seeds "
    return f"{which}{kind} at {span}"


def is_layered(metric: str) -> bool:
    """Whether a metric is of a layer, not of the network."""
    return METRICS[metric].scope == "layer"
