"""The kernels by which PyTorch computes phi and multiplies by phi', writing into given tensors.

An activation without an entry here is computed by its registry formulas, which is as right, only slower
and perhaps not to the last bit what an autograd loop gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from nnlab.activations import LEAKY_SLOPE, SELU_ALPHA, SELU_SCALE, SOFTPLUS_THRESHOLD

aten: Any = torch.ops.aten

Forward = Callable[[torch.Tensor, torch.Tensor], object]
Backward = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], object]
Slope = Callable[[torch.Tensor, torch.Tensor], object]

_elu, _elu_back = aten.elu.out, aten.elu_backward.grad_input
_leaky, _leaky_back = aten.leaky_relu.out, aten.leaky_relu_backward.grad_input
_hardtanh, _hardtanh_back = aten.hardtanh.out, aten.hardtanh_backward.grad_input
_softplus, _softplus_back = aten.softplus.out, aten.softplus_backward.grad_input
_gelu, _gelu_back = aten.gelu.out, aten.gelu_backward.grad_input
_silu, _silu_back = aten.silu.out, aten.silu_backward.grad_input
_sigmoid_back, _tanh_back = aten.sigmoid_backward.grad_input, aten.tanh_backward.grad_input
_threshold_back = aten.threshold_backward.grad_input

# phi(z) written into h.
FORWARD: dict[str, Forward] = {
    "identity": lambda z, h: h.copy_(z),
    "sigmoid": lambda z, h: torch.sigmoid(z, out=h),
    "tanh": lambda z, h: torch.tanh(z, out=h),
    "relu": lambda z, h: torch.clamp_min(z, 0.0, out=h),
    "leaky_relu": lambda z, h: _leaky(z, LEAKY_SLOPE, out=h),
    "elu": lambda z, h: _elu(z, out=h),
    "selu": lambda z, h: _elu(z, SELU_ALPHA, SELU_SCALE, out=h),
    "gelu": lambda z, h: _gelu(z, out=h),
    "silu": lambda z, h: _silu(z, out=h),
    "mish": lambda z, h: aten.mish.out(z, out=h),
    "softplus": lambda z, h: _softplus(z, 1, SOFTPLUS_THRESHOLD, out=h),
    "hardtanh": lambda z, h: _hardtanh(z, out=h),
    "sine": lambda z, h: torch.sin(z, out=h),
    "cosine": lambda z, h: torch.cos(z, out=h),
}
# dLoss/dh * phi'(z) written into delta, which may be the same tensor as dLoss/dh. Sigmoid's and tanh's
# slopes are computed from h, which is the same number and costs no exponential.
BACKWARD: dict[str, Backward] = {
    "identity": lambda grad, z, h, delta: delta.copy_(grad) if delta is not grad else None,
    "sigmoid": lambda grad, z, h, delta: _sigmoid_back(grad, h, grad_input=delta),
    "tanh": lambda grad, z, h, delta: _tanh_back(grad, h, grad_input=delta),
    "relu": lambda grad, z, h, delta: _threshold_back(grad, h, 0, grad_input=delta),
    "leaky_relu": lambda grad, z, h, delta: _leaky_back(grad, z, LEAKY_SLOPE, False, grad_input=delta),
    "elu": lambda grad, z, h, delta: _elu_back(grad, 1, 1, 1, False, z, grad_input=delta),
    "selu": lambda grad, z, h, delta: _elu_back(grad, SELU_ALPHA, SELU_SCALE, 1, False, z, grad_input=delta),
    "gelu": lambda grad, z, h, delta: _gelu_back(grad, z, grad_input=delta),
    "silu": lambda grad, z, h, delta: _silu_back(grad, z, grad_input=delta),
    "mish": lambda grad, z, h, delta: delta.copy_(aten.mish_backward(grad, z)),
    "softplus": lambda grad, z, h, delta: _softplus_back(grad, z, 1, SOFTPLUS_THRESHOLD, grad_input=delta),
    "hardtanh": lambda grad, z, h, delta: _hardtanh_back(grad, z, -1, 1, grad_input=delta),
}


def _sigmoid_slope(h: torch.Tensor, slope: torch.Tensor) -> None:
    torch.sub(1.0, h, out=slope)
    slope.mul_(h)


def _tanh_slope(h: torch.Tensor, slope: torch.Tensor) -> None:
    torch.mul(h, h, out=slope)
    torch.sub(1.0, slope, out=slope)


# phi'(z) from h, written into slope: the same numbers as the registry's, without another exponential.
SLOPE: dict[str, Slope] = {
    "sigmoid": _sigmoid_slope,
    "tanh": _tanh_slope,
    "relu": lambda h, slope: torch.sign(h, out=slope),
}
