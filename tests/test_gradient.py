"""Gradients by other roads: as means over examples, by differences of losses, in closed form."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
import torch
from any_network import Setting, few, make_setting, relative, settings_of
from torch import nn
from torch.nn import functional as F

import nnlab
from nnlab.engine import Engine
from nnlab.model import to_network

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")
given = hypothesis.given

SMOOTH = ("sigmoid", "tanh", "gelu", "silu", "mish", "softplus", "softsign", "sine", "cosine", "elu")


def _engine_gradient(setting: Setting, rows: list[int]) -> torch.Tensor:
    """Give the gradient of some examples, all parameters in one row, as nnlab trains with it."""
    x, y = torch.from_numpy(setting.x), torch.from_numpy(setting.y)
    engine = Engine([setting.model], setting.config, len(rows))
    engine.load(0, x, y, torch.tensor(rows))
    engine.run()
    return engine.grads[0].clone()


@few()
@given(setting=settings_of("relu", "tanh"))
def test_a_batchs_gradient_is_the_mean_of_its_examples(setting: Setting) -> None:
    whole = _engine_gradient(setting, list(range(len(setting.x))))
    each = torch.stack([_engine_gradient(setting, [row]) for row in range(len(setting.x))])
    # What cancels among examples keeps the rounding of its parts.
    size = float(each.double().norm(dim=1).mean())
    assert float((whole.double() - each.double().mean(dim=0)).norm()) <= 5e-6 * size
    scatter = float(each.double().var(dim=0, correction=1).sum()) if len(each) > 1 else 0.0
    assert scatter >= 0


@few()
@given(setting=settings_of("relu", "tanh"))
def test_a_batchs_gradient_in_float64_is_the_mean_of_its_examples(setting: Setting) -> None:
    network, x = to_network(setting.model, setting.config).astype(np.float64), setting.x.astype(float)
    passes = network.forward(x)
    one_hot = np.eye(len(network.layers[-1].bias))[setting.y]
    scores = np.exp(passes[-1].h - np.logaddexp.reduce(passes[-1].h, axis=1, keepdims=True)) - one_hot
    whole = network.backward(passes, scores / len(x))
    alone = [network.backward(network.forward(x[i : i + 1]), scores[i : i + 1]) for i in range(len(x))]
    for layer, delta in enumerate(whole):
        at = x if layer == 0 else passes[layer - 1].h
        parts = [one[layer].T @ at[i : i + 1] for i, one in enumerate(alone)]
        size = np.mean([np.linalg.norm(part) for part in parts])
        assert np.linalg.norm(delta.T @ at - np.mean(parts, axis=0)) <= 3e-14 * size


@few()
@given(
    setting=st.builds(
        make_setting, seed=st.integers(0, 2**32 - 1), depth=st.integers(1, 5), width=st.integers(1, 12),
        activation=st.sampled_from(SMOOTH), residual=st.booleans(),
    )
)  # fmt: skip
def test_a_recorded_gradient_is_how_steeply_the_loss_falls_along_it(setting: Setting) -> None:
    """Of every layer: the loss comes from the second implementation, by central differences."""
    model, config = setting.model.double(), setting.config
    norms = setting.diagnose(model).records[0].layers["weight_grad_norm"]
    state = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    F.cross_entropy(model(torch.from_numpy(setting.x).double()), torch.from_numpy(setting.y)).backward()
    for layer, linear in enumerate(model.linears):
        gradient = linear.weight.grad.numpy()
        size = np.linalg.norm(gradient)
        if size < 1e-3:  # below, the loss itself has too few digits
            continue
        ends = []
        for nudge in (1e-4, -1e-4, 2e-4, -2e-4):
            weights = oracle.weights_of(state)
            weights[layer] = (weights[layer][0] + nudge * gradient / size, weights[layer][1])
            passed = oracle.run_pass(
                weights, config.activation, setting.x, setting.y, "cross_entropy", config.residual
            )
            ends.append(passed.loss)
        # Of fourth order: what is left out is a fifth derivative.
        slope = (8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / 12e-4
        assert norms[layer] == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("activation", [*SMOOTH, "identity", "leaky_relu", "relu", "selu", "hardtanh"])
def test_gradients_pass_pytorchs_own_check(activation: str) -> None:
    setting = make_setting(3, depth=2, width=3, activation=activation)
    model = setting.model.double()
    names = [name for name, _ in model.named_parameters()]
    x, y = torch.from_numpy(setting.x[:4]).double(), torch.from_numpy(setting.y[:4])

    def loss(*parameters: torch.Tensor) -> torch.Tensor:
        outputs = torch.func.functional_call(model, dict(zip(names, parameters, strict=True)), (x,))
        return F.cross_entropy(outputs, y)

    assert torch.autograd.gradcheck(loss, tuple(model.parameters()), eps=1e-6, atol=1e-6, rtol=1e-6)


@few()
@given(setting=settings_of("identity"), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_a_linear_networks_gradient_is_its_closed_form(setting: Setting, dtype: torch.dtype) -> None:
    model = setting.model.to(dtype)
    layers = setting.diagnose(model, loss="mse").records[0].layers
    parts = [(p.weight.detach().double().numpy(), p.bias.detach().double().numpy()) for p in model.linears]
    ats = [setting.x.astype(float)]
    for weight, bias in parts:
        ats.append(ats[-1] @ weight.T + bias)
    error = 2 * (ats[-1] - np.eye(3)[setting.y]) / ats[-1].size
    gate = 1e-5 if dtype == torch.float32 else 1e-12
    for layer, (_, at) in enumerate(zip(parts, ats, strict=False)):
        # W_{l+1}^T ... W_L^T E x_l^T, where x_l is W_{l-1} ... W_1 x with its biases.
        above = error
        for weight, _ in parts[:layer:-1]:
            above = above @ weight
        size = np.linalg.norm(above) * np.linalg.norm(at)
        closed = np.linalg.norm(above.T @ at)
        assert abs(layers["weight_grad_norm"][layer] - closed) <= gate * size, layer
        assert layers["delta_norm"][layer] == pytest.approx(np.linalg.norm(above), rel=10 * gate)


@few()
@given(seed=st.integers(0, 2**32 - 1), features=st.integers(1, 20), examples=st.integers(1, 40))
def test_one_layers_gradient_is_that_of_the_normal_equations(seed: int, features: int, examples: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(examples, features)), random.normal(size=(examples, 1))
    model = nn.Linear(features, 1).double()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(random.normal(size=(1, features))))
        model.bias.zero_()
    run = nnlab.diagnose(model, x, y, loss="mse")
    weight = model.weight.detach().numpy()[0]
    closed = 2 * (x.T @ x @ weight - x.T @ y[:, 0]) / examples
    size = np.linalg.norm(x) ** 2 * np.linalg.norm(weight) / examples
    assert abs(run.records[0].layers["weight_grad_norm"][0] - np.linalg.norm(closed)) <= 1e-12 * size


def test_the_engine_and_the_numbers_of_a_network_agree_on_a_gradient() -> None:
    setting = make_setting(1, depth=4, width=9, activation="tanh")
    engine = _engine_gradient(setting, list(range(len(setting.x))))
    fresh = make_setting(1, depth=4, width=9, activation="tanh").model
    F.cross_entropy(fresh(torch.from_numpy(setting.x)), torch.from_numpy(setting.y)).backward()
    mine = torch.cat([p.grad.reshape(-1) for p in setting.model.parameters()])
    want = torch.cat([p.grad.reshape(-1) for p in fresh.parameters()])
    assert relative(mine, want) < 1e-6
    assert float(engine.norm()) == pytest.approx(float(want.norm()), rel=1e-6)
