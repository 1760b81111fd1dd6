"""Softmax: against torch, finite differences and hand-worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax as scipy_softmax
from scipy.stats import entropy as scipy_entropy

from nnlab.softmax import (
    check_scores,
    check_temperature,
    cross_entropy,
    entropy,
    gradient,
    probability,
    shift_difference,
    shift_in_words,
    softmax,
    temperature_in_words,
)

SCORES = [2.0, 1.0, 0.1]
CASES = [SCORES, [0.0, 0.0, 0.0], [-5.0, 12.0, 3.0, 7.5, 0.25], [1000.0, 999.0, -1000.0, 0.0]]
TEMPERATURES = [0.05, 0.5, 1.0, 3.0, 20.0]


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("scores", CASES)
def test_softmax_is_that_of_scipy_and_torch(scores, temperature):
    p = softmax(scores, temperature)
    scaled = np.array(scores) / temperature
    np.testing.assert_allclose(p, scipy_softmax(scaled), rtol=1e-12, atol=1e-300)
    by_torch = torch.softmax(torch.tensor(scores, dtype=torch.float64) / temperature, 0).numpy()
    np.testing.assert_allclose(p, by_torch, rtol=1e-12, atol=1e-300)
    assert math.fsum(p) == pytest.approx(1, abs=1e-15)


def test_softmax_by_hand():
    assert softmax([math.log(1), math.log(2), math.log(5)]).tolist() == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert softmax([math.log(1), math.log(2), math.log(5)], 0.5).tolist() == pytest.approx(
        [1 / 30, 4 / 30, 25 / 30]
    )


@pytest.mark.parametrize("scores", [[1e6, -1e6, 0.0], [710.0, 0.0, 0.0]])
@pytest.mark.parametrize("temperature", [1e-300, 0.01, 1.0])
def test_large_scores_and_small_temperatures_neither_overflow_nor_warn(scores, temperature):
    assert softmax(scores, temperature).tolist() == pytest.approx([1, 0, 0], abs=1e-300)


def test_a_batch_is_taken_row_by_row():
    both = softmax(np.array([SCORES, [3.0, 1.0, 2.0]]), 2.0)
    assert both[0].tolist() == softmax(SCORES, 2.0).tolist()
    assert both[1].tolist() == softmax([3.0, 1.0, 2.0], 2.0).tolist()


@pytest.mark.parametrize("scores", CASES)
def test_entropy_is_that_of_scipy(scores):
    p = softmax(scores, 3.0)
    assert entropy(p) == pytest.approx(float(scipy_entropy(p)), rel=1e-12, abs=1e-15)


def test_entropy_has_its_two_ends():
    assert entropy([1.0, 0.0, 0.0]) == 0
    assert entropy([0.25] * 4) == pytest.approx(math.log(4), rel=1e-15)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("scores", CASES)
@pytest.mark.parametrize("target", [0, 2])
def test_loss_and_gradient_are_those_of_autograd(scores, temperature, target):
    leaf = torch.tensor(scores, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.cross_entropy((leaf / temperature)[None], torch.tensor([target]))
    loss.backward()
    assert cross_entropy(scores, target, temperature) == pytest.approx(loss.item(), rel=1e-12, abs=1e-15)
    np.testing.assert_allclose(
        gradient(scores, target, temperature), leaf.grad.numpy(), rtol=1e-9, atol=1e-14
    )


def test_gradient_is_the_finite_difference():
    for place in range(3):
        step = np.eye(3)[place] * 1e-6
        up, down = (cross_entropy(np.array(SCORES) + sign * step, 1, 0.7) for sign in (1, -1))
        assert gradient(SCORES, 1, 0.7)[place] == pytest.approx((up - down) / 2e-6, abs=1e-8)


def test_a_hopeless_target_keeps_its_gradient():
    found = gradient([1000.0, 0.0, 0.0], 1)
    assert found.tolist() == [1, -1, 0]
    assert cross_entropy([1000.0, 0.0, 0.0], 1) == 1000


def test_shifting_all_scores_changes_nothing():
    assert shift_difference(SCORES, 0.0) == 0
    assert shift_difference(SCORES, 123.4, 0.5) < 1e-12
    assert shift_difference([0.0, 1.0, 2.0], 4.0) == 0  # exact in binary
    assert shift_in_words([0.0, 1.0, 2.0], 4.0).endswith("not even in the last digit.")
    words = shift_in_words(SCORES, 100.3)
    difference = np.abs(softmax(np.array(SCORES) + 100.3) - softmax(SCORES)).max()
    assert difference > 0
    assert f"{difference:.1e}" in words


def test_temperature_words_hold_the_numbers():
    words = temperature_in_words(SCORES, 0.5)
    now = scipy_softmax(np.array(SCORES) / 0.5)
    assert f"largest probability is {now.max():.2g} (class 1)" in words
    assert f"entropy is {scipy_entropy(now):.3g}" in words
    assert f"ln 3 = {math.log(3):.3g}" in words
    assert f"At temperature 1 it would be {scipy_softmax(SCORES).max():.2g}" in words
    assert words.endswith("sharper.")
    assert temperature_in_words(SCORES, 4).endswith("flatter.")
    assert "would be" not in temperature_in_words(SCORES, 1)
    equal = temperature_in_words([1.0, 1.0, 1.0], 5)
    assert "classes 1, 2, 3 alike" in equal
    assert equal.endswith("no temperature changes anything.")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.876, "0.88"), (2.1e-9, "2.1e-09"), (1 - 7.9e-9, "1 - 7.9e-09"), (0.995, "0.995"), (0, "0")],
)
def test_probability_never_shows_as_zero_or_one_unless_it_is(value, text):
    assert probability(value) == text


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf, "1", None, True])
def test_temperature_must_be_above_zero(temperature):
    for call in (check_temperature, lambda t: softmax(SCORES, t), lambda t: gradient(SCORES, 0, t)):
        with pytest.raises(
            ValueError, match=r"^temperature: .* is not allowed; allowed: a finite number above 0$"
        ):
            call(temperature)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([1.0, 2.0], r"^scores: 2 scores are not allowed; allowed: 3 to 5 scores$"),
        ([1.0] * 6, r"^scores: 6 scores are not allowed"),
        ([1.0, math.nan, 2.0], r"^scores: nan is not allowed; allowed: finite numbers"),
        ([1.0, 2.0, 1e7], r"^scores: 10000000.0 is not allowed"),
        ([1.0, "2", 3.0], r"^scores: '2' is not allowed"),
    ],
)
def test_scores_are_checked(scores, message):
    with pytest.raises(ValueError, match=message):
        check_scores(scores)


@pytest.mark.parametrize("target", [3, -1, True])
def test_target_must_be_a_class(target):
    with pytest.raises(ValueError, match=r"^target: .* is not allowed; allowed: 0 to 2$"):
        gradient(SCORES, target)
