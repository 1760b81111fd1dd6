"""The run file: JSON Lines that survive a killed process and a torn last line.

The first line says format, schema, configuration and environment; then one line a record; the last
line is `end`. Every line carries a CRC32 of its content. Non-finite numbers are "nan", "inf", "-inf".
"""

from __future__ import annotations

import json
import math
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.histogram import QUANTITIES, bin_rows, packed
from nnlab.metrics import METRICS
from nnlab.run import STATUSES, LayerInfo, LayerNumbers, Run, StepRecord

FORMAT = "nnlab.run"
SCHEMA = (1, 0)
MAX_LINE_BYTES = 4_000_000  # a probe record of 200 layers is about 0.5 MB
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class RunFileError(ValueError):
    """The file is no run file that can be read; the message says why."""


def _encode_number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")


def _decode_number(value: Any) -> float:
    if isinstance(value, str):
        return _NON_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _line(content: Mapping[str, Any]) -> bytes:
    """Give one line with its CRC, which covers the text of everything before it."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    checksum = zlib.crc32(text.encode())
    return f'{text[:-1]},"crc":{checksum}}}\n'.encode()


def _parse_line(raw: bytes) -> dict[str, Any] | None:
    """Give the content of a line, None where it is torn or its CRC is wrong."""
    head, separator, tail = raw.rpartition(b',"crc":')
    digits = tail.strip()[:-1]
    if not separator or not re.fullmatch(rb"[0-9]{1,10}", digits) or zlib.crc32(head + b"}") != int(digits):
        return None
    try:
        content = json.loads(head + b"}")
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def header_of(run: Run) -> dict[str, Any]:
    """Give the content of a run file's first line."""
    return {
        **run.extras.get("header", {}),
        "k": "header",
        "format": FORMAT,
        "schema": list(SCHEMA),
        "config": None if run.config is None else run.config.to_dict(),
        "environment": dict(run.environment),
        "dataset_sha256": run.environment.get("dataset_sha256"),
        "layers": [asdict(layer) for layer in run.layers],
    }


def _record_content(record: StepRecord) -> dict[str, Any]:
    return {
        **record.extras,
        "k": "record",
        "step": record.step,
        "layers": {
            name: [_encode_number(float(value)) for value in values] for name, values in record.layers.items()
        },
        "network": {name: _encode_number(value) for name, value in record.network.items()},
        "histograms": {
            quantity: [None if c is None else c.tolist() for c in counts]
            for quantity, counts in record.histograms.items()
        },
    }


