"""Caveats: where theory and drawn networks of one kind may differ, and why, in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nnlab.activations import ACTIVATIONS
from nnlab.agreement import Agreement
from nnlab.cure import critical_sigma_w
from nnlab.length_chain import length_law
from nnlab.numerals import percent, scientific
from nnlab.prediction import Prediction
from nnlab.settled import is_plain, settle

NARROW = 50  # units; at fewer, drawn networks differ from theory by tens of percent
WIDE = 1.5  # a factor between spreads that nobody would call agreement
DEEP = 20  # layers, from which on ReLU's examples are alike: their mean cosine is above 0.95
GAUSSIAN = ("kaiming_normal", "lecun_normal", "xavier_normal", "normal_0.01")


def caveats(prediction: Prediction, found: Sequence[Agreement]) -> tuple[str, ...]:
    """Say where theory and drawn networks of this kind may differ, and why."""
    config = prediction.network.config
    said = [_running_away(prediction), _left_out(found)]
    if config.width < NARROW:
        said.append(
            f"Theory is exact for layers of infinite width; at width {config.width} drawn networks scatter "
            "widely around it."
        )
    if config.activation == "relu" and config.depth >= DEEP and config.normalization == "none":
        said.append(
            "In a deep ReLU network examples become alike, so that a whole batch fluctuates as one example."
        )
    said += [_scatter_words(prediction), _length_words(prediction)]
    if config.initializer in ("orthogonal", "lsuv"):
        said.append(
            "Theory takes the entries of a weight matrix to be independent; those of an orthogonal one are "
            "not, which keeps lengths better than independent ones do."
        )
    if config.initializer == "lsuv":
        said.append(
            "LSUV stops within 10 % of variance 1, so variances differ from theory's 1 by up to that."
        )
    if config.normalization == "batch":
        said.append(
            "Batch normalization in theory sees a large batch of unlike inputs; a drawn one has "
            f"{config.batch_size} examples."
        )
    if found and found[0].networks == 1:
        said.append("One network shows no range, and cannot tell a deviation from chance.")
    return tuple(sentence for sentence in said if sentence)


def _running_away(prediction: Prediction) -> str:
    """Say where the edge of chaos names a fixed point to which no signal goes."""
    network = prediction.network
    if not is_plain(network) or not math.isinf(settle(prediction).q):
        return ""
    edge, label = critical_sigma_w(network), ACTIVATIONS[network.config.activation].label
    text = (
        "The variance of z has no end here: every layer makes it larger. Chance multiplies along with it, so "
        "that most drawn networks lie below theory, which is a mean."
    )
    if network.config.activation in ("gelu", "silu", "mish"):
        return (
            f"{text} {label} has a fixed point with chi = 1 at sigma_w = {scientific(edge)}, but it repels: "
            "a variance of 1 runs away from it."
        )
    return text


def _left_out(found: Sequence[Agreement]) -> str:
    """Say how many networks are in no mean, of the quantity where they are most."""
    partly = [one for one in found if 0 < one.undefined < one.networks]
    if not partly:
        return ""
    worst = max(partly, key=lambda one: one.undefined)
    return (
        f"{worst.quantity}: in {worst.undefined} of {worst.networks} networks it is exactly 0 or not finite, "
        "which no mean of factors can hold; the numbers are of the others."
    )


def _scatter_words(prediction: Prediction) -> str:
    """Say between what chance alone spreads networks of this width, where that is much."""
    low, high = (float(value) for value in prediction.scatter[-1])
    if not high > WIDE * low:
        return ""
    config = prediction.network.config
    return (
        f"At width {config.width} chance alone puts the variance of z in layer {config.depth} between "
        f"{scientific(low**2)} and {scientific(high**2)} in 95 % of networks, most often below theory's mean."
    )


def _length_words(prediction: Prediction) -> str:
    """Give the spread of lengths where its law is known: ReLU, Gaussian weights, no biases."""
    network = prediction.network
    config = network.config
    is_known = config.activation == "relu" and config.initializer in GAUSSIAN and network.total_sigma_b == 0
    if not (is_known and is_plain(network)):
        return ""
    law = length_law([config.width] * config.depth)
    return (
        f"For one example the exact law is known: at width {config.width} the squared length of layer "
        f"{config.depth}'s output has a geometric mean {percent(-math.expm1(law.log_mean))} below theory's, "
        f"and two thirds of all networks lie within a factor of {scientific(math.exp(law.log_std))} of it "
        "(Hanin & Rolnick 2018). Averages over a batch scatter less."
    )
