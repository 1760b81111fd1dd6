"""reproduce.py: scripts of plain PyTorch, run where there is no nnlab, print the numbers of the runs."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import math
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nnlab
from nnlab.datasets import Data, load_pixels
from nnlab.reproduction import script
from nnlab.run import LayerInfo, Run, StepRecord
from nnlab.runfile import load_run
from nnlab.trainer import train, train_together
from nnlab.trajectory import Plan

ODD_NAME = """it's "odd" \\ {x} \N{GREEK SMALL LETTER PHI}\nSTEPS NAME CODE"""
HARD_NAME = '"""\nraise SystemExit("injected")\n"""'
COLUMNS = ("delta_norm", "weight_grad_norm", "slope_mean", "saturation", "activation_std")

# name -> fields of a small experiment. What is not said is as in `_config`.
CASES: dict[str, dict[str, Any]] = {
    "sgd": {"weight_decay": 0.01},
    "momentum": {"optimizer": "momentum", "clip_norm": 0.3, "normalization": "batch"},
    "adam": {"optimizer": "adam", "weight_decay": 0.1, "learning_rate": 0.01, "initializer": "lsuv"},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.01, "normalization": "layer", "clip_norm": 0.05},
    "adamw_decay": {"optimizer": "adamw", "weight_decay": 0.1, "learning_rate": 0.01},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 0.003, "weight_decay": 0.1, "dataset": "wine"},
    "residual": {"residual": True, "depth": 5, "width": 4, "activation": "relu", "dataset": "iris"},
    "residual_norm": {"residual": True, "normalization": "batch", "initializer": "lsuv", "gain": 1.3},
    "residual_shallow": {"residual": True, "depth": 1},
    "mse": {"loss": "mse", "dataset": "xor", "noise": 0.2, "samples": 300},
    "gain": {"gain": 1.7, "initializer": "lsuv", "dataset": "breast_cancer"},
    "whole_batch": {"dataset": "moons", "samples": 101, "noise": 0.2, "batch_size": 200},
    "circles": {"dataset": "circles", "samples": 203, "noise": 0.05, "clip_norm": 0.1},
    "spiral": {"dataset": "spiral", "samples": 151, "noise": 0.0, "optimizer": "adam"},
    "blobs": {"dataset": "blobs", "samples": 150, "noise": 1.0},
    "gaussian": {"dataset": "gaussian", "samples": 400, "activation": "step", "depth": 3},
    "too_few": {"dataset": "gaussian", "samples": 17, "batch_size": 4},
    "digits": {"dataset": "digits", "width": 20, "depth": 6, "activation": "sigmoid", "batch_size": 128},
    "seldom": {"steps": 37, "record_every": 5, "seed": 4_294_967_295},
    "diverged": {"activation": "relu", "learning_rate": 1e6, "depth": 3, "record_every": 7},
    "diverged_at_once": {"gain": 1e39},
    "update_overflow": {"learning_rate": 1e39, "record_every": 9},
    "stalled": {"dataset": "xor", "samples": 80, "noise": 0.0, "initializer": "zeros", "batch_size": 64},
}
CASES |= {
    f"activation_{name}": {"activation": name, "dataset": "wine", "seed": number}
    for number, name in enumerate(nnlab.ACTIVATIONS)
}
CASES |= {
    f"initializer_{name}": {"initializer": name, "dataset": "wine", "seed": number, "width": 9}
    for number, name in enumerate(nnlab.INITIALIZERS)
}
OTHERS = (
    "csv_classes", "csv_classes_mse", "csv_regression", "csv_features", "csv_commas", "csv_killed",
    "stopped", "stopped_at_a_record",
    "timed_out", "interrupted", "damaged", "no_biases", "no_biases_drawn", "pixels", "running", "moved",
)  # fmt: skip
OTHER_FILE = "moved_to_another"  # the script of "moved" once more, which is told another file
# The engine multiplies by softsign's derivative, which torch.nn.Softsign's backward pass rounds differently.
NOT_BITS = ("activation_softsign",)

Numbers = tuple[list[tuple[int, str]], list[list[str]]]


