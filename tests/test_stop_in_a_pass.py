"""A stop in the midst of a step: a pass can be left between two layers, and costs no records."""

from __future__ import annotations

import pytest
import torch

from nnlab.config import ExperimentConfig
from nnlab.member import begin
from nnlab.trainer import train
from nnlab.training import Halt, Training
from nnlab.trajectory import Plan

DEEP = ExperimentConfig(dataset="moons", samples=200, depth=12, width=96, batch_size=128, steps=50)


class StopsAfter:
    """Asks to stop at the n-th time that it is asked itself."""

    def __init__(self, times: int) -> None:
        self.left = times

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def _pass_often(training: Training) -> None:
    for _ in range(6):
        training._pass(watched=False)


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_a_long_pass_that_records_nothing_is_left_in_its_midst(normalization):
    config = DEEP.replace(normalization=normalization, record_every=50)
    training = Training([begin(Plan(config))], StopsAfter(5), float("inf"))
    training._load(0)
    with pytest.raises(Halt, match="stopped"):
        _pass_often(training)


def test_layers_that_take_a_moment_are_passed_without_asking():
    config = DEEP.replace(width=8, record_every=50)
    training = Training([begin(Plan(config))], StopsAfter(0), float("inf"))
    training._load(0)
    training._pass(watched=False)


@pytest.mark.parametrize("times", [100, 131])
def test_a_run_that_is_left_in_a_pass_ends_with_the_records_it_would_have_had(times):
    config = DEEP.replace(steps=20, record_every=10)
    whole, part = train(config), train(config, stop=StopsAfter(times))
    assert part.status == "stopped"
    *before, last = part.records
    assert [record.step for record in before] == [0]
    assert before[0].network == whole.records[0].network
    assert 0 < last.step < 10  # of the weights that no update followed
    assert last.network["loss"] == train(config.replace(record_every=1)).records[last.step].network["loss"]


def test_depth_100_with_numbers_below_the_normal_ones_is_left_too():
    config = ExperimentConfig(
        dataset="moons", samples=200, depth=100, width=96, activation="sigmoid", batch_size=128,
        record_every=50, steps=50,
    )  # fmt: skip
    training = Training([begin(Plan(config))], StopsAfter(150), float("inf"))
    training._load(0)
    training._learner.forward_backward(watched=False, check=lambda: None)
    smallest = torch.finfo(torch.float32).tiny
    deltas = training._learner._engine.delta.abs()
    assert bool(((deltas > 0) & (deltas < smallest)).any())  # there are such numbers
    with pytest.raises(Halt):
        training._pass(watched=False)
