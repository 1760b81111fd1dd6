"""The engine against autograd: the same bits, but for one activation that PyTorch has no kernel for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from judge import assert_same_weights, train_by_autograd

import nnlab
from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.datasets import Data
from nnlab.engine import Engine, covers, flatten, unflatten
from nnlab.initializers import INITIALIZERS
from nnlab.model import build_model
from nnlab.probe import Probe
from nnlab.recorder import LOSSES

# torch.nn.Softsign differentiates z / (1 + |z|) piece by piece; the engine multiplies by its derivative.
NOT_BITS = ("softsign",)
OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop")
EXAMPLES, INPUTS, CLASSES = 40, 6, 3


@pytest.fixture(scope="module")
def data() -> Data:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((EXAMPLES, INPUTS)).astype(np.float32)
    y = draw.integers(0, CLASSES, EXAMPLES)
    return Data(x, y, x, y, "classification", ("a", "b", "c"), tuple("uvwxyz"))


def experiment(**fields: Any) -> ExperimentConfig:
    small = {"dataset": "iris", "depth": 3, "width": 8, "batch_size": 30, "steps": 100, "record_every": 50}
    return ExperimentConfig(**small | fields)


class Nobody:
    """A watcher that looks at nothing, so that the engine keeps everything."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def forward_done(self, layer: int) -> None:
        self.seen.append(("forward", layer))

    def backward_done(self, layer: int) -> None:
        self.seen.append(("backward", layer))


def pass_both(config: ExperimentConfig, data: Data, *, bias: bool = True):
    """Give the engine after one pass, and the probe and the model of the same pass by autograd."""
    x, y = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    engine = Engine([build_model(config, data, bias=bias)], config, EXAMPLES)
    engine.watch(Nobody())
    engine.load(0, x, y, torch.arange(EXAMPLES))
    engine.run(watched=True)
    model = build_model(config, data, bias=bias)
    with Probe(model, gradients=True) as probe:
        loss = LOSSES[config.loss](model(x), y)
    loss.backward()
    return engine, probe, float(loss.detach()), model


def assert_same(got: torch.Tensor, want: torch.Tensor, *, bits: bool) -> None:
    if bits:
        assert torch.equal(got, want)
    else:
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6 * float(want.abs().max()) + 1e-12)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_one_pass_leaves_what_autograd_leaves(name, loss, residual, data):
    config = ExperimentConfig(depth=4, width=8, activation=name, loss=loss, residual=residual)
    engine, probe, loss_value, model = pass_both(config, data)
    bits = name not in NOT_BITS
    assert engine.losses[0].value() == loss_value
    for got, want in zip(engine.samples(0), probe.samples(), strict=True):
        assert (got.slope_sup, got.two_sided) == (want.slope_sup, want.two_sided)
        for part in ("z", "h", "slope", "delta", "h_grad", "weight", "weight_grad", "bias_grad"):
            assert_same(getattr(got, part), getattr(want, part), bits=bits)
        assert got.delta_norm_after == pytest.approx(want.delta_norm_after, rel=1e-5, nan_ok=True)
    for mine, parameter in zip(engine.models[0].parameters(), model.parameters(), strict=True):
        assert_same(mine.grad, parameter.grad, bits=bits)


