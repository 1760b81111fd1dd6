"""What changes nothing, or everything by a known factor: order of neurons and examples, scales of 2^k."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from any_network import Setting, assert_close, few, make_setting, numbers, settings_of
from torch.nn import functional as F

import nnlab
from nnlab.engine import Engine
from nnlab.model import to_network

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")
given = hypothesis.given

# Of what rounding does in 12 layers, ten times what was measured (in float32 9.1e-7, in float64 3.4e-15).
GATES = {torch.float32: 1e-5, torch.float64: 1e-13}
# Singular values are taken from h^T h where that is exact to 1e-10.
RANK = 1e-10
GRADIENTS = {
    "delta_norm", "delta_rms", "activation_grad_norm", "weight_grad_norm", "bias_grad_norm",
    "grad_to_weight", "grad_norm", "loss",
}  # fmt: skip


def _assert_same(got: nnlab.Run, want: nnlab.Run, gate: float, moves: int = 0) -> None:
    """Compare runs; so many elements of a histogram may sit in a neighboring bin, or cross a threshold."""
    mine, theirs = numbers(got), numbers(want)
    assert mine["effective_rank"] == pytest.approx(
        theirs["effective_rank"], rel=max(gate, RANK) if gate < 1e-6 else 1e-4, nan_ok=True
    )
    for name in ("saturation", "saturation_low", "saturation_high", "zero_fraction", "dormant_fraction"):
        if moves:  # rounding decides at a threshold
            mine.pop(name), theirs.pop(name)
    for part in (mine, theirs):
        part.pop("effective_rank")
    assert_close(mine, theirs, gate)
    for quantity, rows in want.records[-1].histograms.items():
        for one, other in zip(got.records[-1].histograms[quantity], rows, strict=True):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert abs(np.cumsum(one.astype(int) - other)).sum() <= moves, quantity


def _permuted(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Give the same network with the neurons of every hidden layer in another order."""
    other = copy.deepcopy(model)
    draw = torch.Generator().manual_seed(seed)
    linears = other.linears
    with torch.no_grad():
        for linear, after in pairwise(linears):
            order = torch.randperm(linear.out_features, generator=draw)
            linear.weight.copy_(linear.weight[order])
            linear.bias.copy_(linear.bias[order])
            after.weight.copy_(after.weight[:, order])
    return other


@few()
@given(setting=settings_of("relu", "tanh"), dtype=st.sampled_from(list(GATES)), seed=st.integers(0, 9999))
def test_the_order_of_neurons_changes_no_number(setting: Setting, dtype: torch.dtype, seed: int) -> None:
    model = setting.model.to(dtype)
    moves = 4 if dtype == torch.float32 else 0
    _assert_same(setting.diagnose(_permuted(model, seed)), setting.diagnose(model), GATES[dtype], moves)


@few()
@given(setting=settings_of("relu", low=2), power=st.integers(-10, 10), where=st.integers(0, 99))
def test_a_relu_layer_may_be_larger_where_the_next_one_is_smaller(
    setting: Setting, power: int, where: int
) -> None:
    scaled = copy.deepcopy(setting.model)
    layer = where % setting.config.depth
    first, second = scaled.linears[layer : layer + 2]
    with torch.no_grad():
        first.weight.mul_(2.0**power)
        first.bias.mul_(2.0**power)
        second.weight.mul_(2.0**-power)
    before, after = numbers(setting.diagnose()), numbers(setting.diagnose(scaled))
    assert after["loss"] == before["loss"]
    factors = np.ones(setting.config.depth + 1)
    factors[layer], factors[layer + 1] = 2.0**-power, 2.0**power
    assert np.array_equal(after["weight_grad_norm"], before["weight_grad_norm"] * factors)


