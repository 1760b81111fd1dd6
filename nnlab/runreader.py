"""The reader of a run file: takes lines one by one, and gives the run that they make so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO

from nnlab.alignment import aligned, grows_into
from nnlab.run import STATUSES, LayerInfo, Run, StepRecord
from nnlab.runheader import Header, RunFileError, read_header, read_layers, read_texts
from nnlab.runline import MAX_LINE_BYTES, count_parts, parse_line, unknown_keys, whole_number
from nnlab.runrecord import read_record

# Layers that come late make every record before them longer. A small file that would fill the memory so is
# refused: beyond both of these, in layers of all records together.
MAX_SPREAD, MAX_SPREAD_RATIO = 500_000, 4
# What is kept unread of all records together, in lists, objects and texts of some 80 bytes: 5 MB of "{},"
# would be 120 MB.
MAX_UNREAD_PARTS = 200_000
_UNUSABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Give the lines of a file as they are, the beginning of one that is too long, and at last a torn one."""
    while raw := file.readline(MAX_LINE_BYTES + 1):
        yield raw
        while raw and not raw.endswith(b"\n"):
            raw = file.readline(MAX_LINE_BYTES)


def is_piece(raw: bytes) -> bool:
    """Tell whether `lines_of` gave the rest of a file that has no line break behind it."""
    return len(raw) <= MAX_LINE_BYTES and not raw.endswith(b"\n")


class RunReader:
    """What the lines of a run file say, as far as they were read.

    `name` is what the file is called in messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._header: Header | None = None
        self._layouts: list[tuple[LayerInfo, ...]] = []
        self._layout = 0  # which of the writer's the last one is; a line of layers may be lost
        self._unread_of_layers: Mapping[str, Any] = {}
        self._records: dict[int, tuple[StepRecord, int]] = {}
        self._status = "interrupted"
        self._end: dict[str, Any] = {}
        self._end_notes: tuple[str, ...] = ()
        self._count: int | None = None
        self._damaged = self._repeated = 0
        self._unread_parts = 0

    @property
    def has_header(self) -> bool:
        """Whether the first line was read."""
        return self._header is not None

    def read(self, raw: bytes) -> None:
        """Take over one line; a damaged one is counted. Raises RunFileError for a header of no use."""
        if self._header is None:
            self._header = read_header(raw, self._name)
            self._layouts = [self._header.layers]
            self._unread_of_layers = self._header.extras["layers"]
        elif raw.strip():
            self._read_body(parse_line(raw))

    def _read_body(self, line: dict[str, Any] | None) -> None:
        try:
            if line is None:
                raise ValueError("damaged")
            kind = line.get("k")
            if kind == "record":
                self._take_record(line)
            elif kind == "layers":
                self._take_layers(line)
            elif kind == "end":
                self._take_end(line)
        except _UNUSABLE:
            self._damaged += 1

    def _take_record(self, line: dict[str, Any]) -> None:
        # Where a line of layers is lost, the records after it must not be read as those of other layers.
        if whole_number(line.get("layout", 0), "layout") != self._layout:
            raise ValueError("the layers of this record are not known")
        record = read_record(line, self._layouts[-1])
        self._unread_parts += count_parts(dict(record.extras))
        if self._unread_parts > MAX_UNREAD_PARTS:
            record = replace(record, extras={})
        self._repeated += record.step in self._records
        self._records[record.step] = (record, len(self._layouts) - 1)  # the last one counts

    def _take_layers(self, line: dict[str, Any]) -> None:
        layers, layout = read_layers(line["layers"]), whole_number(line["layout"], "layout")
        if layout <= self._layout or not grows_into(self._layouts[-1], layers):
            raise ValueError("these layers do not continue those before")
        self._layouts.append(layers)
        self._layout = layout

    def _take_end(self, line: dict[str, Any]) -> None:
        notes = read_texts(line.get("notes", []), "notes")
        count = whole_number(line.get("count", 0), "count")
        unread = unknown_keys(line, ("k", "status", "count", "notes"))
        known = isinstance(line["status"], str) and line["status"] in STATUSES
        self._status = line["status"] if known and line["status"] != "running" else "interrupted"
        self._count, self._end, self._end_notes = count, unread, notes

    @property
    def is_ended(self) -> bool:
        """Whether the end line was read."""
        return self._count is not None

    def run(self, *, is_torn: bool = False, status: str | None = None) -> Run:
        """Give the run of all lines so far.

        Args:
            is_torn: whether a piece of a line is left behind them.
            status: what is known better than by the file.
        """
        if self._header is None:
            raise RunFileError(f"{self._name}: the file is empty or its first line is not whole")
        self._align()
        header = self._header
        records = tuple(self._records[step][0] for step in sorted(self._records))
        extras = {**header.extras, "layers": self._unread_of_layers, "end": self._end}
        notes = self._notes(is_torn)
        status = status or self._status
        return Run(
            header.config, status, self._layouts[-1], records, header.environment, notes, extras=extras
        )

    def _align(self) -> None:
        """Bring the records from before the last line of layers to its layers."""
        last = len(self._layouts) - 1
        earlier = {step: layout for step, (_, layout) in self._records.items() if layout < last}
        spread = len(earlier) * len(self._layouts[-1])
        held = sum(len(self._layouts[layout]) for layout in earlier.values())
        if spread > max(MAX_SPREAD, MAX_SPREAD_RATIO * held):
            raise RunFileError(
                f"{self._name}: {len(earlier)} records were written before most of its "
                f"{len(self._layouts[-1])} layers were there, which would fill the memory"
            )
        for step, layout in earlier.items():
            record = aligned(self._records[step][0], self._layouts[layout], self._layouts[-1])
            self._records[step] = (record, last)

    def _notes(self, is_torn: bool) -> tuple[str, ...]:
        assert self._header is not None
        notes = [*self._header.notes, *self._end_notes]
        if is_torn:
            notes.append("the last line was cut off and left out")
        if self._repeated:
            notes.append(f"{self._repeated} steps were there twice; the last record counts")
        if self._unread_parts > MAX_UNREAD_PARTS:
            notes.append("what a newer nnlab wrote besides is too much to be kept")
        missing = (self._count or 0) - len(self._records) - self._repeated - self._damaged
        if missing > 0:
            notes.append(f"{missing} records are missing from the file")
        if self._damaged:
            notes.append(f"{self._damaged} damaged records were skipped")
        return tuple(dict.fromkeys(notes))
