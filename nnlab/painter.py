"""painter: draws Vega-Lite specs, on a public server in a process of its own.

vl-convert brings a whole JavaScript engine and never gives its memory back: 90 MB after the first picture,
235 after all kinds of files. There the process ends soon after the last picture.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as TooLate
from pathlib import Path
from typing import Any

from nnlab import vega
from nnlab.hosting import is_hosted
from nnlab.worker_pool import WorkerLost, WorkerPool

IDLE_SECONDS = 3.0  # long enough for the next file of a folder, or a visitor's next click
# The engine grows by 5 MB a picture; starting another one takes half a second.
MOST_BYTES = 130e6
SLOWEST_SECONDS = 60.0  # a busy machine takes eight for what it does in one
MOST_WAITING = 10  # each holds a thread of the server


class Busy(RuntimeError):
    """Too many pictures are being drawn for others."""


class Painter:
    """Calls functions one at a time in a process that ends when nobody has called for IDLE_SECONDS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MOST_WAITING)
        self._pool: WorkerPool | None = None
        self._timer: threading.Timer | None = None

    @property
    def is_at_rest(self) -> bool:
        """Whether there is no process."""
        return self._pool is None

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of an importable module, of arguments and a result that JSON can say.

        Raises:
            Busy: MOST_WAITING calls wait already.
            RuntimeError: the function raised, or its process ended twice.
        """
        if not self._places.acquire(blocking=False):
            raise Busy(f"{MOST_WAITING} pictures wait to be drawn, which is all that fit; try again soon")
        try:
            with self._lock:
                return self._call(function, arguments)
        finally:
            self._places.release()

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if self._timer is not None:
            self._timer.cancel()
        try:
            try:
                return self._ask(function, arguments)
            except WorkerLost:
                return self._ask(function, arguments)  # a host short of memory ends the largest process
        finally:
            if self._pool is not None and max(map(_resident_bytes, self._pool.pids), default=0) > MOST_BYTES:
                self._end()
            self._rest_later()

    def _ask(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self._pool = self._pool or WorkerPool(1)
        try:
            return self._pool.submit(function, *arguments).result(SLOWEST_SECONDS)
        except TooLate:
            self._end()
            raise RuntimeError(f"the picture was not drawn within {SLOWEST_SECONDS:.0f} seconds") from None

    def _rest_later(self) -> None:
        self._timer = threading.Timer(IDLE_SECONDS, self._rest)
        self._timer.daemon = True
        self._timer.start()

    def _rest(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _resident_bytes(pid: int) -> int:
    """Give the memory of a process, 0 where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


PAINTER = Painter()


def _drawn(function: Callable[..., str], *arguments: Any) -> str:
    """Call a function here, or on a public server in a process of its own."""
    result: str = PAINTER.call(function, *arguments) if is_hosted() else function(*arguments)
    return result


def to_svg(spec: dict[str, Any]) -> str:
    """Draw a spec as SVG."""
    return _drawn(vega.svg, spec)


def to_pdf(spec: dict[str, Any]) -> bytes:
    """Draw a spec as a PDF page."""
    return base64.b64decode(_drawn(vega.pdf, spec))


def to_png(spec: dict[str, Any], scale: float) -> bytes:
    """Draw a spec as PNG, `scale` pixels to a point."""
    return base64.b64decode(_drawn(vega.png, spec, scale))


def to_html(spec: dict[str, Any]) -> str:
    """Make a page that draws a spec and needs no network."""
    return _drawn(vega.html, spec)
