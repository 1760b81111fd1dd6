"""Long computations of pages, one after the other, whoever asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Found = TypeVar("Found")

_turn = threading.Lock()


def in_turn(compute: Callable[Given, Found]) -> Callable[Given, Found]:
    """Let a function wait until no other of its kind computes.

    They are made of thousands of short calls. Side by side each waits after every call until the interpreter
    is free again, and all of them end later than the last one does in turn.
    """

    @wraps(compute)
    def waiting(*given: Given.args, **named: Given.kwargs) -> Found:
        with _turn:
            return compute(*given, **named)

    return waiting
