"""Ratios of times: loops in turn, a stretch of each, in one process, since absolute times say little here."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

WARM_UP = 12


def interleave(
    walks: Mapping[str, Iterator[Any]], steps: int, rounds: int, warm_up: int = WARM_UP
) -> dict[str, list[float]]:
    """Give each loop's seconds a step, one number a round; every round takes some steps of each in turn."""
    for walk in walks.values():
        for _ in range(warm_up):
            next(walk)
    seconds: dict[str, list[float]] = {name: [] for name in walks}
    for _ in range(rounds):
        for name, walk in walks.items():
            start = time.perf_counter()
            for _ in range(steps):
                next(walk)
            seconds[name].append((time.perf_counter() - start) / steps)
    return seconds


def ratios(seconds: Mapping[str, Sequence[float]], to: str) -> dict[str, float]:
    """Give each loop's median ratio to one of them, round by round."""
    return {
        name: statistics.median(mine / base for mine, base in zip(times, seconds[to], strict=True))
        for name, times in seconds.items()
        if name != to
    }


def machine() -> dict[str, Any]:
    """Say on what the times were taken."""
    model = next(
        (line.partition(":")[2].strip() for line in _cpu_lines() if line.startswith("model name")),
        platform.machine(),
    )
    return {
        "processor": model,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of the same columns as a table."""
    table = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)), flush=True)


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def save(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows and the machine to benchmarks/results/name.json."""
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), "rows": list(rows)}, indent=1) + "\n")
    print(f"written to {path.relative_to(Path(__file__).parent.parent)}")
