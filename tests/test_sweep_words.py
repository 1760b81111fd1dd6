"""Findings of a sweep in words, against numbers made up for them."""

from __future__ import annotations

import math

import pytest

from nnlab.sweep_words import findings
from tests.swept_rows import swept

GOOD = {"tanh": {2, 5, 10}, "relu": {2, 5}, "gelu": set(), "silu": {10}, "elu": {2, 10}}


def learned(cell):
    good = cell.depth in GOOD[cell.activation]
    return {
        "test_accuracy": 0.95 - cell.depth / 1000 if good else 0.1,
        "gradient_ratio": 1.0 if good else 1e-6,
    }


def test_it_says_for_each_value_how_far_it_trains():
    rows = swept({"activation": tuple(GOOD), "depth": (10, 2, 5)}, 3, learned)
    first, best, signal = findings(rows)
    assert first.startswith("**Which depth trains**")
    assert "Tanh **at all**; ReLU **up to 5**; GELU **at none**; SiLU (Swish) **from 10 on**" in first
    assert "ELU **at 2 and 10**" in first
    assert "The best is Tanh at depth 2 with **95 %**" in best
    assert "in 7 of 15 combinations; none of these trains" in signal


def test_of_one_field_of_names_it_lists_those_that_train():
    rows = swept({"activation": ("tanh", "relu", "gelu")}, 1, lambda c: learned(c.replace(depth=5)))
    first, best, *_ = findings(rows)
    assert first == "**2 of 3 train** (at least 90 % of the test split right): Tanh and ReLU."
    assert best.startswith("The best is Tanh")


def test_a_switch_is_said_beside_a_name():
    rows = swept(
        {"initializer": ("lsuv", "orthogonal"), "residual": (False, True)},
        2,
        lambda c: {"test_accuracy": 0.95 if c.residual and c.initializer == "lsuv" else 0.2},
    )
    assert findings(rows)[0].startswith("**1 of 4 trains** (at least 90 % of the test split right): LSUV")
    assert findings(rows)[0].endswith(", residual true.")


def test_where_nothing_trains_it_names_the_best():
    rows = swept({"depth": (2, 5)}, 2, lambda c: {"test_accuracy": 0.3 / c.depth})
    assert "**Nothing here trains**" in findings(rows)[0]
    assert "depth 2 with 15 %" in findings(rows)[0]


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (lambda _: None, "No run could be trained."),
        (lambda _: {"test_accuracy": math.nan}, "no test accuracy to compare"),
    ],
)
def test_without_an_accuracy_there_is_nothing_to_compare(numbers, said):
    (only,) = findings(swept({"depth": (2, 5)}, 2, numbers))
    assert said in only


def test_what_was_lost_is_counted_and_what_grows_is_said():
    def numbers(cell):
        if cell.seed == 2:
            return None
        return {"test_accuracy": 0.95, "gradient_ratio": 100.0 * cell.depth}

    said = " ".join(findings(swept({"depth": (2, 5)}, 3, numbers)))
    assert "above 20 times the last hidden layer's in 2 of 2; all of these train all the same" in said
    assert "2 runs could not be trained." in said


def test_no_finished_run_is_no_finding():
    rows = swept({"depth": (2, 5)}, 1, learned)
    assert findings(type(rows)(rows.axes, ())) == ()
