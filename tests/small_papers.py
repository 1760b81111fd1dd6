"""A paper that measures nothing, for tests of what goes around a measurement."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from nnlab.paper import Check, Columns, Interrupted, Paper, Report, Settings
from nnlab.papers import PAPERS
from nnlab.stop import Stop


def _measure(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Count to the setting's steps, or wait for ever where it is 0."""
    done = 0
    while not settings["steps"] or done < settings["steps"]:
        if stop.is_set():
            raise Interrupted
        done += bool(settings["steps"])
        if not settings["steps"]:
            time.sleep(0.005)
        report(done, settings["steps"] or 1)
    return {"step": list(range(done)), "word": ["a"] * done, "odd": [float("nan")] * done}


def _check(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    return (Check("steps", 3.0, "counted", float(len(columns["step"])), 0.0, is_absolute=True),)


def counting(name: str = "counting", steps: int = 3, **changes: Any) -> Paper:
    """Give a paper that counts; 0 steps never end by themselves."""
    some = next(iter(PAPERS.values()))
    settings = {"steps": steps}
    given = {"name": name, "full": settings, "small": settings, "measure": _measure, "check": _check}
    return replace(some, **given, **changes)
