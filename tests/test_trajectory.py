"""Networks trained in turn: each as if alone, with its weights; and the files that keep them."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from nnlab.config import ExperimentConfig
from nnlab.datasets import load_dataset
from nnlab.trainer import train, train_together
from nnlab.trajectory import Plan, Trajectory, load_trajectory, save_trajectory
from nnlab.weights import load_networks

SMALL = ExperimentConfig(dataset="moons", samples=60, depth=2, width=4, batch_size=16, steps=20)
CONFIGS = (SMALL, SMALL.replace(activation="identity", steps=13), SMALL.replace(optimizer="adam", seed=3))


@pytest.fixture(scope="module")
def together() -> tuple[Trajectory, ...]:
    return train_together([Plan(config) for config in CONFIGS])


@pytest.mark.parametrize("number", range(len(CONFIGS)))
def test_each_comes_out_as_if_trained_alone(together, number, assert_same_records):
    alone = train(CONFIGS[number])
    assert_same_records(together[number].run.records, alone.records)
    assert together[number].run.status == "completed"
    for one, other in zip(together[number].last.layers, alone.model.linears, strict=True):
        assert np.array_equal(one.weight, other.weight.detach().numpy())


def test_weights_are_kept_at_every_probe_record_and_are_those_of_that_step(together):
    trajectory = together[0]
    assert trajectory.steps == tuple(r.step for r in trajectory.run.records if r.is_probe)
    early = train(CONFIGS[0].replace(steps=5))
    assert np.array_equal(trajectory.at(5).layers[0].weight, early.model.linears[0].weight.detach().numpy())
    assert trajectory.at(10_000) is trajectory.last


def test_progress_is_told_for_all_at_once():
    told = []
    train_together([Plan(config) for config in CONFIGS[:2]], on_progress=told.append)
    assert [len(t.run.records) for t in told[0]] == [1, 1]
    assert [t.run.status for t in told[0]] == ["running", "running"]
    assert [len(t.run.records) for t in told[-1]] == [21, 14]
    assert told[0][0].steps == (0,)


def test_a_stop_ends_all_and_keeps_what_there_is():
    stop = threading.Event()

    def watch(now):
        if now[0].run.records[-1].step == 6:
            stop.set()

    ended = train_together([Plan(config) for config in CONFIGS], on_progress=watch, stop=stop)
    assert [t.run.status for t in ended] == ["stopped"] * 3
    assert all(6 <= t.run.records[-1].step <= 8 for t in ended)


def test_time_runs_out_for_all():
    ended = train_together([Plan(config) for config in CONFIGS], time_limit=0.0)
    assert {t.run.status for t in ended} == {"timed_out"}


def test_one_that_diverges_does_not_end_the_others():
    wild = SMALL.replace(activation="relu", learning_rate=1e30)
    ended = train_together([Plan(wild), Plan(SMALL)])
    assert [t.run.status for t in ended] == ["diverged", "completed"]


def test_data_of_ones_own_stand_in_for_the_dataset():
    data = load_dataset(SMALL)
    (trajectory,) = train_together([Plan(SMALL.replace(dataset="xor"), data=data)])
    assert trajectory.run.environment["dataset_sha256"] == data.sha256


def test_a_network_without_biases_has_none_and_says_so():
    (trajectory,) = train_together([Plan(SMALL, bias=False)])
    assert not any(layer.bias.any() for layer in trajectory.last.layers)
    assert "the layers have no biases" in trajectory.run.notes
    last = trajectory.run.records[-1]
    assert np.isnan(last.layers["bias_grad_norm"]).all()
    assert np.isfinite(last.layers["weight_grad_norm"]).all()


def test_what_is_no_plain_network_is_refused_before_it_trains():
    with pytest.raises(ValueError, match="normalization, residual"):
        train_together([Plan(SMALL.replace(residual=True))])


def test_a_trajectory_comes_back_from_its_files(together, tmp_path):
    save_trajectory(together[0], tmp_path / "moons")
    back = load_trajectory(tmp_path / "moons")
    assert back.run.config == together[0].run.config
    assert back.steps == together[0].steps
    for step in back.steps:
        for one, other in zip(back.at(step).layers, together[0].at(step).layers, strict=True):
            assert one.activation == other.activation
            assert np.array_equal(one.weight, other.weight)
            assert np.array_equal(one.bias, other.bias)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"no tensors here")
    with pytest.raises(ValueError, match="no networks of nnlab"):
        load_networks(path)
    with pytest.raises(OSError, match="missing"):
        load_networks(tmp_path / "missing.safetensors")


def test_training_together_leaves_the_process_random_generator_alone():
    before = torch.random.get_rng_state()
    train_together([Plan(SMALL)])
    assert torch.equal(before, torch.random.get_rng_state())
