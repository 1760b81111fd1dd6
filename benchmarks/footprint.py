"""The memory that runs take, each in a process of its own, beside what was guessed before they began."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.ratios import save, show
from nnlab.config import ExperimentConfig
from nnlab.jobs import GroupJob, Job, RunJob
from nnlab.memory import give_memory_back, keep_little
from nnlab.overlay_job import OverlayJob, seeds_plans
from nnlab.trajectory import Plan

# Probe records, which take most, are the first eight and the last.
BASE = ExperimentConfig(steps=10)
CORNERS: tuple[dict[str, Any], ...] = (
    {"depth": 2, "width": 8},
    {},
    {"steps": 300},
    {"depth": 30},
    {"depth": 30, "steps": 300},
    {"depth": 100},
    {"depth": 100, "width": 32, "residual": True},
    {"depth": 10, "width": 256},
    {"depth": 5, "width": 512},
    {"depth": 10, "batch_size": 1024, "optimizer": "adam"},
    {"depth": 30, "normalization": "batch"},
    {"depth": 30, "normalization": "layer", "residual": True},
    {"depth": 2, "dataset": "gaussian", "samples": 100_000},
    {"depth": 2, "dataset": "moons", "samples": 100_000, "width": 256},
    {"depth": 10, "dataset": "moons", "samples": 5_000, "batch_size": 4_000},
    {"depth": 2, "width": 4, "dataset": "iris", "steps": 3_000, "record_every": 1},
)
DRAWN_PER_ROUND, MOST_FLOP = 10, 1.5e9
CLEAR_PEAK = "5"  # proc(5), clear_refs


def drawn(count: int) -> list[dict[str, Any]]:
    """Draw networks of all kinds, always the same ones."""
    draw, found = random.Random(5), list[dict[str, Any]]()
    while len(found) < count:
        change = {
            "depth": draw.choice([2, 5, 10, 20, 40, 70, 100]),
            "width": draw.choice([8, 16, 32, 64, 128, 256]),
            "batch_size": draw.choice([16, 128, 512, 1024]),
            "dataset": draw.choice(["digits", "iris", "moons", "gaussian"]),
            "normalization": draw.choice(["none", "none", "batch", "layer"]),
            "residual": draw.choice([False, True]),
            "optimizer": draw.choice(["sgd", "momentum", "adam"]),
        }
        if BASE.replace(**change).step_flop < MOST_FLOP:
            found.append(change)
    return found


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{key}:")]
    return int(line.split()[1]) * 1024


def _warm() -> None:
    """Have loaded what every run loads."""
    from nnlab.trainer import train

    changes: tuple[dict[str, Any], ...] = (
        {}, {"normalization": "batch"}, {"normalization": "layer"}, {"optimizer": "adam"}, {"residual": True},
    )  # fmt: skip
    for change in changes:
        train(BASE.replace(dataset="iris", depth=2, width=4, **change))
    for name in ("digits", "moons", "gaussian"):
        train(BASE.replace(dataset=name, depth=2, width=4))
    give_memory_back()


def growth(make: Callable[[], Job]) -> int:
    """Give by how many bytes a job makes a fresh, warm process grow at its peak."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # A child has none of the libraries' pages before it has used them itself.
        _warm()
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text(CLEAR_PEAK)
        job = make()
        worker = threading.Thread(target=job.execute)
        worker.start()
        while worker.is_alive():
            worker.join(1.0)
            job.renew()  # on a busy machine it takes longer than a lease
        os.write(writing, json.dumps([job.status, job.error, _status("VmHWM") - before]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        status, error, grown = json.loads(pipe.read())
    os.waitpid(child, 0)
    if status not in ("completed", "diverged", "stalled"):
        raise RuntimeError(f"{status}: {error}")
    return int(grown)


def jobs_of(rounds: int) -> list[tuple[str, Callable[[], Job]]]:
    """List what is measured: corners, drawn ones, and several networks side by side; 0 rounds are one job."""
    found: list[tuple[str, Callable[[], Job]]] = []
    changes = (*CORNERS, *drawn(DRAWN_PER_ROUND * (rounds - 1))) if rounds else ({"depth": 30},)
    for change in changes:
        words = " ".join(f"{name}={value}" for name, value in change.items()) or "the default"
        found.append((words, partial(RunJob, config=BASE.replace(**change))))
    if not rounds:
        return found
    plans = tuple(Plan(BASE.replace(depth=4, width=16, seed=seed)) for seed in range(4))
    found.append(("4 networks of a lesson, 4x16", lambda: GroupJob(plans=plans)))
    several = [BASE.replace(activation=name) for name in ("relu", "tanh", "sigmoid")]
    found.append(("comparison, 3 x 3 seeds, 6x64", lambda: OverlayJob(plans=seeds_plans(several, 3))))
    return found


def measure(rounds: int) -> list[dict[str, Any]]:
    """Measure and guess."""
    keep_little()  # as the public dashboard does
    _warm()
    rows = []
    for words, make in jobs_of(rounds):
        grown, guessed = growth(make), make().estimated_bytes
        rows.append(
            {
                "job": words,
                "grown MB": round(grown / 1e6, 1),
                "guessed MB": round(guessed / 1e6, 1),
                "guessed / grown": round(guessed / grown, 2),
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def worst(rows: Sequence[dict[str, Any]], above_mb: float = 8.0) -> float:
    """Give the lowest guess of what is not small, relative to what was measured."""
    return min(row["guessed / grown"] for row in rows if row["grown MB"] > above_mb)


def main(rounds: int) -> None:
    """Print and write the table; one round is eighteen jobs and a minute or two, each more ten."""
    if not Path("/proc/self/clear_refs").exists():
        raise SystemExit("footprint: this system has no /proc to read a process's peak from")
    rows = measure(rounds)
    show(rows)
    print(f"the lowest guess: {worst(rows)} of what was measured; allowed: 0.7")
    if rounds:
        save("footprint", rows)
