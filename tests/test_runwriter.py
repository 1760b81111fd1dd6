"""RunWriter: what it acknowledged is in the file, whatever happens to the disk, the process or the model."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_alignment import layers_of, record_of

import nnlab
from nnlab import writer_lock
from nnlab.alignment import aligned
from nnlab.run import Run, StepRecord
from nnlab.runfile import load_run, to_bytes
from nnlab.runwriter import LostRecordsWarning, RunWriter

SameRecords = Callable[..., None]
FULL = OSError(errno.ENOSPC, "No space left on device")


def run_of(names: str, activation: str = "relu") -> Run:
    return Run(None, "completed", layers_of(names, activation), (), {"model": "Letters"})


def record_at(step: int, names: str, *, probe: bool = False) -> StepRecord:
    network = {m.name: float(step) for m in nnlab.METRICS.values() if m.scope == "network"}
    return replace(record_of(layers_of(names), probe=probe), step=step, network=network, extras={})


class Disk:
    """Stands in for os.write and os.ftruncate: a disk of so many bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room, self.truncates = room, True
        self.error: BaseException = FULL
        self._write, self._truncate = os.write, os.ftruncate
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "ftruncate", self.truncate)

    def write(self, file: int, data: bytes) -> int:
        if self.room == 0:
            raise self.error
        done = self._write(file, data[: self.room])
        self.room -= done
        return done

    def truncate(self, file: int, size: int) -> None:
        if not self.truncates:
            raise OSError(errno.EIO, "Input/output error")
        self.room += os.fstat(file).st_size - size
        self._truncate(file, size)


def _sizes(names: str, count: int) -> list[int]:
    """Give the bytes of the header and of each record's line."""
    run = replace(run_of(names), records=tuple(record_at(step, names) for step in range(count)))
    return [len(line) for line in to_bytes(run).splitlines(keepends=True)[:-1]]


@pytest.mark.parametrize("truncates", [True, False], ids=["taken back", "piece left"])
@pytest.mark.parametrize("spare", [0, 1, 500])
def test_a_full_disk_costs_the_records_that_did_not_fit_and_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spare: int,
    truncates: bool,
    assert_same_records: SameRecords,
) -> None:
    records = [record_at(step, "abc") for step in range(9)]
    disk = Disk(monkeypatch, sum(_sizes("abc", 9)[:4]) + spare)  # the header and 3 records
    writer = RunWriter(tmp_path / "run.jsonl")
    disk.truncates = truncates
    for record in records[:3]:
        writer.append(run_of("abc"), record)
    assert writer.trouble == ""
    with pytest.warns(
        LostRecordsWarning, match="No space left on device; 1 of 4 records are not in the file"
    ):
        writer.append(run_of("abc"), records[3])
    with warnings.catch_warnings(action="error"):  # it is said once
        writer.append(run_of("abc"), records[4])
        disk.room = 10**9  # somebody made room
        for record in records[5:]:
            writer.append(run_of("abc"), record)
        writer.finish(run_of("abc"), "completed")
    assert writer.trouble == "run.jsonl: No space left on device; 2 of 9 records are not in the file"
    run = load_run(tmp_path / "run.jsonl")
    assert_same_records(run.records, [*records[:3], *records[5:]])
    assert run.status == "completed"
    is_piece_left = spare > 0 and not truncates
    said = [f"{2 - is_piece_left} records are missing from the file"]
    assert list(run.notes) == said + ["1 damaged records were skipped"] * is_piece_left


def test_a_file_on_a_full_disk_is_a_prefix_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_same_records: SameRecords
) -> None:
    records = [record_at(step, "abc") for step in range(4)]
    Disk(monkeypatch, sum(_sizes("abc", 4)[:3]) + 100)
    writer = RunWriter(tmp_path / "run.jsonl")
    with warnings.catch_warnings(action="ignore", category=LostRecordsWarning):
        for number, record in enumerate(records):
            writer.append(run_of("abc"), record)
            run = load_run(tmp_path / "run.jsonl")
            assert_same_records(run.records, records[: min(number + 1, 2)])
            assert run.notes == ()
    assert writer.trouble.endswith("2 of 4 records are not in the file")


def test_where_the_header_did_not_fit_the_first_record_that_does_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_same_records: SameRecords
) -> None:
    disk = Disk(monkeypatch, 20)
    writer = RunWriter(tmp_path / "run.jsonl")
    with pytest.warns(LostRecordsWarning):
        writer.append(run_of("abc"), record_at(0, "abc"))
    disk.room = 10**9
    writer.append(run_of("abc"), record_at(1, "abc"))
    writer.finish(run_of("abc"), "completed")
    run = load_run(tmp_path / "run.jsonl")
    assert_same_records(run.records, [record_at(1, "abc")])
    assert run.notes == ("1 records are missing from the file",)


