"""A second implementation of every number of a record, in NumPy and float64, sharing no code with nnlab.

Forward and backward pass are written out by hand. `tests/test_oracle.py` holds nnlab to it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = list[tuple[Array, Array]]  # (W, b) from hidden_1 to output

TAU = 1 - 0.97**2
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805  # SELU, definitions.md section 1

BOUNDED = {
    "step": (0, 1),
    "sigmoid": (0, 1),
    "tanh": (-1, 1),
    "softsign": (-1, 1),
    "hardtanh": (-1, 1),
    "sine": (-1, 1),
    "cosine": (-1, 1),
}
TWO_SIDED = ("sigmoid", "tanh", "softsign", "hardtanh")

_erfc = np.vectorize(math.erfc, otypes=[float])


def _logistic(z: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -z))


def _sech2(z: Array) -> Array:
    return 1 / np.cosh(np.clip(z, -300, 300)) ** 2


def _gauss(z: Array) -> Array:
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _gauss_cdf(z: Array) -> Array:
    return _erfc(-z / math.sqrt(2)) / 2


def _exp_below(z: Array) -> Array:
    return np.exp(np.minimum(z, 0))


def _softplus(z: Array) -> Array:
    return np.logaddexp(0.0, z)


PHI: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "identity": (lambda z: z, np.ones_like),
    "step": (lambda z: np.where(np.isnan(z), z, 1.0 * (z > 0)), np.zeros_like),
    "sigmoid": (_logistic, lambda z: _sech2(z / 2) / 4),
    "tanh": (np.tanh, _sech2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, z / 100), lambda z: np.where(z > 0, 1.0, 0.01)),
    "elu": (
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z: np.where(z > 0, 1.0, _exp_below(z)),
    ),
    "selu": (
        lambda z: SCALE * np.where(z > 0, z, ALPHA * np.expm1(np.minimum(z, 0))),
        lambda z: SCALE * np.where(z > 0, 1.0, ALPHA * _exp_below(z)),
    ),
    "gelu": (lambda z: z * _gauss_cdf(z), lambda z: _gauss_cdf(z) + z * _gauss(z)),
    "silu": (lambda z: z * _logistic(z), lambda z: _logistic(z) * (1 + z * _logistic(-z))),
    "mish": (
        lambda z: z * np.tanh(_softplus(z)),
        lambda z: np.tanh(_softplus(z)) + z * _logistic(z) * _sech2(_softplus(z)),
    ),
    "softplus": (_softplus, _logistic),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2),
    "hardtanh": (lambda z: np.clip(z, -1, 1), lambda z: np.where(abs(z) < 1, 1.0, 0.0)),
    "sine": (np.sin, np.cos),
    "cosine": (np.cos, lambda z: -np.sin(z)),
}


@functools.cache
def slope_sup(name: str) -> float:
    """Give sup abs(phi')."""
    if name in ("gelu", "silu", "mish"):  # a smooth peak between 1 and 3: found to 1e-10
        return float(PHI[name][1](np.linspace(1, 3, 20001)).max())
    return {"sigmoid": 0.25, "selu": SCALE * ALPHA, "step": 0.0}.get(name, 1.0)


def weights_of(state: Mapping[str, NDArray[np.floating]]) -> Weights:
    """Read hidden_1 .. hidden_L and output from a state_dict of arrays."""
    depth = sum(name.endswith(".linear.weight") for name in state)
    stems = [f"hidden_{number}.linear" for number in range(1, depth + 1)] + ["output"]
    return [
        (np.array(state[f"{stem}.weight"], float), np.array(state[f"{stem}.bias"], float)) for stem in stems
    ]


@dataclass
class Pass:
    """One forward and backward pass; lists run over hidden_1 .. hidden_L, output."""

    inputs: list[Array]
    z: list[Array]
    h: list[Array]  # hidden layers only, as all that follows
    slopes: list[Array]
    h_grads: list[Array]
    deltas: list[Array]  # and the output's
    gradients: Weights
    loss: float
    accuracy: float


def run_pass(
    weights: Weights, activation: str, x: Array, y: NDArray[np.int64], loss: str, residual: bool
) -> Pass:
    """Propagate x (examples, features) forward and the loss's gradient back."""
    value, slope = PHI[activation]
    inputs, zs, hs = [np.asarray(x, float)], [], []
    for weight, bias in weights[:-1]:
        zs.append(inputs[-1] @ weight.T + bias)
        hs.append(value(zs[-1]))
        adds = residual and len(hs) > 1
        inputs.append(hs[-1] + inputs[-1] if adds else hs[-1])
    out = inputs[-1] @ weights[-1][0].T + weights[-1][1]
    slopes = [slope(z) for z in zs]
    one_hot = np.eye(out.shape[1])[y]
    if loss == "mse":
        loss_value = ((out - one_hot) ** 2).mean()
        delta = 2 * (out - one_hot) / out.size
    else:
        log_p = out - np.logaddexp.reduce(out, axis=1, keepdims=True)
        loss_value = -(log_p * one_hot).sum() / len(x)
        delta = (np.exp(log_p) - one_hot) / len(x)

    deltas, gradients = [delta], [(delta.T @ inputs[-1], delta.sum(axis=0))]
    h_grads: list[Array] = []
    upstream = delta @ weights[-1][0]  # dLoss / d(output of the block)
    for layer in range(len(weights) - 2, -1, -1):
        delta = upstream * slopes[layer]
        h_grads.insert(0, upstream)
        deltas.insert(0, delta)
        gradients.insert(0, (delta.T @ inputs[layer], delta.sum(axis=0)))
        skip = upstream if residual and layer > 0 else 0.0
        upstream = delta @ weights[layer][0] + skip
    return Pass(
        inputs=inputs,
        z=[*zs, out],
        h=hs,
        slopes=slopes,
        h_grads=h_grads,
        deltas=deltas,
        gradients=gradients,
        loss=float(loss_value),
        accuracy=float((out.argmax(axis=1) == y).mean()),
    )


def _norm(g: Array) -> float:
    return math.sqrt((g * g).sum())


def _ratio(top: float, bottom: float) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.float64(top) / np.float64(bottom))


