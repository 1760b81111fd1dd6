"""autograd: what PyTorch's automatic differentiation says of a Network, to judge what is done by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nnlab.activations import ACTIVATIONS
from nnlab.chain import Problem


@dataclass(frozen=True)
class Gradients:
    """Frobenius norms, one a layer, the output last: of dLoss/dz and of dLoss/dW.

    `arriving` is that of dLoss/dh of the last hidden layer.
    """

    delta: np.ndarray
    weight: np.ndarray
    arriving: float

    @property
    def signal(self) -> np.ndarray:
        """The error signal of every hidden layer, as a share of what arrives at the last one."""
        return self.delta[:-1] / self.arriving


def gradients(problem: Problem) -> Gradients:
    """Differentiate the mean cross-entropy of a problem, in the precision of its weights."""
    h = torch.from_numpy(problem.x)
    weights, z, inputs = [], [], []
    for layer in problem.network.layers:
        inputs.append(h)
        weight = torch.from_numpy(layer.weight).clone().requires_grad_()
        before = h @ weight.T + torch.from_numpy(layer.bias)
        before.retain_grad()
        h = ACTIVATIONS[layer.activation].function(before)
        # The step function cuts the graph: behind it, autograd knows of no way back.
        h = h if h.requires_grad else h.requires_grad_()
        h.retain_grad()
        weights.append(weight)
        z.append(before)
    torch.nn.functional.cross_entropy(h, torch.from_numpy(problem.y)).backward()
    return Gradients(_norms(z), _norms(weights), arriving=float(_norms(inputs[-1:])[0]))


def _norms(tensors: list[torch.Tensor]) -> np.ndarray:
    # A tensor that autograd found no way to has no gradient, which is a gradient of 0.
    return np.array([0.0 if t.grad is None else float(t.grad.norm()) for t in tensors])
