"""Threads: how many of them compute while a network is trained, and the arithmetic hangs on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_state: dict[str, Any] = {"runs": 0, "torch": 0, "blas": None}


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread of torch and of BLAS: two add in another order, and users share two cores.

    torch keeps a part of the setting for the whole process, so the first run to begin sets it and the
    last to end puts it back, in its own thread: the others' threads stay at one until they set it.
    """
    with _lock:
        if _state["runs"] == 0:
            _state["torch"] = torch.get_num_threads()
            _state["blas"] = ThreadpoolController().limit(limits=1, user_api="blas")
        torch.set_num_threads(1)
        _state["runs"] += 1
    try:
        yield
    finally:
        with _lock:
            _state["runs"] -= 1
            if _state["runs"] == 0:
                torch.set_num_threads(_state["torch"])
                _state["blas"].restore_original_limits()
