"""comparison: two runs side by side."""

from __future__ import annotations

import pandas as pd

from nnlab.numerals import scientific
from nnlab.run import Run
from nnlab.summary import tiles


def _verdict(run: Run) -> str:
    if not run.findings:
        return "healthy"
    worst, others = run.findings[0], len(run.findings) - 1
    return f"{worst.title}, {worst.severity}" + (f", and {others} more" if others else "")


def compare(before: Run, after: Run) -> pd.DataFrame:
    """Give the last record of two runs side by side: columns number, before, after."""
    sides = []
    for run in (before, after):
        shown = tiles(run, int(run.steps[-1]))
        ratio = float(run.series("gradient_ratio")[1][-1])
        test_loss = float(run.series("test_loss")[1][-1])
        side = {
            "Verdict": _verdict(run),
            "Status": run.status,
            "Signal at layer 1 (R)": scientific(ratio),
            "Worst saturation": shown[1].value,
            "Dead units": shown[2].value,
            "Test loss": scientific(test_loss),
        }
        sides.append(side if before.predicts_numbers else side | {"Test accuracy": shown[3].value})
    return pd.DataFrame({"number": list(sides[0]), "before": sides[0].values(), "after": sides[1].values()})
