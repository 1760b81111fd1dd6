"""brightness_words: what was measured over brightness, in sentences built from the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.brightness import (
    BRIGHTNESSES,
    HIGHEST,
    LOWEST,
    NO_DECISION,
    NORMAL,
    ROUNDING,
    Sweep,
)
from nnlab.followed import ALIKE, CLAIMED, Example, Followed
from nnlab.numerals import near_one, percent, scientific

# A percentage with one decimal would show less than this as 0.0, and what lacks less than this as 100.0.
LEAST_SHOWN = 0.0005
# Below 1 % a layer is not said to shrink or to grow a difference: it would show in no picture.
CLEAR_CHANGE = 0.01

# --- words


def share_words(share: float) -> str:
    """Write a share with one decimal: 95.3 %; 100 % and 0 % only where it is exactly that."""
    if not math.isfinite(share):
        return scientific(share)
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    if 1 - LEAST_SHOWN <= share < 1:
        return "more than 99.9 %"
    return f"{100 * share:.1f} %" if share >= LEAST_SHOWN else "less than 0.1 %"


def mean_words(shares: np.ndarray) -> str:
    """Write shares of several seeds: "95.1 % (94.7 % to 95.8 %)", without the range if there is none."""
    low, high = share_words(float(shares.min())), share_words(float(shares.max()))
    mean = share_words(float(shares.mean()))
    return mean if low == high else f"{mean} ({low} to {high})"


def _points(difference: float) -> str:
    """Write a difference of shares in percentage points with its sign."""
    if not math.isfinite(difference):
        return scientific(difference)
    size = f"{100 * abs(difference):.1f}"
    if size == "0.0":
        return "no change" if difference == 0 else "less than 0.1 points"
    return f"{'plus' if difference > 0 else 'minus'} {size} points"


def listed(words: Iterable[str]) -> str:
    """Join words as a list: "a, b and c"; with semicolons where a word holds a comma itself."""
    *before, last = words
    comma, final = ("; ", "; and ") if any("," in word for word in (*before, last)) else (", ", " and ")
    return f"{comma.join(before)}{final}{last}" if before else last


def capital(words: str) -> str:
    """Write the first letter large, as at the start of a sentence."""
    return words[:1].upper() + words[1:]


# --- the verdict


def _undecided_words(measured: Sweep) -> list[str]:
    lost = [f"{kind.words} ({kind.undecided:,})" for kind in measured.kinds if kind.undecided]
    if not lost:
        return []
    return [f"Some answers are not numbers; they count as wrong and as changed: {listed(lost)}."]


def _steady_words(measured: Sweep) -> list[str]:
    span = f"from brightness {LOWEST:g} to {HIGHEST:g}"
    steady = [kind for kind in measured.kinds if (kind.agreement == 1).all()]
    if not steady:
        return [f"Every kind of network changes some of its decisions {span}."]
    sentences = [
        f"These networks change none of their decisions on {measured.images} images {span}: "
        f"{listed(kind.words for kind in steady)}."
    ]
    scaled = [kind for kind in steady if kind.homogeneity.max() <= ROUNDING]
    others = [kind for kind in steady if kind not in scaled]
    if scaled:
        single = scientific(max(float(kind.homogeneity.max()) for kind in scaled))
        double = scientific(max(kind.homogeneity_double for kind in scaled))
        whom = f"For {listed(kind.words for kind in scaled)}" if others else "For them"
        sentences.append(
            f"{whom}, multiplying an image by a makes all outputs a times as large, f(ax) = a f(x), up to "
            f"rounding: the relative error is at most {single} in float32 and {double} in float64. The "
            "largest output stays the largest."
        )
    sentences += [
        f"{capital(kind.words)} keeps its decisions although f(ax) is not a f(x): the relative error reaches "
        f"{scientific(float(kind.homogeneity.max()))}."
        for kind in others
    ]
    return sentences


def _change_words(measured: Sweep) -> list[str]:
    """Say for every kind that changes a decision what that does to its accuracy, and its flat share."""
    sentences = []
    for kind in measured.kinds:
        if (kind.agreement == 1).all():
            continue
        light, normal, strong = (float(measured.accuracy(kind, a).mean()) for a in (0.1, NORMAL, HIGHEST))
        text = (
            f"{capital(kind.words)}: accuracy is {share_words(normal)} at brightness 1, "
            f"{share_words(light)} at 0.1 ({_points(light - normal)}) and "
            f"{share_words(strong)} at 10 ({_points(strong - normal)})."
        )
        if not kind.is_linear:
            at = [share_words(measured.saturation(kind, a)) for a in (NORMAL, HIGHEST)]
            text += f" Of the first layer's activations, {at[0]} are {kind.flat_word} at 1 and {at[1]} at 10."
        sentences.append(text)
    return sentences


def _order(first: np.ndarray, second: np.ndarray) -> int:
    """Tell whether all of first lie above (1) or below (-1) all of second; 0 if the ranges touch."""
    return int(first.min() > second.max()) - int(first.max() < second.min())


def _belief_words(measured: Sweep) -> list[str]:
    """Compare sigmoid with the linear networks by the share of decisions kept."""
    sigmoid = next((kind for kind in measured.kinds if kind.activation == "sigmoid"), None)
    linear = [kind for kind in measured.kinds if kind.is_linear]
    if sigmoid is None or not linear:
        return []
    kept = "; ".join(f"{kind.words}: {mean_words(kind.kept)}" for kind in (sigmoid, *linear))
    against = {sign: [k.words for k in linear if _order(sigmoid.kept, k.kept) == sign] for sign in (1, -1, 0)}
    words = {1: "true", -1: "false", 0: "undecided, since the seeds overlap,"}
    signs = [sign for sign in words if against[sign]]
    if len(signs) == 1:
        found = words[signs[0]].rstrip(",")
    else:
        found = listed(
            f"{words[sign]} against {listed(f'“{name}”' for name in against[sign])}" for sign in signs
        )
    return [
        f"The belief that a sigmoid keeps decisions steadier is **{found}** here. Decisions kept, averaged "
        f"over {len(BRIGHTNESSES)} brightnesses from {LOWEST:g} to {HIGHEST:g}: {kept}."
    ]


def _bias_words(measured: Sweep) -> list[str]:
    """Compare each kind that has biases with the one of the same activation that has none."""
    bare = {kind.activation: kind for kind in measured.kinds if not kind.has_bias}
    pairs = [(k, bare[k.activation]) for k in measured.kinds if k.has_bias and k.activation in bare]
    if not pairs:
        return []
    parts = "; ".join(
        f"{biased.words} keeps {mean_words(biased.kept)} of its decisions with biases and "
        f"{mean_words(free.kept)} without"
        for biased, free in pairs
    )
    orders = {_order(free.kept, biased.kept) for biased, free in pairs}
    meaning = {
        frozenset({1}): "So here the biases tie a decision to the brightness: they stay as they are while "
        "the image fades.",
        frozenset({-1}): "So here the biases make decisions steadier.",
    }
    settled = meaning.get(frozenset(orders), "So here the biases alone do not settle it.")
    return [f"{capital(parts)}. {settled}"]


def _bought_words(measured: Sweep) -> list[str]:
    """Say what an activation buys at brightness 1."""
    shares = [
        [measured.accuracy(kind, NORMAL) for kind in measured.kinds if kind.is_linear == linear]
        for linear in (True, False)
    ]
    if not all(shares):
        return []
    without, with_one = (np.concatenate(each) for each in shares)
    gain = float(with_one.mean() - without.mean())
    settled = {
        1: "every network with an activation beats every one without",
        -1: "every network without an activation beats every one with it",
        0: "the seeds overlap, so single networks do not settle it",
    }
    return [
        f"At brightness 1, networks without activation are right on {mean_words(without)} of the images, "
        f"networks with one on {mean_words(with_one)}: {_points(gain)}, and "
        f"{settled[_order(with_one, without)]}."
    ]


def verdict(measured: Sweep) -> list[str]:
    """Say in sentences what was measured, the belief first: who keeps decisions, who loses, and what for."""
    return [
        *_belief_words(measured),
        *_undecided_words(measured),
        *_steady_words(measured),
        *_bias_words(measured),
        *_change_words(measured),
        *_bought_words(measured),
    ]


# --- one image


def _difference_words(difference: float) -> str:
    """Write a difference as `share_words`, but small ones with their size: 0.012 %."""
    if not math.isfinite(difference):
        return f"an {scientific(difference)} share"
    clean = float(f"{difference:.9g}")  # 0.9999999999999999 is 100 %
    return percent(clean) if 0 < clean < LEAST_SHOWN else share_words(clean)


def _image_words(brightness: float) -> str:
    return f"The {'lighter' if brightness < NORMAL else 'darker'} image (× {brightness:g})"


def _strongest_words(names: Sequence[str], differences: Sequence[float]) -> str:
    """Say which layer shrinks the difference most; `differences` begins with the input's."""
    if not all(math.isfinite(each) for each in differences):
        return "Not every difference is a finite number, so no layer can be said to shrink it most."
    pairs = zip(names, differences[:-1], differences[1:], strict=True)
    left = [(after / before, name) for name, before, after in pairs if before > 0]
    least, most = min(left), max(left)
    if least[0] == 0:
        return f"{capital(least[1])} removes it altogether."
    if least[0] <= 1 - CLEAR_CHANGE:
        return f"{capital(least[1])} shrinks it most, to {_difference_words(least[0])} of what it was before."
    if most[0] >= 1 + CLEAR_CHANGE:
        return (
            f"No layer shrinks it by as much as {percent(CLEAR_CHANGE)}; {most[1]} enlarges it most, to "
            f"{_difference_words(most[0])} of what it was before."
        )
    return f"No layer changes it by as much as {percent(CLEAR_CHANGE)}: each hands it on."


