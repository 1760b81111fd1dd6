"""Maps of order and chaos: what the pictures hold and say, against closed forms and single points."""

from __future__ import annotations

import base64
import io
import json
import math
from typing import Any

import numpy as np
import pytest
import vl_convert
from chart_checks import assert_is_drawable

from nnlab.chart import Chart, records_of
from nnlab.config import ExperimentConfig
from nnlab.depth_charts import depth_chart
from nnlab.export import standalone_spec
from nnlab.numerals import scientific
from nnlab.palette import THEMES, ZERO_COLOR
from nnlab.phase_charts import phase_chart
from nnlab.phase_map import BLOCKED, EXPLODING, RUNAWAY, VANISHING
from nnlab.phase_marks import CLICK
from nnlab.random_network import RandomNetwork
from nnlab.theory import mean_field

CHARTS = {"phase_map": phase_chart, "depth_map": depth_chart}


def network(activation: str, sigma_b: float = 0.0, gain: float = 1.0, **fields: Any) -> RandomNetwork:
    config = ExperimentConfig(
        activation=activation, gain=gain, **{"depth": 10, "initializer": "lecun_normal"} | fields
    )
    return RandomNetwork(config, sigma_b)


def decoded(chart: Chart) -> np.ndarray:
    from PIL import Image

    url = chart.frames["image"]["url"].iloc[0]
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize(("name", "mode"), [("phase_map", "light"), ("depth_map", "dark")])
def test_maps_explain_themselves_and_can_be_drawn(name, mode):
    chart = CHARTS[name](network("tanh", 0.2), mode)
    assert chart.name == name
    assert chart.spec["config"]["background"] == THEMES[mode].background
    assert chart.spec["width"] == "container"
    assert len(chart.how_to_read) > 100
    assert "2017" in chart.how_to_read
    assert_is_drawable(chart)
    drawn = standalone_spec(chart, "")
    json.dumps(drawn, allow_nan=False)
    svg = vl_convert.vegalite_to_svg(drawn)
    assert "gradients vanish" in svg
    assert "gradients explode" in svg


@pytest.mark.parametrize(
    "lost",
    [
        network("step"),
        network("softplus", 0.5),
        network("relu", 0.2, 1.6),
        network("tanh", initializer="lsuv"),
        network("gelu", initializer="zeros"),
        network("tanh", 10.0, 1e30, depth=1),
    ],
)
@pytest.mark.parametrize("draw", CHARTS.values())
def test_where_theory_has_no_numbers_there_is_still_a_picture(draw, lost):
    chart = draw(lost, "light")
    json.dumps(records_of(chart.frames), allow_nan=False)
    assert chart.alt_text.endswith(".")
    assert len(chart.make_table()) >= 3600
    is_nowhere = lost.config.initializer in ("lsuv", "zeros") or lost.config.gain > 1e6
    assert len(chart.frames["point"]) == (0 if is_nowhere else 1)
    assert ("no point of it" in chart.alt_text) == is_nowhere


def test_blue_shrinks_vermilion_grows_and_gray_runs_away():
    # tanh at sigma_w = 1.3: chaotic without biases, ordered with large ones; row 0 is the top.
    image = decoded(phase_chart(network("tanh"), "light"))
    column = int(1.3 / 4 * 60)
    assert image[-1, column, 0] > image[-1, column, 2]
    assert image[0, column, 2] > image[0, column, 0]
    relu = decoded(phase_chart(network("relu"), "dark"))
    gray = [int(ZERO_COLOR[at : at + 2], 16) for at in (1, 3, 5)]
    runs_away = 4 * (np.arange(60) + 0.5) / 60 >= math.sqrt(2)
    assert ((relu == gray).all(axis=2) == runs_away).all()
    # The deeper, the further from the pale middle: row 0 is depth 99.
    deep = decoded(depth_chart(network("relu"), "light"))[:, int(1.35 / 4 * 60)]
    assert (np.diff(deep[:, 2] - deep[:, 0]) <= 0).all()
    assert np.ptp(deep[:, 0]) > 20


def test_places_to_click_cover_the_map_and_tell_what_theory_says_there():
    cells = phase_chart(network("tanh"), "light").frames["cells"]
    assert (cells["x"].between(cells["left"], cells["right"])).all()
    assert (cells["y"].between(cells["low"], cells["high"])).all()
    area = ((cells["right"] - cells["left"]) * (cells["high"] - cells["low"])).sum()
    assert area == pytest.approx(4 * 2)
    row, field = (
        cells[np.isclose(cells["x"], 2.4) & np.isclose(cells["y"], 0.3)].iloc[0],
        mean_field("tanh", 2.4, 0.3),
    )
    assert 1.5 < field.chi < 1.585  # which it is at 2.5 (Poole et al. 2016)
    assert [row["chi"], row["factor"], row["xi"]] == [
        scientific(value) for value in (field.chi, math.sqrt(field.chi), field.xi)
    ]
    assert row["state"] == EXPLODING
    deep = depth_chart(network("tanh", 0.3), "light").frames["cells"]
    assert ((deep["right"] - deep["left"]) * (deep["high"] - deep["low"])).sum() == pytest.approx(4 * 99)
    row = deep[np.isclose(deep["x"], 1.2) & (deep["y"] == 25)].iloc[0]
    field = mean_field("tanh", 1.2, 0.3)
    assert float(row["factor"]) == pytest.approx(field.chi**12, rel=0.05)
    assert row["trains"] == "yes"


