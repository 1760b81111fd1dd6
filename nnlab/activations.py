"""The activation functions: one registry entry makes one more choice everywhere.

Each formula is written once and runs on NumPy arrays and on torch tensors, so that the number a
chart draws and the number a network computes come from the same line. The derivatives follow what
PyTorch's backward pass computes, kinks included, because "dead" means a slope of exactly 0 there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

# A NumPy array, a float, or a torch tensor. Typed loosely because torch may not be imported yet.
Array = Any
Elementwise = Callable[[Array], Array]

LEAKY_SLOPE = 0.01  # torch.nn.LeakyReLU's default negative_slope
# Klambauer et al. 2017, equation 14: the fixed point (mean, variance) = (0, 1).
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
# torch.nn.Softplus is linear above this; so is our formula, or the slopes would differ.
SOFTPLUS_THRESHOLD = 20.0


def _is_tensor(z: Array) -> bool:
    return type(z).__module__.partition(".")[0] == "torch"


def _namespace(z: Array) -> ModuleType:
    """Give the module, numpy or torch, whose functions take z."""
    if _is_tensor(z):
        import torch

        return torch
    return np


def _expit(z: Array) -> Array:
    if _is_tensor(z):
        return z.sigmoid()
    from scipy.special import expit

    return expit(z)


def _erf(z: Array) -> Array:
    if _is_tensor(z):
        return z.erf()
    from scipy.special import erf

    return erf(z)


def _negative_part(z: Array) -> Array:
    """Give min(z, 0): keeps exp from overflowing in the branch that `where` throws away."""
    return _namespace(z).clip(z, None, 0.0)


def _ones(z: Array) -> Array:
    return _namespace(z).ones_like(z)


def _slope_where(active: Array, z: Array, otherwise: float) -> Array:
    xp = _namespace(z)
    return xp.where(active, xp.ones_like(z), xp.full_like(z, otherwise))


def _identity(z: Array) -> Array:
    return z * 1.0


def _step(z: Array) -> Array:
    xp = _namespace(z)
    return xp.where(xp.isnan(z), z, xp.clip(xp.sign(z), 0.0, None))


def _step_slope(z: Array) -> Array:
    return _namespace(z).zeros_like(z)


def _sigmoid_slope(z: Array) -> Array:
    s = _expit(z)
    return s * (1 - s)


def _tanh(z: Array) -> Array:
    return _namespace(z).tanh(z)


def _tanh_slope(z: Array) -> Array:
    t = _namespace(z).tanh(z)
    return 1 - t * t


def _relu(z: Array) -> Array:
    return _namespace(z).clip(z, 0.0, None)


def _relu_slope(z: Array) -> Array:
    return _slope_where(z > 0, z, 0.0)


def _leaky_relu(z: Array) -> Array:
    return _namespace(z).where(z > 0, z, z * LEAKY_SLOPE)


def _leaky_relu_slope(z: Array) -> Array:
    return _slope_where(z > 0, z, LEAKY_SLOPE)


def _elu(z: Array) -> Array:
    xp = _namespace(z)
    return xp.where(z > 0, z, xp.expm1(_negative_part(z)))


def _elu_slope(z: Array) -> Array:
    xp = _namespace(z)
    return xp.where(z > 0, xp.ones_like(z), xp.exp(_negative_part(z)))


def _selu(z: Array) -> Array:
    xp = _namespace(z)
    return SELU_SCALE * xp.where(z > 0, z, SELU_ALPHA * xp.expm1(_negative_part(z)))


def _selu_slope(z: Array) -> Array:
    xp = _namespace(z)
    return SELU_SCALE * xp.where(z > 0, xp.ones_like(z), SELU_ALPHA * xp.exp(_negative_part(z)))


def _gelu(z: Array) -> Array:
    return 0.5 * z * (1 + _erf(z * math.sqrt(0.5)))


def _gelu_slope(z: Array) -> Array:
    if _is_tensor(z):
        # PyTorch's kernel rounds to exactly 0 below about z = -6, where this formula gives -4e-08.
        # Units are called dead by the slope that training really uses, so it is asked for that one.
        import torch

        return torch.ops.aten.gelu_backward(torch.ones_like(z), z)
    density = _namespace(z).exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + _erf(z * math.sqrt(0.5))) + z * density


def _silu(z: Array) -> Array:
    return z * _expit(z)


def _silu_slope(z: Array) -> Array:
    s = _expit(z)
    return s * (1 + z * (1 - s))


def _softplus(z: Array) -> Array:
    xp = _namespace(z)
    curved = xp.log1p(xp.exp(xp.clip(z, None, SOFTPLUS_THRESHOLD)))
    return xp.where(z > SOFTPLUS_THRESHOLD, z, curved)


def _softplus_slope(z: Array) -> Array:
    xp = _namespace(z)
    grown = xp.exp(xp.clip(z, None, SOFTPLUS_THRESHOLD))
    return xp.where(z > SOFTPLUS_THRESHOLD, xp.ones_like(z), grown / (grown + 1))


def _mish(z: Array) -> Array:
    return z * _namespace(z).tanh(_softplus(z))


def _mish_slope(z: Array) -> Array:
    t = _namespace(z).tanh(_softplus(z))
    return t + z * _expit(z) * (1 - t * t)


def _softsign(z: Array) -> Array:
    return z / (1 + _namespace(z).abs(z))


def _softsign_slope(z: Array) -> Array:
    return (1 + _namespace(z).abs(z)) ** -2.0


def _hardtanh(z: Array) -> Array:
    return _namespace(z).clip(z, -1.0, 1.0)


def _hardtanh_slope(z: Array) -> Array:
    return _slope_where((z > -1) & (z < 1), z, 0.0)


def _sine(z: Array) -> Array:
    return _namespace(z).sin(z)


def _cosine(z: Array) -> Array:
    return _namespace(z).cos(z)


def _cosine_slope(z: Array) -> Array:
    return -_namespace(z).sin(z)


@dataclass(frozen=True)
class Activation:
    """One activation function phi with its derivative and what a reader should know of it.

    `function` and `derivative` map elementwise, for NumPy arrays, floats and torch tensors.
    `slope_sup` is sup abs(phi'), `range` the closure of phi's values. `two_sided` marks those
    whose saturation is told apart into low (z < 0) and high (z > 0); definitions.md, section 0.
    `module` is the torch.nn class that computes it; where torch has none, `code` is phi(z) in plain PyTorch,
    for scripts that are to run without nnlab.
    """

    name: str
    label: str
    formula: str
    derivative_formula: str
    function: Elementwise
    derivative: Elementwise
    slope_sup: float
    range: tuple[float, float]
    made_for: str
    source: str
    module: str | None = None
    code: str = ""
    two_sided: bool = False

    @property
    def is_bounded(self) -> bool:
        """Whether phi stays inside a finite interval."""
        return all(math.isfinite(end) for end in self.range)

    @property
    def inactive_not_saturated(self) -> bool:
        """Whether a flat side is the function's purpose, so that "saturated" would mislead."""
        return self.name in ("relu", "leaky_relu")


_ENTRIES = (
    Activation(
        name="identity",
        label="Identity",
        formula=r"\phi(z) = z",
        derivative_formula=r"\phi'(z) = 1",
        function=_identity,
        derivative=_ones,
        slope_sup=1.0,
        range=(-math.inf, math.inf),
        made_for="No activation at all: stacked layers collapse into one linear map.",
        source="Baseline; Minsky & Papert 1969 on what linear maps cannot do",
        module="Identity",
    ),
    Activation(
        name="step",
        label="Step",
        formula=r"\phi(z) = 1 \text{ if } z > 0 \text{ else } 0",
        derivative_formula=r"\phi'(z) = 0",
        function=_step,
        derivative=_step_slope,
        slope_sup=0.0,
        range=(0.0, 1.0),
        made_for="A yes-or-no decision. Its slope is 0, so nothing can be learned through it.",
        source="McCulloch & Pitts 1943",
        code="torch.where(z.isnan(), z, z.sign().clip(min=0))",
    ),
    Activation(
        name="sigmoid",
        label="Sigmoid",
        formula=r"\phi(z) = \frac{1}{1 + e^{-z}}",
        derivative_formula=r"\phi'(z) = \phi(z)\,(1 - \phi(z))",
        function=_expit,
        derivative=_sigmoid_slope,
        slope_sup=0.25,
        range=(0.0, 1.0),
        made_for="A step with a slope, so that it can be trained; reads as a probability.",
        source="Rumelhart, Hinton & Williams 1986",
        module="Sigmoid",
        two_sided=True,
    ),
    Activation(
        name="tanh",
        label="Tanh",
        formula=r"\phi(z) = \tanh z",
        derivative_formula=r"\phi'(z) = 1 - \tanh^2 z",
        function=_tanh,
        derivative=_tanh_slope,
        slope_sup=1.0,
        range=(-1.0, 1.0),
        made_for="Sigmoid's missing zero centre, and a slope of 1 there instead of 1/4.",
        source="LeCun, Bottou, Orr & Müller 1998, Efficient BackProp",
        module="Tanh",
        two_sided=True,
    ),
    Activation(
        name="relu",
        label="ReLU",
        formula=r"\phi(z) = \max(0, z)",
        derivative_formula=r"\phi'(z) = 1 \text{ if } z > 0 \text{ else } 0",
        function=_relu,
        derivative=_relu_slope,
        slope_sup=1.0,
        range=(0.0, math.inf),
        made_for="A slope of 1 that does not shrink the signal. A unit that never fires is dead.",
        source="Nair & Hinton 2010; Glorot, Bordes & Bengio 2011",
        module="ReLU",
    ),
    Activation(
        name="leaky_relu",
        label="Leaky ReLU",
        formula=r"\phi(z) = z \text{ if } z > 0 \text{ else } 0.01\,z",
        derivative_formula=r"\phi'(z) = 1 \text{ if } z > 0 \text{ else } 0.01",
        function=_leaky_relu,
        derivative=_leaky_relu_slope,
        slope_sup=1.0,
        range=(-math.inf, math.inf),
        made_for="Dying ReLU units: a small slope on the left lets them come back.",
        source="Maas, Hannun & Ng 2013",
        module="LeakyReLU",
    ),
    Activation(
        name="elu",
        label="ELU",
        formula=r"\phi(z) = z \text{ if } z > 0 \text{ else } e^{z} - 1",
        derivative_formula=r"\phi'(z) = 1 \text{ if } z > 0 \text{ else } e^{z}",
        function=_elu,
        derivative=_elu_slope,
        slope_sup=1.0,
        range=(-1.0, math.inf),
        made_for="ReLU's dying units and its positive mean, with a smooth left side.",
        source="Clevert, Unterthiner & Hochreiter 2016",
        module="ELU",
    ),
    Activation(
        name="selu",
        label="SELU",
        formula=r"\phi(z) = \lambda z \text{ if } z > 0 \text{ else } \lambda\alpha(e^{z} - 1)",
        derivative_formula=r"\phi'(z) = \lambda \text{ if } z > 0 \text{ else } \lambda\alpha e^{z}",
        function=_selu,
        derivative=_selu_slope,
        slope_sup=SELU_SCALE * SELU_ALPHA,
        range=(-SELU_SCALE * SELU_ALPHA, math.inf),
        made_for="Activations that keep mean 0 and variance 1 by themselves in deep networks.",
        source="Klambauer, Unterthiner, Mayr & Hochreiter 2017",
        module="SELU",
    ),
    Activation(
        name="gelu",
        label="GELU",
        formula=r"\phi(z) = z\,\Phi(z)",
        derivative_formula=r"\phi'(z) = \Phi(z) + z\,\varphi(z)",
        function=_gelu,
        derivative=_gelu_slope,
        slope_sup=1.128904145185155,  # at z = sqrt(2)
        range=(-0.16997120747990369, math.inf),
        made_for="A smooth ReLU without the kink, the usual choice in transformers.",
        source="Hendrycks & Gimpel 2016",
        module="GELU",
    ),
    Activation(
        name="silu",
        label="SiLU (Swish)",
        formula=r"\phi(z) = \frac{z}{1 + e^{-z}}",
        derivative_formula=r"\phi'(z) = s\,(1 + z(1 - s)),\ s = \frac{1}{1 + e^{-z}}",
        function=_silu,
        derivative=_silu_slope,
        slope_sup=1.099839320128867,  # at z = 2.39936
        range=(-0.2784645427610738, math.inf),
        made_for="A smooth ReLU that was found by search and trains well when deep.",
        source="Elfwing, Uchibe & Doya 2018; Ramachandran, Zoph & Le 2017",
        module="SiLU",
    ),
    Activation(
        name="mish",
        label="Mish",
        formula=r"\phi(z) = z \tanh(\ln(1 + e^{z}))",
        derivative_formula=r"\phi'(z) = t + z\,\sigma(z)(1 - t^2),\ t = \tanh(\ln(1 + e^z))",
        function=_mish,
        derivative=_mish_slope,
        slope_sup=1.088498161251728,  # at z = 1.49057
        range=(-0.3088434130172504, math.inf),
        made_for="Like SiLU, with a slope that falls off a little later.",
        source="Misra 2019",
        module="Mish",
    ),
    Activation(
        name="softplus",
        label="Softplus",
        formula=r"\phi(z) = \ln(1 + e^{z})",
        derivative_formula=r"\phi'(z) = \frac{1}{1 + e^{-z}}",
        function=_softplus,
        derivative=_softplus_slope,
        slope_sup=1.0,
        range=(0.0, math.inf),
        made_for="A ReLU with a slope everywhere. Always positive, so its mean grows with depth.",
        source="Dugas, Bengio, Bélisle, Nadeau & Garcia 2001",
        module="Softplus",
    ),
    Activation(
        name="softsign",
        label="Softsign",
        formula=r"\phi(z) = \frac{z}{1 + |z|}",
        derivative_formula=r"\phi'(z) = \frac{1}{(1 + |z|)^2}",
        function=_softsign,
        derivative=_softsign_slope,
        slope_sup=1.0,
        range=(-1.0, 1.0),
        made_for="Tanh's hard saturation: it nears its limits polynomially, not exponentially.",
        source="Bergstra, Desjardins, Lamblin & Bengio 2009",
        module="Softsign",
        two_sided=True,
    ),
    Activation(
        name="hardtanh",
        label="Hardtanh",
        formula=r"\phi(z) = \min(1, \max(-1, z))",
        derivative_formula=r"\phi'(z) = 1 \text{ if } |z| < 1 \text{ else } 0",
        function=_hardtanh,
        derivative=_hardtanh_slope,
        slope_sup=1.0,
        range=(-1.0, 1.0),
        made_for="A tanh that costs almost nothing to compute; outside [-1, 1] its slope is 0.",
        source="Collobert 2004",
        module="Hardtanh",
        two_sided=True,
    ),
    Activation(
        name="sine",
        label="Sine",
        formula=r"\phi(z) = \sin z",
        derivative_formula=r"\phi'(z) = \cos z",
        function=_sine,
        derivative=_cosine,
        slope_sup=1.0,
        range=(-1.0, 1.0),
        made_for="Fine detail and periodic signals, as in implicit neural representations.",
        source="Sitzmann, Martel, Bergman, Lindell & Wetzstein 2020",
        code="z.sin()",
    ),
    Activation(
        name="cosine",
        label="Cosine",
        formula=r"\phi(z) = \cos z",
        derivative_formula=r"\phi'(z) = -\sin z",
        function=_cosine,
        derivative=_cosine_slope,
        slope_sup=1.0,
        range=(-1.0, 1.0),
        made_for="Random Fourier features. Its slope is 0 at z = 0, where networks start.",
        source="Rahimi & Recht 2007",
        code="z.cos()",
    ),
)

ACTIVATIONS: dict[str, Activation] = {entry.name: entry for entry in _ENTRIES}
