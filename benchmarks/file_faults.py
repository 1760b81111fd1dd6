"""Faults of files: every operation of every writer fails in every way, or the process is killed there."""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import invariants
from benchmarks.disk import DISK_ERRORS, INTERRUPT, Disk, DiskFault
from benchmarks.interruption import Interruption, Moment
from benchmarks.invariants import Outcome
from nnlab import runwriter, sweep_store, whole_file, writer_lock
from nnlab.config import ExperimentConfig
from nnlab.metrics import METRICS
from nnlab.run import LayerInfo, Run, StepRecord
from nnlab.runfile import save_run, to_bytes
from nnlab.runwriter import LostRecordsWarning, RunWriter
from nnlab.sweep_row import failed_row
from nnlab.sweep_store import SweepStore, cell_key
from nnlab.whole_file import write_whole

RECORDS = 6
Acknowledge = Callable[[int], None]
WRITERS = frozenset(str(module.__file__) for module in (runwriter, sweep_store, whole_file, writer_lock))


def layers_of(count: int) -> tuple[LayerInfo, ...]:
    return tuple(LayerInfo(f"layer{number}", number, "relu", (4, 4)) for number in range(1, count + 1))


def make_record(step: int, layers: int) -> StepRecord:
    """Make up a record; no two steps have a number in common."""
    draw = np.random.default_rng(step)
    metrics = [metric for metric in METRICS.values() if not metric.at_probe]
    values = {m.name: draw.random(layers - m.hidden_only) for m in metrics if m.scope == "layer"}
    return StepRecord(step, values, {m.name: float(draw.random()) for m in metrics if m.scope == "network"})


def make_story(count: int = RECORDS) -> list[tuple[Run, StepRecord]]:
    """Make up the records of a model to which a layer comes in on the way."""
    sizes = [3 if step < 2 else 4 for step in range(count)]
    return [
        (Run(None, "running", layers_of(size), (), {"model": "Made up"}), make_record(step, size))
        for step, size in enumerate(sizes)
    ]


STORY = make_story()
ROWS = {
    cell_key(config): failed_row(config, "made up")
    for config in (ExperimentConfig(seed=seed) for seed in range(RECORDS))
}
OLD, NEW = (
    Run(None, "completed", layers_of(3), tuple(make_record(step, 3) for step in steps), {"model": name})
    for name, steps in (("Old", range(2)), ("New", range(4)))
)


@dataclass
class Told:
    """What a writer said while something failed: which pieces it took, and whether it came to its end."""

    taken: list[int] = field(default_factory=list)
    interrupted: list[int] = field(default_factory=list)
    trouble: str = ""
    is_ended: bool | None = False
    problems: list[str] = field(default_factory=list)


def _lost(said: str) -> int:
    found = re.search(r"(\d+)(?: of \d+ records| finished cells)", said)
    return int(found[1]) if found else 0


def append(folder: Path, told: Told, acknowledge: Acknowledge) -> None:
    """Write a run as it trains."""
    writer = RunWriter(folder / "run.jsonl")
    for number, (run, record) in enumerate(STORY):
        before = _lost(writer.trouble)
        try:
            writer.append(run, record)
        except OSError as error:
            told.problems.append(f"a disk's failure ended the training: {error!r}")
        except (KeyboardInterrupt, MemoryError):
            told.interrupted.append(number)
            continue
        if _lost(writer.trouble) == before:
            told.taken.append(number)
            acknowledge(number)
    told.is_ended = None
    try:
        writer.finish(STORY[-1][0], "completed")
        told.is_ended = None if writer.trouble else True
    except OSError as error:
        told.problems.append(f"a disk's failure ended the training: {error!r}")
    told.trouble = writer.trouble


def check_append(folder: Path, told: Told) -> list[str]:
    path = folder / "run.jsonl"
    taken = [STORY[number][1] for number in told.taken]
    if len(told.taken) + len(told.interrupted) < RECORDS and told.is_ended and not told.trouble:
        told.problems.append("records are missing and nobody says so")
    return told.problems + invariants.of_run_file(path, taken, is_ended=told.is_ended)


