"""Charts of brightness: the frames hold the measured numbers, and every picture compiles in both modes."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import vl_convert
from chart_checks import assert_charts_explain_themselves

from nnlab.brightness import BRIGHTNESSES, Group, Sweep, sweep
from nnlab.brightness_charts import DASHES, accuracy_bars, accuracy_curves, homogeneity, saturation_curves
from nnlab.brightness_words import share_words
from nnlab.chart import Chart
from nnlab.export import standalone_spec
from nnlab.network import Network, draw_network
from nnlab.palette import Mode

WIDTHS = (16, 8, 8, 4)
NORMAL = BRIGHTNESSES.index(1.0)


def networks(activation: str, *, bias: bool = True, seeds: int = 3) -> tuple[Network, ...]:
    drawn = (draw_network(WIDTHS, activation, seed) for seed in range(seeds))
    if bias:
        return tuple(drawn)
    bare = (tuple(replace(layer, bias=np.zeros_like(layer.bias)) for layer in n.layers) for n in drawn)
    return tuple(Network(layers) for layers in bare)


GROUPS = (
    Group("identity", "Identity", networks("identity")),
    Group("bare", "Identity without bias", networks("identity", bias=False)),
    Group("sigmoid", "Sigmoid", networks("sigmoid")),
    Group("tanh", "Tanh", networks("tanh")),
    Group("relu", "ReLU", networks("relu")),
    Group("bare_relu", "ReLU without bias", networks("relu", bias=False)),
    Group("bare_leaky", "Leaky ReLU without bias", networks("leaky_relu", bias=False)),
)
X = np.random.default_rng(0).random((20, 16))
Y = np.random.default_rng(1).integers(0, 4, 20)


@pytest.fixture(scope="module")
def measured() -> Sweep:
    return sweep(GROUPS, X, Y)


def every_chart(measured: Sweep, mode: Mode) -> list[Chart]:
    return [
        accuracy_curves(measured, mode),
        saturation_curves(measured, mode),
        homogeneity(measured, mode),
        accuracy_bars(measured, mode),
    ]


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_chart_compiles_and_explains_itself(measured, mode):
    assert_charts_explain_themselves(every_chart(measured, mode), mode)


def test_the_same_kinds_give_the_same_spec(measured):
    again = sweep(GROUPS, X[:10], Y[:10])
    assert accuracy_curves(measured, "light").spec is accuracy_curves(again, "light").spec
    assert saturation_curves(measured, "light").spec is saturation_curves(again, "light").spec


def test_kinds_differ_in_color_and_in_dash_and_keep_both_in_every_chart(measured):
    def scales(chart: Chart) -> list[dict]:
        layers = [layer["encoding"] for layer in chart.spec["layer"] if "strokeDash" in layer["encoding"]]
        return [layers[0][channel]["scale"] for channel in ("color", "strokeDash")]

    for mode in ("light", "dark"):
        charts = [
            accuracy_curves(measured, mode),
            saturation_curves(measured, mode),
            homogeneity(measured, mode),
        ]
        color, dash = scales(charts[0])
        assert all(scales(chart) == [color, dash] for chart in charts)
        assert color["domain"] == dash["domain"] == [group.words for group in GROUPS]
        assert len(set(color["range"])) == len(GROUPS)
        assert len({tuple(each) for each in dash["range"]}) == len(GROUPS) <= len(DASHES)


# --- kinds over brightness


def test_accuracy_curves_hold_mean_and_range_of_the_seeds(measured):
    chart = accuracy_curves(measured, "light")
    frame = chart.frames["rows"]
    for group in GROUPS:
        part = frame[frame["kind"] == group.words]
        right = np.array(
            [
                [np.mean(np.argmax(n.outputs(a * X), axis=1) == Y) for a in BRIGHTNESSES]
                for n in group.networks
            ]
        )
        np.testing.assert_allclose(part["value"], right.mean(axis=0), rtol=1e-12)
        np.testing.assert_array_equal(part["low"], right.min(axis=0))
        np.testing.assert_array_equal(part["high"], right.max(axis=0))
        assert part["brightness"].tolist() == list(BRIGHTNESSES)
        shown = share_words(float(right[:, BRIGHTNESSES.index(0.1)].mean()))
        assert f"{group.words} {shown} at 0.1" in chart.alt_text
    assert chart.frames["guess"]["value"].tolist() == [0.25]
    assert "25.0 %" in chart.how_to_read
    assert chart.frames["training"]["brightness"].tolist() == [1.0]


def test_the_accuracy_table_holds_every_network_in_full_precision(measured):
    table = accuracy_curves(measured, "light").make_table()
    assert len(table) == len(GROUPS) * 3 * len(BRIGHTNESSES)
    kind = measured.kinds[2]
    mine = table[(table["kind"] == "Sigmoid") & (table["network"] == 2)]
    assert mine["accuracy"].tolist() == kind.accuracy[1].tolist()
    assert mine["agreement"].tolist() == kind.agreement[1].tolist()


def test_saturation_curves_leave_linear_networks_out_and_say_so(measured):
    chart = saturation_curves(measured, "light")
    frame = chart.frames["rows"]
    assert set(frame["kind"]) == {group.words for group in GROUPS[2:]}
    network = GROUPS[2].networks[0]
    z = 10 * X @ network.layers[0].weight.T + network.layers[0].bias
    share = np.mean(np.abs(np.tanh(z / 2)) > 0.97)  # sigmoid' = (1 - tanh^2(z / 2)) / 4
    table = chart.make_table().query("kind == 'Sigmoid' and network == 1 and brightness == 10")
    assert table["saturation"].item() == pytest.approx(share, abs=1e-12)
    assert set(table["tau"]) == {measured.tau}
    assert chart.notes[0] == "No flat part: Identity and Identity without bias."
    assert chart.notes[1].endswith("ReLU, ReLU without bias and Leaky ReLU without bias.")
    legend = chart.spec["layer"][1]["encoding"]["color"]["legend"]
    assert legend["values"] == [group.words for group in GROUPS[2:]]


def test_saturation_of_linear_networks_alone_is_no_picture():
    chart = saturation_curves(sweep(GROUPS[:2], X, Y), "light")
    assert chart.is_empty
    assert chart.notes == ("No flat part: Identity and Identity without bias.",)
    assert len(chart.make_table()) == 0


def test_homogeneity_shows_the_largest_error_and_puts_exact_zeros_on_the_floor(measured):
    chart = homogeneity(measured, "light")
    frame = chart.frames["rows"]
    assert 1.0 not in set(frame["brightness"])
    network_errors = []
    for network in GROUPS[0].networks:
        normal, lit = network.outputs(X), network.outputs(10 * X)
        distance = np.linalg.norm(lit - 10 * normal, axis=1) / np.linalg.norm(10 * normal, axis=1)
        network_errors.append(distance.max())
    ten = frame[(frame["kind"] == "Identity") & (frame["brightness"] == 10)]
    assert ten["value"].item() == pytest.approx(max(network_errors), rel=1e-3)
    zeros = frame[frame["state"] == "zero"]
    assert set(zeros["brightness"]) >= {0.5, 2.0}
    assert "Sigmoid" not in set(zeros["kind"])
    floor = chart.frames["floor"]["shown"].item()
    assert (zeros["shown"] == floor).all()
    y = chart.spec["layer"][2]["encoding"]["y"]
    assert y["scale"]["domain"][0] == floor < min(y["axis"]["values"])  # no number is written at the floor
    others = frame[frame["state"] == "value"]
    assert (others["shown"] == others["value"]).all()
    assert others["value"].min() > floor
    bare = others[others["kind"].str.contains("without")]
    assert bare["value"].max() < 1e-5 == chart.frames["rounding"]["shown"].item()
    assert len(chart.make_table()) == len(GROUPS) * 3 * len(BRIGHTNESSES)
    assert "exactly 0" in chart.notes[0]


def test_homogeneity_without_zeros_has_no_floor_and_says_what_is_not_finite():
    network = networks("sigmoid", seeds=1)[0]
    broken = replace(network.layers[-1], bias=np.full(4, math.inf))
    groups = [
        Group("sigmoid", "Sigmoid", (network,)),
        Group("broken", "Broken", (Network((*network.layers[:-1], broken)),)),
    ]
    chart = homogeneity(sweep(groups, X, Y), "dark")
    assert chart.frames["floor"].empty
    assert chart.notes == (f"{len(BRIGHTNESSES) - 1} errors are not finite and cannot be drawn.",)
    vl_convert.vegalite_to_svg(standalone_spec(chart, ""))


def test_answers_that_are_not_numbers_are_said():
    network = networks("relu", seeds=1)[0]
    broken = replace(network.layers[-1], bias=np.full(4, math.nan))
    chart = accuracy_curves(
        sweep([Group("relu", "ReLU", (Network((*network.layers[:-1], broken)),))], X, Y), "light"
    )
    assert chart.notes == (f"{20 * len(BRIGHTNESSES)} answers are not numbers; they count as wrong.",)


# --- accuracy at brightness 1


def test_accuracy_bars_show_every_seed_and_the_mean(measured):
    chart = accuracy_bars(measured, "light")
    dots, means = chart.frames["rows"], chart.frames["means"]
    for group, mean in zip(GROUPS, means.itertuples(), strict=True):
        right = [np.mean(np.argmax(n.outputs(X), axis=1) == Y) for n in group.networks]
        part = dots[dots["kind"] == group.words]
        assert part["value"].tolist() == right
        assert mean.kind == group.words
        assert mean.value == pytest.approx(np.mean(right), rel=1e-12)
        assert part["place"].mean() == pytest.approx(mean.place)
        assert part["place"].is_unique
        assert np.ptp(part["place"]) < 0.5  # no dot reaches the next row
    assert set(chart.make_table().columns) == {"kind", "network", "brightness", "accuracy"}
    assert len(chart.make_table()) == len(GROUPS) * 3


@pytest.mark.parametrize(("worst", "begins"), [(0.0, 0.0), (0.947, 0.9), (0.95, 0.9), (1.0, 0.95)])
def test_the_axis_of_accuracy_begins_below_the_worst_dot(measured, worst, begins):
    accuracy = np.ones_like(measured.kinds[0].accuracy)
    accuracy[1, NORMAL] = worst
    kinds = (replace(measured.kinds[0], accuracy=accuracy),)
    chart = accuracy_bars(replace(measured, kinds=kinds), "light")
    domains = {json.dumps(layer["encoding"]["x"]["scale"]["domain"]) for layer in chart.spec["layer"][1:3]}
    assert domains == {json.dumps([begins, 1])}
    assert f"begins at {share_words(begins)}," in chart.how_to_read