def _difference_sentences(followed: Followed, place: int) -> str:
    """Say how far one brightness is from brightness 1, at the input and after every layer."""
    image = _image_words(followed.brightnesses[place])
    start = float(followed.input_difference[place])
    found = [float(layer.h_difference[place]) for layer in followed.layers]
    if not any((start, *found)):
        return f"{image} is the same as the normal one, and so is every layer's answer: the image is empty."
    hidden = [f"after {layer.name}" for layer in followed.layers[:-1]]
    stages = zip(found, [*hidden, "at the output"], strict=True)
    names = [*(layer.name for layer in followed.layers[:-1]), "the output layer"]
    answers = listed(f"{_difference_words(each)} {where}" for each, where in stages)
    return (
        f"{image} differs from the normal one by {_difference_words(start)} of its size. The answers to the "
        f"two differ by {answers}. {_strongest_words(names, [start, *found])}"
    )


def _decision_words(followed: Followed) -> str:
    """Say the class decided for at every brightness, with its probability, and whether it changes."""
    decided = [int(each) for each in followed.decisions]
    rows = zip(followed.brightnesses, decided, followed.probabilities, strict=True)
    said = listed(
        f"none at × {a:g}"
        if decision == NO_DECISION
        else f"{decision} at × {a:g} (probability {share_words(float(shares[decision]))})"
        for a, decision, shares in rows
    )
    if NO_DECISION in decided:
        return f"The decisions: {said}. Where there is none, an output is not a number."
    usual = decided[followed.normal]
    changed = [
        f"{a:g}" for a, decision in zip(followed.brightnesses, decided, strict=True) if decision != usual
    ]
    if changed:
        return f"The decisions: {said}. The decision changes at × {listed(changed)}."
    return f"The decisions: {said}. The decision stays the same."


