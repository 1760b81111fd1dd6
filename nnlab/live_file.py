"""LiveFile: a run file that is read while its training script still writes it."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import BinaryIO

from nnlab import writer_lock
from nnlab.run import Run
from nnlab.runheader import RunFileError
from nnlab.runline import parse_line
from nnlab.runreader import RunReader, is_piece, lines_of

ANCHOR_BYTES = (
    256  # before the place read to: the last line's checksum tells whether the file is still the same
)


class LiveFile:
    """A run file that grows; each call of `run` reads what came since the last one.

    `version` changes whenever `run` would give something new. It may be used from several threads.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self.version = 0
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._reader = RunReader(self._path.name)
        self._place = 0
        self._anchor = b""
        self._file_id = (0, 0)
        self._run: Run | None = None
        self._seen: tuple[int, bool, bool] = (0, False, False)  # what the run was made of

    def run(self) -> Run:
        """Give the run as far as it is written; the same object where nothing is new.

        Its status is "running" while a writer has the file, else what the file says.

        Raises:
            RunFileError: the file has no record yet, cannot be read, or is no run file.
        """
        with self._lock:
            try:
                with self._open() as file:
                    return self._read(file)
            except RunFileError:
                raise
            except BaseException as error:
                # It was broken off between a line and the note that it was read: it would be read twice.
                self._begin_anew()
                raise self._said(error) from None

    def _said(self, error: BaseException) -> BaseException:
        if isinstance(error, FileNotFoundError):
            return RunFileError(f"{self._path.name}: the file is not there, so it has no record yet")
        if isinstance(error, OSError):
            return RunFileError(f"{self._path.name}: {error.strerror or error}")
        return error

    def _open(self) -> BinaryIO:
        # A pipe would keep a page waiting for ever.
        if not stat.S_ISREG(os.stat(self._path).st_mode):
            raise RunFileError(f"{self._path.name}: this is no file")
        return self._path.open("rb")

    def _read(self, file: BinaryIO) -> Run:
        # Asked first: what a writer that is gone by now wrote last is then read below.
        is_written = writer_lock.is_taken(file.fileno())
        if not self._is_same(file):
            self._begin_anew()
        status = os.fstat(file.fileno())
        self._file_id = (status.st_dev, status.st_ino)
        piece = self._read_on(file)
        if piece and not self._reader.has_header and not is_written:
            self._reader.read(piece)  # says what is wrong with it
        if not self._reader.has_header:
            raise RunFileError(f"{self._path.name}: it has no record yet")
        return self._made(is_torn=bool(piece) and not is_written, is_written=is_written)

    def _is_same(self, file: BinaryIO) -> bool:
        """Tell whether the file still begins with what was read of it."""
        status = os.fstat(file.fileno())
        if (status.st_dev, status.st_ino) != self._file_id:
            return False
        file.seek(self._place - len(self._anchor))
        return file.read(len(self._anchor)) == self._anchor

    def _read_on(self, file: BinaryIO) -> bytes:
        """Read the lines from the place on; give the piece of a line that is left behind them."""
        file.seek(self._place)
        piece = b""
        for raw in lines_of(file):
            if is_piece(raw) and parse_line(raw) is None:
                piece = raw
            else:
                self._reader.read(raw)
        self._place = file.tell() - len(piece)
        file.seek(max(0, self._place - ANCHOR_BYTES))
        self._anchor = file.read(min(self._place, ANCHOR_BYTES))
        return piece

    def _made(self, *, is_torn: bool, is_written: bool) -> Run:
        seen = (self._place, is_torn, is_written)
        if self._run is None or seen != self._seen:
            is_running = is_written and not self._reader.is_ended
            self._run = self._reader.run(is_torn=is_torn, status="running" if is_running else None)
            self._seen = seen
            self.version += 1
        return self._run
