"""10,000 broken run files: each is refused in one sentence or read in part, and never as other numbers.

7,000 are damaged without care for checksums; 3,000 are forged, with checksums that are right.
"""

from __future__ import annotations

import json
import math
import random
import warnings
import zlib
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from test_alignment import layers_of
from test_runwriter import record_at, run_of

from benchmarks.fuzz_cases import damaged, edited
from nnlab.alignment import aligned
from nnlab.layer_table import layer_table
from nnlab.run import Run, StepRecord
from nnlab.runfile import RunFileError, parse_run, to_bytes
from nnlab.runheader import layers_content
from nnlab.runline import to_line
from nnlab.runrecord import record_content

FILES = 100  # a round
GROWTH = ("ab", "ab", "axb", "axb")
HEADER, LATE, END = 0, 3, 6  # the lines that are no records
NOTE_WORDS = ("cut off", "damaged", "missing", "twice")


@cache
def records() -> tuple[StepRecord, ...]:
    """The records that are written, with the odd numbers that training leaves."""
    made = []
    for step, names in enumerate(GROWTH):
        record = record_at(step, names, probe=step % 2 == 0)
        odd = {"update_ratio": np.full(len(names), np.nan), "delta_rms": np.arange(len(names)) / 3 - 1e-300}
        made.append(
            replace(record, layers={**record.layers, **odd}, network={**record.network, "loss": math.inf})
        )
    return tuple(made)


@cache
def lines() -> tuple[bytes, ...]:
    """The whole file: header, two records, a line of layers, two records, end."""
    first, *_, end = to_bytes(replace(run_of(GROWTH[0]), records=records()[:1])).splitlines(keepends=True)
    written = [to_line(record_content(r, layout)) for r, layout in zip(records(), (0, 0, 1, 1), strict=True)]
    late = to_line({"k": "layers", "layout": 1, "layers": layers_content(run_of(GROWTH[2]))})
    end = to_line({"k": "end", "status": "completed", "count": 4, "notes": []})
    return (first, *written[:2], late, *written[2:], end)


def _damaged(draw: random.Random) -> bytes:
    """Damage the file: bytes of it, or its lines."""
    content = b"".join(lines())
    return damaged(content, draw, PIECES) if draw.randrange(4) else _shuffled(content, draw)


PIECES = (
    b"\n",
    b"\r\n",
    b"\0",
    b"}",
    b'"',
    b',"crc":1}\n',
    b"\xff\xfe",
    b"{}\n",
    b"NaN",
    b"\n\n\n",
    b"\xef\xbb\xbf",
)


def _shuffled(content: bytes, draw: random.Random) -> bytes:
    """Take out a line, or put one that is there somewhere else too."""
    rows = content.splitlines(keepends=True)
    taken = rows.pop(draw.randrange(len(rows)))
    if draw.randrange(2):
        rows.insert(draw.randrange(len(rows) + 1), taken)
    return b"".join(rows)


# Texts that json.dumps would not write stand as @...@ and are put in afterwards.
RAW = {
    '"@huge@"': "1e999",
    '"@digits@"': "9" * 5000,
    '"@many@"': "9" * 400,
    '"@deep@"': "[" * 2000 + "]" * 2000,
    '"@bare@"': "undefined",
}
HOSTILE: tuple[Any, ...] = (
    None, True, False, "", " ", "x", "x" * 1000, "a\nb", "\ud800", "\u202e", "nan", "inf", "-inf", "NaN",
    "1.5", "a", "b", "output", "network", "relu", "tanh", "step", "running", "completed",
    -1, 0, 1, 2, 3, 1.5, -0.0, 1e308, -1e308, 5e-324, 2**31, 2**53, 2**63, 2**64, -(10**30),
    math.nan, math.inf, [], [[]], {}, {"": None}, [None], [1] * 1000, [[1, 2], None],
    {"a": {"b": [1, {"c": [[[[[[[1]]]]]]]}]}},
    "@huge@", "@digits@", "@many@", "@deep@", "@bare@",
)  # fmt: skip
NAMES = ("future", "", "k", "step", "loss", "sharpness", "@twice@")


