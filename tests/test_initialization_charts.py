"""Charts of drawn networks: what they hold, against the ensemble they were made from."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import vl_convert
from chart_checks import assert_charts_explain_themselves

from nnlab.columns import meanings
from nnlab.config import ExperimentConfig
from nnlab.ensemble import Ensemble
from nnlab.export import standalone_spec
from nnlab.initialization_charts import (
    CHARTS,
    MAX_DOTS,
    initial_gradient,
    initial_likeness,
    initial_saturation,
    initial_spread,
)
from nnlab.prediction import predict
from nnlab.random_network import RandomNetwork

METRICS = (
    "relative_to_last_hidden",
    "pre_activation_std",
    "activation_std",
    "saturation",
    "dead_fraction",
    "mean_cosine",
    "effective_rank",
)


def network_of(**fields):
    usual = {"dataset": "gaussian", "depth": 3, "width": 100, "activation": "tanh", "batch_size": 256}
    return RandomNetwork(ExperimentConfig(**{**usual, **fields}))


def ensemble_of(network, **layers):
    """Make an ensemble of three networks up, layer by layer from 0.1, 0.2, 0.3 times the layer's number."""
    number = np.arange(1, network.config.depth + 1) / network.config.depth
    usual = np.outer([0.1, 0.2, 0.3], number)
    filled = {name: np.asarray(layers.get(name, usual), dtype=float) for name in METRICS}
    return Ensemble(network, (0, 1, 2), filled, {})


def drawn(chart, **fields):
    network = network_of(**fields)
    return chart(predict(network), ensemble_of(network), "light")


def test_every_chart_explains_itself():
    network = network_of()
    charts = [chart(predict(network), ensemble_of(network), "dark") for chart in CHARTS.values()]
    assert_charts_explain_themselves(charts, "dark")
    for chart in charts:
        assert all(meanings(chart.make_table().columns).values())
        assert "3 drawn networks, median and range" in chart.notes[0]


def test_dots_are_medians_bars_the_range_and_lines_theory():
    network = network_of()
    theory = predict(network)
    chart = initial_spread(theory, ensemble_of(network), "light")
    z = chart.frames["rows"].query("word == 'z, into the activation'")
    assert z["shown"].tolist() == pytest.approx([0.2 / 3, 0.4 / 3, 0.2])
    assert z["lowest"].tolist() == pytest.approx([0.1 / 3, 0.2 / 3, 0.1])
    assert z["highest"].tolist() == pytest.approx([0.1, 0.2, 0.3])
    line = chart.frames["theory"].query("word == 'h, out of it'")["shown"]
    assert line.tolist() == [layer.activation_std for layer in theory.signal.layers]
    band = chart.frames["band"]
    assert band["low"].tolist() == theory.scatter[:, 0].tolist()
    assert "Shaded" in chart.notes[0]
    table = chart.make_table()
    assert table["theory_high"].tolist()[:3] == theory.scatter[:, 1].tolist()
    assert table.query("metric == 'activation_std'")["median"].tolist() == pytest.approx(
        [0.2 / 3, 0.4 / 3, 0.2]
    )


@pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
def test_a_picture_keeps_its_spec_and_its_name_while_a_slider_moves(chart):
    shallow, deep, wide = (
        drawn(chart, depth=depth, width=width) for depth, width in ((3, 9), (90, 9), (3, 99))
    )
    assert shallow.spec is deep.spec is wide.spec
    assert shallow.steady_text == deep.steady_text == wide.steady_text == shallow.title
    for one in (shallow, deep):
        assert one.alt_text == f"{one.title}. {one.frames['said']['said'].item()}"


