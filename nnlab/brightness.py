"""Brightness: what networks answer when an image gets lighter or darker, measured.

An image x at brightness a is a x: every pixel times a, nothing clipped. Whether a network keeps its
decisions then is measured here; nothing is taken from theory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.network import Network
from nnlab.samples import SATURATION_TAU

if TYPE_CHECKING:
    import pandas as pd

LOWEST, HIGHEST = 0.05, 10.0
NORMAL = 1.0  # the brightness of the training images
# Values that texts and axes name, and how many steps lie between each and the next: each step is
# close to a factor of 1.26, ten to the decade.
_ANCHORS = (LOWEST, 0.1, 0.5, NORMAL, 2.0, HIGHEST)
_STEPS = (3, 7, 3, 3, 7)
# f(ax) = a f(x) holds "up to rounding" below this in float32: 1e-5 is some hundred times float32's
# step of 1.2e-7, room for sums over 64 inputs (definitions.md, E9).
ROUNDING = 1e-5
# The table's columns after the kind of network; "flat" holds saturated and, for ReLU, inactive.
SHARE_COLUMNS = (
    "accuracy, %",
    "worst seed, %",
    "best seed, %",
    "decisions as at brightness 1, %",
    "layer 1 on the flat part, %",
)
NO_DECISION = -1  # an output is NaN; such an image counts as wrong and as changed


def _spaced() -> tuple[float, ...]:
    values = [LOWEST]
    for low, high, steps in zip(_ANCHORS[:-1], _ANCHORS[1:], _STEPS, strict=True):
        between = [float(f"{low * (high / low) ** (step / steps):.3g}") for step in range(1, steps)]
        values += [*between, high]
    return tuple(values)


# 24 values, evenly spaced on a log axis up to their rounding to three digits.
BRIGHTNESSES = _spaced()


def _place(brightness: float) -> int:
    """Give the position of a brightness in BRIGHTNESSES, or raise a ValueError."""
    if brightness not in BRIGHTNESSES:
        raise ValueError(
            f"brightness: {brightness!r} is not allowed; allowed: one of the {len(BRIGHTNESSES)} values of "
            f"BRIGHTNESSES, from {LOWEST:g} to {HIGHEST:g}"
        )
    return BRIGHTNESSES.index(brightness)


@dataclass(frozen=True, eq=False)
class Group:
    """Trained networks of one kind, one a seed; `words` is what a reader sees.

    Raises:
        ValueError: there is no network, or their shapes differ.
    """

    key: str
    words: str
    networks: tuple[Network, ...]

    def __post_init__(self) -> None:
        shapes = {network.widths for network in self.networks}
        if len(shapes) != 1:
            raise ValueError(f"networks: {len(shapes)} shapes in {self.key}; allowed: 1 shape, shared by all")

    @property
    def activation(self) -> str:
        """Name of the activation after the first layer."""
        return self.networks[0].layers[0].activation

    @property
    def has_bias(self) -> bool:
        """Whether any bias of any of the networks differs from 0."""
        return any(layer.bias.any() for network in self.networks for layer in network.layers)

    @property
    def is_linear(self) -> bool:
        """Whether no hidden layer has an activation other than identity."""
        hidden = [layer for network in self.networks for layer in network.layers[:-1]]
        return all(layer.activation == "identity" for layer in hidden)


@dataclass(frozen=True, eq=False)
class Measured:
    """What one kind did over all brightnesses; every array has shape (seeds, brightnesses).

    `accuracy`: share of images that are right. `agreement`: share whose decision is that at brightness
    1. `saturation`: share of the first layer's activations (images x units) on the flat part.
    `homogeneity`: `homogeneity_error` in float32. `homogeneity_double`: the largest error at the lowest
    and the highest brightness in float64. `undecided`: answers that hold a NaN, over all seeds and
    brightnesses; they count as wrong and as changed.
    """

    key: str
    words: str
    activation: str
    has_bias: bool
    is_linear: bool
    accuracy: np.ndarray
    agreement: np.ndarray
    saturation: np.ndarray
    homogeneity: np.ndarray
    homogeneity_double: float
    undecided: int = 0

    @property
    def seeds(self) -> int:
        """Number of networks."""
        return len(self.accuracy)

    @property
    def kept(self) -> np.ndarray:
        """Share of decisions kept, averaged over all brightnesses; shape (seeds,)."""
        return self.agreement.mean(axis=1)

    @property
    def flat_word(self) -> str:
        """What the flat part is called: for ReLU and leaky ReLU it is their purpose."""
        return "inactive" if ACTIVATIONS[self.activation].inactive_not_saturated else "saturated"


@dataclass(frozen=True, eq=False)
class Sweep:
    """All kinds measured at BRIGHTNESSES on the same `images` images of `classes` classes."""

    kinds: tuple[Measured, ...]
    images: int
    classes: int
    tau: float

    def only(self, keys: Sequence[str]) -> Sweep:
        """Give the same for some of the kinds."""
        return replace(self, kinds=tuple(kind for kind in self.kinds if kind.key in keys))

    def accuracy(self, kind: Measured, brightness: float) -> np.ndarray:
        """Give the accuracies of a kind's networks at one of BRIGHTNESSES; shape (seeds,)."""
        return kind.accuracy[:, _place(brightness)]

    def saturation(self, kind: Measured, brightness: float) -> float:
        """Give the mean saturated share of a kind's first layer at one of BRIGHTNESSES."""
        return float(kind.saturation[:, _place(brightness)].mean())


