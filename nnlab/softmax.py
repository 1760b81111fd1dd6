"""softmax: scores become probabilities, sharper or flatter with a temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nnlab.numerals import near_one, scientific

FEWEST_CLASSES, MOST_CLASSES = 3, 5  # sliders on a page; the formulas know no limit
SCORE_LIMIT = 1e6  # a shift beyond loses the digits that tell scores apart


def check_temperature(temperature: object) -> float:
    """Give the temperature as a float.

    Raises:
        ValueError: it is no finite number above 0.
    """
    is_number = isinstance(temperature, (int, float, np.floating)) and not isinstance(temperature, bool)
    if not is_number or not 0 < float(temperature) < math.inf:  # type: ignore[arg-type]
        raise ValueError(f"temperature: {temperature!r} is not allowed; allowed: a finite number above 0")
    return float(temperature)  # type: ignore[arg-type]


def check_scores(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """Give the scores as float64, shape (classes,).

    Raises:
        ValueError: fewer than 3 or more than 5 scores, or one that is not finite or beyond 1e6.
    """
    count = len(scores)
    if not FEWEST_CLASSES <= count <= MOST_CLASSES:
        allowed = f"{FEWEST_CLASSES} to {MOST_CLASSES} scores"
        raise ValueError(f"scores: {count} scores are not allowed; allowed: {allowed}")
    for score in scores:
        is_number = isinstance(score, (int, float, np.integer, np.floating)) and not isinstance(score, bool)
        if not is_number or not abs(float(score)) <= SCORE_LIMIT:
            allowed = f"finite numbers from {-SCORE_LIMIT:,.0f} to {SCORE_LIMIT:,.0f}"
            raise ValueError(f"scores: {score!r} is not allowed; allowed: {allowed}")
    return np.asarray(scores, dtype=float)


def softmax(scores: Sequence[float] | np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Give exp(s/T) / sum exp(s/T) over the last axis, with the largest score moved to 0 first.

    Bridle 1990; the temperature is Hinton, Vinyals & Dean 2015, equation 1. Without the move exp would
    overflow beyond a score of 709.

    Raises:
        ValueError: the temperature is no finite number above 0.
    """
    check_temperature(temperature)
    array = np.asarray(scores, dtype=float)
    with np.errstate(over="ignore"):  # -inf, whose exp is the 0 that is meant
        powers = np.exp((array - array.max(axis=-1, keepdims=True)) / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


def entropy(probabilities: Sequence[float] | np.ndarray) -> float:
    """Give -sum p ln p in nats, with 0 ln 0 = 0 (Shannon 1948): 0 is certain, ln n is all alike."""
    p = np.asarray(probabilities, dtype=float)
    used = p[p > 0]
    return math.fsum(-used * np.log(used)) + 0.0


def cross_entropy(scores: Sequence[float] | np.ndarray, target: int, temperature: float = 1.0) -> float:
    """Give -ln of the target's probability, finite where the probability itself rounds to 0.

    Raises:
        ValueError: target is no class, or the temperature is no finite number above 0.
    """
    array = np.asarray(scores, dtype=float) / check_temperature(temperature)
    top = array.max()
    return float(top - array[_check_target(array, target)] + np.log(np.exp(array - top).sum()))


def gradient(scores: Sequence[float] | np.ndarray, target: int, temperature: float = 1.0) -> np.ndarray:
    """Give dLoss/dscores of the cross-entropy, (p - onehot) / T: bounded, so the output does not saturate.

    Raises:
        ValueError: target is no class, or the temperature is no finite number above 0.
    """
    p = softmax(scores, temperature)
    onehot = np.zeros_like(p)
    onehot[_check_target(p, target)] = 1.0
    return (p - onehot) / temperature


def _check_target(scores: np.ndarray, target: int) -> int:
    if isinstance(target, bool) or target not in range(len(scores)):
        raise ValueError(f"target: {target!r} is not allowed; allowed: 0 to {len(scores) - 1}")
    return target


def shift_difference(scores: Sequence[float] | np.ndarray, shift: float, temperature: float = 1.0) -> float:
    """Give the largest change of a probability when one number is added to every score."""
    array = check_scores(scores)
    return float(np.abs(softmax(array + shift, temperature) - softmax(array, temperature)).max())


def largest_change(scores: Sequence[float] | np.ndarray, temperature: float) -> float:
    """Give the largest probability less what it is at temperature 1."""
    array = check_scores(scores)
    return float(softmax(array, temperature).max() - softmax(array).max())


def probability(value: float) -> str:
    """Write a probability so that it never shows as 0 or 1 unless it is: 0.88, 2.1e-09, "1 - 4.5e-05"."""
    return near_one(value) if value > 0.99 else scientific(value)


def temperature_in_words(scores: Sequence[float] | np.ndarray, temperature: float) -> str:
    """Say what the temperature does to these scores, with the largest probability and the entropy."""
    array = check_scores(scores)
    now, plain = softmax(array, temperature), softmax(array)
    top, guess = float(now.max()), math.log(len(array))
    holders = [str(place + 1) for place in np.flatnonzero(now == top)]
    who = f"class {holders[0]}" if len(holders) == 1 else f"classes {', '.join(holders)} alike"
    first = (
        f"At temperature {temperature:g} the largest probability is {probability(top)} ({who}). The entropy "
        f"is {entropy(now):.3g}, where 0 is certain and ln {len(array)} = {guess:.3g} is a pure guess."
    )
    if temperature == 1:
        return first
    if np.ptp(array) == 0:
        return f"{first} All scores are equal, so no temperature changes anything."
    change = "sharper" if temperature < 1 else "flatter"
    return (
        f"{first} At temperature 1 it would be {probability(float(plain.max()))}: dividing the scores by "
        f"{temperature:g} makes the choice {change}."
    )


def shift_in_words(scores: Sequence[float] | np.ndarray, shift: float, temperature: float = 1.0) -> str:
    """Say by how much the probabilities change when one number is added to every score."""
    difference = shift_difference(scores, shift, temperature)
    if difference == 0:
        return f"Adding {shift:g} to every score changes no probability, not even in the last digit."
    return (
        f"Adding {shift:g} to every score changes no probability by more than {scientific(difference)}, "
        "which is rounding: only differences between scores count."
    )
