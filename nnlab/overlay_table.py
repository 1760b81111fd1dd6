"""overlay_table: configurations side by side in numbers: what differs, how they ended, what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from nnlab.config import FIELDS
from nnlab.numerals import percent, scientific
from nnlab.overlay import FEWEST, Group, differing, endings, labels
from nnlab.run import Run

HEALTHY = "healthy"
# What is read of the last record at which it was taken: by the words for it, the metric, and how to write it.
NETWORK_ROWS: dict[str, tuple[str, Callable[[float], str]]] = {
    "Loss": ("loss", scientific),
    "Test loss": ("test_loss", scientific),
    "Test accuracy": ("test_accuracy", percent),
    "Signal at layer 1": ("gradient_ratio", scientific),
    "Vanishing index": ("vanishing_index", scientific),
}
WORST_ROWS: dict[str, tuple[str, Callable[[float], str]]] = {
    "Saturated (worst)": ("saturation", percent),
    "Dead units (worst)": ("dead_fraction", percent),
    "Mean cosine (worst)": ("mean_cosine", scientific),
}


def _last(run: Run, metric: str) -> float:
    values = run.series(metric)[1]
    return float(values[-1]) if len(values) else float("nan")


def _worst(run: Run, metric: str) -> float:
    values = run.series(metric)[1]
    known = values[-1][: run.depth] if len(values) else np.empty(0)
    known = known[~np.isnan(known)]
    return float(known.max()) if len(known) else float("nan")


def spoken_range(values: Sequence[float], write: Callable[[float], str]) -> str:
    """Write the median of some seeds' numbers with their range: "0.30 (0.27 to 0.34)"."""
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return write(values[0]) if len(set(map(write, values))) == 1 else "not finite"
    lost = f", {len(values) - len(known)} not finite" if len(known) < len(values) else ""
    middle, low, high = (write(float(pick(known))) for pick in (np.median, np.min, np.max))
    return middle + (f" ({low} to {high})" if low != high else "") + lost


def verdict_words(group: Group) -> str:
    """Say the worst finding of most seeds, and of how many: "vanishing, severe (3 of 3 seeds)"."""
    kinds = [
        f"{run.findings[0].title}, {run.findings[0].severity}" if run.findings else HEALTHY
        for run in group.runs
    ]
    common = Counter(kinds).most_common()
    if len(kinds) == 1:
        return common[0][0]
    return "; ".join(f"{kind} ({count} of {len(kinds)} seeds)" for kind, count in common)


def headline(groups: Sequence[Group]) -> str:
    """Say which configuration came out best, how sure that is, and what of the error signal reaches layer 1.

    Best is the highest median test accuracy, or the lowest test loss where fewer than two have an accuracy.
    Configurations without the number are left out; "" where fewer than two have either.
    """
    names = [f'"{name}"' if "," in name else name for name in labels(groups)]
    rankings = (("Highest test accuracy", "test_accuracy", percent, -1.0),
                ("Lowest test loss", "test_loss", scientific, 1.0))  # fmt: skip
    for words, metric, write, sign in rankings:
        scores = [[sign * _last(run, metric) for run in group.runs] for group in groups]
        known = [number for number, values in enumerate(scores) if np.isfinite(values).all()]
        if len(known) < FEWEST:
            continue
        order = sorted(known, key=lambda number: float(np.median(scores[number])))
        best, second = order[:2]
        said = {n: spoken_range([sign * value for value in scores[n]], write) for n in (best, second)}
        text = f"{words}: {names[best]}, {said[best]}. "
        text += f"{_against(scores[best], scores[second], names[second])}: {said[second]}."
        signals = [f"{names[n]} {_signal(groups[n])}" for n in (best, order[-1])]
        return f"{text} Of the error signal at the last hidden layer, the first gets: {'; '.join(signals)}."
    return ""


def _signal(group: Group) -> str:
    return spoken_range([_last(run, "gradient_ratio") for run in group.runs], scientific)


def _against(best: Sequence[float], other: Sequence[float], name: str) -> str:
    """Say whether seeds could turn the order of two configurations around; a lower score is better."""
    if len(best) == 1:
        return f"With one seed each, this may be chance. Next is {name}"
    if max(best) < min(other):
        return f"Every seed of it beats every seed of the next, {name}"
    return f"Its seeds overlap with the next, {name}, so more seeds could turn the order around"


def difference_table(groups: Sequence[Group], *, with_verdicts: bool = True) -> pd.DataFrame:
    """Give one row a field that differs or a number of the last record, one column a configuration.

    The first column is `what`; the others are named by `nnlab.overlay.labels`.
    """
    configs = [group.config for group in groups]
    table: dict[str, list[str]] = {}
    for name in differing(configs):
        table[FIELDS[name].label] = [
            "unknown" if c is None else FIELDS[name].format(getattr(c, name)) for c in configs
        ]
    table["Seeds"] = [str(len(group.runs)) for group in groups]
    if with_verdicts:
        table["Verdict"] = [verdict_words(group) for group in groups]
    table["Broke off"] = [ending or "no" for ending in endings(groups)]
    for rows, read in ((NETWORK_ROWS, _last), (WORST_ROWS, _worst)):
        for words, (metric, write) in rows.items():
            table[words] = [spoken_range([read(run, metric) for run in g.runs], write) for g in groups]
    columns = dict(zip(labels(groups), zip(*table.values(), strict=True), strict=True))
    return pd.DataFrame({"what": list(table)} | {label: list(cells) for label, cells in columns.items()})


def run_table(groups: Sequence[Group]) -> pd.DataFrame:
    """Give one row a run in full precision: its configuration, seed, fields that differ, end and numbers."""
    names = differing([group.config for group in groups])
    rows = []
    for label, group in zip(labels(groups), groups, strict=True):
        for run in group.runs:
            fields = {} if run.config is None else {name: getattr(run.config, name) for name in names}
            rows.append(
                {"configuration": label, "seed": None if run.config is None else run.config.seed}
                | fields
                | {"status": run.status, "last_step": int(run.steps[-1])}
                | {metric: _last(run, metric) for metric, _ in NETWORK_ROWS.values()}
                | {f"worst_{metric}": _worst(run, metric) for metric, _ in WORST_ROWS.values()}
                | {"findings": ", ".join(finding.kind for finding in run.findings)}
            )
    return pd.DataFrame(rows)
