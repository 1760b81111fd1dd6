"""How far chance takes networks from theory: closed forms, Monte Carlo, and networks drawn in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_signal_theory import CURVES

from nnlab.config import ExperimentConfig
from nnlab.length_chain import length_law
from nnlab.prediction import predict
from nnlab.random_network import RandomNetwork
from nnlab.scatter import passing


def band(sigma_b=0.0, **fields):
    usual = {"dataset": "gaussian", "depth": 10, "width": 100, "batch_size": 256}
    return predict(RandomNetwork(ExperimentConfig(**{**usual, **fields}), sigma_b)).scatter


@pytest.mark.parametrize(
    ("name", "alike", "growth", "kappa"),
    [
        ("identity", 1.0, 1.0, 2.0),  # Var Z^2 = 2
        ("identity", 0.5, 1.0, 0.5),  # Cov(Z^2, Z'^2) = 2 c^2
        ("relu", 1.0, 1.0, 5.0),  # E Z^4 / 2 over (1/2)^2, less 1: Hanin & Rolnick 2018
        ("relu", 0.0, 1.0, 0.0),
        ("step", 1.0, 0.0, 1.0),  # a coin
        ("cosine", 0.0, None, 0.0),
    ],
)
def test_closed_forms(name, alike, growth, kappa):
    found = passing(name, 2.0, alike)
    assert found[1] == pytest.approx(kappa, abs=2e-2)  # 80 nodes see a jump to a hundredth
    if growth is not None:
        assert found[0] == pytest.approx(growth, abs=1e-9)


def test_a_bent_activation_by_monte_carlo():
    rng = np.random.default_rng(0)
    shared, one, other = rng.standard_normal((3, 400_000))
    z, w = (math.sqrt(2 * 0.6) * shared + math.sqrt(2 * 0.4) * own for own in (one, other))
    squares = np.tanh(z) ** 2, np.tanh(w) ** 2
    kappa = np.cov(*squares)[0, 1] / squares[0].mean() ** 2
    step = 1.02
    growth = math.log((np.tanh(z * step) ** 2).mean() / (np.tanh(z / step) ** 2).mean()) / (
        4 * math.log(step)
    )
    assert passing("tanh", 2.0, 0.6) == (pytest.approx(growth, abs=2e-3), pytest.approx(kappa, abs=5e-3))


def test_where_examples_are_one_it_is_the_law_of_one():
    # Biases that drown the weights: every example has the same normal z.
    found = band(1e3, activation="relu", initializer="kaiming_normal", width=400, depth=2, gain=1e-9)
    assert math.log(found[0, 1] / found[0, 0]) / 4 == pytest.approx(0.5 * math.sqrt(2 / 400), rel=1e-3)
    # A deep ReLU network makes them alike; length_chain's law of one example is exact for every width.
    deep = band(activation="relu", initializer="kaiming_normal", width=300, depth=100, batch_size=64)
    law = length_law([300] * 99)
    assert math.log(deep[-1, 1] / deep[-1, 0]) / 4 == pytest.approx(law.log_std / 2, rel=0.1)
    assert math.log(deep[-1].prod()) / 2 == pytest.approx(0.5 * (math.log(2) + law.log_mean), abs=0.1)


def spreads(name, weight, bias, width, depth, batch=64, inputs=64, networks=100):
    """Draw networks in NumPy: the spread of z in every layer, shape (networks, depth)."""
    rng, found = np.random.default_rng(3), []
    for _ in range(networks):
        h, stds = rng.standard_normal((batch, inputs)), []
        for _ in range(depth):
            fan_in = h.shape[1]
            z = h @ rng.standard_normal((fan_in, width)) * math.sqrt(weight / fan_in)
            z += bias * rng.standard_normal(width)
            stds.append(z.std())
            h = CURVES[name][0](z)
        found.append(stds)
    return np.array(found)


@pytest.mark.parametrize(
    ("name", "initializer", "weight", "bias"),
    [
        ("relu", "kaiming_normal", 2, 0.0),
        ("tanh", "lecun_normal", 1, 0.4),
        ("sigmoid", "lecun_normal", 1, 0.0),
        ("relu", "kaiming_normal", 2, 0.3),
    ],
)
def test_of_networks_drawn_in_numpy_95_percent_are_inside(name, initializer, weight, bias):
    drawn = spreads(name, weight, bias, width=60, depth=6)
    expected = band(bias, activation=name, initializer=initializer, width=60, depth=6, batch_size=64)
    inside = ((drawn > expected[:, 0]) & (drawn < expected[:, 1])).mean(axis=0)
    assert (inside > 0.88).all()
    measured, center = np.log(drawn), np.log(expected).mean(axis=1)
    assert measured.mean(axis=0) == pytest.approx(center, abs=0.05)
    # No wider than it need be: where chance is more than a percent, its size is right to a third.
    width = (np.log(expected[:, 1]) - np.log(expected[:, 0])) / 4
    assert width[2:] == pytest.approx(measured.std(axis=0)[2:], rel=0.33)


@pytest.mark.parametrize(
    "fields",
    [
        {"normalization": "layer"},
        {"residual": True},
        {"initializer": "orthogonal"},
        {"initializer": "lsuv"},
        {"initializer": "zeros"},
    ],
)
def test_where_it_is_not_known_there_is_none(fields):
    assert np.isnan(band(activation="tanh", depth=3, **fields)).all()


def test_what_leaves_float64_is_unknown_from_there_on():
    found = band(activation="relu", initializer="kaiming_normal", gain=1e100, depth=3)  # variances of 1e200^k
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[-1]).all()
