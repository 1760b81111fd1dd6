"""Activation calls: which activation a PyTorch function or module computes, with its slope."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import torch
from torch import nn

from nnlab.activations import ACTIVATIONS

Elementwise = Callable[[torch.Tensor], torch.Tensor]

# Functions and methods of PyTorch by their names, without the underscore of those that work in place.
_REGISTRY_NAMES = {
    name: name for name in ACTIVATIONS if name not in ("identity", "step", "sine", "cosine")
} | {
    "expit": "sigmoid",
    "special_expit": "sigmoid",
    "sin": "sine",
    "cos": "cosine",
}
# Activations beyond the registry, by the names of their classes; their slope is asked from autograd.
_FOREIGN_NAMES = {
    "relu6": "ReLU6",
    "celu": "CELU",
    "prelu": "PReLU",
    "rrelu": "RReLU",
    "logsigmoid": "LogSigmoid",
    "log_sigmoid": "LogSigmoid",
    "hardsigmoid": "Hardsigmoid",
    "hardswish": "Hardswish",
    "hardshrink": "Hardshrink",
    "softshrink": "Softshrink",
    "tanhshrink": "Tanhshrink",
    "threshold": "Threshold",
    "clamp": "Clamp",
    "clip": "Clamp",
    "clamp_min": "Clamp",
    "clamp_max": "Clamp",
}
# What their calls take after the input, in order.
_PARAMETERS = {
    "leaky_relu": ("negative_slope", "inplace"),
    "elu": ("alpha", "inplace"),
    "celu": ("alpha", "inplace"),
    "selu": ("inplace",),
    "silu": ("inplace",),
    "mish": ("inplace",),
    "relu": ("inplace",),
    "relu6": ("inplace",),
    "hardswish": ("inplace",),
    "hardsigmoid": ("inplace",),
    "hardtanh": ("min_val", "max_val", "inplace"),
    "softplus": ("beta", "threshold"),
    "threshold": ("threshold", "value", "inplace"),
    "rrelu": ("lower", "upper", "training", "inplace"),
}
_DROPPING = ("p", "training", "inplace")  # what the dropout family takes
_IN_PLACE_OPERATORS = frozenset(
    f"__i{name}__"
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor")
)
# Where the registry's formula holds only for PyTorch's default parameters.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "leaky_relu": {"negative_slope": 0.01},
    "elu": {"alpha": 1.0},
    "gelu": {"approximate": "none"},
    "softplus": {"beta": 1, "threshold": 20},
    "hardtanh": {"min_val": -1, "max_val": 1},
}
# Where sup abs(phi') of an unknown activation is looked for; wide enough for every torch.nn one.
SLOPE_GRID = torch.linspace(-20.0, 20.0, 4001)
# Random numbers on which a module of the user's is tried: enough that a function of several of them shows.
TRIED = 64


@dataclass(frozen=True)
class Phi:
    """An activation as it was called: its name and, where the registry lacks it, its function.

    `name` is a registry name, or the class name of an activation that is not in there as it stands.
    """

    name: str
    function: Elementwise | None = None

    @property
    def two_sided(self) -> bool:
        """Whether it saturates on both sides, at its ends."""
        return self.function is None and ACTIVATIONS[self.name].two_sided

    def slope(self, z: torch.Tensor) -> torch.Tensor:
        """Give phi'(z) as PyTorch's backward pass computes it, for z of any shape; NaN where it fails."""
        if self.function is None:
            return torch.as_tensor(ACTIVATIONS[self.name].derivative(z))
        try:
            with torch.enable_grad():
                leaf = z.detach().clone().requires_grad_()
                (slope,) = torch.autograd.grad(self.function(leaf).sum(), leaf)
        except RuntimeError:  # the user's function does not take this shape, or has no derivative
            return torch.full_like(z, math.nan)
        return slope

    def slope_sup(self, z: torch.Tensor) -> float:
        """Give sup abs(phi'): from the registry, or the largest seen on a grid and at z."""
        if self.function is None:
            return ACTIVATIONS[self.name].slope_sup
        seen = [self.slope(values).abs() for values in (z, SLOPE_GRID.to(z.device)) if z.numel()]
        largest = [float(slope.max()) for slope in seen if not slope.isnan().any()]
        return max(largest, default=1.0)


IDENTITY = Phi("identity")


def base_name(function: str) -> str:
    """Give a function's name without what says that it works in place, or is private."""
    return function.strip("_")


def is_activation_name(function: str) -> bool:
    """Whether a function of PyTorch is an elementwise activation."""
    return base_name(function) in _REGISTRY_NAMES or base_name(function) in _FOREIGN_NAMES


def _given(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Give a call's parameters after the input by their names."""
    return {**dict(zip(_PARAMETERS.get(name, ()), args[1:], strict=False)), **kwargs}


@cache
def _overwrites(function: str) -> bool:
    """Whether every call of a function overwrites its first argument."""
    ends_in_one = function.endswith("_") and not function.endswith("__")
    return ends_in_one or function == "__setitem__" or function in _IN_PLACE_OPERATORS


def works_in_place(function: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call overwrites its first argument."""
    if _overwrites(function):
        return True
    if len(args) == 1 and not kwargs:
        return False
    if "dropout" in function:
        return bool({**dict(zip(_DROPPING, args[1:], strict=False)), **kwargs}.get("inplace"))
    return bool(_given(base_name(function), args, kwargs).get("inplace"))


def phi_of(function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Phi:
    """Give the activation that a call of PyTorch's function computes."""
    if len(args) == 1 and not kwargs:
        return _usual_phi(function, name)
    return _make_phi(function, name, args, kwargs)


@cache
def _usual_phi(function: Callable[..., Any], name: str) -> Phi:
    return _make_phi(function, name, (None,), {})


def _make_phi(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Phi:
    base = base_name(name)
    given = _given(base, args, kwargs)
    registry = _REGISTRY_NAMES.get(base)
    expected = _DEFAULTS.get(base, {})
    if registry is not None and all(given.get(key, value) == value for key, value in expected.items()):
        return Phi(registry)
    label = _FOREIGN_NAMES.get(base) or ACTIVATIONS[registry or ""].module or base
    if base == "hardtanh" and (given.get("min_val"), given.get("max_val")) == (0.0, 6.0):
        label = "ReLU6"
    return Phi(label, _out_of_place(function, base, args, given))


def _out_of_place(
    function: Callable[..., Any], base: str, args: tuple[Any, ...], given: dict[str, Any]
) -> Elementwise:
    """Give a call as a function of its input alone that overwrites nothing and draws nothing."""
    if base not in _PARAMETERS:
        others, named = args[1:], {k: v for k, v in given.items() if k not in ("out", "input")}
        plain = getattr(torch, base, function) if function.__name__ == f"{base}_" else function
        return lambda z: plain(z, *others, **named)
    plain = getattr(nn.functional, base)
    # In training a randomized ReLU draws its slopes; their mean is what it has in evaluation.
    named = {k: v for k, v in given.items() if k not in ("inplace", "training", "input")}
    return lambda z: plain(z, **named)


@lru_cache(maxsize=1)
def _tried() -> torch.Tensor:
    return torch.randn(TRIED, generator=torch.Generator().manual_seed(0))


def is_own_activation(module: nn.Module, z: torch.Tensor) -> bool:
    """Tell whether a module of the user's, without parameters and parts, is an elementwise activation.

    It is tried on a few numbers: each output must depend on its own input alone, and not linearly.
    """
    if not z.is_floating_point() or z.dim() == 0:
        return False
    values = _tried().to(z.device, z.dtype)
    devices = [z.device] if z.device.type == "cuda" else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            whole, again = module.forward(values), module.forward(values)
            apart = torch.cat([module.forward(part) for part in values.split(1)])
            doubled = module.forward(2 * values)
    except Exception:
        return False
    if not isinstance(whole, torch.Tensor) or whole.shape != values.shape or not whole.is_floating_point():
        return False
    same = torch.equal(whole, again) and torch.allclose(whole, apart, rtol=1e-3, atol=1e-4, equal_nan=True)
    return same and not torch.allclose(doubled, 2 * whole, rtol=1e-3, atol=1e-4)
