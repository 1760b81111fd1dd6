"""The same bits again: recorded or not, alone or beside others, at once or in two parts."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from any_network import few
from at_once import train_at_once
from judge import assert_same_weights
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

import nnlab

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")
given = hypothesis.given

OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop")
SameRecords = Callable[..., None]

configs = st.builds(
    nnlab.ExperimentConfig,
    dataset=st.just("iris"),
    depth=st.integers(1, 4),
    width=st.integers(1, 20),
    activation=st.sampled_from(sorted(nnlab.ACTIVATIONS)),
    initializer=st.sampled_from(sorted(nnlab.INITIALIZERS)),
    normalization=st.sampled_from(["none", "batch", "layer"]),
    residual=st.booleans(),
    optimizer=st.sampled_from(OPTIMIZERS),
    learning_rate=st.sampled_from([0.01, 0.1, 1.0]),
    clip_norm=st.sampled_from([None, 0.5]),
    loss=st.sampled_from(["cross_entropy", "mse"]),
    batch_size=st.integers(2, 200),
    steps=st.integers(1, 8),
    seed=st.integers(0, 2**32 - 1),
    record_every=st.just(1),
)


def _random_states() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


@few(4)
@given(config=configs)
def test_recording_and_repeating_change_no_bit(
    config: nnlab.ExperimentConfig, assert_same_records: SameRecords
) -> None:
    before = _random_states()
    run, again = nnlab.train(config), nnlab.train(config)
    seldom = nnlab.train(config.replace(record_every=20_000))
    assert _random_states() == before
    assert_same_records(again.records, run.records)
    assert_same_weights(run.model, again.model)
    assert_same_weights(run.model, seldom.model)
    assert seldom.status == run.status


@few(12)
@given(mine=configs, others=st.lists(configs, min_size=4, max_size=4))
def test_four_others_in_threads_change_no_bit(
    mine: nnlab.ExperimentConfig, others: list[nnlab.ExperimentConfig], assert_same_records: SameRecords
) -> None:
    alone = [nnlab.train(config) for config in (mine, *others)]
    together = train_at_once((mine, *others))
    for number, run in enumerate(alone):
        assert_same_records(together[number].records, run.records)
        assert_same_weights(together[number].model, run.model)


@few(4)
@given(config=configs, share=st.integers(1, 99))
def test_a_shorter_run_is_the_beginning_of_a_longer_one(
    config: nnlab.ExperimentConfig, share: int, assert_same_records: SameRecords
) -> None:
    run = nnlab.train(config)
    steps = max(1, config.steps * share // 100)
    part = nnlab.train(config.replace(steps=steps))
    # With one record for every step all of these are probe records up to the eighth.
    count = min(len(part.records), len(run.records), 8)
    assert_same_records(part.records[:count], run.records[:count])


def _walk(model: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: range, watch: nnlab.watch) -> None:
    """Train as somebody else would, on batches that the step's number fixes."""
    for step in steps:
        draw = torch.Generator().manual_seed(step)
        x, y = torch.randn(9, 4, generator=draw), torch.randint(0, 3, (9,), generator=draw)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        watch.step(loss)
        optimizer.step()


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam"])
def test_a_run_in_two_parts_is_the_run(kind: str, tmp_path: Any) -> None:
    """The user's own loop, broken off, saved and taken up again with the optimizer's memory."""
    config = nnlab.ExperimentConfig(dataset="iris", depth=3, width=7, activation="gelu")

    def make(model: torch.nn.Module) -> torch.optim.Optimizer:
        if kind == "adam":
            return torch.optim.Adam(model.parameters(), lr=0.05)
        return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9 if kind == "momentum" else 0)

    whole = nnlab.build_model(config)
    with nnlab.watch(whole) as watch:
        _walk(whole, make(whole), range(14), watch)
    first = nnlab.build_model(config)
    optimizer = make(first)
    with nnlab.watch(first) as one:
        _walk(first, optimizer, range(6), one)
    save_file(first.state_dict(), tmp_path / "half.safetensors")
    second = nnlab.build_model(config.replace(seed=9))
    second.load_state_dict(load_file(tmp_path / "half.safetensors"))
    resumed = make(second)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    with nnlab.watch(second) as other:
        _walk(second, resumed, range(6, 14), other)
    assert_same_weights(second, whole)
    records = (*one.run.records, *other.run.records)
    for got, want in zip(records, watch.run.records, strict=True):
        for name, values in want.layers.items():
            # What was measured on both: which records are probe records begins anew, and so do updates.
            if name in got.layers and name != "update_ratio":
                assert np.array_equal(got.layers[name], values, equal_nan=True), name
        assert got.network["loss"] == want.network["loss"]
        assert got.network["grad_norm"] == want.network["grad_norm"]
