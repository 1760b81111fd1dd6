"""Pictures of a sweep: what they hold, say and mark, against the numbers they were made from."""

from __future__ import annotations

import json
import math

import pytest
import vl_convert

from nnlab.export import standalone_spec
from nnlab.palette import MAGMA
from nnlab.sweep_charts import MOVED, PICKED, sweep_chart
from nnlab.sweep_summary import SWEPT
from tests.chart_checks import assert_charts_explain_themselves
from tests.swept_rows import swept

AXES = {"activation": ("tanh", "relu", "gelu"), "depth": (2, 5, 10, 20)}


def fading(cell):
    if cell.activation == "gelu" and cell.depth == 20:
        return None
    if cell.activation == "gelu" and cell.depth == 10:
        return dict.fromkeys(SWEPT, math.nan)
    zero = cell.activation == "gelu" and cell.depth == 5
    return {
        "gradient_ratio": 0.0 if zero else 10.0**-cell.depth,
        "test_accuracy": 0.9 / (cell.depth + cell.seed),
    }


ROWS = swept(AXES, 2, fading)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_picture_compiles_and_explains_itself(mode):
    for shown in (("depth", "activation"), ("depth",), ("activation",)):
        svg = vl_convert.vegalite_to_svg(
            standalone_spec(sweep_chart(ROWS, "gradient_ratio", shown, mode), "")
        )
        names = ("2", "5", "10", "20") if "depth" in shown else ("Tanh", "ReLU", "GELU")
        assert all(f">{name}</text>" in svg for name in names)
    charts = [
        sweep_chart(ROWS, "gradient_ratio", shown, mode) for shown in (("depth", "activation"), ("depth",))
    ]
    assert_charts_explain_themselves(charts, mode)


def test_cells_hold_the_medians_and_mark_what_is_no_number():
    chart = sweep_chart(ROWS, "gradient_ratio", ("depth", "activation"), "light")
    cells = {(r["x_word"], r["y_word"]): r for r in chart.frames["rows"].to_dict("records")}
    assert len(cells) == 12
    assert cells["10", "Tanh"]["shown"] == pytest.approx(-10)
    assert (cells["10", "Tanh"]["label"], cells["10", "Tanh"]["exact"]) == ("1e-10", "1.0e-10")
    assert cells["5", "GELU"]["state"] == "zero"
    assert cells["10", "GELU"]["state"] == "lost"
    assert cells["20", "GELU"]["state"] == "failed"
    assert cells["20", "GELU"]["runs"] == "2 runs, 2 failed"
    svg = vl_convert.vegalite_to_svg(standalone_spec(chart, ""))
    for word in ("exactly 0", "no finite number", "failed", "Tanh", "1e-10"):
        assert f">{word}<" in svg, word
    assert "Lowest 0 at depth 5, activation GELU" in chart.alt_text
    assert "2 without a number" in chart.alt_text


def test_a_share_is_drawn_from_none_to_all_and_a_size_over_decades():
    def color(metric: str) -> dict:
        spec = sweep_chart(ROWS, metric, ("depth", "activation"), "light").spec
        return spec["layer"][0]["encoding"]["color"]

    assert color("test_accuracy")["scale"] == {"domain": [0.0, 1.0], "range": list(MAGMA)}
    assert color("gradient_ratio")["scale"]["domain"] == [-20.0, -2.0]


def test_the_table_has_the_medians_in_full_precision():
    table = sweep_chart(ROWS, "test_accuracy", ("depth", "activation"), "light").make_table()
    row = table[(table["depth"] == 20) & (table["activation"] == "tanh")].iloc[0]
    assert row["median"] == (0.9 / 20 + 0.9 / 21) / 2
    assert (row["lowest"], row["highest"], row["runs"]) == (0.9 / 21, 0.9 / 20, 2)


def test_dots_show_ranges_and_say_what_is_off_the_axis():
    chart = sweep_chart(ROWS, "gradient_ratio", ("activation",), "light")
    rows = chart.frames["rows"].set_index("x_word")
    assert rows.loc["Tanh", "drawn"] == pytest.approx((1e-5 + 1e-10) / 2)
    assert rows.loc["Tanh", "low"] == 1e-20
    assert rows.loc["GELU", "state"] == "lost"
    assert "A cross at the high end: no finite number for GELU." in chart.notes
    assert "Every median is also over all values of depth." in chart.notes


@pytest.mark.parametrize("metric", SWEPT)
def test_a_scale_is_of_numbers_only_also_where_some_runs_or_all_have_none(metric):
    half = swept(
        {"depth": (2, 5)}, 2, lambda c: {metric: math.nan} if c.seed + c.depth > 5 else {metric: 3.0}
    )
    none = swept({"depth": (2, 5)}, 2, lambda _: {metric: math.inf})
    for rows in (half, none):
        for shown in (("depth",), ("depth", "seed")):
            json.dumps(sweep_chart(rows, metric, shown, "light").spec, allow_nan=False)


def test_a_click_gives_the_number_of_the_spot():
    for shown in (("depth", "activation"), ("depth",)):
        chart = sweep_chart(ROWS, "test_accuracy", shown, "light")
        assert [p["name"] for p in chart.spec["params"]] == [PICKED]
        assert chart.spec["params"][0]["select"]["fields"] == ["spot"]
        assert list(chart.frames["rows"]["spot"]) == list(range(len(chart.frames["rows"])))


def test_two_thousand_cells_have_a_legend_and_no_numbers_that_do_not_fit():
    rates = tuple(0.001 * (1 + n) for n in range(40))
    rows = swept({"depth": tuple(range(1, 51)), "learning_rate": rates}, 1, lambda c: {"test_accuracy": 0.5})
    chart = sweep_chart(rows, "test_accuracy", ("depth", "learning_rate"), "light")
    assert len(chart.frames["rows"]) == 2000
    assert chart.spec["layer"][0]["encoding"]["color"]["legend"]["type"] == "symbol"
    assert not [layer for layer in chart.spec["layer"] if layer["mark"]["type"] == "text"]
    # It can be moved, and then names every value that is in sight, and draws none that is not.
    assert {p["name"]: p.get("bind") for p in chart.spec["params"]} == {PICKED: None, MOVED: "scales"}
    cells = chart.spec["layer"][0]
    assert cells["mark"]["clip"]
    assert [cells["encoding"][at]["axis"]["values"] for at in "xy"] == [list(range(50)), list(range(40))]


def test_before_the_first_run_there_is_no_picture():
    empty = type(ROWS)(ROWS.axes, ())
    chart = sweep_chart(empty, "test_accuracy", ("depth", "activation"), "light")
    assert chart.is_empty
    assert chart.notes == ("No run has finished yet.",)
