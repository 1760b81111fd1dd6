"""neuron: one neuron with three inputs, number by number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnlab.activation_facts import entry_of, reaches
from nnlab.numerals import near_one, scientific

INPUTS = 3
INPUT_LIMIT, BIAS_LIMIT = 20.0, 60.0  # sliders; a weighted sum then stays within 1,260
# Nearer to 1 than this, digits are no help and what is missing is said instead.
COUNTABLE_LACK = 1e-9


def _check_numbers(name: str, values: tuple[float, ...], limit: float) -> None:
    for value in values:
        is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or abs(value) > limit:
            allowed = f"a finite number from {-limit:g} to {limit:g}"
            raise ValueError(f"{name}: {value!r} is not allowed; allowed: {allowed}")


@dataclass(frozen=True)
class Neuron:
    """One neuron: output = phi(w1 x1 + w2 x2 + w3 x3 + b).

    Raises:
        ValueError: not three inputs and weights from -20 to 20, a bias beyond 60, an unknown activation.
    """

    inputs: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    activation: str

    def __post_init__(self) -> None:
        for name, values in (("inputs", self.inputs), ("weights", self.weights)):
            if len(values) != INPUTS:
                raise ValueError(f"{name}: {len(values)} numbers are not allowed; allowed: {INPUTS} numbers")
            _check_numbers(name, values, INPUT_LIMIT)
        _check_numbers("bias", (self.bias,), BIAS_LIMIT)
        entry_of(self.activation)

    @cached_property
    def products(self) -> tuple[float, ...]:
        """What each input adds to the sum: weight times input."""
        return tuple(float(w * x) for w, x in zip(self.weights, self.inputs, strict=True))

    @cached_property
    def z(self) -> float:
        """The weighted sum with the bias, rounded once."""
        return math.fsum((*self.products, self.bias))

    @cached_property
    def output(self) -> float:
        """phi(z)."""
        return float(entry_of(self.activation).function(np.float64(self.z)))

    @cached_property
    def slope(self) -> float:
        """phi'(z), as backpropagation takes it."""
        return float(entry_of(self.activation).derivative(np.float64(self.z)))

    @property
    def label(self) -> str:
        """The activation's name for readers."""
        return entry_of(self.activation).label


def digits(value: float) -> str:
    """Write a number with the digits that tell it from 1 and -1: 0.99995, not 1.0; 39; 0.1411; 4.54e-05."""
    if not math.isfinite(value):
        return scientific(value)
    lack = 1 - abs(value)
    if COUNTABLE_LACK < lack < 0.1:
        text = f"{abs(value):.{math.ceil(-math.log10(lack))}f}"
        text = text if float(text) < 1 else f"{abs(value):.{math.ceil(-math.log10(lack)) + 1}f}"
        return text.rstrip("0") if value > 0 else f"-{text}".rstrip("0")
    if 0 < lack <= COUNTABLE_LACK:
        return near_one(value) if value > 0 else f"-({near_one(-value)})"
    return f"{value:g}" if abs(value) >= 1 else f"{value:.4g}"


def exact_or_about(value: float) -> str:
    """Write "= 39" where the digits are all there are, "≈ 0.95" where they are rounded."""
    text = digits(value)
    if not math.isfinite(value) or "(" in text or " - " in text:
        return f"≈ {text}"
    return f"= {text}" if math.isclose(float(text), value, rel_tol=1e-14, abs_tol=0) else f"≈ {text}"


def _factor(value: float) -> str:
    return f"({value:g})" if value < 0 else f"{value:g}"


def _is_rounded_to_a_limit(neuron: Neuron) -> bool:
    limits = entry_of(neuron.activation).range
    return neuron.output in limits and not reaches(neuron.activation, neuron.output)


def in_words(neuron: Neuron) -> str:
    """Write the whole computation in one line: "2 · 3 + ... + 1 = 3; Sigmoid(3) ≈ 0.95"."""
    terms = [f"{x:g} · {_factor(w)}" for x, w in zip(neuron.inputs, neuron.weights, strict=True)]
    terms = [terms[0], *(f"({term})" if term.startswith("-") else term for term in terms[1:])]
    bias = f"- {-neuron.bias:g}" if neuron.bias < 0 else f"+ {neuron.bias:g}"
    called = f"{neuron.label}({neuron.z:g})"
    line = f"{' + '.join(terms)} {bias} {exact_or_about(neuron.z)}; {called}"
    if _is_rounded_to_a_limit(neuron):
        return f"{line} ≈ {digits(neuron.output)}, nearer to it than a computer's 16 digits can show"
    return f"{line} {exact_or_about(neuron.output)}"


