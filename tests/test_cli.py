"""The command line: exit codes, files, and one line for whatever is wrong."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import nnlab
from nnlab.__main__ import main
from nnlab.config import FIELDS
from nnlab.runfile import load_run
from nnlab.runwriter import RunWriter

ROOT = Path(__file__).resolve().parents[1]
TINY = ["--depth", "2", "--width", "4", "--batch-size", "16", "--steps", "5"]
SMALL = ["--dataset", "iris", *TINY]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


Call = Callable[..., Outcome]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Run a command in this process; give its exit code and what it printed."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            code: Any = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code
        except KeyboardInterrupt:  # would end pytest itself
            code = "KeyboardInterrupt"
        return Outcome(code, *capsys.readouterr())

    before = signal.getsignal(signal.SIGINT)
    yield call
    signal.signal(signal.SIGINT, before)


def _python(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    return subprocess.Popen([sys.executable, *arguments], cwd=ROOT, **pipes, **options)


def _start_long_run(out: Path) -> subprocess.Popen[str]:
    """Start a run that would take minutes, and wait for its first records."""
    process = _python("-m", "nnlab", "train", *SMALL[:-1], "20000", "--record-every", "10", "--out", str(out))
    give_up_at = time.monotonic() + 60
    while not (out.exists() and out.read_bytes().count(b"\n") > 5):
        assert time.monotonic() < give_up_at
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.01)
    return process


def test_import_loads_neither_torch_nor_altair() -> None:
    code = """
