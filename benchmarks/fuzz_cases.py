"""Hostile input for every parser: makers of odd cases from a seed, and what a parser may do with them.

Half of the cases are whole inputs with something wrong in the right place; the other half are damaged bytes.
A parser may give its thing, or refuse by the error that it documents, in one line. Anything else is a find.
"""

from __future__ import annotations

import json
import math
import random
import string
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import numpy as np

from nnlab import csvdata, tensor_file
from nnlab.checkpoint import read_checkpoint
from nnlab.config import FIELDS, RESERVED_NAMES, ExperimentConfig
from nnlab.csvtable import table_from_csv
from nnlab.healing import from_link, to_link
from nnlab.overlay_sets import SETS
from nnlab.overlay_text import from_text, to_text
from nnlab.points import points_from_csv, points_from_drawing
from nnlab.presets import EXAMPLE_RUN, PRESETS
from nnlab.runfile import RunFileError, parse_run, to_bytes
from nnlab.tensor_file import CheckpointError

LONGEST_REFUSAL = 1200  # characters; a choice among all activations is listed
NUMBERS = (
    "0", "1", "-1", "+5", "007", "1e999", "-1e999", "1e-999", "nan", "inf", "-inf", "Infinity", "1_000", " 5",
    "5 ", "٣", "９", "0x10", "1,5", "1e5", "1.0", ".5", "5.", "-0", "1e400", "9" * 18, "9" * 19, "9" * 5000,
    "1" + "0" * 300, "5e-324", "1.7976931348623157e308", "4294967295", "4294967296", "", "٣.٥", "½", "²",
    "1e٣", "--1", "1\n", "1\0",
)  # fmt: skip
WORDS = (
    "", " ", "none", "auto", "true", "false", "TRUE", "on", "csv", "digits", "relu", "__proto__",
    "constructor",
    "<img src=x onerror=alert(1)>", "[a](javascript:alert(1))", "$x$", ":material/home:", "datum['x']", "a.b",
    "../../etc/passwd", "\0", "\ud800", "\u202e", "\ufeff", "x" * 3000, "a,b", '"', "'", "\\", "=1+1",
    "~~", "~", ".",
    "depth.3~depth.4", "\r\n", "😀", "ﬀ", "İ", "%00", "&", ";", "{}", "[" * 3000,
)  # fmt: skip
OBJECTS: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**31, 2**53, 2**63, 2**64, -(10**30), 10**400, 1.5, -0.0, 5e-324, 1e308,
    math.nan, math.inf, -math.inf, [], {}, [[]], {"": None}, [None], ["a"], ["a", 1], {"a": {"b": [{}]}},
    [1] * 1000, *WORDS,
)  # fmt: skip


ODD_FLOATS = (
    b"\0\0\xc0\x7f",
    b"\0\0\x80\x7f",
    b"\xff\xff\x7f\x7f",
    b"\1\0\0\0",
)  # NaN, inf, largest, smallest


class Find(Exception):
    """A parser did what it may not; the message says what."""


def refusal(error: Exception) -> None:
    """Check that an error says in one line what is wrong."""
    text = str(error)
    if not text or "\n" in text or "\r" in text or "\0" in text or len(text) > LONGEST_REFUSAL:
        raise Find(f"a refusal that is no short line: {text[:200]!r} ({len(text)} characters)")


def expect(condition: bool, what: str) -> None:
    if not condition:
        raise Find(what)


@dataclass(frozen=True)
class Target:
    """One parser: `make` gives a case's bytes, `read` takes them and tells whether the parser
    did; `count` cases make the whole benchmark."""

    make: Callable[[random.Random], bytes]
    read: Callable[[bytes], bool]
    count: int


# Bytes