def _sealed(content: Any) -> bytes:
    """Give a line with the right checksum, whatever it says."""
    text = json.dumps(content, separators=(",", ":"))
    for stands, raw in RAW.items():
        text = text.replace(stands, raw)
    text = text.replace('"@twice@"', '"step"')
    if not text.endswith("}"):
        text = '{"k":"record"}'
    return f'{text[:-1]},"crc":{zlib.crc32(text.encode())}}}\n'.encode()


def _forged(draw: random.Random) -> tuple[bytes, set[int]]:
    """Forge some lines; give the file and the numbers of the lines."""
    rows, forged = list(lines()), set()
    for _ in range(draw.choice((1, 1, 2))):
        number = draw.randrange(len(rows))
        content = json.loads(lines()[number])
        del content["crc"]
        for _ in range(draw.choice((1, 1, 1, 3))):
            content = edited(content, draw, HOSTILE, NAMES)
        rows[number] = _sealed(content)
        forged.add(number)
    return b"".join(rows), forged


def _read(content: bytes) -> Run | None:
    """Read a file that may be refused, but by no other error and in one line."""
    try:
        return parse_run(content, "run.jsonl")
    except RunFileError as error:
        message = str(error)
    assert message.startswith("run.jsonl: ")
    assert len(message) < 500
    assert message.isprintable()
    return None


def _bits(record: StepRecord) -> tuple[object, ...]:
    """Give everything a record says, so that equal means equal bit for bit."""
    names = tuple(record.layers)
    numbers = np.concatenate([np.asarray(record.layers[name], dtype=float) for name in names])
    rows = [rows for quantity in sorted(record.histograms) for rows in record.histograms[quantity]]
    counts = tuple(None if row is None else row.astype(np.int64).tobytes() for row in rows)
    lengths = tuple(len(record.layers[name]) for name in names)
    return record.step, names, lengths, numbers.tobytes(), repr(record.network), counts


@cache
def _written(step: int, layers: str) -> tuple[object, ...]:
    """Give what a record says on other layers."""
    return _bits(aligned(records()[step], layers_of(GROWTH[step]), layers_of(layers)))


def _are_originals(run: Run) -> list[bool]:
    """Tell of each record whether it is what was written."""
    names = "".join(layer.name for layer in run.layers)
    return [r.step in range(4) and _bits(r) == _written(r.step, names) for r in run.records]


@pytest.mark.parametrize("seed", range(14))
def test_a_damaged_file_is_refused_or_read_in_part(seed: int) -> None:
    draw = random.Random(seed)
    refused = partly = 0
    for _ in range(FILES):
        run = _read(_damaged(draw))
        refused += run is None
        if run is None:
            continue
        assert run.layers in (layers_of(GROWTH[0]), layers_of(GROWTH[2]))
        assert all(_are_originals(run))
        assert run.status in ("completed", "interrupted")
        if len(run.records) < 4:
            partly += 1
            is_said = any(word in note for note in run.notes for word in NOTE_WORDS)
            assert is_said or run.status == "interrupted"
    assert refused > FILES / 20
    assert partly > FILES / 5


@pytest.mark.parametrize("seed", range(6))
def test_a_forged_file_is_refused_or_can_be_used(seed: int) -> None:
    draw = random.Random(1000 + seed)
    refused = whole = partly = 0
    for number in range(FILES):
        content, forged = _forged(draw)
        run = _read(content)
        if run is None:
            refused += 1
            continue
        whole, partly = whole + (len(run.records) == 4), partly + (len(run.records) < 4)
        assert len(run.records) == 4 or run.notes or END in forged
        if not forged & {HEADER, LATE}:
            # A forged record may have taken the step of another one.
            assert _are_originals(run).count(False) <= len(forged - {END})
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
            assert all(finding.headline and finding.measure for finding in run.findings)
            if number % 5 == 0:
                _use(run, with_frames=number % 50 == 0)
    assert min(refused, whole, partly) > FILES / 20


