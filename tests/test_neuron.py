"""One neuron: its arithmetic against exact fractions and autograd, its words against its numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from nnlab.activations import ACTIVATIONS
from nnlab.neuron import (
    NEURON_PRESETS,
    Neuron,
    at_zero,
    digits,
    exact_or_about,
    in_words,
    threshold,
    threshold_in_words,
)

TENTHS = Neuron((0.1, -2.5, 19.9), (0.3, 7.7, -0.1), 0.7, "tanh")


def exact_sum(neuron: Neuron) -> Fraction:
    pairs = zip(neuron.weights, neuron.inputs, strict=True)
    return sum((Fraction(w) * Fraction(x) for w, x in pairs), Fraction(neuron.bias))


@pytest.mark.parametrize("neuron", [TENTHS, *(p.neuron for p in NEURON_PRESETS.values())])
def test_the_weighted_sum_is_the_exact_one_rounded(neuron):
    assert neuron.z == pytest.approx(float(exact_sum(neuron)), rel=1e-14)
    assert neuron.products == tuple(w * x for w, x in zip(neuron.weights, neuron.inputs, strict=True))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_output_and_slope_are_those_of_torch(name):
    module = ACTIVATIONS[name].module
    own = {"step": lambda t: (t > 0) + t * 0, "sine": torch.sin, "cosine": torch.cos}
    phi = own[name] if name in own else getattr(torch.nn, module)()
    for bias in (-6.0, -0.3, 0.0, 0.4, 5.0):
        neuron = Neuron((0.5, 1.0, -1.0), (1.0, 0.2, 0.7), bias, name)
        z = torch.tensor(neuron.z, dtype=torch.float64, requires_grad=True)
        h = phi(z)
        (slope,) = torch.autograd.grad(h, z)
        assert neuron.output == pytest.approx(h.item(), rel=1e-12, abs=1e-15)
        assert neuron.slope == pytest.approx(slope.item(), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(
    ("name", "z", "output", "label"),
    [
        ("relu_silent", -55, 0.0, "ReLU(-55) = 0"),
        ("relu_active", 39, 39.0, "ReLU(39) = 39"),
        ("sigmoid_3", 3, 0.9525741268224334, "Sigmoid(3) ≈ 0.95"),
        ("sigmoid_10", 10, 0.9999546021312976, "Sigmoid(10) ≈ 0.99995"),
        ("threshold", 2, 2.0, "A bias as a threshold"),
        ("inhibiting", -2, 0.0, "An inhibiting input"),
    ],
)
def test_presets_give_the_numbers_of_the_lesson(name, z, output, label):
    preset = NEURON_PRESETS[name]
    assert preset.neuron.z == z
    assert preset.neuron.output == pytest.approx(output, rel=1e-15)
    assert preset.label == label
    assert preset.result in preset.shows
    assert ("no weight learns" in preset.shows) == (preset.neuron.slope == 0)


def test_the_bias_preset_is_silent_until_its_input_passes_three():
    neuron = NEURON_PRESETS["threshold"].neuron
    assert threshold(neuron, 0) == 3.0
    for x, output in ((-20.0, 0.0), (2.999, 0.0), (3.0, 0.0), (3.5, 0.5), (20.0, 17.0)):
        assert Neuron((x, 0.0, 0.0), neuron.weights, neuron.bias, "relu").output == output


def test_threshold_is_where_the_sum_is_zero():
    for which in range(3):
        edge = threshold(TENTHS, which)
        inputs = [Fraction(x) for x in TENTHS.inputs]
        inputs[which] = Fraction(edge)
        exact = sum(Fraction(w) * x for w, x in zip(TENTHS.weights, inputs, strict=True)) + Fraction(
            TENTHS.bias
        )
        assert abs(float(exact)) < 1e-12
        assert at_zero(TENTHS, which) == pytest.approx(TENTHS.z - TENTHS.products[which])


def test_no_threshold_where_the_weight_is_zero():
    neuron = Neuron((1.0, 2.0, 3.0), (0.0, 1.0, 1.0), 1.0, "relu")
    assert threshold(neuron, 0) is None
    assert threshold_in_words(neuron, 0) == "The weight of x1 is 0, so x1 cannot move z = 6 to 0."
    tiny = Neuron((1.0, 20.0, 3.0), (5e-324, 20.0, 1.0), 1.0, "relu")
    assert threshold(tiny, 0) is None


def test_threshold_words_follow_the_sign_of_the_weight():
    neuron = NEURON_PRESETS["inhibiting"].neuron
    assert threshold_in_words(neuron, 0) == (
        "z is positive when x1 is above 6, and 0 at that value. Now x1 = 4 lies below it, so z = -2."
    )
    assert threshold_in_words(neuron, 2).startswith("z is positive when x3 is below 5")
    at_edge = Neuron((3.0, 0.0, 0.0), (1.0, 0.0, 0.0), -3.0, "relu")
    assert "x1 is exactly there" in threshold_in_words(at_edge, 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9999546021312976, "0.99995"), (0.9525741268224334, "0.95"), (0.999, "0.999"),
        (1.0, "1"), (-1.0, "-1"),
        (-0.9999546021312976, "-0.99995"), (1 - 1e-12, "1 - 1.0e-12"), (39.0, "39"), (1259.5, "1259.5"),
        (0.0, "0"), (4.539786870243442e-05, "4.54e-05"), (0.1411200080598672, "0.1411"),
        (math.nan, "undefined"),
        (0.5, "0.5"), (1.0000001, "1"), (-(1 - 1e-12), "-(1 - 1.0e-12)"),
    ],
)  # fmt: skip
def test_digits(value, text):
    assert digits(value) == text


def test_no_number_below_one_is_written_as_one():
    for exponent in np.linspace(-16, -0.01, 400):
        value = 1 - 10.0**exponent
        if value < 1:
            assert digits(value) != "1"
            assert not digits(value).startswith("1.")


def test_equals_only_where_it_is():
    assert exact_or_about(39.0) == "= 39"
    assert exact_or_about(0.95) == "= 0.95"
    assert exact_or_about(0.9525741268224334) == "≈ 0.95"
    assert exact_or_about(1 / 3) == "≈ 0.3333"
    assert exact_or_about(1 - 1e-12).startswith("≈")


def test_the_line_of_words_is_the_whole_computation():
    assert in_words(NEURON_PRESETS["relu_silent"].neuron) == (
        "2 · (-10) + 3 · (-15) + 1 · 5 + 5 = -55; ReLU(-55) = 0"
    )
    assert in_words(NEURON_PRESETS["sigmoid_10"].neuron) == (
        "1 · 1 + 2 · 1 + (-1 · 1) + 8 = 10; Sigmoid(10) ≈ 0.99995"
    )
    assert " - 3 = 2; ReLU(2) = 2" in in_words(NEURON_PRESETS["threshold"].neuron)


def test_an_output_that_only_rounds_to_its_limit_is_not_called_equal():
    far = Neuron((20.0, 20.0, 0.0), (1.0, 1.0, 0.0), 0.0, "sigmoid")
    assert far.output == 1.0
    assert "≈ 1, nearer to it than" in in_words(far)
    clipped = Neuron((20.0, 20.0, 0.0), (1.0, 1.0, 0.0), 0.0, "hardtanh")
    assert in_words(clipped).endswith("Hardtanh(40) = 1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": (1.0, 2.0)}, r"^inputs: 2 numbers are not allowed; allowed: 3 numbers$"),
        (
            {"inputs": (1.0, 2.0, 20.5)},
            r"^inputs: 20.5 is not allowed; allowed: a finite number from -20 to 20$",
        ),
        ({"weights": (1.0, math.nan, 0.0)}, r"^weights: nan is not allowed"),
        ({"weights": (1.0, "2", 0.0)}, r"^weights: '2' is not allowed"),
        ({"bias": math.inf}, r"^bias: inf is not allowed; allowed: a finite number from -60 to 60$"),
        ({"bias": True}, r"^bias: True is not allowed"),
        ({"activation": "rely"}, r"^activation: 'rely' is not known"),
    ],
)
def test_bad_neurons_are_refused_in_one_sentence(change, message):
    good = {"inputs": (1.0, 2.0, 3.0), "weights": (1.0, 1.0, 1.0), "bias": 0.0, "activation": "relu"}
    Neuron(**good)
    with pytest.raises(ValueError, match=message):
        Neuron(**(good | change))


@pytest.mark.parametrize("which", [3, -1, True, "0"])
def test_there_are_three_inputs_to_ask_for(which):
    with pytest.raises(ValueError, match=r"^which: .* is not allowed; allowed: 0, 1, 2$"):
        threshold(TENTHS, which)
