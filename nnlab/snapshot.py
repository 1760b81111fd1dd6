"""diagnose: one record of any nn.Module, without touching it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from nnlab.environment import describe_environment
from nnlab.metrics import measure_layers
from nnlab.probe import Probe
from nnlab.recorder import LOSSES, LossFunction, Measured, Scores, accuracy, make_record
from nnlab.run import Run
from nnlab.samples import norm


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


def _as_tensor(values: Any, model: nn.Module, *, is_input: bool) -> torch.Tensor:
    tensor = torch.as_tensor(np.asarray(values) if isinstance(values, list) else values)
    parameter = next(model.parameters(), None)
    if parameter is None:
        return tensor
    tensor = tensor.to(parameter.device)
    # NumPy's default is float64, which no float32 model takes.
    return tensor.to(parameter.dtype) if is_input and tensor.is_floating_point() else tensor


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


def diagnose(model: nn.Module, x: Any, y: Any, loss: str | LossFunction = "cross_entropy") -> Run:
    """Run one forward and backward pass and give its record; the model, grads and RNG stay as they were.

    Args:
        model: any module whose activations are modules; it is run in the mode it is in.
        x: inputs, shape (batch, ...), tensor or array.
        y: targets: class numbers (batch,), or for "mse" also numbers shaped like the output.
        loss: "cross_entropy", "mse", or a callable (outputs, y) -> scalar tensor.

    Raises:
        ValueError: an unknown loss, or a model without a weight-bearing module.
    """
    loss_function = _loss_function(loss)
    inputs, targets = _as_tensor(x, model, is_input=True), _as_tensor(y, model, is_input=False)
    notes: list[str] = []
    with _untouched(model), torch.enable_grad():
        with Probe(model, gradients=True) as probe:
            outputs = model(inputs)
        if not probe.captures:
            raise ValueError("model: no module with a weight of two or more dimensions was executed")
        value = loss_function(outputs, targets)
        _backward(value, notes)
        samples, infos = probe.samples(), probe.infos()
        scores = Scores(float(value.detach()), accuracy(outputs.detach(), targets))
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        layers = measure_layers(samples, at_probe=False)
        batch = Measured(layers, [norm(grad) for grad in grads], lambda: samples)
        record = make_record(0, batch, samples, infos, scores, lambda: None)
    for info in infos:
        notes += [f"{info.name}: {note}" for note in info.notes]
    return Run(
        config=None,
        status="completed",
        layers=infos,
        records=(record,),
        environment={**describe_environment("autograd"), "model": type(model).__name__},
        notes=tuple(notes),
        model=model,
    )