def _config(**fields: Any) -> nnlab.ExperimentConfig:
    small = {"dataset": "iris", "depth": 2, "width": 7, "batch_size": 16, "steps": 30, "record_every": 1}
    return nnlab.ExperimentConfig(**small | fields)


def _csv_text() -> str:
    """Write a table with everything that is left out or filled up, and names that hurt."""
    draw = np.random.default_rng(0)
    rows = [
        f"{a!r},{b!r},{'abc'[int(a > 0) + int(b > 0)]},{a * b!r}"
        for a, b in draw.standard_normal((60, 2)).tolist()
    ]
    rows[5:5] = ["NA,1,a,1", "1,2,a", "1,2", "", "1e999,2,b,1", ' 0.5 ," 1e-3 ", b ,-inf', "1,2,None,3"]
    odd, hard = (name.replace('"', '""') for name in (ODD_NAME, HARD_NAME))
    return f'\ufeffa,"{odd}","{hard}",number\r\n' + "\r\n".join(rows) + "\r\n"


def _moved(run: Run) -> Run:
    """Give a run whose file is no longer where it was."""
    assert run.config is not None
    return replace(run, config=run.config.replace(csv_path="gone.csv"))


def _csv_runs(folder: Path) -> dict[str, Run]:
    path = folder / 'it\'s a "table" \\n.csv'
    path.write_bytes(_csv_text().encode())
    table = {"dataset": "csv", "csv_path": str(path), "target": HARD_NAME}
    features = train(_config(**table | {"csv_path": str(_plain_csv(folder)), "target": "y"}))
    return {
        "csv_classes": train(_config(**table, features=("a", ODD_NAME))),
        "csv_classes_mse": train(_config(**table, features=("number", ODD_NAME), loss="mse")),
        "csv_regression": train(
            _config(**table | {"target": "number"}, features=(ODD_NAME, "a"), loss="mse", activation="gelu")
        ),
        "csv_features": features,
        "moved": _moved(features),
        **_european_runs(folder),
    }


def _european_runs(folder: Path) -> dict[str, Run]:
    """Train on a table of semicolons, decimal commas, row numbers and a constant; one run is killed."""
    path = folder / "european.csv"
    rows = [f'{i};{i % 11},5;{i * i % 7}; 3,0 ;"{i * i % 13},25"' for i in range(40)]
    path.write_text("\n".join(["", ";a; b;c;number", *rows, ";;;;"]))
    table = {"dataset": "csv", "csv_path": str(path), "target": "number"}
    return {
        "csv_commas": train(_config(**table, loss="mse", batch_size=99)),
        "csv_killed": _killed(_config(**table, steps=9), folder),
    }


def _plain_csv(folder: Path) -> Path:
    path = folder / "plain.csv"
    path.write_text(
        "a,b,c,y\n" + "".join(f"{i % 11},{i * i % 7},1,{'yes' if i % 3 else 'no'}\n" for i in range(40))
    )
    return path


def _stopped_at(step: int, **fields: Any) -> Run:
    stop = threading.Event()
    return train(_config(**fields), lambda run, record: record.step == step and stop.set(), stop)


def _interrupted(folder: Path) -> Run:
    """Give a run whose process was killed: its file has no end, and so no notes."""
    return _killed(_config(dataset="digits", batch_size=2000, steps=9), folder)


