"""Optimizer: one update of all weights of one or several networks, by PyTorch's own kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import nn

from nnlab.config import ExperimentConfig

MOMENTUM = 0.9


class Optimizer(Protocol):
    """What changes weights by their gradients."""

    def step(self) -> object:
        """Change the weights once."""
        ...


class UpdateOverflow(Exception):
    """The optimizer's own arithmetic left float32, as with a learning rate of 1e39."""


class FlatSGD:
    """torch.optim.SGD over one tensor, without its bookkeeping, which takes longer than the update."""

    def __init__(self, weights: torch.Tensor, grad: torch.Tensor, lr: float, weight_decay: float) -> None:
        self._weights, self._grad = weights, grad
        self._lr, self._weight_decay = lr, weight_decay

    def step(self) -> None:
        """W -= lr (dLoss/dW + weight_decay W)."""
        grad = self._grad
        if self._weight_decay:
            grad = grad.add(self._weights, alpha=self._weight_decay)
        self._weights.add_(grad, alpha=-self._lr)


# SGD's fused kernel rounds momentum otherwise than the plain one, and saves nothing on one tensor.
_MAKERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=MOMENTUM),
    "adam": partial(torch.optim.Adam, fused=True),
    "adamw": partial(torch.optim.AdamW, fused=True),
    "rmsprop": torch.optim.RMSprop,
}
# Adam's fused kernel takes the last few elements of every tensor by another road than the rest: over one
# long tensor its bits would differ from an ordinary training loop's, so it gets the tensors one by one.
_PER_TENSOR = ("adam", "adamw")


def make_optimizer(config: ExperimentConfig, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
    """Make the optimizer of an experiment over separate parameters."""
    return _MAKERS[config.optimizer](parameters, lr=config.learning_rate, weight_decay=config.weight_decay)


def make_flat_optimizer(
    config: ExperimentConfig, parameters: Sequence[nn.Parameter], values: torch.Tensor, grads: torch.Tensor
) -> Optimizer:
    """Make the same for parameters that are views of `values`, with gradients that are views of `grads`.

    It gives the same bits as `make_optimizer`'s.
    """
    if config.optimizer in _PER_TENSOR:
        return make_optimizer(config, parameters)
    if config.optimizer == "sgd":
        return FlatSGD(values, grads, config.learning_rate, config.weight_decay)
    whole = nn.Parameter(values)
    whole.grad = grads
    return make_optimizer(config, [whole])


def update(optimizer: Optimizer) -> None:
    """Take one step; raises UpdateOverflow where a factor of the update is too large for float32."""
    try:
        optimizer.step()
    except RuntimeError as error:
        if "overflow" not in str(error):
            raise
        raise UpdateOverflow from error
