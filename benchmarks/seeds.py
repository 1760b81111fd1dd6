"""Eight seeds of one experiment, stacked or on two threads, against eight ordinary PyTorch loops in turn."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from benchmarks.cases import CASES, bare, make_data, recorded, without_probes
from benchmarks.ratios import interleave, ratios, save, show
from nnlab.threads import one_thread
from nnlab.training import unwarned

SEEDS = tuple(range(8))


def main(rounds: int) -> None:
    """Print and write the table."""
    with one_thread(), unwarned():
        rows = [_row(name, rounds) for name in CASES]
        show(rows)
        save("seeds", rows)


def _one_by_one(walks: Sequence[Iterator[Any]]) -> Iterator[None]:
    while True:
        for walk in walks:
            next(walk)
        yield


def _stretches(walk: Iterator[Any], steps: int) -> Iterator[None]:
    while True:
        _take(walk, steps)
        yield


def _take(walk: Iterator[Any], steps: int) -> None:
    for _ in range(steps):
        next(walk)


def _on_two_threads(pool: ThreadPoolExecutor, walks: Sequence[Iterator[Any]], steps: int) -> Iterator[None]:
    halves = [_one_by_one(walks[::2]), _one_by_one(walks[1::2])]
    while True:
        for future in [pool.submit(_take, half, steps) for half in halves]:
            future.result()
        yield


def _row(name: str, rounds: int) -> dict[str, Any]:
    case, data = CASES[name], make_data()
    steps = max(2, case.steps // 2)  # long enough that two threads need not wait for each other
    off, every = (case.config("sigmoid", "sgd", record_every) for record_every in (20_000, 10))
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool, without_probes():
        singles = [recorded(off, data, (seed,)) for seed in SEEDS]
        walks: dict[str, Iterator[Any]] = {
            "bare": _stretches(_one_by_one([bare(off.replace(seed=seed), data) for seed in SEEDS]), steps),
            "engine, one by one": _stretches(_one_by_one(singles), steps),
            "stacked": _stretches(recorded(off, data, SEEDS), steps),
            "stacked, every 10 steps": _stretches(recorded(every, data, SEEDS), steps),
            "two threads": _on_two_threads(pool, [recorded(off, data, (seed,)) for seed in SEEDS], steps),
        }
        seconds = interleave(walks, 1, rounds * 2, warm_up=2)
    return {
        "case": name,
        "network": f"{case.depth} x {case.width}, batch {case.batch}, sigmoid sgd",
        "bare us/step": round(statistics.median(seconds["bare"]) / steps * 1e6),
        **{column: round(value, 3) for column, value in ratios(seconds, "bare").items()},
    }
