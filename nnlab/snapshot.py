"""diagnose: one record of any nn.Module, without touching it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from nnlab.environment import describe_environment
from nnlab.metrics import measure_layers
from nnlab.probe import Probe
from nnlab.recorder import LOSSES, LossFunction, Measured, Scores, accuracy, make_record
from nnlab.run import LayerInfo, Run, StepRecord
from nnlab.samples import norm
from nnlab.user_batch import as_tensors, call, scores_of

MOST_NAMED = 8  # of the modules that were not executed; a mixture of experts can have hundreds


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Put gradients, buffers and random states back as they were."""
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            for parameter, _ in gradients:
                parameter.grad = None
            yield
        finally:
            for parameter, gradient in gradients:
                parameter.grad = gradient
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)


def _loss_function(loss: str | LossFunction) -> LossFunction:
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"loss: {loss!r} is not allowed; allowed: {', '.join(LOSSES)}, a callable")
    return LOSSES[loss]


def _backward(loss: torch.Tensor, notes: list[str]) -> None:
    if loss.requires_grad:
        loss.backward()
    else:
        notes.append("the loss depends on no trainable parameter: there are no gradients")


def check_model(model: nn.Module) -> None:
    """Raise ValueError for a model that cannot be looked into."""
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError("model: compiled by torch.jit; allowed: the module it was made from")
    if hasattr(model, "_orig_mod") or getattr(model, "_compiled_call_impl", None) is not None:
        raise ValueError("model: compiled by torch.compile; allowed: the module it was made from")
    if any(nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
        raise ValueError("model: has lazy modules of unknown shape; run one batch through it first")


def diagnose(model: nn.Module, x: Any, y: Any, loss: str | LossFunction = "cross_entropy") -> Run:
    """Run one forward and backward pass and give its record; the model, grads and RNG stay as they were.

    Args:
        model: any module, however its activations are called; it is run in the mode it is in.
        x: inputs, shape (batch, ...), tensor or array; a tuple or a dict where the model takes several.
        y: targets: class numbers (batch,) or (batch, steps), for "mse" also numbers shaped like the output.
        loss: "cross_entropy" or "mse", where there are several outputs of those called "logits", or of the
            first; or a callable (outputs, y) -> scalar tensor, which gets whatever the model gives.

    Raises:
        ValueError: an unknown loss, a compiled model, or one without a weight-bearing module.
    """
    check_model(model)
    loss_function = _loss_function(loss)
    inputs, targets = as_tensors(x, model, is_input=True), as_tensors(y, model, is_input=False)
    notes: list[str] = []
    with _untouched(model), torch.enable_grad():
        with Probe(model, gradients=True) as probe:
            outputs = call(model, inputs)
        if not probe.seen:
            raise ValueError("model: no module with a weight of two or more dimensions was executed")
        scores = scores_of(outputs, targets)
        value = loss_function(outputs if callable(loss) else scores, targets)
        _backward(value, notes)
        record, infos, status = _record(
            model, probe, float(value.detach()), _accuracy(scores, targets), notes
        )
    return Run(
        config=None,
        status=status,
        layers=infos,
        records=(record,),
        environment={**describe_environment("autograd"), "model": type(model).__name__},
        notes=(*notes, *what_is_missing(infos), *not_executed(probe.unexecuted)),
        model=model,
    )


def _accuracy(scores: Any, targets: Any) -> float:
    are_tensors = isinstance(scores, torch.Tensor) and isinstance(targets, torch.Tensor)
    return accuracy(scores.detach(), targets) if are_tensors else math.nan


def _record(
    model: nn.Module, probe: Probe, loss: float, accuracy: float, notes: list[str]
) -> tuple[StepRecord, tuple[LayerInfo, ...], str]:
    """Make the record of what a probe saw, with its layers and how the run ended."""
    samples, infos = probe.samples(), probe.infos()
    grads = [(name, p.grad) for name, p in model.named_parameters() if p.grad is not None]
    batch = Measured(
        layers=measure_layers(samples, at_probe=False),
        grad_norms=[norm(grad) for _, grad in grads],
        samples=lambda: samples,
        awaited=[sample.awaits_delta for sample in samples],
    )
    record = make_record(0, batch, samples, infos, Scores(loss, accuracy), lambda: None)
    offender = first_not_finite(model, loss, grads)
    if offender:
        notes.append(f"step 0: the first non-finite number was in the {offender}")
    return record, infos, "diverged" if offender else "completed"


def first_not_finite(model: nn.Module, loss: float, grads: Sequence[tuple[str, torch.Tensor]]) -> str:
    """Name what is not finite, weights first; "" where everything is."""
    weights = [
        (f"weights: {name}", p.detach()) for name, p in model.named_parameters() if p.is_floating_point()
    ]
    named = [
        *weights,
        ("loss", torch.tensor(loss)),
        *((f"gradient: {name}", grad) for name, grad in grads[::-1]),
    ]
    return next((name for name, values in named if not is_finite(values)), "")


def is_finite(values: torch.Tensor) -> bool:
    """Whether every number of a tensor is finite."""
    values = values.coalesce().values() if values.is_sparse else values
    return bool(values.isfinite().all())


def what_is_missing(infos: Sequence[LayerInfo]) -> list[str]:
    """Say what of which layers could not be measured, and why."""
    return [f"{info.name}: {note}" for info in infos for note in info.notes]


def not_executed(names: Sequence[str]) -> list[str]:
    """Say which modules are in no table, in one sentence; none where there are none."""
    rest = len(names) - MOST_NAMED
    more = f" and {rest} more" if rest > 0 else ""
    return [f"not executed, so not in the table: {', '.join(names[:MOST_NAMED])}{more}"] if names else []
