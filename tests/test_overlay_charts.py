"""Charts of several configurations: what is drawn for zeros, bands, hostile names, and how they read."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from chart_checks import assert_charts_explain_themselves

from nnlab.config import ExperimentConfig
from nnlab.overlay import Group
from nnlab.overlay_charts import DASHES, DIAGNOSTICS, LAYER_CHARTS, SHAPES, STEP_CHARTS, overlay
from nnlab.palette import CATEGORIES
from nnlab.trainer import train_seeds

BASE = ExperimentConfig(dataset="iris", depth=3, width=6, batch_size=30, steps=12, record_every=3)
HOSTILE = "<img src=x onerror=alert(1)>'] + datum + [\"$x$.jsonl"


@pytest.fixture(scope="module")
def groups() -> tuple[Group, ...]:
    configs = (BASE, BASE.replace(activation="step"), BASE.replace(activation="relu"))
    return tuple(Group(train_seeds(config, (0, 1))) for config in configs)


def test_every_chart_explains_itself(groups):
    assert_charts_explain_themselves([overlay(name, groups, 12, "light") for name in DIAGNOSTICS], "light")


def test_dark_pages_get_dark_pictures_and_unequal_depths_a_common_axis(groups):
    deeper = Group(train_seeds(BASE.replace(depth=5), (0, 1)))
    charts = [overlay(name, (*groups[:2], deeper), 12, "dark") for name in ("loss", "delta_norm")]
    assert_charts_explain_themselves(charts, "dark")
    assert "depth" in charts[1].how_to_read
    assert charts[1].frames["rows"].groupby("series")["place"].max().tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", DIAGNOSTICS)
def test_the_drawn_numbers_are_those_of_the_table(groups, name):
    chart = overlay(name, groups, 12, "light")
    table, rows = chart.make_table(), chart.frames["rows"]
    assert len(table) == len(rows)
    usual = (table["low"] > 0).to_numpy()
    for drawn, exact in (("shown", "median"), ("bottom", "low"), ("top", "high")):
        assert rows[drawn][usual].tolist() == pytest.approx(table[exact][usual].tolist(), nan_ok=True)
    assert table["configuration"].tolist() == rows["series"].tolist()


def test_exact_zeros_stand_on_a_floor_below_all_numbers(groups):
    chart = overlay("delta_norm", groups, 12, "light")
    rows = chart.frames["rows"].query("series == 'step'")
    others = chart.frames["rows"].query("series != 'step'")
    assert set(rows["state"]) == {"zero"}
    assert set(rows["exact"]) == {"0"}
    assert rows["shown"].max() < others["shown"].min()
    assert "exactly 0" in chart.frames["guide"]["word"].tolist()


def test_what_is_undefined_is_said_and_not_drawn(groups):
    chart = overlay("gradient_ratio", groups, 12, "light")
    assert chart.frames["rows"].query("series == 'step'")["shown"].isna().all()
    assert any(note.startswith("step: 10 of 10 numbers") for note in chart.notes)
    first = overlay("update_ratio", groups, 0, "light")
    assert len(first.notes) == 3


def test_one_seed_has_no_shade(groups):
    single = [Group(group.runs[:1]) for group in groups]
    marks = [
        {layer["mark"]["type"] for layer in overlay("loss", some, 12, "light").spec["layer"]}
        for some in (groups, single)
    ]
    assert "area" in marks[0]
    assert "area" not in marks[1]


def test_a_run_of_one_record_is_a_point_where_no_line_can_be(groups):
    single = Group((replace(groups[0].runs[0], records=groups[0].runs[0].records[:1]),))
    rows = overlay("loss", (single, groups[1]), 12, "light").frames["rows"]
    assert rows.groupby("series", sort=False)["lone"].all().tolist() == [True, False]


def test_color_is_never_alone():
    assert len(set(DASHES)) == len(set(SHAPES)) == len(CATEGORIES) == 6
    assert set(STEP_CHARTS) | set(LAYER_CHARTS) == set(DIAGNOSTICS)


def test_a_files_name_is_data_and_nothing_else(groups):
    chart = overlay("delta_norm", (groups[0], Group(groups[1].runs, HOSTILE)), 12, "light")

    def strings(node: object, key: str = "") -> list[tuple[str, str]]:
        if isinstance(node, dict):
            return [found for name, value in node.items() for found in strings(value, name)]
        if isinstance(node, list):
            return [found for value in node for found in strings(value, key)]
        return [(key, node)] if isinstance(node, str) else []

    places = {key for key, text in strings(chart.spec) if "onerror" in text or "img" in text}
    assert places <= {"domain"}
    assert json.dumps(chart.spec).count("onerror") <= 4
    assert all(column.isidentifier() for frame in chart.frames.values() for column in frame.columns)


def test_the_axis_of_steps_stands_still_while_runs_go_on(groups):
    def domain(step: int) -> list[float]:
        going = [Group(tuple(run.until(step) for run in group.runs)) for group in groups]
        return overlay("loss", going, step, "light").spec["layer"][0]["encoding"]["x"]["scale"]["domain"]

    assert domain(3) == domain(9) == [0, 12]


def test_a_chart_without_numbers_is_empty_and_says_so(groups):
    bare = [Group((replace(run, records=tuple(replace(r, layers={}) for r in run.records)),))
            for run in groups[0].runs]  # fmt: skip
    chart = overlay("saturation", bare, 12, "light")
    assert chart.is_empty
    assert all("not recorded" in note for note in chart.notes)
    assert np.isnan(chart.make_table()["median"].astype(float)).all()
