"""Errands: what pages ask for and do not wait for; done one after the other, each while somebody asks."""

from __future__ import annotations

import atexit
import contextlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nnlab.courtesy import Courteous

# A page asks again about every second. Who has not for so long has closed it, or is on a bad line.
PATIENCE_SECONDS = 10.0
# Of some hundred kilobytes at most: what visitors chose last, and go back to.
MOST_KEPT = 48

# A thread that computes while the interpreter goes ends the whole process with an error; between two networks
# an errand can be broken off, and these take a second at most but for the largest.
END_SECONDS = 3.0

Found = TypeVar("Found")
Told = Callable[[int], None]  # hears how far something is; what it raises breaks that off


def untold(number: int) -> None:
    """Hear it and do nothing."""


class Abandoned(Exception):
    """Nobody asks for the errand any more."""


@dataclass
class Errand(Generic[Found]):
    """One thing to be done: by whom it was asked for and when, how far it is, what came of it."""

    do: Callable[[Told], Found]
    progress: int = 0
    is_done: bool = False
    found: Found | None = None
    error: BaseException | None = None
    asked: dict[str, float] = field(default_factory=dict)

    def is_set(self) -> bool:
        """Whether to stop: nobody has asked for it of late."""
        latest = max(list(self.asked.values()), default=-math.inf)
        return time.monotonic() - latest >= PATIENCE_SECONDS

    def run(self) -> None:
        """Do it, and rest now and then where a page is drawn.

        Raises:
            Abandoned: nobody asks for it any more.
        """
        stop = Courteous(self)

        def told(progress: int) -> None:
            self.progress = progress
            if stop.is_set():
                raise Abandoned

        try:
            self.found = self.do(told)
        except Abandoned:
            raise
        except BaseException as error:  # said on the page of who asked for it
            self.error = error
        self.is_done = True


class Errands:
    """The errands of a process: those to be done, and the latest that are done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._to_do: OrderedDict[Hashable, Errand[object]] = OrderedDict()
        self._done: OrderedDict[Hashable, Errand[object]] = OrderedDict()
        self._is_at_work = False
        self._worker: threading.Thread | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be done."""
        return not self._is_at_work

    def ask(self, key: Hashable, do: Callable[[Told], Found], asker: str) -> Errand[Found]:
        """Give the errand with a key: done, on its way, or new and to be done by `do`.

        What `asker` asked for before is then wanted by others only. Ask again, to have it go on.
        """
        with self._lock:
            for other, errand in self._to_do.items():
                if other != key:
                    errand.asked.pop(asker, None)
            if key in self._done:
                return self._done[key]  # type: ignore[return-value]  # a key stands for one kind of thing
            errand = self._to_do.setdefault(key, Errand(do))
            errand.asked[asker] = time.monotonic()
            begins = bool(self._to_do) and not self._is_at_work
            self._is_at_work |= begins
        if begins:
            self._begin()
        return errand  # type: ignore[return-value]

    def done(self, key: Hashable) -> Errand[object] | None:
        """Give the errand with a key where it is done; one that failed is forgotten with that."""
        with self._lock:
            errand = self._done.get(key)
            if errand is not None and errand.error is not None:
                del self._done[key]
            elif errand is not None:
                self._done.move_to_end(key)
            return errand

    def forget(self) -> None:
        """Forget what is done."""
        with self._lock:
            self._done.clear()

    def break_off(self) -> None:
        """Leave what is to be done, and wait until nothing is at work."""
        with self._lock:
            for errand in self._to_do.values():
                errand.asked.clear()
            worker = self._worker
        if worker is not None:
            worker.join(END_SECONDS)

    def _begin(self) -> None:
        """Start to work; where the system gives no thread, the asker's own does it."""
        worker = threading.Thread(target=self._work, name="nnlab-errand", daemon=True)
        try:
            worker.start()
        except (RuntimeError, MemoryError):
            self._work()
        else:
            self._worker = worker

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            key, errand = taken
            with contextlib.suppress(Abandoned):
                errand.run()
            with self._lock:
                if self._to_do.get(key) is errand:
                    del self._to_do[key]
                if errand.is_done:
                    self._done[key] = errand
                    while len(self._done) > MOST_KEPT:
                        self._done.popitem(last=False)

    def _take(self) -> tuple[Hashable, Errand[object]] | None:
        """Give the first errand that somebody still asks for; None where there is none."""
        with self._lock:
            for key, errand in list(self._to_do.items()):
                if not errand.is_set():
                    return key, errand
                del self._to_do[key]
            self._is_at_work = False
            return None


ERRANDS = Errands()
atexit.register(ERRANDS.break_off)
