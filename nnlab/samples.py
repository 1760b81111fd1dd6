"""samples: what one forward and backward pass left, before it becomes numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

# tau: identical to abs(tanh) > 0.97, the convention of Karpathy's makemore, part 3.
SATURATION_TAU = 1 - 0.97**2
NAN = math.nan


@dataclass(frozen=True)
class LayerSample:
    """Everything one forward and backward pass left at one layer.

    Shapes: z, h, delta, h_grad (examples, units); weight, weight_grad (fan_out, fan_in) or as the module
    has it; bias_grad (fan_out,). What was not measured is None. `derivative` is phi'.
    `slope_sup` is sup abs(phi'), one number or one a unit. `weight_std_before`, `update_std`: std of the
    weights before the last update and of that update. `delta_norm_after` is the next layer's delta_norm.
    `time_ratio` is a recurrent layer's delta_norm at its first step over that at its last. `awaits_delta`
    tells whether an error signal is to come here. `activation` is the registry name of the one there is;
    `gates` holds the numbers of units of each where there are several.
    """

    z: torch.Tensor
    h: torch.Tensor
    derivative: Callable[[torch.Tensor], torch.Tensor]
    slope_sup: float | torch.Tensor
    two_sided: bool
    delta: torch.Tensor | None = None
    h_grad: torch.Tensor | None = None
    weight: torch.Tensor | None = None
    weight_grad: torch.Tensor | None = None
    bias_grad: torch.Tensor | None = None
    weight_std_before: float = NAN
    update_std: float = NAN
    delta_norm_after: float = NAN
    time_ratio: float = NAN
    gates: tuple[int, ...] = ()
    awaits_delta: bool = True
    activation: str = ""

    @property
    def is_unseen(self) -> bool:
        """Whether z and h could not be had."""
        return not self.z.numel()

    @cached_property
    def slope(self) -> torch.Tensor:
        """The derivative at z, shape (examples, units)."""
        return self.derivative(self.z)

    @cached_property
    def z64(self) -> torch.Tensor:
        """Z in float64."""
        return self.z.double()

    @cached_property
    def h64(self) -> torch.Tensor:
        """H in float64."""
        return self.h.double()

    @cached_property
    def is_undefined(self) -> bool:
        """Whether z holds a NaN, so that counting units would be a lie."""
        return bool(self.z.isnan().any())

    @cached_property
    def flat(self) -> torch.Tensor:
        """Where abs(phi') < tau sup abs(phi'), strictly; boolean (examples, units)."""
        if self.is_step:
            return self.slope == 0
        return self.slope.abs() < SATURATION_TAU * self.slope_sup

    @property
    def is_step(self) -> bool:
        """Whether it is the step function: flat everywhere, by definition."""
        return isinstance(self.slope_sup, float) and self.slope_sup == 0

    @cached_property
    def steepest(self) -> torch.Tensor:
        """The largest abs(phi') of each unit over the examples, shape (units,)."""
        return self.slope.abs().amax(dim=0)

    @cached_property
    def delta_norm(self) -> float:
        """Frobenius norm of delta."""
        return norm(self.delta)


@dataclass(frozen=True)
class NetworkSample:
    """What describes the whole network at one record."""

    loss: float
    accuracy: float
    test_loss: float
    test_accuracy: float
    grad_norms: Sequence[float]  # of all parameters
    delta_norm: np.ndarray  # (hidden layers,)
    delta_rms: np.ndarray  # (hidden layers,)


def norm(values: torch.Tensor | None) -> float:
    """Give the Frobenius norm, accumulated in float64; NaN for what was not measured."""
    if values is None:
        return NAN
    wide = (values.abs() if values.is_complex() else values).double()
    found = float(wide.norm())
    if 0 < found < math.inf or not wide.numel():
        return found
    # Squares of float64 numbers below 1e-162 are 0, and those above 1e154 inf.
    largest = float(wide.abs().max())
    return largest * float((wide / largest).norm()) if 0 < largest < math.inf else found
