"""explanations: a breach in words that a student understands: what happens, by which numbers, and why."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.numerals import fraction, near_one, percent, scientific
from nnlab.rules import VANISHING_SEVERE, Breach, View, can_die, can_saturate, worst
from nnlab.run import Run, is_numbered, spoken

MOST_NAMED = 5  # layers named in one sentence


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith("layer ") else text


def _chain_rule_words(view: View) -> str:
    slope, gain = view.typical_slope, view.typical_weight_gain
    if math.isnan(slope) or math.isnan(gain):
        return ""
    text = f"mean slope {scientific(slope)}, weight gain {scientific(gain)}"
    if abs(view.acting_slope / slope - 1) > 0.1:
        # Norms feel the root of the mean square: ReLU's mean slope 0.5 acts as 0.71.
        text += f" (the slopes act as x{scientific(view.acting_slope)} on the norm)"
    factor = view.acting_slope * gain
    return f"Measured per layer: {text}, so x{scientific(factor)} at each of {view.run.depth - 1} steps back."


def _slope_or_weights(view: View) -> str:
    name = view.hidden[0].activation
    sup = view.hidden[0].slope_sup
    entry = ACTIVATIONS.get(name)
    label = entry.label if entry else name
    slope, gain = view.acting_slope, view.typical_weight_gain
    if slope < gain and sup < 1:
        return f"{label}'s slope is never above {scientific(sup)}, so the slope alone does it."
    if slope < gain:
        return "The slopes take away more than the weights give back."
    return "The weights are too small for this activation."


def _vanishing_words(view: View, breach: Breach, layer: str) -> str:
    depth = view.run.depth
    last = spoken(view.hidden[-1].name)
    share = fraction(breach.value)
    text = f"{layer} gets {share} of the error signal that reaches {last}"
    slow = int((view.delta < VANISHING_SEVERE * view.delta[-1]).sum())
    if 1 < slow < depth:
        who = f"layers 1 to {slow}" if is_numbered(view.hidden[0].name) else f"{slow} of {depth} layers"
        text += f"; {who} get less than a thousandth"
    return f"{text}. {_chain_rule_words(view)} {_slope_or_weights(view)}"


def _exploding_words(view: View, breach: Breach, layer: str) -> str:
    if breach.metric == "delta_norm":
        return f"The error signal at {layer} is too large for a float32 number."
    if breach.metric == "time_ratio":
        return (
            f"The error signal of {layer} is {scientific(breach.value)} times as large at its first time "
            "step as at its last one: its recurrent weights multiply it at every step on the way back. "
            "Smaller or orthogonal recurrent weights, or clipping, keep it in bounds."
        )
    return (
        f"{layer} gets {scientific(breach.value)} times the error signal of "
        f"{spoken(view.hidden[-1].name)}: it grows on its way to the input. {_chain_rule_words(view)}"
    )


def _blocked_words(view: View, breach: Breach, layer: str) -> str:
    number = breach.layer
    info = view.hidden[number]
    if math.isnan(breach.value):
        return (
            f"No gradient reaches {layer}, although its weights are to learn. What it puts out is cut off "
            "from the loss: detached, computed without gradients, or not used."
        )
    if breach.metric == "weight_grad_norm":
        return (
            f"The weights of {layer} get a gradient of exactly 0, because its inputs are all 0, "
            "though an error signal arrives there."
        )
    if view.is_underflow(number):
        return (
            f"The error signal at {layer} is smaller than the smallest float32 number and became "
            "exactly 0 (underflow): it has vanished completely."
        )
    if info.slope_sup == 0:
        return (
            "The step function's slope is 0 everywhere, so the chain rule multiplies the error "
            f"signal by 0: nothing from {layer} down to the input can learn."
        )
    if view.record.layers["weight_norm"][number + 1] == 0:
        return (
            f"The weights after {layer} are all 0, so no error signal passes back through them; "
            f"from {layer} down to the input nothing can learn."
        )
    return (
        f"The error signal stops at {layer} and is exactly 0 from there to the input; "
        f"{percent(view.layer('zero_fraction')[number])} of the layer's outputs are 0."
    )


def _saturating_words(view: View, breach: Breach, layer: str) -> str:
    low = view.layer("saturation_low")[breach.layer]
    high = view.layer("saturation_high")[breach.layer]
    sides = ""
    if math.isfinite(low) and math.isfinite(high):
        sides = f" ({percent(low)} at the low end, {percent(high)} at the high end)"
    if breach.metric == "gate_saturation":
        return (
            f"{percent(breach.value)} of one gate's activations in {layer} sit on the flat part of its "
            "curve, where the slope is below 6 % of its largest value. The gate is stuck, so that it cannot "
            "learn; a bias or weights that are too large do that."
        )
    return (
        f"{percent(breach.value)} of {layer}'s activations sit on the flat part of "
        f"{view.hidden[breach.layer].activation}{sides}, where the slope is below 6 % of its "
        f"largest value. {_why_flat(view, breach.layer)}"
    )


def _why_flat(view: View, number: int) -> str:
    """Say whether the activation's inputs lie too far apart, or all of them off to one side."""
    mean = view.layer("pre_activation_mean")[number]
    spread = view.layer("pre_activation_std")[number]
    if abs(mean) > 2 * spread:
        return (
            f"The inputs of the activation lie off to one side: mean of z is {scientific(mean)}, its std "
            f"only {scientific(spread)}. A bias, or inputs that are all of one sign, push them there."
        )
    return f"The inputs of the activation spread too far: std of z is {scientific(spread)}."


