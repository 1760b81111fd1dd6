"""Losses: the mean loss of a batch and its derivative by the outputs, by the kernels that autograd calls."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch

aten: Any = torch.ops.aten
# float32 ends at 3e38, and a batch has at most a few thousand examples to sum over.
FAR_FROM_OVERFLOW = 1e30


class Loss(Protocol):
    """The loss of one network's batches, all of one size."""

    def differentiate(self, outputs: torch.Tensor, y: torch.Tensor, delta: torch.Tensor) -> None:
        """Write dLoss/doutputs (batch, outputs) into delta."""
        ...

    def value(self) -> float:
        """Give the loss of the last batch."""
        ...

    def is_finite(self) -> bool:
        """Whether it is finite."""
        ...


class CrossEntropy:
    """Mean cross-entropy of logits (batch, classes) against class numbers (batch,)."""

    def __init__(self, batch: int, outputs: int) -> None:
        self._log_shares = torch.zeros(batch, outputs)
        self._above = torch.zeros(batch, outputs)
        self._flat_log_shares = self._log_shares.view(-1).numpy()
        self._flat_above = self._above.view(-1).numpy()
        self._y = torch.zeros(batch, dtype=torch.int64)
        # d(mean negative log likelihood)/d(log share) of a class is -1/batch for the right one, else 0.
        self._rows = torch.eye(outputs) * (-1.0 / batch)

    def differentiate(self, outputs: torch.Tensor, y: torch.Tensor, delta: torch.Tensor) -> None:
        """Write dLoss/doutputs (batch, outputs) into delta."""
        self._y = y
        torch.log_softmax(outputs, 1, out=self._log_shares)
        torch.index_select(self._rows, 0, y, out=self._above)
        torch._log_softmax_backward_data(self._above, self._log_shares, 1, torch.float32, out=delta)

    def value(self) -> float:
        """Give the loss of the last batch."""
        return float(aten.nll_loss_forward(self._log_shares, self._y, None, 1, -100)[0])

    def is_finite(self) -> bool:
        """Whether it is finite."""
        # The same sum in a fifth of the time, but for its limits: divided before, it overflows later, and a
        # share of 0 for a wrong class makes it a NaN.
        about = self._flat_log_shares.dot(self._flat_above)
        return abs(about) < FAR_FROM_OVERFLOW or math.isfinite(self.value())


class SquaredError:
    """Mean squared error over batch and outputs; class numbers (batch,) are compared as one-hot rows."""

    def __init__(self, batch: int, outputs: int) -> None:
        self._outputs = self._target = torch.zeros(batch, outputs)
        self._one = torch.ones(())
        self._one_hot = torch.eye(outputs)

    def differentiate(self, outputs: torch.Tensor, y: torch.Tensor, delta: torch.Tensor) -> None:
        """Write dLoss/doutputs (batch, outputs) into delta."""
        is_class = y.dtype == torch.int64
        self._outputs = outputs
        self._target = self._one_hot.index_select(0, y) if is_class else y.reshape(outputs.shape)
        aten.mse_loss_backward.grad_input(self._one, outputs, self._target, 1, grad_input=delta)

    def value(self) -> float:
        """Give the loss of the last batch."""
        return float(aten.mse_loss(self._outputs, self._target, 1))

    def is_finite(self) -> bool:
        """Whether it is finite."""
        return math.isfinite(self.value())


_MAKERS: dict[str, type[CrossEntropy] | type[SquaredError]] = {
    "cross_entropy": CrossEntropy,
    "mse": SquaredError,
}


def make_loss(name: str, batch: int, outputs: int) -> Loss:
    """Make a loss of the configuration's name for batches (batch, outputs)."""
    return _MAKERS[name](batch, outputs)
