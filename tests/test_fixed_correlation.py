"""Where the correlation of two inputs ends: closed forms, a double sum, and networks drawn in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from nnlab.correlation import slope_product
from nnlab.fixed_correlation import fixed_correlation
from nnlab.theory import mean_field


def test_steps_and_waves_have_closed_forms():
    # Cho & Saul 2009, order 0: E step(z) step(z') = 1/4 + arcsin(c) / (2 pi).
    found = fixed_correlation("step", 1.5, 0.3, 1.215)
    expected = brentq(lambda c: (2.25 * (0.25 + math.asin(c) / (2 * math.pi)) + 0.09) / 1.215 - c, 0, 0.99)
    assert found.correlation == pytest.approx(expected, rel=1e-9)
    assert found.slope == pytest.approx(2.25 / (2 * math.pi * 1.215 * math.sqrt(1 - expected**2)))
    assert found.slope_at_one == math.inf
    # E sin z sin z' = exp(-q) sinh(q c), and E cos z cos z' the derivative of that by q c.
    q = brentq(lambda q: 2.25 * math.exp(-q) * math.sinh(q) + 0.09 - q, 0.1, 3)
    found = fixed_correlation("sine", 1.5, 0.3, q)
    expected = brentq(lambda c: (2.25 * math.exp(-q) * math.sinh(q * c) + 0.09) / q - c, 0, 0.99)
    assert found.correlation == pytest.approx(expected, rel=1e-9)
    assert found.slope == pytest.approx(2.25 * math.exp(-q) * math.cosh(q * expected))


# Poole et al. 2016: sigma_b = 0.3; the chi are those of definitions.md
@pytest.mark.parametrize(("sigma_w", "chi"), [(1.3, 0.940), (2.5, 1.585), (4.0, 2.367)])
def test_the_examples_of_poole(sigma_w, chi):
    q = mean_field("tanh", sigma_w, 0.3).q_star
    found = fixed_correlation("tanh", sigma_w, 0.3, q)
    assert round(found.slope_at_one, 3) == chi
    assert found.is_alike == (chi < 1)
    # Iterating the map of a double sum from anywhere goes there.
    z, weights = np.polynomial.hermite_e.hermegauss(80)
    density = np.outer(weights, weights) / (2 * math.pi)
    for c in (0.05, 0.9):
        for _ in range(150):
            second = c * z[:, None] + math.sqrt(1 - c * c) * z
            product = np.tanh(math.sqrt(q) * z)[:, None] * np.tanh(math.sqrt(q) * second)
            c = min(1.0, float((sigma_w**2 * (density * product).sum() + 0.09) / q))
        assert c == pytest.approx(found.correlation, abs=2e-3)


def test_a_drawn_network_goes_there_at_the_speed_told():
    rng, width, depth = np.random.default_rng(5), 500, 40
    q = mean_field("tanh", 2.5, 0.3).q_star
    found = fixed_correlation("tanh", 2.5, 0.3, q)
    cosines = []
    start = rng.standard_normal((2, width))
    h = np.tanh(math.sqrt(q) * np.stack([start[0], 0.9 * start[0] + math.sqrt(0.19) * start[1]]))
    for _ in range(depth):
        weight = rng.standard_normal((width, width)) * (2.5 / math.sqrt(width))
        z = h @ weight + 0.3 * rng.standard_normal(width)
        h = np.tanh(z)
        cosines.append(float(z[0] @ z[1] / np.linalg.norm(z[0]) / np.linalg.norm(z[1])))
    # A layer is off by 1 / sqrt(500), and forgets it in xi layers.
    assert np.mean(cosines[20:]) == pytest.approx(found.correlation, abs=0.06)
    gaps = np.array(cosines) - found.correlation
    assert (gaps[8] / gaps[3]) ** (1 / 5) == pytest.approx(found.slope, abs=0.1)
    assert found.xi == pytest.approx(-1 / math.log(found.slope))


def test_where_everything_becomes_alike():
    for name, sigma_w, sigma_b in (("relu", math.sqrt(2), 0.0), ("sigmoid", 3.0, 0.2), ("tanh", 1.3, 0.3)):
        field = mean_field(name, sigma_w, sigma_b)
        found = fixed_correlation(name, sigma_w, sigma_b, field.q_star)
        assert found.is_alike
        assert found.slope == pytest.approx(field.chi, rel=1e-9)
    assert fixed_correlation("relu", math.sqrt(2), 0.0, 1.0).xi == math.inf
    assert fixed_correlation("tanh", 1.5, 0.0, 0.793).correlation == 0  # odd, without biases


def test_the_slope_product_is_the_slope_of_the_product():
    # z and z' of ReLU are both positive with probability 1/4 + arcsin(c) / (2 pi).
    for c in (-0.7, 0.0, 0.4, 1.0):
        assert slope_product("relu", 2.0, c) == pytest.approx(0.25 + math.asin(c) / (2 * math.pi), abs=1e-9)
    assert slope_product("step", 1.0, 1.0) == math.inf


@pytest.mark.parametrize(
    ("q", "words"), [(math.inf, "variance: inf"), (0.0, "variance: 0.0"), (3.0, "q: 3.0")]
)
def test_what_is_no_fixed_point_is_named(q, words):
    with pytest.raises(ValueError, match=words):
        fixed_correlation("tanh", 1.5, 0.1, q)
