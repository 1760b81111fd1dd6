"""A random network's sigmas against the weights that are drawn."""

from __future__ import annotations

import math

import pytest

from nnlab.config import ExperimentConfig
from nnlab.initializers import INITIALIZERS
from nnlab.model import build_model
from nnlab.random_network import RandomNetwork

SCALED = [name for name in INITIALIZERS if name not in ("lsuv", "zeros")]


@pytest.mark.parametrize("name", SCALED)
def test_sigma_w_is_that_of_the_drawn_weights(name):
    config = ExperimentConfig(dataset="gaussian", depth=2, width=200, initializer=name, gain=1.3)
    weight = build_model(config).state_dict()["hidden_2.linear.weight"]
    measured = math.sqrt(200 * float(weight.var(unbiased=False)))
    assert RandomNetwork(config).sigma_w == pytest.approx(measured, rel=0.02)


def test_a_gain_moves_sigma_w_and_nothing_else():
    network = RandomNetwork(ExperimentConfig(initializer="xavier_normal"), sigma_b=0.3)
    moved = network.at(1.7)
    assert moved.sigma_w == pytest.approx(1.7)
    assert moved.config.replace(gain=1.0) == network.config
    assert moved.sigma_b == 0.3


def test_the_biases_of_pytorch_add_to_those_asked_for():
    config = ExperimentConfig(initializer="pytorch_default", width=100)
    assert RandomNetwork(config, 0.2).total_sigma_b == pytest.approx(math.sqrt(1 / 300 + 0.04))


def test_where_no_gain_helps_it_says_so():
    zeros = RandomNetwork(ExperimentConfig(initializer="zeros"))
    fitted = RandomNetwork(ExperimentConfig(initializer="lsuv"))
    assert zeros.sigma_w == 0
    assert math.isnan(fitted.sigma_w)
    for network in (zeros, fitted):
        with pytest.raises(ValueError, match="sigma_w: 2 is not allowed with initializer"):
            network.at(2)
    with pytest.raises(ValueError, match="sigma_b: -1 is not allowed"):
        RandomNetwork(ExperimentConfig(), -1)