def test_a_failing_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    writer = RunWriter(tmp_path / "run.jsonl")
    writer.append(run_of("abc"), record_at(0, "abc"))
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.warns(LostRecordsWarning, match="Input/output error"):
        writer.finish(run_of("abc"), "completed")
    assert writer.trouble == "run.jsonl: Input/output error; its last lines may be missing"
    assert load_run(tmp_path / "run.jsonl").status == "completed"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_device_that_is_always_full_ends_nothing(tiny_config: nnlab.ExperimentConfig) -> None:
    writer = RunWriter("/dev/full")
    with warnings.catch_warnings(action="ignore", category=LostRecordsWarning):
        run = nnlab.train(tiny_config, on_record=writer.append)
        writer.finish(run, run.status)
    assert len(run.records) == 6
    assert writer.trouble == "full: No space left on device; 6 of 6 records are not in the file"


def test_what_is_written_is_synced_each_second_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, synced = [100.0], []
    monkeypatch.setattr("nnlab.runwriter.time.monotonic", lambda: now[0])
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(now[0]))
    writer = RunWriter(tmp_path / "run.jsonl")
    for step in range(10):  # 0.4 s each
        writer.append(run_of("abc"), record_at(step, "abc"))
        now[0] += 0.4
    writer.finish(run_of("abc"), "completed")
    assert synced == pytest.approx([101.2, 102.4, 103.6, 104.0])


def test_a_record_longer_than_a_line_may_be_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nnlab.runwriter.MAX_LINE_BYTES", 2000)
    writer = RunWriter(tmp_path / "run.jsonl")
    writer.append(run_of("abc"), record_at(0, "abc"))
    with pytest.warns(LostRecordsWarning, match="longer than 2,000"):
        writer.append(run_of("abc"), record_at(1, "abc", probe=True))
    writer.append(run_of("abc"), record_at(2, "abc"))
    writer.finish(run_of("abc"), "completed")
    run = load_run(tmp_path / "run.jsonl")
    assert run.steps.tolist() == [0, 2]
    assert run.notes == ("1 records are missing from the file",)


def test_an_interrupt_between_two_parts_of_a_line_leaves_no_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_same_records: SameRecords
) -> None:
    writer = RunWriter(tmp_path / "run.jsonl")
    writer.append(run_of("abc"), record_at(0, "abc"))
    disk = Disk(monkeypatch, 300)
    disk.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        writer.append(run_of("abc"), record_at(1, "abc"))
    disk.room = 10**9
    writer.append(run_of("abc"), record_at(2, "abc"))
    writer.finish(run_of("abc"), "interrupted")
    run = load_run(tmp_path / "run.jsonl")
    assert_same_records(run.records, [record_at(0, "abc"), record_at(2, "abc")])
    assert (run.status, run.notes) == ("interrupted", ("1 records are missing from the file",))


