"""What a sweep's rows come to over some of its fields, counted again by hand."""

from __future__ import annotations

import math
import statistics

import pytest

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.jobs import is_job_id
from nnlab.sweep_row import RESULT_COLUMNS
from nnlab.sweep_summary import (
    SWEPT,
    config_of,
    first_view,
    fixed_words,
    lab_query,
    number_words,
    run_at,
    run_words,
    sizes_words,
    spots,
    value_words,
)
from tests.swept_rows import BASE, swept

AXES = {"activation": ("tanh", "relu"), "depth": (2, 5, 10)}


def made_up(cell: ExperimentConfig) -> dict[str, float]:
    return {
        "test_accuracy": 1 / (cell.depth + cell.seed),
        "gradient_ratio": 10.0**-cell.depth * (1 + cell.seed),
    }


def test_a_spot_is_the_median_with_the_range_of_what_it_leaves_open():
    found = spots(swept(AXES, 3, made_up), "gradient_ratio", ("depth", "activation"))
    assert [spot.values for spot in found] == [(d, a) for d in (2, 5, 10) for a in ("tanh", "relu")]
    for spot in found:
        numbers = [10.0 ** -spot.values[0] * (1 + seed) for seed in range(3)]
        assert spot.median == statistics.median(numbers)
        assert (spot.low, spot.high, spot.runs, spot.state) == (min(numbers), max(numbers), 3, "value")


def test_over_one_field_the_other_is_left_open_too():
    found = spots(swept(AXES, 3, made_up), "test_accuracy", ("depth",))
    assert [spot.runs for spot in found] == [6, 6, 6]
    assert found[0].median == statistics.median([1 / 2, 1 / 3, 1 / 4] * 2)


@pytest.mark.parametrize(
    ("numbers", "state", "median"),
    [
        ((1.0, math.nan, 3.0), "value", 2.0),
        ((1.0, math.nan, math.inf), "lost", math.nan),
        ((1.0, 1.0, math.nan, math.nan), "lost", math.nan),
        ((0.0, 0.0, 3.0), "zero", 0.0),
        ((None, None, None), "failed", math.nan),
        ((None, 4.0, 6.0), "value", 5.0),
    ],
)
def test_numbers_that_are_none_are_marked_and_never_averaged_away(numbers, state, median):
    rows = swept(
        {}, len(numbers), lambda c: None if numbers[c.seed] is None else {"grad_norm": numbers[c.seed]}
    )
    (spot,) = spots(rows, "grad_norm", ())
    assert spot.state == state
    assert spot.median == pytest.approx(median, nan_ok=True)
    assert spot.failed == numbers.count(None)


def test_a_run_that_never_learned_is_slower_than_the_others():
    steps = (10.0, math.nan, 30.0)
    (spot,) = spots(swept({}, 3, lambda c: {"steps_to_90": steps[c.seed]}), "steps_to_90", ())
    assert (spot.median, spot.low, spot.high, spot.lost) == (30.0, 10.0, 30.0, 1)


def test_a_cell_leads_to_the_lab_which_trains_it_at_once():
    cell = ExperimentConfig(depth=20, learning_rate=0.003, clip_norm=1.5, seed=7)
    query = lab_query(cell)
    assert ExperimentConfig.from_query(query) == (cell, ())
    assert is_job_id(query["run"])
    assert query["run"] != lab_query(cell.replace(seed=8))["run"]


def test_one_run_is_found_and_said_in_words():
    rows = swept(AXES, 2, made_up)
    row = run_at(rows, {"activation": "relu", "depth": 5, "seed": 1})
    assert row is not None
    assert config_of(row) == BASE.replace(activation="relu", depth=5, seed=1)
    assert "test accuracy 17 %" in run_words(row, "test_accuracy")
    assert "2.0e-05" in run_words(row, "test_accuracy")
    assert run_at(rows, {"activation": "relu", "depth": 5, "seed": 9}) is None
    failed = swept({}, 1, lambda _: None).rows[0]
    with_layer = {**row, "effective_rank": 3.25, "effective_rank_layer": "hidden_2", "steps_to_90": math.nan}
    assert "; effective rank, worst layer 3.2 (hidden_2)" in run_words(with_layer, "effective_rank")
    no_dead = {**with_layer, "dead_fraction": 0.0, "dead_fraction_layer": "hidden_1"}
    assert run_words(no_dead, "dead_fraction").endswith("; dead share, worst layer 0 %")
    assert run_words(with_layer, "steps_to_90").endswith("; steps to 90% not reached")
    assert number_words(SWEPT["dead_units"], 0.5) == "0.5"
    assert number_words(SWEPT["steps_to_90"], 12_345.0) == "12,345"
    assert run_words(with_layer, "test_loss").count("test loss") == 1
    assert run_words(failed, "test_accuracy") == "Could not be trained: it broke"


def test_rows_come_in_the_grid_s_order_however_they_were_finished():
    rows = swept(AXES, 2, made_up)
    turned = type(rows)(rows.axes, rows.rows[::-1])
    order = [(row["depth"], row["activation"], row["seed"]) for row in turned.ordered]
    assert order == [(d, a, s) for d in (2, 5, 10) for a in ("tanh", "relu") for s in (0, 1)]


def test_words_name_what_varies_and_what_does_not():
    axes = swept(AXES, 2, made_up).axes
    assert sizes_words(axes) == "3 values of depth, 2 of activation, 2 seeds"
    assert sizes_words({}) == "1 seed"
    said = fixed_words(BASE.replace(residual=True), axes)
    assert "width 16" in said
    assert "residual true" in said
    assert "depth" not in said
    assert first_view(axes) == ("depth", "activation")
    assert first_view({"activation": (), "seed": ()}) == ("activation",)
    assert first_view({"seed": ()}) == ("seed",)
    assert value_words("learning_rate", 1e-05) == "1e-05"
    assert value_words("clip_norm", None) == "none"
    assert value_words("activation", "relu") == "ReLU"


def test_every_number_of_a_sweep_can_be_shown():
    assert set(SWEPT) == set(RESULT_COLUMNS)
    assert not set(SWEPT) & set(FIELDS)