def damaged(content: bytes, draw: random.Random, pieces: tuple[bytes, ...]) -> bytes:
    """Damage bytes somewhere, as disks, editors and careless programs do."""
    for _ in range(draw.choice((1, 1, 2, 5))):
        start = draw.randrange(len(content) + 1)
        end = min(len(content), start + draw.choice((1, 1, 2, 30, 3000)))
        kind = draw.randrange(7)
        if kind == 0:
            content = content[:start]
        elif kind == 1:
            content = content[:start] + content[end:]
        elif kind == 2:
            content = content[:end] + content[start:]
        elif kind == 3:
            content = content[:start] + draw.randbytes(end - start) + content[end:]
        elif kind == 4:
            content = content[:start] + draw.choice(pieces) + content[start:]
        elif kind == 5:
            content = content[:start] + bytes([draw.randrange(256)]) + content[start + 1 :]
        else:
            content = content[:start] + content[start:end] * draw.choice((2, 50)) + content[end:]
    return content


def edited(
    value: Any, draw: random.Random, objects: tuple[Any, ...] = OBJECTS, names: tuple[str, ...] = WORDS
) -> Any:
    """Change one thing somewhere in JSON; what comes in is one of `objects`, under one of `names`."""
    if not isinstance(value, (dict, list)) or not value or draw.random() < 0.15:
        return draw.choice(objects)
    keys = list(value) if isinstance(value, dict) else range(len(value))
    key = draw.choice(keys)
    changed = dict(value) if isinstance(value, dict) else list(value)
    kind = draw.randrange(8)
    if kind == 0:
        del changed[key]
    elif kind == 1 and isinstance(changed, dict):
        changed[draw.choice(names)] = draw.choice(objects)
    elif kind == 1 and isinstance(changed, list):
        changed.insert(key, draw.choice((changed[key], *objects)))
    elif kind == 2:
        other = draw.choice(keys)
        changed[key], changed[other] = changed[other], changed[key]
    else:
        changed[key] = edited(value[key], draw, objects, names)
    return changed


def as_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()


# Links


def _value(name: str, draw: random.Random) -> str:
    field = FIELDS.get(name)
    kind = draw.randrange(4)
    if field is None or kind == 0:
        return draw.choice(WORDS)
    if field.options and kind < 3:
        return draw.choice(field.options)
    if kind == 1:
        return draw.choice(NUMBERS)
    return str(draw.choice((field.low, field.high, field.above, draw.randrange(2000), draw.random(), 1)))


def make_link(draw: random.Random) -> bytes:
    """Give a query: real, edited or damaged; now and then with chains and comparisons in it."""
    if draw.random() < 0.2:
        return quote(draw.choice(WORDS) * draw.randrange(1, 4), safe="=&~.", errors="replace").encode()
    names = [*FIELDS, *RESERVED_NAMES, "configs", *WORDS]
    pairs = list(draw.choice(list(PRESETS.values())).config.to_query().items()) if draw.random() < 0.7 else []
    for _ in range(draw.randrange(6)):
        name = draw.choice(names)
        pairs.append((name, _value(name, draw)))
    if draw.random() < 0.3:
        pairs.append(("healed", _chain(draw)))
    if draw.random() < 0.3:
        pairs.append((draw.choice(("configs", "pinned")), _comparison(draw)))
    draw.shuffle(pairs)
    link = urlencode(pairs, errors="replace").encode()
    return damaged(link, draw, (b"&", b"=", b"%", b"%ff", b"+", b"~", b";")) if draw.random() < 0.3 else link


def _chain(draw: random.Random) -> str:
    """Give a chain of remedies as a link says it, right or nearly."""
    last = draw.choice(list(PRESETS.values())).config
    text = to_link((last.replace(activation="relu", gain=2.0), last.replace(activation="selu")), last)
    return (
        text
        if draw.random() < 0.3
        else damaged(text.encode(), draw, (b"~", b"-", b".", b":")).decode("latin-1")
    )


