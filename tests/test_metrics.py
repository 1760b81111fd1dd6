"""What every diagnostic keeps to, whatever numbers it is given: its range, and never an error."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from any_network import Setting, few, settings_of
from torch import nn

import nnlab
from nnlab import member
from nnlab.layer_meter import LayerMeter
from nnlab.metrics import METRICS, measure_layers, measure_network
from nnlab.recorder import accuracy
from nnlab.samples import LayerSample, NetworkSample, norm

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")
given = hypothesis.given

SHARES = (
    "saturation", "saturation_low", "saturation_high", "zero_fraction", "dead_fraction", "dormant_fraction",
)  # fmt: skip
UNITS = ("dead_units", "stuck_units", "silent_units")
HOSTILE = [0.0, -0.0, math.nan, math.inf, -math.inf, 1e30, -1e30, 3e38, 1e-45, 1e-30, 1.0, -1.0, 20.0, -20.0]

numbers = st.sampled_from(HOSTILE) | st.floats(width=32)


def _tensor(draw: Any, *shape: int, dtype: torch.dtype) -> torch.Tensor:
    count = math.prod(shape)
    kind = draw(st.sampled_from(["any", "one", "finite", "equal"]))
    if kind == "equal":
        values = [draw(numbers)] * count
    else:
        each = st.floats(-3, 3, width=32) if kind == "finite" else numbers
        values = draw(st.lists(each, min_size=1, max_size=8))
        values = (values * count)[:count]
    return torch.tensor(values, dtype=torch.float32).reshape(shape).to(dtype)


def _sample(draw: Any) -> LayerSample:
    entry = nnlab.ACTIVATIONS[draw(st.sampled_from(sorted(nnlab.ACTIVATIONS)))]
    examples, units, inputs = (draw(st.integers(1, 5)) for _ in range(3))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    z = _tensor(draw, examples, units, dtype=dtype)
    return LayerSample(
        z=z,
        h=entry.function(z),
        derivative=entry.derivative,
        slope_sup=entry.slope_sup,
        two_sided=entry.two_sided,
        delta=_tensor(draw, examples, units, dtype=dtype),
        h_grad=_tensor(draw, examples, units, dtype=dtype),
        weight=_tensor(draw, units, inputs, dtype=dtype),
        weight_grad=_tensor(draw, units, inputs, dtype=dtype),
        bias_grad=_tensor(draw, units, dtype=dtype),
        weight_std_before=draw(st.floats(min_value=0)),
        update_std=draw(st.floats(min_value=0)),
        delta_norm_after=draw(st.floats(min_value=0)),
        activation=entry.name,
    )


def _assert_in_range(measured: dict[str, np.ndarray], samples: Sequence[LayerSample]) -> None:
    for name, values in measured.items():
        for value, sample in zip(values.tolist(), samples, strict=False):
            if math.isnan(value):
                continue
            examples, units = sample.h.shape
            high = {"effective_rank": min(examples, units), "mean_cosine": 1.0}
            low = {"effective_rank": 1.0, "mean_cosine": -1.0}
            if name in SHARES:
                assert 0 <= value <= 1, name
            elif name in UNITS:
                assert value in range(units + 1), name
            elif name in low:
                assert low[name] <= value <= high[name], (name, value)
            kind = METRICS[name].values
            assert kind == "signed" or value >= 0, name
            assert (kind == "share") == (name in (*SHARES, "gate_saturation")), name
            if name in SHARES + UNITS + ("slope_mean",):
                assert not sample.z.isnan().any(), f"{name} of NaN is a lie"


@few(1)
@given(data=st.data())
def test_every_metric_of_anything_keeps_to_its_range(data: Any) -> None:
    samples = [_sample(data.draw), _sample(data.draw)]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        for at_probe in (False, True):
            _assert_in_range(measure_layers(samples, at_probe=at_probe), samples)
        _assert_in_range(LayerMeter(samples, None).read(), samples)


@few(1)
@given(
    scores=st.tuples(*[st.floats()] * 4),
    norms=st.lists(st.floats(min_value=0), max_size=5),
    deltas=st.lists(st.tuples(st.floats(min_value=0), st.floats(min_value=0)), max_size=6),
)
def test_every_metric_of_a_network_of_anything_is_a_number(
    scores: tuple[float, ...], norms: list[float], deltas: list[tuple[float, float]]
) -> None:
    pairs = np.array(deltas, dtype=float).reshape(-1, 2)
    measured = measure_network(NetworkSample(*scores, norms, pairs[:, 0], pairs[:, 1]), at_probe=True)
    assert {name for name, metric in METRICS.items() if metric.scope == "network"} == set(measured)
    for name in ("grad_norm", "gradient_ratio"):
        assert math.isnan(measured[name]) or measured[name] >= 0
        assert METRICS[name].values == "size"


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@few(1)
@given(values=st.lists(finite, min_size=1, max_size=40), power=st.sampled_from([-900, -500, 0, 500, 800]))
def test_what_is_not_zero_has_a_norm_that_is_not_zero(values: list[float], power: int) -> None:
    # Powers of two take them far out of float32; those below float64 are 0.
    values = [value * 2.0**power for value in values]
    found = norm(torch.tensor(values, dtype=torch.float64))
    if power == 0:
        assert found == norm(torch.tensor(values, dtype=torch.float32))
    assert (found > 0) == any(value != 0 for value in values)
    assert found == pytest.approx(math.hypot(*values), rel=1e-12, abs=1e-322)


@pytest.mark.parametrize("size", [1, 4, 1000, 100_000])
@pytest.mark.parametrize("value", [1e30, 3e38, 1e-30, 1e-45])
def test_norms_of_what_float32_cannot_square(value: float, size: int) -> None:
    tensor = torch.full((size,), value)
    assert norm(tensor) == pytest.approx(float(tensor[0]) * math.sqrt(size), rel=1e-6)


@few()
@given(setting=settings_of(*sorted(nnlab.ACTIVATIONS)))
def test_the_whole_gradient_is_made_of_the_layers(setting: Setting) -> None:
    record = setting.diagnose(setting.model.double()).records[0]
    squares = [record.layers[name] ** 2 for name in ("weight_grad_norm", "bias_grad_norm")]
    assert record.network["grad_norm"] ** 2 == pytest.approx(float(np.sum(squares)), rel=1e-12)


@pytest.mark.parametrize("depth", [60, 100])
def test_no_norm_of_a_deep_network_is_0_whose_gradient_is_not(depth: int) -> None:
    """In float32 a sum of squares is 0 from 1e-23 down: a third of such a network's layers."""
    config = nnlab.ExperimentConfig(
        dataset="digits", depth=depth, width=32, activation="sigmoid", batch_size=64, steps=1,
        initializer="pytorch_default",
    )  # fmt: skip
    data = nnlab.load_dataset(config)
    model = nnlab.build_model(config, data)
    run = nnlab.train(config)
    rows = next(member.batches(data, config)).numpy()
    outputs = model(torch.from_numpy(data.x_train[rows]))
    nn.functional.cross_entropy(outputs, torch.from_numpy(data.y_train[rows])).backward()
    for linear, found in zip(model.linears, run.records[0].layers["weight_grad_norm"], strict=True):
        true = float(linear.weight.grad.double().norm())
        assert (found == 0) == (not linear.weight.grad.any())
        assert found == pytest.approx(true, rel=1e-2)


