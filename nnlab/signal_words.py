"""Signal words: what becomes of the signal in a random network, and what to change, in sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from nnlab.activations import ACTIVATIONS
from nnlab.agreement import Agreement
from nnlab.cure import Cure, critical_gain, critical_sigma_w, find_cure, flattest
from nnlab.initializers import INITIALIZERS
from nnlab.numerals import percent, scientific
from nnlab.prediction import Prediction
from nnlab.random_network import RandomNetwork
from nnlab.remedies import describe
from nnlab.rules import (
    EXPLODING_SEVERE,
    EXPLODING_WARN,
    NEARLY_UNDERFLOWN,
    SATURATING_SEVERE,
    SATURATING_WARN,
    VANISHING_SEVERE,
    VANISHING_WARN,
)
from nnlab.settled import ENDLESS, Settled, is_plain, settle
from nnlab.signal_theory import predict_signal
from nnlab.theory_facts import three_digits

TOLD_APART = 2.0  # a factor over a whole network that nobody would call a change of size
WIDER = "Make the layers wider, or choose an activation whose slope is nowhere 0: chance then kills no layer."


@dataclass(frozen=True)
class InitialVerdict:
    """What becomes of the error signal before the first step of training.

    `severity` is "", "warn" or "severe"; `cure` is what to try, None for a healthy network or where theory
    knows nothing.
    """

    severity: str
    title: str
    headline: str
    reach: str
    cure: Cure | None
    advice: str


def verdict(prediction: Prediction, reached: Agreement | None) -> InitialVerdict:
    """Say whether the error signal gets through; `reached` is that of layer 1 in drawn networks, if any."""
    depth, settled = prediction.network.config.depth, settle(prediction)
    flat = _flat_words(prediction)
    if depth == 1 and not flat and not _blocks(prediction):
        headline = "One hidden layer: the error signal has no way back on which it could shrink."
        return InitialVerdict("", "Healthy", headline, _reach(prediction, settled), None, "")
    ratio = 0.0 if _blocks(prediction) else _ratio(prediction, reached)
    severity, title = _judgment(ratio)
    if flat and not severity:
        severity, title = _flatness(prediction), "Saturating"
    is_narrow = ratio == 0 and not _blocks(prediction) and not _is_lost(prediction)
    cure = find_cure(prediction.network) if severity and not is_narrow else None
    advice = _advice(prediction, cure) if severity else ""
    return InitialVerdict(
        severity=severity,
        title=title,
        headline=" ".join(filter(None, (_headline(prediction, ratio, reached), flat))),
        reach=_reach(prediction, settled),
        cure=cure,
        advice=WIDER if is_narrow else advice,
    )


def _flatness(prediction: Prediction) -> str:
    """Give the severity of the saturation that theory expects, "" where it is none."""
    flat = flattest(prediction.network.config, prediction.signal)
    if flat is None or not flat.saturation > SATURATING_WARN:
        return ""
    return "severe" if flat.saturation > SATURATING_SEVERE else "warn"


def _flat_words(prediction: Prediction) -> str:
    flat = flattest(prediction.network.config, prediction.signal)
    if flat is None or not _flatness(prediction):
        return ""
    label = ACTIVATIONS[prediction.network.config.activation].label
    return (
        f"Theory expects {percent(flat.saturation)} of layer {flat.index}'s activations on the flat part of "
        f"{label}, where the slope is below 6 % of its largest: such units hardly learn."
    )


def _blocks(prediction: Prediction) -> bool:
    """Whether every layer lets nothing through: its slope is 0 everywhere, or all weights are 0."""
    network = prediction.network
    is_flat = ACTIVATIONS[network.config.activation].slope_sup == 0
    return (is_flat or network.base_sigma_w == 0) and not network.config.residual


def _is_lost(prediction: Prediction) -> bool:
    """Whether what theory expects at layer 1 is too small for float32."""
    return prediction.signal.gradient_ratio < NEARLY_UNDERFLOWN


def _ratio(prediction: Prediction, reached: Agreement | None) -> float:
    """Give what reaches layer 1: as measured, where it was; 0 where it is in most networks."""
    if reached is None:
        return prediction.signal.gradient_ratio
    return 0.0 if 2 * reached.zeros > reached.networks else reached.measured


def _judgment(ratio: float) -> tuple[str, str]:
    if not math.isfinite(ratio):
        return "severe", "Not finite"
    if ratio < VANISHING_WARN:
        word = "Vanishing" if ratio > 0 else "Blocked"
        return ("severe" if ratio < VANISHING_SEVERE else "warn"), word
    if ratio > EXPLODING_WARN:
        return ("severe" if ratio > EXPLODING_SEVERE else "warn"), "Exploding"
    return "", "Healthy"


def _headline(prediction: Prediction, ratio: float, reached: Agreement | None) -> str:
    depth, expected = prediction.network.config.depth, prediction.signal.gradient_ratio
    if not math.isfinite(ratio):
        return "The signal grows beyond the largest number that float32 holds (3e38): nothing can be trained."
    if ratio == 0:
        return _nothing(prediction, expected)
    if depth == 1:
        return "One hidden layer: the error signal has no way back on which it could shrink."
    sentence = (
        f"In this network the error signal {_movement(ratio)} on its way back, "
        f"x{scientific(ratio ** (1 / (depth - 1)))} a layer: layer 1 gets {_share(ratio)} what layer "
        f"{depth} gets."
    )
    said = "So says theory." if reached is None else f"Theory says {scientific(expected)}."
    return f"{sentence} {said}"


def _share(ratio: float) -> str:
    return f"{scientific(ratio)} {'times' if ratio >= 1 else 'of'}"


def _movement(ratio: float) -> str:
    if VANISHING_WARN <= ratio <= EXPLODING_WARN:
        return "keeps its size" if 1 / TOLD_APART <= ratio <= TOLD_APART else "roughly keeps its size"
    return "shrinks" if ratio < 1 else "grows"


def _nothing(prediction: Prediction, expected: float) -> str:
    config = prediction.network.config
    label = ACTIVATIONS[config.activation].label
    if ACTIVATIONS[config.activation].slope_sup == 0:
        return f"No hidden layer gets any error signal: the slope of {label} is 0 wherever it has one."
    if prediction.network.base_sigma_w == 0:
        return "No hidden layer gets any error signal: it is multiplied by the weights, and all are 0."
    start = f"Layer 1 gets exactly 0 of what layer {config.depth} gets. Theory says {scientific(expected)}"
    if _is_lost(prediction):
        return f"{start}: float32 holds no number below 1e-45, so it is lost."
    return f"{start}, but in most drawn networks all units of some layer have slope 0."


def _reach(prediction: Prediction, settled: Settled) -> str:
    """Say how deep networks of this kind train."""
    if not is_plain(prediction.network):
        return (
            "The rule of 6 xi layers is for plain networks with weights of one scale; here look at what "
            "reaches layer 1."
        )
    chi = settled.chi
    if math.isnan(chi):
        return "Theory gives such networks no depth: the variance of z runs away."
    if chi == 0:
        return "No such network trains more than its last layer: chi is 0, nothing passes a single layer."
    if settled.trainable_depth > ENDLESS:
        return "Theory sets their depth no limit: chi is 1, the edge of chaos."
    layers = settled.trainable_depth
    said = (
        "less than one layer"
        if layers < 1
        else f"up to about {layers:,.0f} layer{'s' * (round(layers) != 1)}"
    )
    return f"Networks like it train {said} (6 xi; Schoenholz et al. 2017)."


def _advice(prediction: Prediction, cure: Cure | None) -> str:
    network = prediction.network
    config = network.config
    if cure is None:
        return "No single change that theory knows heals it: make it shallower."
    if config.depth == 1:
        return f"With {describe(cure.change)}, says theory, the layer is steep where its inputs are."
    done = (
        f"With {describe(cure.change)}, says theory, layer 1 gets {_share(cure.gradient_ratio)} what layer "
        f"{config.depth} gets."
    )
    if cure.change == {"gain": critical_gain(network)}:
        sigma_w = three_digits(cure.network.sigma_w)
        return f"{done} That gain makes sigma_w {sigma_w}, where chi is 1: the edge of chaos."
    if config.normalization != "none":
        return f"{done} A normalization undoes every gain."
    if INITIALIZERS[config.initializer].fitted_to_data:
        return f"{done} LSUV fits the variance of z, whatever that does to the error signal."
    if not network.base_sigma_w > 0:
        return f"{done} No gain scales weights that are 0."
    if math.isfinite(flat := _saturation_at_edge(network)) and flat > SATURATING_WARN:
        return (
            f"{done} The gain that makes chi 1, {critical_gain(network):g}, would put {percent(flat)} of a "
            "layer's activations on the flat part of the curve."
        )
    if math.isnan(critical_sigma_w(network)) and is_plain(network):
        biases = ", because its biases add variance in every layer" if network.total_sigma_b > 0 else ""
        return f"{done} No gain makes this network critical{biases}."
    return done


@lru_cache(maxsize=64)  # a page asks again when its networks are drawn
def _saturation_at_edge(network: RandomNetwork) -> float:
    """Give the largest saturation of a layer at the gain that makes a network critical; nan without one."""
    gain = critical_gain(network)
    if not math.isfinite(gain):
        return math.nan
    config = network.config.replace(gain=gain)
    flat = flattest(config, predict_signal(config, bias_std=network.sigma_b))
    return math.nan if flat is None else flat.saturation