def _dead_words(view: View, breach: Breach, layer: str) -> str:
    width = view.hidden[breach.layer].weight_shape[0]
    dead = view.probe("dead_units")[breach.layer]
    start = View(view.run, 0).probe("dead_fraction")[breach.layer]
    text = f"{dead:.0f} of {width} units of {layer} have slope 0 for every example of the probe set"
    if start >= breach.value / 2:
        # definitions.md: deep He networks start like this, since their inputs become collinear.
        cause = "they were inactive on this probe from the start, not killed by training"
    elif math.isnan(start):
        cause = "how many had at step 0 was not measured"
    else:
        cause = f"{percent(float(start))} were at step 0, so training killed them: the steps are too large"
    return f"{text}; {cause}. Such a unit gets no gradient and cannot come back by itself."


def _dead_layer_words(view: View, breach: Breach, layer: str) -> str:
    return (
        f"All units of {layer} have slope 0 for every example of the probe set: the network's "
        f"output is constant and no gradient passes {layer}."
    )


def _rank_words(view: View, breach: Breach, layer: str) -> str:
    rank = view.probe("effective_rank")[breach.layer]
    width = view.hidden[breach.layer].weight_shape[0]
    return (
        f"Different inputs look alike at {layer}: the mean cosine between their activations is "
        f"{near_one(breach.value)}, and they use {scientific(rank)} of {width} directions. What the layers "
        "before have merged, no later layer can tell apart."
    )


def _updates_words(view: View, breach: Breach, layer: str) -> str:
    typical = f"A typical step changes the hidden weights by {scientific(breach.value)} of their size"
    if breach.kind == "updates_large":
        return f"{typical}; about 0.001 is usual. Steps this large jump over what they look for."
    if breach.severity == "severe":
        return f"{typical}: less than half of the last float32 digit, so most weights do not move."
    return f"{typical}; about 0.001 is usual. At this rate learning takes very long."


def _diverged_words(view: View, breach: Breach, layer: str) -> str:
    note = next((note for note in view.run.notes if "non-finite" in note), "")
    since = f" ({note})" if note else ""
    return (
        f"Training broke off at step {view.record.step}{since}. The numbers grew past what "
        "float32 can hold: the steps or the starting weights are too large."
    )


def _stalled_words(view: View, breach: Breach, layer: str) -> str:
    if view.run.status != "stalled":
        return f"Every error signal is exactly 0 while the loss is {scientific(view.loss)}: no weight moves."
    return (
        "Every gradient has been exactly 0 for 20 steps while the loss is "
        f"{scientific(view.loss)}: no weight moves any more, and none will."
    )


def _frozen_words(view: View, breach: Breach, layer: str) -> str:
    frozen = [info.name for info in view.hidden if not info.trainable]
    named = ", ".join(frozen[:MOST_NAMED])
    more = f" and {len(frozen) - MOST_NAMED} more layers" if len(frozen) > MOST_NAMED else ""
    return f"Not an alarm: the weights of {named}{more} do not require gradients."


_WORDS: dict[str, Callable[[View, Breach, str], str]] = {
    "diverged": _diverged_words,
    "stalled": _stalled_words,
    "dead_layer": _dead_layer_words,
    "blocked": _blocked_words,
    "exploding": _exploding_words,
    "vanishing": _vanishing_words,
    "saturating": _saturating_words,
    "dying": _dead_words,
    "rank_collapse": _rank_words,
    "updates_small": _updates_words,
    "updates_large": _updates_words,
    "frozen": _frozen_words,
}


def explain(view: View, breach: Breach, layer: str) -> str:
    """Put a breach at a layer, or at "network", into sentences."""
    return _capitalized(_WORDS[breach.kind](view, breach, spoken(layer)))


def _flow_words(view: View) -> str:
    """Say how much of the error signal arrives at the first layer."""
    ratio = view.record.network["gradient_ratio"]
    if not view.hidden:
        return "A network without hidden layers has nowhere to lose its error signal"
    if math.isnan(ratio):
        return "No layer is beyond a limit; the error signal of the first layer was not measured"
    first = _capitalized(spoken(view.hidden[0].name))
    return f"{first} gets {scientific(ratio)} times the last hidden layer's error signal (0.05 to 20)"


def why_healthy(run: Run) -> str:
    """Say by which numbers a run without findings is healthy."""
    view = View(run, len(run.records) - 1)
    parts = [_flow_words(view)]
    saturated = worst(view.layer("saturation"), np.array([can_saturate(i) for i in view.hidden], bool))
    if saturated is not None:
        value = float(view.layer("saturation")[saturated])
        parts.append(f"at most {percent(value)} of a layer is saturated (limit 40 %)")
    dead = worst(view.probe("dead_fraction"), can_die(view))
    if dead is not None:
        value = float(view.probe("dead_fraction")[dead])
        parts.append(f"at most {percent(value)} of a layer is dead (limit 25 %)")
    return "; ".join(parts) + "."