def _killed(config: nnlab.ExperimentConfig, folder: Path) -> Run:
    path = folder / "run.jsonl"
    train(config).save(path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    return load_run(path)


def _lesson_run(data: Data | None = None, **fields: Any) -> Run:
    (trajectory,) = train_together([Plan(_config(**fields), data, bias=data is not None)])
    return trajectory.run


def _other_runs(folder: Path) -> dict[str, Run]:
    """Train what a configuration alone does not say."""
    regular = train(_config(steps=20, record_every=2))
    interrupted = _interrupted(folder)
    assert (interrupted.status, "constant" in str(interrupted.notes)) == ("interrupted", False)
    return {
        **_csv_runs(folder),
        "stopped": _stopped_at(14, steps=500, record_every=7),
        "stopped_at_a_record": _stopped_at(4),
        "timed_out": replace(_stopped_at(6), status="timed_out"),
        "interrupted": interrupted,
        "damaged": replace(regular, records=regular.records[:3] + regular.records[5:]),
        "no_biases": _lesson_run(activation="relu"),
        "no_biases_drawn": _lesson_run(initializer="pytorch_default"),
        "pixels": _lesson_run(load_pixels(), dataset="digits"),
        "running": regular.until(8),
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Run]:
    """Train all cases."""
    made = _other_runs(tmp_path_factory.mktemp("tables"))
    assert set(made) == set(OTHERS)
    return {name: train(_config(**fields)) for name, fields in CASES.items()} | made


# One process for all scripts, since importing torch and scikit-learn takes seconds.
RUN_ALL = """
import contextlib, pathlib, runpy, sys
sys.modules["nnlab"] = None  # importing it fails
for path in sorted(pathlib.Path().glob("*.py")):
    sys.argv = [str(path), *sorted(map(str, pathlib.Path(path.stem).glob("*.csv")))]
    print(path, file=sys.stderr)
    with open(path.with_suffix(".txt"), "w") as out, contextlib.redirect_stdout(out):
        runpy.run_path(str(path))
"""


@pytest.fixture(scope="module")
def printed(runs: Mapping[str, Run], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Numbers]:
    """Run all scripts in an empty folder of a process without nnlab."""
    folder = tmp_path_factory.mktemp("scripts")
    for name, run in runs.items():
        (folder / f"{name}.py").write_text(script(run), encoding="utf-8")
    for name in ("moved", OTHER_FILE):  # what is in a folder of its name, a script is told
        (folder / name).mkdir()
        _plain_csv(folder / name)
    (folder / f"{OTHER_FILE}.py").write_text(script(runs["moved"]), encoding="utf-8")
    other = folder / OTHER_FILE / "plain.csv"
    other.write_text(other.read_text().replace("10,", "12,", 1))
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", RUN_ALL], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    # Nothing but the names: no warning, but the one of other data than the run's where they are.
    said = [f"{name}.py" for name in sorted([*runs, OTHER_FILE])]
    said.insert(said.index(f"{OTHER_FILE}.py") + 1, "warning: these are not exactly the data of the run")
    assert done.stderr.splitlines() == said
    return {name: _parse((folder / f"{name}.txt").read_text()) for name in [*runs, OTHER_FILE]}


def _parse(text: str) -> Numbers:
    losses, table = text.split("\n\n")
    pairs = [line.split(" ") for line in losses.splitlines()]
    return [(int(step), loss) for step, loss in pairs], [line.split(" ") for line in table.splitlines()]


def _wanted(run: Run, metric: str) -> list[float]:
    """Give a metric of the last record for all layers, NaN where the output has none."""
    values = run.records[-1].layers[metric].tolist()
    return values + [math.nan] * (len(run.layers) - len(values))


every_case = pytest.mark.parametrize("name", [*CASES, *OTHERS])


@every_case
def test_a_script_prints_the_steps_and_losses_of_the_run(
    runs: Mapping[str, Run], printed: Mapping[str, Numbers], name: str
) -> None:
    run, losses = runs[name], printed[name][0]
    assert [step for step, _ in losses] == run.steps.tolist()
    wanted = [record.network["loss"] for record in run.records]
    assert [float(loss) for _, loss in losses] == pytest.approx(wanted, rel=1e-6, nan_ok=True)
    if name not in NOT_BITS:
        assert [loss for _, loss in losses] == [repr(loss) for loss in wanted]


@every_case
def test_a_script_prints_the_layers_of_the_last_record(
    runs: Mapping[str, Run], printed: Mapping[str, Numbers], name: str
) -> None:
    run, (header, *rows) = runs[name], printed[name][1]
    assert header == ["layer", *COLUMNS]
    assert [row[0] for row in rows] == [layer.name for layer in run.layers]
    for column, metric in enumerate(COLUMNS, start=1):
        found = [float(row[column]) for row in rows]
        digits = 1e-6 if metric == "delta_norm" else 1e-5
        assert found == pytest.approx(_wanted(run, metric), rel=digits, abs=1e-30, nan_ok=True), metric


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("sgd", "completed"), ("diverged", "diverged"), ("diverged_at_once", "diverged"),
        ("update_overflow", "diverged"), ("stalled", "stalled"), ("stopped", "stopped"),
    ],
)  # fmt: skip
def test_the_cases_end_as_they_are_meant_to(runs: Mapping[str, Run], name: str, status: str) -> None:
    assert runs[name].status == status


