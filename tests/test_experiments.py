"""The field's classic results, definitions.md section 3: what a correct tool must reproduce."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest

import nnlab

SEEDS = range(20)


START = {"dataset": "gaussian", "depth": 10, "width": 100, "batch_size": 256, "steps": 1}


@cache
def _at_start(config):
    return nnlab.train(config)


def at_start(seed, **fields):
    """Give the run of E1-E4's network before any update but the first; equal ones run once."""
    return _at_start(nnlab.ExperimentConfig(**{**START, "seed": seed, **fields}))


def over_seeds(metric, position=0, **fields):
    """Give a metric of record 0 for 20 seeds, shape (20,) or (20, layers)."""
    return np.array([at_start(seed, **fields).series(metric)[1][position] for seed in SEEDS])


def geometric_mean(values):
    return float(np.exp(np.log(values).mean()))


@pytest.mark.parametrize(
    ("fields", "low", "high"),
    [
        # E1: theory 2.15e-8, 2.09e-6, 0.0133; E2, E2b: 0.307, 0.00532; E3: 1.04; E4: 1.92.
        ({"activation": "sigmoid", "initializer": "glorot_standard"}, 2.08e-8 * 0.75, 2.08e-8 * 1.25),
        ({"activation": "sigmoid", "initializer": "pytorch_default"}, 2.12e-8 * 0.75, 2.12e-8 * 1.25),
        ({"activation": "sigmoid", "initializer": "xavier_uniform"}, 2.0e-6 * 0.75, 2.0e-6 * 1.25),
        ({"activation": "sigmoid", "gain": 4.0}, 0.0126 * 0.75, 0.0126 * 1.25),
        ({"activation": "tanh", "initializer": "xavier_uniform"}, 0.302 * 0.8, 0.302 * 1.2),
        ({"activation": "tanh", "initializer": "glorot_standard"}, 0.00516 * 0.8, 0.00516 * 1.2),
        ({"activation": "relu", "initializer": "kaiming_normal"}, 0.7, 1.4),
        ({"activation": "tanh", "initializer": "xavier_normal", "gain": 5 / 3}, 1.95 * 0.8, 1.95 * 1.2),
    ],
    ids=["E1-standard", "E1-pytorch", "E1-xavier", "E1-gain4", "E2", "E2b", "E3", "E4"],
)  # fmt: skip
def test_signal_reaching_the_first_layer(fields, low, high):
    assert low < geometric_mean(over_seeds("gradient_ratio", **fields)) < high


def test_e1_sigmoid_loses_0_85_decades_a_layer_and_inputs_become_one_direction():
    fields = {"activation": "sigmoid", "initializer": "glorot_standard"}
    assert over_seeds("vanishing_index", **fields).mean() == pytest.approx(0.852, abs=0.02)
    assert over_seeds("mean_cosine", **fields)[:, -1].min() > 0.9999
    norms = over_seeds("weight_grad_norm", **fields)
    ratio = geometric_mean(norms[:, 0] / norms[:, 9])
    assert 1.84e-8 / 3 < ratio < 1.84e-8 * 3


def test_e2b_the_weight_gradient_stays_level_while_the_error_signal_vanishes():
    """Glorot & Bengio 2010, figure 8: why the verdict must not look at weight gradients."""
    fields = {"activation": "tanh", "initializer": "glorot_standard"}
    norms = over_seeds("weight_grad_norm", **fields)
    assert 0.6 < geometric_mean(norms[:, 0] / norms[:, 9]) < 1.05
    spread = over_seeds("activation_std", **fields).mean(axis=0)
    assert spread[0] == pytest.approx(0.46, abs=0.03)
    assert spread[9] == pytest.approx(0.0030, rel=0.25)
    assert at_start(0, **fields).findings[0].kind == "vanishing"


def test_e2_tanh_xavier_shrinks_slowly():
    spread = over_seeds("activation_std", activation="tanh", initializer="xavier_uniform").mean(axis=0)
    assert spread[0] == pytest.approx(0.590, abs=0.02)
    assert spread[9] == pytest.approx(0.2235, abs=0.02)
    assert (np.diff(spread) < 0).all()


def test_e3_half_of_relu_is_zero_and_batch_gradients_are_smaller_than_per_example_ones():
    fields = {"activation": "relu", "initializer": "kaiming_normal"}
    assert over_seeds("zero_fraction", **fields).mean() == pytest.approx(0.5, abs=0.02)
    norms = over_seeds("weight_grad_norm", **fields)
    assert 0.1 < geometric_mean(norms[:, 0] / norms[:, 9]) < 0.38


def test_e4_tanh_at_gain_five_thirds_settles_at_the_makemore_numbers():
    fields = {"activation": "tanh", "initializer": "xavier_normal", "gain": 5 / 3}
    spread = over_seeds("activation_std", **fields).mean(axis=0)
    saturated = over_seeds("saturation", **fields).mean(axis=0)
    assert spread[9] == pytest.approx(0.6513, abs=0.01)
    assert saturated[9] == pytest.approx(0.0539, abs=0.01)
    assert saturated[0] == pytest.approx(0.15, abs=0.02)


