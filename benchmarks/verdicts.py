"""Verdicts: what was measured beside what must hold, a line each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.ratios import save, show


@dataclass(frozen=True)
class Target:
    """One thing that must hold: at most so much of it."""

    name: str
    measured: float
    limit: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether it holds; what could not be measured does not."""
        return math.isfinite(self.measured) and self.measured <= self.limit

    @property
    def row(self) -> dict[str, Any]:
        """The line of the table."""
        return {
            "target": self.name,
            "at most": self.limit,
            "measured": round(self.measured, 3),
            "unit": self.unit,
            "verdict": "holds" if self.holds else "MISSED",
        }


def pronounce(name: str, targets: Sequence[Target], figures: Sequence[dict[str, Any]], *, keep: bool) -> None:
    """Print all figures and a verdict line a target; with `keep`, write them to the results."""
    for figure in figures:
        print(f"{figure['figure']}: {figure['value']}")
    show([target.row for target in targets])
    if keep:
        save(name, [*(target.row for target in targets), *figures])


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value that a share of all do not exceed; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
