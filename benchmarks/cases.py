"""The networks that are timed, the ordinary PyTorch loop that they are timed against, and nnlab's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from unittest import mock

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from nnlab import member, training
from nnlab.config import ExperimentConfig
from nnlab.datasets import Data
from nnlab.model import build_model
from nnlab.trajectory import Plan

INPUTS, CLASSES, EXAMPLES = 20, 10, 4096
FOREVER = 20_000  # more steps than any benchmark takes


@dataclass(frozen=True)
class Case:
    """A network and how many steps of it are timed at a time: some hundredths of a second."""

    depth: int
    width: int
    batch: int
    steps: int

    def config(self, activation: str, optimizer: str, record_every: int = FOREVER) -> ExperimentConfig:
        """Give the experiment; the last step, which takes a probe record, is never reached."""
        return ExperimentConfig(
            depth=self.depth,
            width=self.width,
            batch_size=self.batch,
            activation=activation,
            optimizer=optimizer,
            learning_rate=0.1 if optimizer == "sgd" else 0.001,
            steps=FOREVER,
            record_every=record_every,
        )


CASES = {"a": Case(4, 32, 64, 100), "b": Case(10, 100, 128, 20), "c": Case(30, 256, 256, 4)}
KINDS = (("sigmoid", "sgd"), ("relu", "adam"))


def make_data() -> Data:
    """Draw inputs and classes that have nothing to do with each other."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((EXAMPLES, INPUTS)).astype(np.float32)
    y = draw.integers(0, CLASSES, EXAMPLES)
    names = tuple(f"x{number}" for number in range(INPUTS))
    classes = tuple(str(number) for number in range(CLASSES))
    return Data(x, y, x[:100], y[:100], "classification", classes, names)


def make_optimizer(config: ExperimentConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Make the optimizer that anybody would, with the kernel that nnlab uses too."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=config.learning_rate)
    return torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)


def loop(config: ExperimentConfig, data: Data, model: nn.Module) -> Iterator[torch.Tensor]:
    """Train as anybody would write it, giving the loss between the backward pass and the optimizer."""
    optimizer = make_optimizer(config, model)
    batches = member.batches(data, config)
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    while True:
        rows = next(batches)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        yield loss
        optimizer.step()


def bare(config: ExperimentConfig, data: Data) -> Iterator[torch.Tensor]:
    """Train so, and look at nothing."""
    return loop(config, data, build_model(config, data))


def products(config: ExperimentConfig) -> Iterator[None]:
    """Do the matrix products of a step and nothing else: no engine can take less time."""
    sizes = [INPUTS, *[config.width] * config.depth, CLASSES]
    rows = [torch.randn(config.batch_size, size) for size in sizes]
    weights = [torch.randn(below, above) for below, above in pairwise(sizes)]
    grads = [torch.empty_like(weight) for weight in weights]
    while True:
        for layer, weight in enumerate(weights):
            torch.mm(rows[layer], weight, out=rows[layer + 1])
        for layer in range(len(weights) - 1, -1, -1):
            torch.mm(rows[layer].t(), rows[layer + 1], out=grads[layer])
            if layer:
                torch.mm(rows[layer + 1], weights[layer].t(), out=rows[layer])
        for row in rows:
            row.fill_(0.5)  # so that nothing overflows, which would be slower
        yield


def recorded(config: ExperimentConfig, data: Data, seeds: Sequence[int] = (0,)) -> Iterator[int]:
    """Train by nnlab, a step of all seeds at a time."""
    members = [member.begin(Plan(config.replace(seed=seed), data)) for seed in seeds]
    return training.Training(members, threading.Event(), float("inf")).walk()


@contextmanager
def without_probes() -> Iterator[None]:
    """Let every record be one of its batch alone.

    Probe records take what is costly on 1,024 other examples, and grow rare: 64 of the first 1,000.
    """
    with mock.patch.object(member, "is_probe_record", return_value=False):
        yield