def test_ends_and_ticks_are_data():
    chart = drawn(initial_gradient, depth=90)
    across, upward = chart.frames["across"], chart.frames["upward"]
    assert across["tick"].iloc[[0, -1]].tolist() == [1, 90]
    assert (across[["low", "high"]] == [0.5, 90.5]).all(axis=None)
    shown = [*chart.frames["theory"]["shown"], *chart.frames["rows"]["lowest"]]
    low, high = upward["low"].iloc[0], upward["high"].iloc[0]
    assert low <= min(shown) < 100 * low
    assert high >= max(shown)
    assert upward["tick"].iloc[0] == low
    svg = vl_convert.vegalite_to_svg(standalone_spec(chart, ""))
    found = re.findall(r"<text[^>]*>([^<]+)</text>", svg)
    assert {"1", "90", f"{low:.0e}".replace("e-0", "e-")} <= set(found)
    assert f'aria-label="{chart.frames["said"]["said"].item()}"' in svg


def test_exact_zeros_stand_on_the_floor_and_are_named():
    network = network_of(activation="step")
    ensemble = ensemble_of(network, relative_to_last_hidden=np.zeros((3, 3)))
    chart = initial_gradient(predict(network), ensemble, "light")
    assert chart.frames["rows"]["state"].tolist() == ["zero"] * 3
    assert chart.frames["guide"]["word"].tolist() == ["exactly 0"]
    floor = chart.frames["guide"]["shown"].iloc[0]
    assert chart.frames["rows"]["shown"].tolist() == [floor] * 3
    assert chart.make_table()["median"].tolist() == [0.0, 0.0, 0.0]
    assert "layer 1: 0 as drawn" in chart.alt_text


def test_what_is_not_finite_is_counted_not_drawn():
    network = network_of(activation="relu", initializer="kaiming_normal", gain=1e60)
    values = np.array([[1.0, math.inf, math.nan]] * 2 + [[1.0, 2.0, math.nan]])
    ensemble = ensemble_of(network, pre_activation_std=values, activation_std=values)
    chart = initial_spread(predict(network), ensemble, "dark")
    z = chart.frames["rows"].query("word == 'z, into the activation'")
    assert z[["layer", "shown", "networks"]].to_numpy().tolist() == [[1.0, 1.0, 3.0], [2.0, 2.0, 1.0]]
    assert any("In 3 of 3 networks some layer has no finite number" in note for note in chart.notes)
    assert any("Theory has no finite number in some layers" in note for note in chart.notes)
    json.dumps(standalone_spec(chart, ""), allow_nan=False)


def test_theory_stands_alone_where_nothing_was_drawn():
    theory = predict(network_of())
    for make in CHARTS.values():
        chart = make(theory, None, "light")
        assert chart.frames["rows"].empty
        assert len(chart.frames["theory"]) >= 3
        assert chart.notes == ("Theory alone: no network was drawn.",)
        json.dumps(standalone_spec(chart, ""), allow_nan=False)


def test_relus_flat_side_is_called_inactive_and_theory_is_silent_on_dead_units():
    chart = drawn(initial_saturation, activation="relu", initializer="kaiming_normal")
    assert "Inactive" in chart.title
    assert set(chart.frames["rows"]["word"]) == {"inactive", "dead units"}
    assert set(chart.frames["theory"]["word"]) == {"inactive"}
    assert chart.frames["theory"]["shown"].tolist() == pytest.approx([0.5] * 3)
    assert chart.frames["rows"].query("word == 'dead units'")["expected"].tolist() == ["none"] * 3


def test_rank_is_a_share_of_what_is_possible_and_a_negative_cosine_has_room():
    network = network_of(batch_size=32)
    ensemble = ensemble_of(network, effective_rank=np.full((3, 3), 8.0), mean_cosine=np.full((3, 3), -0.08))
    chart = initial_likeness(predict(network), ensemble, "light")
    assert chart.frames["rows"].query("word == 'rank in use'")["shown"].tolist() == [0.25] * 3
    assert "32 directions" in chart.how_to_read
    low = chart.frames["upward"]["low"].iloc[0]
    assert low <= -0.08


def test_a_deep_network_has_fewer_dots_and_says_so():
    chart = drawn(initial_gradient, depth=100, activation="relu", initializer="kaiming_normal")
    assert len(chart.frames["rows"]) == MAX_DOTS
    assert len(chart.frames["theory"]) == 100
    assert any("40 of 100 layers are drawn" in note for note in chart.notes)
    assert len(chart.make_table()) == 100
