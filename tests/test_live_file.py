"""LiveFile: a file that is followed says what is in it, as it grows, is cut, replaced or given up."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_runwriter import GROWTH, record_at, run_of

from nnlab import runline, writer_lock
from nnlab.live_file import LiveFile
from nnlab.runfile import RunFileError, load_run, to_bytes
from nnlab.runwriter import RunWriter

SameRecords = Callable[..., None]


def _finished(path: Path, steps: range, names: str = "abc") -> bytes:
    """Write the file of a finished run; give its bytes."""
    run = replace(run_of(names), records=tuple(record_at(step, names) for step in steps))
    run.save(path)
    return to_bytes(run)


def test_a_growing_file_reads_as_load_run_reads_it_but_running(
    tmp_path: Path, assert_same_records: SameRecords
) -> None:
    path = tmp_path / "run.jsonl"
    live, writer = LiveFile(path), RunWriter(path)
    versions = []
    for step, names in enumerate(GROWTH):
        writer.append(run_of(names), record_at(step, names, probe=step % 2 == 0))
        run, whole = live.run(), load_run(path)
        assert_same_records(run.records, whole.records)
        assert (run.layers, run.status, run.notes) == (whole.layers, "running", ())
        assert live.run() is run  # with the frames that it has made
        versions.append(live.version)
    writer.finish(run_of(GROWTH[-1]), "stopped")
    assert (live.run().status, len(live.run().records)) == ("stopped", len(GROWTH))
    assert_same_records(live.run().records, load_run(path).records)
    assert len({*versions, live.version}) == len(GROWTH) + 1


def test_only_what_is_new_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    parse = runline.parse_line
    monkeypatch.setattr("nnlab.runreader.parse_line", lambda raw: (parsed.append(raw), parse(raw))[1])
    live, writer = LiveFile(tmp_path / "run.jsonl"), RunWriter(tmp_path / "run.jsonl")
    for step in range(5):
        writer.append(run_of("abc"), record_at(step, "abc"))
        live.run()
        assert len(parsed) == step + 1


def test_a_writer_that_dies_leaves_an_interrupted_run(tmp_path: Path) -> None:
    live, writer = LiveFile(tmp_path / "run.jsonl"), RunWriter(tmp_path / "run.jsonl")
    writer.append(run_of("abc"), record_at(0, "abc"))
    assert live.run().status == "running"
    before = live.version
    del writer  # closes the file as a killed process does
    assert live.run().status == "interrupted"
    assert live.version != before


def test_a_torn_last_line_is_said_only_when_nobody_writes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    content = _finished(tmp_path / "other.jsonl", range(3))
    cut = len(content) - 900
    with path.open("wb", buffering=0) as file:
        assert writer_lock.take(file.fileno())
        file.write(content[:cut])
        live = LiveFile(path)
        assert (live.run().notes, live.run().status) == ((), "running")
        count = len(live.run().records)
        writer_lock.give_back(file.fileno())
        assert "cut off" in live.run().notes[0]
        assert live.run().status == "interrupted"
        file.write(content[cut:])
    assert (live.run().notes, live.run().status) == ((), "completed")
    assert len(live.run().records) == 3 > count


def test_a_file_that_comes_byte_by_byte_is_read_once(
    tmp_path: Path, assert_same_records: SameRecords
) -> None:
    path = tmp_path / "run.jsonl"
    content = _finished(tmp_path / "other.jsonl", range(3), "ab")
    header = content.index(b"\n")
    live = LiveFile(path)
    with path.open("wb", buffering=0) as file:
        writer_lock.take(file.fileno())
        for start in range(0, len(content), 7):
            file.write(content[start : start + 7])
            if start + 7 < header:
                with pytest.raises(RunFileError, match="no record yet"):
                    live.run()
            else:
                assert live.run().notes == ()
    assert_same_records(live.run().records, load_run(path).records)
    assert (live.run().notes, live.run().status) == ((), "completed")


def test_what_is_not_there_yet_has_no_record_yet(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    live = LiveFile(path)
    for prepare in (lambda: None, path.touch):
        prepare()
        with pytest.raises(RunFileError, match=r"^run\.jsonl: .*no record yet$"):
            live.run()
    _finished(path, range(2))
    assert len(live.run().records) == 2
    path.unlink()
    with pytest.raises(RunFileError, match="no record yet"):
        live.run()
    _finished(path, range(1))
    assert len(live.run().records) == 1


@pytest.mark.parametrize("content", [b"hello\n", b"hello", b'{"k":"header"}\n', b"\0" * 99], ids=repr)
def test_what_is_no_run_file_is_refused_until_it_is_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(content)
    live = LiveFile(path)
    for _ in range(2):
        with pytest.raises(RunFileError, match=r"^run\.jsonl: .*no nnlab run file$"):
            live.run()
    _finished(path, range(2))
    assert len(live.run().records) == 2


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    (tmp_path / "run.jsonl").mkdir() if kind == "folder" else os.mkfifo(tmp_path / "run.jsonl")
    with pytest.raises(RunFileError, match=r"^run\.jsonl: this is no file$"):
        LiveFile(tmp_path / "run.jsonl").run()


@pytest.mark.parametrize("records", [1, 3, 9])
@pytest.mark.parametrize("way", ["replaced", "written over"])
def test_another_run_in_the_file_is_read_anew(tmp_path: Path, way: str, records: int) -> None:
    path = tmp_path / "run.jsonl"
    _finished(path, range(3))
    live = LiveFile(path)
    before, version = live.run(), live.version
    content = _finished(tmp_path / "other.jsonl", range(100, 100 + records))
    os.replace(tmp_path / "other.jsonl", path) if way == "replaced" else path.write_bytes(content)
    assert live.run().steps.tolist() == list(range(100, 100 + records))
    assert live.version != version
    assert before.steps.tolist() == [0, 1, 2]


def test_several_threads_may_read(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    live, writer = LiveFile(path), RunWriter(path)
    writer.append(run_of("abc"), record_at(0, "abc"))
    done, odd = threading.Event(), []

    def follow() -> None:
        seen = 0
        while not done.is_set() or seen < 40:
            run = live.run()
            if run.steps.tolist() != list(range(len(run.records))) or len(run.records) < seen or run.notes:
                odd.append(run)
                return
            seen = len(run.records)

    threads = [threading.Thread(target=follow) for _ in range(4)]
    for thread in threads:
        thread.start()
    for step in range(1, 40):
        writer.append(run_of("abc"), record_at(step, "abc"))
    done.set()
    for thread in threads:
        thread.join()
    assert not odd


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()], ids=repr)
def test_after_a_failed_look_the_file_reads_as_if_nothing_had_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_same_records: SameRecords, error: Exception
) -> None:
    path = tmp_path / "run.jsonl"
    content = _finished(path, range(6))
    whole = load_run(path)
    for at in range(9):
        looks = iter(range(at, -100, -1))

        def parse(raw: bytes, looks: Iterator[int] = looks) -> object:
            if next(looks) == 0:
                raise error
            return runline.parse_line(raw)

        path.write_bytes(content[: content.index(b"\n", len(content) // 2) + 1])
        live = LiveFile(path)
        live.run()  # it grows after that
        path.write_bytes(content)
        with monkeypatch.context() as patch, contextlib.suppress(RunFileError, MemoryError):
            patch.setattr("nnlab.runreader.parse_line", parse)
            live.run()
        run = live.run()
        assert_same_records(run.records, whole.records)
        assert (run.notes, run.status) == (whole.notes, whole.status)
