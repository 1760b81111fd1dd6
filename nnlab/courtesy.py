"""courtesy: long work gives way, some milliseconds at a time, to what somebody is waiting to see."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nnlab.stop import Stop

# A page is drawn in thousands of short calls, after each of which it waits for its turn among all that
# computes: beside two trainings it takes several times as long as alone. Work rests half of the time at most.
PAUSE_SECONDS = 0.004

_is_awaited: Callable[[], bool] = bool  # nothing is
_waiting: set[int] = set()


def let_first(is_awaited: Callable[[], bool]) -> None:
    """Say how to tell whether something is awaited that is to go first; it is asked at every step."""
    global _is_awaited
    _is_awaited = is_awaited


@contextmanager
def waiting() -> Iterator[None]:
    """Mark this thread as one that only waits: nothing need give way to it."""
    own = threading.get_ident()
    _waiting.add(own)
    try:
        yield
    finally:
        _waiting.discard(own)


def waits(thread: threading.Thread) -> bool:
    """Whether a thread only waits."""
    return thread.ident in _waiting


class Courteous:
    """A stop for who computes: asked at every step, it lets the asker rest where something goes first."""

    def __init__(self, stop: Stop) -> None:
        self._stop, self._rested = stop, 0.0

    def is_set(self) -> bool:
        """Whether to stop."""
        if time.monotonic() - self._rested >= PAUSE_SECONDS and _is_awaited():
            time.sleep(PAUSE_SECONDS)
            self._rested = time.monotonic()
        return self._stop.is_set()
