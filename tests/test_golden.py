"""Golden run files: what every released nnlab wrote reads for ever, to the last number.

They are made once (tests/golden_runs.py) and never written again; each has its numbers beside it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import zlib
from dataclasses import dataclass

import pytest
from golden_runs import COLUMNS, FOLDER, numbers_of

from nnlab.layer_table import layer_table
from nnlab.runfile import load_run, parse_run, to_bytes


@dataclass(frozen=True)
class Golden:
    sha256: str  # its first 16 digits
    status: str
    notes: tuple[str, ...]
    layers: tuple[str, ...]
    findings: tuple[str, ...] = ()


MLP = ("hidden_1", "hidden_2", "output")
GOLDEN = {
    "schema_1_0": Golden("f540c64f0f685213", "completed", (), MLP),
    "diverged": Golden(
        "370ac58e1f8f1954",
        "diverged",
        ("step 3: the first non-finite number was in the loss",),
        MLP,
        ("diverged", "exploding"),
    ),
    "own_module": Golden(
        "3e1aca2bb6085401",
        "completed",
        ("größe: 1 module could not be measured",),
        ("0", "2", "4"),
        ("dying",),
    ),
    "interrupted": Golden(
        "5c8c71aaf6a65ea9", "interrupted", ("the last line was cut off and left out",), MLP
    ),
    "late_layer": Golden("44e464af7b8e39a8", "completed", (), MLP),
    "from_the_future": Golden(
        "af35b2ed1924515a",
        "completed",
        ("written by a newer nnlab: field 'dropout' is not known here",),
        MLP,
    ),
}


def test_every_golden_file_is_read() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_file_reads_as_on_the_day_it_was_written(name: str) -> None:
    golden, path = GOLDEN[name], FOLDER / f"{name}.jsonl"
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(golden.sha256)
    run = load_run(path)
    with (FOLDER / f"{name}.csv").open(newline="") as file:
        expected = list(csv.reader(file))
    assert [[str(cell) for cell in row] for row in numbers_of(run)] == expected[1:]
    assert expected[0] == list(COLUMNS)
    assert (run.status, run.notes) == (golden.status, golden.notes)
    assert tuple(layer.name for layer in run.layers) == golden.layers
    assert tuple(finding.kind for finding in run.findings) == golden.findings
    assert len(layer_table(run, 0)) == len(run.layers)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_file_saved_again_is_the_same_run(name: str) -> None:
    run = load_run(FOLDER / f"{name}.jsonl")
    again = parse_run(to_bytes(run), name)
    assert list(numbers_of(again)) == list(numbers_of(run))
    assert (again.notes, again.status, again.layers) == (run.notes, run.status, run.layers)


def test_what_only_the_future_knows_is_kept() -> None:
    saved = to_bytes(load_run(FOLDER / "from_the_future.jsonl"))
    header, first, second, end = [json.loads(line) for line in saved.splitlines()]
    assert header["schema"] == [1, 9]
    assert header["campus"] == {"a": [1, "b", None]}
    assert header["config"]["dropout"] == 0.5
    assert [layer.get("heads") for layer in header["layers"]] == [4, None, None]
    for record in (first, second):
        assert record["layers"]["sharpness"] == [1.5, "nan", 2.5]
        assert record["layers"]["spectrum"] == [1, 2, 3, 4, 5]
        assert record["network"]["noise_scale"] == "inf"
        assert record["histograms"]["attention"] == [[1, 2], None, [3]]
        assert record["wall_time"] == 12.25
    assert end["reason"] == "done"


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_file_is_what_the_contract_says_without_our_reader(name: str) -> None:
    lines = (FOLDER / f"{name}.jsonl").read_bytes().split(b"\n")
    for raw in lines[: -1 if lines[-1] == b"" else -2]:
        head, _, tail = raw.rpartition(b',"crc":')
        assert zlib.crc32(head + b"}") == int(tail[:-1])
        assert json.loads(raw)["k"] in ("header", "record", "layers", "end", "remark", "event")
