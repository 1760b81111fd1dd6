"""Charts of a remedy, and the two runs side by side in words and numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from chart_checks import assert_charts_explain_themselves

import nnlab
from nnlab.comparison import compare, differences, fates, last_ratio, verdict_words
from nnlab.config import ExperimentConfig
from nnlab.healing_charts import healed_loss, healed_ratio, healed_signal
from nnlab.run import Run

SICK = ExperimentConfig(dataset="iris", depth=6, width=8, activation="step", batch_size=16, steps=12)


@pytest.fixture(scope="module")
def pair() -> tuple[Run, Run]:
    return nnlab.train(SICK), nnlab.train(SICK.replace(activation="tanh"))


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_chart_compiles_and_explains_itself(pair, mode):
    charts = [healed_signal(*pair, 4, mode), healed_ratio(*pair, mode), healed_loss(*pair, mode)]
    assert_charts_explain_themselves(charts, mode)


def test_both_sides_are_told_apart_by_color_and_dash(pair):
    line = healed_loss(*pair, "light").spec["layer"][0]["encoding"]
    assert line["color"]["scale"]["domain"] == line["strokeDash"]["scale"]["domain"] == ["before", "after"]
    assert len(set(map(tuple, line["strokeDash"]["scale"]["range"]))) == 2
    assert len(set(line["color"]["scale"]["range"])) == 2


def test_the_error_signal_is_that_of_the_shown_step_and_zeros_stand_on_the_floor(pair):
    chart = healed_signal(*pair, 4, "light")
    table, rows = chart.make_table(), chart.frames["rows"]
    for run, side in zip(pair, ("before", "after"), strict=True):
        wanted = run.record_at(4).layers["delta_norm"][:6]
        assert table.loc[table["run"] == side, "delta_norm"].tolist() == wanted.tolist()
    zeros = rows[rows["value"] == 0]
    assert set(zeros["side"]) == {"before"}  # a step function passes nothing back
    assert (zeros["state"] == "zero").all()
    assert zeros["shown"].max() < rows.loc[rows["value"] > 0, "shown"].min()
    assert "step 4" in chart.title
    assert "exactly 0" in chart.frames["guide"]["word"].tolist()


def test_what_is_undefined_is_named_and_not_drawn(pair):
    chart = healed_ratio(*pair, "light")  # 0 / 0 at every step
    assert chart.notes == ("Undefined or not finite, and left out: 13 before the remedy.",)
    rows = chart.frames["rows"]
    assert rows.loc[rows["side"] == "before", "shown"].isna().all()


def test_a_run_that_broke_off_is_named(pair):
    broken = replace(pair[0], status="diverged")
    assert healed_loss(broken, pair[1], "light").notes == (
        "The run before the remedy ended early: diverged at step 12.",
    )


def test_every_diagnostic_of_both_runs_is_in_the_table(pair):
    table = compare(*pair).set_index("number")
    last = [run.records[-1] for run in pair]
    assert float(table.loc["Training loss", "after"]) == pytest.approx(last[1].network["loss"], rel=0.05)
    index = table.loc["Vanishing index (decades a layer)", "after"]
    assert float(index) == pytest.approx(last[1].network["vanishing_index"], rel=0.06)
    cosine = float(np.nanmax(last[1].layers["mean_cosine"][:6]))
    assert float(table.loc["Most alike outputs (mean cosine)", "after"]) == pytest.approx(cosine, rel=0.06)
    rank = float(np.nanmin(last[1].layers["effective_rank"][:6]))
    assert float(table.loc["Lowest effective rank", "after"]) == pytest.approx(rank, rel=0.06)
    assert table.loc["Signal at layer 1 (R)"].tolist() == [last_ratio(run) for run in pair]
    assert table.loc["Verdict"].tolist() == [verdict_words(run) for run in pair]
    assert {"Status", "Dead units", "Test loss", "Test accuracy"} <= set(table.index)


def test_the_difference_is_said_in_words_without_what_a_file_says():
    other = SICK.replace(activation="tanh", residual=True, learning_rate=0.01)
    assert (
        differences(SICK, other) == "activation step → tanh, residual false → true, learning rate 0.1 → 0.01"
    )
    one = ExperimentConfig(dataset="csv", csv_path="![x](y)", target="<b>")
    assert differences(one, one.replace(target="$x$", features=("a",), gain=2.0)) == "gain 1.0 → 2.0"


def test_what_became_of_the_findings_is_said(pair):
    assert fates(*pair).startswith("Gone: gradient blocked")
    assert fates(pair[0], pair[0]).startswith("Still there: gradient blocked")
    assert fates(pair[1], pair[0]).partition("New: ")[2].startswith("gradient blocked")
