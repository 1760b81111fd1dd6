"""Processes that are killed while they write, and disks that are really full; run as a process of its own.

`python -m benchmarks.kill_faults EVERY INSTANTS ROOMS TRAININGS` prints a JSON line an outcome. It forks,
which a process with threads cannot do well; so nothing here imports torch until the trainings.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from itertools import chain
from pathlib import Path

from benchmarks import invariants
from benchmarks.disk import KILL, Disk, DiskFault
from benchmarks.file_faults import STORIES, Story, Told, count, make_story, tell
from benchmarks.invariants import Outcome
from nnlab.config import ExperimentConfig
from nnlab.run import Run, StepRecord
from nnlab.runfile import to_bytes
from nnlab.runwriter import RunWriter
from nnlab.whole_file import write_whole

ROOT = Path(__file__).parent.parent
LONG_STORY = 400  # records; more than are ever written before the kill
MOST_ACKNOWLEDGED = 40
MOST_DELAY = 5e-4  # seconds; a record takes about as many to write
MOST_ROOM = 14_000  # bytes; a story writes about as many
TMPFS_BYTES, PAGE_BYTES = 262_144, 4_096


def kill_faults(every: int, instants: int, rooms: int, trainings: int) -> Iterator[Outcome]:
    """Run this module in a process of its own and give what it found."""
    numbers = [str(number) for number in (every, instants, rooms, trainings)]
    command = [sys.executable, "-m", "benchmarks.kill_faults", *numbers]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            yield Outcome(said["kind"], said["fault"], tuple(said["problems"]))
    if process.returncode:
        yield Outcome("kill faults", "the process that kills", (f"it ended with {process.returncode}",))


@contextlib.contextmanager
def _forked(work: Callable[[int], None]) -> Iterator[tuple[int, int]]:
    """Do work in a process of its own; gives its number and the end of a pipe that it can write to."""
    out, into = os.pipe()
    process = os.fork()
    if not process:
        with contextlib.suppress(BaseException):
            os.close(out)
            work(into)
            os._exit(0)
        os._exit(1)
    os.close(into)
    try:
        yield process, out
    finally:
        os.close(out)
        os.waitpid(process, 0)


def _write_number(pipe: int, number: int) -> None:
    os.write(pipe, bytes([number]))


def _read_all(pipe: int) -> bytes:
    content = b""
    while piece := os.read(pipe, 65_536):
        content += piece
    return content


def at_operations(every: int) -> Iterator[Outcome]:
    """Kill every story before, in the midst of and after each of its operations."""
    for story in STORIES:
        faults = [
            DiskFault(at, KILL, moment)
            for at in range(1, count(story, Disk()) + 1)
            for moment in ("before", "half", "after")
        ]
        for fault in faults[::every]:
            with tempfile.TemporaryDirectory() as folder:
                told = _killed(story, Path(folder), fault)
                problems = story.check(Path(folder), told)
            yield Outcome(f"{story.name}: killed at an operation", str(fault), tuple(problems))


def _killed(story: Story, folder: Path, fault: DiskFault) -> Told:
    def work(pipe: int) -> None:
        tell(story, folder, Disk(fault), lambda number: _write_number(pipe, number))

    with _forked(work) as (_, pipe):
        return Told(taken=list(_read_all(pipe)), is_ended=None)


def at_instants(times: int, draw: random.Random) -> Iterator[Outcome]:
    """Kill a process that appends records, and one that replaces a file again and again, at any instant."""
    story = make_story(LONG_STORY)
    for kind in (_Appending(story), _Replacing(story)) * (times // 2):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.jsonl"
            acknowledged = _kill_at_any_instant(partial(kind.work, path), draw)
            problems = kind.check(path, acknowledged)
        yield Outcome(f"{kind.name}: killed at any instant", f"after {acknowledged}", tuple(problems))


class _Appending:
    name = "append a record"

    def __init__(self, story: list[tuple[Run, StepRecord]]) -> None:
        self._story = story

    def work(self, path: Path, pipe: int) -> None:
        writer = RunWriter(path)
        for run, record in self._story:
            writer.append(run, record)
            os.write(pipe, b"x")

    def check(self, path: Path, acknowledged: int) -> list[str]:
        taken = [record for _, record in self._story[:acknowledged]]
        return invariants.of_run_file(path, taken, is_ended=False)


class _Replacing:
    name = "replace a file"

    def __init__(self, story: list[tuple[Run, StepRecord]]) -> None:
        records = tuple(record for _, record in story)
        self._versions = [to_bytes(replace(story[-1][0], records=records[2:last])) for last in range(3, 11)]

    def work(self, path: Path, pipe: int) -> None:
        for content in self._versions * LONG_STORY:
            write_whole(path, [content])
            os.write(pipe, b"x")

    def check(self, path: Path, acknowledged: int) -> list[str]:
        last, coming = (self._versions[(acknowledged + more) % len(self._versions)] for more in (-1, 0))
        old = last if acknowledged else b""
        return invariants.of_replaced(path, old, coming, is_acknowledged=False)


def _kill_at_any_instant(work: Callable[[int], None], draw: random.Random) -> int:
    """Give how often the process had acknowledged something when it was killed."""
    with _forked(work) as (process, pipe):
        read = 0
        for _ in range(draw.randrange(MOST_ACKNOWLEDGED)):
            read += len(os.read(pipe, 1))
        time.sleep(draw.random() * MOST_DELAY)
        os.kill(process, signal.SIGKILL)
        return read + len(_read_all(pipe))


def in_little_room(times: int, draw: random.Random) -> Iterator[Outcome]:
    """Tell stories where the system itself lets files grow to some size only, and cuts writes off there."""
    for number in range(times):
        story = STORIES[number % len(STORIES)]
        room = draw.randrange(MOST_ROOM)
        with tempfile.TemporaryDirectory() as folder:
            told = _told_elsewhere(story, Path(folder), room)
            problems = story.check(Path(folder), told)
        yield Outcome(f"{story.name}: no room", f"a file may have {room} bytes", tuple(problems))


def on_a_full_disk(times: int, draw: random.Random) -> Iterator[Outcome]:
    """Tell stories on a disk of its own that is nearly full; nothing where none can be mounted."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", folder]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
            return
        try:
            for number in range(times):
                story = STORIES[number % len(STORIES)]
                yield _on_this_disk(story, Path(folder), draw.randrange(MOST_ROOM))
        finally:
            subprocess.run(["umount", folder], check=True)