def _comparison(draw: random.Random) -> str:
    base = ExperimentConfig(depth=draw.randrange(1, 12))
    try:
        text = to_text(draw.choice(list(SETS.values())).configs(base))
    except ValueError:
        text = to_text((base,))
    if draw.random() < 0.3:
        return text
    words = text.split("~")
    for _ in range(draw.randrange(1, 4)):
        words[draw.randrange(len(words))] = f"{draw.choice(list(FIELDS))}.{draw.choice((*NUMBERS, *WORDS))}"
    return "~".join(words)


def read_link(content: bytes) -> bool:
    """Read a link as the lab and the comparison do; what was read is written and read again as the same."""
    query = parse_qs(content.decode("latin-1"), keep_blank_values=True)
    config, said = ExperimentConfig.from_query(query)
    for note in said:
        refusal(ValueError(note))
    again, more = ExperimentConfig.from_query(config.to_query())
    expect(again == config.replace(csv_path="") and not more, "a link that is not read as it was written")
    for text in query.get("healed", ()):
        try:
            chain = from_link(text, config)
            expect(from_link(to_link(chain, config), config) == chain, "a chain that is not read as written")
        except ValueError as error:
            refusal(error)
    for text in (*query.get("configs", ()), *query.get("pinned", ())):
        configs, notes = from_text(text)
        for note in notes:
            refusal(ValueError(note))
        expect(from_text(to_text(configs)) == (configs, ()), "a comparison that is not read as written")
    return not said


# Configurations


def make_config(draw: random.Random) -> bytes:
    """Give a configuration as JSON with some things wrong in it."""
    values: Any = draw.choice(list(PRESETS.values())).config.to_dict()
    for _ in range(draw.choice((1, 2, 4))):
        field = draw.choice(list(FIELDS.values()))
        inside = (*field.options, field.low, field.high, draw.randrange(1, 2000), draw.random())
        values[field.name] = draw.choice([value for value in inside if value is not None])
    for _ in range(draw.choice((0, 1, 1, 3))):
        values = edited(values, draw)
    return as_json(values)


def read_config(content: bytes) -> bool:
    """Make an experiment of JSON; it is the same after a round trip, and its estimates are finite."""
    values = json.loads(content)
    if not isinstance(values, dict):
        return False
    try:
        config = ExperimentConfig.from_dict(values)
    except ValueError as error:
        refusal(error)
        return False
    expect(ExperimentConfig.from_dict(config.to_dict()) == config, "a configuration that changes")
    expect(bool(config.words) and math.isfinite(config.step_flop), "a configuration without words or work")
    expect(config.recorded_steps[-1] == config.steps, "a configuration whose last step is not recorded")
    return True


# Run files


