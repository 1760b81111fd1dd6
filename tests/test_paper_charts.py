"""Charts of papers' figures: they explain themselves, show the seeds' range, and lose no number silently."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from chart_checks import assert_charts_explain_themselves

from nnlab.paper_charts import LAW, MEASURED, Axis, Caption, depth_lines, over_seeds, series_lines
from nnlab.paper_result import stored_result
from nnlab.papers import PAPERS

WORDS = Caption("some_lines", "Some lines", "How to read it. " * 10, "Two lines of 3 points.")


@pytest.mark.parametrize("name", PAPERS)
def test_the_charts_of_a_stored_result_explain_themselves(name):
    columns = stored_result(name).columns
    assert_charts_explain_themselves(PAPERS[name].charts(columns, "light"), "light")


def test_they_are_drawn_on_a_dark_page_too_and_no_two_share_a_name():
    names = []
    for name, paper in PAPERS.items():
        charts = paper.charts(stored_result(name).columns, "dark")
        names += [chart.name for chart in charts]
        assert all(chart.spec["config"]["background"] != "#ffffff" for chart in charts)
    assert len(set(names)) == len(names)


def table_of(values, **columns):
    return pd.DataFrame({"series": ["a"] * len(values), "x": range(len(values)), "value": values, **columns})


def test_the_range_over_the_seeds_is_from_the_lowest_to_the_highest():
    table = pd.DataFrame({"start": ["b", "b", "a", "a"], "layer": [1, 1, 1, 1], "size": [1.0, 4.0, 2.0, 2.0]})
    frame = over_seeds(table, ["start", "layer"], "size")
    assert frame.to_dict("list") == {
        "start": ["b", "a"], "layer": [1, 1], "value": [2.5, 2.0], "low": [1.0, 2.0], "high": [4.0, 2.0]
    }  # fmt: skip


def test_what_cannot_stand_on_a_log_axis_is_left_out_and_said():
    chart = series_lines(
        table_of([1e-3, 0.0, math.nan, math.inf, 10.0]), Axis("x"), Axis("y", is_log=True), WORDS, "light"
    )
    rows = chart.frames["rows"]
    assert rows["shown"].notna().tolist() == [True, False, False, False, True]
    assert rows["exact"].tolist() == ["1.0e-03", "0", "undefined", "infinite", "10"]
    assert chart.notes == ("3 values are 0 or not finite and cannot stand on this axis.",)
    domain = chart.spec["layer"][1]["encoding"]["y"]["scale"]["domain"]
    assert domain == [1e-3, 10.0]
    assert len(chart.make_table()) == 5


def test_zero_stands_on_a_linear_axis():
    chart = series_lines(table_of([0.0, -1.0]), Axis("x"), Axis("y"), WORDS, "light")
    assert chart.frames["rows"]["shown"].tolist() == [0.0, -1.0]
    assert chart.notes == ()


def test_a_law_and_what_is_measured_are_told_apart():
    table = table_of([1.0, 2.0, 1.1, 2.1], kind=[MEASURED, MEASURED, LAW, LAW])
    spec = series_lines(table, Axis("x"), Axis("y"), WORDS, "light").spec
    filters = [part.get("transform", [{}])[0].get("filter", "") for part in spec["layer"]]
    assert any(LAW in words for words in filters)
    without = series_lines(table_of([1.0, 2.0]), Axis("x"), Axis("y"), WORDS, "light").spec
    assert len(without["layer"]) == len(spec["layer"]) - 1
    assert any(MEASURED in words for words in filters)


def test_lines_of_layers_are_colored_from_the_first_to_the_last():
    table = pd.DataFrame({"number": [1, 2, 3], "x": [0, 0, 0], "value": [0.1, 0.2, 0.3]})
    chart = depth_lines(table, Axis("x"), Axis("y", low=0.0, high=1.0), WORDS, "light")
    color = chart.spec["layer"][0]["encoding"]["color"]
    assert color["scale"]["domain"] == [1, 3]
    assert chart.frames["rows"]["series"].tolist() == ["layer 1", "layer 2", "layer 3"]
