"""The correlation map against closed forms, a double integral, and networks drawn in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scalar_activations import SCALAR

from nnlab.activations import ACTIVATIONS
from nnlab.correlation import (
    correlation_map,
    correlation_over_depth,
    output_product,
    relu_correlation,
    relu_gradient_correlation,
)
from nnlab.theory import mean_field


@pytest.mark.parametrize("correlation", [-1.0, -0.9999, -0.7, 0.0, 0.3, 1 - 1e-6, 1.0])
def test_relu_step_and_sine_have_closed_forms(correlation):
    c, theta = correlation, math.acos(correlation)
    relu = (math.sqrt(1 - c * c) + (math.pi - theta) * c) / math.pi  # Cho & Saul 2009
    assert correlation_map("relu", math.sqrt(2), 0.0, 3.0, c) == pytest.approx(relu, abs=1e-12)
    assert relu_correlation(c) == pytest.approx(relu, abs=1e-14)
    assert output_product("step", 2.0, c) == pytest.approx((math.pi - theta) / (2 * math.pi), abs=1e-9)
    assert output_product("sine", 2.0, c) == pytest.approx(math.exp(-2) * math.sinh(2 * c), abs=1e-12)
    far = 0.5 * math.copysign(math.exp(-400 * (1 - abs(c))), c)
    assert output_product("sine", 400.0, c) == pytest.approx(far, abs=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("correlation", [-0.5, 0.8])
def test_a_double_sum(name, correlation):
    # The midpoint rule on the plane; kinks leave an error of the square of the step, a jump of the step.
    z = (np.arange(400) + 0.5) / 400 * 18 - 9
    density = np.exp(-(z[:, None] ** 2 + z**2) / 2)
    density /= density.sum()
    second = correlation * z[:, None] + math.sqrt(1 - correlation**2) * z
    u = np.linspace(-30, 30, 60001)
    phi = np.vectorize(SCALAR[name][0], otypes=[float])(math.sqrt(1.5) * u)
    product = np.interp(z, u, phi)[:, None] * np.interp(second, u, phi)
    expected = float(np.sum(density * product))
    tolerance = 1e-2 if name == "step" else 2e-4
    assert output_product(name, 1.5, correlation) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(("name", "sigma_w"), [("tanh", 1.4), ("selu", 0.9), ("softsign", 1.4)])
def test_the_slope_where_inputs_are_alike_is_chi(name, sigma_w):
    found = mean_field(name, sigma_w, 0.3)
    assert correlation_map(name, sigma_w, 0.3, found.q_star, 1.0) == pytest.approx(1, abs=1e-9)
    step = 1e-4
    below, half = (correlation_map(name, sigma_w, 0.3, found.q_star, 1 - k * step) for k in (1, 0.5))
    # Richardson: the first-order error of the one-sided difference is taken out.
    slope = 2 * (1 - half) / (0.5 * step) - (1 - below) / step
    assert slope == pytest.approx(found.chi, rel=2e-3)


def test_depth_aligns_inputs_in_he_relu_networks():
    path = [0.0]
    for _ in range(50):
        path.append(relu_correlation(path[-1]))
    assert [round(path[depth], 4) for depth in (10, 20, 50)] == [0.8715, 0.9484, 0.9879]  # definitions.md
    assert correlation_over_depth("relu", math.sqrt(2), 0.0, 1.0, 0.0, 5) == pytest.approx(path[:6], abs=1e-9)


def test_a_wide_tanh_network_drawn_in_numpy():
    rng, width, found = np.random.default_rng(1), 1000, mean_field("tanh", 1.5, 0.2)
    z = math.sqrt(found.q_star) * rng.standard_normal((2, width))
    z[1] = 0.6 * z[0] + 0.8 * z[1]
    theory = correlation_over_depth("tanh", 1.5, 0.2, found.q_star, 0.6, 3)
    for layer in range(1, 4):
        weight = rng.standard_normal((width, width)) * 1.5 / math.sqrt(width)
        z = np.tanh(z) @ weight.T + 0.2 * rng.standard_normal(width)
        measured = z[0] @ z[1] / (np.linalg.norm(z[0]) * np.linalg.norm(z[1]))
        assert measured == pytest.approx(theory[layer], abs=0.06)


def test_input_gradients_of_relu_networks_part_as_the_cube_of_depth():
    # Drawn: gates of both inputs multiply the same weights backward.
    rng, width, depth, cosines = np.random.default_rng(0), 400, 4, []
    for _ in range(4):
        x = rng.standard_normal((2, width))
        weights = [rng.standard_normal((width, width)) * math.sqrt(2 / width) for _ in range(depth)]
        gates, h = [], x
        for weight in weights:
            z = h @ weight.T
            gates.append(z > 0)
            h = z * gates[-1]
        g = np.tile(rng.standard_normal(width), (2, 1))
        for weight, gate in zip(reversed(weights), reversed(gates)):
            g = (g * gate) @ weight
        cosines.append(g[0] @ g[1] / (np.linalg.norm(g[0]) * np.linalg.norm(g[1])))
    assert np.mean(cosines) == pytest.approx(relu_gradient_correlation(0.0, depth), abs=0.04)
    shallow, deep = relu_gradient_correlation(0.0, 1000), relu_gradient_correlation(0.0, 2000)
    assert math.log2(shallow / deep) == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: output_product("tanh", 1.0, 1.1), "correlation: 1.1"),
        (lambda: output_product("tanh", 0.0, 0.5), "variance: 0.0"),
        (lambda: correlation_map("tanh", 1.0, 0.0, math.inf, 0.5), "variance: inf"),
        (lambda: output_product("tan", 1.0, 0.5), "activation: 'tan'"),
        (lambda: relu_correlation(math.nan), "correlation: nan"),
        (lambda: relu_gradient_correlation(0.0, 0), "depth: 0"),
        (lambda: correlation_over_depth("tanh", 1.0, 0.1, 1.0, 0.5, 2.5), "depth: 2.5"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "allowed: " in str(caught.value)
