"""Member: one network in training, with its data, its batches, its records and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from nnlab.config import ExperimentConfig
from nnlab.datasets import Data, load_dataset
from nnlab.model import MLP, build_model, to_network
from nnlab.network import Network
from nnlab.probe import Probe
from nnlab.recorder import LOSSES, Measured, Scores, accuracy, make_record
from nnlab.run import LayerInfo, Run, StepRecord, is_probe_record
from nnlab.samples import LayerSample
from nnlab.streams import torch_stream
from nnlab.sweep_row import LEARNED_ACCURACY
from nnlab.trajectory import NO_BIASES, WHOLE_SPLIT, Plan, Trajectory

# Sokar et al. 2023 and others use more; below this, "dead" cannot be told from "rare" (rate < 3/N).
PROBE_EXAMPLES = 1024
# Exactly zero gradients for this many steps in a row will not come back: nothing moves the weights.
STALLED_STEPS = 20

OnRecord = Callable[[Run, StepRecord], None]


def batches(data: Data, config: ExperimentConfig) -> Iterator[torch.Tensor]:
    """Give row numbers of shape (batch,) for ever: shuffled epochs without a short last batch."""
    generator = torch_stream(config.seed, "batches")
    n = len(data.x_train)
    size = min(config.batch_size, n)
    while True:
        # Split at once: a slice for every batch would take as long as a small layer's product.
        yield from torch.randperm(n, generator=generator).split(size)[: n // size]


def _tensors(x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(x.copy()), torch.from_numpy(y.copy())


@dataclass
class Member:
    """One network in training: its data, its records and how it ends."""

    config: ExperimentConfig
    data: Data
    model: MLP
    on_record: OnRecord | None = None
    records: list[StepRecord] = field(default_factory=list)
    infos: tuple[LayerInfo, ...] = ()
    notes: list[str] = field(default_factory=list)
    keep_weights: bool = False
    ends_only: bool = False
    networks: dict[int, Network] = field(default_factory=dict)
    status: str = "running"
    still_steps: int = 0
    environment: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.loss_function = LOSSES[self.config.loss]
        self.batches = batches(self.data, self.config)
        self.x, self.y = _tensors(self.data.x_train, self.data.y_train)
        self.x_test, self.y_test = _tensors(self.data.x_test, self.data.y_test)
        self.notes += self.data.notes
        if self.config.batch_size > len(self.x):
            self.notes.append(f"batch: all {len(self.x)} {WHOLE_SPLIT}")

    @property
    def batch(self) -> int:
        """The examples of a batch."""
        return min(self.config.batch_size, len(self.x))

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.status == "running"

    def count_still_steps(self, *, is_still: bool) -> bool:
        """Tell whether nothing has moved the weights for too long."""
        self.still_steps = self.still_steps + 1 if is_still else 0
        return self.still_steps >= STALLED_STEPS

    def record(
        self, step: int, batch: Measured, scores: Scores, check: Callable[[], None], *, last: bool
    ) -> None:
        """Add the record of a step."""
        probed = None
        if is_probe_record(len(self.records), last=last):
            probed, scores = self._probe_set(scores, check)
        record = make_record(
            step, batch, probed, self.infos, scores, check, has_histograms=not self.ends_only
        )
        self.records.append(record)
        if self.keep_weights and record.is_probe:
            self.networks[step] = to_network(self.model, self.config)
        if self.on_record is not None:
            self.on_record(self.snapshot(), record)

    @torch.no_grad()
    def _probe_set(self, scores: Scores, check: Callable[[], None]) -> tuple[list[LayerSample], Scores]:
        """Pass the probe set and the test split through the network in evaluation mode."""
        self.model.eval()
        try:
            with Probe(self.model, gradients=False, check=check) as probe:
                self.model(self.x[:PROBE_EXAMPLES])
            tested = self.model(self.x_test)
        finally:
            self.model.train()
        test_loss = float(self.loss_function(tested, self.y_test))
        return probe.samples(), replace(
            scores, test_loss=test_loss, test_accuracy=accuracy(tested, self.y_test)
        )

    @torch.no_grad()
    def score(self, step: int) -> None:
        """Keep the test accuracy of a step, and nothing else, the first time that it is high."""
        if self.records or self.data.task == "regression":
            return
        self.model.eval()
        try:
            share = accuracy(self.model(self.x_test), self.y_test)
        finally:
            self.model.train()
        if share >= LEARNED_ACCURACY:
            self.records.append(StepRecord(step, {}, {"test_accuracy": share}))

    def trajectory(self) -> Trajectory:
        """Give the network's way so far; later records do not change it."""
        return Trajectory(self.snapshot(), MappingProxyType(dict(self.networks)))

    def snapshot(self) -> Run:
        """Give the run as it stands; later records do not change it."""
        return Run(
            config=self.config,
            status=self.status,
            layers=self.infos,
            records=tuple(self.records),
            environment=self.environment,
            notes=tuple(self.notes),
            model=None if self.is_running else self.model,
        )


def begin(plan: Plan, on_record: OnRecord | None = None) -> Member:
    """Make a plan's network at its initial weights; raises ValueError where its data cannot be used."""
    data = plan.data or load_dataset(plan.config)
    if data.task == "regression" and plan.config.loss != "mse":
        raise ValueError("loss: 'cross_entropy' is not allowed for a regression; allowed: mse")
    plan.config.check_work(data.ends)
    return Member(
        config=plan.config,
        data=data,
        model=build_model(plan.config, data, bias=plan.bias),
        on_record=on_record,
        notes=[] if plan.bias else [NO_BIASES],
    )
