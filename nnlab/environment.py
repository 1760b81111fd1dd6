"""The environment of a run: what must be equal for the numbers to be equal bit for bit."""

from __future__ import annotations

import platform
from typing import Any

import torch

import nnlab


def describe_environment(engine: str) -> dict[str, Any]:
    """Describe versions, processor kind and the engine that computed a run."""
    return {
        "nnlab": nnlab.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": 1,
        "dtype": "float32",
        "flush_denormals": False,
        "engine": engine,
    }