@pytest.mark.parametrize(
    ("name", "part", "is_there"),
    [
        ("digits", "is_constant", True), ("sgd", "is_constant", False), ("interrupted", "is_constant", True),
        ("too_few", "stratify", False), ("csv_regression", "stratify", False), ("sgd", "stratify", True),
        ("whole_batch", "BATCH_SIZE]", False), ("interrupted", "BATCH_SIZE]", False),
        ("sgd", "BATCH_SIZE]", True),
        ("diverged_at_once", "isnan", True), ("diverged", "isnan", True), ("stalled", "isnan", False),
        ("damaged", "step in RECORDED_STEPS", True), ("stopped", "RECORD_EVERY = 7", True),
        ("no_biases", "bias=False", True), ("pixels", "x / 16", True), ("pixels", "x[train].mean", False),
    ],
)  # fmt: skip
def test_a_script_has_what_its_run_needs_and_no_more(
    runs: Mapping[str, Run], name: str, part: str, is_there: bool
) -> None:
    assert (part in script(runs[name])) is is_there


def test_a_new_activation_of_torch_needs_its_registry_entry_only(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = replace(nnlab.ACTIVATIONS["tanh"], module="Tanhshrink")
    monkeypatch.setitem(nnlab.ACTIVATIONS, "tanh", entry)
    assert "self.activation = nn.Tanhshrink()" in script(_fake_run(activation="tanh"))


def test_a_run_broken_off_between_records_is_reprinted_to_its_end(runs: Mapping[str, Run]) -> None:
    assert runs["stopped"].steps.tolist() == [0, 7, 14, 15]
    assert runs["diverged"].steps[-1] % 7


def test_a_script_says_the_experiment_its_versions_its_end_and_its_command(tmp_path: Path) -> None:
    run = _stopped_at(4, dataset="digits")
    text = ast.get_docstring(ast.parse(script(run)))
    assert text is not None
    flat = " ".join(text.split())
    for part in (
        run.title,
        run.environment["torch"],
        run.environment["cpu_capability"],
        "stopped",
        *run.notes,
    ):
        assert part in flat
    assert "python reproduce.py" in flat
    assert "# of 30; then the run was stopped" in script(run)


def test_a_script_takes_another_file(runs: Mapping[str, Run], printed: Mapping[str, Numbers]) -> None:
    """That it warns of other data than the run's is read off what all scripts say, when they are run."""
    losses, _ = printed[OTHER_FILE]
    assert [step for step, _ in losses] == runs["moved"].steps.tolist()


def test_a_script_of_a_killed_run_opens_no_file_that_the_run_names(
    runs: Mapping[str, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may have written a run file, and a server makes scripts of it."""
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was opened"))
    monkeypatch.setattr("builtins.open", lambda *args, **kwargs: pytest.fail(f"{args} was opened"))
    run = runs["csv_killed"]
    assert (run.status, run.notes) == ("interrupted", ())
    assert 'delimiter=";"' in script(run)


def _fake_run(**fields: Any) -> Run:
    """Make a run that was never trained, for its script's text."""
    config = _config(**fields)
    layers = tuple(
        LayerInfo(name, number, "tanh", (3, 3))
        for number, name in enumerate(("hidden_1", "hidden_2", "output"), 1)
    )
    numbers = {"slope_mean": np.ones(config.depth)}
    records = tuple(StepRecord(step, numbers, {"loss": 1.0}) for step in config.recorded_steps)
    environment = {"torch": "2.13.0", "dataset_sha256": "0" * 64}
    return Run(config, "completed", layers, records, environment)


def _variants() -> list[dict[str, Any]]:
    """List every entry of every registry, and what goes with what in other ways."""
    registries = {
        "activation": nnlab.ACTIVATIONS, "initializer": nnlab.INITIALIZERS, "dataset": nnlab.DATASETS,
    }  # fmt: skip
    single = [{field: name} for field, registry in registries.items() for name in registry]
    mixed = itertools.product(
        ("sgd", "momentum", "adam", "adamw", "rmsprop"),
        ("none", "batch", "layer"),
        (False, True),
        (None, 0.5),
    )
    return single + [
        {
            "optimizer": optimizer,
            "normalization": norm,
            "residual": residual,
            "clip_norm": clip,
            "weight_decay": 0.1,
        }
        for optimizer, norm, residual, clip in mixed
    ]


@pytest.mark.parametrize("fields", _variants(), ids=lambda fields: "-".join(map(str, fields.values())))
def test_every_configuration_has_a_script_without_nnlab(fields: dict[str, Any]) -> None:
    tree = ast.parse(script(_fake_run(**fields)))
    imported = {
        alias.name.partition(".")[0] if isinstance(node, ast.Import) else str(node.module).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported <= {"csv", "hashlib", "math", "sys", "numpy", "sklearn", "torch"}


@pytest.mark.parametrize("name", nnlab.DATASETS)
def test_every_dataset_but_a_file_has_code(name: str) -> None:
    entry = nnlab.DATASETS[name]
    assert bool(entry.code) != entry.needs_file


@pytest.mark.parametrize("name", nnlab.INITIALIZERS)
def test_an_initializers_code_draws_what_it_fills(name: str) -> None:
    entry = nnlab.INITIALIZERS[name]
    for fan_in, fan_out in itertools.product((1, 2, 3, 7, 10, 64, 100, 513), (1, 5, 64)):
        linear = torch.nn.Linear(fan_in, fan_out)
        generator = torch.Generator().manual_seed(fan_in)
        exec(entry.code, {"linear": linear, "generator": generator, "nn": torch.nn, "math": math})
        wanted = torch.empty(fan_out, fan_in)
        entry.fill(wanted, torch.Generator().manual_seed(fan_in))
        assert torch.equal(linear.weight, wanted), (fan_in, fan_out)


def test_a_script_holds_nothing_that_its_configuration_does_not_need() -> None:
    text = script(_fake_run())
    for word in (
        "csv",
        "GAIN",
        "CLIP_NORM",
        "WEIGHT_DECAY",
        "SAMPLES",
        "norm =",
        "is_residual",
        "lsuv",
        "isnan",
    ):
        assert word not in text, word


@pytest.mark.skipif(importlib.util.find_spec("ruff") is None, reason="ruff is a development package")
def test_scripts_are_clean_and_formatted(tmp_path: Path) -> None:
    for number, fields in enumerate(_variants()):
        (tmp_path / f"script_{number}.py").write_text(script(_fake_run(**fields)), encoding="utf-8")
    # Names of a file's columns are written as Python writes them, in single quotes.
    keep_quotes = ["--config", "format.quote-style='preserve'"]
    for command in (["check", "--select", "E,F,I"], ["format", "--diff", *keep_quotes]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "."],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


HOSTILE = ('"""\nraise SystemExit(1)\n"""', "\\", "\\\n", "'", '"', "\N{NULL}\r\u2028\ud800", "x" * 10_000)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_of_a_run_becomes_code(text: str) -> None:
    run = _fake_run(dataset="csv", csv_path=text, target=text, features=(text, "b"))
    names = ("nnlab", "torch", "python", "cpu_capability", "threads", "dataset_sha256")
    hostile = replace(run, environment=dict.fromkeys(names, text), notes=(text, text), status=text)
    tree = ast.parse(script(hostile).encode())
    plain = ast.parse(script(replace(hostile, environment={}, notes=(), status="completed")))
    # Without the docstring, both are the same statements, and the names come back as they were.
    assert [ast.dump(node) for node in tree.body[1:]] == [ast.dump(node) for node in plain.body[1:]]
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert constants.count(text) >= 3


def test_a_model_that_nnlab_did_not_build_has_no_script() -> None:
    with pytest.raises(ValueError, match="config"):
        script(replace(_fake_run(), config=None))


def test_a_run_without_records_has_no_script() -> None:
    with pytest.raises(ValueError, match="records"):
        script(replace(_fake_run(), records=()))
