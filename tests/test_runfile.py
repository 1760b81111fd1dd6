"""The run file: what is written is read, and what is damaged is never read as something else."""

from __future__ import annotations

import errno
import json
import math
import os
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nnlab
from nnlab.run import StepRecord
from nnlab.runfile import RunFileError, load_run, parse_run, to_bytes
from nnlab.runline import MAX_LINE_BYTES
from nnlab.runwriter import RunWriter

SameRecords = Callable[..., None]


@pytest.fixture(scope="module")
def small_run() -> nnlab.Run:
    """A run whose file is so small that it can be cut at every byte."""
    config = nnlab.ExperimentConfig(dataset="iris", depth=1, width=1, batch_size=2, steps=2)
    return nnlab.train(config)


def _read(content: bytes) -> nnlab.Run:
    return parse_run(content, "run.jsonl")


def _sealed(content: dict[str, Any]) -> bytes:
    """Give a line with the checksum of its content, as a newer nnlab or a forger would write it."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return f'{text[:-1]},"crc":{zlib.crc32(text.encode())}}}'.encode()


def _changed(run: nnlab.Run, line: int, **changes: Any) -> bytes:
    """Give the file of a run with some keys of one line changed, under a right checksum."""
    lines = to_bytes(run).splitlines()
    content = json.loads(lines[line])
    del content["crc"]
    lines[line] = _sealed(content | changes)
    return b"\n".join(lines) + b"\n"


def _assert_reads_back(run: nnlab.Run, path: Path, same: SameRecords) -> nnlab.Run:
    run.save(path)
    loaded = load_run(path)
    same(loaded.records, run.records)
    assert (loaded.config, loaded.status, loaded.layers) == (run.config, run.status, run.layers)
    assert (loaded.notes, dict(loaded.environment)) == (run.notes, dict(run.environment))
    return loaded


def test_a_saved_run_has_the_same_frames(
    tiny_run: nnlab.Run, tmp_path: Path, assert_same_records: SameRecords
) -> None:
    loaded = _assert_reads_back(tiny_run, tmp_path / "run.jsonl", assert_same_records)
    pd.testing.assert_frame_equal(loaded.metrics, tiny_run.metrics, check_exact=True)
    pd.testing.assert_frame_equal(loaded.histograms, tiny_run.histograms, check_exact=True)
    assert loaded.model is None
    assert loaded.findings == tiny_run.findings


def test_saving_what_was_loaded_gives_the_same_bytes(tiny_run: nnlab.Run) -> None:
    content = to_bytes(tiny_run)
    assert to_bytes(_read(content)) == content


@pytest.mark.parametrize(
    "fields",
    [
        {"activation": "identity", "learning_rate": 1e3, "steps": 60},
        {
            "dataset": "xor",
            "samples": 80,
            "noise": 0.0,
            "initializer": "zeros",
            "batch_size": 64,
            "steps": 50,
        },
        {"batch_size": 128, "record_every": 2},
    ],
    ids=["diverged", "stalled", "with a note"],
)
def test_other_runs_read_back(
    tiny_config: nnlab.ExperimentConfig,
    fields: dict[str, Any],
    tmp_path: Path,
    assert_same_records: SameRecords,
) -> None:
    run = nnlab.train(tiny_config.replace(**fields))
    _assert_reads_back(run, tmp_path / "run.jsonl", assert_same_records)


def test_a_run_of_a_foreign_model_reads_back(tmp_path: Path, assert_same_records: SameRecords) -> None:
    import torch

    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU6(), torch.nn.Flatten(), torch.nn.Linear(8, 3)
    )
    run = nnlab.diagnose(model, torch.linspace(-1, 1, 64).reshape(4, 1, 4, 4), torch.tensor([0, 1, 2, 0]))
    loaded = _assert_reads_back(run, tmp_path / "run.jsonl", assert_same_records)
    assert (loaded.config, loaded.title) == (None, run.title)


ODD_NUMBERS = [math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -1.7976931348623157e308, 0.1, 1 / 3]


@pytest.mark.parametrize("number", ODD_NUMBERS, ids=repr)
def test_every_number_reads_back_bit_for_bit(
    small_run: nnlab.Run, number: float, assert_same_records: SameRecords
) -> None:
    record = small_run.records[-1]
    layers = {**record.layers, "saturation": np.array([number])}
    odd = StepRecord(record.step, layers, {**record.network, "loss": number}, record.histograms)
    run = replace(small_run, records=(*small_run.records[:-1], odd))
    content = to_bytes(run)
    assert_same_records(_read(content).records, run.records)
    for line in content.splitlines():
        json.loads(line, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize(
    "text", ["größe", "x\u2028y\x85z\x1e", "\0", "😀", 'a"b\\c', "line\nbreak", '","crc":7}'], ids=ascii
)
def test_every_text_reads_back(small_run: nnlab.Run, text: str) -> None:
    config = nnlab.ExperimentConfig(dataset="csv", csv_path=text, target=text, features=(text, "b"))
    run = replace(small_run, config=config, notes=(text,), environment={"model": text})
    loaded = _read(to_bytes(run))
    assert (loaded.config, loaded.notes, loaded.environment) == (config, (text,), {"model": text})


def test_a_path_that_is_no_utf8_reads_back(small_run: nnlab.Run) -> None:
    config = nnlab.ExperimentConfig(dataset="csv", csv_path=os.fsdecode(b"caf\xe9.csv"))
    assert _read(to_bytes(replace(small_run, config=config))).config == config


def test_every_line_is_json_with_the_checksum_of_the_rest(tiny_run: nnlab.Run) -> None:
    content = to_bytes(tiny_run)
    assert content.endswith(b"\n")
    for raw in content.splitlines():
        line = json.loads(raw)
        checksum = line.pop("crc")
        rest = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()
        assert zlib.crc32(rest) == checksum


def test_the_header_says_what_the_file_is(tiny_run: nnlab.Run) -> None:
    header, *records, end = (json.loads(line) for line in to_bytes(tiny_run).splitlines())
    assert (header["format"], header["schema"]) == ("nnlab.run", [1, 1])
    assert header["config"] == tiny_run.config.to_dict()
    assert header["environment"] == tiny_run.environment
    assert header["dataset_sha256"] == nnlab.load_dataset(tiny_run.config).sha256
    assert (end["k"], end["status"], end["count"]) == ("end", "completed", len(records))


def test_a_file_cut_at_any_byte_gives_a_prefix_of_its_records(
    small_run: nnlab.Run, assert_same_records: SameRecords
) -> None:
    # Counts are most of a file; those of one record are enough to be cut.
    first, second, third = small_run.records
    plain = (replace(first, histograms={}), second, replace(third, histograms={}))
    small_run = replace(small_run, records=plain)
    content = to_bytes(small_run)
    header_ends = content.index(b"\n")
    seen = set()
    for size in range(len(content)):
        try:
            run = _read(content[:size])
        except RunFileError:
            assert size < header_ends
            continue
        assert size >= header_ends
        assert_same_records(run.records, small_run.records[: len(run.records)])
        # The last line is whole but for its line break.
        assert run.status == ("completed" if size == len(content) - 1 else "interrupted")
        seen.add(len(run.records))
        # All records of whole lines are there.
        assert len(run.records) >= min(content[:size].count(b"\n") - 1, len(small_run.records))
    assert seen == {0, 1, 2, 3}


def test_a_torn_last_line_is_said(small_run: nnlab.Run) -> None:
    notes = _read(to_bytes(small_run)[:-20]).notes
    assert any("cut off" in note for note in notes)


def test_a_file_without_an_end_line_is_interrupted(small_run: nnlab.Run) -> None:
    *lines, _ = to_bytes(small_run).splitlines(keepends=True)
    run = _read(b"".join(lines))
    assert (run.status, run.notes, len(run.records)) == ("interrupted", (), 3)


def test_frames_of_a_file_with_only_its_header_are_empty(small_run: nnlab.Run) -> None:
    run = _read(to_bytes(small_run).splitlines()[0])
    assert (len(run.metrics), len(run.histograms), run.findings) == (0, 0, ())


def test_a_flipped_byte_never_gives_another_number(
    small_run: nnlab.Run, assert_same_records: SameRecords
) -> None:
    content = to_bytes(small_run)
    header_ends = content.index(b"\n")
    originals = {record.step: record for record in small_run.records}
    draw = random.Random(0)
    refused = damaged = 0
    for _ in range(500):
        place, byte = draw.randrange(len(content)), draw.randrange(256)
        try:
            run = _read(content[:place] + bytes([byte]) + content[place + 1 :])
        except RunFileError:
            assert place <= header_ends
            refused += 1
            continue
        assert_same_records(run.records, [originals[record.step] for record in run.records])
        assert (run.config, run.layers) == (small_run.config, small_run.layers)
        assert run.status in ("completed", "interrupted")
        if len(run.records) < 3:
            assert any("damaged" in note for note in run.notes)
            damaged += 1
    assert refused > 25
    assert damaged > 250


def test_a_damaged_record_is_skipped_and_counted(tiny_run: nnlab.Run) -> None:
    lines = to_bytes(tiny_run).splitlines(keepends=True)
    for number in (2, 5):
        lines[number] = lines[number].replace(b'"loss":', b'"loss":1')
    run = _read(b"".join(lines))
    assert run.steps.tolist() == [0, 2, 3, 5]
    assert run.status == "completed"
    assert any("2 damaged" in note for note in run.notes)


def test_a_header_with_a_wrong_checksum_is_refused(small_run: nnlab.Run) -> None:
    content = to_bytes(small_run).replace(b'"depth":1', b'"depth":2', 1)
    with pytest.raises(RunFileError, match=r"run\.jsonl: .*checksum"):
        _read(content)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"{}", b"[]\n", b"hello\n", b"\x00" * 999, b'{"k":"header"}\n'], ids=repr
)
def test_what_is_no_run_file_is_refused_by_its_name(content: bytes) -> None:
    with pytest.raises(RunFileError, match=r"^run\.jsonl: ") as caught:
        _read(content)
    assert len(str(caught.value).splitlines()) == 1
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("schema", [[2, 0], [99, 3]], ids=str)
def test_a_newer_major_version_is_refused_by_its_number(small_run: nnlab.Run, schema: list[int]) -> None:
    with pytest.raises(RunFileError, match=rf"schema {schema[0]}\b"):
        _read(_changed(small_run, 0, schema=schema))


def test_a_newer_minor_version_is_read(small_run: nnlab.Run, assert_same_records: SameRecords) -> None:
    run = _read(_changed(small_run, 0, schema=[1, 7]))
    assert_same_records(run.records, small_run.records)


@pytest.mark.parametrize("schema", [None, "1.0", [1], [1, 0, 0], ["1", 0], [1.5, 0], {}, [[], []]], ids=str)
def test_an_odd_schema_is_refused(small_run: nnlab.Run, schema: object) -> None:
    with pytest.raises(RunFileError, match="schema"):
        _read(_changed(small_run, 0, schema=schema))


def test_another_format_is_refused(small_run: nnlab.Run) -> None:
    with pytest.raises(RunFileError, match="nnlab run file"):
        _read(_changed(small_run, 0, format="other.run"))


@pytest.mark.parametrize("line", [0, 1, -1], ids=["header", "record", "end"])
def test_unknown_keys_are_read_over(
    small_run: nnlab.Run, line: int, assert_same_records: SameRecords
) -> None:
    run = _read(_changed(small_run, line, future={"a": [1]}))
    assert_same_records(run.records, small_run.records)
    assert run.status == "completed"


@pytest.mark.parametrize("line", [0, 1, -1], ids=["header", "record", "end"])
def test_unknown_keys_are_kept(small_run: nnlab.Run, line: int) -> None:
    saved = to_bytes(_read(_changed(small_run, line, future={"a": [1]})))
    assert json.loads(saved.splitlines()[line])["future"] == {"a": [1]}


def test_unknown_metrics_are_kept(small_run: nnlab.Run) -> None:
    record = json.loads(to_bytes(small_run).splitlines()[1])
    network = {**record["network"], "sharpness": 3.5}
    saved = to_bytes(_read(_changed(small_run, 1, network=network)))
    assert json.loads(saved.splitlines()[1])["network"] == network


def test_a_field_of_a_newer_minor_version_does_not_hide_the_records(small_run: nnlab.Run) -> None:
    config = {**small_run.config.to_dict(), "dropout": 0.5}
    run = _read(_changed(small_run, 0, schema=[1, 2], config=config))
    assert len(run.records) == 3


def test_lines_of_an_unknown_kind_are_read_over(small_run: nnlab.Run) -> None:
    lines = to_bytes(small_run).splitlines()
    run = _read(b"\n".join([*lines[:2], _sealed({"k": "remark", "text": "hm"}), *lines[2:]]))
    assert (len(run.records), run.status, run.notes) == (3, "completed", ())


BAD_HEADERS = [
    {"config": {"depth": 0}},
    {"config": 7},
    {"config": [1]},
    {"config": {"depth": "1"}},
    {"layers": None},
    {"layers": [7]},
    {"layers": [{"name": "hidden_1"}]},
    {"layers": [{"weight_shape": "ab"}]},
    {"environment": 7},
    {"environment": None},
]


@pytest.mark.parametrize("change", BAD_HEADERS, ids=str)
def test_a_forged_header_is_refused(small_run: nnlab.Run, change: dict[str, Any]) -> None:
    with pytest.raises(RunFileError, match=r"^run\.jsonl: "):
        _read(_changed(small_run, 0, **change))


BAD_RECORDS = [
    {"step": None},
    {"step": [1]},
    {"step": "nan"},
    {"step": math.inf},
    {"layers": 7},
    {"layers": {"saturation": [1.0, 2.0, 3.0, 4.0]}},
    {"layers": {"saturation": ["many"]}},
    {"layers": {"saturation": [True]}},
    {"layers": {"saturation": 1.0}},
    {"network": {"loss": None}},
    {"network": {"loss": [1.0]}},
    {"network": []},
    {"histograms": {"delta": [[1, 2, 3], None]}},
    {"histograms": {"delta": [None]}},
    {"histograms": {"delta": 7}},
    {"histograms": {"delta": [[10**30] * 100, None]}},
    {"histograms": {"delta": [[-1] * 100, None]}},
]


@pytest.mark.parametrize("change", BAD_RECORDS, ids=lambda change: str(change)[:40])
def test_a_forged_record_is_skipped_and_counted(small_run: nnlab.Run, change: dict[str, Any]) -> None:
    run = _read(_changed(small_run, 2, **change))
    assert run.steps.tolist() == [0, 2]
    assert any("1 damaged" in note for note in run.notes)


@pytest.mark.parametrize(
    "crc", [b"9" * 5000, b"", b"-1", b"1.5", "٣".encode()], ids=lambda crc: ascii(crc[:9])
)
def test_a_record_with_an_odd_checksum_is_skipped_and_counted(small_run: nnlab.Run, crc: bytes) -> None:
    lines = to_bytes(small_run).splitlines()
    lines[2] = lines[2].rpartition(b":")[0] + b":" + crc + b"}"
    run = _read(b"\n".join(lines))
    assert run.steps.tolist() == [0, 2]
    assert any("1 damaged" in note for note in run.notes)


def test_a_header_with_an_endless_checksum_is_refused(small_run: nnlab.Run) -> None:
    header = to_bytes(small_run).splitlines()[0].rpartition(b":")[0]
    with pytest.raises(RunFileError, match=r"^run\.jsonl: "):
        _read(header + b":" + b"9" * 5000 + b"}\n")


def test_deep_nesting_does_not_exhaust_the_stack(small_run: nnlab.Run) -> None:
    text = b'{"k":"record","step":' + b"[" * 100_000 + b"]" * 100_000
    bomb = text + b',"crc":%d}' % zlib.crc32(text + b"}")
    lines = to_bytes(small_run).splitlines()
    run = _read(b"\n".join([*lines[:2], bomb, *lines[2:]]))
    assert len(run.records) == 3
    assert any("1 damaged" in note for note in run.notes)


def test_of_a_step_that_is_there_twice_the_last_one_counts_and_it_is_said(small_run: nnlab.Run) -> None:
    lines = to_bytes(small_run).splitlines()
    again = json.loads(lines[2])
    del again["crc"]
    again["network"]["loss"] = 42.0
    run = _read(b"\n".join([*lines[:3], _sealed(again), *lines[3:]]))
    assert run.steps.tolist() == [0, 1, 2]
    assert run.records[1].network["loss"] == 42.0
    assert any("twice" in note or "more than once" in note for note in run.notes)


def test_an_odd_status_is_read_as_interrupted(small_run: nnlab.Run) -> None:
    for status in ("running", "victorious", 7, None, []):
        assert _read(_changed(small_run, -1, status=status)).status == "interrupted"


def test_a_snapshot_of_a_running_run_is_read_as_interrupted(
    tiny_config: nnlab.ExperimentConfig, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    nnlab.train(tiny_config, on_record=lambda run, record: run.save(path))
    assert load_run(path).status == "interrupted"


def test_a_newer_minor_version_may_give_a_layer_more_keys(small_run: nnlab.Run) -> None:
    layers = [{**layer, "future": 1} for layer in json.loads(to_bytes(small_run).splitlines()[0])["layers"]]
    assert _read(_changed(small_run, 0, layers=layers)).layers == small_run.layers


def test_windows_line_ends_are_read(small_run: nnlab.Run, assert_same_records: SameRecords) -> None:
    run = _read(to_bytes(small_run).replace(b"\n", b"\r\n"))
    assert_same_records(run.records, small_run.records)
    assert (run.status, run.notes) == ("completed", ())


def test_the_writer_writes_what_save_writes(tiny_config: nnlab.ExperimentConfig, tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run.jsonl")
    run = nnlab.train(tiny_config, on_record=writer.append)
    writer.finish(run, run.status)
    assert (tmp_path / "run.jsonl").read_bytes() == to_bytes(run)


def test_the_writer_has_every_record_on_disk_when_it_is_reported(
    tiny_config: nnlab.ExperimentConfig, tmp_path: Path, assert_same_records: SameRecords
) -> None:
    path = tmp_path / "run.jsonl"
    writer = RunWriter(path)

    def write_and_read(run: nnlab.Run, record: StepRecord) -> None:
        writer.append(run, record)
        so_far = load_run(path)
        assert_same_records(so_far.records, run.records)
        assert (so_far.status, so_far.notes) == ("interrupted", ())

    run = nnlab.train(tiny_config, on_record=write_and_read)
    writer.finish(run, run.status)


def test_the_writer_writes_one_line_at_a_time(
    small_run: nnlab.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: (written.append(data), write(file, data))[1])
    writer = RunWriter(tmp_path / "run.jsonl")
    for record in small_run.records:
        writer.append(small_run, record)
    writer.finish(small_run, "completed")
    assert written == to_bytes(small_run).splitlines(keepends=True)


def test_the_writer_goes_on_after_a_partial_write(
    small_run: nnlab.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:1000]))
    writer = RunWriter(tmp_path / "run.jsonl")
    for record in small_run.records:
        writer.append(small_run, record)
    writer.finish(small_run, "completed")
    assert (tmp_path / "run.jsonl").read_bytes() == to_bytes(small_run)


def test_the_writer_of_a_run_without_records_leaves_a_readable_file(
    small_run: nnlab.Run, tmp_path: Path
) -> None:
    empty = replace(small_run, records=())
    RunWriter(tmp_path / "run.jsonl").finish(empty, "interrupted")
    run = load_run(tmp_path / "run.jsonl")
    assert (run.records, run.status, run.config) == ((), "interrupted", small_run.config)


def _unusable(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    return {
        "missing folder": tmp_path / "missing" / "run.jsonl",
        "file for a folder": tmp_path / "file" / "run.jsonl",
        "folder for a file": tmp_path / "folder",
        "name too long": tmp_path / ("x" * 300),
    }


@pytest.mark.parametrize(
    "case", ["missing folder", "file for a folder", "folder for a file", "name too long"]
)
def test_a_place_that_cannot_be_written_raises_and_leaves_nothing(
    small_run: nnlab.Run, tmp_path: Path, case: str
) -> None:
    path = _unusable(tmp_path)[case]
    before = sorted(tmp_path.rglob("*"))
    for write in (small_run.save, RunWriter):
        with pytest.raises(OSError, match=r"\[Errno"):
            write(path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_partial_one(
    small_run: nnlab.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text("the old one")

    def fail(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left"):
        small_run.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.jsonl"]
    assert path.read_text() == "the old one"


def test_saving_replaces_an_old_file_whole(small_run: nnlab.Run, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"x" * 10**6)
    small_run.save(path)
    assert path.read_bytes() == to_bytes(small_run)
    assert [file.name for file in tmp_path.iterdir()] == ["run.jsonl"]


def test_a_missing_file_raises_as_open_does(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_run(tmp_path / "missing.jsonl")
    with pytest.raises(OSError, match=r"\[Errno"):
        load_run(tmp_path)


def test_a_record_line_that_is_missing_whole_is_said(small_run: nnlab.Run) -> None:
    lines = to_bytes(small_run).splitlines()
    run = _read(b"\n".join([*lines[:2], *lines[3:]]))
    assert len(run.records) == 2
    assert "1 records are missing from the file" in run.notes


def _layer(name: str, index: int) -> dict[str, Any]:
    return {"name": name, "index": index, "activation": "relu", "weight_shape": [1, 1]}


def test_a_small_file_cannot_fill_the_memory_with_layers_that_come_late(small_run: nnlab.Run) -> None:
    header, _, record, *_ = to_bytes(small_run).splitlines()
    content = json.loads(record)
    del content["crc"]
    records = [_sealed(content | {"step": step, "histograms": {}}) for step in range(300)]
    known = [_layer(layer.name, layer.index) for layer in small_run.layers]
    late = known + [_layer(f"x{index}", index) for index in range(3, 5000)]
    end = _sealed({"k": "layers", "layout": 1, "layers": late})
    with pytest.raises(RunFileError, match=r"^run\.jsonl: 300 records .* 4999 layers"):
        _read(b"\n".join([header, *records, end]))
    few = _sealed({"k": "layers", "layout": 1, "layers": late[:1000]})
    assert _read(b"\n".join([header, *records, few])).records[299].layers["delta_norm"].shape == (1000,)


def test_many_unknown_metrics_cost_no_more_than_they_say(small_run: nnlab.Run) -> None:
    content = json.loads(to_bytes(small_run).splitlines()[1])
    layers = content["layers"] | {f"m{number}": [] for number in range(20_000)}
    run = _read(_changed(small_run, 1, layers=layers | {"long": [1.0] * 20_000}))
    assert len(run.records) == 3  # as one array it would take 3 GB


BAD_LAYERS = [
    {"name": ""},
    {"name": "a\nb"},
    {"name": "x" * 301},
    {"name": 7},
    {"name": "output"},
    {"index": 2},
    {"index": True},
    {"index": "1"},
    {"activation": None},
    {"weight_shape": []},
    {"weight_shape": [-1, 2]},
    {"weight_shape": [1.5, 2]},
    {"weight_shape": [2**80, 2]},
    {"trainable": 1},
    {"slope_sup": "big"},
    {"slope_sup": None},
    {"notes": "text"},
    {"notes": [1]},
]


@pytest.mark.parametrize("change", BAD_LAYERS, ids=lambda change: str(change)[:30])
def test_a_forged_layer_is_refused(small_run: nnlab.Run, change: dict[str, Any]) -> None:
    layers = json.loads(to_bytes(small_run).splitlines()[0])["layers"]
    with pytest.raises(RunFileError, match=r"^run\.jsonl: the header is incomplete"):
        _read(_changed(small_run, 0, layers=[layers[0] | change, *layers[1:]]))


def test_a_slope_without_bound_reads_back(small_run: nnlab.Run) -> None:
    layers = (replace(small_run.layers[0], slope_sup=math.inf), *small_run.layers[1:])
    assert _read(to_bytes(replace(small_run, layers=layers))).layers == layers


MORE_BAD_RECORDS = [
    {"step": True},
    {"step": 1.0},
    {"step": -1},
    {"step": 2**60},
    {"layout": 1},
    {"future": {"a": [[[[[[[[[[1]]]]]]]]]]}},
    {"histograms": {"delta": [[1.5] * 99, None]}},
    {"histograms": {"delta": [[-1] * 99, None]}},
    {"histograms": {"delta": [[True] * 99, None]}},
]


@pytest.mark.parametrize("change", MORE_BAD_RECORDS, ids=lambda change: str(change)[:40])
def test_a_record_of_odd_numbers_is_skipped_and_counted(small_run: nnlab.Run, change: dict[str, Any]) -> None:
    if "histograms" in change:
        whole = json.loads(to_bytes(small_run).splitlines()[2])["histograms"]
        change = {"histograms": whole | change["histograms"]}
    run = _read(_changed(small_run, 2, **change))
    assert run.steps.tolist() == [0, 2]
    assert any("1 damaged" in note for note in run.notes)


@pytest.mark.parametrize("part", ["layers", "network", "histograms"])
def test_a_record_that_lacks_what_every_reader_needs_is_skipped(small_run: nnlab.Run, part: str) -> None:
    whole = json.loads(to_bytes(small_run).splitlines()[2])[part]
    for name in ("delta_norm", "dead_units", "loss", "gradient_ratio", "delta"):
        if name in whole:
            less = {key: value for key, value in whole.items() if key != name}
            assert _read(_changed(small_run, 2, **{part: less})).steps.tolist() == [0, 2]


@pytest.mark.parametrize(
    "text", [b"NaN", b"Infinity", b"1e999", b"9" * 5000], ids=lambda text: ascii(text[:9])
)
def test_numbers_that_are_none_of_ours_are_no_numbers(small_run: nnlab.Run, text: bytes) -> None:
    lines = to_bytes(small_run).splitlines()
    head = (
        lines[2]
        .rpartition(b',"crc":')[0]
        .replace(b'"network":{"loss":', b'"network":{"loss":' + text + b',"x":')
    )
    lines[2] = head + b',"crc":%d}' % zlib.crc32(head + b"}")
    assert _read(b"\n".join(lines)).steps.tolist() == [0, 2]


def test_a_key_that_is_there_twice_makes_no_record(small_run: nnlab.Run) -> None:
    lines = to_bytes(small_run).splitlines()
    head = lines[2].rpartition(b',"crc":')[0] + b',"step":7'
    lines[2] = head + b',"crc":%d}' % zlib.crc32(head + b"}")
    assert _read(b"\n".join(lines)).steps.tolist() == [0, 2]


@pytest.mark.parametrize(
    "change", [{"count": -1}, {"count": True}, {"count": 1e9}, {"notes": "abc"}, {"notes": [7]}]
)
def test_an_odd_end_is_no_end(small_run: nnlab.Run, change: dict[str, Any]) -> None:
    run = _read(_changed(small_run, -1, **change))
    assert (run.status, len(run.records)) == ("interrupted", 3)
    assert run.notes == ("1 damaged records were skipped",)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to tell the peak of memory")
def test_a_long_file_is_read_line_by_line(tmp_path: Path) -> None:
    from benchmarks.runfile import make_run, measure_opening

    # 1,000 records of 200 layers may take 200 MB over what the process has; these are a tenth of them, with
    # all but a few of the records that hold counts.
    make_run(100).save(tmp_path / "run.jsonl")
    _, memory, _, _ = measure_opening(tmp_path / "run.jsonl", 100)
    assert memory < 32  # the file alone has 20, and what it says 15
    lines = (tmp_path / "run.jsonl").read_bytes().splitlines()
    assert max(map(len, lines)) < MAX_LINE_BYTES / 8  # of 200 layers


def test_numbers_whose_sum_is_not_finite_come_back():
    """Their sum is looked at first, and overflows or vanishes where they need not."""
    from nnlab.runline import decode_numbers, encode_numbers

    for numbers in ([1e308, 1e308], [math.inf, -math.inf, 1.0], [math.nan, 2.5], [-math.inf], []):
        written = json.loads(json.dumps(encode_numbers(np.array(numbers)), allow_nan=False))
        assert np.array_equal(decode_numbers(written), np.array(numbers, dtype=float), equal_nan=True)
