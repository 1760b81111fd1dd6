"""lease: who watches a job, and since when nobody does."""

from __future__ import annotations

import threading
import time

now = time.monotonic
NOBODY = ""  # who asks without a name


class Leases:
    """When each of those who watch something last said so; it begins with one of nobody's.

    Pages of several visitors renew theirs at any time, and a worker asks at every step.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._renewed = {NOBODY: now()}
        self._known = {NOBODY}

    def renew(self, owner: str) -> None:
        """Note that somebody still watches; a visitor takes the place of nobody."""
        with self._lock:
            if owner != NOBODY:
                self._renewed.pop(NOBODY, None)
            self._renewed[owner] = now()
            self._known.add(owner)

    def end(self, owner: str) -> None:
        """Note that somebody watches no more."""
        with self._lock:
            self._renewed.pop(owner, None)

    def owners(self, seconds: float) -> frozenset[str]:
        """Give who said so within so many seconds, nobody among them."""
        since = now() - seconds
        with self._lock:
            return frozenset(owner for owner, renewed in self._renewed.items() if renewed >= since)

    def knew(self, owner: str) -> bool:
        """Whether somebody has ever watched."""
        return owner in self._known

    @property
    def latest(self) -> float:
        """When anybody last said so, by the clock of `now`; minus infinity where all have left."""
        # A copy, which is made at once: no worker waits for a lock at every step.
        return max(tuple(self._renewed.values()), default=float("-inf"))
