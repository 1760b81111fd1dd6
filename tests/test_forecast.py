"""Forecasts: what theory expects beside what networks do at their first step."""

from __future__ import annotations

import math

import pytest

import nnlab
from nnlab.config import ExperimentConfig
from nnlab.forecast import at_start, beside, expectation, forecast, in_words, limits
from nnlab.run import Run
from nnlab.signal_theory import predict_signal

SIGMOID = ExperimentConfig(dataset="gaussian", depth=8, width=100, activation="sigmoid", steps=1)


@pytest.fixture(scope="module")
def pair() -> tuple[Run, Run]:
    return nnlab.train(SIGMOID), nnlab.train(SIGMOID.replace(activation="tanh"))


def test_theory_comes_near_what_is_measured_before_the_first_update(pair: tuple[Run, Run]) -> None:
    for run in pair:
        predicted, measured = forecast(run.config), at_start(run)
        assert predicted.gradient_ratio == pytest.approx(measured.gradient_ratio, rel=0.5)
        assert predicted.vanishing_index == pytest.approx(measured.vanishing_index, abs=0.05)
        assert predicted.saturation == pytest.approx(measured.saturation, abs=0.05)
        assert measured.gradient_ratio == run.records[0].network["gradient_ratio"]


def test_before_a_remedy_is_tried_its_effect_is_said_in_two_digits(pair: tuple[Run, Run]) -> None:
    said = expectation(pair[0], {"activation": "tanh"})
    ratios = [predict_signal(run.config).gradient_ratio for run in pair]
    assert said == f"Theory expects R to go from {ratios[0]:.1e} to {ratios[1]:.2g} at the start."


def test_afterwards_predicted_stands_beside_measured(pair: tuple[Run, Run]) -> None:
    said = in_words(*pair)
    measured = [run.records[0].network["gradient_ratio"] for run in pair]
    assert said.endswith(f"measured {measured[0]:.1e} → {measured[1]:.2g}.")
    table = beside(*pair)
    assert list(table.columns) == ["at the start", "predicted", "measured"]
    assert len(table) == 3
    assert table["measured"][0] == f"{measured[0]:.1e} → {measured[1]:.2g}"


def test_a_learning_rate_changes_nothing_at_the_start(pair: tuple[Run, Run]) -> None:
    said = expectation(pair[1], {"learning_rate": 0.01})
    assert "which a learning rate does not change" in said
    assert "before and after" in said


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"activation": "step"}, "slope 0"),
        ({"initializer": "lsuv"}, "within 10 %"),
        ({"normalization": "batch", "batch_size": 16}, "these have 16 examples"),
        ({"normalization": "batch"}, "unlike each other"),
        ({"depth": 50, "width": 32}, "scatter widely"),
    ],
)
def test_what_theory_cannot_say_is_said(fields: dict[str, object], words: str) -> None:
    assert words in " ".join(limits(ExperimentConfig(**fields)))


def test_theory_of_a_plain_network_has_no_limits_to_name() -> None:
    assert limits(ExperimentConfig(depth=6, width=64)) == ()


def test_what_leaves_the_range_of_numbers_is_said(pair: tuple[Run, Run]) -> None:
    assert "leaves the range of numbers" in expectation(pair[0], {"activation": "relu", "gain": 1e200})
    assert forecast(SIGMOID.replace(activation="step")).gradient_ratio == 0
    assert math.isnan(forecast(SIGMOID.replace(activation="step")).vanishing_index)
