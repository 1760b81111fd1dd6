"""Predictions for whole networks against the published table and against networks drawn in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scalar_activations import SCALAR
from scipy.stats import norm

from nnlab.config import ExperimentConfig
from nnlab.signal_theory import predict_signal, saturation_share


def experiment(**fields):
    return ExperimentConfig(**{"dataset": "gaussian", "depth": 10, "width": 100, **fields})


def rounds_to(value, text):
    """Whether a value is a text's number to all the digits that the text has."""
    digits = len(text.partition("e")[0].replace(".", "").lstrip("0"))
    return float(f"{value:.{digits - 1}e}") == float(text)


# definitions.md, section 3: E1, E2, E2b, E3, E4, E10
@pytest.mark.parametrize(
    ("ratio", "fields"),
    [
        ("2.15e-8", {"activation": "sigmoid", "initializer": "glorot_standard"}),
        ("2.09e-6", {"activation": "sigmoid", "initializer": "xavier_uniform"}),
        ("0.0133", {"activation": "sigmoid", "initializer": "xavier_uniform", "gain": 4}),
        ("0.307", {"activation": "tanh", "initializer": "xavier_uniform"}),
        ("0.00532", {"activation": "tanh", "initializer": "glorot_standard"}),
        ("1.00", {"activation": "relu", "initializer": "kaiming_normal"}),
        ("1.92", {"activation": "tanh", "initializer": "xavier_normal", "gain": 5 / 3}),
        ("5.44", {"activation": "selu", "initializer": "lecun_normal", "depth": 50, "width": 200}),
        ("1.365", {"activation": "selu", "initializer": "lecun_normal"}),
    ],
)
def test_the_table_of_definitions(ratio, fields):
    assert rounds_to(predict_signal(experiment(**fields)).gradient_ratio, ratio)


def test_more_of_the_table():
    sigmoid = predict_signal(experiment(activation="sigmoid", initializer="glorot_standard"))
    assert sigmoid.vanishing_index == pytest.approx(0.852, abs=0.004)
    makemore = predict_signal(
        experiment(activation="tanh", initializer="xavier_normal", gain=5 / 3, depth=40)
    ).layers
    assert round(makemore[-1].activation_std, 4) == 0.6513
    assert round(100 * makemore[-1].saturation, 2) == 5.39
    assert round(100 * makemore[0].saturation) == 16  # 15 % measured
    first = predict_signal(experiment(activation="tanh", initializer="xavier_uniform")).layers[0]
    assert first.pre_activation_variance == pytest.approx(64 * 2 / 164)


def test_biases_of_pytorch_count():
    layers = predict_signal(experiment(activation="relu", initializer="pytorch_default", depth=60)).layers
    # Var b = 1 / (3 fan_in) is a hundredth of what sigma_b = 1 / sqrt(3) would be at width 100.
    assert layers[1].sigma_b2 == pytest.approx(1 / 300)
    assert layers[-1].pre_activation_variance == pytest.approx((1 / 300) / (1 - 1 / 6))


def test_biases_that_are_added_count_in_every_layer():
    config = experiment(activation="tanh", initializer="lecun_normal", gain=1.5, depth=60)
    layers = predict_signal(config, bias_std=0.3).layers
    z = np.linspace(-9, 9, 20_001)  # the trapezoid rule is exact to rounding for what ends flat at 0
    density = norm.pdf(z) * (z[1] - z[0])
    q = 1.5**2 * 1.0 + 0.09  # inputs of power 1 come unbent
    for layer in layers:
        assert layer.pre_activation_variance == pytest.approx(q, rel=1e-9)
        q = 1.5**2 * (density @ np.tanh(math.sqrt(q) * z) ** 2) + 0.09
    own = predict_signal(experiment(initializer="pytorch_default"), bias_std=0.2).layers
    assert own[1].sigma_b2 == pytest.approx(1 / 300 + 0.04)


CURVES = {
    "tanh": (np.tanh, lambda z: np.cosh(z) ** -2.0),
    "relu": (lambda z: z * (z > 0), lambda z: 1.0 * (z > 0)),
    "sigmoid": (lambda z: 0.5 + 0.5 * np.tanh(z / 2), lambda z: 0.25 * np.cosh(z / 2) ** -2.0),
    "softsign": (lambda z: z / (1 + abs(z)), lambda z: (1 + abs(z)) ** -2.0),
}


def drawn(fields, width=300, batch=300, depth=6, seed=0):
    """Draw one network in NumPy, pass random gradients back; give delta norms and std of phi(z) by layer."""
    rng = np.random.default_rng(seed)
    phi, slope = CURVES[fields["activation"]]
    axis = {"batch": 0, "layer": 1}.get(fields.get("normalization"))
    x, scale = rng.standard_normal((batch, width)), math.sqrt(fields["weight"] / width)
    weights, zs, spreads, stds = [], [], [], []
    for layer in range(depth):
        weights.append(scale * rng.standard_normal((width, width)))
        raw = x @ weights[-1].T
        spreads.append(raw.std(axis=axis, keepdims=True) if axis is not None else np.ones((1, 1)))
        mean = raw.mean(axis=axis, keepdims=True) if axis is not None else 0.0
        zs.append((raw - mean) / spreads[-1])
        h = phi(zs[-1])
        stds.append(h.std())
        x = h + x if fields.get("residual") and layer else h
    g, norms = rng.standard_normal((batch, width)), []
    for layer in range(depth - 1, -1, -1):
        delta = g * slope(zs[layer])
        norms.append(np.linalg.norm(delta))
        below = delta
        if axis is not None:
            z = zs[layer]
            flat = delta.mean(axis=axis, keepdims=True)
            below = (delta - flat - z * (delta * z).mean(axis=axis, keepdims=True)) / spreads[layer]
        g = below @ weights[layer] + (g if fields.get("residual") and layer else 0.0)
    return np.array(norms[::-1]), np.array(stds)


