"""Jacobian: by what a drawn network stretches each direction of a small change of its input.

J = dh_L/dx = D_L W_L ... D_1 W_1 with D_l the slopes phi'(z_l), for one example (Saxe et al. 2014;
Pennington, Schoenholz & Ganguli 2017). The output layer takes no part, and the network has as many inputs as
units: all matrices are then square, so that orthogonal weights keep every length and initializers can be
compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.errands import Told, untold
from nnlab.initializers import INITIALIZERS
from nnlab.isometry import predict_square_signal
from nnlab.matrix_chain import chain_singular_values
from nnlab.network import Layer
from nnlab.random_network import RandomNetwork
from nnlab.streams import numpy_stream, torch_stream

KINDS = ("own", "gaussian", "orthogonal")
# Work grows with the cube of the width; how singular values lie hangs on depth and sigma_w, hardly on width.
MAX_WIDTH = 100
# Enough singular values of a kind for a smooth curve, from several draws; a deep network draws fewer.
VALUES, MIN_DRAWS, MAX_DRAWS = 400, 3, 40
MAX_FACTORS = 300
EPSILON = 1e-5  # torch.nn.BatchNorm1d's and LayerNorm's
ROUNDING = 1e-13  # of Var(s^2) / (mean s^2)^2 where all s are equal
BATCH = 256  # examples over which batch normalization takes its mean and spread


@dataclass(frozen=True)
class Spectrum:
    """Singular values of several drawn Jacobians of one kind of weights.

    `log10_s` has shape (draws, width), in every row the largest first; -inf where a singular value is
    exactly 0, nan in a row whose numbers left float64.
    """

    kind: str
    log10_s: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """log10 of all singular values of all draws, largest first; without draws that left float64."""
        return -np.sort(-self.log10_s[~np.isnan(self.log10_s).any(axis=1)].ravel())

    @property
    def lost_draws(self) -> int:
        """Draws whose numbers left float64."""
        return int(np.isnan(self.log10_s).any(axis=1).sum())

    @property
    def zero_share(self) -> float:
        """Share of directions that are lost entirely: singular values of exactly 0."""
        return float(np.mean(self.values == -np.inf)) if len(self.values) else math.nan

    def at(self, share: float) -> float:
        """Give the singular value that a share of all are above: 0 the largest, 1 the smallest."""
        return _power(self.log10_at(share))

    def log10_at(self, share: float) -> float:
        """Give its logarithm, which float64 holds in any case: -inf for exactly 0, nan where all is lost."""
        values = self.values
        return float(values[int(share * (len(values) - 1) + 0.5)]) if len(values) else math.nan

    def unevenness(self, share: float) -> float:
        """Give the largest singular value over the one that a share are above; inf for 0, nan for 0 / 0."""
        return _power(self.log10_at(0) - self.log10_at(share))

    @property
    def mean_square(self) -> float:
        """Mean of s^2: by what the squared length of a random small change grows."""
        return self._moment(2)

    @property
    def square_variance(self) -> float:
        """Var(s^2) (definitions.md, 2.9)."""
        return self.mean_square**2 * self.spread if self.mean_square else self.mean_square

    @property
    def spread(self) -> float:
        """Var(s^2) / (mean s^2)^2, which is 0 where every direction is stretched alike."""
        if not len(self.values) or self.values[0] == -np.inf:
            return math.nan
        found = self._scaled_moment(4) / self._scaled_moment(2) ** 2 - 1
        return found if abs(found) > ROUNDING else 0.0

    def _scaled_moment(self, order: int) -> float:
        return float(np.mean(10.0 ** (order * (self.values - self.values[0]))))

    def _moment(self, order: int) -> float:
        if not len(self.values) or self.values[0] == -np.inf:
            return 0.0 if len(self.values) else math.nan
        return self._scaled_moment(order) * _power(order * float(self.values[0]))


@dataclass(frozen=True)
class Spectra:
    """The spectra of the chosen initializer and of Gaussian and orthogonal weights of the same sigma_w.

    `width` is the width that was drawn.
    """

    network: RandomNetwork
    width: int
    own: Spectrum
    gaussian: Spectrum
    orthogonal: Spectrum

    @property
    def draws(self) -> int:
        """Networks drawn of each kind."""
        return len(self.own.log10_s)


def _power(exponent: float) -> float:
    """Give 10^exponent; inf and 0 where it leaves float64."""
    return math.inf if exponent >= 308 else 10.0**exponent


def draw_spectra(network: RandomNetwork, told: Told = untold) -> Spectra:
    """Draw Jacobians of a network and of Gaussian and orthogonal ones with the same sigma_w and biases.

    At most MAX_WIDTH units wide: a wider network is drawn narrower, with its own sigma_w and sigma_b. Each
    draw has an input of its own, of standard normal numbers. LSUV is drawn as orthogonal weights of the size
    that theory says makes the variance of every z 1. Before each draw `told` hears how many of its kind are
    drawn; what it raises breaks the drawing off.
    """
    config = network.config
    width = min(config.width, MAX_WIDTH)
    wanted = max(MIN_DRAWS, -(-VALUES // width))
    draws = max(MIN_DRAWS, min(wanted, MAX_DRAWS, MAX_FACTORS // config.depth))
    from nnlab.threads import one_thread  # loads torch

    with one_thread(), np.errstate(all="ignore"):  # what overflows is nan in the result, and said
        own, gaussian, orthogonal = (
            Spectrum(kind, np.stack([_draw(network, kind, width, place, told) for place in range(draws)]))
            for kind in KINDS
        )
    return Spectra(network, width, own, gaussian, orthogonal)


def _draw(network: RandomNetwork, kind: str, width: int, place: int, told: Told) -> np.ndarray:
    told(place)
    layers, x = draw_layers(network, kind, width, place)
    factors = layer_jacobians(layers, x, network.config)
    if not all(np.isfinite(factor).all() for factor in factors):
        return np.full(width, np.nan)
    return chain_singular_values(factors, _ranks(network.config, width))


def draw_layers(
    network: RandomNetwork, kind: str, width: int, place: int
) -> tuple[tuple[Layer, ...], np.ndarray]:
    """Draw the square hidden layers of a network, of one of KINDS, and its inputs (examples, width)."""
    config = network.config
    layers = []
    for number, signal in enumerate(predict_square_signal(network).layers, start=1):
        name = f"jacobian {kind} {place} layer {number}"
        weight = _weight(config, kind, width, name) * math.sqrt(signal.sigma_w2)
        bias = _bias(network, numpy_stream(config.seed, f"{name} bias"), width)
        layers.append(Layer(weight, bias, config.activation))
    examples = BATCH if config.normalization == "batch" else 1
    stream = numpy_stream(config.seed, f"jacobian {kind} {place} inputs")
    return tuple(layers), stream.standard_normal((examples, width))


def layer_jacobians(layers: Sequence[Layer], x: np.ndarray, config: ExperimentConfig) -> list[np.ndarray]:
    """Give each layer's dh_l/dh_(l-1) for the first example of x, input side first; nan from an overflow on.

    Normalization and residual connections are those of the experiment. Batch normalization's mean and spread
    count as constants, as they are once training is over.
    """
    h, jacobians = x, []
    for number, layer in enumerate(layers):
        phi = ACTIVATIONS[layer.activation]
        z, normalizer = _normalized(h @ layer.weight.T + layer.bias, config.normalization)
        slopes = np.where(np.isfinite(z[0]), phi.derivative(z[0]), np.nan)
        jacobian = slopes[:, None] * (normalizer @ layer.weight)
        has_skip = config.residual and number > 0  # the first block has no skip, as in nnlab.model
        jacobians.append(jacobian + np.eye(len(jacobian)) if has_skip else jacobian)
        h = phi.function(z) + h if has_skip else phi.function(z)
    return jacobians


def _ranks(config: ExperimentConfig, width: int) -> list[int]:
    """Give the largest rank of each layer's Jacobian: layer normalization takes out mean and length."""
    centered = max(0, width - 2) if config.normalization == "layer" else width
    return [width if config.residual and layer else centered for layer in range(config.depth)]


