"""Charts: right numbers, right scales, zeros and NaN drawn as such, no user text in a spec."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from chart_checks import assert_is_drawable, with_few_rows
from hostile_names import NAMES

import nnlab
from nnlab.chart import (
    MAX_LIVE,
    decade_ticks,
    decades,
    drawn_decades,
    drawn_places,
    layer_ticks,
    spread,
    state_of,
)
from nnlab.charts import CHARTS, draw
from nnlab.export import svg_text
from nnlab.gradient_charts import chain_rule_lines
from nnlab.line_charts import MAX_SCORES
from nnlab.palette import THEMES
from nnlab.presets import STORED_RUN
from nnlab.rules import slope_factors
from nnlab.run import Run


@pytest.fixture(scope="module")
def stored():
    return nnlab.load_run(STORED_RUN)


@pytest.fixture(scope="module")
def diverged():
    return nnlab.train(
        nnlab.ExperimentConfig(
            dataset="iris", depth=4, width=8, activation="relu", initializer="kaiming_normal", gain=3.0,
            learning_rate=1000.0, batch_size=16, steps=20, record_every=1,
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def blocked():
    config = nnlab.ExperimentConfig(
        dataset="iris", depth=3, width=8, activation="step", batch_size=16, steps=4
    )
    return nnlab.train(config)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_is_valid_vega_lite_in_both_modes(stored, name, mode):
    chart = draw(name, stored, 300, mode)
    assert_is_drawable(chart)
    assert chart.spec["config"]["background"] == THEMES[mode].background
    assert chart.title
    assert chart.alt_text
    assert len(chart.how_to_read) > 80
    assert len(chart.make_table())


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_is_an_altair_chart_too(stored, name):
    chart = with_few_rows(draw(name, stored, 300, "light"))
    drawn = chart.to_altair().to_dict()
    assert drawn["config"]["background"] == THEMES["light"].background
    json.dumps(drawn, allow_nan=False)


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("which", ["diverged", "blocked"])
def test_every_chart_survives_sick_runs(request, name, which):
    run = request.getfixturevalue(which)
    assert_is_drawable(draw(name, run, int(run.steps[-1]), "light"))


@pytest.fixture(scope="module", params=[1, 2, 100])
def of_depth(request):
    config = nnlab.ExperimentConfig(dataset="iris", depth=request.param, width=3, batch_size=16, steps=2)
    return nnlab.train(config)


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_takes_one_layer_and_a_hundred(name, of_depth):
    assert_is_drawable(draw(name, of_depth, 2, "dark"))


def test_unknown_chart_names_the_known_ones(stored):
    with pytest.raises(ValueError, match=r"chart: 'pie' is not known; allowed: delta_strip"):
        draw("pie", stored, 0, "light")


def test_strip_and_heat_map_show_the_recorded_norms(stored):
    expected = stored.record_at(300).layers["delta_norm"]
    strip = draw("delta_strip", stored, 300, "light").make_table()
    assert strip["delta_norm"].tolist() == expected.tolist()
    assert strip["relative_to_last_hidden"].tolist() == (expected / expected[-2]).tolist()
    rows = draw("delta_heatmap", stored, 300, "light").frames["rows"]
    last = rows[rows["step"] == 300]
    assert last["log"].tolist() == pytest.approx(np.log10(expected).tolist())


def test_heat_map_cells_cover_all_steps_without_a_gap(stored):
    rows = draw("delta_heatmap", stored, 0, "light").frames["rows"]
    first = rows[rows["bottom"] == 0.5].sort_values("left")
    assert first["left"].iloc[0] == 0
    assert (first["right"].to_numpy()[:-1] >= first["left"].to_numpy()[1:]).all()


def test_chain_rule_product_lands_on_the_measured_error_signal(stored):
    record = stored.record_at(300)
    product, slopes = chain_rule_lines(record)
    assert product == pytest.approx(record.layers["delta_norm"][:-1], rel=1e-12)
    assert slopes[0] == pytest.approx(slopes[-1] * np.prod(slope_factors(record)[:-1]))


def test_exact_zeros_are_drawn_on_a_marked_floor(blocked):
    chart = draw("layer_norms", blocked, 0, "light")
    zeros = chart.frames["rows"].query("state == 'zero'")
    assert len(zeros) >= 3
    assert (zeros["shown"] == chart.frames["floor"]["shown"].iloc[0]).all()
    assert (zeros["value"] == 0).all()
    heat = draw("delta_heatmap", blocked, 0, "light")
    assert set(heat.frames["rows"]["state"]) == {"zero", "value"}
    assert "exactly 0" in json.dumps(heat.spec)


def test_a_diverged_run_is_marked_and_its_lost_points_are_said(diverged):
    assert diverged.status == "diverged"
    chart = draw("loss", diverged, 0, "light")
    assert chart.frames["ends"]["word"].tolist() == ["diverged"]
    assert any("not finite" in note for note in chart.notes)
    heat = draw("delta_heatmap", diverged, 0, "light")
    assert "undefined" in set(heat.frames["rows"]["state"])


def test_histogram_ridges_hold_the_recorded_counts(stored):
    chart = draw("pre_activation_histograms", stored, 300, "light")
    table = chart.make_table()
    counts = stored.record_at(300).histograms["pre_activation"]
    assert table[table["layer"] == "hidden_3"]["count"].tolist() == counts[2].tolist()
    drawn = chart.frames["rows"]
    assert drawn[drawn["number"] == 3]["count"].sum() == counts[2][1:-2].sum()


def test_the_saturated_zone_is_where_the_slope_is_below_tau(stored):
    zones = draw("pre_activation_histograms", stored, 300, "light").frames["flat"]
    # sigmoid: sigma' < 0.0591 * 0.25 beyond |z| = 4.184
    edge = float(zones["right"].iloc[0])
    assert edge == pytest.approx(-4.18, abs=0.06)
    assert float(zones["left"].iloc[1]) == pytest.approx(4.18, abs=0.06)


def test_long_runs_and_deep_networks_are_thinned_and_say_so():
    config = nnlab.ExperimentConfig(
        dataset="iris", depth=30, width=2, batch_size=16, steps=120, record_every=1
    )
    run = nnlab.train(config)
    chart = draw("saturation", run, 0, "light")
    assert chart.notes == ("16 of 30 layers are drawn; exports hold all.",)
    assert chart.make_table()["layer"].nunique() == 30
    assert len(draw("delta_heatmap", run, 0, "light").frames["rows"]) <= 4000


def named(run: Run, names: Sequence[str]) -> Run:
    """Give a run's layers other names, in turn."""
    layers = tuple(replace(layer, name=names[number % len(names)]) for number, layer in enumerate(run.layers))
    return Run(None, run.status, layers, run.records, {"model": names[2]})


