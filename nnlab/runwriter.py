"""RunWriter: appends a run to its file while it trains; what is acknowledged is in the file."""

from __future__ import annotations

import contextlib
import os
import stat
import time
import warnings
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnlab import writer_lock
from nnlab.run import LayerInfo, Run, StepRecord
from nnlab.runfile import end_content
from nnlab.runheader import header_content, layers_content
from nnlab.runline import MAX_LINE_BYTES, to_line
from nnlab.runrecord import record_content

# What is written survives the process at once; only a power cut can take what was not synced.
SYNC_SECONDS = 1.0


class LostRecordsWarning(UserWarning):
    """The run file cannot take all records; training goes on."""


class RunWriter:
    """Appends a run to a file, one write() a line, so that a killed process loses no record.

    A full or failing disk ends nothing: what does not fit is left out, the file stays readable, the next
    record is tried again, and `trouble` says it. Use it from one thread; in a forked process it does nothing.

    Raises:
        OSError: the file cannot be made, or another writer has it.
    """

    def __init__(self, path: str | Path) -> None:
        self._name = Path(path).name
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        try:
            if not writer_lock.take(self._descriptor):
                raise BlockingIOError(f"{self._name}: another training run is writing to this file")
            self._is_regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            if self._is_regular:
                os.ftruncate(self._descriptor, 0)
        except BaseException:
            self._close()
            raise
        self._good = 0  # bytes of whole lines
        self._is_torn = False  # whether a piece of a line could not be taken back
        self._layers: tuple[LayerInfo, ...] | None = None  # as the file says them last
        self._layout = 0  # lines of layers
        self._recorded = self._lost = 0
        self._synced = time.monotonic()
        self._reason = ""
        self._has_warned = False
        self._process = os.getpid()

    @property
    def trouble(self) -> str:
        """What went wrong with the file, in one sentence; "" where nothing did."""
        if not self._reason:
            return ""
        lost = f"{self._lost} of {self._recorded} records are not in the file"
        return f"{self._name}: {self._reason}; {lost if self._lost else 'its last lines may be missing'}"

    def append(self, run: Run, record: StepRecord) -> None:
        """Write a record of `run.layers`, before the first one the header, before new layers their line."""
        if os.getpid() != self._process:
            return
        if not self._close.alive:
            raise ValueError(f"{self._name}: the run file is finished; nothing can be appended")
        self._recorded += 1
        if not (self._has_said_layers(run) and self._write(record_content(record, self._layout))):
            self._lost += 1
            self._warn()
        elif time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def finish(self, run: Run, status: str) -> None:
        """Write the end line and close the file; a second call does nothing."""
        if not self._close.alive or os.getpid() != self._process:
            return
        if self._has_said_layers(run):
            self._write(end_content(run, status, self._recorded))
        self._sync()
        writer_lock.give_back(self._descriptor)
        try:
            self._close()
        except OSError as error:  # a network's disk says only now what it could not write
            self._reason = error.strerror or str(error)
        self._warn()

    def _has_said_layers(self, run: Run) -> bool:
        """Write what the file must say of the layers before a line of this run; False where it cannot."""
        if self._layers == run.layers:
            return True
        if self._layers is None:
            is_said = self._write(header_content(run))
        else:
            content = {"k": "layers", "layout": self._layout + 1, "layers": layers_content(run)}
            is_said = self._write(content)
            self._layout += is_said
        if is_said:
            self._layers = run.layers
        return is_said

    def _write(self, content: Mapping[str, Any]) -> bool:
        """Write one line, whole or not at all; False where the file cannot take it."""
        line = to_line(content)
        if len(line) > MAX_LINE_BYTES:
            self._reason = f"a line of {len(line):,} bytes is longer than {MAX_LINE_BYTES:,}"
            return False
        try:
            self._mend()
            whole = b"\n" + line if self._is_torn else line
            pending = whole
            while pending:  # a nearly full disk may take a part
                pending = pending[os.write(self._descriptor, pending) :]
        except OSError as error:
            self._reason = error.strerror or str(error)
            self._leave_no_piece()
            return False
        except BaseException:  # Ctrl-C between two parts
            self._leave_no_piece()
            raise
        self._good, self._is_torn = self._good + len(whole), False
        return True

    def _leave_no_piece(self) -> None:
        self._is_torn = self._is_torn or not self._is_regular
        with contextlib.suppress(OSError):  # then before the next line
            self._mend()

    def _mend(self) -> None:
        """Cut off what a failure or an interrupt left behind the whole lines.

        Where that cannot be, a line break before the next line ends the piece, and the reader skips it.
        """
        if not self._is_regular or (size := os.fstat(self._descriptor).st_size) == self._good:
            return
        if size > self._good:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._good)
                return
        self._good, self._is_torn = size, True

    def _sync(self) -> None:
        self._synced = time.monotonic()
        try:
            if self._is_regular:
                os.fsync(self._descriptor)
        except OSError as error:
            self._reason = error.strerror or str(error)
            self._warn()

    def _warn(self) -> None:
        """Warn of the first trouble, once."""
        if self._reason and not self._has_warned:
            self._has_warned = True
            warnings.warn(f"{self.trouble}; training goes on", LostRecordsWarning, stacklevel=3)