import sys, nnlab
heavy = {"torch", "altair", "pandas", "numpy", "sklearn", "scipy", "streamlit"}
print(sorted(heavy & set(sys.modules)))
nnlab.ExperimentConfig(), nnlab.ACTIVATIONS, nnlab.INITIALIZERS, nnlab.DATASETS, nnlab.METRICS
nnlab.Run, nnlab.Finding, nnlab.load_run
print(sorted({"torch", "altair", "sklearn", "streamlit"} & set(sys.modules)))
"""
    out, err = _python("-W", "error", "-c", code).communicate(timeout=60)
    assert (out, err) == ("[]\n[]\n", "")


def test_a_real_run_writes_a_readable_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    process = _python("-W", "error", "-m", "nnlab", "train", *SMALL, "--out", str(path))
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "completed at step 5" in out
    run = load_run(path)
    assert (run.status, run.steps.tolist()) == ("completed", [0, 1, 2, 3, 4, 5])


def test_an_interrupt_ends_with_130_and_keeps_the_records(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    process = _start_long_run(path)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert time.monotonic() - asked < 20
    run = load_run(path)
    assert run.status == "interrupted"
    # Every tenth step, and where the run was broken off.
    assert run.steps.tolist()[:-1] == list(range(0, 10 * (len(run.records) - 1), 10))
    assert run.records[-1].is_probe
    assert f"step {run.records[-1].step}" in out
    assert not any("cut off" in note or "damaged" in note for note in run.notes)


def test_a_killed_run_keeps_the_records(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    process = _start_long_run(path)
    process.kill()
    process.communicate(timeout=30)
    run = load_run(path)
    assert run.status == "interrupted"
    assert len(run.records) >= 4


def test_train_writes_the_run_of_its_flags(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    flags = ["--activation", "relu", "--seed", 3, "--residual", "--clip-norm", "0.5", "--optimizer", "adam"]
    outcome = call("train", *SMALL, *flags, "--out", path)
    assert (outcome.code, outcome.err) == (0, "")
    config = nnlab.ExperimentConfig(
        dataset="iris",
        depth=2,
        width=4,
        batch_size=16,
        steps=5,
        activation="relu",
        seed=3,
        residual=True,
        clip_norm=0.5,
        optimizer="adam",
    )
    run = load_run(path)
    assert (run.config, run.status) == (config, "completed")
    assert [r.network["loss"] for r in run.records] == [
        r.network["loss"] for r in nnlab.train(config).records
    ]


def test_every_field_has_a_flag_that_takes_its_default(call: Call, tmp_path: Path) -> None:
    flags: list[str] = []
    for name, field in FIELDS.items():
        flag = "--" + name.replace("_", "-")
        text = field.format(getattr(nnlab.ExperimentConfig(steps=1), name))
        flags += ["--no-residual"] if name == "residual" else [flag, text]
    assert call("train", *flags, "--out", tmp_path / "run.jsonl").code == 0
    assert load_run(tmp_path / "run.jsonl").config == nnlab.ExperimentConfig(steps=1)


def test_a_csv_file_is_trained_on(call: Call, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("a,b,y\n" + "".join(f"{i},{i % 5},{i % 2}\n" for i in range(40)))
    chosen = ["--dataset", "csv", "--csv-path", table, "--target", "y", "--features", "a,b"]
    outcome = call("train", *TINY, *chosen, "--out", tmp_path / "run.jsonl")
    assert outcome.code == 0
    assert load_run(tmp_path / "run.jsonl").config.features == ("a", "b")


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_weights_are_those_of_the_run(call: Call, tmp_path: Path, normalization: str) -> None:
    from safetensors.torch import load_file

    path = tmp_path / "trained.safetensors"
    assert call("train", *SMALL, "--normalization", normalization, "--weights", path).code == 0
    config = nnlab.ExperimentConfig(
        dataset="iris", depth=2, width=4, batch_size=16, steps=5, normalization=normalization
    )
    wanted, saved = nnlab.train(config).model.state_dict(), load_file(path)
    assert saved.keys() == wanted.keys()
    assert all(torch.equal(saved[name], wanted[name]) for name in wanted)
    assert [file.name for file in tmp_path.iterdir()] == ["trained.safetensors"]


def test_a_diverged_run_is_a_result(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    outcome = call("train", *SMALL, "--activation", "identity", "--learning-rate", "1e6", "--out", path)
    assert (outcome.code, outcome.err) == (0, "")
    assert "diverged at step" in outcome.out
    assert load_run(path).status == "diverged"


def test_nothing_is_written_without_out(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("train", *SMALL).code == 0
    assert list(tmp_path.iterdir()) == []


def test_train_leaves_the_handling_of_interrupts_as_it_was(call: Call) -> None:
    before = signal.getsignal(signal.SIGINT)
    call("train", *SMALL)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_while_loading_ends_with_130(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nnlab.__main__.load_run", interrupt)
    outcome = call("show", "run.jsonl")
    assert (outcome.code, outcome.out) == (130, "")
    assert "Traceback" not in outcome.err


def test_a_full_disk_is_one_line(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    outcome = call("train", *SMALL, "--out", tmp_path / "run.jsonl")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "nnlab: run.jsonl: No space left on device; 6 of 6 records are not in the file"
    ]
    assert "completed" in outcome.out


def test_a_disk_that_fills_on_the_way_ends_neither_the_training_nor_the_file(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, write = [12_000], os.write

    def fill(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        done = write(file, data[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr(os, "write", fill)
    outcome = call("train", *SMALL, "--out", tmp_path / "run.jsonl")
    monkeypatch.undo()
    count = len(load_run(tmp_path / "run.jsonl").records)
    assert 0 < count < 6
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        f"nnlab: run.jsonl: No space left on device; {6 - count} of 6 records are not in the file"
    ]
    assert "completed at step 5" in outcome.out


def test_a_file_that_another_run_writes_is_left_to_it(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    writer = RunWriter(path)
    outcome = call("train", *SMALL, "--out", path)
    assert outcome.code == 2
    assert outcome.err == "nnlab: run.jsonl: another training run is writing to this file\n"
    assert path.read_bytes() == b""
    del writer


# One bad value for every flag, and what the line must say is allowed.
BAD_VALUES = {
    "dataset": ("mnist", "digits, iris"),
    "samples": ("9", "10 to 100,000"),
    "noise": ("11", "0 to 10"),
    "depth": ("0", "1 to 100"),
    "width": ("2000", "1 to 1,024"),
    "activation": ("softmax", "sigmoid, tanh, relu"),
    "initializer": ("xavier", "xavier_uniform"),
    "gain": ("0", "> 0"),
    "normalization": ("group", "none, batch, layer"),
    "optimizer": ("lion", "sgd, momentum, adam, adamw, rmsprop"),
    "learning_rate": ("inf", "a finite number > 0"),
    "weight_decay": ("nan", ">= 0"),
    "batch_size": ("1_000", "1 to 4,096"),
    "steps": ("20001", "1 to 20,000"),
    "clip_norm": ("off", "> 0, or none"),
    "loss": ("hinge", "cross_entropy, mse"),
    "seed": ("4294967296", "0 to 4,294,967,295"),
    "record_every": ("0", "or auto"),
}
NEGATIVE = [
    (name, value)
    for name in ("depth", "learning_rate", "noise")
    for value in ("-1", "-0.5", "-1e5", "-inf", "-٣")
]


def _assert_one_line(outcome: Outcome, *parts: object) -> None:
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.endswith("\n")
    (line,) = outcome.err.splitlines()
    assert [str(part) for part in parts if str(part) not in line] == []
    assert "Traceback" not in line


def test_every_flag_with_a_range_has_a_bad_value_here() -> None:
    assert set(BAD_VALUES) == {
        n for n, field in FIELDS.items() if field.kind in ("choice", "integer", "number")
    }


@pytest.mark.parametrize("name", BAD_VALUES)
def test_a_bad_value_is_one_line_with_flag_value_and_what_is_allowed(call: Call, name: str) -> None:
    value, allowed = BAD_VALUES[name]
    flag = "--" + name.replace("_", "-")
    for arguments in ([flag, value], [f"{flag}={value}"], [f"{flag}="]):
        shown = "''" if arguments[-1].endswith("=") else value
        _assert_one_line(call("train", *arguments), f"{flag}:", shown, allowed)


@pytest.mark.parametrize(("name", "value"), NEGATIVE)
def test_a_negative_number_is_one_line_with_flag_and_value(call: Call, name: str, value: str) -> None:
    flag = "--" + name.replace("_", "-")
    _assert_one_line(call("train", flag, value), flag, value, FIELDS[name].allowed)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["train", "--dpeth", "3"], ["--dpeth"]),
        (["train", "--dep", "3"], ["--dep"]),
        (["train", "--depth"], ["--depth"]),
        (["train", "--residual=maybe"], ["--residual", "maybe"]),
        (["train", "3"], ["3"]),
        (["train", "a\nb"], ["a"]),
        (["train", "--normalization", "batch", "--batch-size", "1"], ["--batch-size", "1", "2 to 4,096"]),
        (["train", "--depth", "100", "--width", "1024", "--batch-size", "4096"], ["--width", "1024", "20"]),
        (["train", "--dataset", "csv"], ["--csv-path"]),
        (["train", "--dataset", "csv", "--csv-path", "no.csv"], ["--csv-path", "no.csv"]),
        (["train", "--out", "no/such/run.jsonl"], ["--out", "no/such"]),
        (["train", "--out", "."], ["--out", "'.'"]),
        (["train", "--out", "no\nsuch/run.jsonl"], ["--out"]),
        (["train", "--weights", "no/such/w.safetensors"], ["--weights", "no/such"]),
        (["show", "missing.jsonl"], ["missing.jsonl", "No such file"]),
        (["show", "."], ["directory"]),
        (["show", str(Path(__file__))], ["test_cli.py"]),
        (["show"], ["file"]),
        (["show", "run.jsonl", "--all"], ["--all"]),
        (["fly"], ["fly", "train", "show"]),
        ([], ["command"]),
    ],
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else None,
)
def test_whatever_is_wrong_is_one_line(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], parts: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _assert_one_line(call(*arguments), *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["unknown target", "text in a feature", "a name of two lines"])
def test_an_odd_csv_file_is_one_line_and_leaves_the_old_run(call: Call, tmp_path: Path, kind: str) -> None:
    table, old = tmp_path / "table.csv", tmp_path / "run.jsonl"
    head = '"a\nb",y' if kind == "a name of two lines" else "a,y"
    cell = "x" if kind == "text in a feature" else "1"
    table.write_text(f"{head}\n" + f"{cell},0\n2,1\n" * 20)
    old.write_text("the old one")
    target = "y" if kind == "text in a feature" else "z"
    chosen = ["--dataset", "csv", "--csv-path", table, "--target", target]
    flag = "--features" if kind == "text in a feature" else "--target"
    _assert_one_line(call("train", *TINY, *chosen, "--out", old), f"{flag}:")
    assert old.read_text() == "the old one"


def test_a_numeric_target_of_too_many_values_is_pointed_to_mse(call: Call, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("a,y\n" + "".join(f"{i},{i / 4}\n" for i in range(120)))
    chosen = ["--dataset", "csv", "--csv-path", table, "--target", "y"]
    _assert_one_line(call("train", *TINY, *chosen), "--target", "120", "mse")
    assert call("train", *TINY, *chosen, "--loss", "mse").code == 0


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a run with findings."""
    path = tmp_path_factory.mktemp("saved") / "run.jsonl"
    config = nnlab.ExperimentConfig(dataset="iris", depth=10, width=8, activation="sigmoid", steps=20)
    nnlab.train(config).save(path)
    return path


