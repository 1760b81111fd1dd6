"""Pictures of one neuron: numbers in the frames, words, and specs that compile."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import vl_convert

from nnlab.activations import ACTIVATIONS
from nnlab.export import standalone_spec
from nnlab.neuron import NEURON_PRESETS, Neuron
from nnlab.neuron_charts import flow, point_on_curve, response
from nnlab.palette import THEMES

SILENT = NEURON_PRESETS["relu_silent"].neuron
THRESHOLD = NEURON_PRESETS["threshold"].neuron
WILD = Neuron((-12.75, 19.25, -20.0), (-19.75, -12.25, 20.0), -60.0, "sine")


@pytest.fixture
def without_spec(monkeypatch):
    """Altair takes 0.1 s to build a spec; tests of the numbers do without."""
    for name in ("_flow_spec", "_line_spec"):
        monkeypatch.setattr(f"nnlab.neuron_charts.{name}", lambda *arguments: {})


numbers_only = pytest.mark.usefixtures("without_spec")


@pytest.mark.parametrize(
    ("neuron", "mode"),
    [(SILENT, "light"), (WILD, "dark"), (replace(THRESHOLD, activation="step"), "light")],
    ids=["silent", "wild", "step"],
)
def test_specs_compile_and_say_what_they_show(neuron, mode):
    names = set()
    for chart in (flow(neuron, mode), response(neuron, 1, mode), point_on_curve(neuron, mode)):
        assert vl_convert.vegalite_to_svg(standalone_spec(chart, "s")).startswith("<svg")
        assert chart.spec["config"]["background"] == THEMES[mode].background
        assert chart.title
        assert chart.alt_text.endswith(".")
        assert len(chart.how_to_read) > 80
        names.add(chart.name)
    assert names == {"neuron_flow", "neuron_response", "neuron_on_curve"}


@pytest.mark.parametrize("name", ["identity", "step", "softplus", "cosine"])
def test_the_activation_has_a_small_curve(name):
    chart = flow(replace(SILENT, activation=name), "light")
    assert "NaN" not in vl_convert.vegalite_to_svg(standalone_spec(chart, ""))


@numbers_only
def test_flow_shows_every_number_of_the_sum():
    chart = flow(SILENT, "light")
    edges = chart.frames["edges"]
    assert edges["adds"].tolist() == [-20, -45, 5, 5]
    assert edges["sign"].tolist() == ["subtracts", "subtracts", "adds", "adds"]
    assert edges["thick"].rank().tolist() == [3, 4, 1.5, 1.5]
    assert chart.frames["labels"]["word"].tolist() == ["× -10\n= -20", "× -15\n= -45", "× 5\n= +5", "+5"]
    assert chart.frames["nodes"]["inside"].tolist()[:3] == ["2", "3", "1"]
    assert "z = -55" in chart.frames["nodes"]["below"].tolist()
    assert chart.frames["output"]["word"].tolist() == ["0"]
    assert chart.title == "One neuron: ReLU(-55) = 0"
    table = chart.make_table().set_index("part")["value"]
    assert table.to_dict() == {"x1": -20, "x2": -45, "x3": 5, "bias": 5, "z": -55, "output": 0, "slope": 0}


@numbers_only
def test_flow_of_sigmoid_ten_does_not_round_to_one():
    chart = flow(NEURON_PRESETS["sigmoid_10"].neuron, "light")
    assert chart.frames["output"]["word"].tolist() == ["0.99995"]
    assert "0.99995" in chart.title
    assert chart.make_table()["value"].iloc[-2] == pytest.approx(1 / (1 + math.exp(-10)), rel=1e-15)


@numbers_only
def test_an_edge_that_adds_nothing_says_so_and_all_zeros_are_drawn():
    edges = flow(THRESHOLD, "light").frames["edges"]
    assert edges["sign"].tolist() == ["adds", "adds nothing", "adds nothing", "subtracts"]
    nothing = Neuron((0.0, 0.0, 0.0), (1.0, 2.0, 3.0), 0.0, "tanh")
    thick = flow(nothing, "light").frames["edges"]["thick"]
    assert np.isfinite(thick).all()
    assert thick.nunique() == 1


@numbers_only
def test_long_outputs_are_written_smaller():
    far = Neuron((8.0, 0.0, 0.0), (1.0, 0.0, 0.0), 0.0, "tanh")
    assert flow(far, "light").frames["output"]["size"][0] < flow(SILENT, "light").frames["output"]["size"][0]


@numbers_only
@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_response_is_the_neuron_at_every_input(name, which):
    neuron = Neuron((1.5, -2.0, 0.5), (0.8, -1.7, 3.0), 1.1, name)
    table = response(neuron, which, "light").make_table()
    asked = f"x{which + 1}"
    assert table[asked].min() == -20
    assert table[asked].max() == 20
    assert table[asked].is_monotonic_increasing
    for row in table.iloc[:: max(1, len(table) // 25)].to_dict("records"):
        inputs = list(neuron.inputs)
        inputs[which] = row[asked]
        z = sum(w * x for w, x in zip(neuron.weights, inputs, strict=True)) + neuron.bias
        assert row["z"] == pytest.approx(z, abs=1e-7)
        if abs(z) > 1e-6:  # beside step's jump
            expected = float(ACTIVATIONS[name].function(np.float64(z)))
            assert row["output"] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@numbers_only
def test_response_marks_the_neuron_and_its_threshold():
    chart = response(THRESHOLD, 0, "light")
    point, edge = chart.frames["point"], chart.frames["threshold"]
    assert (point["x"][0], point["output"][0]) == (5, 2)
    assert edge["x"].tolist() == [3]
    assert edge["word"].tolist() == ["z = 0 at x1 = 3"]
    assert chart.notes == ()
    rows = chart.frames["rows"]
    assert (rows["output"][rows["x"] < 2.999] == 0).all()


@numbers_only
def test_response_of_an_input_without_weight_is_flat_and_says_why():
    chart = response(THRESHOLD, 1, "light")
    assert chart.frames["rows"]["output"].tolist() == [2, 2]
    assert len(chart.frames["threshold"]) == 0
    assert chart.notes == ("The weight of x2 is 0, so x2 cannot move z = 2 to 0.",)
    extent = chart.frames["extent"]["output"]
    assert extent[0] < 2 < extent[1]


@numbers_only
def test_a_threshold_outside_the_picture_is_said():
    chart = response(Neuron((1.0, 0.0, 0.0), (0.1, 0.0, 0.0), -50.0, "relu"), 0, "light")
    assert len(chart.frames["threshold"]) == 0
    assert "above 500" in chart.notes[0]


@numbers_only
def test_steps_jump_is_two_pieces():
    rows = response(replace(THRESHOLD, activation="step"), 0, "light").frames["rows"]
    assert rows.groupby("piece")["output"].nunique().tolist() == [1, 1]
    assert rows["output"].nunique() == 2


@numbers_only
def test_a_fast_wave_is_sampled_finely_enough():
    rows = response(WILD, 0, "light").frames["rows"]
    assert np.abs(np.diff(rows["z"])).max() < 2 * math.pi / 12
    assert len(rows) < 2300


@numbers_only
@pytest.mark.parametrize("name", ["sigmoid", "tanh", "silu", "sine"])
def test_the_tangent_touches_the_curve(name):
    neuron = Neuron((0.4, 0.0, 0.0), (1.0, 0.0, 0.0), 0.3, name)
    chart = point_on_curve(neuron, "light")
    tangent, phi = chart.frames["tangent"], ACTIVATIONS[name].function
    slope = np.diff(tangent["output"])[0] / np.diff(tangent["x"])[0]
    finite_difference = (phi(np.float64(0.7 + 1e-6)) - phi(np.float64(0.7 - 1e-6))) / 2e-6
    assert slope == pytest.approx(float(finite_difference), rel=1e-7)
    assert tangent["x"].mean() == pytest.approx(0.7)
    assert tangent["output"].mean() == pytest.approx(float(phi(np.float64(0.7))))
    extent = chart.frames["extent"]["output"]
    assert extent[0] - extent[1] < np.diff(tangent["output"])[0] < extent[1] - extent[0]


@numbers_only
def test_the_curve_reaches_the_neuron_however_far_out():
    table = point_on_curve(SILENT, "light").make_table()
    assert table["z"].min() < -55
    assert table["z"].max() == 6
    expected = np.maximum(table["z"], 0)
    assert table["output"].tolist() == expected.tolist()


@numbers_only
def test_which_input_must_exist():
    with pytest.raises(ValueError, match=r"^which: 3 is not allowed"):
        response(SILENT, 3, "light")
