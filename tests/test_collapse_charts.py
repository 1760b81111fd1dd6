"""Charts of a collapse: the drawn numbers are those of the network, in both modes and at every shape."""

from __future__ import annotations

import json

import numpy as np
import pytest
import vl_convert
from chart_checks import assert_is_drawable

from nnlab.collapse import EXAMPLE, collapse
from nnlab.collapse_charts import MAX_DOTS, agreement, bottleneck, composed_matrix, layer_widths
from nnlab.export import standalone_spec
from nnlab.network import Layer, Network, draw_network
from nnlab.numerals import percent, scientific
from nnlab.palette import THEMES, UNDEFINED_COLOR, luminance

WIDTHS = (16, 8, 3, 8, 4)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal((300, 16))


@pytest.fixture(scope="module")
def linear():
    return draw_network(WIDTHS, "identity", 1)


def all_charts(network, x, mode):
    return [
        agreement(network, x, mode),
        composed_matrix(network, mode),
        layer_widths(network, mode),
        bottleneck(network, mode),
    ]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_charts_compile_and_speak_in_both_modes(linear, x, mode, activation):
    charts = all_charts(linear.with_activation(activation), x, mode)
    assert len({chart.name for chart in charts}) == 4
    for chart in charts:
        vega = vl_convert.vegalite_to_vega(standalone_spec(chart, ""))
        assert vega["background"] == THEMES[mode].background
        assert_is_drawable(chart)
        assert chart.title
        assert len(chart.how_to_read) > 80
        assert chart.alt_text.endswith(".")
        assert len(chart.make_table())
        assert sum(len(frame) for frame in chart.frames.values()) < 2000


@pytest.mark.parametrize("widths", [(1, 1, 1), (64, 64, 64), (2, *[64] * 10, 1), (3, 2)])
def test_charts_take_the_smallest_and_the_largest_networks(widths):
    network = draw_network(widths, "tanh", 0)
    for chart in all_charts(network, np.ones((5, widths[0])), "dark"):
        vl_convert.vegalite_to_vega(standalone_spec(chart, ""))
        assert sum(len(frame) for frame in chart.frames.values()) < 2000


def test_agreement_draws_outputs_against_the_matrix(linear, x):
    chart = agreement(linear.with_activation("tanh"), x, "light")
    table = chart.make_table()
    assert len(table) == 300 * 4
    h = x
    for layer in linear.layers[:-1]:
        h = np.tanh(h @ layer.weight.T + layer.bias)
    last = linear.layers[-1]
    assert table["network"].to_numpy() == pytest.approx((h @ last.weight.T + last.bias).ravel())
    weight = np.linalg.multi_dot([layer.weight for layer in linear.layers[::-1]])
    short = x @ weight.T + linear.outputs(np.zeros((1, 16)))
    assert table["one_matrix"].to_numpy() == pytest.approx(short.ravel())
    assert (table["example"].iloc[5], table["output"].iloc[5]) == (2, 2)
    drawn = chart.frames["rows"]
    assert len(drawn) <= MAX_DOTS
    lookup = table.set_index(["example", "output"])
    for _, dot in drawn.iloc[::50].iterrows():
        assert dot["long"] == lookup.loc[(dot["example"], dot["output"]), "network"]
    assert set(drawn["output"]) == {1.0, 2.0, 3.0, 4.0}
    assert any(f"{len(drawn)} of 1200 outputs are drawn" in note for note in chart.notes)


def test_agreement_says_on_or_off_the_diagonal(linear, x):
    flat = agreement(linear, x, "light")
    assert flat.alt_text.startswith("All outputs lie on the diagonal")
    assert scientific(collapse(linear, x).error_float64) in flat.alt_text
    gap = flat.frames["rows"]["long"] - flat.frames["rows"]["short"]
    assert gap.abs().max() < 1e-13
    bent = linear.with_activation("relu")
    assert percent(collapse(bent, x).miss) in agreement(bent, x, "light").alt_text


def test_agreement_holds_every_dot_inside_one_scale_for_both_axes(linear, x):
    chart = agreement(linear.with_activation("relu"), x, "light")
    ends = chart.frames["diagonal"]
    assert ends["short"].tolist() == ends["long"].tolist()
    values = chart.frames["rows"][["short", "long"]].to_numpy()
    assert ends["short"].iloc[0] < values.min()
    assert ends["short"].iloc[1] > values.max()


def test_agreement_leaves_out_what_is_not_finite_and_says_so():
    huge = Network((Layer(np.array([[1e200]]), np.zeros(1)), Layer(np.array([[1e200]]), np.zeros(1))))
    chart = agreement(huge, np.array([[1.0], [0.0]]), "light")
    assert any("not finite" in note for note in chart.notes)
    assert np.isinf(chart.make_table()["network"].iloc[0])
    assert "not finite" in chart.alt_text
    assert composed_matrix(huge, "light").frames["rows"]["exact"].iloc[0] == "infinite"
    assert bottleneck(huge, "light").is_empty


