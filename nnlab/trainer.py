"""train: the one place that loops. A clear autograd loop; a faster engine is judged by it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import NoReturn, Protocol

import numpy as np
import torch
from torch import nn

from nnlab.config import ExperimentConfig
from nnlab.datasets import Data, load_dataset
from nnlab.environment import describe_environment
from nnlab.model import MLP, build_model, to_network
from nnlab.network import Network
from nnlab.probe import Probe
from nnlab.recorder import LOSSES, Scores, accuracy, make_record
from nnlab.run import LayerInfo, Run, StepRecord, is_probe_record
from nnlab.samples import LayerSample
from nnlab.streams import torch_stream
from nnlab.trajectory import Plan, Trajectory

# Sokar et al. 2023 and others use more; below this, "dead" cannot be told from "rare" (rate < 3/N).
PROBE_EXAMPLES = 1024
# Exactly zero gradients for this many steps in a row will not come back: nothing moves the weights.
STALLED_STEPS = 20
MOMENTUM = 0.9
# A few hundredths of a second on a slow core, so that Stop keeps its half second.
CHEAP_PROBE_FLOP = 1e9

OnRecord = Callable[[Run, StepRecord], None]


class Stop(Protocol):
    """Something that can be asked whether to stop: a threading.Event, or a job with a lease."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...


class Halt(Exception):
    """Leaves the loop, or a long measurement, with a status."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class UpdateOverflow(Exception):
    """The optimizer's own arithmetic left float32, as with a learning rate of 1e39."""


