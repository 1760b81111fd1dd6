"""Network: outputs, gradients and the composed map against torch; drawing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.datasets import load_dataset
from nnlab.model import Elementwise, build_model, to_network
from nnlab.network import Network, draw_network

# Whose slope torch's own backward pass does not give: it refuses the step's.
WITH_SLOPE = [name for name in ACTIVATIONS if name != "step"]


def twin(network: Network) -> nn.Sequential:
    """Build the same network from torch's own parts, in float64."""
    parts: list[nn.Module] = []
    for layer in network.layers:
        linear = nn.Linear(layer.fan_in, layer.fan_out).double()
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(layer.weight))
            linear.bias.copy_(torch.from_numpy(layer.bias))
        name = ACTIVATIONS[layer.activation].module
        parts += [linear, getattr(nn, name)() if name else Elementwise(layer.activation)]
    return nn.Sequential(*parts)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(1).standard_normal((20, 5))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_outputs_are_those_of_torch(name, x):
    network = draw_network((5, 7, 4, 3), name, seed=2)
    want = twin(network)(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(network.outputs(x), want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", WITH_SLOPE)
def test_deltas_are_those_of_autograd(name, x):
    network = draw_network((5, 7, 4, 3), name, seed=2)
    model, h, taken = twin(network), torch.from_numpy(x), []
    for part in model:
        h = part(h)
        if isinstance(part, nn.Linear):
            h.retain_grad()
            taken.append(h)
    upstream = np.random.default_rng(3).standard_normal((20, 3))
    h.backward(torch.from_numpy(upstream))
    for delta, z in zip(network.backward(network.forward(x), upstream), taken, strict=True):
        np.testing.assert_allclose(delta, z.grad.numpy(), rtol=1e-11, atol=1e-14)


def test_the_composed_map_is_the_network_without_activation(x):
    network = draw_network((5, 7, 4, 3), "identity", seed=4)
    composed = network.composed()
    assert (composed.fan_in, composed.fan_out) == (5, 3)
    np.testing.assert_allclose(x @ composed.weight.T + composed.bias, network.outputs(x), rtol=0, atol=1e-13)


def test_another_activation_keeps_the_weights_and_the_linear_output():
    network = draw_network((5, 7, 4, 3), "identity", seed=4)
    other = network.with_activation("tanh")
    assert [layer.activation for layer in other.layers] == ["tanh", "tanh", "identity"]
    assert all(a.weight is b.weight for a, b in zip(network.layers, other.layers, strict=True))
    assert [layer.activation for layer in network.layers] == ["identity"] * 3


def test_precision_is_that_of_weights_and_inputs(x):
    single = draw_network((5, 7, 4, 3), "gelu", seed=4).astype(np.float32)
    assert single.outputs(x.astype(np.float32)).dtype == np.float32


def test_drawn_weights_depend_on_the_seed_and_keep_the_signal():
    one, same, other = (draw_network((400, 300, 200), "tanh", seed) for seed in (1, 1, 2))
    assert np.array_equal(one.layers[0].weight, same.layers[0].weight)
    assert not np.array_equal(one.layers[0].weight, other.layers[0].weight)
    assert one.layers[0].weight.std() * np.sqrt(400) == pytest.approx(1, abs=0.02)
    assert (one.widths, one.depth) == ((400, 300, 200), 1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["relu", "sine", "step"])
def test_a_model_becomes_a_network_with_the_same_outputs(name, bias):
    config = ExperimentConfig(
        dataset="iris", depth=3, width=8, activation=name, initializer="pytorch_default"
    )
    data = load_dataset(config)
    model = build_model(config, data, bias=bias)
    got = to_network(model, config).outputs(data.x_test)
    with torch.no_grad():
        want = model(torch.from_numpy(data.x_test)).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_a_model_without_biases_starts_from_the_same_weights():
    config = ExperimentConfig(dataset="iris", depth=3, width=8, initializer="pytorch_default")
    data = load_dataset(config)
    plain, bare = (build_model(config, data, bias=bias) for bias in (True, False))
    assert all(linear.bias is None for linear in bare.linears)
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(plain.linears, bare.linears, strict=True))


@pytest.mark.parametrize("change", [{"normalization": "layer"}, {"residual": True}])
def test_what_is_no_plain_network_is_refused(change):
    config = ExperimentConfig(dataset="iris", depth=2, width=4).replace(**change)
    with pytest.raises(ValueError, match="normalization, residual"):
        to_network(build_model(config), config)


def test_a_copied_network_does_not_follow_its_model():
    config = ExperimentConfig(dataset="iris", depth=2, width=4)
    model = build_model(config)
    network = to_network(model, config)
    before = network.layers[0].weight.copy()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    assert np.array_equal(network.layers[0].weight, before)
    assert not network.layers[0].bias.any()