@pytest.mark.parametrize("name", CHARTS)
def test_hostile_layer_names_never_reach_the_spec(stored, name):
    plain = draw(name, named(stored, ("conv", "norm", "head")), 300, "light")
    for start in range(0, len(NAMES), len(stored.layers)):
        chart = draw(name, named(stored, NAMES[start:]), 300, "light")
        assert chart.spec == plain.spec
        assert {k: list(f.columns) for k, f in chart.frames.items()} == {
            k: list(f.columns) for k, f in plain.frames.items()
        }


@pytest.mark.parametrize("name", CHARTS)
def test_as_much_is_drawn_of_hostile_layers_as_of_others(stored, name):
    def svg(names: Sequence[str]) -> str:
        return svg_text(draw(name, named(stored, names), 300, "light"), "caption")

    start = 11 * (list(CHARTS).index(name) % 4)
    found, plain = svg((*NAMES, *NAMES)[start : start + 11]), svg([f"layer {n}" for n in range(11)])
    # What is drawn, and what could do anything.
    for mark in ("<path", "<rect", "<circle"):
        assert found.count(mark) == plain.count(mark), mark
    for word in ("<script", "<img", "<svg/", "<a ", 'href="http', 'onerror="'):
        assert word not in found


def test_live_axes_do_not_move_while_a_run_goes_on(stored):
    early, later = stored.until(20), stored.until(200)
    for name in ("loss", "accuracy", "saturation"):
        assert draw(name, early, 20, "light").spec is draw(name, later, 200, "light").spec


@pytest.mark.parametrize("count", [*range(1, 30), 65, 100, 101])
def test_numbers_of_layers_are_evenly_apart(count):
    ticks = layer_ticks(count)
    apart = np.diff(ticks)
    assert (ticks[0], ticks[-1]) == (1, count)
    assert len(ticks) <= 12
    assert len(set(apart[:-1])) <= 1
    if count > 2:
        assert apart[0] / 2 <= apart[-1] <= 1.5 * apart[0]


def test_helpers_of_axes():
    assert spread(5, 10) == [0, 1, 2, 3, 4]
    assert spread(100, 3) == [0, 50, 99]
    assert decades([3e-8, 0.0, math.nan, 0.2]) == (-8, 0)
    assert decades([0.0]) == (-1, 0)
    assert decade_ticks(-8, 0)[0] == 1e-8
    assert len(decade_ticks(-46, 3)) <= 8
    assert decade_ticks(-46, 0) == [float(f"1e{exponent}") for exponent in range(-42, 1, 6)]
    for low in range(-46, 0):
        assert 1.0 in decade_ticks(low, 3)
    assert state_of(np.array([0.0, 1.0, math.nan, math.inf])).tolist() == [
        "zero", "value", "undefined", "undefined",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 2, 39, 40, 41, 300, 1001])
def test_live_curves_grow_without_wobbling(stored, count):
    live = replace(stored, status="running")
    places = drawn_places(live, count, 100)
    assert len(places) <= MAX_LIVE
    assert places == sorted(set(places))
    if count:
        assert (places[0], places[-1]) == (0, count - 1)
        stride = places[1] - places[0] if len(places) > 2 else 1
        assert places[:-1] == list(range(0, count, stride))[: len(places) - 1]
        assert stride & (stride - 1) == 0
    assert drawn_places(stored, count, 100) == spread(count, 100)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1e-5, 20.0], (-6, 2)), ([1e-4, 1e2], (-4, 2)), ([0.0], (-2, 0)), ([1e-45, 1.0], (-46, 0))],
)
def test_live_axes_end_at_even_powers_of_ten(stored, values, expected):
    assert drawn_decades(replace(stored, status="running"), values) == expected
    assert drawn_decades(stored, values) == decades(values)


@pytest.mark.parametrize("name", CHARTS)
def test_live_charts_draw_fewer_rows_of_the_same_spec_kind(stored, name):
    live = draw(name, stored.until(200), 200, "light")
    assert_is_drawable(live)
    assert sum(map(len, live.frames.values())) <= sum(
        map(len, draw(name, stored, 200, "light").frames.values())
    )


def test_long_score_curves_are_thinned_and_exported_whole():
    config = nnlab.ExperimentConfig(
        dataset="iris", depth=1, width=4, steps=700, record_every=1, batch_size=16
    )
    run = nnlab.train(config)
    chart = draw("loss", run, 700, "light")
    rows = chart.frames["rows"]
    assert (rows["series"] == "training batch").sum() == MAX_SCORES
    assert len(chart.make_table()) > 701
    assert not chart.notes