@pytest.mark.parametrize("where", ["output", "hidden"])
def test_scores_of_what_is_no_number_are_undefined_and_not_wrong(where: str) -> None:
    # argmax of (nan, 1) is 0, and nan > 0 is False: both look like a number.
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        model[2 if where == "output" else 0].bias[1] = math.nan
    run = nnlab.diagnose(model, np.ones((6, 4)), np.zeros(6, dtype=int))
    assert run.status == "diverged"
    record = run.records[0]
    assert math.isnan(record.network["accuracy"])
    if where == "hidden":
        for name in (*SHARES, *UNITS):
            assert math.isnan(record.layers[name][0]), name


@pytest.mark.parametrize(
    ("outputs", "share"),
    [
        ([[0.0, 1.0], [1.0, 0.0]], 0.5),
        ([[0.0, 1.0], [math.nan, 0.0]], math.nan),
        ([[0.0, 1.0], [math.inf, math.inf]], math.nan),
        ([[0.0, 1.0], [-math.inf, -math.inf]], math.nan),
        ([[-math.inf, 1.0], [-math.inf, 0.0]], 1.0),  # a class that is masked out
        ([[-3e38, 3e38], [3e38, 3e38]], 0.5),  # their sum overflows, they do not
    ],
)
def test_accuracy_is_undefined_where_the_largest_output_is_no_number(
    outputs: list[list[float]], share: float
) -> None:
    with np.errstate(all="ignore"):
        found = accuracy(torch.tensor(outputs), torch.tensor([1, 1]))
    assert found == pytest.approx(share, nan_ok=True)
