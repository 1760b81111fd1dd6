"""watch: records the user's own model from the user's own training loop, and changes neither."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import nn

from nnlab.alignment import aligned, merged
from nnlab.capture import Grads
from nnlab.environment import describe_environment
from nnlab.layer_meter import LayerMeter, norms, update_spreads
from nnlab.probe import Probe
from nnlab.recorder import Measured, Scores, accuracy, make_record
from nnlab.run import LayerInfo, Run, StepRecord, is_probe_record
from nnlab.runfile import load_run
from nnlab.runwriter import RunWriter
from nnlab.samples import LayerSample
from nnlab.seen import plain
from nnlab.snapshot import check_model, not_executed, what_is_missing
from nnlab.user_batch import scores_of


class Watch:
    """Records a model's steps while it is open; `run` is what it has recorded so far.

    Call `step` once for every step of the optimizer, after the backward pass and before the optimizer.
    Between recorded steps nothing is hooked. It can be paused by `stop` and taken up again by `start`.
    """

    def __init__(self, model: nn.Module, path: str | Path | None, every: int) -> None:
        check_model(model)
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"every: {every!r} is not allowed; allowed: a whole number of 1 or more")
        self._model, self._path, self._every = model, path, every
        self._writer = None if path is None else RunWriter(path)
        self._environment = {**describe_environment("watch"), "model": type(model).__name__, "every": every}
        self._probe = Probe(model, gradients=True, on_gradient=self._in_backward, later=True)
        self._modules, self._parameters = frozenset(model.modules()), list(model.parameters())
        # Any parameter tells a scaler's factor; an embedding would take longest over it.
        self._smallest_first = sorted(self._parameters, key=torch.Tensor.numel)
        # Where passes through the model begin: known once one was seen.
        self._entrances: set[nn.Module] = set()
        self._layers: tuple[LayerInfo, ...] = ()
        self._records: list[StepRecord] = []  # where there is no file
        self._recorded = 0
        self._step = 0
        self._status = "running"
        self._notes: dict[str, None] = {}
        self._is_on = self._is_armed = False
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._weights_before: dict[int, torch.Tensor] = {}
        self._begin_step()

    def _begin_step(self) -> None:
        self._probe.clear()
        self._depth = 0
        self._grads: dict[int, torch.Tensor] | None = None
        self._grad_norms: dict[int, float] = {}
        self._backward = -1
        self._found: set[nn.Module] = set()

    # Copies of the model, for a moving average or on disk, are not watched.

    def __deepcopy__(self, memo: Any) -> Watch:
        return self

    def __reduce__(self) -> Any:
        return _Absent, ()

    # From beginning to end.

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.close("failed" if issubclass(kind, Exception) else "interrupted")

    def start(self) -> None:
        """Record from the next forward pass on.

        Raises:
            ValueError: it is closed already.
        """
        if self._status != "running":
            raise ValueError("watch: it is closed; allowed: a new one")
        self._is_on = True
        self._arm_if_due()

    def stop(self) -> None:
        """Record nothing until `start`; steps are still counted."""
        self._is_on = False
        self._disarm()

    def close(self, status: str = "completed") -> None:
        """Remove every hook and end the file; a second call does nothing."""
        if self._status != "running":
            return
        self.stop()
        if self._missed:  # counted, since a loop can go on so for ever
            self._note(f"{self._missed} steps were not recorded: no backward pass came through the model")
        for note in not_executed(self._never or ()):
            self._note(note)
        self._status = "diverged" if status == "completed" and self._is_broken else status
        if self._writer is not None:
            self._writer.finish(self._bare_run(), self._status)

    _missed = 0  # steps that were due but left nothing to record
    _is_broken = False
    _never: list[str] | None = None  # the modules that no recorded step came through

    @property
    def run(self) -> Run:
        """The run so far."""
        if self._path is not None and self._recorded:
            return replace(load_run(self._path), status=self._status, notes=tuple(self._notes))
        return replace(self._bare_run(), records=tuple(self._records))

    def _bare_run(self) -> Run:
        """Give what a file says of the run beside its records."""
        return Run(None, self._status, self._layers, (), self._environment, tuple(self._notes))

    # Seeing a step.

    @property
    def _is_due(self) -> bool:
        return self._is_on and self._step % self._every == 0

    def _arm_if_due(self) -> None:
        if not self._is_due:
            if self._is_armed:
                self._disarm()
            return
        self._keep_weights()
        if not self._is_armed:
            self._is_armed = True
            self._probe.attach()
            for module in self._entrances or self._modules:
                self._handles.append(module.register_forward_pre_hook(self._open))
                self._handles.append(module.register_forward_hook(self._shut, always_call=True))

    def _disarm(self) -> None:
        self._is_armed = False
        self._probe.detach()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._begin_step()
        self._weights_before = {}

    def _open(self, module: nn.Module, args: Any) -> None:
        """Look at the outermost call of a part of the model that gradients will come back through."""
        if module not in self._modules:
            return
        self._depth += 1
        if self._depth > 1 or not torch.is_grad_enabled() or torch._C._current_graph_task_id() != -1:
            return
        self._found.add(module)
        self._probe.look()
        self._is_looking = True

    _is_looking = False

    def _shut(self, module: nn.Module, args: Any, output: Any) -> None:
        if module not in self._modules or self._depth == 0:
            return
        self._depth -= 1
        if self._depth == 0 and self._is_looking:
            self._is_looking = False
            self._probe.look_away()

    def _in_backward(self) -> None:
        """Have the gradients read when this backward pass ends, before anybody can clip them."""
        task = torch._C._current_graph_task_id()
        if task not in (-1, self._backward):
            self._backward = task
            torch.autograd.Variable._execution_engine.queue_callback(self._keep_grads)

    @torch.no_grad()
    def _keep_grads(self) -> None:
        """Measure the gradients, and copy those that more than their norms are needed of."""
        self._measure_grads()
        copied = self._parameters
        if not is_probe_record(self._recorded, last=False):
            copied = next(([p] for p in self._smallest_first if self._tells_scale(p)), [])
        self._grads = {id(p): grad.clone() for p in copied if (grad := p.grad) is not None}

    def _measure_grads(self) -> None:
        grads = {id(p): plain(grad) for p in self._parameters if (grad := p.grad) is not None}
        self._grad_norms = dict(zip(grads, norms(list(grads.values())), strict=True))

    def _tells_scale(self, parameter: torch.Tensor) -> bool:
        """Whether a factor can be read off a parameter's gradient: it is there, and not all 0."""
        grad = parameter.grad
        return grad is not None and not grad.is_sparse and self._grad_norms[id(parameter)] != 0

    @torch.no_grad()
    def _keep_weights(self) -> None:
        """Copy the weights that the next update starts from, where the record after it is due."""
        parameters = [p for p in self._parameters if p.dim() >= 2 and p.is_floating_point()]
        self._weights_before = {id(p): p.detach().clone() for p in parameters} if self._step else {}

    # Recording it.

    def step(
        self,
        loss: torch.Tensor | float,
        *,
        scaler: Any = None,
        outputs: Any = None,
        targets: torch.Tensor | None = None,
    ) -> None:
        """Count a step, and record it where it is due.

        Args:
            loss: of the step's batch; before a scaler multiplied it.
            scaler: the torch.amp.GradScaler that multiplied the loss, if any: gradients are recorded
                without it. One that has taken its factor out already, by unscale_, need not be named.
            outputs: what the model gave, and
            targets: the class numbers it should be, if accuracy is to be recorded.
        """
        if self._is_due:
            value = loss.detach() if isinstance(loss, torch.Tensor) else loss
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # results, not faults
                self._record(float(value), _scale_of(scaler), _accuracy(outputs, targets))
            if self._found != self._entrances:
                # Another way into the model than last time: be there for all of them next time.
                self._entrances = set() if self._entrances else self._found
                self._disarm()
        self._step += 1
        if self._is_armed:
            self._begin_step()
        if self._is_on and self._status == "running":
            self._arm_if_due()

    @torch.no_grad()
    def _record(self, loss: float, scales: tuple[float, float], accuracy: float) -> None:
        probe = self._probe
        if not probe.drop_passes_without_gradient():
            self._missed += 1
            return
        if scales == (1.0, 1.0):
            scales = (self._seen_scale(),) * 2
        if self._grads is None:  # no error signal came by
            self._measure_grads()
        kept_scale = scales[0] if self._grads is not None else scales[1]
        grads = Grads(self._grads, self._grad_norms, scales[0], kept_scale)
        samples, seen = probe.samples(grads, linked=False), self._infos()
        self._layers = self._grown(seen)
        record = self._make_record(samples, seen, grads, Scores(loss, accuracy))
        self._add(aligned(record, seen, self._layers))
        never = probe.unexecuted
        self._never = [name for name in never if self._never is None or name in self._never]
        self._is_broken = not (math.isfinite(loss) and np.isfinite(record.layers["weight_norm"]).all())

    def _seen_scale(self) -> float:
        """Give the factor that a loss scaler nobody named has taken out of the gradients, 1 where none has.

        Scalers multiply by powers of two; that clipping hits one exactly, in every digit, does not happen.
        """
        for parameter in self._smallest_first:
            kept = (self._grads or {}).get(id(parameter))
            if kept is None or parameter.grad is None or not self._tells_scale(parameter):
                continue
            if torch.equal(kept, parameter.grad):
                return 1.0
            place = int(kept.abs().argmax())
            share = float(parameter.grad.flatten()[place]) / float(kept.flatten()[place])
            is_power = 0 < share < 1 and math.frexp(share)[0] == 0.5
            return 1 / share if is_power and torch.equal(kept * share, parameter.grad) else 1.0
        return 1.0

    def _infos(self) -> tuple[LayerInfo, ...]:
        """Describe the layers that were executed, anew where they are others than last time."""
        executed = self._probe.signature
        if executed != self._signature or is_probe_record(self._recorded, last=False):
            self._signature, self._seen = executed, self._probe.infos()
            for note in what_is_missing(self._seen):
                self._note(note)
        return self._seen

    _signature: tuple[str, ...] = ()
    _seen: tuple[LayerInfo, ...] = ()

    def _make_record(
        self, samples: list[LayerSample], infos: tuple[LayerInfo, ...], grads: Grads, scores: Scores
    ) -> StepRecord:
        rows = self._probe.seen
        updates = _updates([capture.weights for capture in rows], self._weights_before)
        layers = LayerMeter(samples, updates, [capture.grad_norms(grads) for capture in rows]).read()
        batch = Measured(
            layers=layers,
            grad_norms=[norm / grads.kept_scale for norm in self._grad_norms.values()],
            samples=lambda: samples,
            awaited=[sample.awaits_delta for sample in samples],
        )
        probed = samples if is_probe_record(self._recorded, last=False) else None
        return make_record(self._step, batch, probed, infos, scores, lambda: None)

    def _grown(self, seen: tuple[LayerInfo, ...]) -> tuple[LayerInfo, ...]:
        grown = merged(self._layers, seen)
        if self._layers and len(grown) > len(self._layers):
            self._records = [aligned(record, self._layers, grown) for record in self._records]
        return grown

    def _add(self, record: StepRecord) -> None:
        if self._writer is None:
            self._records.append(record)
        else:
            self._writer.append(self._bare_run(), record)
            if self._writer.trouble:
                self._note(self._writer.trouble)
        self._recorded += 1

    def _note(self, note: str) -> None:
        self._notes.setdefault(note)


