"""What watching costs: nnlab against an ordinary PyTorch loop that looks at nothing, in one process.

All columns but the second are times relative to the bare loop's with the same optimizer kernel.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.cases import CASES, KINDS, bare, make_data, products, recorded, without_probes
from benchmarks.ratios import interleave, ratios, save, show
from nnlab.threads import one_thread
from nnlab.training import unwarned

WHOLE_RUN = 1000  # steps, each of them recorded: 64 probe records among 1,001


def main(rounds: int) -> None:
    """Print and write the table."""
    rows = []
    with one_thread(), unwarned():
        for name in CASES:
            for activation, optimizer in KINDS:
                rows.append(_row(name, activation, optimizer, rounds))
                show(rows[-1:])
        show(rows)
        save("overhead", rows)


def _row(name: str, activation: str, optimizer: str, rounds: int) -> dict[str, Any]:
    case, data = CASES[name], make_data()
    configs = {every: case.config(activation, optimizer, every) for every in (20_000, 10, 1)}
    walks: dict[str, Iterator[Any]] = {
        "bare": bare(configs[1], data),
        "products alone": products(configs[1]),
        "recording off": recorded(configs[20_000], data),
        "every 10 steps": recorded(configs[10], data),
        "every step": recorded(configs[1], data),
    }
    # A round holds whole tens of steps, so that each has its share of records.
    steps = max(10, case.steps)
    with without_probes():
        seconds = interleave(walks, steps, rounds * 4)
    row: dict[str, Any] = {
        "case": name,
        "network": f"{case.depth} x {case.width}, batch {case.batch}, {activation} {optimizer}",
        "bare us/step": round(statistics.median(seconds["bare"]) * 1e6),
        **{column: round(value, 3) for column, value in ratios(seconds, "bare").items()},
    }
    row["with probe records"] = round(_whole_run(configs[1], data, row["bare us/step"]), 3)
    return row


def _whole_run(config: Any, data: Any, bare_microseconds: float) -> float:
    """Give the time of a run's first steps, each recorded, its probe records among them."""
    steps = WHOLE_RUN if bare_microseconds < 5000 else WHOLE_RUN // 10
    walk = recorded(config, data)
    start = time.perf_counter()
    for _ in range(steps):
        next(walk)
    return (time.perf_counter() - start) / steps * 1e6 / bare_microseconds
