"""Finished cells on disk: what is in the file stays, whatever happens to process, file or disk."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

import nnlab
from nnlab import sweep_store
from nnlab.sweep_row import failed_row
from nnlab.sweep_store import SweepStore, cell_key, cells_path

CONFIGS = [nnlab.ExperimentConfig(seed=seed, features=("a", "b,")) for seed in range(4)]
NUMBERS = {"train_loss": math.inf, "accuracy": 0.1 + 0.2, "test_loss": -math.inf, "steps_to_90": 7.0}
ROWS = [{**failed_row(config, ""), "status": "completed", "last_step": 9, **NUMBERS} for config in CONFIGS]
KEYS = [cell_key(config) for config in CONFIGS]


def filled(path: Path, count: int = 3) -> bytes:
    with SweepStore(path) as store:
        for key, row in zip(KEYS[:count], ROWS, strict=False):
            store.add(key, row)
        assert store.trouble == ""
    return path.read_bytes()


def assert_same_row(got, want):
    assert {name: repr(value) for name, value in got.items()} == {name: repr(v) for name, v in want.items()}


def test_rows_come_back_as_they_were(tmp_path):
    filled(tmp_path / "cells")
    with SweepStore(tmp_path / "cells") as store:
        assert (len(store), store.damaged) == (3, 0)
        for key, row in zip(KEYS[:3], ROWS, strict=False):
            assert_same_row(store[key], row)
        assert KEYS[3] not in store


def test_a_row_is_in_the_file_as_soon_as_it_is_added(tmp_path):
    with SweepStore(tmp_path / "cells") as store:
        store.add(KEYS[0], ROWS[0])
        assert (tmp_path / "cells").read_bytes().count(b"\n") == 2


def test_every_cut_leaves_all_whole_lines_and_can_be_gone_on_from(tmp_path):
    path = tmp_path / "cells"
    content = filled(path)
    ends = [i + 1 for i, byte in enumerate(content) if byte == 10]
    for cut in sorted({0, 1, 20, *ends, *(end - 1 for end in ends), *(end + 30 for end in ends[:-1])}):
        path.write_bytes(content[:cut])
        with SweepStore(path) as store:
            assert len(store) == max(0, sum(end <= cut for end in ends) - 1), cut
            store.add(KEYS[3], ROWS[3])
        with SweepStore(path) as store:
            assert KEYS[3] in store
            assert store.damaged == 0


def test_a_damaged_line_is_skipped_and_counted(tmp_path):
    path = tmp_path / "cells"
    lines = filled(path).splitlines(keepends=True)
    lines[2] = lines[2].replace(b"digits", b"dagits")
    path.write_bytes(b"".join(lines))
    with SweepStore(path) as store:
        assert (len(store), store.damaged) == (2, 1)
        assert KEYS[1] not in store


@pytest.mark.parametrize("content", [b"my thesis", b"a,b\n1,2\n", b'{"k":"header"}\n', b"\0" * 50])
def test_a_file_that_is_something_else_is_left_alone(tmp_path, content):
    path = tmp_path / "cells"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="no file of a sweep's cells"):
        SweepStore(path)
    assert path.read_bytes() == content


def test_a_newer_file_is_refused(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            sweep_store, "_HEADER_LINE", sweep_store.to_line({**sweep_store.HEADER, "schema": [2, 0]})
        )
        filled(tmp_path / "cells", 1)
    with pytest.raises(ValueError, match="this nnlab reads 1"):
        SweepStore(tmp_path / "cells")


def test_two_sweeps_do_not_write_to_one_file(tmp_path):
    with SweepStore(tmp_path / "cells"), pytest.raises(BlockingIOError, match="another sweep"):
        SweepStore(tmp_path / "cells")
    SweepStore(tmp_path / "cells").close()


def test_a_full_disk_is_said_and_tried_again(tmp_path, monkeypatch):
    real, room = os.write, [10_000]

    def write(descriptor: int, content: bytes) -> int:
        taken = min(room[0], len(content))
        if not taken:
            raise OSError(28, "No space left on device")
        room[0] -= taken
        return real(descriptor, content[:taken])

    monkeypatch.setattr(os, "write", write)
    path = tmp_path / "cells"
    with SweepStore(path) as store:
        store.add(KEYS[0], ROWS[0])
        room[0] = 100
        store.add(KEYS[1], ROWS[1])
        store.add(KEYS[2], ROWS[2])
        assert store.trouble == "cells: No space left on device; 2 finished cells are not in the file"
        assert KEYS[1] in store
        room[0] = 10_000
        store.add(KEYS[3], ROWS[3])
        assert store.trouble == ""
    with SweepStore(path) as store:
        assert (len(store), store.damaged) == (4, 0)


def test_a_key_is_of_all_that_makes_the_numbers(monkeypatch):
    config = CONFIGS[0]
    others = [config.replace(learning_rate=0.1 + 1e-18), config.replace(learning_rate=0.11)]
    assert [cell_key(other) == cell_key(config) for other in others] == [True, False]
    assert cell_key(config, "ab") != cell_key(config)
    with monkeypatch.context() as patch:
        patch.setattr(sweep_store, "_torch_version", lambda: "9.9")
        assert cell_key(config) not in KEYS


def test_the_cells_lie_beside_the_table():
    assert cells_path("a/b/sweep.parquet") == Path("a/b/sweep.parquet.cells")
