"""A second implementation of every number of a record, in NumPy and float64, sharing no code with nnlab.

Forward and backward pass are written out by hand. `tests/test_oracle.py` holds nnlab to it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
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
    return np.where(z > 20, z, np.logaddexp(0.0, z))  # torch.nn.Softplus is linear above its threshold, 20


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
    "softplus": (_softplus, lambda z: np.where(z > 20, 1.0, _logistic(z))),
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


@dataclass(frozen=True)
class Norm:
    """A batch or layer normalization of W x + b before the activation; arrays (units,), PyTorch's epsilon.

    `mean` and `variance` are running ones, given where a batch normalization is in evaluation mode.
    """

    kind: str
    scale: Array
    shift: Array
    mean: Array | None = None
    variance: Array | None = None


EPSILON = 1e-5


class Rounding:
    """Moves a number by a last digit of what went into it, at random: what float arithmetic may do to it.

    `unit` is the relative rounding error of the arithmetic, `smallest` its smallest number. What may have
    been rounded to 0 is 0 where it `cancels`.
    """

    def __init__(self, unit: float, smallest: float, seed: int, *, cancels: bool = False) -> None:
        self.unit, self.smallest, self._random = unit, smallest, np.random.default_rng(seed)
        self._cancels = cancels

    def __call__(self, value: Array, size: Array) -> Array:
        """Move a value whose terms have sizes that add up to `size`; what is made of zeros stays 0."""
        doubt = self.doubt(size)
        moved = value + doubt * self._random.uniform(-1, 1, np.shape(value))
        return np.where(abs(value) <= 2 * doubt, 0.0, moved) if self._cancels else moved

    def doubt(self, size: Array) -> Array:
        """Give how far it may move."""
        return self.unit * size + self.smallest * (size > 0)


def _exact(value: Array, size: Array) -> Array:
    return value


Rounded = Callable[[Array, Array], Array]


def value_size(activation: str, z: Array, h: Array) -> Array:
    """Give the size of what h is computed from: 1 + erf loses all its digits on the left of GELU."""
    if activation in ("silu", "mish"):  # z times what falls below float32's normal numbers, 1.2e-38
        return abs(h) + abs(z) * 2.0**-125
    return abs(z) if activation == "gelu" else abs(h)


def slope_size(activation: str, z: Array, slope: Array) -> Array:
    """Give the size of what a slope is computed from; some are differences of numbers near 1."""
    s = _logistic(z)
    terms = {
        "sigmoid": s,
        "tanh": np.tanh(z) ** 2,
        "gelu": 1.0 + abs(z) * _gauss(z),
        "silu": s * (1 + abs(z)),
        "mish": np.tanh(_softplus(z)) + abs(z) * s,
    }
    return abs(slope) + terms.get(activation, 0.0)


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
    norm_gradients: list[Array]  # those of scales and shifts
    sums: list[Array]  # W x + b, before a normalization


def _normalize(u: Array, norm: Norm, near: Rounded) -> tuple[Array, Array]:
    """Give (u - mean) / std and 1 / std."""
    axis = 0 if norm.kind == "batch" else 1
    mean = u.mean(axis=axis, keepdims=True) if norm.mean is None else norm.mean
    variance = u.var(axis=axis, keepdims=True) if norm.variance is None else norm.variance
    inverse = 1 / np.sqrt(variance + EPSILON)
    # A mean that is rounded moves all that it is taken from by the same.
    mean, inverse = near(mean, abs(u).mean(axis=axis, keepdims=True)), near(inverse, inverse)
    return (u - mean) * inverse, np.broadcast_to(inverse, u.shape)


def _through_norm(delta: Array, u: Array, hat: Array, inverse: Array, norm: Norm, near: Rounded) -> Array:
    """Pass dLoss/dz back to dLoss/d(W x + b), in training mode."""
    axis = 0 if norm.kind == "batch" else 1
    d = delta * norm.scale
    # PyTorch takes a layer's mean out of sums and products of u, not of u itself.
    reach = abs(hat) if norm.kind == "batch" else (abs(u) + abs(u.mean(axis=1, keepdims=True))) * inverse
    level = near(d.mean(axis=axis, keepdims=True), abs(d).mean(axis=axis, keepdims=True))
    tilt_size = (abs(d) * reach).mean(axis=axis, keepdims=True)
    tilt = near((d * hat).mean(axis=axis, keepdims=True), tilt_size)
    size = inverse * (abs(d) + abs(d).mean(axis=axis, keepdims=True) + reach * tilt_size)
    return near(inverse * (d - level - hat * tilt), size)


def _differentiate(out: Array, y: NDArray[np.generic], loss: str, near: Rounded) -> tuple[float, Array]:
    """Give the mean loss and its derivative by the outputs."""
    if loss == "mse":
        is_class = np.issubdtype(y.dtype, np.integer)
        target = np.eye(out.shape[1])[y] if is_class else y.astype(float).reshape(out.shape)
        error = near(out - target, abs(out) + abs(target))
        return float((error**2).mean()), 2 * error / out.size
    one_hot = np.eye(out.shape[1])[y]
    scale = np.logaddexp.reduce(out, axis=1, keepdims=True)
    log_p = near(out - scale, abs(out) + abs(scale))
    p = np.exp(log_p)
    delta = near(p - one_hot, p * (1 + abs(out)) + one_hot)
    return float(-(log_p * one_hot).sum() / len(out)), delta / len(out)


def run_pass(
    weights: Weights,
    activation: str,
    x: Array,
    y: NDArray[np.generic],
    loss: str,
    residual: bool,
    norms: Sequence[Norm] = (),
    near: Rounded = _exact,
) -> Pass:
    """Propagate x (examples, features) forward and the loss's gradient back."""
    value, slope = PHI[activation]
    inputs, us, zs, hs = [np.asarray(x, float)], [], [], []
    hats: list[tuple[Array, Array]] = []

    def affine(weight: Array, bias: Array) -> Array:
        at = inputs[-1]
        return near(at @ weight.T + bias, abs(at) @ abs(weight).T + abs(bias))

    for layer, (weight, bias) in enumerate(weights[:-1]):
        u = z = affine(weight, bias)
        us.append(u)
        if norms:
            hats.append(_normalize(u, norms[layer], near))
            hat, inverse = hats[-1]
            scale, shift = norms[layer].scale, norms[layer].shift
            # Means are of sizes, and what is left of them may be small.
            z = near(hat * scale + shift, scale * inverse * (abs(u) + abs(u).mean()) + abs(shift))
        zs.append(z)
        hs.append(near(value(z), value_size(activation, z, value(z))))
        adds = residual and len(hs) > 1
        before, h = inputs[-1], hs[-1]
        inputs.append(near(h + before, abs(h) + abs(before)) if adds else h)
    out = affine(*weights[-1])
    slopes = [near(slope(z), slope_size(activation, z, slope(z))) for z in zs]
    loss_value, delta = _differentiate(out, y, loss, near)

    def gradient(delta: Array, at: Array) -> tuple[Array, Array]:
        return (
            near(delta.T @ at, abs(delta).T @ abs(at)),
            near(delta.sum(axis=0), abs(delta).sum(axis=0)),
        )

    deltas, gradients, norm_gradients = [delta], [gradient(delta, inputs[-1])], []
    h_grads: list[Array] = []

    def back(delta: Array, weight: Array) -> Array:
        return near(delta @ weight, abs(delta) @ abs(weight))

    upstream = back(delta, weights[-1][0])  # dLoss / d(output of the block)
    for layer in range(len(weights) - 2, -1, -1):
        delta = upstream * slopes[layer]
        h_grads.insert(0, upstream)
        deltas.insert(0, delta)
        if norms:
            hat, inverse = hats[layer]
            norm_gradients += [
                near((delta * hat).sum(axis=0), abs(delta * hat).sum(axis=0)),
                near(delta.sum(axis=0), abs(delta).sum(axis=0)),
            ]
            delta = _through_norm(delta, us[layer], hat, inverse, norms[layer], near)
        gradients.insert(0, gradient(delta, inputs[layer]))
        skip = upstream if residual and layer > 0 else 0.0
        upstream = back(delta, weights[layer][0]) + skip
    is_class = np.issubdtype(y.dtype, np.integer)
    return Pass(
        inputs=inputs,
        z=[*zs, out],
        h=hs,
        slopes=slopes,
        h_grads=h_grads,
        deltas=deltas,
        gradients=gradients,
        loss=loss_value,
        accuracy=float((out.argmax(axis=1) == y).mean()) if is_class else math.nan,
        norm_gradients=norm_gradients,
        sums=us,
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
        "grad_norm": math.hypot(
            *(_norm(g) for pair in record.gradients for g in pair), *map(_norm, record.norm_gradients)
        ),
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
