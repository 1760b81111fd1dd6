"""Theory facts: what theory says of one random network, in a few named numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nnlab.numerals import PLAIN_FROM, PLAIN_TO, scientific
from nnlab.prediction import Prediction
from nnlab.settled import ENDLESS, Settled, is_plain, settle


@dataclass(frozen=True)
class Fact:
    """One number of theory with its name, what it is exactly, and what it means here."""

    label: str
    value: str
    detail: str
    help: str


def facts(prediction: Prediction) -> tuple[Fact, ...]:
    """Give forward gain, backward gain, fixed point, chi, xi and the depth that trains, all of theory."""
    settled = settle(prediction)
    return (*_gains(prediction, settled), *_depths(settled, is_plain=is_plain(prediction.network)))


def _gains(prediction: Prediction, settled: Settled) -> tuple[Fact, ...]:
    where = "fixed point" if settled.is_fixed_point else "last layers"
    backward = math.sqrt(settled.chi) if settled.chi >= 0 else math.nan
    forward = _forward_gain(prediction)
    return (
        Fact(
            "Forward gain",
            _times(forward),
            "spread of z",
            "What a layer multiplies the spread of z by, averaged over the layers as a factor. The variance "
            "follows q' = sigma_w^2 E phi(sqrt(q) Z)^2 + sigma_b^2 (Poole et al. 2016, equation 3).",
        ),
        Fact(
            "Backward gain",
            _times(backward),
            "error signal",
            "What a layer multiplies the length of the error signal by on its way back: the root of chi "
            "(Schoenholz et al. 2017, section 3).",
        ),
        Fact(
            "Variance of z, q*",
            three_digits(settled.q),
            "runs away" if math.isinf(settled.q) else where,
            "Where the variance of z ends as layers follow each other, starting from 1. Infinite: every "
            "layer makes it larger.",
        ),
    )


def _depths(settled: Settled, *, is_plain: bool) -> tuple[Fact, ...]:
    return (
        Fact(
            "chi",
            three_digits(settled.chi),
            _phase(settled.chi),
            "sigma_w^2 E phi'(sqrt(q*) Z)^2: what the squared length of the error signal is multiplied by a "
            "layer; where nothing settles, in the last layers. Below 1 gradients vanish, above 1 they "
            "explode; 1 is the edge of chaos.",
        ),
        Fact(
            "Depth scale xi",
            scientific(settled.xi),
            "layers",
            "1 / abs(ln chi): over so many layers the squared error signal changes by a factor of e = 2.7.",
        ),
        Fact(
            "Trains up to",
            _layers(settled) if is_plain else "no rule",
            "layers: 6 xi" if is_plain else "not plain",
            "Networks much deeper than 6 xi were not trainable in Schoenholz et al. 2017, section 5. The "
            "rule is for plain networks: no normalization, no residual connections, nothing fitted to data.",
        ),
    )


def three_digits(value: float) -> str:
    """Write with three digits: whether chi is 0.99 or 1.04 decides."""
    return f"{value:.3g}" if PLAIN_FROM <= abs(value) < PLAIN_TO else scientific(value)


def _times(gain: float) -> str:
    return f"x{three_digits(gain)}" if math.isfinite(gain) else scientific(gain)


def _layers(settled: Settled) -> str:
    if settled.trainable_depth > ENDLESS:
        return "any depth"
    return scientific(settled.trainable_depth)


def _phase(chi: float) -> str:
    if math.isnan(chi):
        return "unknown"
    if chi == 0:
        return "nothing passes"
    if abs(chi - 1) < 1 / ENDLESS:
        return "edge of chaos"
    return "vanishing" if chi < 1 else "exploding"


def _forward_gain(prediction: Prediction) -> float:
    """Give the mean factor of the spread of z, a layer; nan where there is one layer or no spread."""
    layers = prediction.signal.layers
    first, last = layers[0].pre_activation_variance, layers[-1].pre_activation_variance
    if len(layers) < 2 or not 0 < first < math.inf:
        return math.nan
    return (last / first) ** (0.5 / (len(layers) - 1))
