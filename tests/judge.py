"""The judge of the engine: the same experiment trained by autograd, with the same optimizer kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import nnlab
from nnlab import training
from nnlab.autograd_learner import AutogradLearner
from nnlab.run import StepRecord

# A mean of numbers that nearly cancel is as exact as their spread allows, not as it is small.
MEANS = {"pre_activation_mean": "pre_activation_std", "activation_mean": "activation_std"}


def train_by_autograd(config: nnlab.ExperimentConfig, monkeypatch: pytest.MonkeyPatch) -> nnlab.Run:
    """Train an experiment that the engine covers without it."""
    with monkeypatch.context() as patch:
        patch.setattr(training, "_make_learner", lambda ms: AutogradLearner(ms[0].model, ms[0].config))
        run = nnlab.train(config)
    assert run.environment["engine"] == "autograd"
    return run


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module, *, bits: bool = True) -> None:
    """Compare all parameters, bit for bit or to 1e-5 of the largest."""
    mine, others = one.state_dict(), other.state_dict()
    assert list(mine) == list(others)
    for name, got in mine.items():
        if bits:
            assert torch.equal(got, others[name]), name
        else:
            scale = float(others[name].abs().max())
            torch.testing.assert_close(got, others[name], rtol=1e-5, atol=1e-5 * scale)


def assert_same_numbers(got: StepRecord, want: StepRecord, rel: float = 2e-6) -> None:
    """Compare every metric of a record, and its histograms count by count."""
    assert (got.step, set(got.layers), set(got.network)) == (want.step, set(want.layers), set(want.network))
    for name, values in want.layers.items():
        room = 1e-7 * np.nan_to_num(want.layers[MEANS[name]]) if name in MEANS else 0.0
        mine = got.layers[name]
        assert mine.shape == values.shape
        with np.errstate(invalid="ignore"):
            close = (mine == values) | (abs(mine - values) <= rel * abs(values) + room)
        assert (close | (np.isnan(mine) & np.isnan(values))).all(), (got.step, name, mine, values)
    for name, value in want.network.items():
        assert got.network[name] == pytest.approx(
            value, rel=rel, abs=1e-6 if name == "vanishing_index" else 0, nan_ok=True
        ), name
    for quantity, rows in want.histograms.items():
        for mine, counts in zip(got.histograms[quantity], rows, strict=True):
            assert (mine is None) == (counts is None)
            assert counts is None or np.array_equal(mine, counts), quantity
