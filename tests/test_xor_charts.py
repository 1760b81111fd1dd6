"""Charts of XOR: corners in hidden space, the decision line, and losses over the linear optimum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import vl_convert
from chart_checks import assert_is_drawable

from nnlab.export import standalone_spec
from nnlab.network import Layer, Network, draw_network
from nnlab.palette import THEMES
from nnlab.xor import CLOSED_FORM, CORNERS
from nnlab.xor_charts import LossCurve, hidden_space, loss_floor

STEPS = np.arange(0, 501)
FLAT = LossCurve("without", STEPS, 0.25 + 0.3 * np.exp(-STEPS / 30))
FALLING = LossCurve("with ReLU", STEPS, 0.5 * np.exp(-STEPS / 80))


def two_outputs():
    """Give the closed form with one output a class: class 1 where h1 - 2 h2 > 0.5."""
    output = Layer(np.array([[0.0, 0.0], [1.0, -2.0]]), np.array([0.5, 0.0]))
    return Network((CLOSED_FORM.layers[0], output))


def all_charts(mode):
    return [
        hidden_space(CLOSED_FORM, mode),
        hidden_space(draw_network((2, 8, 2), "tanh", 3), mode),
        hidden_space(draw_network((2, 4, 1, 2), "relu", 3), mode),
        loss_floor(FLAT, FALLING, "mse", mode),
        loss_floor(FLAT, FALLING, "cross_entropy", mode),
    ]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_charts_compile_and_speak_in_both_modes(mode):
    for chart in all_charts(mode):
        vega = vl_convert.vegalite_to_vega(standalone_spec(chart, ""))
        assert vega["background"] == THEMES[mode].background
        assert_is_drawable(chart)
        assert chart.name in ("xor_hidden_space", "xor_loss_floor")
        assert chart.title
        assert len(chart.how_to_read) > 80
        assert chart.alt_text.endswith(".")
        assert len(chart.make_table())


def test_the_closed_form_brings_two_corners_together():
    chart = hidden_space(CLOSED_FORM, "light")
    rows = chart.frames["rows"]
    assert rows[["h1", "h2"]].to_numpy().tolist() == [[0, 0], [1, 0], [1, 0], [2, 1]]
    assert rows["target"].tolist() == ["class 0", "class 1", "class 1", "class 0"]
    assert chart.frames["labels"]["word"].tolist() == ["(0, 0)", "(0, 1) and (1, 0)", "(1, 1)"]
    assert "(0, 1) and (1, 0) land on one point." in chart.alt_text
    assert chart.make_table()["h1"].tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("network", [CLOSED_FORM, two_outputs()])
def test_the_line_is_where_the_output_is_undecided(network):
    line = hidden_space(network, "light").frames["line"]
    assert len(line) == 2
    assert (line["h1"] - 2 * line["h2"]).to_numpy() == pytest.approx([0.5, 0.5])
    # To the edges: left 0 - 0.5 and right 2 + 0.5 bound h1, bottom -0.25 and top 1.25 bound h2.
    assert line["h1"].tolist() == pytest.approx([0.0, 2.5])
    assert line["h2"].tolist() == pytest.approx([-0.25, 1.0])


@pytest.mark.parametrize("seed", range(12))
def test_the_line_parts_the_corners_as_the_network_does(seed):
    network = draw_network((2, 2, 2), "tanh", seed)
    chart = hidden_space(network, "light")
    line, places = chart.frames["line"].to_numpy(), chart.frames["rows"][["h1", "h2"]].to_numpy()
    outputs = network.outputs(CORNERS)
    says_1 = outputs[:, 1] > outputs[:, 0]
    if not len(line):
        assert len(set(says_1)) == 1
        assert any("no line" in note for note in chart.notes)
        return
    along, across = line[1] - line[0], places - line[0]
    side = along[0] * across[:, 1] - along[1] * across[:, 0] > 0
    assert (side == says_1).all() or (side != says_1).all()


def test_one_hidden_unit_is_drawn_on_a_line_with_a_threshold():
    hidden = Layer(np.array([[1.0, 1.0]]), np.zeros(1), "relu")
    network = Network((hidden, Layer(np.array([[1.0]]), np.array([-0.25]))))
    chart = hidden_space(network, "light")
    assert chart.frames["rows"]["h1"].tolist() == [0, 1, 1, 2]
    assert chart.frames["rows"]["h2"].tolist() == [0, 0, 0, 0]
    assert chart.frames["line"]["h1"].to_numpy() == pytest.approx([0.75, 0.75])


def test_a_wide_layer_is_shown_by_its_two_most_different_units():
    spread = np.array([0.1, 3.0, 0.0, 2.0])
    hidden = Layer(np.column_stack([spread, spread]), np.zeros(4))
    network = Network((hidden, Layer(np.ones((1, 4)), np.zeros(1))))
    chart = hidden_space(network, "light")
    assert chart.frames["rows"]["h1"].tolist() == [0, 3, 3, 6]
    assert chart.frames["rows"]["h2"].tolist() == [0, 2, 2, 4]
    assert chart.notes[0].startswith("Units 2 and 4 of 4 are drawn")
    assert chart.frames["line"].empty
    assert list(chart.make_table().columns) == ["x1", "x2", "target", "h1", "h2", "h3", "h4"]


def test_only_the_last_hidden_layer_is_shown():
    network = draw_network((2, 7, 2, 2), "sigmoid", 0)
    expected = network.forward(CORNERS)[1].h
    assert hidden_space(network, "dark").make_table()[["h1", "h2"]].to_numpy().tolist() == expected.tolist()


def test_labels_of_near_corners_are_one_label_from_left_to_right():
    # (0, 1) lands a little left of (0, 0); (1, 1) a little left of (1, 0).
    hidden = Layer(np.array([[10.0, -0.01], [1.0, 0.0]]), np.zeros(2))
    chart = hidden_space(Network((hidden, Layer(np.ones((1, 2)), np.zeros(1)))), "light")
    assert len(chart.frames["rows"]) == 4
    assert chart.frames["labels"]["word"].tolist() == ["(0, 1) and (0, 0)", "(1, 1) and (1, 0)"]
    assert "land on one point" not in chart.alt_text


def test_a_dead_layer_puts_all_corners_on_one_point():
    hidden = Layer(np.zeros((2, 2)), np.array([-1.0, -1.0]), "relu")
    chart = hidden_space(Network((hidden, Layer(np.ones((2, 2)), np.zeros(2)))), "light")
    assert chart.frames["labels"]["word"].tolist() == ["(0, 0) and (0, 1) and (1, 0) and (1, 1)"]
    assert chart.frames["line"].empty
    vl_convert.vegalite_to_vega(standalone_spec(chart, ""))


def test_numbers_that_are_not_finite_are_said():
    hidden = Layer(np.full((2, 2), np.inf), np.zeros(2))
    chart = hidden_space(Network((hidden, Layer(np.ones((2, 2)), np.zeros(2)))), "light")
    assert chart.is_empty
    assert "not finite" in chart.alt_text
    assert "not finite" in chart.notes[0]
    assert_is_drawable(chart)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (draw_network((2, 2), "relu", 0), "0 hidden layers are not allowed; allowed: at least 1"),
        (draw_network((3, 2, 2), "relu", 0), "3 inputs and 2 outputs are not allowed"),
    ],
)
def test_networks_without_a_hidden_space_are_refused(network, message):
    with pytest.raises(ValueError, match=message):
        hidden_space(network, "light")


@pytest.mark.parametrize(("loss", "optimum"), [("mse", 0.25), ("cross_entropy", math.log(2))])
def test_the_guide_is_the_linear_optimum(loss, optimum):
    guide = loss_floor(FLAT, FALLING, loss, "light").frames["guide"]
    assert guide["shown"].tolist() == pytest.approx([optimum], rel=1e-12)
    assert f"{optimum:.4g}" in guide["word"].iloc[0]


def test_the_curves_are_the_given_losses():
    chart = loss_floor(FLAT, FALLING, "mse", "light")
    rows = chart.frames["rows"]
    assert len(rows) <= 200
    for curve in (FLAT, FALLING):
        drawn = rows[rows["series"] == curve.words]
        assert drawn["step"].iloc[0] == 0
        assert drawn["step"].iloc[-1] == 500
        assert drawn["value"].tolist() == curve.losses[drawn["step"].astype(int)].tolist()
    table = chart.make_table()
    assert table["loss"].tolist() == [*FLAT.losses, *FALLING.losses]
    assert "without ends at 0.25" in chart.alt_text
    assert "with ReLU ends at 9.7e-04" in chart.alt_text


def test_lost_and_high_values_are_said_and_high_ones_stay_in_the_picture():
    losses = np.array([5.0, 0.4, np.nan, np.inf, 0.25])
    chart = loss_floor(LossCurve("a", np.arange(5), losses), FALLING, "mse", "dark")
    rows = chart.frames["rows"].query("series == 'a'")
    assert rows["value"].tolist() == [5.0, 0.4, 0.25]
    assert rows["shown"].tolist() == pytest.approx([0.625, 0.4, 0.25])  # 2.5 times the optimum
    assert any("2 values are not finite" in note for note in chart.notes)
    assert any("1 value above 0.62" in note for note in chart.notes)


def test_curves_may_still_be_empty():
    empty = LossCurve("a", np.array([]), np.array([]))
    chart = loss_floor(empty, LossCurve("b", np.array([]), np.array([])), "mse", "light")
    assert chart.is_empty
    assert "has no steps yet" in chart.alt_text
    vl_convert.vegalite_to_vega(standalone_spec(chart, ""))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="loss: 'mae' is not allowed"):
        loss_floor(FLAT, FALLING, "mae", "light")
    with pytest.raises(ValueError, match="words: 'without' twice is not allowed"):
        loss_floor(FLAT, FLAT, "mse", "light")