def layer_names(weights: Weights) -> list[str]:
    """Name the rows from input to output."""
    return [*(f"hidden_{number}" for number in range(1, len(weights))), "output"]


def unit_metrics(h: Array, slope: Array, below: NDArray[np.bool_]) -> dict[str, float]:
    """Give the metrics that definitions.md takes over the probe set; h is (examples, units)."""
    dead = int((slope == 0).all(axis=0).sum())
    mean_size = abs(h).mean(axis=0)
    lengths = np.sqrt((h * h).sum(axis=1))
    s = np.linalg.svd(h, compute_uv=False)
    p = s[s > 0] / s.sum() if s.sum() else s[:0]
    directions = h[lengths > 0] / lengths[lengths > 0, None]  # a zero vector has no direction
    n = len(directions)
    cosines = (directions @ directions.T)[~np.eye(n, dtype=bool)]
    return {
        "dead_units": dead,
        "dead_fraction": dead / h.shape[1],
        "stuck_units": int(below.all(axis=0).sum()),
        "silent_units": int((h == 0).all(axis=0).sum()),
        "dormant_fraction": float((mean_size <= 0.025 * mean_size.mean()).mean()),
        "effective_rank": math.exp(-(p * np.log(p)).sum()) if len(p) else math.nan,
        "mean_cosine": float(cosines.mean()) if n > 1 else math.nan,
    }


def is_saturated(slope: Array, activation: str) -> NDArray[np.bool_]:
    """Tell where abs(phi') < tau sup abs(phi'); everywhere for step, by definition."""
    if activation == "step":
        return np.ones(slope.shape, bool)
    return abs(slope) < TAU * slope_sup(activation)


