"""How alike inputs become: against published numbers and networks drawn in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_signal_theory import CURVES

from nnlab.config import ExperimentConfig
from nnlab.correlation import output_product
from nnlab.cosine_theory import _shared, predict_cosines
from nnlab.gaussian_mean import output_power
from nnlab.signal_theory import predict_signal


def cosines(bias_std=0.0, **fields):
    config = ExperimentConfig(**{"dataset": "gaussian", "depth": 10, "width": 300, **fields})
    return predict_cosines(config, predict_signal(config, n_inputs=300, bias_std=bias_std))


def test_he_relu_follows_the_arccos_map():
    # definitions.md: 0.8715, 0.9484, 0.9879 at layers 10, 20, 50
    found = cosines(activation="relu", initializer="kaiming_normal", depth=50)
    assert [round(found[layer - 1], 4) for layer in (10, 20, 50)] == [0.8715, 0.9484, 0.9879]


def drawn(fields, bias_std, width=300, batch=200, depth=4):
    rng = np.random.default_rng(1)
    phi, _ = CURVES[fields["activation"]]
    x, found = rng.standard_normal((batch, width)), []
    for layer in range(depth):
        weight = rng.standard_normal((width, width)) * math.sqrt(fields["weight"] / width)
        z = x @ weight.T + bias_std * rng.standard_normal(width)
        if fields.get("normalization"):
            axis = {"batch": 0, "layer": 1}[fields["normalization"]]
            z = (z - z.mean(axis, keepdims=True)) / z.std(axis, keepdims=True)
        h = phi(z)
        directions = h / np.linalg.norm(h, axis=1, keepdims=True)
        found.append(((directions.sum(0) ** 2).sum() - batch) / (batch * (batch - 1)))
        x = h + x if fields.get("residual") and layer else h
    return np.array(found)


@pytest.mark.parametrize(
    ("bias_std", "fields"),
    [
        (0.0, {"activation": "sigmoid", "initializer": "lecun_normal", "weight": 1}),
        (0.5, {"activation": "tanh", "initializer": "lecun_normal", "weight": 1}),
        (0.3, {"activation": "softsign", "initializer": "kaiming_normal", "weight": 2, "residual": True}),
        (0.3, {"activation": "sigmoid", "initializer": "lecun_normal", "weight": 1, "residual": True}),
        (0.2, {"activation": "relu", "initializer": "kaiming_normal", "weight": 2, "normalization": "layer"}),
        (0.2, {"activation": "relu", "initializer": "kaiming_normal", "weight": 2, "normalization": "batch",
               "residual": True, "batch_size": 200}),
    ],
)  # fmt: skip
def test_networks_drawn_in_numpy(bias_std, fields):
    options = {name: value for name, value in fields.items() if name != "weight"}
    assert cosines(bias_std, depth=4, **options) == pytest.approx(drawn(fields, bias_std), abs=0.03)


def test_a_constant_output_is_alike_and_no_output_has_no_direction():
    assert cosines(activation="sigmoid", initializer="zeros", depth=2).tolist() == [1.0, 1.0]
    assert np.isnan(cosines(activation="tanh", initializer="zeros", depth=2)).all()
    beyond = cosines(activation="relu", initializer="kaiming_normal", gain=1e200, depth=3)
    assert np.isnan(beyond[-1])


def cosine_of(name, variance, alike):
    """Give the cosine that two outputs have, by the quadrature of nnlab.correlation."""
    return output_product(name, variance, alike) / float(output_power(name, variance))


@pytest.mark.parametrize("name", ["identity", "relu", "leaky_relu", "step", "sine", "cosine"])
@pytest.mark.parametrize("alike", [-0.3, 0.0, 0.6, 1.0])
def test_closed_forms_are_the_integral(name, alike):
    assert _shared(name, 2.5, alike) == pytest.approx(output_product(name, 2.5, alike), abs=1e-9)


@pytest.mark.parametrize("name", ["gelu", "elu", "selu", "sigmoid", "softsign", "hardtanh", "softplus"])
def test_far_out_an_activation_is_two_lines_or_two_levels(name):
    for alike in (0.1, 0.9):
        near, far = cosine_of(name, 1e8, alike), _shared(name, 1e9, alike) / float(output_power(name, 1e9))
        assert far == pytest.approx(near, rel=2e-3)


def test_a_deep_network_that_runs_away_is_followed_to_its_end():
    found = cosines(activation="gelu", initializer="kaiming_normal", gain=2.0, depth=40, width=100)
    relu = cosines(activation="relu", initializer="kaiming_normal", gain=2.0, depth=40, width=100)
    assert found[-1] == pytest.approx(relu[-1], abs=2e-3)