def test_the_derivative_is_what_the_kernels_multiply_by(data):
    """The chain rule by hand from the engine's own buffers, with the registry's derivative."""
    for name in ACTIVATIONS:
        config = ExperimentConfig(depth=3, width=8, activation=name)
        engine = pass_both(config, data)[0]
        for layer in range(2):
            back = engine.delta[layer + 1, 0] @ engine.weights[layer + 1][0]
            by_hand = back * ACTIVATIONS[name].derivative(engine.z[layer, 0])
            torch.testing.assert_close(engine.delta[layer, 0], by_hand, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_hundred_steps_end_at_the_same_bits(name, loss, monkeypatch):
    config = experiment(activation=name, loss=loss, learning_rate=0.05)
    run, judge = nnlab.train(config), train_by_autograd(config, monkeypatch)
    assert (run.environment["engine"], run.status) == ("engine", judge.status)
    assert_same_weights(run.model, judge.model, bits=name not in NOT_BITS)


@pytest.mark.parametrize("fields", [{}, {"weight_decay": 0.01}, {"clip_norm": 0.1}], ids=str)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_every_optimizer_ends_at_the_same_bits(name, optimizer, fields, monkeypatch):
    config = experiment(activation=name, optimizer=optimizer, learning_rate=0.01, **fields)
    judge = train_by_autograd(config, monkeypatch)
    assert_same_weights(nnlab.train(config).model, judge.model)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_every_initializer_ends_at_the_same_bits(name, monkeypatch):
    config = experiment(initializer=name, steps=30)
    assert_same_weights(nnlab.train(config).model, train_by_autograd(config, monkeypatch).model)


@pytest.mark.parametrize("batch_size", [1, 7, 37, 64])
@pytest.mark.parametrize("width", [1, 2, 5, 7, 9, 33, 100])
def test_odd_shapes_end_at_the_same_bits(width, batch_size, monkeypatch):
    config = experiment(dataset="wine", width=width, batch_size=batch_size, steps=40)
    assert_same_weights(nnlab.train(config).model, train_by_autograd(config, monkeypatch).model)


@pytest.mark.parametrize("depth", [1, 2, 12])
def test_residual_networks_of_every_depth_end_at_the_same_bits(depth, monkeypatch):
    config = experiment(depth=depth, residual=True, activation="gelu", learning_rate=0.02)
    assert_same_weights(nnlab.train(config).model, train_by_autograd(config, monkeypatch).model)


def test_a_hundred_steps_of_a_large_network_end_at_the_same_bits(monkeypatch):
    config = ExperimentConfig(depth=10, width=100, activation="relu", optimizer="adam", learning_rate=0.001,
                              steps=100, record_every=100)  # fmt: skip
    assert_same_weights(nnlab.train(config).model, train_by_autograd(config, monkeypatch).model)


def test_a_network_without_biases_has_none(data):
    config = ExperimentConfig(depth=3, width=8, activation="relu")
    engine, probe, _, _ = pass_both(config, data, bias=False)
    for got, want in zip(engine.samples(0), probe.samples(), strict=True):
        assert got.bias_grad is None
        assert torch.equal(got.weight_grad, want.weight_grad)


def test_a_watcher_sees_every_layer_forward_and_back(data):
    config = ExperimentConfig(depth=3, width=8)
    engine = Engine([build_model(config, data)], config, EXAMPLES)
    watcher = Nobody()
    engine.watch(watcher)
    engine.load(0, torch.from_numpy(data.x_train), torch.from_numpy(data.y_train), torch.arange(EXAMPLES))
    engine.run()
    assert watcher.seen == []
    engine.run(watched=True)
    forward = [("forward", layer) for layer in range(3)]
    assert watcher.seen == [*forward, *(("backward", layer) for layer in (3, 2, 1, 0))]


def test_a_watched_pass_changes_no_gradient(data):
    config = ExperimentConfig(depth=4, width=8, activation="gelu", residual=True)
    engine = pass_both(config, data)[0]
    watched = engine.grads.clone()
    engine.grads.zero_()
    engine.run()
    assert torch.equal(engine.grads, watched)


def test_parameters_become_views_and_own_themselves_again(data):
    model = build_model(ExperimentConfig(depth=2, width=4), data)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    values, gradients = flatten([model])
    values.mul_(2)
    gradients.fill_(3.0)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], 2 * before[name]) for name in before)
    assert all((parameter.grad == 3).all() for parameter in model.parameters())
    unflatten(model)
    values.zero_()
    assert all(torch.equal(value, 2 * before[name]) for name, value in model.state_dict().items())


def test_a_trained_model_is_an_ordinary_module_with_tensors_of_its_own():
    model = nnlab.train(experiment(steps=2)).model
    storages = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    assert len(storages) == len(list(model.parameters()))
    assert all(p.untyped_storage().nbytes() == 4 * p.numel() for p in model.parameters())
    assert list(model.state_dict()) == list(nnlab.build_model(experiment()).state_dict())


def test_what_is_not_finite_flows_through(data):
    config = ExperimentConfig(depth=3, width=8, activation="relu", gain=1e30)
    engine, probe, want, _ = pass_both(config, data)
    assert np.isnan(engine.losses[0].value()) == np.isnan(want)
    for got, other in zip(engine.samples(0), probe.samples(), strict=True):
        assert torch.equal(got.z.isnan(), other.z.isnan())


def test_normalizations_are_left_to_autograd_and_the_run_says_so():
    assert covers(ExperimentConfig(residual=True))
    assert not covers(ExperimentConfig(normalization="layer"))
    assert nnlab.train(experiment(steps=1)).environment["engine"] == "engine"
    assert nnlab.train(experiment(steps=1, normalization="batch")).environment["engine"] == "autograd"