def layer_metrics(
    weights: Weights, activation: str, record: Pass, probe: Pass
) -> dict[str, dict[str, float]]:
    """Give every metric of every layer but update_ratio; `probe` is the pass of the probe set."""
    table: dict[str, dict[str, float]] = {}
    norms = [_norm(delta) for delta in record.deltas]
    depth = len(weights) - 1
    for i, name in enumerate(layer_names(weights)):
        z, delta = record.z[i], record.deltas[i]
        weight_grad, bias_grad = record.gradients[i]
        table[name] = row = {
            "pre_activation_mean": z.mean(),
            "pre_activation_std": z.std(),
            "delta_norm": norms[i],
            "delta_rms": norms[i] / math.sqrt(delta.size),
            "weight_norm": _norm(weights[i][0]),
            "weight_grad_norm": _norm(weight_grad),
            "bias_grad_norm": _norm(bias_grad),
            "grad_to_weight": _ratio(_norm(weight_grad), _norm(weights[i][0])),
        }
        if i == depth:
            break
        h, slope, two_sided = record.h[i], record.slopes[i], activation in TWO_SIDED
        below = is_saturated(slope, activation)
        row |= {
            "activation_mean": h.mean(),
            "activation_std": h.std(),
            "slope_mean": abs(slope).mean(),
            "saturation": below.mean(),
            "saturation_low": (below & (z < 0)).mean() if two_sided else math.nan,
            "saturation_high": (below & (z > 0)).mean() if two_sided else math.nan,
            "zero_fraction": (h == 0).mean(),
            "activation_grad_norm": _norm(record.h_grads[i]),
            "backward_gain": _ratio(norms[i], norms[i + 1]) if i < depth - 1 else math.nan,
        }
        row |= unit_metrics(probe.h[i], probe.slopes[i], is_saturated(probe.slopes[i], activation))
    return table


def network_metrics(record: Pass) -> dict[str, float]:
    """Give the metrics of the whole network, those of the test split excepted."""
    hidden = record.deltas[:-1]
    rms = np.array([_norm(delta) / math.sqrt(delta.size) for delta in hidden])
    level = np.flatnonzero(np.isfinite(rms) & (rms > 0))
    slope = math.nan
    if len(level) > 1:
        away = level - level.mean()
        slope = float((away * np.log10(rms[level])).sum() / (away * away).sum())
    return {
        "loss": record.loss,
        "accuracy": record.accuracy,
        "grad_norm": math.hypot(*(_norm(g) for pair in record.gradients for g in pair)),
        "gradient_ratio": _ratio(_norm(hidden[0]), _norm(hidden[-1])) if len(hidden) > 1 else 1.0,
        "vanishing_index": slope,
    }


def count_bins(values: Array, low: int, high: int, bins: int) -> Array:
    """Count [left, right), the last bin closed; then what is below, above and not finite.

    Rows are (bin_left, bin_right, count).
    """
    number = np.arange(bins + 1)
    edges = (low * (bins - number) + high * number) / bins
    finite = values[np.isfinite(values)]
    inside = finite[(finite >= low) & (finite <= high)]
    place = np.minimum(np.searchsorted(edges, inside, side="right") - 1, bins - 1)
    found = np.bincount(place, minlength=bins)
    outside = [
        (-math.inf, low, (finite < low).sum()),
        (high, math.inf, (finite > high).sum()),
        (math.nan, math.nan, values.size - finite.size),
    ]
    return np.vstack([np.column_stack([edges[:-1], edges[1:], found]), outside])


def count_magnitudes(values: Array) -> Array:
    """Count log10 of the magnitude; exact zeros are the last row."""
    size = abs(values[values != 0])
    zeros = (-math.inf, -math.inf, values.size - size.size)
    return np.vstack([count_bins(np.log10(size), -20, 4, 96), zeros])


def histograms(activation: str, record: Pass) -> dict[tuple[str, str], Array]:
    """Give the counts by layer and quantity."""
    low, high, bins = (*BOUNDED[activation], 50) if activation in BOUNDED else (-3, 6, 90)
    table = {}
    for i, name in enumerate(layer_names(record.gradients)):
        table[name, "pre_activation"] = count_bins(record.z[i], -6, 6, 60)
        if i < len(record.h):
            table[name, "activation"] = count_bins(record.h[i], low, high, bins)
        table[name, "delta"] = count_magnitudes(record.deltas[i])
        table[name, "weight_grad"] = count_magnitudes(record.gradients[i][0])
    return table
