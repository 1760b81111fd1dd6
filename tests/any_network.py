"""Networks of any shape with data of any kind, for properties that must hold for all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import nnlab
from nnlab.datasets import Data

# On these, rounding shows on the scale of 1, whatever their own size.
OF_ORDER_ONE = ("mean_cosine", "vanishing_index", "effective_rank")
CLASSES = 3


@dataclass(frozen=True)
class Setting:
    """A network at its start, in float32, and one batch for it."""

    config: nnlab.ExperimentConfig
    model: torch.nn.Module
    x: np.ndarray
    y: np.ndarray

    def diagnose(self, model: torch.nn.Module | None = None, loss: Any = "cross_entropy") -> nnlab.Run:
        """Look at the network, or at another one, with the batch."""
        return nnlab.diagnose(self.model if model is None else model, self.x, self.y, loss=loss)


def make_setting(
    seed: int, depth: int, width: int, activation: str, bias: bool = True, **fields: Any
) -> Setting:
    """Make a network whose biases are not 0, and its batch."""
    config = nnlab.ExperimentConfig(depth=depth, width=width, activation=activation, seed=seed, **fields)
    random = np.random.default_rng(seed)
    features, examples = int(random.integers(1, 9)), int(random.integers(2, 33))
    x = random.normal(size=(examples, features)).astype(np.float32)
    y = random.integers(0, CLASSES, examples)
    names = tuple(map(str, range(CLASSES)))
    data = Data(x, y, x, y, "classification", names, tuple(map(str, range(features))))
    model = nnlab.build_model(config, data) if bias else _without_biases(config, data)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("linear.bias"):
                parameter.normal_(0, 0.5, generator=draw)
    return Setting(config, model, x, y)


def _without_biases(config: nnlab.ExperimentConfig, data: Data) -> torch.nn.Module:
    from nnlab.model import build_model

    return build_model(config, data, bias=False)


def settings_of(*activations: str, low: int = 1, **fields: Any) -> Any:
    """Give a strategy for networks with `low` hidden layers or more."""
    st = pytest.importorskip("hypothesis.strategies")
    return st.builds(
        make_setting,
        seed=st.integers(0, 2**32 - 1),
        depth=st.integers(low, 12),
        width=st.integers(1, 64),
        activation=st.sampled_from(activations),
        **{name: st.just(value) for name, value in fields.items()},
    )


def numbers(run: nnlab.Run) -> dict[str, np.ndarray]:
    """Give the numbers of a run's last record by metric."""
    record = run.records[-1]
    return {**record.layers, **{name: np.array([value]) for name, value in record.network.items()}}


def assert_close(got: Mapping[str, np.ndarray], want: Mapping[str, np.ndarray], rel: float) -> None:
    """Compare numbers by metric, each on the scale on which its rounding shows."""
    assert set(got) == set(want)
    for name, values in want.items():
        size = abs(values)
        if name in OF_ORDER_ONE:
            size = np.maximum(size, 1.0)
        for quantity in ("pre_activation", "activation"):  # a mean and a std may cancel to 0
            if name in (f"{quantity}_mean", f"{quantity}_std"):
                size = np.hypot(want[f"{quantity}_mean"], want[f"{quantity}_std"])
        with np.errstate(invalid="ignore"):
            near = (got[name] == values) | (abs(got[name] - values) <= rel * size)
        assert (near | (np.isnan(got[name]) & np.isnan(values))).all(), (name, got[name], values)


def few(share: int = 2) -> Any:
    """Give settings for examples that take long: a share of the profile's number."""
    hypothesis = pytest.importorskip("hypothesis")
    return hypothesis.settings(max_examples=max(2, hypothesis.settings.default.max_examples // share))


def relative(got: torch.Tensor, want: torch.Tensor) -> float:
    """Give the size of a difference relative to what it should be."""
    size = float(want.double().norm())
    return float((got.double() - want.double()).norm()) / size if size else math.inf * bool(got.any())
