"""Run: the tidy frames, column by column."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import nnlab
from nnlab.frames import histogram_at
from nnlab.metrics import METRICS
from nnlab.run import is_probe_record

METRIC_DTYPES = {
    "step": np.dtype(np.int64),
    "layer": pd.Series(["text"]).dtype,
    "layer_index": np.dtype(np.int64),
    "metric": pd.Series(["text"]).dtype,
    "value": np.dtype(np.float64),
}
HISTOGRAM_DTYPES = {
    "step": np.dtype(np.int64),
    "layer": pd.Series(["text"]).dtype,
    "layer_index": np.dtype(np.int64),
    "quantity": pd.Series(["text"]).dtype,
    "bin_left": np.dtype(np.float64),
    "bin_right": np.dtype(np.float64),
    "count": np.dtype(np.int64),
}
NETWORK_METRICS = {
    "loss",
    "accuracy",
    "test_loss",
    "test_accuracy",
    "grad_norm",
    "gradient_ratio",
    "vanishing_index",
}
LAYER_METRICS = {
    "pre_activation_mean",
    "pre_activation_std",
    "activation_mean",
    "activation_std",
    "slope_mean",
    "saturation",
    "saturation_low",
    "saturation_high",
    "zero_fraction",
    "dead_units",
    "dead_fraction",
    "stuck_units",
    "silent_units",
    "dormant_fraction",
    "effective_rank",
    "mean_cosine",
    "delta_norm",
    "delta_rms",
    "activation_grad_norm",
    "backward_gain",
    "weight_norm",
    "weight_grad_norm",
    "bias_grad_norm",
    "grad_to_weight",
    "update_ratio",
}
LAYERS = {"network": 0, "hidden_1": 1, "hidden_2": 2, "output": 3}


@pytest.fixture(scope="module")
def stopped_at_once() -> nnlab.Run:
    stop = threading.Event()
    stop.set()
    return nnlab.train(nnlab.ExperimentConfig(dataset="iris"), stop=stop)


def test_the_registry_holds_the_metrics_of_the_design() -> None:
    # Beside them there are only such as a recurrent layer of somebody's own model has.
    optional = {name for name, metric in METRICS.items() if metric.optional}
    assert set(METRICS) - optional == NETWORK_METRICS | LAYER_METRICS
    assert optional == {"time_ratio", "gate_saturation"}
    assert {name for name, metric in METRICS.items() if metric.scope == "network"} == NETWORK_METRICS


def test_metrics_have_these_columns_and_types(tiny_run: nnlab.Run) -> None:
    assert tiny_run.metrics.dtypes.to_dict() == METRIC_DTYPES
    assert list(tiny_run.metrics) == list(METRIC_DTYPES)


def test_histograms_have_these_columns_and_types(tiny_run: nnlab.Run) -> None:
    assert tiny_run.histograms.dtypes.to_dict() == HISTOGRAM_DTYPES
    assert list(tiny_run.histograms) == list(HISTOGRAM_DTYPES)


def test_frames_of_a_run_without_records_are_empty(stopped_at_once: nnlab.Run) -> None:
    assert list(stopped_at_once.metrics) == list(METRIC_DTYPES)
    assert list(stopped_at_once.histograms) == list(HISTOGRAM_DTYPES)
    assert len(stopped_at_once.metrics) == len(stopped_at_once.histograms) == 0


def test_frames_of_a_run_without_records_have_the_same_types(stopped_at_once: nnlab.Run) -> None:
    assert stopped_at_once.metrics.dtypes.to_dict() == METRIC_DTYPES
    assert stopped_at_once.histograms.dtypes.to_dict() == HISTOGRAM_DTYPES


def test_every_layer_has_its_index(tiny_run: nnlab.Run) -> None:
    for frame in (tiny_run.metrics, tiny_run.histograms):
        named = dict(zip(frame["layer"], frame["layer_index"], strict=True))
        assert named.items() <= LAYERS.items()
        assert (frame["layer"].map(LAYERS) == frame["layer_index"]).all()
    assert set(tiny_run.metrics["layer"]) == set(LAYERS)


def test_there_is_one_row_a_record_layer_and_metric(tiny_run: nnlab.Run) -> None:
    keys = ["step", "layer", "metric"]
    assert not tiny_run.metrics.duplicated(keys).any()
    assert sorted(tiny_run.metrics["step"].unique()) == [0, 1, 2, 3, 4, 5]


def test_every_layer_has_its_metrics(tiny_run: nnlab.Run) -> None:
    first = tiny_run.metrics[tiny_run.metrics["step"] == 0]
    have = {layer: set(rows) for layer, rows in first.groupby("layer")["metric"]}
    assert have["network"] == NETWORK_METRICS
    assert have["hidden_1"] == have["hidden_2"] == LAYER_METRICS
    assert (
        {"delta_norm", "weight_norm", "weight_grad_norm", "bias_grad_norm"} <= have["output"] < LAYER_METRICS
    )


def test_numbers_that_are_not_defined_are_rows_too(tiny_run: nnlab.Run) -> None:
    first = tiny_run.metrics[tiny_run.metrics["step"] == 0]
    ratios = first.loc[first["metric"] == "update_ratio", "value"]
    assert len(ratios) == 3
    assert ratios.isna().all()


def test_a_value_is_that_of_its_record(tiny_run: nnlab.Run) -> None:
    values = tiny_run.metrics.set_index(["step", "layer", "metric"])["value"]
    for record in tiny_run.records:
        assert values[record.step, "network", "loss"] == record.network["loss"]
        assert values[record.step, "hidden_2", "delta_norm"] == record.layers["delta_norm"][1]
        assert values[record.step, "output", "weight_norm"] == record.layers["weight_norm"][2]


def _elements(run: nnlab.Run, batch: int) -> dict[tuple[str, str], int]:
    """Give the number of elements behind every histogram."""
    elements = {}
    for layer in run.layers:
        units, inputs = layer.weight_shape
        for quantity in ("pre_activation", "activation", "delta"):
            elements[layer.name, quantity] = batch * units
        elements[layer.name, "weight_grad"] = units * inputs
    del elements["output", "activation"]  # the same numbers as its pre_activation
    return elements


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"activation": "relu"},
        {"initializer": "zeros"},
        {"gain": 1e6},
        {"gain": 1e39},
        {"normalization": "batch"},
    ],
    ids=str,
)
def test_counts_add_up_to_the_number_of_elements(
    tiny_config: nnlab.ExperimentConfig, fields: dict[str, Any]
) -> None:
    run = nnlab.train(tiny_config.replace(**fields))
    for step in run.steps:
        frame = run.histograms[run.histograms["step"] == step]
        assert frame.groupby(["layer", "quantity"])["count"].sum().to_dict() == _elements(run, 16)


def test_exact_zeros_have_a_row_of_their_own(tiny_config: nnlab.ExperimentConfig) -> None:
    run = nnlab.train(tiny_config.replace(initializer="zeros"))
    frame = histogram_at(run, 0, "delta").query("layer == 'hidden_1'")
    is_zero = (frame["bin_left"] == -np.inf) & (frame["bin_right"] == -np.inf)
    assert frame.loc[is_zero, "count"].tolist() == [16 * 4]


def test_numbers_that_are_not_finite_have_a_row_of_their_own(tiny_config: nnlab.ExperimentConfig) -> None:
    run = nnlab.train(tiny_config.replace(gain=1e39, activation="identity"))
    frame = histogram_at(run, 0, "pre_activation").query("layer == 'hidden_2'")
    assert frame.loc[frame["bin_left"].isna() & frame["bin_right"].isna(), "count"].tolist() == [16 * 4]


def test_bins_of_a_layer_touch_and_cover_everything(tiny_run: nnlab.Run) -> None:
    for (_, quantity), frame in histogram_at(tiny_run, 0, "delta").groupby(["layer", "quantity"]):
        left, right = (frame[name].to_numpy() for name in ("bin_left", "bin_right"))
        assert np.isnan([left[-1], right[-1]]).all()
        assert (left[1], right[-2]) == (-np.inf, np.inf), quantity
        assert (left[2:-1] == right[1:-2]).all()


def test_magnitudes_have_96_bins_of_a_quarter_decade(tiny_run: nnlab.Run) -> None:
    for quantity in ("delta", "weight_grad"):
        frame = histogram_at(tiny_run, 0, quantity).query("layer == 'output'")
        finite = frame[np.isfinite(frame["bin_left"]) & np.isfinite(frame["bin_right"])]
        assert len(finite) == 96
        assert (finite["bin_left"].min(), finite["bin_right"].max()) == (-20, 4)
        np.testing.assert_allclose(finite["bin_right"] - finite["bin_left"], 0.25, atol=1e-12)


def test_series_are_those_of_the_frame(tiny_run: nnlab.Run) -> None:
    steps, losses = tiny_run.series("loss")
    rows = tiny_run.metrics.query("metric == 'loss'")
    assert (steps.tolist(), losses.tolist()) == (rows["step"].tolist(), rows["value"].tolist())
    _, norms = tiny_run.series("delta_norm")
    assert norms.shape == (6, 3)
    assert (
        norms[:, 0].tolist()
        == tiny_run.metrics.query("metric == 'delta_norm' and layer == 'hidden_1'")["value"].tolist()
    )


def test_the_nearest_record_is_found(tiny_config: nnlab.ExperimentConfig) -> None:
    run = nnlab.train(tiny_config.replace(steps=70))
    assert run.record_at(17).step == 17
    assert run.record_at(10**6).step == 70
    assert run.record_at(45, probe=True).step == 44
    assert histogram_at(run, 45, "delta")["step"].unique().tolist() == [44]


def test_a_record_of_an_empty_run_is_refused_in_words(tiny_run: nnlab.Run) -> None:
    with pytest.raises(ValueError, match="no records"):
        replace(tiny_run, records=()).record_at(3)


def test_until_gives_the_run_as_it_was(tiny_run: nnlab.Run) -> None:
    early = tiny_run.until(3)
    assert (early.status, early.steps.tolist()) == ("running", [0, 1, 2, 3])
    wanted = tiny_run.metrics.query("step <= 3").reset_index(drop=True)
    pd.testing.assert_frame_equal(early.metrics, wanted, check_exact=True)


def test_probe_records_are_those_of_the_design() -> None:
    taken = [number for number in range(40) if is_probe_record(number, last=False)]
    assert taken == [*range(16), *range(16, 32, 2), 32, 36]
    assert is_probe_record(37, last=True)
