"""At least 500 faults, one at a time; after each, what must hold after any fault (`invariants`) holds.

Files: every operation fails in every way or is killed, every instruction is interrupted, disks are full.
Jobs: every kind fails, is stopped or abandoned at the k-th call that it makes; the clock jumps; worker
processes are killed. Pages: memory runs out while they are drawn. The app: lines are cut, Stop and Train
come at any moment, changes storm, the server is ended and started again, and can write nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from benchmarks.app_faults import app_faults
from benchmarks.file_faults import disk_faults, interruptions
from benchmarks.invariants import Outcome
from benchmarks.job_faults import job_faults
from benchmarks.kill_faults import kill_faults
from benchmarks.page_faults import page_faults, pages
from benchmarks.ratios import save, show
from nnlab.joblog import LEVEL_VARIABLE

MOST_SAID = 5  # faults of a kind that are told in full


@dataclass(frozen=True)
class Size:
    """How much of everything: see the functions that take these."""

    files: tuple[int, int]
    kills: tuple[int, int, int, int]
    jobs: tuple[int, int, int]
    pages: tuple[int, list[str]]
    app: tuple[int, int, float, int]


FULL = Size(files=(1, 5), kills=(1, 500, 60, 50), jobs=(40, 24, 6), pages=(4, pages()), app=(10, 10, 20.0, 4))
SMALL = Size(
    files=(101, 307), kills=(29, 8, 3, 0), jobs=(2, 2, 0), pages=(1, pages()[1:2]), app=(1, 1, 0.5, 0)
)


def faults_of_files(size: Size) -> Iterator[Outcome]:
    yield from disk_faults(size.files[0])
    yield from interruptions(size.files[1])


def main(*, small: bool) -> None:
    """Inject all faults, print what came of them by kind; end with an error where something did not hold."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # with what it has started
    os.environ[LEVEL_VARIABLE] = "off"  # every error would be a line of this process's log, as it should
    size, start = SMALL if small else FULL, time.monotonic()
    tiers = (
        faults_of_files(size),
        kill_faults(*size.kills),
        job_faults(*size.jobs),
        page_faults(*size.pages),
        app_faults(*size.app),
    )
    kinds: dict[str, list[Outcome]] = {}
    for outcome in chain(*tiers):
        kinds.setdefault(outcome.kind, []).append(outcome)
        broken = [found for found in kinds[outcome.kind] if found.problems]
        if outcome.problems and len(broken) <= MOST_SAID:
            print(f"{outcome.kind}: {outcome.fault}: {'; '.join(outcome.problems)}", flush=True)
    rows: list[dict[str, Any]] = [
        {"faults": kind, "injected": len(found), "held": sum(not outcome.problems for outcome in found)}
        for kind, found in kinds.items()
    ]
    injected, held = (sum(int(row[name]) for row in rows) for name in ("injected", "held"))
    rows.append({"faults": "all", "injected": injected, "held": held})
    show(rows)
    print(f"{injected:,} faults in {time.monotonic() - start:.0f} s: {held / injected:.1%} held")
    if not small:
        save("faults", rows)
    if held < injected:
        raise SystemExit(1)
