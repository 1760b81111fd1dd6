"""The run file: JSON Lines that survive a killed process and a torn last line; here as a whole.

The first line says format, schema, configuration and environment; then one line a record; the last
line is `end`. Where layers come in on the way, a line of layers stands before the record that has them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from nnlab.run import Run
from nnlab.runheader import FORMAT, SCHEMA, RunFileError, header_content
from nnlab.runline import parse_line, to_line
from nnlab.runreader import RunReader, is_piece, lines_of
from nnlab.runrecord import record_content
from nnlab.whole_file import write_whole

__all__ = ["FORMAT", "SCHEMA", "RunFileError", "end_content", "load_run", "parse_run", "save_run", "to_bytes"]


def _lines(run: Run) -> Iterator[bytes]:
    """Give all lines of a run's file."""
    yield to_line(header_content(run))
    for record in run.records:
        yield to_line(record_content(record))
    yield to_line(end_content(run, run.status, len(run.records)))


def end_content(run: Run, status: str, count: int) -> dict[str, Any]:
    """Give the content of the last line; `count` is how many records there should be."""
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
    write_whole(path, _lines(run))


def load_run(path: str | Path) -> Run:
    """Read a run file, whole or cut off anywhere.

    A torn last line is dropped, a damaged record is skipped and counted, both said in `run.notes`; a
    file without an end line has the status "interrupted".

    Raises:
        RunFileError: no run file, a damaged header, or one of a newer major version.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        return _read(file, Path(path).name)


def parse_run(content: bytes, name: str) -> Run:
    """Read the bytes of a run file; see `load_run`."""
    return _read(io.BytesIO(content), name)


def _read(file: BinaryIO, name: str) -> Run:
    reader, is_torn = RunReader(name), False
    for raw in lines_of(file):
        is_torn = reader.has_header and is_piece(raw) and parse_line(raw) is None
        if not is_torn:
            reader.read(raw)
    return reader.run(is_torn=is_torn)