@pytest.mark.parametrize("draw", CHARTS.values())
def test_a_click_is_told_by_the_cells_alone(draw):
    spec = draw(network("tanh"), "light").spec
    (param,) = spec["params"]
    assert param["name"] == CLICK
    assert param["select"]["fields"] == ["x", "y"]
    (view,) = param["views"]
    (cells,) = [layer for layer in spec["layer"] if layer.get("name") == view]
    assert cells["data"] == {"name": "cells"}
    # What lies above the cells would take the click: only the network itself does.
    above = spec["layer"][spec["layer"].index(cells) + 1 :]
    assert {layer["data"]["name"] for layer in above} == {"point"}


def test_the_network_is_where_its_numbers_are():
    here = network("tanh", 0.3, 2.5, depth=30)
    (point,) = phase_chart(here, "light").frames["point"].to_dict("records")
    assert (point["x"], point["y"], point["factor"]) == (2.5, 0.3, "1.3")
    (point,) = depth_chart(here, "light").frames["point"].to_dict("records")
    assert (point["x"], point["y"], point["trains"]) == (2.5, 30.0, "no")
    assert float(point["factor"]) == pytest.approx(1.585**14.5, rel=0.05)


def test_a_map_keeps_all_but_the_point_while_the_network_moves():
    for draw in CHARTS.values():
        here, there = (draw(network("tanh", 0.3, gain, depth=30), "light") for gain in (1.1, 2.5))
        deeper = draw(network("tanh", 0.3, 2.5, depth=60), "light")
        for one in (there, deeper):
            assert one.spec is here.spec
            assert one.steady_text == here.steady_text
            assert one.steady_text in one.alt_text
            kept = [name for name in one.frames if one.frames[name] is here.frames[name]]
            assert set(one.frames) - set(kept) == {"point"}
        assert not there.frames["point"].equals(here.frames["point"])


def test_words_stand_inside_of_their_regions():
    words = phase_chart(network("tanh"), "light").frames["words"].set_index("word")
    assert set(words.index) == {VANISHING, EXPLODING}
    for word, place in words.iterrows():
        assert (mean_field("tanh", place["x"], place["y"]).chi > 1) == (word == EXPLODING)
    relu = phase_chart(network("relu"), "light").frames["words"].set_index("word")
    assert relu.loc[RUNAWAY, "x"] > math.sqrt(2) > relu.loc[VANISHING, "x"]
    assert phase_chart(network("step"), "light").frames["words"]["word"].tolist() == [BLOCKED]


def test_the_edge_is_a_line_dashes_or_one_point():
    tanh = phase_chart(network("tanh"), "light")
    assert tanh.frames["edge"]["y"].notna().all()
    assert tanh.frames["lone"].empty
    assert tanh.notes == ()
    gelu = phase_chart(network("gelu"), "light")
    dashed = gelu.frames["edge"].dropna(subset="unreached")
    assert 0 < len(dashed) < len(gelu.frames["edge"])
    assert dashed["unreached"].max() < gelu.frames["edge"]["y"].min()
    assert any(note.startswith("Dashed: there GELU") for note in gelu.notes)
    relu = phase_chart(network("relu"), "light")
    assert relu.frames["lone"].to_numpy().ravel() == pytest.approx([math.sqrt(2), 0.0])


def test_the_texts_for_those_who_do_not_see_it_say_where_the_edge_is():
    assert "from sigma_w 1 at sigma_b 0 to" in phase_chart(network("tanh"), "light").alt_text
    assert "only critical point is sigma_w 1.41 at" in phase_chart(network("relu"), "light").alt_text
    assert "There is no edge of chaos." in phase_chart(network("softplus"), "light").alt_text
    assert "toward sigma_w 1.304, the edge" in depth_chart(network("tanh", 0.2), "light").alt_text
    assert "No sigma_w is critical" in depth_chart(network("relu", 0.2), "light").alt_text


def test_the_line_of_depths_that_train_is_six_depth_scales():
    line = depth_chart(network("relu", 0.2), "light").frames["limit"]
    row = line.iloc[int((line["x"] - 1.0).abs().argmin())]
    assert row["y"] == pytest.approx(6 / math.log(2), rel=1e-5)  # chi = 1/2
    assert line[line["x"] > math.sqrt(2)]["y"].isna().all()


def test_tables_hold_cells_edge_and_network_in_full_precision():
    table = phase_chart(network("tanh", 0.3, 2.5), "light").make_table()
    counts = table["kind"].value_counts()
    assert (counts["cell"], counts["network"]) == (3600, 1)
    assert table[table["kind"] == "edge"]["chi"].to_numpy() == pytest.approx(1, abs=1e-6)
    assert table[table["kind"] == "network"]["chi"].item() == mean_field("tanh", 2.5, 0.3).chi
    deep = depth_chart(network("tanh", 0.3, 2.5), "light").make_table()
    own = deep[deep["kind"] == "network"]
    assert own["log10_gradient_ratio"].item() == pytest.approx(9 * math.log10(math.sqrt(own["chi"].item())))
    assert len(deep) == 3601
