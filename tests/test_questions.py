"""The lessons' questions: every one has one true answer, and it is the one that is measured."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from nnlab.questions import QUESTIONS


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_number_that_can_be_measured_has_exactly_one_answer(name):
    options = QUESTIONS[name].options
    ends = sorted((option.low, option.high) for option in options)
    assert all(high == low for (_, high), (low, _) in pairwise(ends))
    for option in options:
        inside = option.low if math.isfinite(option.low) else option.high - 1
        assert QUESTIONS[name].truth(inside) == option


@pytest.mark.parametrize("name", QUESTIONS)
def test_answers_differ_in_their_words(name):
    words = [option.words for option in QUESTIONS[name].options]
    assert 2 < len(set(words)) == len(words)


def test_a_right_guess_a_wrong_one_and_none():
    question = QUESTIONS["slope"]
    assert "You guessed right" in question.answer("a quarter", 0.25, "0.25")
    wrong = question.answer("a half", 0.25, "0.25")
    assert "You guessed *a half*" in wrong
    assert "**0.25**" in wrong
    assert "**a quarter**" in wrong
    assert "no guess" in question.answer(None, 0.25, "0.25")


@pytest.mark.parametrize("measured", [np.nan, -1.0])
def test_a_number_that_cannot_be_is_refused(measured):
    with pytest.raises(ValueError, match="slope"):
        QUESTIONS["slope"].truth(measured)