def test_e5_the_top_layer_of_a_sigmoid_network_saturates_low_and_learning_stalls():
    """Glorot & Bengio 2010, figure 2, on standardised digits: 20 epochs of 143 steps."""
    run = nnlab.train(
        nnlab.ExperimentConfig(
            depth=4, width=200, activation="sigmoid", initializer="glorot_standard",
            batch_size=10, learning_rate=0.1, steps=2860, record_every=143,
        )
    )  # fmt: skip
    means = run.series("activation_mean")[1]
    assert means[0, 3] == pytest.approx(0.503, abs=0.03)
    assert means[12, 3] < 0.1
    assert (means[12, :3] > 0.4).all()
    assert run.records[-1].network["test_loss"] == pytest.approx(math.log(10), abs=0.05)


def linear_network():
    from torch import nn

    sizes = (64, 50, 30, 7, 40, 10)
    layers = [nn.Linear(a, b).double() for a, b in itertools.pairwise(sizes)]
    return nn.Sequential(*layers), layers


def test_e7_stacked_linear_layers_are_one_affine_map_of_the_narrowest_width():
    import torch

    torch_state = torch.get_rng_state()
    model, layers = linear_network()
    torch.set_rng_state(torch_state)
    weight, bias = torch.eye(64, dtype=torch.float64), torch.zeros(64, dtype=torch.float64)
    for layer in layers:
        weight, bias = layer.weight @ weight, layer.weight @ bias + layer.bias
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 64, generator=generator, dtype=torch.float64)
    difference = (model(x) - (x @ weight.T + bias)).abs().max()
    assert difference < 1e-10
    assert int(torch.linalg.matrix_rank(weight)) == 7
    run = nnlab.diagnose(model, x, torch.arange(300) % 10)
    assert run.records[0].layers["saturation"].max() == 0
    assert run.records[0].layers["dead_units"].max() == 0


def digit_pixels():
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.data / 16, digits.target


@pytest.mark.parametrize("activation", ["identity", "relu", "leaky_relu"])
@pytest.mark.parametrize("brightness", [0.1, 0.5, 2.0, 10.0])
def test_e9_networks_without_bias_are_indifferent_to_brightness(activation, brightness):
    import torch

    x = torch.tensor(digit_pixels()[0])
    model = nnlab.build_model(nnlab.ExperimentConfig(depth=10, width=100, activation=activation)).double()
    normal, lit = model(x), model(brightness * x)
    assert ((lit - brightness * normal).abs().max() / normal.abs().max() / brightness).item() < 1e-12
    assert torch.equal(normal.argmax(dim=1), lit.argmax(dim=1))


def test_e9_a_sigmoid_saturates_when_the_light_goes_up():
    pixels, labels = digit_pixels()
    saturated = []
    for brightness in (1.0, 10.0):
        model = nnlab.build_model(nnlab.ExperimentConfig(depth=10, width=100, activation="sigmoid"))
        run = nnlab.diagnose(model, brightness * pixels, labels)
        saturated.append(run.records[0].layers["saturation"][0])
    assert saturated[0] == 0
    assert 0.25 < saturated[1] < 0.45  # 37.9 % for one draw of weights


def test_e10_selu_keeps_mean_0_and_variance_1_over_fifty_layers():
    """Klambauer et al. 2017; backward the signal grows by 1.0352 a layer."""
    fields = {"activation": "selu", "initializer": "lecun_normal", "depth": 50, "width": 200}
    runs = [at_start(seed, **fields) for seed in range(5)]
    mean = np.mean([run.series("activation_mean")[1][0] for run in runs], axis=0)
    variance = np.mean([run.series("activation_std")[1][0] ** 2 for run in runs], axis=0)
    assert np.abs(mean).max() < 0.03
    assert variance.min() > 0.93
    assert variance.max() < 1.04
    ratio = geometric_mean([run.series("gradient_ratio")[1][0] for run in runs])
    assert 6.05 * 0.7 < ratio < 6.05 * 1.3


def test_sigmoid_digits_are_healed_by_the_remedy_in_the_same_number_of_steps():
    """The lab's own promise: the finding names its cure, and the cure works."""
    config = nnlab.ExperimentConfig(dataset="digits", depth=10, width=64, activation="sigmoid")
    sick = nnlab.train(config)
    finding = sick.findings[0]
    assert (finding.kind, finding.severity, finding.layer) == ("vanishing", "severe", "hidden_1")
    healed = nnlab.train(config.replace(**finding.remedy))
    assert "vanishing" not in {finding.kind for finding in healed.findings}
    assert healed.records[-1].network["test_accuracy"] > 0.9
    assert sick.records[-1].network["test_accuracy"] < 0.2