# --- measuring


def check_images(network: Network, x: np.ndarray) -> None:
    """Raise a ValueError unless x is images of shape (images, inputs) that the network takes."""
    inputs = network.widths[0]
    if x.ndim != 2 or x.shape[1] != inputs or not len(x):
        raise ValueError(f"x: shape {x.shape} is not allowed; allowed: (images, {inputs}), at least 1 image")


def check_brightnesses(brightnesses: Sequence[float]) -> None:
    """Raise a ValueError unless there are brightnesses and all are finite numbers > 0."""
    wrong = [a for a in brightnesses if not (math.isfinite(a) and a > 0)]
    if wrong or not len(brightnesses):
        shown = repr(wrong[0]) if wrong else "an empty list"
        raise ValueError(f"brightness: {shown} is not allowed; allowed: finite numbers > 0")


def _answers(
    network: Network, x: np.ndarray, brightnesses: Sequence[float], precision: type[np.floating]
) -> tuple[np.ndarray, np.ndarray]:
    """Give z of the first layer (brightnesses, images, units) and the outputs, computed from a x itself."""
    check_images(network, x)
    check_brightnesses(brightnesses)
    cast, images = network.astype(precision), x.astype(precision)
    first, outputs = [], []
    # One brightness at a time: the passes of all of them would not stay in the processor's cache.
    with np.errstate(over="ignore", invalid="ignore"):  # inf and NaN are results
        for a in brightnesses:
            passes = cast.forward(images * precision(a))
            first.append(passes[0].z)
            outputs.append(passes[-1].h)
    return np.stack(first), np.stack(outputs)


def decide(outputs: np.ndarray) -> np.ndarray:
    """Give the class with the largest output, NO_DECISION where an output is NaN."""
    return np.where(np.isnan(outputs).any(axis=-1), NO_DECISION, outputs.argmax(axis=-1))


