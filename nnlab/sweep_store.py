"""SweepStore: the finished cells of a sweep on disk, as they come, so that none is trained twice."""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import nnlab
from nnlab import writer_lock
from nnlab.config import ExperimentConfig
from nnlab.runline import encode_number, parse_line, to_line
from nnlab.sweep_row import COLUMNS, RESULT_COLUMNS, Row

HEADER: dict[str, Any] = {"k": "header", "format": "nnlab.cells", "schema": [1, 0]}
_HEADER_LINE = to_line(HEADER)


def cell_key(config: ExperimentConfig, file_sha256: str = "") -> str:
    """Give what identifies a cell's numbers: its experiment, its file's content, nnlab and torch."""
    said = json.dumps([config.to_dict(), file_sha256, nnlab.__version__, _torch_version()], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


@cache
def _torch_version() -> str:
    return metadata.version("torch")


class SweepStore:
    """Finished cells by key, in memory and in an append-only file; a context manager.

    A line a cell, with a CRC. A torn last line is cut off, a damaged one is skipped and counted. A full disk
    ends nothing: what does not fit is tried again with the next cell, and `trouble` says it.

    Raises:
        ValueError: the file is something else, or of a newer nnlab.
        OSError: the file cannot be made, or another sweep writes to it.
    """

    def __init__(self, path: str | Path) -> None:
        self._name = Path(path).name
        self._rows: dict[str, Row] = {}
        self._unwritten: list[bytes] = []
        self._reason = ""
        self._is_unsafe = False  # whether the disk has not said that everything is on it
        self.damaged = 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        try:
            if not writer_lock.take(self._descriptor):
                raise BlockingIOError(f"{self._name}: another sweep is writing to this file")
            self._good = self._read(Path(path).read_bytes())
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> SweepStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> Row:
        return self._rows[key]

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def trouble(self) -> str:
        """What went wrong with the file, in one sentence; "" where nothing is missing in it."""
        lost = len(self._unwritten) - (_HEADER_LINE in self._unwritten)
        if lost:
            return f"{self._name}: {self._reason}; {lost} finished cells are not in the file"
        return f"{self._name}: {self._reason}; its last cells may be missing" if self._is_unsafe else ""

    def add(self, key: str, row: Row) -> None:
        """Keep a finished cell: once this returns without `trouble`, it is in the file."""
        self._rows[key] = row
        self._unwritten.append(to_line({"k": "cell", "key": key, "row": _encoded(row)}))
        self._write()

    def close(self) -> None:
        """Write what is left and let the file go; a second call does nothing."""
        if not self._close.alive:
            return
        self._write()
        with self._noted():
            os.fsync(self._descriptor)
        writer_lock.give_back(self._descriptor)
        with self._noted():
            self._close()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._reason, self._is_unsafe = error.strerror or str(error), True

    def _read(self, content: bytes) -> int:
        """Take in what an earlier sweep left; give the length of whole lines, to go on from."""
        lines = content.splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        if not whole:
            if content and not _HEADER_LINE.startswith(content):
                raise self._no_cells()
            self._unwritten.append(_HEADER_LINE)
            return 0
        self._check_header(parse_line(whole[0]))
        for line in whole[1:]:
            parsed = parse_line(line)
            if parsed == HEADER:
                continue  # written again, where an interrupt came between the writing and the note of it
            row = None if parsed is None else _decoded(parsed.get("row"))
            if parsed is None or row is None or not isinstance(parsed.get("key"), str):
                self.damaged += 1
            else:
                self._rows[parsed["key"]] = row
        return sum(map(len, whole))

    def _check_header(self, header: Mapping[str, Any] | None) -> None:
        if header is None or header.get("format") != HEADER["format"]:
            raise self._no_cells()
        schema = header.get("schema")
        if not isinstance(schema, list) or not schema or schema[0] != HEADER["schema"][0]:
            raise ValueError(f"{self._name}: the cells are of schema {schema}; this nnlab reads 1")

    def _no_cells(self) -> ValueError:
        return ValueError(f"{self._name}: this is no file of a sweep's cells; move it away or name another")

    def _write(self) -> None:
        """Append what is not in the file yet, each line whole or not at all."""
        try:
            # What a killed process or a full disk left of a line.
            if os.fstat(self._descriptor).st_size != self._good:
                os.ftruncate(self._descriptor, self._good)
            while self._unwritten:
                line = self._unwritten[0]
                pending = line
                while pending:
                    pending = pending[os.write(self._descriptor, pending) :]
                self._good += len(line)
                del self._unwritten[0]
        except OSError as error:
            self._reason = error.strerror or str(error)


def _encoded(row: Row) -> dict[str, Any]:
    return {name: encode_number(v) if isinstance(v, float) else v for name, v in row.items()}


def _decoded(row: Any) -> Row | None:
    """Give a row back, None where it is none: its experiment must be one, its numbers numbers."""
    if not isinstance(row, dict) or set(row) != set(COLUMNS):
        return None
    try:
        numbers = {name: float(row[name]) for name in RESULT_COLUMNS}
        return {**row, **numbers}
    except (TypeError, ValueError):
        return None


def cells_path(out: str | Path) -> Path:
    """Give where the finished cells of a sweep's table are kept: beside it."""
    path = Path(out)
    return path.with_name(path.name + ".cells")