def _on_this_disk(story: Story, disk: Path, room: int) -> Outcome:
    (disk / "mine").mkdir()
    (disk / "filler").write_bytes(b"x" * (TMPFS_BYTES - PAGE_BYTES - room))
    told = _told_elsewhere(story, disk / "mine", None)
    problems = story.check(disk / "mine", told)
    for path in (disk / "filler", disk / "mine"):
        path.unlink() if path.is_file() else shutil.rmtree(path)
    return Outcome(f"{story.name}: a full disk", f"about {room} bytes of room", tuple(problems))


def _told_elsewhere(story: Story, folder: Path, room: int | None) -> Told:
    """Tell a story in a process of its own, whose files may have so many bytes."""

    def work(pipe: int) -> None:
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        os.write(pipe, json.dumps(asdict(tell(story, folder, Disk()))).encode())

    with _forked(work) as (_, pipe):
        return Told(**json.loads(_read_all(pipe)))


def in_training(times: int, draw: random.Random) -> Iterator[Outcome]:
    """Kill a process that trains and records what it trains, at any instant."""
    from nnlab.trainer import train

    config = ExperimentConfig(dataset="iris", depth=2, width=4, steps=300, record_every=1)
    whole = train(config)
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.jsonl"

            def work(pipe: int, path: Path = path) -> None:
                writer = RunWriter(path)

                def on_record(run: Run, record: StepRecord) -> None:
                    writer.append(run, record)
                    os.write(pipe, b"x")

                train(config, on_record=on_record)

            acknowledged = _kill_at_any_instant(work, draw)
            problems = invariants.of_run_file(path, whole.records[:acknowledged], is_ended=False)
        yield Outcome("train: killed at any instant", f"after {acknowledged}", tuple(problems))


def main(every: int, instants: int, rooms: int, trainings: int) -> None:
    draw = random.Random(0)
    outcomes = chain(
        at_operations(every),
        at_instants(instants, draw),
        in_little_room(rooms, draw),
        on_a_full_disk(rooms, draw),
        in_training(trainings, draw) if trainings else (),
    )
    for outcome in outcomes:
        print(json.dumps(asdict(outcome)), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
