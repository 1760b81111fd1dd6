"""Learner: networks, their optimizer and what a step left of them; here the one that trains by the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import nn

from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.engine import Engine, named_slices, unflatten
from nnlab.meter import Meter
from nnlab.model import MLP
from nnlab.offender import first_bad
from nnlab.optimizer import Optimizer, make_optimizer, update
from nnlab.recorder import Measured
from nnlab.run import LayerInfo

Check = Callable[[], None]
FLOAT32_END = 3e38


class Learner(Protocol):
    """Trains networks of one shape side by side, all with batches of one size.

    `forward_backward` passes the loaded batches; only after a `watched` one there is something to measure.
    """

    name: str

    def infos(self) -> tuple[LayerInfo, ...]:
        """Describe the layers."""
        ...

    def load(self, number: int, x: torch.Tensor, y: torch.Tensor, rows: torch.Tensor) -> None:
        """Take rows of x (examples, inputs) and y (examples,) as the next batch of a network."""
        ...

    def forward_backward(self, *, watched: bool, check: Check) -> None:
        """Pass all loaded batches forward and backward; `check` is called on the way of a watched pass."""
        ...

    def loss(self, number: int) -> float:
        """Give the mean loss of a network's batch."""
        ...

    def is_sound(self) -> bool:
        """Whether the weights, losses and gradients of all networks are finite; quick."""
        ...

    def has_finite_loss(self, number: int) -> bool:
        """Whether the loss of a network's batch is finite."""
        ...

    def scored(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Give a network's outputs and the y they should be."""
        ...

    def bad_weight(self, number: int) -> str | None:
        """Name the first parameter that is not finite."""
        ...

    def bad_state(self, number: int) -> str | None:
        """Name the first parameter of which the optimizer remembers something that is not finite."""
        ...

    def bad_activation(self, number: int) -> str | None:
        """Name the first layer whose z is not finite, as far as the last pass left it to be seen."""
        ...

    def bad_gradient(self, number: int) -> str | None:
        """Name the first parameter, as backpropagation meets them, whose gradient is not finite."""
        ...

    def is_still(self, number: int) -> bool:
        """Whether every gradient of a network is exactly 0."""
        ...

    def all_move(self) -> bool:
        """Whether every network has a gradient that is not 0; quick."""
        ...

    def measure(self) -> list[Measured]:
        """Measure the last watched pass of every network."""
        ...

    def update(self, *, watched: bool) -> None:
        """Change the weights; a `watched` update is in the next measurement. Raises UpdateOverflow."""
        ...

    def release(self, number: int) -> None:
        """Leave a network as it is from now on, with storage of its own."""
        ...

    def close(self) -> None:
        """Let go of all buffers; nothing can be trained or measured any more."""
        ...


def clip(model: nn.Module, config: ExperimentConfig) -> None:
    """Scale a network's gradients down to the experiment's norm, if it has one."""
    if config.clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)


def bad_state(optimizer: Optimizer, models: Sequence[nn.Module], number: int) -> str | None:
    """Name the first parameter of a model of which the optimizer remembers something that is not finite."""
    names = [name for name, _ in models[number].named_parameters()]
    parts = named_slices(models[number])
    for what, state in optimizer.state(number, len(models)):
        named = zip(names, state) if isinstance(state, list) else ((n, state[part]) for n, part in parts)
        bad = first_bad([(f"{what} of {name}", values) for name, values in named])
        if bad is not None:
            return bad
    return None