def _weight(config: ExperimentConfig, kind: str, width: int, name: str) -> np.ndarray:
    """Draw a square matrix with fan_in Var(W) = 1 of the chosen initializer, Gaussian or orthogonal."""
    if kind == "own":
        return _own_weight(config, width, name)
    normal = numpy_stream(config.seed, name).standard_normal((width, width))
    if kind == "gaussian":
        return normal / math.sqrt(width)
    q, upper = np.linalg.qr(normal)
    return q * np.sign(np.diagonal(upper))  # else not every rotation were equally likely (Mezzadri 2007)


def _own_weight(config: ExperimentConfig, width: int, name: str) -> np.ndarray:
    import torch

    initializer = INITIALIZERS[config.initializer]
    weight = torch.empty(width, width, dtype=torch.float64)
    initializer.fill(weight, torch_stream(config.seed, name))
    std = initializer.std(width, width)
    return weight.numpy() / (math.sqrt(width) * std) if std else weight.numpy()


def _bias(network: RandomNetwork, stream: np.random.Generator, width: int) -> np.ndarray:
    bound = INITIALIZERS[network.config.initializer].bias_bound
    own = stream.uniform(-1, 1, width) * (bound(network.config.width) if bound else 0.0)
    return own + network.sigma_b * stream.standard_normal(width)


def _normalized(z: np.ndarray, normalization: str) -> tuple[np.ndarray, np.ndarray]:
    """Give z as the activation gets it, and its derivative by z as it was, for the first example."""
    width = z.shape[1]
    if normalization == "none":
        return z, np.eye(width)
    axis = 0 if normalization == "batch" else 1
    scale = 1 / np.sqrt(z.var(axis=axis, keepdims=True) + EPSILON)
    centered = (z - z.mean(axis=axis, keepdims=True)) * scale
    if normalization == "batch":
        return centered, np.diag(scale[0])
    own = centered[0]
    return centered, scale[0] * (np.eye(width) - 1 / width - np.outer(own, own) / width)
