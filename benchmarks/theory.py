"""The phase map of 60 x 60 networks once its table is there, relative to asking theory point by point."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.ratios import save, show
from nnlab.activations import ACTIVATIONS
from nnlab.phase_map import RESOLUTION, phase_map
from nnlab.theory import mean_field

W_TOP, B_TOP = 4.0, 2.0
POINTS = 12  # along a side, of those asked one by one


def main(rounds: int) -> None:
    """Print and write the table, in seconds of the processor, which others on the machine do not add to."""
    rows = [_row(name, rounds) for name in ACTIVATIONS]
    show(rows)
    save("theory", rows)


def _row(name: str, rounds: int) -> dict[str, Any]:
    phase_map(name, W_TOP, B_TOP)  # computes the table of variances too
    taken = [(_seconds(lambda: _map(name)), _seconds(lambda: _one_by_one(name))) for _ in range(rounds)]
    cells = (RESOLUTION / POINTS) ** 2
    return {
        "activation": name,
        "map s": round(statistics.median(whole for whole, _ in taken), 3),
        "map / as many points": round(statistics.median(whole / (cells * one) for whole, one in taken), 3),
    }


def _map(name: str) -> None:
    phase_map.cache_clear()
    phase_map(name, W_TOP, B_TOP)


def _one_by_one(name: str) -> None:
    for row in range(POINTS):
        for column in range(POINTS):
            mean_field(name, W_TOP * (column + 0.5) / POINTS, B_TOP * (row + 0.5) / POINTS)


def _seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
