"""The meter against the definitions: every metric of every record, also where float32 gives up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from judge import assert_same_numbers, train_by_autograd

import nnlab
from nnlab import meter, sums
from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.kernels import SLOPE
from nnlab.metrics import METRICS, Metric, layer_metrics

OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop")


def experiment(**fields: Any) -> ExperimentConfig:
    small = {"dataset": "iris", "depth": 3, "width": 8, "batch_size": 30, "steps": 12, "record_every": 1}
    return ExperimentConfig(**small | fields)


def assert_same_records(
    config: ExperimentConfig, monkeypatch: pytest.MonkeyPatch, rel: float = 2e-6
) -> nnlab.Run:
    run, judge = nnlab.train(config), train_by_autograd(config, monkeypatch)
    assert (run.status, run.notes, run.layers) == (judge.status, judge.notes, judge.layers)
    assert len(run.records) == len(judge.records) > 0
    for got, want in zip(run.records, judge.records, strict=True):
        assert_same_numbers(got, want, rel)
    return run


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_metric_of_every_activation(name, loss, monkeypatch):
    rel = 1e-4 if name == "softsign" else 2e-6  # its weights are not those of autograd to the last bit
    assert_same_records(experiment(activation=name, loss=loss), monkeypatch, rel)


@pytest.mark.parametrize("fields", [{}, {"clip_norm": 0.05}, {"weight_decay": 0.1}], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_metric_of_every_optimizer(optimizer, fields, monkeypatch):
    assert_same_records(experiment(optimizer=optimizer, learning_rate=0.01, **fields), monkeypatch)


@pytest.mark.parametrize("fields", [
    {"depth": 1}, {"depth": 2, "width": 1}, {"residual": True, "activation": "elu"}, {"record_every": 5},
    {"width": 200, "depth": 4, "batch_size": 100},
    {"dataset": "digits", "width": 300, "depth": 3, "batch_size": 500, "steps": 2},
    {"dataset": "digits", "width": 300, "depth": 9, "batch_size": 120, "steps": 2},
], ids=str)  # fmt: skip
def test_every_metric_of_small_and_large_layers(fields, monkeypatch):
    assert_same_records(experiment(**fields), monkeypatch)


def test_a_signal_that_float32_cannot_square_is_measured_all_the_same(monkeypatch):
    config = experiment(activation="sigmoid", depth=50, steps=3)
    run = assert_same_records(config, monkeypatch)
    assert 0 < run.records[0].layers["delta_norm"][0] < 1e-25


def test_a_signal_that_overflows_its_square_is_measured_all_the_same(monkeypatch):
    config = experiment(activation="sine", depth=6, gain=1e6, steps=1, learning_rate=1e-38)
    run = assert_same_records(config, monkeypatch)
    assert run.records[0].layers["delta_norm"][0] > 1e20


@pytest.mark.parametrize("fields", [
    {"activation": "relu", "gain": 1e15}, {"activation": "sine", "gain": 1e10, "depth": 9},
    {"activation": "identity", "learning_rate": 1e3, "steps": 60}, {"gain": 1e39},
    {"activation": "gelu", "gain": 1e13}, {"learning_rate": 3e38},
    {"activation": "relu", "learning_rate": 1e25},
], ids=str)  # fmt: skip
def test_a_diverged_network_is_recorded_as_by_definition(fields, monkeypatch):
    run = assert_same_records(experiment(**fields), monkeypatch)
    assert run.status == "diverged"
    assert "the first non-finite number was in the" in run.notes[-1]


@pytest.mark.parametrize("initializer", ["zeros", "normal_0.01"])
@pytest.mark.parametrize("name", ["relu", "tanh", "step"])
def test_zeros_are_zeros(name, initializer, monkeypatch):
    assert_same_records(experiment(activation=name, initializer=initializer), monkeypatch)


def test_a_metric_that_the_meter_does_not_know_is_measured_by_its_definition(monkeypatch):
    largest = Metric("largest", "Largest", "m", "m", "here", lambda s: float(s.h.max()), hidden_only=True)
    monkeypatch.setitem(METRICS, "largest", largest)
    run = nnlab.train(experiment(steps=2))
    values = run.series("largest")[1]
    assert values.shape == (3, 3)
    assert (values > run.series("activation_mean")[1]).all()


def test_the_meter_reads_every_metric_of_the_registry():
    assert {metric.name for metric in layer_metrics(at_probe=False)} == meter._READ


def test_no_two_sided_activation_is_flat_at_zero():
    zero = torch.zeros(1)
    for entry in ACTIVATIONS.values():
        assert not entry.two_sided or float(entry.derivative(zero)) > 0.5 * entry.slope_sup


@pytest.mark.parametrize("name", SLOPE)
def test_slopes_from_h_are_the_registrys(name):
    z = torch.linspace(-30, 30, 5001)
    h, slope = ACTIVATIONS[name].function(z), torch.empty_like(z)
    SLOPE[name](h, slope)
    assert torch.equal(slope, ACTIVATIONS[name].derivative(z))


@given(
    size=st.integers(2, 70_000),
    mean=st.floats(-1e3, 1e3),
    exponent=st.integers(-30, 15),
    is_constant=st.booleans(),
)
def test_short_sums_lose_nothing_that_matters(size, mean, exponent, is_constant):
    draw = np.random.default_rng(size)
    noise = np.full(size, 0.1) if is_constant else draw.standard_normal(size)
    values = ((noise + mean) * 10.0**exponent).astype(np.float32).reshape(1, 1, size)
    wide = values.astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        square = sums.dots(values, values)
    if sums.fits(square).all():
        np.testing.assert_allclose(square, (wide * wide).sum(-1), rtol=2e-6)
    both = sums.Both.of(torch.from_numpy(values))
    scratch = sums.Both.of(torch.empty(1, 1, size))
    got, _ = sums.center(both, scratch)
    np.testing.assert_allclose(got, wide.mean(-1), rtol=0, atol=1e-6 * abs(wide).max())


def test_a_stopped_run_is_measured_where_it_stops():
    class AfterSomeLayers:
        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            return self.asked > 5

    run = nnlab.train(experiment(depth=20), stop=AfterSomeLayers())
    assert (run.status, len(run.records)) == ("stopped", 0)


def test_the_update_is_the_one_that_was_made():
    run = nnlab.train(experiment(steps=3))
    before = nnlab.train(experiment(steps=2)).model
    pairs = zip(run.model.linears, before.linears, strict=True)
    wanted = [
        ((new.weight - old.weight).double().std(correction=0) / old.weight.double().std(correction=0)).item()
        for new, old in pairs
    ]
    assert run.records[-1].layers["update_ratio"].tolist() == pytest.approx(wanted, rel=1e-6)
    assert replace(run, records=()).steps.size == 0
