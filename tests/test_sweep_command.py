"""The sweep command: a table of exactly what was asked for, after a kill, an interrupt, and wrong flags."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from pyarrow import parquet

import nnlab
from nnlab import dask_executor, sweep_command
from nnlab.__main__ import main
from nnlab.config import FIELDS
from nnlab.sweep_row import COLUMNS, sweep_row, to_frame
from nnlab.sweep_store import cells_path

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--dataset", "iris", "--width", "8", "--batch-size", "16", "--steps", "30"]
BASE = nnlab.ExperimentConfig(dataset="iris", width=8, batch_size=16, steps=30)


@pytest.fixture
def call(capsys, monkeypatch):
    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code
        return (code, *capsys.readouterr())

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(sweep_command, "pace", lambda: 1.0)
    yield call
    signal.signal(signal.SIGINT, before)


def trained(cells) -> pd.DataFrame:
    return to_frame([sweep_row(nnlab.train(cell)) for cell in cells])


def assert_equal(path: Path, want: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(pd.read_parquet(path), want, check_exact=True, check_dtype=False)


def test_the_table_has_a_row_a_run_with_every_field_and_number(call, tmp_path):
    out = tmp_path / "sweep.parquet"
    grid = ["--grid", "depth=2,3", "--grid", "activation=sigmoid,step"]
    code, said, err = call(
        "sweep", *SMALL, "--clip-norm", "1", *grid, "--seeds", 2, "--seed", 7, "--out", out
    )
    assert (code, err) == (0, "")
    assert "8 cells (2 depth x 2 activation x 2 seed): about 1 s in this process" in said
    assert f"{out}: 8 of 8 cells: 8 completed" in said
    cells = [
        BASE.replace(depth=depth, activation=name, seed=seed, clip_norm=1.0)
        for depth in (2, 3) for name in ("sigmoid", "step") for seed in (7, 8)
    ]  # fmt: skip
    assert_equal(out, trained(cells))
    frame = pd.read_parquet(out)
    assert set(FIELDS) | {"status", "gradient_ratio", "test_accuracy", "saturation", "dead_fraction"} <= set(
        frame
    )
    assert list(frame) == list(COLUMNS)
    said = {field.name: field.metadata for field in parquet.read_schema(out)}
    assert b"Size of a step" in said["learning_rate"][b"meaning"]
    assert all(said.values())


def test_the_same_command_goes_on_and_another_grid_takes_what_fits(call, tmp_path, monkeypatch):
    out = tmp_path / "sweep.parquet"
    assert call("sweep", *SMALL, "--grid", "depth=1,2", "--out", out)[0] == 0
    first = out.read_bytes()
    monkeypatch.setattr(sweep_command, "estimate", lambda cells, workers=1: 100.0 * len(cells))
    said = call("sweep", *SMALL, "--grid", "depth=1,2", "--out", out)[1]
    assert "all finished before" in said
    assert "2 were finished before" in said
    assert out.read_bytes() == first
    said = call("sweep", *SMALL, "--grid", "depth=2,3", "--out", out, "--executor", "threads")[1]
    assert "2 cells (2 depth), 1 of them still to be trained: about 2 min" in said
    assert_equal(out, trained([BASE.replace(depth=2), BASE.replace(depth=3)]))


def start(out: Path, *flags: str) -> subprocess.Popen[str]:
    """Start a sweep that would take minutes, and wait for its next finished cells."""
    cells = cells_path(out)
    before = cells.read_bytes().count(b"\n") if cells.exists() else 1
    arguments = [*SMALL[:-1], "100", "--grid", "depth=4", "--seeds", "2000", "--out", str(out), *flags]
    process = subprocess.Popen(
        [sys.executable, "-m", "nnlab", "sweep", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    give_up_at = time.monotonic() + 60
    while not (cells.exists() and cells.read_bytes().count(b"\n") > before):
        assert time.monotonic() < give_up_at
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()] + [
        int(word)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for word in (task / "children").read_text().split()
    ]


def assert_ended(pids: list[int]) -> None:
    """Wait until processes have ended; one that nobody has asked about yet, a zombie, has."""
    give_up_at = time.monotonic() + 10
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while stat.read_text().rpartition(")")[2].split()[0] != "Z":
                assert time.monotonic() < give_up_at, f"process {pid} is still there"
                time.sleep(0.01)


def test_a_killed_and_an_interrupted_sweep_go_on_from_what_is_finished(call, tmp_path):
    out = tmp_path / "sweep.parquet"
    killed = start(out, "--executor", "processes", "--workers", "1")
    workers = children(killed.pid)
    assert workers
    killed.kill()
    killed.communicate()
    assert not out.exists()
    kept = cells_path(out).read_bytes().count(b"\n") - 1
    assert kept >= 1
    interrupted = start(out, "--executor", "threads")
    assert_ended(workers)
    os.killpg(interrupted.pid, signal.SIGINT)  # as a terminal does
    said, err = interrupted.communicate(timeout=30)
    assert (interrupted.returncode, err) == (130, "")
    frame = pd.read_parquet(out)
    assert kept < len(frame) < 2000
    assert f"{kept} were finished before" in said
    # One that a process trained, and one of this sweep.
    seeds = [int(frame["seed"].iloc[place]) for place in (0, -1)]
    cells = [BASE.replace(depth=4, steps=100, seed=seed) for seed in seeds]
    arguments = [*SMALL[:-1], "100", "--depth", "4", "--grid", "seed={},{}".format(*seeds), "--out", out]
    assert "all finished before" in call("sweep", *arguments)[1]
    assert_equal(out, trained(cells))


@pytest.mark.parametrize(("flags", "said"), [
    ("--grid dept=2", "--grid: 'dept' is no field; allowed: dataset, samples"),
    ("--grid depth", "--grid: 'depth' is no FIELD=VALUE"), ("--grid depth=", "--grid: a field without"),
    ("--grid depth=2,2", "--grid: depth 2 is there twice"), ("--grid depth=2,0", "--grid: depth: '0' is"),
    ("--grid depth=2 --grid depth=3", "--grid: depth is there twice"),
    ("--seeds 0", "--seeds: '0' is not allowed"), ("--seeds x", "--seeds: 'x' is not allowed"),
    ("--seeds 1000000000", "--grid: 1,000,000,000 cells; allowed: at most 10,000"),
    ("--executor slurm", "--executor: 'slurm' is not allowed; allowed: threads, processes, dask"),
    ("--executor threads --scheduler tcp://x:1", "--scheduler: 'tcp://x:1' goes with the executor dask"),
    ("--workers 0", "--workers: '0' is not allowed; allowed: a whole number from 1 to 256"),
    ("--workers 2 --scheduler tcp://x:1", "--workers: a scheduler has workers of its own"),
    ("--depth 0", "--depth: '0' is not allowed"), ("--scheduler tcp://127.0.0.1:9", "--scheduler: no answer"),
    ("--dataset csv --csv-path /none.csv", "--csv-path: "),
    ("--grid csv_path=/none.csv --dataset csv", "--csv-path: "),
])  # fmt: skip
def test_wrong_flags_are_said_in_one_line(call, tmp_path, monkeypatch, flags, said):
    monkeypatch.setattr(dask_executor, "CONNECT_SECONDS", 0.2)
    common = SMALL[2:] if "--dataset" in flags else SMALL
    code, _, err = call("sweep", *common, "--out", tmp_path / "sweep.parquet", *flags.split())
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith(f"nnlab: {said}")
    assert not (tmp_path / "sweep.parquet").exists()


def test_places_that_cannot_be_written_are_refused(call, tmp_path):
    code, _, err = call("sweep", *SMALL, "--out", tmp_path / "sweep.csv")
    assert (code, err) == (2, "nnlab: --out: 'sweep.csv' would hold Parquet; end its name in .parquet\n")
    assert list(tmp_path.iterdir()) == []
    os.mkfifo(tmp_path / "pipe")  # as a device, which a table would be put in the place of
    code, _, err = call("sweep", *SMALL, "--out", tmp_path / "pipe")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("nnlab: --out: 'pipe' is no ordinary file")
    (tmp_path / "pipe").unlink()
    code, _, err = call("sweep", *SMALL, "--out", tmp_path / "none" / "sweep.parquet")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("nnlab: --out: the folder")
    (tmp_path / "sweep.parquet.cells").write_text("mine")
    code, _, err = call("sweep", *SMALL, "--out", tmp_path / "sweep.parquet")
    assert (code, err.count("\n")) == (2, 1)
    assert "no file of a sweep's cells" in err
    assert (tmp_path / "sweep.parquet.cells").read_text() == "mine"


def test_weights_for_a_pipe_or_a_device_do_not_take_its_place(call, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    weights = ["--depth", "2", "--weights", pipe]
    code, _, err = call("train", *SMALL[:-1], "2", *weights, "--out", tmp_path / "run.jsonl")
    assert (code, err) == (2, f"nnlab: {pipe}: This is no file that can be replaced\n")
    assert pipe.is_fifo()


def test_failed_cells_are_said_and_tried_again(call, tmp_path, monkeypatch):
    def fail(*arguments: object) -> None:
        raise MemoryError("no room")

    out = tmp_path / "sweep.parquet"
    with monkeypatch.context() as patch:
        patch.setattr("nnlab.trainer.train_ends", fail)
        code, _, err = call("sweep", *SMALL, "--out", out)
    assert (code, err) == (2, "nnlab: 1 of 1 cells failed, the first because: MemoryError: no room\n")
    assert pd.read_parquet(out)["status"].tolist() == ["failed"]
    assert call("sweep", *SMALL, "--out", out)[0] == 0
    assert_equal(out, trained([BASE]))


def test_a_full_disk_is_said_in_one_line_and_leaves_an_old_table_alone(call, tmp_path, monkeypatch):
    out = tmp_path / "sweep.parquet"
    out.write_bytes(b"the old one")

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(source))

    monkeypatch.setattr(os, "replace", full)
    code, _, err = call("sweep", *SMALL, "--out", out)
    assert (code, err.count("\n")) == (2, 1)
    kept = "the finished cells are kept in sweep.parquet.cells"
    assert err == f"nnlab: {out}: No space left on device; {kept}\n"
    assert out.read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sweep.parquet", "sweep.parquet.cells"]
    monkeypatch.undo()
    assert "1 were finished before" in call("sweep", *SMALL, "--out", out)[1]
