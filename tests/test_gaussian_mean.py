"""Gaussian means against SciPy's quad and closed forms, over many decades of variance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scalar_activations import SCALAR, mean_square, mean_square_slope, normal_mean
from scipy.stats import norm

from nnlab.activations import ACTIVATIONS
from nnlab.gaussian_mean import gaussian_mean, output_mean, output_power, slope_power
from nnlab.moment_map import moment_map
from nnlab.variance_table import variance_table


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_means_of_every_activation(name):
    for variance in (1e-6, 0.03, 1.0, 30.0):
        phi, _, kinks = SCALAR[name]
        mean = normal_mean(phi, variance, kinks)
        assert float(output_mean(name, variance)) == pytest.approx(mean, rel=1e-9, abs=1e-12)
        assert float(output_power(name, variance)) == pytest.approx(mean_square(name, variance), rel=1e-9)
        slope = mean_square_slope(name, variance)
        assert float(slope_power(name, variance)) == pytest.approx(slope, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("variance", [1e-20, 1e-3, 1.0, 1e4, 1e12, 1e20])
def test_hardtanh_and_sine_at_any_variance(variance):
    inside = norm.cdf(variance**-0.5) - norm.cdf(-(variance**-0.5))
    assert float(slope_power("hardtanh", variance)) == pytest.approx(inside, rel=1e-9)
    # E cos(t Z) = exp(-t^2 / 2); expm1 keeps 1 - exp(-2q) at small q.
    assert float(output_power("sine", variance)) == pytest.approx(-math.expm1(-2 * variance) / 2, rel=1e-9)
    assert float(output_power("relu", variance)) == pytest.approx(variance / 2, rel=1e-12)


def test_tanh_at_a_large_variance_is_a_step_with_a_known_shortfall():
    # Integral of 1 - tanh^2 over z is 2: E tanh^2 = 1 - 2 / sqrt(2 pi q) up to q^-1.5.
    expected = 1 - 2 / math.sqrt(2 * math.pi * 1e10)
    assert float(output_power("tanh", 1e10)) == pytest.approx(expected, abs=1e-14)


def test_variance_zero_is_the_limit_from_above():
    assert float(slope_power("relu", 0.0)) == pytest.approx(0.5, rel=1e-12)
    assert float(output_power("tanh", 0.0)) == 0
    assert float(output_power("sigmoid", 0.0)) == 0.25


def test_a_kink_away_from_the_mean():
    mean = np.array([-2.0, 0.5])
    found = gaussian_mean(lambda z: np.maximum(z, 0), (0.0,), mean, np.array([0.3, 2.0]))
    for value, m, s in zip(found, mean, (0.3, 2.0)):
        assert value == pytest.approx(m * norm.cdf(m / s) + s * norm.pdf(m / s), rel=1e-11)


@pytest.mark.parametrize("name", ["tanh", "softsign", "elu", "mish", "cosine"])
def test_the_table_between_its_knots(name):
    variance = np.exp(np.random.default_rng(0).uniform(-50, 50, 60))
    table = variance_table(name)
    assert table.output_at(variance) == pytest.approx(output_power(name, variance), rel=1e-7)
    assert table.slope_at(variance) == pytest.approx(slope_power(name, variance), rel=1e-7)


def test_the_moment_map_at_selus_fixed_point():
    found = moment_map("selu", 1.0)
    assert (found.mean, found.variance) == pytest.approx((0, 1), abs=1e-12)
    assert found.mean_growth == pytest.approx(0.088834, abs=1e-6)  # Klambauer et al. 2017
    assert found.variance_growth == pytest.approx(0.782648, abs=5e-7)


@pytest.mark.parametrize("name", ["softsign", "gelu", "hardtanh"])
def test_growths_are_the_differences_of_the_moments(name):
    step = 1e-4
    low, high = moment_map(name, 0.7 - step), moment_map(name, 0.7 + step)
    found = moment_map(name, 0.7)
    assert found.mean_growth == pytest.approx((high.mean - low.mean) / (2 * step), rel=1e-6, abs=1e-9)
    assert found.variance_growth == pytest.approx((high.variance - low.variance) / (2 * step), rel=1e-6)


def test_a_jump_has_no_growth_and_a_bad_variance_is_refused():
    assert math.isnan(moment_map("step", 1.0).variance_growth)
    with pytest.raises(ValueError, match=r"variance: 0 .*allowed: a finite number above 0"):
        moment_map("tanh", 0)