def follow_words(followed: Followed) -> list[str]:
    """Say what is left of the difference to brightness 1 after each layer, and what is decided."""
    others = [place for place in range(len(followed.brightnesses)) if place != followed.normal]
    return [*(_difference_sentences(followed, place) for place in others), _decision_words(followed)]


def example_words(example: Example) -> list[str]:
    """Say what the believer's unit does, what it costs, and what the whole network does."""
    low, normal = (near_one(value) for value in example.h)
    entry = ACTIVATIONS[example.activation]
    unit = (
        f"Unit {example.unit} of layer {example.layer} (network {example.network + 1} of {example.networks})"
    )
    share = abs(example.slope[1]) / entry.slope_sup if entry.slope_sup else math.nan
    followed = example.followed
    lit, usual = (int(each) for each in followed.decisions)
    decided = f"stays {usual}" if lit == usual else f"changes from {usual} to {lit}"
    seen, answered = (
        share_words(float(each[0])) for each in (followed.input_difference, followed.layers[-1].h_difference)
    )
    return [
        f"{unit} answers {low} to image {example.image} at brightness {example.light:g} and {normal} at "
        f"brightness 1; the belief speaks of {CLAIMED[0]} and {CLAIMED[1]}.",
        f"The price is the slope: at brightness 1 it is {scientific(example.slope[1])}, which is "
        f"{share_words(share)} of the largest slope that {entry.label.lower()} has "
        f"({scientific(entry.slope_sup)}). The error signal through this unit is multiplied by it.",
        f"One unit is not the network. Units of this layer that move by {ALIKE:.3f} or less between the two "
        f"images: {example.alike} of {example.units}.",
        f"The image itself differs by {seen} of its length, the outputs of the whole network by {answered} "
        f"of theirs, and the decision {decided}.",
    ]
