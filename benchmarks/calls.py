"""Something happens at the k-th call that nnlab's code makes, of a function of its own or of anybody's."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import nnlab

_CODE = str(Path(str(nnlab.__file__)).parent)


class Calls:
    """Counts the calls in this thread, and in those that begin meanwhile; a context manager.

    `happen` is called at call number `at`, from 1, and at every multiple of it with `again`; what it raises
    is raised there. With `below`, calls count from the first call of a function of that name on, and in
    threads that begin meanwhile only.
    """

    def __init__(
        self, at: int = 0, happen: Callable[[], None] = lambda: None, *, again: bool = False, below: str = ""
    ) -> None:
        self.at, self.count = at, 0
        self._happen, self._again, self._below = happen, again, below
        self._is_counting = not below
        self._hook = sys.unraisablehook

    def __enter__(self) -> Calls:
        # An error in a generator that nobody needs any more is nobody's.
        sys.unraisablehook = lambda unraisable: None
        threading.setprofile(self._called)
        if not self._below:
            sys.setprofile(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        self._is_counting, self._below = False, ""
        sys.setprofile(None)
        threading.setprofile(None)
        sys.unraisablehook = self._hook

    def _called(self, frame: FrameType, event: str, argument: Any) -> None:
        if not self._is_counting and self._below == frame.f_code.co_name and event == "call":
            self._is_counting = True
        if event not in ("call", "c_call") or not self._is_counting:
            return
        if not frame.f_code.co_filename.startswith(_CODE):
            return
        # The end of a `with` over a lock cannot fail; if it did, the lock would be held for ever.
        if event == "c_call" and argument.__name__ in ("__exit__", "release"):
            return
        self.count += 1
        is_due = self.at and (self.count % self.at == 0 if self._again else self.count == self.at)
        if is_due:
            self._happen()
