"""What was first not finite: in which quantity, at which layer, how many numbers; and how such a run ends."""

from __future__ import annotations

import math
import re
import time
from typing import Any

import numpy as np
import pytest
import torch

import nnlab
from nnlab import member, trainer, training
from nnlab.offender import first_bad


def _config(**fields: Any) -> nnlab.ExperimentConfig:
    small = {"dataset": "iris", "depth": 3, "width": 8, "batch_size": 32, "steps": 10, "record_every": 1}
    return nnlab.ExperimentConfig(**small | fields)


def _note(run: nnlab.Run) -> str:
    """Give what the run says of its first non-finite number."""
    assert run.status == "diverged"
    (note,) = [note for note in run.notes if "non-finite" in note]
    step, _, offender = note.partition(": the first non-finite number was in the ")
    assert step == f"step {run.records[-1].step}"
    assert run.findings[0].kind == "diverged"
    assert note in run.findings[0].explanation
    return offender


def test_a_tensor_is_named_with_its_counts() -> None:
    values = torch.tensor([[1.0, math.nan, -math.inf], [math.inf, math.inf, 0.0]])
    assert first_bad([("a", torch.ones(3)), ("b", values)]) == "b (1 NaN, 2 inf, 1 -inf of 6)"
    assert first_bad([("a", torch.tensor([3e38, 1e-45, 0.0]))]) is None


@pytest.mark.parametrize("recorded", [1, 20_000], ids=["at a record", "between records"])
@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_a_loss_that_overflows_names_the_layer_it_came_through(normalization: str, recorded: int) -> None:
    config = _config(
        activation="identity", learning_rate=1e30, normalization=normalization, record_every=recorded
    )
    run = nnlab.train(config)
    offender = _note(run)
    last = run.records[-1].layers["pre_activation_mean"]
    first = run.layers[int(np.flatnonzero(~np.isfinite(last))[0])].name
    assert re.fullmatch(rf"loss, by the activations of {first} \([\d,]+ (NaN|-?inf).* of [\d,]+\)", offender)


def test_a_loss_that_overflows_by_itself_blames_no_layer() -> None:
    # The outputs are about 1e30, which float32 holds; their squares it does not.
    assert _note(nnlab.train(_config(loss="mse", activation="tanh", gain=1e30, depth=1))) == "loss"


def _overflowing(*arguments: Any, **options: Any) -> Any:
    """Build a network whose second layer overflows: tanh(inf) is 1, so the loss is as good as ever."""
    model = nnlab.build_model(*arguments, **options)
    with torch.no_grad():
        model.hidden_1.linear.bias.fill_(9)
        model.hidden_2.linear.weight.fill_(3e38)
        model.hidden_2.linear.bias.fill_(3e38)
    return model


def test_activations_can_overflow_where_no_loss_does() -> None:
    data = nnlab.load_dataset(_config())
    run = nnlab.diagnose(_overflowing(_config()), data.x_train, data.y_train)
    assert math.isfinite(run.records[0].network["loss"])
    assert _note(run) == f"activations: hidden_2 ({8 * 120} inf of {8 * 120})"


@pytest.mark.parametrize("recorded", [1, 20_000], ids=["at a record", "between records"])
def test_training_ends_where_activations_overflow_and_no_loss_does(
    recorded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member, "build_model", _overflowing)
    run = nnlab.train(_config(record_every=recorded))
    assert math.isfinite(run.records[0].network["loss"])
    assert _note(run) == f"activations: hidden_2 ({8 * 32} inf of {8 * 32})"
    assert len(run.records) == 1


def _overflowing_after_normalization(*arguments: Any, **options: Any) -> Any:
    model = nnlab.build_model(*arguments, **options)
    with torch.no_grad():
        model.hidden_2.norm.weight.fill_(3.4e38)
    return model


@pytest.mark.parametrize("recorded", [1, 20_000], ids=["at a record", "between records"])
def test_so_it_does_where_autograd_trains(recorded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member, "build_model", _overflowing_after_normalization)
    run = nnlab.train(_config(normalization="layer", record_every=recorded))
    assert run.environment["engine"] == "autograd"
    assert math.isfinite(run.records[0].network["loss"])
    assert re.fullmatch(r"activations: hidden_2 \(\d+ inf, \d+ -inf of 256\)", _note(run))
    assert len(run.records) == 1


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
@pytest.mark.parametrize(
    "fields",
    [
        {"activation": "sine", "depth": 8, "gain": 1000.0},  # gradients of 1e20, weights and loss finite
        {"activation": "tanh", "weight_decay": 1e30},
        {"activation": "tanh", "weight_decay": 1e30, "normalization": "layer"},
    ],
    ids=str,
)
def test_an_optimizer_whose_memory_overflows_is_named(optimizer: str, fields: dict[str, Any]) -> None:
    # Divided by the root of inf every further step is 0: training would go on for ever and move nothing.
    if "weight_decay" in fields and optimizer == "rmsprop":
        fields = fields | {"learning_rate": 1e-3}
    offender = _note(nnlab.train(_config(optimizer=optimizer, **fields)))
    assert offender.startswith("optimizer's memory: mean square of hidden_1.")


def test_of_several_networks_the_one_whose_memory_overflows_ends() -> None:
    config = _config(activation="sine", depth=8, gain=1000.0, optimizer="adam")
    together = trainer.train_seeds(config, range(4))
    alone = [nnlab.train(config.replace(seed=seed)) for seed in range(4)]
    assert [(run.status, run.notes) for run in together] == [(run.status, run.notes) for run in alone]
    assert all("memory" in run.notes[-1] for run in alone)


def test_a_last_record_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # A record a layer of which takes a second, as with numbers too small for float32 on a slow core.
    monkeypatch.setattr(training, "LONGEST_END", -1.0)

    class StopLater:
        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            return self.asked > 40

    run = nnlab.train(_config(steps=20_000, record_every=20_000), stop=StopLater())
    assert run.status == "stopped"
    assert [record.step for record in run.records] == [0]


def test_a_hundred_sigmoid_layers_end_when_their_time_is_over() -> None:
    config = _config(dataset="digits", activation="sigmoid", depth=100, width=32, batch_size=64, steps=20_000)
    start = time.monotonic()
    run = nnlab.train(config.replace(record_every=20_000), time_limit=0.3)
    assert run.status == "timed_out"
    assert time.monotonic() - start < 20  # of minutes