def add_cells(folder: Path, told: Told, acknowledge: Acknowledge) -> None:
    """Keep the cells of a sweep as they are finished."""
    store = SweepStore(folder / "cells")
    for number, (key, row) in enumerate(ROWS.items()):
        try:
            store.add(key, row)
        except OSError as error:
            told.problems.append(f"a disk's failure ended the sweep: {error!r}")
        except (KeyboardInterrupt, MemoryError):
            continue
        if not store.trouble:
            told.taken.append(number)
            acknowledge(number)
    try:
        store.close()
    except OSError as error:
        told.problems.append(f"a disk's failure ended the sweep: {error!r}")


def check_cells(folder: Path, told: Told) -> list[str]:
    keys = list(ROWS)
    taken = {keys[number]: ROWS[keys[number]] for number in told.taken}
    return told.problems + invariants.of_cells(folder / "cells", taken)


def replace_run(folder: Path, told: Told, acknowledge: Acknowledge) -> None:
    """Save a run over another one."""
    write_whole(folder / "run.jsonl", [to_bytes(OLD)])
    write_whole(folder / "mine.partial", [b"somebody else's"])
    told.taken.append(0)
    acknowledge(0)
    save_run(NEW, folder / "run.jsonl")
    told.taken.append(1)
    acknowledge(1)


def check_replaced(folder: Path, told: Told) -> list[str]:
    if 0 not in told.taken:
        return []
    path = folder / "run.jsonl"
    problems = invariants.of_replaced(path, to_bytes(OLD), to_bytes(NEW), is_acknowledged=1 in told.taken)
    if (folder / "mine.partial").read_bytes() != b"somebody else's":
        problems.append("another file was changed")
    last = NEW if 1 in told.taken else OLD
    return problems + invariants.of_run_file(
        path, last.records[:2] if last is OLD else last.records, is_ended=True
    )


@dataclass(frozen=True)
class Story:
    """Something that writes, and what must hold of it afterwards."""

    name: str
    tell: Callable[[Path, Told, Acknowledge], None]
    check: Callable[[Path, Told], list[str]]


STORIES = (
    Story("append a record", append, check_append),
    Story("add a finished cell", add_cells, check_cells),
    Story("replace a file", replace_run, check_replaced),
)


def tell(
    story: Story, folder: Path, breaks: Disk | Interruption, acknowledge: Acknowledge = lambda n: None
) -> Told:
    """Go through a story while something breaks."""
    told = Told()
    with warnings.catch_warnings(action="ignore", category=LostRecordsWarning):
        try:
            with breaks:
                story.tell(folder, told, acknowledge)
        except (OSError, KeyboardInterrupt, MemoryError):
            told.is_ended = None  # what was not taken was not promised
    return told


def judged(story: Story, kind: str, breaks: Disk | Interruption) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        told = tell(story, Path(folder), breaks)
        return Outcome(f"{story.name}: {kind}", str(breaks.fault), tuple(story.check(Path(folder), told)))


def count(story: Story, counting: Disk | Interruption) -> int:
    """Count the operations of a story in which nothing breaks, and at which something can."""
    with tempfile.TemporaryDirectory() as folder:
        told = tell(story, Path(folder), counting)
        assert not story.check(Path(folder), told), "the story goes wrong by itself"
    return counting.count


def disk_faults(every: int) -> Iterator[Outcome]:
    """Let every operation of every story fail, with every error, at every moment, once and for ever."""
    for story in STORIES:
        faults = [
            DiskFault(at, error, moment, lasts)
            for at in range(1, count(story, Disk()) + 1)
            for error in (*DISK_ERRORS, INTERRUPT)
            for moment in ("before", "half", "after")
            for lasts in (False, True)
            if not (lasts and error == INTERRUPT)
        ]
        for fault in faults[::every]:
            yield judged(story, "an operation fails", Disk(fault))


def interruptions(every: int) -> Iterator[Outcome]:
    """Interrupt every story between any two instructions, as Ctrl-C can, and as memory can end."""
    for story in STORIES:
        for error in ("Ctrl-C", "MemoryError"):
            total = count(story, Interruption(WRITERS))
            for at in range(1 + (error == "MemoryError") * (every // 2), total + 1, every):
                yield judged(
                    story, f"{error} between two instructions", Interruption(WRITERS, Moment(at, error))
                )