@cache
def run_lines() -> tuple[bytes, ...]:
    """Give a run file of a header, three records, one with histograms, and the end."""
    rows = EXAMPLE_RUN.read_bytes().splitlines(keepends=True)
    return (*rows[:3], rows[len(rows) // 2], rows[-1])


def sealed(content: Any) -> bytes:
    """Give a line with the right checksum, whatever it says."""
    text = as_json(content) if isinstance(content, dict) else b'{"k":"record"}'
    text = text.replace(b'"' + b"[" * 3000 + b'"', b"[" * 3000 + b"]" * 3000)  # deep, not a text
    return text[:-1] + b',"crc":%d}\n' % zlib.crc32(text)


def make_run(draw: random.Random) -> bytes:
    """Give a run file with damaged bytes, or with lines that are forged and rightly sealed."""
    rows = list(run_lines())
    if draw.random() < 0.5:
        return damaged(
            b"".join(rows), draw, (b"\n", b"\r\n", b"\0", b"}", b'"', b',"crc":1}\n', b"NaN", b"{}\n")
        )
    for _ in range(draw.choice((1, 1, 2))):
        number = draw.randrange(len(rows))
        content = json.loads(run_lines()[number])
        content.pop("crc")
        for _ in range(draw.choice((1, 1, 3))):
            content = edited(content, draw)
        rows[number] = sealed(content)
    return b"".join(rows)


def read_run(content: bytes) -> bool:
    """Open a run file; what was read can be diagnosed, and is saved and read again as the same."""
    try:
        run = parse_run(content, "run.jsonl")
    except RunFileError as error:
        refusal(error)
        return False
    again = parse_run(to_bytes(run), "run.jsonl")
    expect(again.steps.tolist() == run.steps.tolist(), "a run that is not read as it was saved")
    expect(again.layers == run.layers and again.status == run.status, "a run that changes when it is saved")
    expect(bool(run.title), "a run without a title")
    if run.records:
        _ = run.findings
    return bool(run.records)


# Weights


@cache
def weight_files() -> tuple[bytes, ...]:
    """Give files of weights of small networks, written by others and by nnlab."""
    draw = np.random.default_rng(0)
    tensors = {}
    for number, (fan_in, fan_out) in enumerate(((4, 6), (6, 5), (5, 3))):
        tensors[f"layers.{number}.weight"] = draw.normal(size=(fan_out, fan_in)).astype(np.float32)
        tensors[f"layers.{number}.bias"] = np.zeros(fan_out, np.float32)
    from safetensors.numpy import save

    config = ExperimentConfig(dataset="iris", depth=2, width=6).to_dict()
    return save(tensors), tensor_file.to_bytes(tensors, {"config": config, "activations": ["relu", "relu"]})


def make_weights(draw: random.Random) -> bytes:
    """Give a file of weights with damaged bytes, or with an odd header of the right length."""
    content = draw.choice(weight_files())
    if draw.random() < 0.4:
        return damaged(content, draw, (b"{", b"}", b"\0" * 8, b"\xff" * 8, b'"', b"[", b" "))
    length = int.from_bytes(content[:8], "little")
    if draw.random() < 0.2:  # other numbers, NaN and infinite ones too
        place = draw.randrange(8 + length, len(content) - 4)
        return content[:place] + draw.choice(ODD_FLOATS) + content[place + 4 :]
    header: Any = json.loads(content[8 : 8 + length])
    for _ in range(draw.choice((1, 1, 2, 4))):
        header = (
            _odd_header(header, draw)
            if isinstance(header, dict) and draw.random() < 0.6
            else edited(header, draw)
        )
    text = as_json(header).replace(b'"' + b"[" * 3000 + b'"', b"[" * 3000 + b"]" * 3000)
    said = len(text) if draw.random() < 0.9 else draw.choice((0, 1, length, 2**31, 2**63, 2**64 - 1))
    return said.to_bytes(8, "little") + text + content[8 + length :]


def _odd_header(header: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """Change a tensor's type, shape, place or name, or add tensors."""
    changed = dict(header)
    name = draw.choice([key for key in header if isinstance(header[key], dict)] or [""])
    entry = dict(header.get(name) or {})
    kind = draw.randrange(6)
    if kind == 0:
        entry["dtype"] = draw.choice(("F16", "BF16", "F64", "I64", "BOOL", "F8_E4M3", "F32", "x", 3))
    elif kind == 1:
        entry["shape"] = draw.choice(([], [0], [-1], [2**40, 2**40], [1] * 40, [24, 1], [1.5], "x", [True]))
    elif kind == 2:
        entry["data_offsets"] = [draw.choice((0, -1, 4, 96, 2**64, 2**70)) for _ in range(draw.randrange(4))]
    elif kind == 3:
        changed.pop(name, None)
        name = draw.choice(WORDS)
    elif kind == 4:
        changed |= {
            f"t{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(2500)
        }
    else:
        changed["__metadata__"] = {"nnlab": as_json(edited({"order": [0, 1], "config": {}}, draw)).decode()}
    return changed | ({name: entry} if entry else {})


def read_weights(content: bytes) -> bool:
    """Open a file of weights; the layers that are found fit each other."""
    try:
        found = read_checkpoint(content, "weights.safetensors")
    except CheckpointError as error:
        refusal(error)
        return False
    widths = found.widths
    expect(len(widths) == len(found.stages) + 1 and min(widths) >= 1, "layers that do not fit each other")
    expect(all(note and "\n" not in note for note in found.notes), "a note that is no line")
    _ = found.fitting_datasets, found.activation
    return True


# Tables


def make_table(draw: random.Random) -> bytes:
    """Give a table with odd cells, odd lines or damaged bytes."""
    separator = draw.choice((",", ",", ";", "\t"))
    columns, rows = draw.choice((1, 2, 3, 3, 3, 5, 5, 300)), draw.choice((0, 9, 10, 30, 30))
    usual: list[Callable[[], str]] = [
        lambda: f"{draw.gauss(0, 1):.3f}",
        lambda: draw.choice("abc"),
        lambda: str(draw.randrange(3)),
    ]
    kinds = [draw.choice(usual) for _ in range(columns)]
    header = [
        draw.choice(("x", "y", "class", "a", draw.choice(WORDS))) + str(number) for number in range(columns)
    ]
    lines = [header, *([kind() for kind in kinds] for _ in range(rows))]
    for _ in range(draw.choice((0, 0, 1, 3))):
        line = lines[draw.randrange(len(lines))]
        if line:
            line[draw.randrange(len(line))] = draw.choice((*NUMBERS, *WORDS))
    if draw.random() < 0.1:
        lines[draw.randrange(len(lines))].append("more")
    quoted = draw.random() < 0.2
    text = draw.choice(("\n", "\n", "\r\n", "\r")).join(
        separator.join('"' + cell.replace('"', '""') + '"' if quoted else cell for cell in line)
        for line in lines
    )
    code = draw.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
    content = text.encode(code, errors="replace")
    pieces = (
        b'"',
        b"\n",
        b"\r",
        b"\0",
        b",",
        b";",
        b"\xff",
        b"\xef\xbb\xbf",
        b"PK\x03\x04",
        string.printable.encode(),
    )
    return damaged(content, draw, pieces) if draw.random() < 0.3 else content


def read_table(content: bytes) -> bool:
    """Open a table as the lab and the page of dots do; its data have no NaN and fit each other."""
    taken = False
    try:
        table = table_from_csv(content, "table.csv")
        chosen = csvdata.usual_choice(table)
        data = csvdata.to_data(table, ExperimentConfig(**chosen))
        expect(bool(np.isfinite(data.x_train).all() and np.isfinite(data.x_test).all()), "data with NaN")
        expect(len(data.x_train) == len(data.y_train), "rows without a target")
        expect("\n" not in csvdata.in_words(data), "words of more than a line")
        taken = True
    except ValueError as error:
        refusal(error)
    try:
        points = points_from_csv(content, "table.csv")
        expect(bool(np.isfinite(points.x).all()) and set(points.labels) == {0, 1}, "points that are none")
        taken = True
    except ValueError as error:
        refusal(error)
    return taken


# Drawings


def make_drawing(draw: random.Random) -> bytes:
    """Give what a browser may say that was drawn."""
    drawn: Any = [[draw.random(), draw.random(), draw.randrange(2)] for _ in range(draw.choice((0, 3, 20)))]
    for _ in range(draw.choice((0, 1, 1, 3))):
        drawn = edited(drawn, draw)
    return as_json(drawn)


def read_drawing(content: bytes) -> bool:
    """Take over a drawing; its points lie in the field."""
    try:
        points = points_from_drawing(json.loads(content))
        expect(bool(((points.x >= 0) & (points.x <= 1)).all()), "points beside the field")
    except ValueError as error:
        refusal(error)
        return False
    return True


TARGETS = {
    "links": Target(make_link, read_link, 60_000),
    "configurations": Target(make_config, read_config, 40_000),
    "run files": Target(make_run, read_run, 20_000),
    "weights": Target(make_weights, read_weights, 20_000),
    "tables": Target(make_table, read_table, 20_000),
    "drawings": Target(make_drawing, read_drawing, 5_000),
}