def _agree(decisions: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Give the share of images that are decided as the reference, per brightness."""
    return ((decisions == reference) & (decisions != NO_DECISION)).mean(axis=-1)


def _check_labels(x: np.ndarray, y: np.ndarray) -> None:
    if y.shape != (len(x),):
        raise ValueError(f"y: shape {y.shape} is not allowed; allowed: ({len(x)},), one class an image")


def accuracy_over(
    networks: Sequence[Network], x: np.ndarray, y: np.ndarray, brightnesses: Sequence[float]
) -> np.ndarray:
    """Give the share of images that are right, in float32; shape (seeds, brightnesses)."""
    _check_labels(x, y)
    outputs = [_answers(network, x, brightnesses, np.float32)[1] for network in networks]
    return np.array([_agree(decide(each), y) for each in outputs])


def agreement_over(networks: Sequence[Network], x: np.ndarray, brightnesses: Sequence[float]) -> np.ndarray:
    """Give the share of images decided as at brightness 1, in float32; shape (seeds, brightnesses)."""
    outputs = [_answers(network, x, (NORMAL, *brightnesses), np.float32)[1] for network in networks]
    decisions = [decide(each) for each in outputs]
    return np.array([_agree(each[1:], each[0]) for each in decisions])


def _is_flat(name: str, z: np.ndarray, tau: float) -> np.ndarray:
    entry = ACTIVATIONS[name]
    slope = np.abs(entry.derivative(z))
    if entry.slope_sup == 0:  # the step function: flat everywhere, by definition
        return slope == 0
    return slope < tau * entry.slope_sup


def _flat_share(network: Network, z: np.ndarray, tau: float) -> np.ndarray:
    flat = _is_flat(network.layers[0].activation, z, tau).mean(axis=(1, 2))
    return np.where(np.isnan(z).any(axis=(1, 2)), math.nan, flat)


def saturated_share(
    network: Network, x: np.ndarray, brightnesses: Sequence[float], tau: float = SATURATION_TAU
) -> np.ndarray:
    """Give the share of the first layer's activations with |phi'(z)| < tau sup|phi'|; (brightnesses,).

    NaN where z holds a NaN. For ReLU and leaky ReLU it is called inactive; definitions.md, section 2.
    """
    return _flat_share(network, _answers(network, x, brightnesses, np.float32)[0], tau)


def _departure(outputs: np.ndarray, a: float, normal: np.ndarray) -> float:
    """Give the largest relative distance of outputs from a times the normal ones, over all images."""
    expected = normal.astype(np.float64) * a
    with np.errstate(invalid="ignore"):  # inf - inf
        distance = np.linalg.norm(outputs - expected, axis=1)
        return float(relative_size(distance, np.linalg.norm(expected, axis=1)).max())


def relative_size(distance: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Divide; where both are 0 nothing has moved, which is 0."""
    return np.divide(distance, size, out=np.where(distance == 0, 0.0, math.inf), where=size != 0)


def homogeneity_error(network: Network, x: np.ndarray, a: float, precision: type[np.floating]) -> float:
    """Give the largest ||f(ax) - a f(x)|| / ||a f(x)|| over all images, f computed in `precision`.

    Zero or rounding error for a positively homogeneous network: one without biases whose activations
    are identity, ReLU or leaky ReLU.
    """
    _, outputs = _answers(network, x, (NORMAL, a), precision)
    return _departure(outputs[1], float(precision(a)), outputs[0])


def _measure(group: Group, x: np.ndarray, y: np.ndarray, tau: float) -> Measured:
    accuracy, agreement, saturation, homogeneity = [], [], [], []
    undecided = 0
    normal = BRIGHTNESSES.index(NORMAL)
    for network in group.networks:
        z, outputs = _answers(network, x, BRIGHTNESSES, np.float32)
        decisions = decide(outputs)
        undecided += int((decisions == NO_DECISION).sum())
        accuracy.append(_agree(decisions, y))
        agreement.append(_agree(decisions, decisions[normal]))
        saturation.append(_flat_share(network, z, tau))
        scaled = zip(outputs, BRIGHTNESSES, strict=True)
        homogeneity.append([_departure(each, float(np.float32(a)), outputs[normal]) for each, a in scaled])
    ends = [homogeneity_error(n, x, a, np.float64) for n in group.networks for a in (LOWEST, HIGHEST)]
    return Measured(
        key=group.key,
        words=group.words,
        activation=group.activation,
        has_bias=group.has_bias,
        is_linear=group.is_linear,
        accuracy=np.array(accuracy),
        agreement=np.array(agreement),
        saturation=np.array(saturation),
        homogeneity=np.array(homogeneity),
        homogeneity_double=float(np.max(ends)),
        undecided=undecided,
    )


def sweep(groups: Sequence[Group], x: np.ndarray, y: np.ndarray, tau: float = SATURATION_TAU) -> Sweep:
    """Measure all kinds at BRIGHTNESSES on images x (images, inputs) with classes y (images,).

    Raises:
        ValueError: there is no group, or two share their words, or x, y and the networks do not fit.
    """
    if not groups:
        raise ValueError("groups: an empty list is not allowed; allowed: at least 1 group of networks")
    if len({group.words for group in groups}) < len(groups):
        raise ValueError("groups: two share their words; allowed: different words, or charts would mix them")
    _check_labels(x, y)
    kinds = tuple(_measure(group, x, y, tau) for group in groups)
    return Sweep(kinds, len(x), groups[0].networks[0].widths[-1], tau)


# --- reading at one brightness


def _kind(measured: Sweep, key: str) -> Measured:
    found = next((kind for kind in measured.kinds if kind.key == key), None)
    if found is None:
        allowed = ", ".join(kind.key for kind in measured.kinds)
        raise ValueError(f"kind: {key!r} is not allowed; allowed: {allowed}")
    return found


def gap(measured: Sweep, key_a: str, key_b: str, brightness: float) -> float:
    """Give the mean accuracy of kind a minus that of kind b at one of BRIGHTNESSES.

    Raises:
        ValueError: a key is of no kind, or the brightness was not measured.
    """
    first, second = (measured.accuracy(_kind(measured, key), brightness).mean() for key in (key_a, key_b))
    return float(first - second)


def _in_percent(share: float) -> float:
    """Give a share in percent with one decimal, more where 0 or 100 would be said and not be true."""
    percent = 100 * share
    for decimals in range(1, 7):
        shown = round(percent, decimals)
        if shown not in (0, 100) or shown == percent:
            return shown
    return percent


def brightness_table(measured: Sweep, brightness: float) -> pd.DataFrame:
    """Give one row a kind at one of BRIGHTNESSES: accuracy, decisions kept, flat share, all in percent.

    Raises:
        ValueError: the brightness was not measured.
    """
    import pandas as pd

    place = _place(brightness)
    shares = [
        (accuracy.mean(), accuracy.min(), accuracy.max(), kind.agreement[:, place].mean(), flat)
        for kind in measured.kinds
        for accuracy, flat in [(kind.accuracy[:, place], measured.saturation(kind, brightness))]
    ]
    table = pd.DataFrame(
        [[_in_percent(float(share)) for share in row] for row in shares], columns=list(SHARE_COLUMNS)
    )
    table.insert(0, "network", [kind.words for kind in measured.kinds])
    return table
