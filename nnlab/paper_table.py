"""Paper tables: published and measured numbers side by side, as rows of words, and all papers at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from nnlab.paper import Check, Paper, digits, passes

YES, NO = "✓ yes", "✗ no"


def _agrees(check: Check) -> str:
    return YES if check.passes else NO


def check_table(checks: Sequence[Check], fresh: Sequence[Check] = ()) -> pd.DataFrame:
    """Give a row a check; what a fresh run measured of the same quantities comes in columns of its own."""
    frame = pd.DataFrame(
        {
            "quantity": [check.quantity for check in checks],
            "published": [digits(check.published) for check in checks],
            "measured": [digits(check.measured) for check in checks],
            "deviation": [check.deviation_words for check in checks],
            "tolerance": [check.tolerance_words for check in checks],
            "agrees": [_agrees(check) for check in checks],
        }
    )
    if fresh:
        found = {check.quantity: check for check in fresh}
        same = [found.get(check.quantity) for check in checks]
        frame["run here"] = [digits(check.measured) if check else "" for check in same]
        frame["published for it"] = [digits(check.published) if check else "" for check in same]
        frame["it agrees"] = [_agrees(check) if check else "" for check in same]
    frame["where the published number is from"] = [check.origin for check in checks]
    return frame


def summary(checks: Sequence[Check]) -> str:
    """Say how many numbers agree."""
    good = sum(check.passes for check in checks)
    noun = "number" if len(checks) == 1 else "numbers"
    return f"{good} of {len(checks)} {noun} within tolerance"


def overview(papers: Mapping[str, Paper], checks: Mapping[str, Sequence[Check]]) -> pd.DataFrame:
    """Give a row a paper: its source, its title, and whether all its numbers agree."""
    return pd.DataFrame(
        {
            "paper": [paper.source for paper in papers.values()],
            "what it shows": [paper.title for paper in papers.values()],
            "reproduced": [YES if passes(checks[name]) else NO for name in papers],
            "numbers": [summary(checks[name]) for name in papers],
        }
    )
