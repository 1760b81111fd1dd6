"""A disk that fails on purpose: at the k-th of its operations, once or from then on, in a way of choice."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

OPERATIONS = ("open", "write", "fsync", "ftruncate", "fstat", "replace", "unlink", "close")
DISK_ERRORS = ("ENOSPC", "EIO", "EACCES", "EROFS")
KILL, INTERRUPT = "kill -9", "Ctrl-C"
Moment = Literal["before", "half", "after"]


def strike(error: str) -> NoReturn:
    """Fail in a way: by the name of a disk's error, by Ctrl-C, or by an end of this process.

    The error is a new one every time: one that was raised holds on to all that it came through.
    """
    if error == INTERRUPT:
        raise KeyboardInterrupt
    if error == KILL:  # as the system does where memory runs out
        os.kill(os.getpid(), signal.SIGKILL)
    number = getattr(errno, error)
    raise OSError(number, os.strerror(number))


@dataclass(frozen=True)
class DiskFault:
    """What goes wrong at operation `at`, from 1.

    `moment`: nothing of the operation is done, half of what is to be written, or all of it.
    """

    at: int
    error: str
    moment: Moment = "before"
    lasts: bool = False

    def __str__(self) -> str:
        return f"{self.error} {self.moment} operation {self.at}{' and ever after' * self.lasts}"


class Disk:
    """Stands before the file operations of this thread's `os` while the block lasts; a context manager."""

    def __init__(self, fault: DiskFault | None = None) -> None:
        self.fault, self.count = fault, 0
        self._real: dict[str, Callable[..., Any]] = {}
        self._thread = threading.get_ident()
        self._opened: set[int] = set()

    def __enter__(self) -> Disk:
        for name in OPERATIONS:
            self._real[name] = getattr(os, name)
            setattr(os, name, self._guarded(name))
        return self

    def __exit__(self, *error: object) -> None:
        for name, real in self._real.items():
            setattr(os, name, real)

    def _guarded(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def call(*arguments: Any, **named: Any) -> Any:
            if threading.get_ident() != self._thread or not self._is_ours(name, arguments):
                return real(*arguments, **named)
            self.count += 1
            fault = self.fault
            is_due = fault is not None and (self.count == fault.at or (fault.lasts and self.count > fault.at))
            if fault is None or not is_due:
                return self._seen(name, arguments, real(*arguments, **named))
            if fault.moment == "half" and name == "write":
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            elif fault.moment == "after":
                self._seen(name, arguments, real(*arguments, **named))
            elif name == "close":
                # The system lets a descriptor go even where closing it reports an error.
                real(*arguments, **named)
            strike(fault.error)

        return call

    def _is_ours(self, name: str, arguments: tuple[Any, ...]) -> bool:
        """Leave alone what other code does with files that nnlab did not open."""
        return name in ("open", "replace", "unlink") or arguments[0] in self._opened

    def _seen(self, name: str, arguments: tuple[Any, ...], result: Any) -> Any:
        if name == "open":
            self._opened.add(result)
        elif name == "close":
            self._opened.discard(arguments[0])
        return result