@pytest.mark.parametrize(
    "fields",
    [
        {"activation": "tanh", "initializer": "lecun_normal", "weight": 1},
        {"activation": "relu", "initializer": "kaiming_normal", "weight": 2, "normalization": "batch"},
        {"activation": "relu", "initializer": "kaiming_normal", "weight": 2, "normalization": "layer"},
        {"activation": "tanh", "initializer": "lecun_normal", "weight": 1, "residual": True},
        {"activation": "sigmoid", "initializer": "lecun_normal", "weight": 1, "residual": True},
        {"activation": "softsign", "initializer": "kaiming_normal", "weight": 2, "residual": True,
         "normalization": "layer"},
        {"activation": "relu", "initializer": "kaiming_normal", "weight": 2, "residual": True,
         "normalization": "batch"},
    ],
)  # fmt: skip
def test_networks_drawn_in_numpy(fields):
    options = {name: value for name, value in fields.items() if name != "weight"}
    theory = predict_signal(experiment(depth=6, width=300, **options), n_inputs=300)
    norms, stds = drawn(fields)
    assert theory.gradient_ratio == pytest.approx(norms[0] / norms[-1], rel=0.15)
    for layer, norm_here, norm_above, std in zip(theory.layers, norms, norms[1:], stds):
        assert layer.backward_gain == pytest.approx(norm_here / norm_above, rel=0.08)
        if options["activation"] != "sigmoid" and "batch" not in options.values():
            assert layer.activation_std == pytest.approx(std, rel=0.05)


def test_lsuv_gives_every_layer_unit_variance_before_the_gain():
    plain = predict_signal(experiment(activation="gelu", initializer="lsuv"), input_power=0.9).layers
    assert [layer.pre_activation_variance for layer in plain] == pytest.approx([1.0] * 10)
    gained = predict_signal(experiment(activation="relu", initializer="lsuv", gain=2.0)).layers
    # ReLU is homogeneous, so that each layer multiplies by the gain once more.
    assert [layer.pre_activation_variance for layer in gained] == pytest.approx(
        [4.0**k for k in range(1, 11)]
    )


def test_nothing_passes_through_zeros_and_steps_and_one_layer_has_ratio_one():
    for fields in ({"initializer": "zeros"}, {"activation": "step"}):
        theory = predict_signal(experiment(**fields))
        assert theory.gradient_ratio == 0
        assert math.isnan(theory.vanishing_index)
    single = predict_signal(experiment(depth=1))
    assert single.gradient_ratio == 1
    assert math.isnan(single.layers[0].backward_gain)


@pytest.mark.parametrize("gain", [1e20, 1e200])
def test_a_signal_beyond_float64_is_a_result(gain):
    theory = predict_signal(experiment(activation="relu", initializer="kaiming_normal", gain=gain, depth=20))
    assert not math.isfinite(theory.layers[-1].pre_activation_variance)
    assert math.isnan(theory.layers[-1].saturation)
    assert math.isnan(theory.layers[-1].activation_std)
    assert not math.isfinite(theory.gradient_ratio)
    assert math.isnan(theory.vanishing_index)


def test_saturated_shares():
    # definitions.md, 2.3: |tanh| > 0.97, and |2 sigmoid - 1| > 0.97
    assert saturation_share("tanh", 1.0) == pytest.approx(2 * norm.sf(math.atanh(0.97)), rel=1e-9)
    assert saturation_share("sigmoid", 4.0) == pytest.approx(2 * norm.sf(math.atanh(0.97)), rel=1e-9)
    assert saturation_share("hardtanh", 1.0) == pytest.approx(2 * norm.sf(1.0), rel=1e-9)
    assert saturation_share("relu", 7.0) == pytest.approx(0.5)
    # A wave that is drawn far out has a uniform phase: |cos| < tau
    assert saturation_share("sine", 1e6) == pytest.approx(2 / math.pi * math.asin(0.0591), rel=1e-3)
    z = np.random.default_rng(0).standard_normal(20_000) * 3
    slope = np.vectorize(SCALAR["gelu"][1])(z)
    share = (np.abs(slope) < 0.0591 * 1.128904).mean()
    assert saturation_share("gelu", 9.0) == pytest.approx(share, abs=0.015)
    assert (saturation_share("identity", 1.0), saturation_share("step", 1.0)) == (0, 1)
    assert (saturation_share("tanh", 0.0), saturation_share("cosine", 0.0)) == (0, 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: predict_signal(experiment(), n_inputs=0), "n_inputs: 0"),
        (lambda: predict_signal(experiment(), input_power=-1.0), "input_power: -1.0"),
        (lambda: predict_signal(experiment(), input_power=math.inf), "input_power: inf"),
        (lambda: predict_signal(experiment(), bias_std=-0.1), "bias_std: -0.1"),
        (lambda: saturation_share("tanh", -1.0), "variance: -1.0"),
        (lambda: saturation_share("tan", 1.0), "activation: 'tan'"),
        (
            lambda: predict_signal(ExperimentConfig(dataset="csv", csv_path="a.csv", target="y")),
            "n_inputs: None is not allowed with dataset csv",
        ),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()