def test_show_prints_the_verdict_and_the_layer_table(call: Call, saved: Path) -> None:
    outcome = call("show", saved)
    run = load_run(saved)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{run.title}\ncompleted at step 20: ")
    for finding in run.findings:
        assert f"{finding.severity}: {finding.title}" in outcome.out
        assert finding.explanation in outcome.out
    head, *rows = outcome.out.partition("\n\n")[2].splitlines()
    assert {"layer", "delta_norm", "saturation", "dead_units"} <= set(head.split())
    assert [row.split()[0] for row in rows] == [*(f"hidden_{i}" for i in range(1, 11)), "output"]
    norm = run.records[-1].layers["delta_norm"][0]
    assert f"{norm:.3g}" in rows[0]


def test_a_terminal_that_knows_only_ascii_gets_the_verdict_too(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    assert main(["show", str(saved)]) == 0
    assert b"completed at step 20" in written.getvalue()


def test_show_finds_the_vanishing_gradient(call: Call, saved: Path) -> None:
    assert {finding.kind for finding in load_run(saved).findings} >= {"vanishing"}
    assert "hidden_1" in call("show", saved).out


def test_show_says_that_a_network_is_healthy(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    nnlab.train(nnlab.ExperimentConfig(steps=50)).save(path)
    outcome = call("show", path)
    assert outcome.code == 0
    assert "healthy" in outcome.out


def test_show_reads_a_cut_file_and_says_so(call: Call, saved: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(saved.read_bytes()[:-1000])
    outcome = call("show", cut)
    assert outcome.code == 0
    assert "interrupted at step" in outcome.out
    assert "cut off" in outcome.out


def test_show_reads_a_file_with_only_its_header(call: Call, saved: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(saved.read_bytes().splitlines(keepends=True)[0])
    outcome = call("show", cut)
    assert outcome.code == 0
    assert "no records" in outcome.out


def test_train_prints_the_same_verdict_as_show(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    trained = call("train", *SMALL, "--out", path).out
    assert call("show", path).out.startswith(trained)


def test_heal_says_what_was_changed_and_what_came_of_it(call: Call) -> None:
    flags = ["--depth", 10, "--width", 16, "--activation", "sigmoid", "--steps", 60, "--record-every", 20]
    outcome = call("heal", *flags)
    assert (outcome.code, outcome.err) == (0, "")
    first, second = outcome.out.splitlines()[:2]
    assert first.startswith("digits · 10 x 16 sigmoid · ")
    assert "Vanishing gradient, severe" in first
    assert second.startswith("activation sigmoid → tanh: R ")
    assert "Vanishing" not in second


def test_heal_names_the_flag_that_cannot_be_used(call: Call) -> None:
    outcome = call("heal", "--depth", 0)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("nnlab: --depth: ")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["show", "--help"]], ids=" ".join)
def test_help_is_no_error(call: Call, arguments: list[str]) -> None:
    outcome = call(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert "usage: nnlab" in outcome.out


def test_help_lists_every_flag_with_its_default(call: Call) -> None:
    text = " ".join(call("train", "--help").out.split())
    for name, field in FIELDS.items():
        assert "--" + name.replace("_", "-") in text
        if field.kind in ("integer", "number"):
            assert f"[{field.format(getattr(nnlab.ExperimentConfig(), name))}]" in text


def test_a_reader_that_has_seen_enough_is_no_error(saved: Path) -> None:
    command = f"{sys.executable} -m nnlab show {saved} | head -n 1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_papers_measures_prints_and_keeps_what_it_was_asked_for(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from small_papers import counting

    from nnlab import papers
    from nnlab.paper_result import read_result

    monkeypatch.setattr(papers, "PAPERS", {"counting": counting(), "other": counting("other", steps=2)})
    whole = call("papers", "--to", tmp_path)
    assert (whole.code, whole.err) == (0, "")
    assert "passes: steps: measured 3, published 3, deviation 0, tolerance none" in whole.out
    assert "FAILS: steps: measured 2, published 3, deviation -1, tolerance none" in whole.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counting.json", "other.json"]
    assert read_result(tmp_path / "other.json").columns["step"] == [0.0, 1.0]
    one = call("papers", "--small", "--only", "counting")
    assert (one.code, "other" in one.out) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--only", "nothing"), "--only: 'nothing' is not allowed; allowed: glorot_"),
        (("--to", "/nowhere/at/all"), "--to: the folder '/nowhere/at/all' does not exist"),
        (("--smal",), "--smal"),
    ],
)
def test_papers_says_what_is_wrong_in_one_line(call: Call, arguments: tuple[str, ...], words: str) -> None:
    outcome = call("papers", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert words in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_where_memory_runs_out_one_line_says_so_and_the_file_that_the_run_failed(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    out = tmp_path / "run.jsonl"
    real = RunWriter.append

    def append(writer: RunWriter, run: nnlab.Run, record: nnlab.run.StepRecord) -> None:
        if record.step == 3:
            raise error
        real(writer, run, record)

    monkeypatch.setattr(RunWriter, "append", append)
    outcome = call("train", *SMALL, "--record-every", "1", "--out", out)
    assert outcome.code == 2
    assert outcome.err == "nnlab: not enough memory; what was finished before is kept\n"
    run = load_run(out)
    assert (run.steps.tolist(), run.status) == ([0, 1, 2], "failed")


def test_an_error_of_nnlab_itself_is_not_hidden_from_the_machine_s_owner(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*arguments: object, **options: object) -> nnlab.Run:
        raise RuntimeError("a bug")

    monkeypatch.setattr("nnlab.trainer.train", train)
    with pytest.raises(RuntimeError, match="a bug"):
        call("train", *SMALL, "--out", tmp_path / "run.jsonl")


def test_progress_is_shown_where_somebody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    common = ["--dataset", "iris", "--depth", "1", "--width", "3", "--steps", "4"]
    assert main(["train", *common, "--out", str(tmp_path / "run.jsonl")]) == 0
    assert "step 4/4  loss " in capsys.readouterr().err
    sweep = ["sweep", *common, "--grid", "seed=0,1", "--executor", "threads"]
    assert main([*sweep, "--out", str(tmp_path / "sweep.parquet")]) == 0
    assert "cell 2/2 " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "heal"])
@pytest.mark.parametrize(
    "twice", [("--depth", "2", "--depth=3"), ("--residual", "--no-residual"), ("--noise", "-1") * 2]
)
def test_a_field_that_is_given_twice_is_refused_by_name(
    call: Call, command: str, twice: tuple[str, ...]
) -> None:
    outcome = call(command, *twice)
    flag = twice[0]
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"nnlab: {flag}: given 2 times; allowed: once\n"
