"""Mean field against SciPy's quad, against plain iteration, against closed forms and published points."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from scalar_activations import mean_square, mean_square_slope, walk
from scipy.optimize import brentq

import nnlab
from nnlab.activations import ACTIVATIONS
from nnlab.theory import (
    batch_norm_growth,
    depth_scale,
    edge_of_chaos,
    fixed_points,
    mean_field,
    mean_field_map,
    variance_map,
)
from nnlab.variance_table import variance_table

BENT = {"step", "relu", "leaky_relu", "elu", "selu", "softsign", "hardtanh"}
every_name = pytest.mark.parametrize("name", ACTIVATIONS)


def tolerance(name):
    return 1e-5 if name in BENT else 1e-6


@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(0.9, 0.3), (1.3, 0.05)])
@every_name
def test_fixed_points_are_those_of_iteration_and_of_quad(name, sigma_w, sigma_b):
    near = walk(name, sigma_w, sigma_b, 400)
    found = mean_field(name, sigma_w, sigma_b)
    if near > 100:  # only identity at 1.3: it grows by 1.69 a layer
        assert name in ("identity", "softplus")
        assert (found.q_star, math.isnan(found.chi)) == (math.inf, True)
        return
    exact = brentq(
        lambda q: sigma_w**2 * mean_square(name, q) + sigma_b**2 - q, 0.99 * near, 1.01 * near, rtol=1e-12
    )
    assert found.q_star == pytest.approx(exact, rel=tolerance(name))
    assert found.chi == pytest.approx(sigma_w**2 * mean_square_slope(name, exact), rel=tolerance(name))


@pytest.mark.parametrize(
    ("sigma_b", "sigma_w", "chi"), [(0.3, 1.3, 0.940), (0.3, 2.5, 1.585), (0.3, 4, 2.367)]
)
def test_the_phases_of_poole(sigma_w, sigma_b, chi):
    assert round(mean_field("tanh", sigma_w, sigma_b).chi, 3) == chi


def test_the_names_of_the_contract():
    found = nnlab.theory.mean_field("tanh", sigma_w=1.5, sigma_b=0.1)
    assert found.xi == pytest.approx(1 / abs(math.log(found.chi)), rel=1e-12)
    assert found.trainable_depth == pytest.approx(6 * found.xi)
    edge = nnlab.theory.edge_of_chaos("tanh", sigma_b=0.1)
    assert nnlab.theory.mean_field("tanh", edge, 0.1).chi == pytest.approx(1, abs=1e-12)


def test_theory_is_loaded_on_first_use():
    code = (
        "import sys, nnlab; assert 'nnlab.theory' not in sys.modules; nnlab.theory.mean_field('gelu', 1, 0);"
        "sys.exit(bool({'torch', 'altair'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", ["tanh", "softsign", "hardtanh", "sine", "elu"])
def test_a_critical_point_is_found_that_iteration_only_creeps_to(name):
    # After 400 layers plain iteration still stands at this: "stopped" would be wrong.
    assert walk(name, 1.0, 0.0, 400) > 1e-6
    found = mean_field(name, 1.0, 0.0)
    assert (found.q_star, found.chi, found.xi) == (0.0, 1.0, math.inf)


def test_just_above_critical_the_fixed_point_follows_the_expansion():
    # tanh^2 = z^2 - 2 z^4 / 3 + ..: q = w2 (q - 2 q^2 + 17/3 q^3) gives q = e/2 + ... for w2 = 1 + e.
    for excess in (1e-6, 1e-9):
        q = mean_field("tanh", math.sqrt(1 + excess), 0.0).q_star
        # 1 + excess has only so many digits, and the point has no more than it.
        assert q == pytest.approx(excess / 2, rel=max(2 * excess, 1e-15 / excess))
    # Near 0 softsign's E phi^2 is q - 2 E |Z|^3 q^1.5, so that w2 = 1 + e has q = (e / (4 sqrt(2/pi)))^2.
    excess = 1e-4
    expected = (excess / (2 * 2 * math.sqrt(2 / math.pi))) ** 2
    assert mean_field("softsign", math.sqrt(1 + excess), 0.0).q_star == pytest.approx(expected, rel=1e-3)


def test_a_fixed_point_on_a_knot_of_the_table_is_found():
    # Where V(q) = q but for rounding, its sign there says nothing about the side.
    for knot in variance_table("step").variance[560:880:9]:
        sigma_w = math.sqrt(2 * knot)  # V(q) = sigma_w^2 / 2 everywhere
        assert mean_field("step", sigma_w, 0.0).q_star == pytest.approx(knot, rel=1e-12)
        found = mean_field_map("step", np.array([sigma_w]), 0.0)
        assert found.q_star[0] == pytest.approx(knot, rel=1e-7)


def test_small_biases_at_criticality():
    assert mean_field("tanh", 1.0, 1e-6).q_star == pytest.approx(1e-6 / math.sqrt(2), rel=1e-5)
    assert mean_field("tanh", 0.5, 1e-15).q_star == pytest.approx(1e-30 / 0.75, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b", "q_star", "chi"),
    [
        ("relu", math.sqrt(2), 0.0, 1.0, 1.0),  # every q is a fixed point: it stays where it starts
        ("identity", 1.0, 0.0, 1.0, 1.0),
        ("relu", 1.2, 0.0, 0.0, 0.72),
        ("relu", 1 / math.sqrt(3), 1 / math.sqrt(3), 0.4, 1 / 6),  # PyTorch's default
        ("leaky_relu", 1.0, 0.5, 0.25 / (1 - 0.50005), 0.50005),
        ("step", 1.0, 0.3, 0.59, 0.0),
        ("step", 1.0, 0.0, 0.5, 0.0),
        ("tanh", 0.0, 0.3, 0.09, 0.0),
        ("tanh", 0.0, 0.0, 0.0, 0.0),
        ("gelu", math.sqrt(2), 0.0, 0.0, 0.5),  # He is not critical for GELU, SiLU, Mish
        ("silu", math.sqrt(2), 0.0, 0.0, 0.5),
        ("mish", math.sqrt(2), 0.0, 0.0, 0.72),
        ("selu", 1.0, 0.0, 1.0, 1.071575),
        ("sine", 100.0, 0.0, 5000.0, 5000.0),
    ],
)
def test_closed_forms(name, sigma_w, sigma_b, q_star, chi):
    found = mean_field(name, sigma_w, sigma_b)
    assert (found.q_star, found.chi) == pytest.approx((q_star, chi), rel=1e-6, abs=1e-300)


@pytest.mark.parametrize("xi", [(0.0, 0.0), (1.0, math.inf), (math.e, 1.0), (1 / math.e, 1.0)])
def test_depth_scale(xi):
    assert depth_scale(xi[0]) == pytest.approx(xi[1])
    assert math.isnan(depth_scale(math.nan))


@pytest.mark.parametrize(
    ("name", "sigma_w", "sigma_b"),
    [("relu", math.sqrt(2), 0.1), ("relu", 1.5, 0.0), ("identity", 1.0, 1e-3), ("gelu", 2.0, 0.0)],
)
def test_where_the_map_runs_away_q_is_infinite(name, sigma_w, sigma_b):
    found = mean_field(name, sigma_w, sigma_b)
    assert found.q_star == math.inf
    assert math.isnan(found.chi)
    assert math.isnan(found.xi)


def test_several_fixed_points_are_all_found_and_iteration_takes_the_near_stable_one():
    low, high = fixed_points("gelu", 1.45, 0.2)
    assert low.is_stable
    assert not high.is_stable
    assert mean_field("gelu", 1.45, 0.2).q_star == pytest.approx(low.q)
    for point in (low, high):
        assert 1.45**2 * mean_square("gelu", point.q) + 0.04 == pytest.approx(point.q, rel=1e-9)
        step = 1e-4 * point.q
        around = [1.45**2 * mean_square("gelu", point.q + side * step) for side in (-1, 1)]
        assert (around[1] - around[0]) / (2 * step) == pytest.approx(point.slope, rel=1e-5)
    assert [point.q for point in fixed_points("tanh", 1.0, 0.0)] == [0.0]
    assert fixed_points("relu", math.sqrt(2), 0.0) == ()  # none is isolated
    assert fixed_points("relu", math.sqrt(2), 0.1) == ()


@every_name
def test_only_cosines_variance_map_falls(name):
    q = np.geomspace(1e-3, 1e3, 400)
    slopes = np.diff(variance_map(name, 1.0, 0.0, q)) / np.diff(q)
    assert (slopes < -1e-12).any() == (name == "cosine")


# definitions.md, "Critical points"
AT_ZERO_BIAS = {
    "tanh": 1, "elu": 1, "softsign": 1, "hardtanh": 1, "sine": 1, "selu": 0.69049, "gelu": 2, "silu": 2,
    "mish": 1.66667, "relu": 1.41421, "leaky_relu": 1.41414, "identity": 1,
}  # fmt: skip
AT_BIAS = {
    "tanh": 1.30415, "elu": 1.22925, "selu": 0.93748, "gelu": 1.54701, "silu": 1.67953, "mish": 1.46344,
    "softsign": 1.72963, "hardtanh": 1.06861, "sine": 1.21233, "sigmoid": 10.154, "relu": math.nan,
    "leaky_relu": math.nan, "identity": math.nan, "step": math.nan, "softplus": math.nan,
}  # fmt: skip


@pytest.mark.parametrize(
    ("sigma_b", "name", "sigma_w"),
    [(0.0, *item) for item in AT_ZERO_BIAS.items()] + [(0.2, *item) for item in AT_BIAS.items()],
)
def test_edges_of_chaos(name, sigma_b, sigma_w):
    digits = 3 if name == "sigmoid" else 5
    assert round(edge_of_chaos(name, sigma_b), digits) == pytest.approx(sigma_w, nan_ok=True)


def test_the_critical_line_of_tanh():
    assert edge_of_chaos("tanh", math.sqrt(0.05)) ** 2 == pytest.approx(1.7610, abs=5e-5)
    assert mean_field("tanh", edge_of_chaos("tanh", 0.2), 0.2).q_star == pytest.approx(0.5121, abs=5e-5)
    assert mean_field("tanh", edge_of_chaos("tanh", 0.2), 0.2).xi > 1e9
    small, smaller = (edge_of_chaos("tanh", sigma_b) - 1 for sigma_b in (1e-4, 1e-5))
    assert math.log10(small / smaller) == pytest.approx(2 / 3, abs=0.01)


# definitions.md: forward gain, backward gain at q = 1. Two last digits are what quad gives instead of what
# that text has: sigmoid's backward gain is 4.72265, mish's forward gain 1.48685.
GAINS = {
    "identity": (1, 1), "sigmoid": (1.8462, 4.7226), "tanh": (1.5925, 1.4674), "relu": (1.4142, 1.4142),
    "elu": (1.2452, 1.2234), "selu": (1, 0.9660), "gelu": (1.5335, 1.4811), "silu": (1.6765, 1.6233),
    "mish": (1.4868, 1.4448), "softplus": (1.0419, 1.8462), "softsign": (2.3375, 2.0958),
    "hardtanh": (1.3920, 1.2103), "sine": (1.5209, 1.3273), "cosine": (1.3273, 1.5209),
}  # fmt: skip


@pytest.mark.parametrize("name", GAINS)
def test_gains_at_unit_variance(name):
    # At sigma_w = the forward gain and no bias, q = 1 is a fixed point, and chi is (forward / backward)^2.
    forward, backward = GAINS[name]
    exact = variance_map(name, 1.0, 0.0, 1.0) ** -0.5
    assert round(float(exact), 4) == forward
    found = mean_field(name, float(exact), 0.0)
    assert found.q_star == pytest.approx(1, rel=1e-9)
    assert round(float(exact) / math.sqrt(found.chi), 4) == backward


def test_makemores_gain_is_mildly_exploding():
    found = mean_field("tanh", 5 / 3, 0.0)
    assert round(found.chi, 4) == 1.2098
    assert round(math.sqrt(mean_square("tanh", found.q_star)), 4) == 0.6513


@pytest.mark.parametrize(("sigma_w", "chi"), [(1 / math.sqrt(3), 0.0200), (1, 0.0557), (4, 0.399)])
def test_sigmoid_always_shrinks_gradients(sigma_w, chi):
    assert mean_field("sigmoid", sigma_w, 0.0).chi == pytest.approx(chi, abs=5e-4 if chi > 0.1 else 5e-5)


@pytest.mark.parametrize("name", ["tanh", "relu", "step", "gelu", "softsign", "cosine"])
def test_a_map_says_what_single_points_say(name):
    sigma_w, sigma_b = np.linspace(0, 3, 9)[:, None], np.linspace(0, 1, 5)
    found = mean_field_map(name, sigma_w, sigma_b)
    assert found.q_star.shape == found.xi.shape == (9, 5)
    for row in range(9):
        for column in range(5):
            single = mean_field(name, float(sigma_w[row, 0]), float(sigma_b[column]))
            assert found.q_star[row, column] == pytest.approx(single.q_star, rel=1e-6)
            assert found.chi[row, column] == pytest.approx(single.chi, rel=1e-6, nan_ok=True)


def test_maps_of_nothing_and_of_one_point():
    assert mean_field_map("tanh", np.zeros(0), 0.1).chi.shape == (0,)
    assert mean_field_map("tanh", 1.0, 0.0).q_star.shape == ()


def test_batch_norm_makes_gradients_grow():
    assert batch_norm_growth("relu") == pytest.approx(math.pi / (math.pi - 1), rel=1e-12)
    assert batch_norm_growth("identity") == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mean_field("tan", 1, 0), r"activation: 'tan' is not known; allowed: identity, .*cosine"),
        (lambda: edge_of_chaos("tan", 0), "activation: 'tan'"),
        (lambda: mean_field_map("tan", 1, 0), "activation: 'tan'"),
        (
            lambda: mean_field("tanh", -1, 0),
            r"sigma_w: -1.* not allowed; allowed: a number from 0 to 1,000,000",
        ),
        (lambda: mean_field("tanh", 1, math.nan), "sigma_b: nan"),
        (lambda: mean_field("tanh", math.inf, 0), "sigma_w: inf"),
        (lambda: mean_field("tanh", "1", 0), "sigma_w: '1'"),
        (lambda: mean_field("tanh", None, 0), "sigma_w: None"),
        (lambda: mean_field("tanh", np.ones(2), 0), r"sigma_w: an array of shape \(2,\)"),
        (lambda: mean_field_map("tanh", np.ones(2), np.ones(3)), r"shapes \(2,\) and \(3,\)"),
        (lambda: edge_of_chaos("tanh", 2e6), "sigma_b: 2000000"),
        (lambda: variance_map("tanh", 1, 0, -1.0), "q: -1.0"),
    ],
)
def test_errors_name_field_value_and_what_is_allowed(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "allowed: " in str(caught.value)
