"""A sweep of 8 activations x 5 depths x 3 seeds against 120 ordinary PyTorch loops, on two processors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.cases import bare
from benchmarks.ratios import ratios, save, show
from nnlab.config import ExperimentConfig
from nnlab.datasets import load_dataset
from nnlab.executors import ThreadExecutor, processors
from nnlab.grid import Grid, make_grid
from nnlab.sweep import run_sweep
from nnlab.threads import one_thread
from nnlab.worker_pool import WorkerPool

ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "gelu", "silu", "softplus")
DEPTHS = (2, 4, 8, 16, 32)
SEEDS = 3
BASE = ExperimentConfig(dataset="digits", width=64, steps=300, learning_rate=0.01)


def main(rounds: int) -> None:
    """Print and write the table."""
    start = time.perf_counter()
    with ExitStack() as stack:
        loops, pool = (stack.enter_context(WorkerPool(processors())) for _ in range(2))
        here = stack.enter_context(ThreadExecutor())
        for executor in (loops, pool):
            _warm(executor)
        started = (time.perf_counter() - start) / 2
        kinds = _kinds(loops, pool, here)
        rows, memory = [], []
        total: dict[str, list[float]] = {name: [0.0] * rounds for name in kinds}
        for depth in DEPTHS:
            grid = make_grid(BASE.replace(depth=depth), {"activation": ACTIVATIONS}, SEEDS)
            seconds = _interleave(kinds, grid, rounds)
            total = {name: [a + b for a, b in zip(total[name], seconds[name])] for name in kinds}
            memory.append(_resident(pool))
            rows.append(_row(f"depth {depth}", seconds))
            print(rows[-1], flush=True)
        rows.append(_row("all 120", total))
        total["two processes"] = [taken + started for taken in total["two processes"]]
        rows.append(_row("all 120, and starting them", total))
    show(rows)
    print(f"two processes start in {started:.1f} s")
    print("MB of both processes after each depth:", memory)
    save("sweep", [*rows, {"MB after each depth": memory}])


Kind = Callable[[Grid], object]


def _kinds(loops: WorkerPool, pool: WorkerPool, here: ThreadExecutor) -> Mapping[str, Kind]:
    return {
        "loops": lambda grid: train_bare(grid.cells),
        "loops, two processes": lambda grid: _share_bare(loops, grid),
        "one process": lambda grid: run_sweep(grid, executor=here),
        "two processes": lambda grid: run_sweep(grid, executor=pool),
    }


def _share_bare(pool: WorkerPool, grid: Grid) -> None:
    for future in [pool.submit(train_listed, [cell.to_dict()]) for cell in grid.cells]:
        future.result()


def train_listed(cells: Sequence[Mapping[str, Any]]) -> None:
    """Train what a request to a process names."""
    train_bare([ExperimentConfig.from_dict(cell) for cell in cells])


def train_bare(cells: Sequence[ExperimentConfig]) -> None:
    """Train as anybody would write it, one network after the other, on one thread."""
    with one_thread():
        for config in cells:
            for _ in islice(bare(config, load_dataset(config)), config.steps + 1):
                pass


def _warm(pool: Executor) -> None:
    run_sweep(make_grid(BASE.replace(steps=1, depth=1), {"activation": ACTIVATIONS}), executor=pool)


def _interleave(kinds: Mapping[str, Kind], grid: Grid, rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, kind in kinds.items():
            start = time.perf_counter()
            kind(grid)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _row(name: str, seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    against_two = ratios(seconds, "loops, two processes")["two processes"]
    return {
        "cells": name,
        "loops s": round(sorted(seconds["loops"])[len(seconds["loops"]) // 2], 1),
        **{column: round(value, 3) for column, value in ratios(seconds, "loops").items()},
        "both on two processes": round(against_two, 3),
    }


def _resident(pool: WorkerPool) -> float:
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in pool.pids]
    found = [re.search(r"VmRSS:\s+(\d+) kB", text) for text in texts]
    return round(sum(int(match[1]) for match in found if match) / 1024, 1)