_thread_lock = threading.Lock()
_thread_state = {"runs": 0, "before": 0}


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one torch thread: two threads add in another order, and users share two cores.

    torch keeps a part of the setting for the whole process, so the first run to begin sets it and the
    last to end puts it back, in its own thread: the others' threads stay at one until they set it.
    """
    with _thread_lock:
        if _thread_state["runs"] == 0:
            _thread_state["before"] = torch.get_num_threads()
        _thread_state["runs"] += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _thread_lock:
            _thread_state["runs"] -= 1
            if _thread_state["runs"] == 0:
                torch.set_num_threads(_thread_state["before"])


def _make_optimizer(config: ExperimentConfig, model: nn.Module) -> torch.optim.Optimizer:
    makers: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": torch.optim.SGD,
        "momentum": partial(torch.optim.SGD, momentum=MOMENTUM),
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
    }
    return makers[config.optimizer](
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )


def _batches(data: Data, config: ExperimentConfig) -> Iterator[torch.Tensor]:
    """Give row numbers of shape (batch,) for ever: shuffled epochs without a short last batch."""
    generator = torch_stream(config.seed, "batches")
    n = len(data.x_train)
    size = min(config.batch_size, n)
    while True:
        order = torch.randperm(n, generator=generator)
        for start in range(0, n - size + 1, size):
            yield order[start : start + size]


def _is_finite(tensors: list[torch.Tensor]) -> bool:
    # One cheap norm in the common case; it can overflow where every entry is finite.
    total = torch.nn.utils.get_total_norm(tensors)
    return bool(total.isfinite()) or all(bool(t.isfinite().all()) for t in tensors)


def _tensors(x: np.ndarray, y: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(x.copy()), torch.from_numpy(y.copy())


@dataclass
class _Training:
    """The state of one run while it is being trained."""

    config: ExperimentConfig
    data: Data
    model: MLP
    on_record: OnRecord | None
    stop: Stop
    give_up_at: float
    records: list[StepRecord] = field(default_factory=list)
    infos: tuple[LayerInfo, ...] = ()
    notes: list[str] = field(default_factory=list)
    keep_weights: bool = False
    networks: dict[int, Network] = field(default_factory=dict)
    status: str = "running"
    zero_steps: int = 0
    is_over: bool = False
    weights_before: list[torch.Tensor] | None = None

    def __post_init__(self) -> None:
        self.optimizer = _make_optimizer(self.config, self.model)
        self.loss_function = LOSSES[self.config.loss]
        self.batches = _batches(self.data, self.config)
        self.recorded_steps = frozenset(self.config.recorded_steps)
        self.x, self.y = _tensors(self.data.x_train, self.data.y_train)
        self.x_test, self.y_test = _tensors(self.data.x_test, self.data.y_test)
        self.environment = {
            **describe_environment("autograd"),
            "dataset_sha256": self.data.sha256,
        }
        self.notes += self.data.notes
        if self.config.batch_size > len(self.x):
            self.notes.append(f"batch: all {len(self.x)} training examples, fewer than asked for")

    def check(self) -> None:
        if self.is_over:
            return
        if self.stop.is_set():
            raise Halt("stopped")
        if time.monotonic() > self.give_up_at:
            raise Halt("timed_out")

    def walk(self) -> Iterator[int]:
        """Train to the end, giving the step after each one; `status` then says how it ended."""
        step = 0
        try:
            for step in range(self.config.steps + 1):
                self.check()
                self._step(step)
                yield step
        except Halt as halt:
            if halt.status != "diverged":
                self._record_the_end(step)
            self.status = halt.status
            return
        self.status = "completed"

    def _record_the_end(self, step: int) -> None:
        """Let a run that is broken off end in a probe record of its last weights, where that is cheap."""
        is_cheap = 2 * PROBE_EXAMPLES * self.config.weight_count <= CHEAP_PROBE_FLOP
        if not is_cheap or not self.records or self.records[-1].step == step:
            return
        self.is_over = True
        rows = next(self.batches)
        x, y = self.x[rows], self.y[rows]
        loss, probe, outputs = self._forward_backward(x, y, with_probe=True)
        self._record(step, probe, loss, outputs, y, last=True)

    def _step(self, step: int) -> None:
        rows = next(self.batches)
        x, y = self.x[rows], self.y[rows]
        last = step == self.config.steps
        offender = self._bad_weight()
        is_recorded = step in self.recorded_steps
        loss, probe, outputs = self._forward_backward(x, y, with_probe=is_recorded)
        offender = offender or self._bad_value(loss)
        if offender is not None:
            self._break_off(step, x, y, None, offender)
        if probe is not None:
            self._record(step, probe, loss, outputs, y, last=last)
        if not last:
            self._watch_for_stall(loss)
            try:
                self._update(keep_weights=step + 1 in self.recorded_steps)
            except UpdateOverflow:
                self._break_off(step, x, y, probe, "update, which is too large for float32")

    def _break_off(
        self, step: int, x: torch.Tensor, y: torch.Tensor, recorded: Probe | None, offender: str
    ) -> NoReturn:
        """Record the offending step, if that has not been done, and end the run."""
        self.notes.append(f"step {step}: the first non-finite number was in the {offender}")
        if recorded is None:
            loss, probe, outputs = self._forward_backward(x, y, with_probe=True)
            self._record(step, probe, loss, outputs, y, last=True)
        raise Halt("diverged")

    def _forward_backward(
        self, x: torch.Tensor, y: torch.Tensor, *, with_probe: bool
    ) -> tuple[torch.Tensor, Probe | None, torch.Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        probe = Probe(self.model, gradients=True, check=self.check) if with_probe else None
        if probe is None:
            outputs = self.model(x)
        else:
            with probe:
                outputs = self.model(x)
        loss = self.loss_function(outputs, y)
        loss.backward()
        return loss.detach(), probe, outputs.detach()

    def _gradients(self) -> list[torch.Tensor]:
        return [p.grad for p in self.model.parameters() if p.grad is not None]

    def _bad_weight(self) -> str | None:
        weights = [p.detach() for p in self.model.parameters()]
        if _is_finite(weights):
            return None
        bad = (n for n, p in self.model.named_parameters() if not p.isfinite().all())
        return f"weights: {next(bad)}"

    def _bad_value(self, loss: torch.Tensor) -> str | None:
        if not loss.isfinite():
            return "loss"
        if _is_finite(self._gradients()):
            return None
        bad = [
            name
            for name, p in self.model.named_parameters()
            if p.grad is not None and not p.grad.isfinite().all()
        ]
        return f"gradient: {bad[-1]}"  # backpropagation meets the last layer first

    def _watch_for_stall(self, loss: torch.Tensor) -> None:
        # A loss of exactly 0 has a gradient of 0 because everything is learned.
        all_zero = float(loss) != 0 and not any(bool(g.any()) for g in self._gradients())
        self.zero_steps = self.zero_steps + 1 if all_zero else 0
        if self.zero_steps >= STALLED_STEPS:
            raise Halt("stalled")

    def _update(self, *, keep_weights: bool) -> None:
        self.weights_before = None
        if keep_weights:
            self.weights_before = [linear.weight.detach().clone() for linear in self.model.linears]
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        try:
            self.optimizer.step()
        except RuntimeError as error:
            if "overflow" not in str(error):
                raise
            raise UpdateOverflow from error

    def _with_updates(self, samples: list[LayerSample]) -> list[LayerSample]:
        if self.weights_before is None:
            return samples
        return [
            replace(
                sample,
                weight_std_before=float(before.double().std(correction=0)),
                update_std=float((linear.weight.detach() - before).double().std(correction=0)),
            )
            for sample, linear, before in zip(samples, self.model.linears, self.weights_before, strict=True)
        ]

    @torch.no_grad()
    def _record(
        self,
        step: int,
        probe: Probe | None,
        loss: torch.Tensor,
        outputs: torch.Tensor,
        y: torch.Tensor,
        *,
        last: bool,
    ) -> None:
        assert probe is not None
        self.infos = self.infos or probe.infos()
        scores = Scores(float(loss), accuracy(outputs, y))
        probed = None
        if is_probe_record(len(self.records), last=last):
            probed, scores = self._probe_set(scores)
        samples = self._with_updates(probe.samples())
        record = make_record(step, samples, probed, self.infos, scores, self.model, self.check)
        self.records.append(record)
        if self.keep_weights and record.is_probe:
            self.networks[step] = to_network(self.model, self.config)
        if self.on_record is not None:
            self.on_record(self.snapshot(), record)

    def _probe_set(self, scores: Scores) -> tuple[list[LayerSample], Scores]:
        """Pass the probe set and the test split through the network in evaluation mode."""
        self.model.eval()
        try:
            with Probe(self.model, gradients=False, check=self.check) as probe:
                self.model(self.x[:PROBE_EXAMPLES])
            tested = self.model(self.x_test)
        finally:
            self.model.train()
        test_loss = float(self.loss_function(tested, self.y_test))
        return probe.samples(), replace(
            scores, test_loss=test_loss, test_accuracy=accuracy(tested, self.y_test)
        )

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
            model=None if self.status == "running" else self.model,
        )


def _begin(plan: Plan, stop: Stop, give_up_at: float, on_record: OnRecord | None = None) -> _Training:
    data = plan.data or load_dataset(plan.config)
    if data.task == "regression" and plan.config.loss != "mse":
        raise ValueError("loss: 'cross_entropy' is not allowed for a regression; allowed: mse")
    return _Training(
        config=plan.config,
        data=data,
        model=build_model(plan.config, data, bias=plan.bias),
        on_record=on_record,
        stop=stop,
        give_up_at=give_up_at,
        notes=[] if plan.bias else ["the layers have no biases"],
    )


def _give_up_at(time_limit: float | None) -> float:
    return time.monotonic() + (float("inf") if time_limit is None else time_limit)


def train(
    config: ExperimentConfig,
    on_record: OnRecord | None = None,
    stop: Stop | None = None,
    time_limit: float | None = None,
) -> Run:
    """Train the network of an experiment and record it on the way.

    Args:
        config: the experiment.
        on_record: called as on_record(run_so_far, record) after every record.
        stop: when set, training ends within a layer's work, with the status "stopped".
        time_limit: seconds of wall clock after which the status is "timed_out".

    Raises:
        ValueError: the dataset is a CSV file that cannot be used.
    """
    give_up_at = _give_up_at(time_limit)
    with one_thread():
        training = _begin(Plan(config), stop or threading.Event(), give_up_at, on_record)
        for _ in training.walk():
            pass
        return training.snapshot()


def train_together(
    plans: Sequence[Plan],
    on_progress: Callable[[Sequence[Trajectory]], None] | None = None,
    stop: Stop | None = None,
    time_limit: float | None = None,
) -> tuple[Trajectory, ...]:
    """Train several networks in turn, a step of each, so that they can be watched side by side.

    Each comes out bit for bit as if trained alone; the weights of every probe record are kept.

    Args:
        plans: the networks; none with a normalization or residual connections.
        on_progress: called with all of them as they stand, after every round that recorded something.
        stop: when set, all end within a layer's work, with the status "stopped".
        time_limit: seconds of wall clock, for all together, after which the status is "timed_out".

    Raises:
        ValueError: a dataset or a network cannot be used.
    """
    stop, give_up_at = stop or threading.Event(), _give_up_at(time_limit)
    with one_thread():
        trainings = [_begin(plan, stop, give_up_at) for plan in plans]
        walks = []
        for training in trainings:
            training.keep_weights = True
            walks.append(training.walk())
        recorded = 0
        while walks:
            walks = [walk for walk in walks if next(walk, None) is not None]
            now = sum(len(training.records) for training in trainings)
            if now > recorded and on_progress is not None:
                on_progress([training.trajectory() for training in trainings])
            recorded = now
        return tuple(training.trajectory() for training in trainings)