def _use(run: Run, *, with_frames: bool) -> None:
    """Do with a run that was accepted what pages and exports do."""
    assert run.title + run.caption + run.label
    again = parse_run(to_bytes(run), "run.jsonl")
    assert [_bits(record) for record in again.records] == [_bits(record) for record in run.records]
    assert (again.layers, again.status) == (run.layers, run.status)
    if not with_frames:
        return
    assert len(run.metrics) > 0 or not run.records
    assert (run.histograms["count"] >= 0).all()
    for record in run.records:
        assert len(layer_table(run, record.step)) == len(run.layers)


def test_there_is_something_to_break() -> None:
    run = parse_run(b"".join(lines()), "run.jsonl")
    assert (run.status, run.notes, run.layers) == ("completed", (), layers_of(GROWTH[2]))
    assert _are_originals(run) == [True] * 4
    assert [lines()[number][:13] for number in (HEADER, LATE, END)] == [
        b'{"k":"header"',
        b'{"k":"layers"',
        b'{"k":"end","s',
    ]


def test_a_grown_file_cut_anywhere_about_its_line_of_layers_gives_a_prefix() -> None:
    content = b"".join(lines())
    start, end = (len(b"".join(lines()[:number])) for number in (LATE, LATE + 1))
    for size in range(start - 5, end + 5):
        run = parse_run(content[:size], "run.jsonl")
        assert run.steps.tolist() == [0, 1][: 1 + (size >= start - 1)]
        assert all(_are_originals(run))
        assert run.layers == layers_of(GROWTH[2 if size >= end - 1 else 0])
        assert run.status == "interrupted"


def _with_crc(text: bytes) -> bytes:
    """Give a line whose checksum is right, of text that no encoder would write in its time."""
    return text[:-1] + b',"crc":%d}\n' % zlib.crc32(text)


@pytest.mark.parametrize("part", [b"{}", b"[]", b'"ab"'])
def test_a_line_of_many_small_parts_is_damaged_before_it_is_read(part: bytes) -> None:
    """As objects, 3.6 MB of "{}," were 72 MB for as long as the run was there."""
    bomb = b'"x":[' + b",".join([part] * 250_000) + b"]}"
    record = lines()[1].rpartition(b',"crc":')[0]
    run = parse_run(lines()[0] + _with_crc(record + b"," + bomb) + lines()[2], "run.jsonl")
    assert (run.steps.tolist(), run.notes) == ([1], ("1 damaged records were skipped",))


def test_what_a_newer_version_wrote_is_kept_up_to_a_limit_for_all_records_together() -> None:
    record = json.loads(lines()[2].rpartition(b',"crc":')[0] + b"}")

    def text(step: int, parts: int) -> bytes:
        return to_line({**record, "step": step, "new": [[]] * parts})

    few = parse_run(lines()[0] + b"".join(text(step, 10) for step in range(4)), "run.jsonl")
    assert [r.extras for r in few.records] == [{"new": [[]] * 10}] * 4
    many = parse_run(lines()[0] + b"".join(text(step, 90_000) for step in range(4)), "run.jsonl")
    assert [len(r.extras) for r in many.records] == [1, 1, 0, 0]
    assert many.notes == ("what a newer nnlab wrote besides is too much to be kept",)


def test_a_deep_line_is_damaged_and_nothing_else() -> None:
    deep = _with_crc(b'{"k":"record","x":' + b"[" * 90_000 + b"]" * 90_000 + b"}")
    run = parse_run(lines()[0] + deep + lines()[1], "run.jsonl")
    assert (run.steps.tolist(), run.notes) == ([0], ("1 damaged records were skipped",))