def test_a_second_writer_is_refused_before_it_changes_anything(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = RunWriter(path)
    first.append(run_of("abc"), record_at(0, "abc"))
    content = path.read_bytes()
    with pytest.raises(OSError, match=r"^run\.jsonl: another training run is writing to this file$"):
        RunWriter(path)
    assert path.read_bytes() == content
    first.append(run_of("abc"), record_at(1, "abc"))
    first.finish(run_of("abc"), "completed")
    assert len(load_run(path).records) == 2
    RunWriter(path).finish(run_of("abc"), "completed")  # now it is free
    assert len(load_run(path).records) == 0


def test_a_writer_that_was_dropped_gives_the_file_free(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run.jsonl")
    writer.append(run_of("abc"), record_at(0, "abc"))
    del writer
    RunWriter(tmp_path / "run.jsonl").finish(run_of("abc"), "completed")


def test_without_locks_there_is_a_writer_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_lock, "HAS_LOCKS", False)
    writer = RunWriter(tmp_path / "run.jsonl")
    writer.append(run_of("abc"), record_at(0, "abc"))
    with (tmp_path / "run.jsonl").open("rb") as file:
        assert not writer_lock.is_taken(file.fileno())
    writer.finish(run_of("abc"), "completed")
    assert load_run(tmp_path / "run.jsonl").status == "completed"


def test_after_the_end_nothing_is_written(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run.jsonl")
    writer.finish(run_of("abc"), "stopped")
    content = (tmp_path / "run.jsonl").read_bytes()
    writer.finish(run_of("abc"), "completed")
    with pytest.raises(ValueError, match="finished"):
        writer.append(run_of("abc"), record_at(0, "abc"))
    assert (tmp_path / "run.jsonl").read_bytes() == content


def test_a_forked_process_writes_nothing_and_leaves_the_lock(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run.jsonl")
    writer.append(run_of("abc"), record_at(0, "abc"))
    content = (tmp_path / "run.jsonl").read_bytes()
    writer._process += 1  # as in a fork
    writer.append(run_of("abc"), record_at(1, "abc"))
    writer.finish(run_of("abc"), "completed")
    assert (tmp_path / "run.jsonl").read_bytes() == content
    with pytest.raises(OSError, match="another training run"):
        RunWriter(tmp_path / "run.jsonl")


GROWTH = ("abc", "abc", "abxc", "abxc", "yabxcz")


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """The file of a model whose layers came in one after the other."""
    writer = RunWriter(tmp_path / "run.jsonl")
    for step, names in enumerate(GROWTH):
        writer.append(run_of(names), record_at(step, names, probe=step % 2 == 0))
    writer.finish(run_of(GROWTH[-1]), "completed")
    return tmp_path / "run.jsonl"


def test_records_from_before_new_layers_read_as_theirs(grown: Path, assert_same_records: SameRecords) -> None:
    run = load_run(grown)
    last = layers_of(GROWTH[-1])
    wanted = [
        aligned(record_at(step, names, probe=step % 2 == 0), layers_of(names), last)
        for step, names in enumerate(GROWTH)
    ]
    assert (run.layers, run.status, run.notes) == (last, "completed", ())
    assert_same_records(run.records, wanted)
    table = run.metrics.query("metric == 'delta_norm' and step == 1").set_index("layer")["value"]
    assert np.isnan(table["x"])
    assert table["b"] == record_at(1, "abc").layers["delta_norm"][1]


def test_a_grown_run_saved_again_is_the_same_run(
    grown: Path, tmp_path: Path, assert_same_records: SameRecords
) -> None:
    run = load_run(grown)
    run.save(tmp_path / "again.jsonl")
    again = load_run(tmp_path / "again.jsonl")
    assert_same_records(again.records, run.records)
    assert (again.layers, again.notes, again.extras) == (run.layers, (), run.extras)


@pytest.mark.parametrize(("number", "read"), [(3, [0, 1, 4]), (6, [0, 1, 2, 3])])
def test_records_after_a_lost_line_of_layers_are_left_out_until_the_next_one(
    grown: Path, number: int, read: list[int]
) -> None:
    lines = grown.read_bytes().splitlines(keepends=True)
    assert lines[number].startswith(b'{"k":"layers"')
    grown.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
    run = load_run(grown)
    assert run.steps.tolist() == read
    assert run.notes == (f"{5 - len(read)} damaged records were skipped",)


def test_counts_are_never_read_as_those_of_another_activation(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    writer = RunWriter(path)
    for step, activation in enumerate(["tanh", "sigmoid"]):  # as many bins, of other edges
        record = replace(
            record_of(layers_of("ab", activation)), step=step, network=record_at(0, "ab").network
        )
        writer.append(run_of("ab", activation), record)
    writer.finish(run_of("ab", "sigmoid"), "completed")
    run = load_run(path)
    assert [record.histograms["activation"][0] is None for record in run.records] == [True, False]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert load_run(path).steps.tolist() == [0]


KILLED = """
import os, random, struct, sys, time
from nnlab.runwriter import RunWriter
from test_runwriter import record_at, run_of

folder, count = sys.argv[1], int(sys.argv[2])
records = [(run_of(names), record_at(step, names, probe=step % 7 == 0))
           for step, names in enumerate(["abc"] * 10 + ["axbc"] * 10 + ["axbyc"] * 1000)]
for number in range(count):
    process = os.fork()
    if not process:
        writer = RunWriter(f"{folder}/{number}.jsonl")
        for run, record in records:
            writer.append(run, record)
            os.write(1, struct.pack("<II", number, record.step))
        os._exit(1)
    os.write(1, struct.pack("<II", 2**32 - 1, process))
    os.waitpid(process, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_process_loses_no_acknowledged_record(tmp_path: Path) -> None:
    count, draw = 60, random.Random(0)
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(count)]
    folder = Path(__file__).parent
    paths = os.pathsep.join([str(folder), str(folder.parent)])
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths})
    acknowledged: dict[int, int] = {}
    assert parent.stdout is not None
    with parent:
        for _ in range(count):
            process, early = 0, []
            while not process:
                number, value = _pair(parent.stdout)
                process = value if number == 2**32 - 1 else 0
                early += [] if process else [(number, value)]
            acknowledged |= dict(early)
            for _ in range(draw.randrange(35) - len(early)):
                number, step = _pair(parent.stdout)
                acknowledged[number] = step
            os.kill(process, signal.SIGKILL)
        while len(data := parent.stdout.read(8)) == 8:
            number, step = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")
            acknowledged[number] = step
    ended = [_check_killed(tmp_path / f"{number}.jsonl", last) for number, last in acknowledged.items()]
    assert len(ended) > 45
    assert len(set(ended)) > 10  # at many places


def _pair(stream: Any) -> tuple[int, int]:
    data = stream.read(8)
    return int.from_bytes(data[:4], "little"), int.from_bytes(data[4:], "little")


def _check_killed(path: Path, last: int) -> int:
    run = load_run(path)
    assert run.steps.tolist()[: last + 1] == list(range(last + 1))
    assert run.status == "interrupted"
    for record in run.records:
        assert record.network["loss"] == record.step
        np.testing.assert_array_equal(
            record.layers["delta_norm"][0], record_at(0, "a").layers["delta_norm"][0]
        )
    return len(run.records)
