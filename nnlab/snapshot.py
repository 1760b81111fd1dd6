"""diagnose: one record of any nn.Module, without touching it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from nnlab.environment import describe_environment
from nnlab.metrics import measure_layers
from nnlab.offender import first_bad
from nnlab.probe import Probe
from nnlab.recorder import LOSSES, LossFunction, Measured, Scores, accuracy, make_record
from nnlab.run import LayerInfo, Run, StepRecord
from nnlab.samples import norm
from nnlab.user_batch import as_tensors, call, scores_of

MOST_NAMED = 8  # of the modules that were not executed; a mixture of experts can have hundreds


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Put gradients, weights, buffers and random states back as they were."""
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    kept = [(tensor, tensor.detach().clone()) for tensor in (*model.parameters(), *model.buffers())]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            for parameter, _ in gradients:
                parameter.grad = None
            yield
        finally:
            for parameter, gradient in gradients:
                parameter.grad = gradient
            with torch.no_grad():
                for tensor, before in kept:
                    if not torch.equal(
                        tensor, before
                    ):  # an embedding with a largest norm changes its weights
                        tensor.copy_(before)


def _loss_function(loss: str | LossFunction) -> Callable[[Any, Any], Any]:
    """Give what is computed of outputs, or of the scores among them, and targets."""
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"loss: {loss!r} is not allowed; allowed: {', '.join(LOSSES)}, a callable")
    return partial(_loss_of, loss)


def _backward(model: nn.Module, loss: Any, notes: list[str]) -> None:
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        got = f"{tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
        raise ValueError(f"loss: gave {got}; allowed: a tensor of one number")
    if loss.requires_grad:
        for parameter in model.parameters():
            parameter.grad = None  # of a backward pass that the model ran itself
        loss.backward()
    else:
        notes.append("the loss depends on no trainable parameter: there are no gradients")


def check_model(model: nn.Module) -> None:
    """Raise ValueError for a model that cannot be looked into."""
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError("model: compiled by torch.jit; allowed: the module it was made from")
    for name, module in model.named_modules():
        if hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) is not None:
            which = f"{name} is " if name else ""
            raise ValueError(f"model: {which}compiled by torch.compile; allowed: the module it was made from")
    if any(nn.parameter.is_lazy(parameter) for parameter in model.parameters()):
        raise ValueError("model: has lazy modules of unknown shape; run one batch through it first")
    if any(parameter.is_meta for parameter in model.parameters()):
        raise ValueError("model: its weights have no values (device meta); load them first")
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise ValueError("model: its weights were made under inference_mode; allowed: made outside of it")


def _check_size(x: Any) -> None:
    if isinstance(x, (tuple, dict)):
        for part in x.values() if isinstance(x, dict) else x:
            _check_size(part)
    elif isinstance(x, torch.Tensor) and not x.numel():
        raise ValueError(f"x: shape {tuple(x.shape)} holds no numbers; allowed: at least one example")


def _loss_of(name: str, outputs: Any, targets: Any) -> Any:
    """Apply a loss of nnlab's to what the user's model gave."""
    if not isinstance(outputs, torch.Tensor) or not outputs.is_floating_point():
        got = outputs.dtype if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ValueError(f"model: gives {got}; allowed for {name}: a tensor of floating-point numbers")
    if not isinstance(targets, torch.Tensor):
        raise ValueError(f"y: {type(targets).__name__} is not allowed for {name}; allowed: numbers")
    try:
        return LOSSES[name](outputs, targets)
    except (RuntimeError, ValueError, IndexError) as error:
        shapes = f"{tuple(targets.shape)} of {targets.dtype} against outputs of shape {tuple(outputs.shape)}"
        raise ValueError(f"y: {shapes} is not allowed for {name} ({str(error).splitlines()[0]})") from error


def diagnose(model: nn.Module, x: Any, y: Any, loss: str | LossFunction = "cross_entropy") -> Run:
    """Run one forward and backward pass and give its record; the model, grads and RNG stay as they were.

    Args:
        model: any module, however its activations are called; it is run in the mode it is in.
        x: inputs, shape (batch, ...), tensor or array; a tuple or a dict where the model takes several.
        y: targets: class numbers (batch,) or (batch, steps), for "mse" also numbers shaped like the output.
        loss: "cross_entropy" or "mse", where there are several outputs of those called "logits", or of the
            first; or a callable (outputs, y) -> scalar tensor, which gets whatever the model gives.

    Raises:
        ValueError: a loss, targets or outputs that cannot be used, an empty batch, a compiled model, or one
            without a weight-bearing module.
    """
    check_model(model)
    loss_function = _loss_function(loss)
    with torch.inference_mode(False):
        inputs, targets = as_tensors(x, model, is_input=True), as_tensors(y, model, is_input=False)
    notes: list[str] = []
    _check_size(inputs)
    with torch.inference_mode(False), _untouched(model), torch.enable_grad():
        with Probe(model, gradients=True, later=True) as probe:
            outputs = call(model, inputs)
        if not probe.seen:
            raise ValueError("model: no call of a module with a weight of two or more dimensions was seen")
        scores = scores_of(outputs, targets)
        value = loss_function(outputs if callable(loss) else scores, targets)
        _backward(model, value, notes)
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
    layers = [(info.name, sample.z) for info, sample in zip(infos, samples, strict=True)]
    offender = first_not_finite(model, loss, grads, layers)
    if offender:
        notes.append(f"step 0: the first non-finite number was in the {offender}")
    return record, infos, "diverged" if offender else "completed"


def first_not_finite(
    model: nn.Module,
    loss: float,
    grads: Sequence[tuple[str, torch.Tensor]],
    layers: Sequence[tuple[str, torch.Tensor]],
) -> str | None:
    """Name what is not finite, weights first; `layers` are names with z. None where everything is."""
    weights = [(name, p.detach()) for name, p in model.named_parameters() if p.is_floating_point()]
    weight, activation, gradient = first_bad(weights), first_bad(layers), first_bad(grads[::-1])
    if weight is not None:
        return f"weights: {weight}"
    if not math.isfinite(loss):
        return f"loss, by the activations of {activation}" if activation else "loss"
    if activation is not None:
        return f"activations: {activation}"
    return gradient and f"gradient: {gradient}"


def what_is_missing(infos: Sequence[LayerInfo]) -> list[str]:
    """Say what of which layers could not be measured, and why."""
    return [f"{info.name}: {note}" for info in infos for note in info.notes]


def not_executed(names: Sequence[str]) -> list[str]:
    """Say which modules are in no table, in one sentence; none where there are none."""
    rest = len(names) - MOST_NAMED
    more = f" and {rest} more" if rest > 0 else ""
    return (
        [f"not in the table, as no call with examples was seen: {', '.join(names[:MOST_NAMED])}{more}"]
        if names
        else []
    )
