"""Curves of activations: aligned panels, zones, jumps, and words."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
import vl_convert

from nnlab.activation_charts import curves, pieces
from nnlab.activations import ACTIVATIONS
from nnlab.export import standalone_spec
from nnlab.palette import THEMES

TAU = 1 - 0.97**2
# Altair takes 0.2 s to build a spec; tests of the numbers do without.
numbers_only = pytest.mark.usefixtures("without_spec")
SETS = [["sigmoid"], ["step"], ["sine"], ["sigmoid", "relu", "gelu"], list(ACTIVATIONS)]


@pytest.fixture
def without_spec(monkeypatch):
    monkeypatch.setattr("nnlab.activation_charts._spec", lambda mode, names: {})


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("names", SETS, ids=len)
def test_the_spec_compiles_and_says_what_it_shows(names, mode):
    chart = curves(names, TAU, mode)
    assert vl_convert.vegalite_to_svg(standalone_spec(chart, "s")).startswith("<svg")
    assert chart.spec["config"]["background"] == THEMES[mode].background
    assert chart.name == "activation_curves"
    assert len(chart.how_to_read) > 80
    for name in names:
        assert ACTIVATIONS[name].label in chart.alt_text


def rendered_axes(chart) -> str:
    return vl_convert.vegalite_to_svg(standalone_spec(chart, ""))


def test_both_panels_have_their_axis_at_the_left():
    svg = rendered_axes(curves(["tanh"], TAU, "light"))
    for title in ("output φ(z)", "slope φ′(z)"):
        assert f"Y-axis titled '{title}'" in svg
    assert svg.count("X-axis titled") == 1


@numbers_only
def test_the_table_is_the_function_and_its_autograd_slope_in_full_precision():
    table = curves(["silu", "tanh"], TAU, "light").make_table()
    for name, phi in (("silu", torch.nn.functional.silu), ("tanh", torch.tanh)):
        part = table[table["name"] == name]
        z = torch.tensor(part["z"].to_numpy(), requires_grad=True)
        h = phi(z)
        (slope,) = torch.autograd.grad(h.sum(), z)
        np.testing.assert_allclose(part["phi"], h.detach().numpy(), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(part["slope"], slope.numpy(), rtol=1e-9, atol=1e-13)
        wanted = np.abs(slope.numpy()) < TAU * ACTIVATIONS[name].slope_sup
        assert part["saturated"].tolist() == wanted.tolist()
    assert (table["z"].min(), table["z"].max()) == (-6, 6)


@numbers_only
def test_zone_edges_and_the_limit_are_those_of_tau():
    chart = curves(["sigmoid"], 0.2, "light")
    edge = math.log((2 - 0.2 + 2 * math.sqrt(0.8)) / 0.2)
    zones = chart.frames["zones"]
    assert zones["left"].tolist() == pytest.approx([-6, edge], abs=1e-9)
    assert zones["right"].tolist() == pytest.approx([-edge, 6], abs=1e-9)
    assert chart.frames["limit"]["slope"].tolist() == pytest.approx([0.2 * 0.25])
    assert len(curves(["cosine"], 0.2, "light").frames["limit"]) == 2
    assert len(curves(["step"], 0.2, "light").frames["limit"]) == 0


@numbers_only
def test_curves_are_faint_exactly_inside_their_zone():
    drawn = curves(["tanh", "elu"], TAU, "light").frames["slopes"]
    for name in ("tanh", "elu"):
        part = drawn[drawn["label"] == ACTIVATIONS[name].label]
        slope = np.abs(part["slope"].to_numpy()) / ACTIVATIONS[name].slope_sup
        flat = (part["state"] == "flat").to_numpy()
        assert slope[flat].max() <= TAU + 1e-9
        assert slope[~flat].min() >= TAU - 1e-9
        assert flat.any()


@numbers_only
def test_a_jump_is_never_drawn_as_a_slope():
    for name, frame, field, size in (
        ("step", "outputs", "phi", 1), ("relu", "slopes", "slope", 1), ("hardtanh", "slopes", "slope", 1)
    ):  # fmt: skip
        drawn = curves([name], TAU, "light").frames[frame]
        for _, piece in drawn.groupby("piece"):
            assert np.abs(np.diff(piece[field])).max() == 0
        assert np.ptp(drawn[field]) == size


def test_pieces_are_finite_and_cover_the_axis():
    frame = pieces("hardtanh", -3, 3, [0.5], 60)
    assert frame["z"].min() == -3
    assert frame["z"].max() == 3
    assert frame.groupby("piece")["z"].min().tolist() == pytest.approx([-3, -1, 0.5, 1], abs=1e-6)


@numbers_only
def test_beside_a_bounded_curve_an_unbounded_one_is_cut_on_the_border_and_it_says_so():
    chart = curves(["sigmoid", "identity", "gelu"], TAU, "light")
    drawn = chart.frames["outputs"]
    identity = drawn[drawn["label"] == "Identity"]
    np.testing.assert_allclose(identity["phi"], identity["z"], atol=1e-12)
    assert identity["phi"].max() < 3.5
    assert identity["phi"].min() > -2.5
    gelu = drawn[drawn["label"] == "GELU"]
    np.testing.assert_allclose(gelu["phi"], ACTIVATIONS["gelu"].function(gelu["z"].to_numpy()), atol=2e-3)
    assert any("Identity, GELU" in note for note in chart.notes)
    alone = curves(["identity"], TAU, "light")
    assert alone.frames["outputs"]["phi"].max() == 6
    assert alone.notes == ()


def test_sixteen_have_a_lane_each_and_no_two_look_alike():
    chart = curves(list(ACTIVATIONS), TAU, "light")
    assert chart.frames["lanes"]["label"].tolist() == [entry.label for entry in ACTIVATIONS.values()]
    zones = chart.frames["zones"]
    assert "Identity" not in set(zones["label"])
    assert set(zones["label"]) == {e.label for e in ACTIVATIONS.values()} - {"Identity"}
    found = json.dumps(chart.spec)
    for entry in ACTIVATIONS.values():
        assert entry.label in found
    scales = [
        part["encoding"] for layer in chart.spec["layer"] for part in layer.get("layer", [])
        if "strokeDash" in part.get("encoding", {})
    ]  # fmt: skip
    colors, dashes = scales[0]["color"]["scale"]["range"], scales[0]["strokeDash"]["scale"]["range"]
    assert len({(color, tuple(dash)) for color, dash in zip(colors, dashes, strict=True)}) == 16


@numbers_only
def test_few_marks():
    frames = curves(list(ACTIVATIONS), TAU, "light").frames
    assert 2 * len(frames["hover"]) + sum(len(frames[name]) for name in ("zones", "lanes", "words")) < 2000


@numbers_only
def test_words_of_the_zone():
    assert curves(["relu"], TAU, "light").frames["words"]["word"].tolist() == ["inactive"]
    assert set(curves(["tanh"], TAU, "light").frames["words"]["word"]) == {"saturated"}
    assert curves(["sigmoid"], TAU, "light").frames["words"]["word"].tolist() == [
        "← saturated",
        "saturated →",
    ]
    assert curves(["step"], TAU, "light").frames["words"]["word"].tolist() == ["slope 0 everywhere"]
    assert len(curves(["identity"], TAU, "light").frames["words"]) == 0


@numbers_only
def test_a_name_twice_is_drawn_once():
    chart = curves(["relu", "relu"], TAU, "light")
    assert chart.title.startswith("ReLU")
    assert len(chart.frames["hover"]) == 25


@pytest.mark.parametrize(
    ("names", "tau", "message"),
    [
        ([], 0.1, r"^activations: none is chosen; allowed: one to 16 of them$"),
        (["relu", "swishy"], 0.1, r"^activation: 'swishy' is not known; allowed: identity"),
        (["relu"], 1.0, r"^tau: 1.0 is not allowed; allowed: a number above 0 and below 1$"),
    ],
)
def test_bad_input_is_one_sentence(names, tau, message):
    with pytest.raises(ValueError, match=message):
        curves(names, tau, "light")


@numbers_only
def test_drawing_does_not_change_what_is_cached():
    before = curves(["relu", "tanh"], TAU, "light").make_table()
    curves(["relu", "sigmoid"], TAU, "light")
    after = curves(["relu", "tanh"], TAU, "light").make_table()
    assert before.equals(after)
