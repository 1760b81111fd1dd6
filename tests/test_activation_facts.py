"""Facts about activations: against torch, scipy's quadrature, closed forms and a table written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from nnlab.activation_facts import (
    COLUMN_HELP,
    COLUMN_WORDS,
    DEFAULT_TAU,
    NARROW,
    check_tau,
    facts,
    facts_table,
    in_words,
    range_text,
    saturated_zones,
    zone_word,
    zones_in_words,
)
from nnlab.activations import ACTIVATIONS

every_name = pytest.mark.parametrize("name", ACTIVATIONS)

# name: (can die, kinks, differentiable, saturates at the default tau, zero-centered, range)
TRUTH = {
    "identity": (False, (), "everywhere", "no", True, "(-∞, ∞)"),
    "step": (True, (0,), "it jumps at 0", "everywhere", False, "{0, 1}"),
    "sigmoid": (False, (), "everywhere", "both sides", False, "(0, 1)"),
    "tanh": (False, (), "everywhere", "both sides", True, "(-1, 1)"),
    "relu": (True, (0,), "not at 0", "left", False, "[0, ∞)"),
    "leaky_relu": (False, (0,), "not at 0", "left", False, "(-∞, ∞)"),
    "elu": (False, (), "everywhere", "left", False, "(-1, ∞)"),
    "selu": (False, (0,), "not at 0", "left", True, "(-1.8, ∞)"),
    "gelu": (False, (), "everywhere", "left", False, "[-0.17, ∞)"),
    "silu": (False, (), "everywhere", "left", False, "[-0.28, ∞)"),
    "mish": (False, (), "everywhere", "left", False, "[-0.31, ∞)"),
    "softplus": (False, (), "everywhere", "left", False, "(0, ∞)"),
    "softsign": (False, (), "everywhere", "both sides", True, "(-1, 1)"),
    "hardtanh": (True, (-1, 1), "not at -1 and 1", "both sides", True, "[-1, 1]"),
    "sine": (False, (), "everywhere", NARROW, True, "[-1, 1]"),
    "cosine": (False, (), "everywhere", NARROW, False, "[-1, 1]"),
}


def torch_slope(name: str, z: np.ndarray) -> np.ndarray:
    """Give phi' by autograd in float64, through torch's own function where it has one."""
    own = {"step": lambda t: t * 0, "sine": torch.sin, "cosine": torch.cos}
    module = ACTIVATIONS[name].module
    phi = own[name] if name in own else getattr(torch.nn, module)()
    leaf = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(phi(leaf).sum(), leaf)[0].numpy()


@every_name
def test_facts_agree_with_the_table_written_by_hand(name):
    found, row = facts(name), TRUTH[name]
    assert (found.can_die, found.kinks, found.differentiable) == row[:3]
    assert found.saturates == row[3]
    assert found.zero_centered is row[4]
    assert range_text(name) == row[5]


def test_the_table_by_hand_holds_every_activation():
    assert TRUTH.keys() == ACTIVATIONS.keys()


@every_name
def test_mean_output_is_the_gaussian_integral(name):
    def integrand(z):
        value = float(ACTIVATIONS[name].function(np.float64(z)))
        return value * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    expected, _ = quad(integrand, -12, 12, points=[-1, 0, 1], limit=400, epsabs=1e-13)
    assert facts(name).mean_output == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", 1 / math.sqrt(2 * math.pi)),
        ("leaky_relu", 0.99 / math.sqrt(2 * math.pi)),
        ("gelu", 1 / math.sqrt(4 * math.pi)),  # E Z Phi(Z) = E phi(Z) by parts
        ("cosine", math.exp(-0.5)),
        ("sigmoid", 0.5),
        ("selu", 0.0),  # the fixed point it was built for
    ],
)
def test_mean_output_is_the_closed_form(name, expected):
    assert facts(name).mean_output == pytest.approx(expected, abs=1e-13)


@every_name
def test_largest_slope_is_that_of_autograd(name):
    z = np.linspace(-12, 12, 24001)
    slopes = np.abs(torch_slope(name, z))
    best = z[int(slopes.argmax())]
    near = minimize_scalar(
        lambda t: -abs(float(torch_slope(name, np.array([t]))[0])), bounds=(best - 0.01, best + 0.01),
        method="bounded", options={"xatol": 1e-10},
    )  # fmt: skip
    expected = max(float(slopes.max()), -float(near.fun))
    assert facts(name).slope_sup == pytest.approx(expected, abs=1e-5)  # softplus nears 1 only far out
    assert facts(name).slope_sup == pytest.approx(ACTIVATIONS[name].slope_sup, rel=1e-9)


@pytest.mark.parametrize("tau", [0.003, DEFAULT_TAU, 0.3, 0.7])
@every_name
def test_zones_hold_exactly_the_points_with_a_small_slope(name, tau):
    z = np.linspace(-6, 6, 4001) + 1e-4  # beside the edges that are whole numbers
    z = z[z < 6]
    flat = np.abs(torch_slope(name, z)) < tau * ACTIVATIONS[name].slope_sup
    if name == "step":
        flat[:] = True
    zones = saturated_zones(name, tau, -6, 6)
    inside = np.zeros(len(z), dtype=bool)
    for left, right in zones:
        assert left < right
        inside |= (z >= left) & (z <= right)
    assert (inside == flat).all()


@pytest.mark.parametrize("tau", [1e-4, 0.01, DEFAULT_TAU, 0.5])
def test_zone_edges_are_the_closed_forms(tau):
    def edges(name):
        return [edge for zone in saturated_zones(name, tau, -50, 50) for edge in zone][1:-1]

    sigmoid = math.log((2 - tau + 2 * math.sqrt(1 - tau)) / tau)  # 4 s (1 - s) = tau
    tanh = math.atanh(math.sqrt(1 - tau))
    softsign = tau**-0.5 - 1
    assert edges("sigmoid") == pytest.approx([-sigmoid, sigmoid], abs=1e-9)
    assert edges("tanh") == pytest.approx([-tanh, tanh], abs=1e-9)
    assert saturated_zones("softsign", tau, -200, 200)[1][0] == pytest.approx(softsign, abs=1e-6)
    assert saturated_zones("elu", tau, -50, 50)[0][1] == pytest.approx(math.log(tau), abs=1e-9)
    assert saturated_zones("softplus", tau, -50, 50)[0][1] == pytest.approx(
        math.log(tau / (1 - tau)), abs=1e-9
    )
    assert saturated_zones("relu", tau, -6, 6) == ((-6.0, 0.0),)
    assert saturated_zones("hardtanh", tau, -6, 6) == ((-6.0, -1.0), (1.0, 6.0))


def test_zones_narrower_than_any_grid_are_found():
    half = math.asin(1e-7)
    zones = saturated_zones("sine", 1e-7, 0, 6)
    assert [edge for zone in zones for edge in zone] == pytest.approx(
        [math.pi / 2 - half, math.pi / 2 + half, 1.5 * math.pi - half, 1.5 * math.pi + half], abs=1e-9
    )
    assert len(saturated_zones("gelu", 1e-7, -6, 6)) == 2
    assert saturated_zones("cosine", 1e-7, -1, 1)[0] == pytest.approx((-half, half), abs=1e-9)


def test_zones_follow_tau():
    assert facts("leaky_relu", 0.02).saturates == "left"
    assert facts("leaky_relu", 0.01).saturates == "no"  # strictly below
    assert saturated_zones("identity", 0.9, -6, 6) == ()
    assert saturated_zones("step", 0.001, -6, 6) == ((-6.0, 6.0),)


@every_name
def test_no_interval_of_slope_zero_but_where_units_can_die(name):
    z = np.linspace(-5, 5, 100_001)
    zeros = torch_slope(name, z) == 0
    assert facts(name).can_die == (zeros.mean() > 0.1)


@pytest.mark.parametrize("tau", [0, 1, -0.1, 1.5, math.nan, math.inf, "0.1", None, True])
def test_tau_outside_is_refused_in_one_sentence(tau):
    for call in (
        check_tau,
        facts_table,
        lambda t: facts("relu", t),
        lambda t: saturated_zones("relu", t, -1, 1),
    ):
        with pytest.raises(
            ValueError, match=r"^tau: .* is not allowed; allowed: a number above 0 and below 1$"
        ):
            call(tau)


def test_unknown_names_and_empty_intervals_are_refused():
    with pytest.raises(ValueError, match=r"activation: 'rely' is not known; allowed: identity, step"):
        facts("rely")
    for low, high in ((1, 1), (2, 1), (-math.inf, 1), (0, math.nan)):
        with pytest.raises(ValueError, match="low < high"):
            saturated_zones("relu", 0.1, low, high)


def test_table_has_a_row_each_and_words_for_every_column():
    table = facts_table(0.1)
    assert table["name"].tolist() == list(ACTIVATIONS)
    assert list(table.columns) == list(COLUMN_WORDS)
    assert set(COLUMN_HELP) < set(COLUMN_WORDS)
    assert table.notna().all().all()
    assert table.set_index("name").loc["relu", "saturates"] == "left (inactive)"
    assert table.set_index("name").loc["silu", "mean_output"] == facts("silu").mean_output


def test_only_relu_and_its_leaky_kin_are_called_inactive():
    assert {name for name in ACTIVATIONS if zone_word(name) == "inactive"} == {"relu", "leaky_relu"}


@every_name
def test_words_hold_the_measured_numbers(name):
    words, found = in_words(name), facts(name)
    if name != "step":
        assert f"at most {found.slope_sup:.3g} in size" in words
    assert ("is zero-centered" in words) is found.zero_centered
    assert ("is not zero-centered" in words) is not found.zero_centered
    assert ("can die" in words) is found.can_die
    assert words.endswith(".")


def test_words_name_the_edges():
    assert "for z below -4.18 and above 4.18" in in_words("sigmoid")
    assert "for z below -2.89 and above 2.89" in in_words("sigmoid", 0.2)
    assert zones_in_words("sigmoid", 0.2, -6, 6) == "for z below -2.89 and above 2.89"
    assert "inactive for z below 0" in in_words("relu")
    assert zones_in_words("identity", 0.1, -6, 6) == "for no z"
    assert zones_in_words("step", 0.1, -6, 6) == "for every z"
