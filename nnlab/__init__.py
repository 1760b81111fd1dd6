"""nnlab shows where gradients die in a neural network, why they die, and what to change.

Names load on first use: `import nnlab` alone imports neither torch nor altair.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "ACTIVATIONS": "nnlab.activations",
    "DATASETS": "nnlab.datasets",
    "INITIALIZERS": "nnlab.initializers",
    "METRICS": "nnlab.metrics",
    "ExperimentConfig": "nnlab.config",
    "Finding": "nnlab.diagnosis",
    "Run": "nnlab.run",
    "build_model": "nnlab.model",
    "diagnose": "nnlab.snapshot",
    "Grid": "nnlab.grid",
    "Sweep": "nnlab.sweep",
    "SweepStore": "nnlab.sweep_store",
    "heal": "nnlab.healing",
    "load_dataset": "nnlab.datasets",
    "load_run": "nnlab.runfile",
    "make_executor": "nnlab.executors",
    "make_grid": "nnlab.grid",
    "run_sweep": "nnlab.sweep",
    "train": "nnlab.trainer",
    "train_seeds": "nnlab.trainer",
    "watch": "nnlab.watching",
}

_MODULES = ("theory",)

__all__ = sorted([*_HOMES, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"nnlab.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'nnlab' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
