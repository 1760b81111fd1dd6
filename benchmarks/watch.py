"""What nnlab.watch costs: one loop bare, watched, and with hooks as people write them, in one process.

All ratios are times relative to the bare loop's, taken in turn in one process.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from benchmarks.cases import CASES, KINDS, bare, loop, make_data
from benchmarks.ratios import interleave, ratios, save, show
from nnlab import watching
from nnlab.config import ExperimentConfig
from nnlab.datasets import Data
from nnlab.model import build_model
from nnlab.threads import one_thread


def main(rounds: int) -> None:
    """Print and write the table."""
    rows = []
    with one_thread():
        for name in CASES:
            for activation, optimizer in KINDS:
                rows.append(_row(name, activation, optimizer, rounds))
                show(rows[-1:])
    show(rows)
    save("watch", rows)


def _row(name: str, activation: str, optimizer: str, rounds: int) -> dict[str, Any]:
    case, data = CASES[name], make_data()
    config = case.config(activation, optimizer)
    with tempfile.TemporaryDirectory() as folder:
        walks: dict[str, Iterator[Any]] = {
            "bare": bare(config, data),
            "every 10 steps": watched(config, data, 10, Path(folder, "ten.jsonl")),
            "every step": watched(config, data, 1, Path(folder, "one.jsonl")),
            "plain hooks": hooked(config, data),
        }
        # Probe records, with histograms and unit counts, grow rare: 64 of the first 1,000.
        with mock.patch.object(watching, "is_probe_record", _is_no_probe):
            seconds = interleave(walks, max(10, case.steps), rounds * 4)
    return {
        "case": name,
        "network": f"{case.depth} x {case.width}, batch {case.batch}, {activation} {optimizer}",
        "bare us/step": round(statistics.median(seconds["bare"]) * 1e6),
        **{column: round(value, 3) for column, value in ratios(seconds, "bare").items()},
    }


def _is_no_probe(number: int, *, last: bool) -> bool:
    """Stand in for the rule at a function call's price, which a mock's would be ten times of."""
    return False


def watched(config: ExperimentConfig, data: Data, every: int, path: Path) -> Iterator[None]:
    """Train with the two lines that watching takes."""
    model = build_model(config, data)
    with watching.watch(model, path, every=every) as watch:
        for loss in loop(config, data, model):
            watch.step(loss)
            yield


def hooked(config: ExperimentConfig, data: Data) -> Iterator[None]:
    """Train with hooks on every layer that keep fewer numbers, as tutorials write them, at every step."""
    model = build_model(config, data)
    numbers: list[float] = []

    def after(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        numbers.extend(
            (output.mean().item(), output.std().item(), (output.abs() < 1e-3).float().mean().item())
        )
        output.register_hook(lambda gradient: numbers.append(gradient.norm().item()))

    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(after)
    for _ in loop(config, data, model):
        numbers.extend(p.grad.norm().item() for p in model.parameters() if p.grad is not None)
        numbers.clear()
        yield