@few()
@given(seed=st.integers(0, 2**32 - 1), depth=st.integers(1, 12), width=st.integers(1, 64))
def test_a_relu_chain_without_biases_has_one_product_of_weight_and_gradient(
    seed: int, depth: int, width: int
) -> None:
    setting = make_setting(seed, depth, width, "relu", bias=False, initializer="kaiming_normal")
    x, y = torch.from_numpy(setting.x), torch.from_numpy(setting.y)
    network = to_network(setting.model, setting.config).astype(np.float64)

    engine = Engine([setting.model], setting.config, len(x))
    engine.load(0, x, y, torch.arange(len(x)))
    engine.run()
    pairs = [(p.detach().double(), p.grad.double()) for p in setting.model.parameters()]
    assert _spread(pairs) <= 2e-6

    passes = network.forward(setting.x.astype(float))
    logits = torch.from_numpy(passes[-1].h).requires_grad_()
    F.cross_entropy(logits, y).backward()
    deltas = network.backward(passes, logits.grad.numpy())
    inputs = [setting.x.astype(float), *(taken.h for taken in passes)]
    pairs = [
        (torch.from_numpy(layer.weight), torch.from_numpy(delta.T @ at))
        for layer, delta, at in zip(network.layers, deltas, inputs, strict=False)
    ]
    assert _spread(pairs) <= 5e-15


def _spread(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Give how far <W, dLoss/dW> differs from layer to layer, relative to the largest |W| |dLoss/dW|."""
    products = [float((weight * gradient).sum()) for weight, gradient in pairs]
    size = max(float(weight.norm() * gradient.norm()) for weight, gradient in pairs)
    return (max(products) - min(products)) / size if size else 0.0


@few()
@given(
    setting=settings_of(*sorted(nnlab.ACTIVATIONS)), power=st.integers(-20, 20),
    dtype=st.sampled_from(list(GATES)),
)  # fmt: skip
def test_a_scaled_loss_scales_every_gradient_and_no_ratio(
    setting: Setting, power: int, dtype: torch.dtype
) -> None:
    model = setting.model.to(dtype)
    before = setting.diagnose(model, loss=F.cross_entropy)
    after = setting.diagnose(model, loss=lambda outputs, y: 2.0**power * F.cross_entropy(outputs, y))
    for name, values in numbers(before).items():
        found = numbers(after)[name]
        if name == "vanishing_index":  # a sum of logarithms, which round
            assert found == pytest.approx(values, rel=1e-9, abs=1e-12, nan_ok=True)
        elif (values[np.isfinite(values)] > 1e-30).all() or name not in GRADIENTS:
            want = values * (2.0**power if name in GRADIENTS else 1.0)
            assert np.array_equal(found, want, equal_nan=True), name


@few()
@given(setting=settings_of("relu", "tanh"), dtype=st.sampled_from(list(GATES)), seed=st.integers(0, 9999))
def test_the_order_of_examples_changes_no_number(setting: Setting, dtype: torch.dtype, seed: int) -> None:
    model = setting.model.to(dtype)
    order = np.random.default_rng(seed).permutation(len(setting.x))
    shuffled = nnlab.diagnose(model, setting.x[order], setting.y[order])
    moves = 4 if dtype == torch.float32 else 0
    _assert_same(shuffled, setting.diagnose(model), GATES[dtype], moves)


@few()
@given(setting=settings_of("relu", "tanh"), dtype=st.sampled_from(list(GATES)))
def test_every_example_twice_is_the_same_mean(setting: Setting, dtype: torch.dtype) -> None:
    model = setting.model.to(dtype)
    twice = nnlab.diagnose(model, np.tile(setting.x, (2, 1)), np.tile(setting.y, 2))
    before, after = numbers(setting.diagnose(model)), numbers(twice)
    # dLoss/dz of an example has 1/B inside: half as much, of twice as many.
    for name, factor in (("delta_norm", 0.5**0.5), ("activation_grad_norm", 0.5**0.5), ("delta_rms", 0.5)):
        before[name] = before[name] * factor
    for numbers_of in (before, after):
        numbers_of.pop("effective_rank")
        numbers_of.pop("mean_cosine")  # an example and its twin are a pair now
    assert_close(after, before, GATES[dtype])
