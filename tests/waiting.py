"""Waiting for what another thread does, far longer than it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0  # seconds; far more than anything here takes


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds; an AssertionError where it does not in time."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
