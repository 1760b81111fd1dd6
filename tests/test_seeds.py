"""Several seeds as one stacked run: each comes out as if it had been trained alone, bit for bit."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from judge import assert_same_numbers, assert_same_weights

import nnlab
from nnlab import training
from nnlab.engine import Engine
from nnlab.trainer import train_seeds

SEEDS = (0, 1, 7)


def experiment(**fields: Any) -> nnlab.ExperimentConfig:
    small = {"dataset": "iris", "depth": 3, "width": 8, "batch_size": 30, "steps": 40, "record_every": 10}
    return nnlab.ExperimentConfig(**small | fields)


def assert_as_alone(
    config: nnlab.ExperimentConfig, seeds: tuple[int, ...] = SEEDS, threads: int = 1
) -> list[nnlab.Run]:
    together, runs = train_seeds(config, seeds, threads=threads), []
    for seed, run in zip(seeds, together, strict=True):
        alone = nnlab.train(config.replace(seed=seed))
        assert (run.config, run.status, run.notes) == (alone.config, alone.status, alone.notes)
        assert_same_weights(run.model, alone.model)
        assert [record.step for record in run.records] == [record.step for record in alone.records]
        for got, want in zip(run.records, alone.records, strict=True):
            assert_same_numbers(got, want)
        runs.append(run)
    return runs


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw", "rmsprop"])
def test_every_optimizer(optimizer):
    assert_as_alone(experiment(optimizer=optimizer, learning_rate=0.01, weight_decay=0.01))


@pytest.mark.parametrize("fields", [
    {"activation": "relu"}, {"activation": "gelu", "residual": True}, {"loss": "mse"}, {"clip_norm": 0.1},
    {"activation": "sigmoid", "depth": 1}, {"initializer": "lsuv"}, {"dataset": "moons", "samples": 100},
    {"dataset": "digits", "width": 100, "batch_size": 128, "depth": 4}, {"normalization": "batch"},
], ids=str)  # fmt: skip
def test_every_kind_of_network(fields):
    assert_as_alone(experiment(**fields))


@pytest.mark.parametrize("batch_size", [1, 7, 37])
@pytest.mark.parametrize("width", [1, 5, 9, 33])
def test_odd_shapes_whose_batched_products_round_otherwise(width, batch_size):
    assert_as_alone(experiment(dataset="wine", width=width, batch_size=batch_size), (3, 4))


def test_batched_products_are_used_where_they_round_alike():
    config = experiment(width=16)
    models = [nnlab.build_model(config.replace(seed=seed)) for seed in SEEDS]
    assert Engine(models, config, 32)._all_at_once_gives_the_same_bits()


def test_one_that_diverges_does_not_end_the_others():
    config = experiment(activation="relu", learning_rate=12.0, depth=4, width=12, steps=200, record_every=50)
    seeds = tuple(range(8))
    runs = assert_as_alone(config, seeds)
    assert {run.status for run in runs} == {"completed", "diverged"}
    steps = {run.records[-1].step for run in runs if run.status == "diverged"}
    assert max(steps) < 200


def test_all_that_stall_end():
    config = experiment(initializer="zeros", dataset="xor", samples=80, noise=0.0, batch_size=64, steps=60)
    assert {run.status for run in assert_as_alone(config)} == {"stalled"}


def test_a_learning_rate_that_no_float32_holds_ends_all():
    assert {run.status for run in assert_as_alone(experiment(learning_rate=1e39, clip_norm=1.0))} == {
        "diverged"
    }


def test_every_record_is_reported_with_its_run():
    seen = []
    train_seeds(
        experiment(), SEEDS, on_record=lambda run, record: seen.append((run.config.seed, record.step))
    )
    assert seen == [(seed, step) for step in (0, 10, 20, 30, 40) for seed in SEEDS]


def test_a_stop_ends_all_in_a_record_of_their_last_weights():
    stop = threading.Event()
    config = experiment(steps=5000, record_every=7)
    runs = train_seeds(config, SEEDS, lambda run, record: record.step == 70 and stop.set(), stop)
    assert {run.status for run in runs} == {"stopped"}
    for run in runs:
        norms = [linear.weight.detach().double().norm().item() for linear in run.model.linears]
        assert run.records[-1].is_probe
        assert run.records[-1].layers["weight_norm"].tolist() == pytest.approx(norms, rel=1e-6)


def test_a_time_limit_is_for_all():
    runs = train_seeds(experiment(steps=20_000), SEEDS, time_limit=0.2)
    assert {run.status for run in runs} == {"timed_out"}


def test_no_seeds_are_no_runs():
    assert train_seeds(experiment(), []) == ()


def test_it_is_one_stacked_run(monkeypatch):
    made = []
    real = training._make_learner
    monkeypatch.setattr(training, "_make_learner", lambda ms: made.append(len(ms)) or real(ms))
    train_seeds(experiment(steps=2), SEEDS)
    assert made == [3]


LARGE = {"dataset": "digits", "width": 100, "batch_size": 128, "steps": 12, "record_every": 3}


def test_large_layers_on_two_threads():
    assert_as_alone(experiment(**LARGE), threads=2)


def test_large_layers_are_trained_one_by_one_on_threads_of_their_own(monkeypatch):
    made = []
    real = training._make_learner
    monkeypatch.setattr(
        training, "_make_learner", lambda ms: made.append((len(ms), threading.get_ident())) or real(ms)
    )
    train_seeds(experiment(**LARGE), SEEDS, threads=2)
    assert [count for count, _ in made] == [1, 1, 1]
    assert threading.get_ident() not in {thread for _, thread in made}


def test_an_error_of_the_listener_ends_all_threads():
    def fail(run: nnlab.Run, record: object) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train_seeds(experiment(**{**LARGE, "steps": 20_000}), SEEDS, on_record=fail, threads=2)


def test_a_stop_ends_all_threads():
    stop = threading.Event()
    config = experiment(**{**LARGE, "steps": 20_000})
    runs = train_seeds(config, SEEDS, lambda run, record: record.step > 30 and stop.set(), stop, threads=2)
    assert {run.status for run in runs} == {"stopped"}