def check_which(which: int) -> int:
    """Give the position of an input.

    Raises:
        ValueError: which is not 0, 1 or 2.
    """
    if isinstance(which, bool) or which not in range(INPUTS):
        raise ValueError(f"which: {which!r} is not allowed; allowed: 0, 1, 2")
    return which


def at_zero(neuron: Neuron, which: int) -> float:
    """Give z as it would be if one input were 0."""
    others = [product for place, product in enumerate(neuron.products) if place != check_which(which)]
    return math.fsum((*others, neuron.bias))


def threshold(neuron: Neuron, which: int) -> float | None:
    """Give the value of one input at which z = 0 if the others stay; None if no value does it."""
    base, weight = at_zero(neuron, which), neuron.weights[which]
    if weight == 0:
        return None
    value = -base / weight + 0.0  # + 0.0 turns -0.0 into 0.0
    return value if math.isfinite(value) else None


def threshold_in_words(neuron: Neuron, which: int) -> str:
    """Say where one input makes z change its sign, and on which side it is now."""
    edge, name, now = threshold(neuron, which), f"x{which + 1}", neuron.inputs[which]
    if edge is None:
        return (
            f"The weight of {name} is {neuron.weights[which]:g}, so {name} cannot move z = {neuron.z:g} to 0."
        )
    rising = "above" if neuron.weights[which] > 0 else "below"
    if now == edge:
        place = f"{name} is exactly there"
    else:
        place = f"{name} = {now:g} lies {'above' if now > edge else 'below'} it, so z = {neuron.z:g}"
    return f"z is positive when {name} is {rising} {edge:.4g}, and 0 at that value. Now {place}."


@dataclass(frozen=True)
class NeuronPreset:
    """A neuron worth looking at; `label` and `shows` are written from its numbers."""

    name: str
    neuron: Neuron
    topic: str = ""
    lesson: str = ""

    @property
    def label(self) -> str:
        """The preset's topic, or its result: "Sigmoid(3) ≈ 0.95"."""
        return self.topic or self.result

    @property
    def result(self) -> str:
        """The last step of the computation."""
        return f"{self.neuron.label}({self.neuron.z:g}) {exact_or_about(self.neuron.output)}"

    @property
    def shows(self) -> str:
        """What the neuron shows, with its numbers."""
        slope = f"the slope there is {digits(self.neuron.slope)}"
        if self.neuron.slope == 0:
            meaning = "so no weight learns from this example"
        else:
            meaning = "which is what an error signal is multiplied by on its way back"
        return " ".join(part for part in (self.lesson, f"{self.result}; {slope}, {meaning}.") if part)


_PRESETS = (
    NeuronPreset("relu_silent", Neuron((2.0, 3.0, 1.0), (-10.0, -15.0, 5.0), 5.0, "relu")),
    NeuronPreset("relu_active", Neuron((2.0, 3.0, 1.0), (10.0, 5.0, 4.0), 0.0, "relu")),
    NeuronPreset("sigmoid_3", Neuron((1.0, 2.0, -1.0), (1.0, 1.0, 1.0), 1.0, "sigmoid")),
    NeuronPreset("sigmoid_10", Neuron((1.0, 2.0, -1.0), (1.0, 1.0, 1.0), 8.0, "sigmoid")),
    NeuronPreset(
        "threshold",
        Neuron((5.0, 0.0, 0.0), (1.0, 0.0, 0.0), -3.0, "relu"),
        "A bias as a threshold",
        "A negative bias keeps the neuron silent until the input has passed it.",
    ),
    NeuronPreset(
        "inhibiting",
        Neuron((4.0, 3.0, 6.0), (1.0, 2.0, -2.0), 0.0, "relu"),
        "An inhibiting input",
        "Two inputs speak for the output and one, with a negative weight, speaks against it.",
    ),
)

NEURON_PRESETS: dict[str, NeuronPreset] = {preset.name: preset for preset in _PRESETS}
