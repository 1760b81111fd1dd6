"""The comparison of drawn networks with theory, and the words for it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nnlab.agreement import agreement, agreement_table, agreements
from nnlab.config import ExperimentConfig
from nnlab.ensemble import Ensemble
from nnlab.prediction import predict
from nnlab.random_network import RandomNetwork


def test_means_are_geometric_and_chance_is_two_standard_errors():
    values = np.array([1.0, 4.0, 2.0, 2.0])
    found = agreement("x", 2.0, values)
    assert found.measured == pytest.approx(2.0)
    assert (found.low, found.high, found.networks) == (1.0, 4.0, 4)
    # logs in units of ln 2: 0, 2, 1, 1, so a sample variance of 2/3 and a standard error of sqrt(1/6)
    assert found.chance == pytest.approx(2 ** (2 / math.sqrt(6)) - 1)


@pytest.mark.parametrize(
    ("theory", "values", "words"),
    [
        (1.0, [1.03, 1.03], "agrees within 3 %"),
        (1.0, [0.999, 0.999], "agrees within 1 %"),
        (1.0, [0.8, 0.8], "close: 20 % apart"),
        (1.0, [0.6, 0.6], "differs: 1.7 times less"),
        (1.0, [5.0, 5.0], "differs: 5.0 times more"),
        (1.0, [1e-30, 1e-30], "differs: 1.0e+30 times less"),
        (1.0, [1.4, 1.4], "differs: 40 % apart"),
        (1.0, [0.2, 2.0], "agrees within chance: 37 % apart"),
        (0.0, [0.0, 0.0], "agrees: both exactly 0"),
        (1.0, [0.0, math.nan], "cannot be compared: a number is 0 or not finite"),
        (math.inf, [1.0, 2.0], "cannot be compared: a number is 0 or not finite"),
        (math.nan, [math.nan], "cannot be compared: a number is 0 or not finite"),
        (1.0, [1.2], "close: 20 % apart"),
    ],
)
def test_verdicts(theory, values, words):
    assert agreement("x", theory, np.array(values)).words == words


def test_what_has_no_logarithm_is_counted_and_left_out():
    found = agreement("x", 2.0, np.array([0.0, math.nan, math.inf, 2.0, 2.0]))
    assert (found.undefined, found.zeros, found.networks) == (3, 1, 5)
    assert found.measured == pytest.approx(2.0)
    assert agreement("x", 1.0, np.array([1.5, 1.5])).is_apart
    assert not agreement("x", 1.0, np.array([0.2, 2.0])).is_apart
    assert not agreement("x", 1.0, np.array([math.nan])).is_apart


def ensemble_of(network, **layers):
    depth = network.config.depth
    usual = {"pre_activation_std": 1.0, "activation_std": 1.0, "slope_power": 1.0} | layers
    filled = {name: np.full((2, depth), value) for name, value in usual.items()}
    filled["relative_to_last_hidden"] = np.full((2, depth), 0.5)
    whole = {"gradient_ratio": np.full(2, 0.5), "vanishing_index": np.full(2, 0.3)}
    return Ensemble(network, (0, 1), filled, whole)


def test_the_numbers_compared_are_theorys_and_the_networks():
    network = RandomNetwork(ExperimentConfig(dataset="gaussian", activation="tanh", depth=3, width=100))
    theory = predict(network)
    rows = agreements(theory, ensemble_of(network, pre_activation_std=0.4))
    assert [row.measured for row in rows] == pytest.approx([0.5, 10**-0.3, 0.16, 1.0, 1.0])
    last = theory.signal.layers[-1]
    expected = [theory.signal.gradient_ratio, 10**-theory.signal.vanishing_index,
                last.pre_activation_variance, last.activation_std**2, last.slope_power]  # fmt: skip
    assert [row.theory for row in rows] == pytest.approx(expected)
    table = agreement_table(rows)
    assert table["Quantity"].tolist()[2:] == [row.quantity for row in rows][2:]
    assert table.loc[2, "Measured"] == "0.16"
    assert table.loc[2, "Deviation"].startswith("-")
    assert table["Chance"].tolist() == ["± 0 %"] * 5
    assert agreement_table((agreement("x", 1.0, np.array([1.0, 4.0])),)).loc[0, "Chance"] == "a factor of 4.0"


def test_one_layer_has_no_way_back_to_compare():
    network = RandomNetwork(ExperimentConfig(dataset="gaussian", depth=1))
    assert len(agreements(predict(network), ensemble_of(network))) == 3
