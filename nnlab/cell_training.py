"""cell_training: the work of a sweep's worker, cells in and rows out, as plain values."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

from nnlab import failure
from nnlab.config import ExperimentConfig
from nnlab.stop import Stop
from nnlab.sweep_row import failed_row, sweep_row


def train_cells(
    cells: Sequence[Mapping[str, Any]], stop: Stop | None = None, threads: int = 1
) -> dict[str, Any]:
    """Train experiments that differ by their seed alone; give their rows in order, and the seconds it took.

    A cell that cannot be trained has a row that says why.

    Raises:
        CancelledError: it was stopped.
    """
    # Here, in the worker: who hands out the work needs no torch.
    from nnlab.memory import give_memory_back

    start = time.monotonic()
    configs = [ExperimentConfig.from_dict(cell) for cell in cells]
    rows = _rows(configs, stop or threading.Event(), threads)
    give_memory_back()
    return {"rows": rows, "seconds": time.monotonic() - start}


def _reason(error: Exception) -> str:
    """Say why a cell cannot be trained: to a public server's visitor without what is for programmers."""
    from nnlab.hosting import is_hosted

    return failure.words(error, "cell") if is_hosted() else f"{type(error).__name__}: {error}"


def _rows(configs: Sequence[ExperimentConfig], stop: Stop, threads: int) -> list[dict[str, Any]]:
    from nnlab.trainer import train_ends

    try:
        runs = train_ends(configs[0], [config.seed for config in configs], stop, threads)
    except Exception as error:  # whatever it is, it must not take the other cells with it
        if len(configs) == 1:
            return [failed_row(configs[0], _reason(error))]
        return [row for config in configs for row in _rows([config], stop, threads)]
    if any(run.status == "stopped" for run in runs):
        raise CancelledError
    return [sweep_row(run) for run in runs]
