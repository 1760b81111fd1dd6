"""comparison: two runs side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.numerals import scientific
from nnlab.run import Run
from nnlab.summary import tiles


def verdict_words(run: Run) -> str:
    """Say a run's verdict in a few words: its worst finding, and how many more there are."""
    if not run.findings:
        return "healthy"
    worst, others = run.findings[0], len(run.findings) - 1
    return f"{worst.title}, {worst.severity}" + (f", and {others} more" if others else "")


def last_ratio(run: Run) -> str:
    """Say R of the last record."""
    return scientific(float(run.series("gradient_ratio")[1][-1]))


def _last(run: Run, metric: str) -> float:
    values = run.series(metric)[1]
    return float(values[-1]) if len(values) else float("nan")


def _extreme(run: Run, metric: str, *, largest: bool) -> str:
    """Say the largest or smallest number of the hidden layers where the metric was last taken."""
    taken = run.series(metric)[1]
    row = taken[-1][: run.depth] if len(taken) else np.array([])
    known = row[np.isfinite(row)]
    if not len(known):
        return scientific(float("nan"))
    return scientific(float(known.max() if largest else known.min()))


def _side(run: Run) -> dict[str, str]:
    shown = tiles(run, int(run.steps[-1]))
    return {
        "Verdict": verdict_words(run),
        "Status": run.status,
        "Signal at layer 1 (R)": last_ratio(run),
        "Vanishing index (decades a layer)": scientific(_last(run, "vanishing_index")),
        f"Worst {'inactive share' if shown[1].label == 'Inactive' else 'saturation'}": shown[1].value,
        "Dead units": shown[2].value,
        "Most alike outputs (mean cosine)": _extreme(run, "mean_cosine", largest=True),
        "Lowest effective rank": _extreme(run, "effective_rank", largest=False),
        "Training loss": scientific(_last(run, "loss")),
        "Test loss": scientific(_last(run, "test_loss")),
        "Test accuracy": shown[3].value,
    }


def compare(before: Run, after: Run) -> pd.DataFrame:
    """Give the last record of two runs side by side: columns number, before, after."""
    sides = [_side(run) for run in (before, after)]
    # ReLU's flat side is called inactive, others' saturated: two activations share the row.
    names = [
        one if one == other else "Worst saturation or inactive share"
        for one, other in zip(*sides, strict=True)
    ]
    frame = pd.DataFrame({"number": names, "before": sides[0].values(), "after": sides[1].values()})
    return frame[frame["number"] != "Test accuracy"] if before.predicts_numbers else frame


def differences(before: ExperimentConfig, after: ExperimentConfig) -> str:
    """Say what is otherwise in the second of two experiments: "activation sigmoid → tanh, gain 2.0 → 1.0".

    The columns and the name of a file, which anybody may have written, are left out.
    """
    was = before.differences(after)
    texts = [
        f"{FIELDS[name].label.lower()} {text} → {FIELDS[name].format(getattr(after, name))}"
        for name, text in was.items()
        if FIELDS[name].kind not in ("text", "names")
    ]
    return ", ".join(texts)


def fates(before: Run, after: Run) -> str:
    """Say which findings of the first of two runs are gone in the second, which stay, and which are new."""
    was, now = ({finding.kind: finding.title for finding in run.findings} for run in (before, after))
    sides = {
        "Gone": [title for kind, title in was.items() if kind not in now],
        "Still there": [title for kind, title in was.items() if kind in now],
        "New": [title for kind, title in now.items() if kind not in was],
    }
    return " ".join(f"{word}: {', '.join(titles).lower()}." for word, titles in sides.items() if titles)
