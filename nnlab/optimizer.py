"""Optimizers: one update of all weights of one or several networks, by the kernels that torch.optim calls.

Bit for bit the same as torch.optim's, without its classes: their bookkeeping takes longer than the update of
a small network, and the first of them that a process makes loads PyTorch's compiler, a second and 40 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from nnlab.config import ExperimentConfig

# torch.optim's defaults, and the momentum that everybody takes.
MOMENTUM = 0.9
RMSPROP_DECAY = 0.99
ADAM_BETAS = (0.9, 0.999)
EPSILON = 1e-8

Tensors = Sequence[torch.Tensor]
# A row of all parameters, or a tensor a parameter.
State = tuple[str, torch.Tensor | list[torch.Tensor]]


class UpdateOverflow(Exception):
    """The optimizer's own arithmetic left float32, as with a learning rate of 1e39."""


class Optimizer(Protocol):
    """What changes weights by their gradients."""

    def step(self) -> None:
        """Change the weights once."""
        ...

    def state(self, number: int, models: int) -> list[State]:
        """Give what it remembers of one of several models, each by its name."""
        ...


class SGD:
    """W -= lr v, where v = momentum v + dLoss/dW + weight_decay W; Polyak 1964, as torch.optim has it."""

    def __init__(self, weights: torch.Tensor, grads: torch.Tensor, config: ExperimentConfig) -> None:
        self._weights, self._grads, self._config = weights, grads, config
        self._has_momentum = config.optimizer == "momentum"
        self._velocity: torch.Tensor | None = None

    def step(self) -> None:
        """Change the weights once."""
        move = _decayed(self._grads, self._weights, self._config.weight_decay)
        if self._has_momentum:
            # The first step is the gradient itself.
            if self._velocity is None:
                self._velocity = move.clone()
            else:
                self._velocity.mul_(MOMENTUM).add_(move)
            move = self._velocity
        self._weights.add_(move, alpha=-self._config.learning_rate)

    def state(self, number: int, models: int) -> list[State]:
        """Give the velocity, which plain SGD has not."""
        return [] if self._velocity is None else [("velocity", self._velocity[number])]


class RMSprop:
    """W -= lr g / (sqrt(s) + eps), where s is the running mean of g^2; Tieleman & Hinton 2012."""

    def __init__(self, weights: torch.Tensor, grads: torch.Tensor, config: ExperimentConfig) -> None:
        self._weights, self._grads, self._config = weights, grads, config
        self._mean_square = torch.zeros_like(weights)

    def step(self) -> None:
        """Change the weights once."""
        grad = _decayed(self._grads, self._weights, self._config.weight_decay)
        self._mean_square.mul_(RMSPROP_DECAY).addcmul_(grad, grad, value=1 - RMSPROP_DECAY)
        root = self._mean_square.sqrt().add_(EPSILON)
        self._weights.addcdiv_(grad, root, value=-self._config.learning_rate)

    def state(self, number: int, models: int) -> list[State]:
        """Give the running mean of squares."""
        return [("mean square", self._mean_square[number])]


class Adam:
    """Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), by PyTorch's fused kernels.

    The kernel takes the last few elements of every tensor by another road than the rest: over one long tensor
    its bits would differ from an ordinary training loop's, so it gets the tensors one by one.
    """

    def __init__(self, weights: Tensors, grads: Tensors, config: ExperimentConfig) -> None:
        kernels = {"adam": torch._fused_adam_, "adamw": torch._fused_adamw_}
        self._kernel, self._config = kernels[config.optimizer], config
        self._weights, self._grads = list(weights), list(grads)
        self._means = [torch.zeros_like(weight) for weight in weights]
        self._mean_squares = [torch.zeros_like(weight) for weight in weights]
        self._steps = [torch.zeros(()) for _ in weights]

    def step(self) -> None:
        """Change the weights once."""
        torch._foreach_add_(self._steps, 1)
        self._kernel(
            self._weights,
            self._grads,
            self._means,
            self._mean_squares,
            [],
            self._steps,
            lr=self._config.learning_rate,
            beta1=ADAM_BETAS[0],
            beta2=ADAM_BETAS[1],
            weight_decay=self._config.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def state(self, number: int, models: int) -> list[State]:
        """Give the running means of gradients and of their squares."""
        size = len(self._means) // models
        part = slice(number * size, (number + 1) * size)
        return [("mean", self._means[part]), ("mean square", self._mean_squares[part])]


def _decayed(grads: torch.Tensor, weights: torch.Tensor, weight_decay: float) -> torch.Tensor:
    return grads.add(weights, alpha=weight_decay) if weight_decay else grads


_FLAT: dict[str, Callable[[torch.Tensor, torch.Tensor, ExperimentConfig], Optimizer]] = {
    "sgd": SGD,
    "momentum": SGD,
    "rmsprop": RMSprop,
}


def make_optimizer(
    config: ExperimentConfig,
    values: torch.Tensor,
    grads: torch.Tensor,
    parameters: Sequence[torch.nn.Parameter],
) -> Optimizer:
    """Make an experiment's optimizer for parameters that are views of `values`, with gradients of `grads`."""
    if config.optimizer in _FLAT:
        return _FLAT[config.optimizer](values, grads, config)
    views = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return Adam([parameter.detach() for parameter in parameters], views, config)


def update(optimizer: Optimizer) -> None:
    """Take one step; raises UpdateOverflow where a factor of the update is too large for float32."""
    try:
        optimizer.step()
    except RuntimeError as error:
        if "overflow" not in str(error):
            raise
        raise UpdateOverflow from error
