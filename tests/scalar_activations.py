"""Each activation and its slope written a second time, for one float, and integrated by SciPy's quad."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
from scipy.integrate import quad

LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772


def sigma(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z > -700 else 0.0


def softplus(z: float) -> float:
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def big_phi(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def mish_slope(z: float) -> float:
    t = math.tanh(softplus(z))
    return t + z * sigma(z) * (1 - t * t)


# name: (phi, phi', where either bends)
SCALAR = {
    "identity": (lambda z: z, lambda z: 1.0, ()),
    "step": (lambda z: float(z > 0), lambda z: 0.0, (0,)),
    "sigmoid": (sigma, lambda z: sigma(z) * sigma(-z), ()),
    "tanh": (math.tanh, lambda z: 1 - math.tanh(z) ** 2, ()),
    "relu": (lambda z: max(z, 0.0), lambda z: float(z > 0), (0,)),
    "leaky_relu": (lambda z: max(z, 0.01 * z), lambda z: 1.0 if z > 0 else 0.01, (0,)),
    "elu": (lambda z: z if z > 0 else math.expm1(z), lambda z: 1.0 if z > 0 else math.exp(z), (0,)),
    "selu": (
        lambda z: LAMBDA * (z if z > 0 else ALPHA * math.expm1(z)),
        lambda z: LAMBDA * (1 if z > 0 else ALPHA * math.exp(z)),
        (0,),
    ),
    "gelu": (
        lambda z: z * big_phi(z),
        lambda z: big_phi(z) + z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi),
        (),
    ),
    "silu": (lambda z: z * sigma(z), lambda z: sigma(z) * (1 + z * sigma(-z)), ()),
    "mish": (lambda z: z * math.tanh(softplus(z)), mish_slope, ()),
    "softplus": (softplus, sigma, ()),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2, (0,)),
    "hardtanh": (lambda z: min(1.0, max(-1.0, z)), lambda z: float(abs(z) < 1), (-1, 1)),
    "sine": (math.sin, math.cos, ()),
    "cosine": (math.cos, lambda z: -math.sin(z), ()),
}


def normal_mean(curve: Callable[[float], float], variance: float, kinks: tuple[float, ...] = ()) -> float:
    """Integrate E curve(sqrt(variance) Z) piece by piece."""
    std = math.sqrt(variance)
    cuts = [-12.0, *sorted({kink / std for kink in (*kinks, 0) if abs(kink / std) < 12}), 12.0]

    def density(z: float) -> float:
        return curve(std * z) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    pieces = [
        quad(density, low, high, epsabs=1e-14, epsrel=1e-11, limit=200)[0]
        for low, high in itertools.pairwise(cuts)
    ]
    return math.fsum(pieces)


def mean_square(name: str, variance: float) -> float:
    phi, _, kinks = SCALAR[name]
    return normal_mean(lambda z: phi(z) ** 2, variance, kinks)


def mean_square_slope(name: str, variance: float) -> float:
    _, slope, kinks = SCALAR[name]
    return normal_mean(lambda z: slope(z) ** 2, variance, kinks)


def walk(name: str, sigma_w: float, sigma_b: float, layers: int) -> float:
    """Iterate the variance map from q = 1 with sums over equal steps of z; good to about 1e-5."""
    z = np.linspace(-9, 9, 3601) + 1e-4
    density = np.exp(-z * z / 2)
    density /= density.sum()
    phi = np.vectorize(SCALAR[name][0], otypes=[float])
    # One table over u instead of a call for each z of each layer.
    u = np.linspace(-60, 60, 48001)
    table = phi(u)
    q = 1.0
    for _ in range(layers):
        q = sigma_w**2 * float(density @ np.interp(math.sqrt(q) * z, u, table) ** 2) + sigma_b**2
    return q
