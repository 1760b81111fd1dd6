"""Eight seeds of one experiment as one stacked run, against eight ordinary PyTorch loops in turn."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.cases import CASES, bare, make_data, recorded, without_probes
from benchmarks.ratios import interleave, ratios, save, show
from nnlab.threads import one_thread

SEEDS = tuple(range(8))


def main(rounds: int) -> None:
    """Print and write the table."""
    with one_thread():
        rows = [_row(name, rounds) for name in CASES]
    show(rows)
    save("seeds", rows)


def _one_by_one(walks: list[Iterator[Any]]) -> Iterator[None]:
    while True:
        for walk in walks:
            next(walk)
        yield


def _row(name: str, rounds: int) -> dict[str, Any]:
    case, data = CASES[name], make_data()
    off, every = (case.config("sigmoid", "sgd", record_every) for record_every in (20_000, 10))
    walks: dict[str, Iterator[Any]] = {
        "bare": _one_by_one([bare(off.replace(seed=seed), data) for seed in SEEDS]),
        "engine, one by one": _one_by_one([recorded(off, data, (seed,)) for seed in SEEDS]),
        "stacked": recorded(off, data, SEEDS),
        "stacked, every 10 steps": recorded(every, data, SEEDS),
    }
    with without_probes():
        seconds = interleave(walks, max(1, case.steps // 4), rounds * 2)
    return {
        "case": name,
        "network": f"{case.depth} x {case.width}, batch {case.batch}, sigmoid sgd",
        "bare us/step": round(statistics.median(seconds["bare"]) * 1e6),
        **{column: round(value, 3) for column, value in ratios(seconds, "bare").items()},
    }
