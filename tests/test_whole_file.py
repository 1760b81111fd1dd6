"""write_whole: the old content or the new one, whatever fails, and wherever the process is killed."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from pathlib import Path

import pytest

from benchmarks.disk import DISK_ERRORS, Disk, DiskFault
from nnlab.whole_file import write_whole

OLD, NEW = b"the old one", [b"the ", b"new ", b"one"]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(OLD)
    return tmp_path / "file"


def test_pieces_become_one_file_with_the_usual_rights(target: Path) -> None:
    usual = target.with_name("usual")
    usual.write_bytes(b"")
    write_whole(target, NEW)
    assert target.read_bytes() == b"the new one"
    assert target.stat().st_mode == usual.stat().st_mode
    assert sorted(path.name for path in target.parent.iterdir()) == ["file", "usual"]


@pytest.mark.parametrize("error", DISK_ERRORS)
@pytest.mark.parametrize("at", range(1, 11))
def test_a_failure_of_any_operation_leaves_the_old_file_or_the_new_one_and_names_it(
    target: Path, at: int, error: str
) -> None:
    # The seventh operation gives the file its name; those after it make a power cut harmless.
    is_written = at > 7
    failing = (
        contextlib.nullcontext()
        if is_written
        else pytest.raises(OSError, match=os.strerror(getattr(errno, error)))
    )
    with Disk(DiskFault(at, error)) as disk, failing as said:
        write_whole(target, NEW)
    assert disk.count >= at
    assert said is None or said.value.filename == str(target)
    assert target.read_bytes() == (b"".join(NEW) if is_written else OLD)
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_an_error_in_the_making_of_the_content_leaves_the_old_file(target: Path) -> None:
    def content():
        yield b"a piece"
        raise MemoryError

    with pytest.raises(MemoryError):
        write_whole(target, content())
    assert target.read_bytes() == OLD
    assert [path.name for path in target.parent.iterdir()] == ["file"]


def test_two_writers_of_one_file_do_not_mix(target: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(4)]
    threads = [
        threading.Thread(target=write_whole, args=(target, [c[:50_000], c[50_000:]])) for c in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() in contents


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_device_or_pipe_is_refused_and_stays(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no file that can be replaced"):
        write_whole(tmp_path / "pipe", NEW)
    assert (tmp_path / "pipe").is_fifo()
