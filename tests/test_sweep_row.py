"""A sweep's row: what a run came to, and the same numbers when only the end was recorded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import nnlab
from nnlab.sweep_row import (
    COLUMNS,
    LAYER_COLUMNS,
    LEARNED_ACCURACY,
    MEANINGS,
    RESULT_COLUMNS,
    failed_row,
    sweep_row,
    to_frame,
)
from nnlab.trainer import train_ends, train_seeds

SMALL = {"dataset": "iris", "depth": 3, "width": 8, "batch_size": 30, "steps": 60}
STUCK = {"dataset": "xor", "samples": 80, "noise": 0.0, "initializer": "zeros", "batch_size": 64}


def experiment(**fields: Any) -> nnlab.ExperimentConfig:
    return nnlab.ExperimentConfig(**SMALL | fields)


def same(one: Any, other: Any) -> bool:
    return one == other or (one != one and other != other)


@pytest.mark.parametrize(("fields", "status"), [
    ({}, "completed"), ({"normalization": "batch", "optimizer": "adam", "learning_rate": 0.01}, "completed"),
    ({"activation": "relu", "residual": True, "record_every": 7}, "completed"),
    ({"activation": "sigmoid", "loss": "mse", "clip_norm": 0.1}, "completed"),
    ({"activation": "relu", "learning_rate": 12.0, "depth": 4, "width": 12, "steps": 200}, "diverged"),
    ({"learning_rate": 1e39}, "diverged"), ({**STUCK, "steps": 100}, "stalled"),
    ({**STUCK, "steps": 100, "record_every": 3}, "stalled"),
], ids=str)  # fmt: skip
def test_recording_the_end_alone_gives_the_row_of_an_ordinary_run(fields, status):
    config = experiment(**fields)
    for whole, lean in zip(train_seeds(config, (0, 7)), train_ends(config, (0, 7)), strict=True):
        expected, row = sweep_row(whole), sweep_row(lean)
        assert list(row) == list(COLUMNS)
        assert {name for name in COLUMNS if not same(row[name], expected[name])} == set()
        assert row["status"] == status
        assert len(lean.records) <= 2
        assert not lean.records[-1].histograms


def test_a_row_says_what_the_records_say():
    config = experiment(
        dataset="wine", activation="relu", initializer="kaiming_normal", learning_rate=0.3, seed=3
    )
    run = nnlab.train(config)
    row, last = sweep_row(run), run.metrics[run.metrics["step"] == 60]

    def value(metric: str, layer: str = "network") -> float:
        found = last[(last["metric"] == metric) & (last["layer"] == layer)]["value"]
        return float(found.iloc[0])

    for metric in (
        "accuracy",
        "test_loss",
        "test_accuracy",
        "grad_norm",
        "gradient_ratio",
        "vanishing_index",
    ):
        assert row[metric] == value(metric)
    assert (row["train_loss"], row["loss"]) == (value("loss"), "cross_entropy")
    shares = run.metrics[run.metrics["metric"] == "test_accuracy"]
    reached = shares[shares["value"] >= LEARNED_ACCURACY]["step"]
    assert 0 < row["steps_to_90"] == reached.min() < 60
    assert nnlab.ExperimentConfig.from_dict({name: row[name] for name in config.to_dict()}) == config


@pytest.mark.parametrize("fields", [
    {}, {"activation": "relu", "initializer": "kaiming_normal"}, {"activation": "step"},
    {"normalization": "batch"},
], ids=str)  # fmt: skip
def test_one_layer_speaks_for_its_network_in_every_metric_of_layers(fields):
    run = nnlab.train(experiment(dataset="wine", **fields))
    row, last = sweep_row(run), run.metrics[run.metrics["step"] == 60]
    every = set(last[last["layer"] != "network"]["metric"])
    assert every == {column.metric.name for column in LAYER_COLUMNS.values()}
    for name, column in LAYER_COLUMNS.items():
        mine = last[(last["metric"] == column.metric.name) & (last["layer"] != "network")]
        numbers = mine.set_index("layer")["value"].dropna()
        if numbers.empty:
            assert (math.isnan(row[name]), row[f"{name}_layer"]) == (True, "")
        else:
            assert row[name] == (numbers.max() if column.end == "largest" else numbers.min())
            assert row[name] == numbers[row[f"{name}_layer"]]


def test_a_metric_that_is_bad_at_both_ends_has_a_column_for_each():
    assert {"update_ratio_smallest", "update_ratio_largest", "saturation"} < set(LAYER_COLUMNS)
    assert LAYER_COLUMNS["effective_rank"].end == "smallest"
    assert "Of the hidden layer with the smallest one." in MEANINGS["effective_rank"]
    assert "Of the layer with the largest one; of runs" in MEANINGS["update_ratio_largest"]
    assert set(MEANINGS) == set(COLUMNS)


def test_a_stalled_run_ends_in_a_probe_record():
    for every in (1, 8):
        run = nnlab.train(experiment(**STUCK, steps=100, record_every=every))
        assert (run.status, run.records[-1].step, run.records[-1].is_probe) == ("stalled", 19, True)


def test_what_never_was_is_nan_and_a_reason_is_one_line():
    row = failed_row(experiment(), "out of\nmemory")
    assert (row["status"], row["reason"], row["last_step"]) == ("failed", "out of memory", None)
    assert all(math.isnan(row[name]) for name in RESULT_COLUMNS)
    never = sweep_row(nnlab.train(experiment(dataset="gaussian", samples=100, steps=3)))
    assert math.isnan(never["steps_to_90"])


def test_the_table_has_types_that_do_not_hang_on_its_rows():
    rows = [sweep_row(run) for run in train_ends(experiment(features=()), (0, 1))]
    full, none = (
        to_frame([*rows, failed_row(experiment(clip_norm=1.0, record_every=7), "lost")]),
        to_frame([]),
    )
    assert list(full.columns) == list(COLUMNS)
    assert full.dtypes.to_dict() == none.dtypes.to_dict()
    assert full["record_every"].isna().tolist() == [True, True, False]
    assert np.isnan(full["clip_norm"]).tolist() == [True, True, False]
    assert full["last_step"].tolist()[:2] == [60, 60]
