"""Every parser against hostile input: how many cases end in a crash, a hang or an undocumented error.

The cases of a target are read in a process of their own with 1 GB of address space and 2 s of processor time
a case. A process that dies is said to have crashed at the case it was reading; another goes on behind it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz_cases import TARGETS
from benchmarks.ratios import save, show

STRETCH = 5_000  # cases a process
SMALL = 150  # cases a target, for a look and for the tests
NO_PROGRESS_SECONDS = 120.0  # a process that is stuck where no signal reaches it
SEED = 9


def _run_child(target: str, first: int, last: int, seed: int, folder: Path) -> dict[str, Any]:
    """Read a stretch of cases; where the process dies, go on behind the case that killed it."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.fuzz_child",
        target,
        str(first),
        str(last),
        str(seed),
        str(folder),
    ]
    (folder / "result.json").unlink(missing_ok=True)
    (folder / "now").unlink(missing_ok=True)
    root = Path(__file__).parent.parent
    try:
        ended = subprocess.run(
            command, cwd=root, capture_output=True, timeout=NO_PROGRESS_SECONDS + (last - first) * 0.1
        )
        how = f"the process ended with {ended.returncode}: {ended.stderr.decode(errors='replace')[-300:]}"
    except subprocess.TimeoutExpired:
        how = "no signal stops it"
    if (folder / "result.json").exists():
        result: dict[str, Any] = json.loads((folder / "result.json").read_text())
        return result
    at = int((folder / "now").read_text()) if (folder / "now").exists() else first
    rest: dict[str, Any] = {"finds": [], "growth": [], "slowest": 0.0, "taken": 0}
    if at + 1 < last:
        rest = _run_child(target, at + 1, last, seed, folder)
    return rest | {"finds": [{"case": at, "found": f"crash: {how}", "file": ""}, *rest["finds"]]}


def measure(target: str, count: int, seed: int, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Read so many cases of a target; give the row of the table, and what was found."""
    start, growth, finds, slowest, taken = time.monotonic(), [0], [], 0.0, 0
    for first in range(0, count, STRETCH):
        result = _run_child(target, first, min(count, first + STRETCH), seed, folder)
        finds += result["finds"]
        growth += result["growth"]
        taken += result["taken"]
        slowest = max(slowest, result["slowest"])
    crashes = sum(find["found"].startswith("crash") for find in finds)
    hangs = sum(find["found"].startswith("takes over") for find in finds)
    row = {
        "target": target,
        "cases": count,
        "taken": taken,
        "crashes": crashes,
        "hangs": hangs,
        "other errors": len(finds) - crashes - hangs,
        "p99 growth MB": float(np.percentile(growth, 99)) / 1e6,
        "largest growth MB": max(growth) / 1e6,
        "slowest case s": slowest,
        "seconds": time.monotonic() - start,
    }
    return row, finds


def main(rounds: int, *, small: bool = False) -> int:
    """Print and keep the table; rounds beyond the usual five are other seeds."""
    seed = SEED + rounds
    folder = Path(tempfile.mkdtemp(prefix="nnlab-fuzz-"))
    rows, found = [], []
    for name, target in TARGETS.items():
        row, finds = measure(name, SMALL if small else target.count, seed, folder)
        rows.append(row)
        found += [{"target": name, **find} for find in finds]
    show(rows)
    for find in found:
        print(find)
    if not small:
        save("fuzz", rows)
    return len(found)
