"""What other tools take to watch the same network, each beside nnlab in one process.

They do not record the same: TensorBoard and wandb bin whole tensors and keep no moments, wandb no
activations, torchdiag looks for zeros and thresholds alone; the hooks take a part of what a record of nnlab
holds of the batch. nnlab records every step; its histograms are taken at probe records, not here.

Needs `pip install -r benchmarks/requirements-peers.txt`, which nothing else here does.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.cases import CASES, Case, bare, make_data, make_optimizer, recorded, without_probes
from benchmarks.ratios import interleave, ratios, save, show
from nnlab import member
from nnlab.config import ExperimentConfig
from nnlab.datasets import Data
from nnlab.model import build_model
from nnlab.threads import one_thread
from nnlab.training import unwarned

Watch = Callable[[nn.Module], Callable[[], None]]


def watched(config: ExperimentConfig, data: Data, watch: Watch) -> Iterator[None]:
    """Train by an ordinary loop; watch(model) gives what to call after every backward pass."""
    model = build_model(config, data)
    optimizer = make_optimizer(config, model)
    batches = member.batches(data, config)
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    look = watch(model)
    while True:
        rows = next(batches)
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows]), y[rows]).backward()
        look()
        optimizer.step()
        yield


def _keep_activations(model: nn.Module) -> dict[str, torch.Tensor]:
    """Keep what every activation puts out, with its gradient, by hooks."""
    kept: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            output.retain_grad()
            kept[name] = output

        return hook

    for name, module in model.named_modules():
        if name.endswith("activation"):
            module.register_forward_hook(keep(name))
    return kept


def hooks(model: nn.Module) -> Callable[[], None]:
    """Take by hand, as a notebook would: moments, saturation, zeros, norms, update ratio."""
    kept = _keep_activations(model)

    def look() -> None:
        for h in kept.values():
            assert h.grad is not None
            row = (h.mean(), h.std(), (h.abs() > 0.97).float().mean(), (h == 0).float().mean(), h.grad.norm())
            [value.item() for value in row]
        for parameter in model.parameters():
            assert parameter.grad is not None
            norms = parameter.detach().norm(), parameter.grad.norm(), parameter.grad.std()
            [value.item() for value in norms]

    return look


def tensorboard(model: nn.Module) -> Callable[[], None]:
    """Write histograms of activations, their gradients and the weights' gradients."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(tempfile.mkdtemp())
    kept = _keep_activations(model)
    steps = iter(range(10**9))

    def look() -> None:
        step = next(steps)
        for name, h in kept.items():
            assert h.grad is not None
            writer.add_histogram(f"h/{name}", h.detach(), step)
            writer.add_histogram(f"grad/{name}", h.grad, step)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            writer.add_histogram(f"weight_grad/{name}", parameter.grad, step)

    return look


def wandb_watch(model: nn.Module) -> Callable[[], None]:
    """Let wandb log all parameters and gradients, offline."""
    import wandb

    run = wandb.init(mode="offline", dir=tempfile.mkdtemp(), settings=wandb.Settings(silent=True))
    run.watch(model, log="all", log_freq=1)
    return lambda: run.log({"step": 1})


def torchdiag_checks(model: nn.Module) -> Callable[[], None]:
    """Check gradients and look for dead neurons."""
    from torchdiag import check_dead_neurons, check_gradients

    x = torch.from_numpy(make_data().x_train[:128])

    def look() -> None:
        with redirect_stdout(StringIO()):
            check_gradients(model)
            check_dead_neurons(model, x)

    return look


PEERS: dict[str, Watch] = {
    "plain hooks": hooks,
    "TensorBoard": tensorboard,
    "wandb": wandb_watch,
    "torchdiag": torchdiag_checks,
}


def main(rounds: int) -> None:
    """Print and write the table."""
    os.environ["WANDB_SILENT"] = "true"
    rows = []
    with one_thread(), unwarned():
        for name in ("a", "b"):
            for peer, watch in PEERS.items():
                rows.append(_row(CASES[name], name, peer, watch, rounds))
                show(rows[-1:])
        show(rows)
        save("peers", rows)


def _row(case: Case, name: str, peer: str, watch: Watch, rounds: int) -> dict[str, Any]:
    data, config = make_data(), case.config("sigmoid", "sgd", 1)
    walks: dict[str, Iterator[Any]] = {
        "bare": bare(config, data),
        "nnlab's": recorded(config, data),
        "peer's time": watched(config, data, watch),
    }
    with without_probes():
        found = ratios(interleave(walks, max(5, case.steps // 3), rounds * 2), "bare")
    return {"case": name, "peer": peer, **{who: round(found[who], 2) for who in ("peer's time", "nnlab's")}}
