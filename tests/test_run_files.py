"""Everything that leaves nnlab of one run: which files, in a folder, in a ZIP, by the command line."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nnlab
from nnlab import event_file, report, run_files
from nnlab.__main__ import main
from nnlab.charts import CHARTS
from nnlab.folder import to_zip, write_folder
from nnlab.run_files import ALL, FORMATS, USUAL, View, files_of, offered

TINY = nnlab.ExperimentConfig(dataset="iris", depth=2, width=4, steps=10)


@pytest.fixture(scope="module")
def run():
    return nnlab.train(TINY)


@pytest.fixture(scope="module")
def saved(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.jsonl"
    run.save(path)
    return path


def test_the_usual_files_are_what_the_contract_names(run):
    names = {file.name for file in files_of(View(run))}
    tabled = ("csv", "parquet")
    charts = {f"{run.label}-{name}.{ending}" for name in CHARTS for ending in ("svg", "png", *tabled)}
    tables = {f"{name}.{ending}" for name in ("metrics", "histograms", "layers") for ending in tabled}
    rest = {"report.html", "reproduce.py", "run.jsonl", "weights.safetensors", "README.md"}
    assert names == charts | tables | rest


def test_the_command_line_gives_the_same_bytes_as_the_buttons(run, saved, tmp_path, capsys, monkeypatch):
    # Every format of some charts; all charts are drawn below, for runs of any shape.
    some = {name: CHARTS[name] for name in ("loss", "delta_heatmap", "activation_histograms")}
    monkeypatch.setattr(run_files, "CHARTS", some)
    monkeypatch.setattr(report, "CHARTS", some)
    formats = [name for name in ALL if name != "printout"]  # tests/test_report.py writes that twice
    assert main(["export", str(saved), "--to", str(tmp_path), "--format", ",".join(formats)]) == 0
    printed = capsys.readouterr().out.splitlines()
    again = nnlab.load_run(saved)
    files = files_of(View(again), formats)
    assert sorted(printed) == sorted(str(tmp_path / file.name) for file in files)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(file.name for file in files)
    for file in files:
        assert (tmp_path / file.name).read_bytes() == file.make(), file.name
    # What the app offers is made of the run in memory, which has its model besides.
    for group in offered(View(run)).values():
        for file in group:
            if file.name not in ("weights.safetensors", "report.pdf"):
                assert (tmp_path / file.name).read_bytes() == file.make(), file.name


def test_the_list_says_what_every_file_and_column_is(run):
    files = files_of(View(run), ALL)
    guide = files[0].make().decode()
    for stem in {file.name.partition(".")[0] for file in files[1:]}:
        assert f"`{stem}" in guide
    assert "- `delta_norm`: " in guide
    assert "Not there" not in guide
    lone = nnlab.Run(None, "completed", run.layers, (), {"model": "Net"})
    assert "has no records; reproduce.py" in files_of(View(lone))[0].make().decode()


def test_step_and_theme_are_what_is_drawn(saved, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    flags = ["--format", "csv,vl.json", "--step", "4", "--theme", "dark"]
    assert main(["export", str(saved), "--to", str(folder), *flags]) == 0
    strip = pd.read_csv(folder / f"{TINY.dataset}-2x4-tanh-seed0-delta_strip.csv")
    assert set(strip["step"]) == {4}
    spec = json.loads((folder / "iris-2x4-tanh-seed0-loss.vl.json").read_text())
    assert spec["config"]["background"] == "#171614"


BAD = {
    "missing folder": (["--to", "nowhere"], "--to"),
    "a file": (["--to", "RUN"], "--to"),
    "unknown format": (["--to", ".", "--format", "gif"], "--format: 'gif' is not known; allowed: csv"),
    "unknown theme": (["--to", ".", "--theme", "pink"], "--theme: 'pink'"),
    "step beyond": (["--to", ".", "--step", "11"], "--step"),
    "step no number": (["--to", ".", "--step", "x"], "--step"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_writes_nothing(case, saved, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags, said = BAD[case]
    assert main(["export", str(saved), *(str(saved) if flag == "RUN" else flag for flag in flags)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_sentence_and_leaves_no_half_file(saved, tmp_path, monkeypatch, capsys):
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if "loss" in target.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(source))
        replace(source, target)

    some = {name: CHARTS[name] for name in ("delta_strip", "loss", "accuracy")}
    monkeypatch.setattr(run_files, "CHARTS", some)
    monkeypatch.setattr(os, "replace", full)
    assert main(["export", str(saved), "--to", str(tmp_path), "--format", "svg"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line
    left = {path.name for path in tmp_path.iterdir()}
    assert left
    assert not any("loss" in name or "partial" in name for name in left)


def test_a_zip_holds_every_file_and_is_the_same_every_time(run):
    files = files_of(View(run), ("csv", "vl.json", "run"))
    data = to_zip(files)
    assert data == to_zip(files)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {f.name: f.make() for f in files}


def test_weights_are_those_of_the_trained_network(run, tmp_path):
    from safetensors.torch import load_file

    (path,) = write_folder([f for f in files_of(View(run), ("weights",)) if f.name != "README.md"], tmp_path)
    weights = load_file(path)
    state = run.model.state_dict()
    assert weights.keys() == state.keys()
    assert all((weights[name] == state[name]).all() for name in state)


def test_every_file_has_a_safe_name_that_says_what_it_is():
    hostile = nnlab.train(TINY)
    run = nnlab.Run(None, "completed", hostile.layers, hostile.records, {"model": "../..\\<b>|con\0: x" * 9})
    for file in files_of(View(run), tuple(FORMATS)):
        assert Path(file.name).name == file.name
        assert len(file.name) < 120
        assert set(file.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


SHAPES = {
    "diverged": TINY.replace(activation="identity", learning_rate=1e10),
    "one layer": TINY.replace(depth=1, width=1, steps=1),
    "100 layers": TINY.replace(depth=100, width=2, steps=2),
    # Balanced labels, a full batch and weights of 0: every gradient is exactly 0.
    "stalled": TINY.replace(
        dataset="xor", samples=80, noise=0.0, initializer="zeros", batch_size=64, steps=40
    ),
}


# Reports of runs of any shape, with every chart as SVG: tests/test_report.py. What PNG adds, one shape shows.
SHORT = [name for name in USUAL if name not in ("svg", "png", "report")]
FORMATS_OF = {
    "diverged": [*SHORT, "png"],
    "one layer": SHORT,
    "100 layers": SHORT,
    "stalled": SHORT,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_runs_of_any_shape_are_exported_whole_and_say_how_they_ended(shape, tmp_path, capsys):
    run = nnlab.train(SHAPES[shape])
    assert run.status == (shape if shape in ("diverged", "stalled") else "completed")
    path = tmp_path / "run.jsonl"
    run.save(path)
    out = tmp_path / "out"
    out.mkdir()
    formats = FORMATS_OF[shape]
    assert main(["export", str(path), "--to", str(out), "--format", ",".join(formats)]) == 0
    assert run.ending in (out / "README.md").read_text()
    assert run.ending in capsys.readouterr().err
    assert all(file.stat().st_size for file in out.iterdir())
    assert len(list(out.iterdir())) == len(files_of(View(nnlab.load_run(path)), formats))


def test_without_a_format_the_usual_files_are_written(saved, tmp_path, monkeypatch):
    for module in (run_files, report):
        monkeypatch.setattr(module, "CHARTS", {"loss": CHARTS["loss"]})
    assert main(["export", str(saved), "--to", str(tmp_path)]) == 0
    wanted = {file.name for file in files_of(View(nnlab.load_run(saved)), USUAL)}
    assert {path.name for path in tmp_path.iterdir()} == wanted


# TensorBoard


def test_tensorboard_reads_the_same_numbers_and_histograms(run, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = [f for f in files_of(View(run), ("tensorboard",)) if f.name != "README.md"]
    list(write_folder([file], tmp_path))
    read = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0, "histograms": 0})
    read.Reload()
    steps, values = run.series("delta_norm")
    got = read.Scalars("delta_norm/hidden_1")
    assert [event.step for event in got] == steps.tolist()
    assert np.allclose([event.value for event in got], values[:, 0], rtol=1e-6)
    assert [e.step for e in read.Scalars("network/loss")] == run.steps.tolist()
    histogram = read.Histograms("pre_activation/hidden_2")[-1].histogram_value
    frame = run.histograms.query("layer == 'hidden_2' and quantity == 'pre_activation' and step == 10")
    assert histogram.num == frame["count"].sum() == sum(histogram.bucket)
    record = run.records[-1]
    mean = histogram.sum / histogram.num
    assert mean == pytest.approx(record.layers["pre_activation_mean"][1], abs=0.11)  # half a bin


def test_without_tensorboard_one_sentence_says_what_to_do(saved, tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main(["export", str(saved), "--to", str(tmp_path), "--format", "tensorboard"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"nnlab: {event_file.MISSING}"
    assert not list(tmp_path.iterdir())
