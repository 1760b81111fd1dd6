"""Phase map: its cells against single points and closed forms, its axes, and the way to criticality."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.criticality import criticality
from nnlab.initializers import INITIALIZERS
from nnlab.phase_map import (
    BLOCKED,
    CRITICAL,
    EXPLODING,
    RUNAWAY,
    VANISHING,
    axis_top,
    b_top,
    depth_map,
    edge,
    moved,
    nowhere,
    phase_map,
    standing,
    state,
    states,
    w_top,
)
from nnlab.phase_words import (
    caption_words,
    depth_words,
    layer_words,
    place_words,
    plain_words,
    unreached_words,
)
from nnlab.random_network import RandomNetwork
from nnlab.theory import mean_field

# Definitions, critical points at sigma_b = 0.2, computed independently of nnlab.
EDGE_AT_02 = {
    "tanh": 1.30415,
    "selu": 0.93748,
    "gelu": 1.54701,
    "hardtanh": 1.06861,
    "sigmoid": 10.154,
}
LEFT = ("gelu", "silu", "mish")  # a signal of size 1 does not go to their critical point at sigma_b = 0.2


def network(activation: str, sigma_b: float = 0.0, **fields: Any) -> RandomNetwork:
    return RandomNetwork(ExperimentConfig(activation=activation, **fields), sigma_b)


@pytest.mark.parametrize("name", ["tanh", "gelu"])
def test_cells_hold_what_a_single_point_gives(name):
    found = phase_map(name, 4.0, 2.0)
    assert found.field.chi.shape == (60, 60)
    draw = np.random.default_rng(0)
    for row, column in draw.integers(0, 60, (6, 2)):
        one = mean_field(name, 4 * (column + 0.5) / 60, 2 * (row + 0.5) / 60)
        assert found.field.chi[row, column] == pytest.approx(one.chi, rel=1e-6, nan_ok=True)
        assert found.decades[row, column] == pytest.approx(
            math.log10(math.sqrt(one.chi)), abs=1e-6, nan_ok=True
        )


def test_relu_follows_its_closed_form():
    found = phase_map("relu", 4.0, 2.0)
    w = 4 * (np.arange(60) + 0.5) / 60
    runs_away = w**2 >= 2
    said = states(found.field)
    assert (said[:, runs_away] == RUNAWAY).all()
    assert (said[:, ~runs_away] == VANISHING).all()
    assert np.isnan(found.decades[:, runs_away]).all()
    expected = np.tile(np.log10(w[~runs_away] / math.sqrt(2)), (60, 1))
    np.testing.assert_allclose(found.decades[:, ~runs_away], expected, atol=1e-6)


def test_the_ratio_over_depth_is_one_factor_a_layer():
    found = depth_map("relu", 4.0, 0.3)
    w = 4 * (np.arange(60) + 0.5) / 60
    column = 12
    chi = w[column] ** 2 / 2
    assert (found.depth[0], found.depth[-1]) == pytest.approx((1.825, 99.175))
    np.testing.assert_allclose(
        found.decades[:, column], (found.depth - 1) * math.log10(math.sqrt(chi)), rtol=1e-6
    )
    xi = 1 / abs(math.log(chi))
    assert found.trains[:, column].tolist() == (found.depth <= 6 * xi).tolist()
    assert not found.trains[:, w**2 >= 2].any()  # there is no xi
    at = np.flatnonzero((found.limit_w > 0) & (found.limit_w < 1.4))
    np.testing.assert_allclose(found.limit[at], 6 / np.abs(np.log(found.limit_w[at] ** 2 / 2)), rtol=1e-5)


def test_at_the_edge_of_chaos_no_depth_is_too_deep():
    found = depth_map("tanh", 4.0, 0.2)
    assert found.limit_w[found.limit.argmax()] == pytest.approx(EDGE_AT_02["tanh"], abs=1e-5)
    assert found.limit.max() > 1e5


def test_the_step_lets_nothing_pass():
    assert (states(phase_map("step", 4.0, 2.0).field) == BLOCKED).all()
    assert (phase_map("step", 4.0, 2.0).decades == -math.inf).all()
    decades = depth_map("step", 4.0, 0.0).decades
    assert (decades == -math.inf).all()


@pytest.mark.parametrize("name", EDGE_AT_02)
def test_the_edge_goes_through_the_known_critical_points(name):
    line = edge(name, 2.0)
    place = int(np.abs(line.sigma_b - 0.2).argmin())
    assert line.sigma_b[place] == pytest.approx(0.2)
    assert line.sigma_w[place] == pytest.approx(EDGE_AT_02[name], rel=5e-6 if name != "sigmoid" else 5e-5)
    assert line.is_reached[place] == (name not in LEFT)


@pytest.mark.parametrize(("name", "points"), [("relu", 1), ("identity", 1), ("step", 0), ("softplus", 0)])
def test_where_there_is_no_edge_it_has_gaps(name, points):
    line = edge(name, 2.0)
    assert np.isfinite(line.sigma_w).sum() == points
    assert line.is_reached.sum() == points
    assert (np.diff(line.sigma_b) > 0).all()


def test_maps_are_shared_and_cannot_be_changed():
    assert phase_map("tanh", 4.0, 2.0) is phase_map("tanh", 4.0, 2.0)
    with pytest.raises(ValueError, match="read-only"):
        phase_map("tanh", 4.0, 2.0).field.chi[0, 0] = 1.0


def test_an_axis_holds_what_it_must_and_seldom_jumps():
    needs = np.geomspace(0.01, 1e6, 2000)
    tops = np.array([axis_top(4.0, need) for need in needs])
    assert (tops >= needs).all()
    assert (np.diff(tops) >= 0).all()
    assert (tops[needs > 4] < 1.5 * needs[needs > 4]).all()
    assert len(set(tops[needs < 100])) == 11  # 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128


def test_the_axes_hold_the_network_and_its_critical_point():
    assert w_top(network("tanh")) == 4.0
    assert w_top(network("sigmoid", 0.2)) >= 1.1 * 10.154
    assert w_top(network("tanh", gain=9.0)) >= 1.25 * 9
    assert b_top(network("tanh", 9.0)) >= 1.25 * 9
    assert w_top(network("tanh", gain=1e30)) == 4.0  # it is no point of any map


@pytest.mark.parametrize("name", [name for name in INITIALIZERS if name not in ("lsuv", "zeros")])
def test_a_network_moves_to_the_point_asked_for(name):
    start = network("tanh", 0.1, initializer=name, width=50)
    there = moved(start, 1.7, 0.4)
    assert (there.sigma_w, there.total_sigma_b) == pytest.approx((1.7, 0.4), rel=1e-12)
    assert moved(start, 1.7).sigma_b == moved(start).sigma_b == 0.1
    assert moved(start, None, 0.4).config == start.config


def test_a_move_that_cannot_be_says_why():
    with pytest.raises(ValueError, match=r"^sigma_w: 0\.0 is not allowed; allowed: a number above 0"):
        moved(network("tanh"), 0.0)
    default = network("tanh", initializer="pytorch_default", width=100)
    own = math.sqrt(1 / 300)  # uniform between -0.1 and 0.1
    assert moved(default, 1.0, own).sigma_b == 0.0
    with pytest.raises(ValueError, match=r"^sigma_b: 0\.01 .*pytorch_default; allowed: 0\.0577 or more"):
        moved(default, 1.0, 0.01)
    with pytest.raises(ValueError, match=r"^sigma_w: .* allowed: an initializer whose weights"):
        moved(network("tanh", initializer="zeros"), 1.0)


@pytest.mark.parametrize("sigma_b", [0.0, 0.2])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_critical_network_is_critical_or_the_reason_stands_there(name, sigma_b):
    start = network(name, sigma_b, gain=0.7)
    found = criticality(start)
    has_none = name in ("step", "softplus", *LEFT) or (
        sigma_b > 0 and name in ("relu", "leaky_relu", "identity")
    )
    assert math.isnan(found.sigma_w) == bool(found.reason) == has_none
    target = found.other if has_none else (found.sigma_w, sigma_b)
    assert (target is None) == (name in ("step", "softplus"))
    if target is not None:
        field = standing(moved(start, *target))
        assert field.chi == pytest.approx(1, abs=1e-9)
        assert state(field) == CRITICAL


def test_advice_fits_what_stands_in_the_way():
    relu = criticality(network("relu", 0.5))
    assert relu.other == pytest.approx((math.sqrt(2), 0.0))
    assert "nearest network that is critical has sigma_b = 0 and sigma_w = 1.414" in relu.reason
    assert "initializer that draws none" in criticality(network("relu", initializer="pytorch_default")).reason
    assert "Choose another activation" in criticality(network("softplus")).reason
    assert "slope is 0" in criticality(network("step")).reason
    assert "only for a signal of one certain size" in criticality(network("gelu")).reason


@pytest.mark.parametrize("initializer", ["lsuv", "zeros"])
def test_a_network_without_sigma_w_is_nowhere_and_says_so(initializer):
    lost = network("tanh", initializer=initializer)
    assert standing(lost) is None
    assert "no point of the map" in nowhere(lost)
    assert place_words(lost) == nowhere(lost) == criticality(lost).reason
    assert layer_words(lost) == depth_words(lost) == ()


def test_a_gain_too_large_for_theory_is_said_and_can_be_mended():
    lost = network("tanh", gain=1e30)
    assert standing(lost) is None
    assert "too large for the map" in place_words(lost)
    assert criticality(lost).sigma_w == 1.0


@pytest.mark.parametrize(
    ("name", "gain", "sigma_b", "phase", "words"),
    [
        ("tanh", 0.5, 0.0, VANISHING, "Over 10 layers the gradient at the first is expected to be 2.0e-03 x"),
        ("tanh", 2.5, 0.3, EXPLODING, "chi = 1.585"),  # Poole et al. 2016, with sigma_w = 2.5
        ("tanh", 1.0, 0.0, CRITICAL, "The depth scale xi is infinite"),
        ("relu", 1.6, 0.0, RUNAWAY, "overflow"),
        ("step", 1.0, 0.0, BLOCKED, "The depth scale xi is 0: of 10 layers, only the last one"),
    ],
)
def test_the_words_say_what_the_numbers_say(name, gain, sigma_b, phase, words):
    here = network(name, sigma_b, gain=gain, depth=10, initializer="lecun_normal")
    assert state(standing(here)) == phase
    text = " ".join([place_words(here), *layer_words(here), *depth_words(here)])
    assert words in text
    assert "nan" not in text


def test_the_words_name_the_depth_that_still_trains():
    # ReLU at sigma_w = 1.2: chi = 0.72, xi = 3.044, 6 xi = 18.3
    for depth, verdict in ((18, "that is within reach"), (19, "that is too deep")):
        text = " ".join(depth_words(network("relu", gain=1.2, depth=depth, initializer="lecun_normal")))
        assert "here 18 layers" in text
        assert verdict in text


def test_a_saved_picture_says_of_which_network_it_is():
    said = caption_words(network("tanh", 0.2, initializer="lecun_normal", gain=1.5, depth=10, width=50))
    assert said == "10 x 50 tanh · lecun_normal · gain 1.5 · sigma_w 1.5 · sigma_b 0.2"
    assert caption_words(network("tanh", initializer="lsuv")).endswith("lsuv · gain 1")


def test_what_the_map_leaves_out_is_said():
    assert plain_words(network("tanh")) == ()
    (left_out,) = plain_words(network("tanh", normalization="batch", residual=True))
    assert "batch normalization and residual connections" in left_out
    (own,) = plain_words(network("tanh", initializer="pytorch_default", width=100))
    assert "sigma_b = 0.0577" in own
    assert "GELU" in unreached_words("gelu")
