"""An exception between any two instructions of some files, as Ctrl-C and the end of memory can come."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import FrameType
from typing import Any

Trace = Callable[[FrameType, str, Any], Any]
ERRORS: dict[str, type[BaseException]] = {"Ctrl-C": KeyboardInterrupt, "MemoryError": MemoryError}


@dataclass(frozen=True)
class Moment:
    """Before which instruction, from 1, what comes."""

    at: int
    error: str

    def __str__(self) -> str:
        return f"{self.error} before instruction {self.at}"


class Interruption:
    """Counts this thread's instructions in some files, and breaks in before one; a context manager."""

    def __init__(self, files: Collection[str], fault: Moment | None = None) -> None:
        self.fault, self.count = fault, 0
        self._files = files
        self._before: Any = None

    def __enter__(self) -> Interruption:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Trace | None:
        if frame.f_code.co_filename not in self._files:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._stepped

    def _stepped(self, frame: FrameType, event: str, argument: Any) -> Trace:
        if event == "opcode":
            self.count += 1
            if self.fault is not None and self.count == self.fault.at:
                raise ERRORS[self.fault.error]
        return self._stepped
