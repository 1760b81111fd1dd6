"""Numbers as text, at every size."""

from __future__ import annotations

import math

import pytest

from nnlab.numerals import fraction, near_one, percent, scientific


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (2.09e-6, "2.1e-06"), (0.2345, "0.23"), (0.999, "1.0"), (1.0, "1.0"), (4.54, "4.5"),
        (12.3, "12"), (1234.0, "1234"), (19000.0, "1.9e+04"), (-0.5, "-0.5"), (1e-45, "1.0e-45"),
        (math.nan, "undefined"), (math.inf, "infinite"), (-math.inf, "minus infinite"),
    ],
)  # fmt: skip
def test_scientific(value, text):
    assert scientific(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0889e-6, "1 / 480,000"),
        (0.05, "1 / 20"),
        (0.3, "1 / 3"),
        (0.7, "0.7"),
        (0.0, "0"),
        (1e-20, "1.0e-20"),
    ],
)
def test_fraction(value, text):
    assert fraction(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (0.123, "12 %"), (0.0028, "0.28 %"), (1.0, "100 %"), (math.nan, "undefined")],
)
def test_percent(share, text):
    assert percent(share) == text


def test_near_one_shows_what_is_lacking():
    assert near_one(1 - 7.7e-13) == "1 - 7.7e-13"
    assert near_one(0.97) == "0.97"
