"""pace: how many times slower this machine computes now than the one that costs are counted on."""

from __future__ import annotations

import time
from functools import lru_cache

import numpy as np

# Of the machine of `benchmarks/results` with a core for itself: two passes over so many numbers.
NUMBERS, REFERENCE_SECONDS = 8_192, 1.6e-6
# Where several share a core they take turns of some milliseconds: long enough for a few of them.
LOOK_SECONDS = 0.05
PASSES = 20  # between two looks at the clock
KEPT_SECONDS = 30.0  # what else the machine does changes


def pace() -> float:
    """Give the factor, at least 1, that a guess of time is to be multiplied by; measured twice a minute."""
    return _measured(int(time.monotonic() / KEPT_SECONDS))


@lru_cache(maxsize=1)
def _measured(_moment: int) -> float:
    numbers = np.linspace(-1, 1, NUMBERS, dtype=np.float32)
    out = np.empty_like(numbers)
    done, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < LOOK_SECONDS:
        # No products: NumPy would take threads for them, which wait for each other on a busy machine.
        for _ in range(PASSES):
            np.multiply(numbers, numbers, out=out)
            np.maximum(out, numbers, out=out)
        done += PASSES
    return max(1.0, seconds / done / REFERENCE_SECONDS)