def _updates(
    weights: Sequence[Sequence[torch.Tensor]], before: Mapping[int, torch.Tensor]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Give the stds of every row's weights before the last update, and of that update."""
    if not before:
        return None
    old = [_joined([before.get(id(weight)) for weight in row]) for row in weights]
    new = [_joined([weight.detach() for weight in row]) for row in weights]
    return update_spreads(old, new)


def _joined(tensors: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    known = [plain(tensor) for tensor in tensors if tensor is not None]
    if len(known) < len(tensors) or not known:
        return None
    return known[0] if len(known) == 1 else torch.cat([tensor.flatten() for tensor in known])


def _scale_of(scaler: Any) -> tuple[float, float]:
    """Give what the loss was multiplied by, and what of that is still in the parameters' gradients."""
    if scaler is None or not scaler.is_enabled():
        return 1.0, 1.0
    scale = float(scaler.get_scale())
    states = getattr(scaler, "_per_optimizer_states", {}).values()
    is_unscaled = any(getattr(state.get("stage"), "name", "") == "UNSCALED" for state in states)
    return scale, 1.0 if is_unscaled else scale


def _accuracy(outputs: Any, targets: torch.Tensor | None) -> float:
    scores = scores_of(outputs, targets)
    if not isinstance(scores, torch.Tensor) or not isinstance(targets, torch.Tensor):
        return math.nan
    return accuracy(scores, targets)


def _nothing(*arguments: Any, **named: Any) -> None:
    pass


class _Absent:
    """What a watch is in a copy of its model that was written to disk: hooks that do nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _nothing


def watch(model: nn.Module, path: str | Path | None = None, *, every: int = 1) -> Watch:
    """Watch a model in a training loop of one's own, as a context manager.

    Training stays the same bit for bit. The file can be read at any moment, also while it is written.

    Args:
        model: the module; not a compiled one, but the one it was made from.
        path: the run file to write, anew; None keeps the records in memory.
        every: record each so many steps, the first one included.

    Raises:
        ValueError: a compiled or lazy model, or an `every` that is no whole number of 1 or more.
        OSError: the file cannot be made, or another run is writing to it.
    """
    return Watch(model, path, every)