class RunWriter:
    """Appends a run to a file, one write() a line, so that a killed process loses no record.

    Raises:
        OSError: the file cannot be made or written.
    """

    def __init__(self, path: str | Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._written = 0

    def _write(self, line: bytes) -> None:
        done = 0
        while done < len(line):  # a nearly full disk may take a part
            done += os.write(self._descriptor, line[done:])

    def append(self, run: Run, record: StepRecord) -> None:
        """Write a record, and before the first one the header."""
        if self._written == 0:
            self._write(_line(header_of(run)))
        self._write(_line(_record_content(record)))
        self._written += 1

    def finish(self, run: Run, status: str) -> None:
        """Write the end line and close the file."""
        if self._written == 0:
            self._write(_line(header_of(run)))
        self._write(_line(_end_content(run, status, self._written)))
        os.fsync(self._descriptor)
        os.close(self._descriptor)


def _lines(run: Run) -> Iterator[bytes]:
    """Give all lines of a run's file."""
    yield _line(header_of(run))
    for record in run.records:
        yield _line(_record_content(record))
    yield _line(_end_content(run, run.status, len(run.records)))


def _end_content(run: Run, status: str, count: int) -> dict[str, Any]:
    known = run.extras.get("end", {})
    return {**known, "k": "end", "status": status, "count": count, "notes": list(run.notes)}


def to_bytes(run: Run) -> bytes:
    """Give the whole run file as bytes."""
    return b"".join(_lines(run))


def save_run(run: Run, path: str | Path) -> None:
    """Write a whole run; the file appears complete or not at all.

    Raises:
        OSError: the folder is missing, unwritable or full.
    """
    target = Path(path)
    partial = target.with_name(f"{target.name}.partial")
    try:
        with partial.open("wb") as file:
            file.writelines(_lines(run))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _read_header(raw: bytes, name: str) -> dict[str, Any]:
    content = _parse_line(raw)
    if content is None:
        raise RunFileError(f"{name}: the first line is damaged (wrong checksum) or no nnlab run file")
    if content.get("format") != FORMAT:
        raise RunFileError(f"{name}: not an nnlab run file")
    schema = content.get("schema")
    if not isinstance(schema, list) or len(schema) != 2 or not isinstance(schema[0], int):
        raise RunFileError(f"{name}: the header names no schema")
    if schema[0] > SCHEMA[0]:
        raise RunFileError(
            f"{name}: written by a newer nnlab (schema {schema[0]}); "
            f"this one reads schema {SCHEMA[0]}, please upgrade"
        )
    return content


def _layers(header: Mapping[str, Any]) -> tuple[LayerInfo, ...]:
    layers = []
    for item in header["layers"]:
        known = LayerInfo.__dataclass_fields__
        fields = {name: value for name, value in item.items() if name in known}
        fields["weight_shape"] = tuple(int(size) for size in fields["weight_shape"])
        fields["notes"] = tuple(str(note) for note in fields.get("notes", ()))
        layers.append(LayerInfo(**fields))
    return tuple(layers)


def _read_record(content: Mapping[str, Any], layers: tuple[LayerInfo, ...]) -> StepRecord:
    """Build a record; a shape that does not fit the header raises ValueError, TypeError or KeyError."""
    values: dict[str, np.ndarray] = {}
    for name, numbers in content["layers"].items():
        # A newer minor version may know more metrics; they are kept as they are.
        expected = len(layers) - METRICS[name].hidden_only if name in METRICS else len(numbers)
        if len(numbers) != expected:
            raise ValueError(f"{name} has {len(numbers)} numbers for {expected} layers")
        values[name] = np.array([_decode_number(number) for number in numbers], dtype=float)
    network = {n: _decode_number(v) for n, v in content["network"].items()}
    histograms = {
        quantity: packed([_read_counts(c, quantity, layer) for c, layer in zip(rows, layers, strict=True)])
        for quantity, rows in content["histograms"].items()
        if quantity in QUANTITIES
    }
    extras = _unknown(content, ("k", "step", "layers", "network", "histograms"))
    # What only a newer version knows may have any length, and would spread it to every other metric.
    is_even = all(len(numbers) <= len(layers) for numbers in values.values())
    dense = LayerNumbers.of(values) if is_even else values
    return StepRecord(int(content["step"]), dense, network, histograms, extras)


def _read_counts(counts: list[int] | None, quantity: str, layer: LayerInfo) -> np.ndarray | None:
    if counts is None:
        return None
    if len(counts) != len(bin_rows(quantity, layer.activation)[0]):
        raise ValueError(f"{quantity} has {len(counts)} bins")
    return np.array(counts, dtype=np.int64)


def _unknown(content: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in known}


def _config(header: Mapping[str, Any], name: str) -> tuple[ExperimentConfig | None, tuple[str, ...]]:
    """Give the configuration, and a note on fields that only a newer nnlab knows."""
    given = header.get("config")
    if given is None:
        return None, ()
    if not isinstance(given, dict):
        raise RunFileError(f"{name}: the configuration cannot be used: it is no set of fields")
    is_newer = header["schema"][1] > SCHEMA[1]
    unknown = sorted(set(given) - set(FIELDS)) if is_newer else []
    try:
        config = ExperimentConfig.from_dict({n: v for n, v in given.items() if n not in unknown})
    except (ValueError, TypeError) as error:
        raise RunFileError(f"{name}: the configuration cannot be used: {error}") from None
    notes = tuple(f"written by a newer nnlab: field {field!r} is not known here" for field in unknown)
    return config, notes


def load_run(path: str | Path) -> Run:
    """Read a run file, whole or cut off anywhere.

    A torn last line is dropped, a damaged record is skipped and counted, both said in `run.notes`; a
    file without an end line has the status "interrupted".

    Raises:
        RunFileError: no run file, a damaged header, or one of a newer major version.
        OSError: the file cannot be read.
    """
    return parse_run(Path(path).read_bytes(), Path(path).name)


def parse_run(content: bytes, name: str) -> Run:
    """Read the bytes of a run file; see `load_run`."""
    lines = content.split(b"\n")
    header = _read_header(lines[0], name)
    try:
        layers = _layers(header)
        environment = dict(header["environment"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunFileError(f"{name}: the header is incomplete ({error})") from None
    config, notes = _config(header, name)
    body = _Body(layers, list(notes))
    for number, raw in enumerate(lines[1:], start=1):
        if raw:
            body.read(raw, is_last=number == len(lines) - 1)
    known = ("k", "format", "schema", "config", "environment", "dataset_sha256", "layers")
    extras = {"header": _unknown(header, known), "end": body.end_extras}
    records = tuple(body.records[step] for step in sorted(body.records))
    return Run(config, body.status, layers, records, environment, body.all_notes(), extras=extras)


class _Body:
    """What the lines after the header say, as far as they can be read."""

    def __init__(self, layers: tuple[LayerInfo, ...], notes: list[str]) -> None:
        self.layers = layers
        self.records: dict[int, StepRecord] = {}
        self.status = "interrupted"
        self.end_extras: dict[str, Any] = {}
        self._notes = notes
        self._damaged = self._repeated = self._missing = 0

    def read(self, raw: bytes, *, is_last: bool) -> None:
        """Take over one line; a damaged one is counted, a torn last one is said."""
        line = _parse_line(raw) if len(raw) <= MAX_LINE_BYTES else None
        if line is None and is_last:
            self._notes.append("the last line was cut off and left out")
            return
        try:
            if line is None:
                raise ValueError("damaged")
            if line.get("k") == "record":
                self._take_record(line)
            elif line.get("k") == "end":
                self._take_end(line)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            self._damaged += 1

    def _take_record(self, line: dict[str, Any]) -> None:
        record = _read_record(line, self.layers)
        self._repeated += record.step in self.records
        self.records[record.step] = record  # the last one counts

    def _take_end(self, line: dict[str, Any]) -> None:
        notes = [str(note) for note in line.get("notes", ())]
        if line["status"] in STATUSES and line["status"] != "running":
            self.status = line["status"]
        self._missing = int(line.get("count", 0)) - len(self.records) - self._repeated
        self.end_extras = _unknown(line, ("k", "status", "count", "notes"))
        self._notes += notes

    def all_notes(self) -> tuple[str, ...]:
        """Give what a reader must know of the file."""
        if self._repeated:
            self._notes.append(f"{self._repeated} steps were there twice; the last record counts")
        if self._missing > self._damaged:
            self._notes.append(f"{self._missing - self._damaged} records are missing from the file")
        if self._damaged:
            self._notes.append(f"{self._damaged} damaged records were skipped")
        return tuple(self._notes)