class EngineLearner:
    """Trains plain networks, residual ones too, by the engine."""

    name = "engine"

    def __init__(self, models: Sequence[MLP], config: ExperimentConfig, batch: int) -> None:
        self._models, self._config = models, config
        self._engine = Engine(models, config, batch)
        self._meter = Meter(self._engine)
        self._is_update_known = False
        parameters = [parameter for model in models for parameter in model.parameters()]
        self._optimizer = make_optimizer(config, self._engine.values, self._engine.grads, parameters)
        self._values, self._grads = self._engine.values.numpy(), self._engine.grads.numpy()

    def infos(self) -> tuple[LayerInfo, ...]:
        """Describe the layers."""
        name = self._config.activation
        infos = [
            LayerInfo(f"hidden_{number}", number, name, (), slope_sup=ACTIVATIONS[name].slope_sup)
            for number in range(1, self._config.depth + 1)
        ]
        infos.append(LayerInfo("output", self._config.depth + 1, "identity", ()))
        shapes = [tuple(linear.weight.shape) for linear in self._models[0].linears]
        return tuple(replace(i, weight_shape=shape) for i, shape in zip(infos, shapes, strict=True))

    def load(self, number: int, x: torch.Tensor, y: torch.Tensor, rows: torch.Tensor) -> None:
        """Take rows of x (examples, inputs) and y (examples,) as the next batch of a network."""
        self._engine.load(number, x, y, rows)

    def forward_backward(self, *, watched: bool, check: Check) -> None:
        """Pass all loaded batches forward and backward."""
        self._meter.check = self._engine.check = check
        self._engine.run(watched=watched)
        # A sum of squares takes a tenth of isfinite's time and tells nearly always what is asked below.
        self._grad_squares = np.vecdot(self._grads, self._grads).tolist()

    def loss(self, number: int) -> float:
        """Give the mean loss of a network's batch."""
        return self._engine.losses[number].value()

    def is_sound(self) -> bool:
        """Whether the weights, losses and gradients of all networks are finite."""
        is_small = self._have_squares(self._values.reshape(-1)) and all(
            map(math.isfinite, self._grad_squares)
        )
        return is_small and all(loss.is_finite() for loss in self._engine.losses)

    def _have_squares(self, values: np.ndarray) -> bool:
        """Whether weights fit float32 squared, as they are and as weight decay adds them to gradients."""
        return math.sqrt(values.dot(values)) * max(1.0, self._config.weight_decay) < FLOAT32_END**0.5

    def has_finite_loss(self, number: int) -> bool:
        """Whether the loss of a network's batch is finite."""
        return self._engine.losses[number].is_finite()

    def scored(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Give a network's outputs and the y they should be."""
        return self._engine.outputs[number], self._engine.targets[number]

    def bad_weight(self, number: int) -> str | None:
        """Name the first parameter that is not finite."""
        row = self._values[number]
        if _is_finite(row.dot(row), row):
            return None
        return first_bad([(name, p.detach()) for name, p in self._models[number].named_parameters()])

    def bad_state(self, number: int) -> str | None:
        """Name the first parameter of which the optimizer remembers something that is not finite."""
        return bad_state(self._optimizer, self._models, number)

    def bad_activation(self, number: int) -> str | None:
        """Name the first layer whose z is not finite."""
        # Only weights of such a size can make z overflow where the loss does not; and were every network
        # looked at where one is unsound, a network's end would hang on those that are trained beside it.
        if self._have_squares(self._values[number]) and self.has_finite_loss(number):
            return None
        hidden = [(f"hidden_{layer}", z[number]) for layer, z in enumerate(self._engine.z, start=1)]
        return first_bad([*hidden, ("output", self._engine.outputs[number])])

    def bad_gradient(self, number: int) -> str | None:
        """Name the first parameter, as backpropagation meets them, whose gradient is not finite."""
        if _is_finite(self._grad_squares[number], self._grads[number]):
            return None
        named = [(name, p.grad) for name, p in self._models[number].named_parameters()]
        return first_bad([(name, grad) for name, grad in reversed(named) if grad is not None])

    def is_still(self, number: int) -> bool:
        """Whether every gradient is exactly 0."""
        # Numbers below 1e-23 have squares of 0 in float32.
        return self._grad_squares[number] == 0 and not self._grads[number].any()

    def all_move(self) -> bool:
        """Whether every network has a gradient that is not 0."""
        return min(self._grad_squares) > 0

    def measure(self) -> list[Measured]:
        """Measure the last watched pass of every network."""
        return [
            Measured(layers, self._meter.grad_norms(number), partial(self._meter.samples, number))
            for number, layers in enumerate(self._meter.read())
        ]

    def update(self, *, watched: bool) -> None:
        """Change the weights."""
        if self._is_update_known:
            self._meter.forget_update()
        self._is_update_known = watched
        if watched:
            self._meter.before_update()
        for model in self._models:
            clip(model, self._config)
        update(self._optimizer)
        if watched:
            self._meter.after_update()

    def release(self, number: int) -> None:
        """Leave a network as it is from now on, with storage of its own."""
        unflatten(self._models[number])

    def close(self) -> None:
        """Let go of all buffers; nothing can be trained or measured any more."""
        self._engine.close()
        del self._meter, self._engine


def _is_finite(square: float, row: np.ndarray) -> bool:
    # A sum of squares can overflow where every entry is finite.
    return math.isfinite(square) or bool(np.isfinite(row).all())