def test_matrix_cells_hold_the_composed_numbers():
    chart = composed_matrix(EXAMPLE, "light")
    cells = chart.frames["rows"]
    assert cells["value"].tolist() == [21.0, 11.0, 18.0, 11.0]
    assert cells["exact"].tolist() == ["21", "11", "18", "11"]
    assert cells["input"].tolist() == ["input 1", "input 2", "input 3", "bias"]
    assert (cells["right"] - cells["left"] == 1).all()
    assert cells["left"].iloc[3] > cells["right"].iloc[2]  # the bias stands apart
    table = chart.make_table()
    assert table.to_numpy().tolist() == [[1.0, 21.0, 11.0, 18.0, 11.0]]


def test_matrix_table_is_full_and_in_full_precision():
    network = draw_network((64, 5, 64), "identity", 0)
    chart = composed_matrix(network, "light")
    one = network.composed()
    assert chart.make_table().iloc[:, 1:-1].to_numpy().tolist() == one.weight.tolist()
    assert any("24 of 64 rows" in note for note in chart.notes)
    # Rows are thinned, so the axis must write the outputs' own numbers.
    drawn = chart.frames["rows"]
    lines = drawn["output"].drop_duplicates().str.removeprefix("output ").astype(int).tolist()
    assert f"{lines}[datum.value - 1]" in json.dumps(chart.spec)
    assert lines[0] == 1
    assert lines[-1] == 64
    fifth = drawn[drawn["output"] == f"output {lines[4]}"]["value"].to_numpy()
    assert fifth[:-1].tolist() == one.weight[lines[4] - 1].tolist()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_matrix_colors_tell_sign_and_size(mode):
    layer = Layer(np.array([[2.0, -2.0, 0.0, 1.0]]), np.array([0.0]))
    plus, minus, zero, half, _ = composed_matrix(Network((layer,)), mode).frames["rows"]["color"]
    assert (plus, minus, zero) == ("#0072b2", "#d55e00", THEMES[mode].panel)
    assert half not in (plus, zero)
    inks = composed_matrix(Network((layer,)), mode).frames["rows"]
    for color, ink in zip(inks["color"], inks["ink"], strict=True):
        bright, dark = sorted([luminance(color), luminance(ink)], reverse=True)
        assert (bright + 0.05) / (dark + 0.05) >= 4.5


def test_matrix_marks_numbers_that_are_not_finite():
    chart = composed_matrix(Network((Layer(np.array([[np.nan, 1.0]]), np.zeros(1)),)), "light")
    assert chart.frames["rows"]["color"].iloc[0] == UNDEFINED_COLOR
    assert chart.frames["rows"]["exact"].iloc[0] == "undefined"
    assert any("not finite" in note for note in chart.notes)


def test_widths_mark_every_narrowest_layer(linear):
    chart = layer_widths(linear, "light")
    bars = chart.frames["rows"]
    assert bars["width"].tolist() == [*WIDTHS, 16, 4]
    assert (bars["high"] - bars["low"]).tolist() == bars["width"].tolist()
    assert bars[bars["sign"] == "▲"]["layer"].tolist() == ["hidden layer 2"]
    assert bars["kind"].tolist()[-2:] == ["one matrix"] * 2
    assert chart.make_table()["width"].tolist() == list(WIDTHS)
    assert "the narrowest is 3" in chart.alt_text
    twice = layer_widths(draw_network((2, 5, 2), "identity", 0), "light").frames["rows"]
    assert twice[twice["sign"] == "▲"]["layer"].tolist() == ["inputs", "outputs"]


def test_bottleneck_counts_directions_against_a_direct_decomposition(linear):
    chart = bottleneck(linear, "light")
    weight = np.linalg.multi_dot([layer.weight for layer in linear.layers[::-1]])
    expected = np.sqrt(np.linalg.eigvalsh(weight @ weight.T)[::-1][:3])
    table = chart.make_table()
    assert table["singular_value"].to_numpy()[:3] == pytest.approx(expected)
    assert table["kind"].tolist() == ["comes through"] * 3 + ["rounding, in truth 0"]
    assert "3 of 4 singular values are not 0" in chart.alt_text
    assert chart.frames["narrow"]["place"].tolist() == [3.5]
    assert (chart.frames["rows"]["shown"] == table["singular_value"]).all()


def test_bottleneck_draws_exact_zeros_on_a_floor():
    layer = Layer(np.diag([3.0, 0.5, 0.0]), np.zeros(3))
    chart = bottleneck(Network((layer,)), "light")
    zero = chart.frames["rows"].query("state == 'exactly 0'")
    assert zero["value"].tolist() == [0.0]
    assert 0 < zero["shown"].iloc[0] < 0.5
    assert "exactly 0" in json.dumps(chart.spec)
    assert "rounding" not in json.dumps(chart.spec)


def test_bottleneck_of_all_zeros_and_of_nan():
    dead = bottleneck(Network((Layer(np.zeros((2, 2)), np.zeros(2)),)), "light")
    assert "0 of 2 singular values are not 0" in dead.alt_text
    undefined = bottleneck(Network((Layer(np.full((2, 2), np.nan), np.zeros(2)),)), "dark")
    assert undefined.is_empty
    assert "undefined" in undefined.alt_text
    vl_convert.vegalite_to_vega(standalone_spec(undefined, ""))


def test_spec_depends_on_shapes_and_not_on_names_or_data(linear):
    assert (
        composed_matrix(linear, "light").spec
        is composed_matrix(draw_network(WIDTHS, "relu", 7), "light").spec
    )
