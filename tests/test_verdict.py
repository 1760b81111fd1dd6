"""Verdicts on real networks: weaker gradients never look healthier, and what is stuck is said to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from any_network import few, make_setting
from torch.nn import functional as F

import nnlab
from nnlab import member

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")
given = hypothesis.given

STARVED = {"vanishing", "blocked", "stalled", "dead_layer"}


@few(3)
@given(
    seed=st.integers(0, 2**32 - 1), depth=st.integers(8, 14), width=st.integers(8, 32),
    activation=st.sampled_from(["sigmoid", "tanh"]),
)  # fmt: skip
def test_a_vanishing_network_never_looks_healthy_with_weaker_gradients(
    seed: int, depth: int, width: int, activation: str
) -> None:
    setting = make_setting(seed, depth, width, activation, initializer="pytorch_default", gain=0.7)
    found = []
    for power in (0, 20, 60, 90, 110, 120, 130, 140, 149):
        factor = 2.0**-power
        run = setting.diagnose(loss=lambda outputs, y: factor * F.cross_entropy(outputs, y))  # noqa: B023
        found.append({finding.kind for finding in run.findings})
    assert "vanishing" in found[0]
    for kinds in found:
        assert kinds & STARVED, found


@few(4)
@given(
    seed=st.integers(0, 99), activation=st.sampled_from(["relu", "hardtanh"]),
    rate=st.sampled_from([5.0, 50.0]), depth=st.integers(2, 6), optimizer=st.sampled_from(["sgd", "adam"]),
)  # fmt: skip
def test_a_network_that_a_large_step_has_killed_is_said_to_be(
    seed: int, activation: str, rate: float, depth: int, optimizer: str
) -> None:
    """No number is wrong in it: the gradient of every hidden layer is exactly 0, and the loss stays high."""
    config = nnlab.ExperimentConfig(
        dataset="moons", samples=100, depth=depth, width=12, activation=activation, learning_rate=rate,
        optimizer=optimizer, steps=60, seed=seed, initializer="kaiming_normal",
    )  # fmt: skip
    run = nnlab.train(config)
    last = run.records[-1]
    best = min(record.network["loss"] for record in run.records)
    is_still = not last.layers["weight_grad_norm"][:-1].any() and last.network["loss"] > best
    if is_still:
        severe = {finding.kind for finding in run.findings if finding.severity == "severe"}
        assert severe & STARVED, run.findings


def test_a_dead_relu_network_without_a_gradient_left_is_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    # All units dead, and balanced classes in one batch: one step brings the output's bias to rest for good.
    def build(*arguments: Any, **options: Any) -> Any:
        model = nnlab.build_model(*arguments, **options)
        with torch.no_grad():
            model.hidden_2.linear.bias.fill_(-1e3)
        return model

    monkeypatch.setattr(member, "build_model", build)
    config = nnlab.ExperimentConfig(
        dataset="xor", samples=80, noise=0.0, depth=2, width=8, activation="relu", learning_rate=1.0,
        loss="mse", steps=400, batch_size=64,
    )  # fmt: skip
    run = nnlab.train(config)
    assert (run.status, run.records[-1].step) == ("stalled", 20)
    assert run.records[-1].network["loss"] == 0.25
    first = run.findings[0]
    assert (first.kind, first.layer) == ("stalled", "network")
    assert "exactly 0" in first.explanation


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 1}, {"width": 1}, {"depth": 1, "width": 1}, {"batch_size": 4096}, {"batch_size": 1},
        {"normalization": "layer", "width": 1}, {"normalization": "batch", "batch_size": 2, "width": 1},
    ],
    ids=str,
)  # fmt: skip
def test_the_smallest_networks_have_a_run_without_an_error(change: dict[str, Any]) -> None:
    fields = {"dataset": "iris", "depth": 2, "width": 4, "batch_size": 16, "steps": 12} | change
    run = nnlab.train(nnlab.ExperimentConfig(**fields))
    assert run.status == "completed"
    assert len(run.metrics)
    assert all(finding.explanation for finding in run.findings)
    if run.depth == 1:
        assert run.records[-1].network["gradient_ratio"] == 1
        assert np.isnan(run.records[-1].network["vanishing_index"])
