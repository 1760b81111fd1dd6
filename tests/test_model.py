"""build_model: a plain module with the weights, names and order of an experiment."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import nnlab
from nnlab.activations import ACTIVATIONS
from nnlab.initializers import INITIALIZERS

every_initializer = pytest.mark.parametrize("initializer", INITIALIZERS)
NORMALIZATIONS = ("none", "batch", "layer")


def _build(**fields: Any) -> torch.nn.Module:
    return nnlab.build_model(nnlab.ExperimentConfig(**{"dataset": "iris", "depth": 3, "width": 5} | fields))


def _parameters(model: torch.nn.Module, kind: str) -> dict[str, torch.Tensor]:
    """Give the weights or the biases of the linear layers by name."""
    return {n: p.detach() for n, p in model.named_parameters() if n.endswith(kind) and ".norm." not in n}


def _inputs(rows: int = 6) -> torch.Tensor:
    return torch.linspace(-2, 2, 4 * rows).reshape(rows, 4)


def test_layers_are_named_as_in_the_frames() -> None:
    names = [
        f"{layer}.{kind}" for layer in ("hidden_1.linear", "hidden_2.linear") for kind in ("weight", "bias")
    ]
    assert list(_build(depth=2).state_dict()) == [*names, "output.weight", "output.bias"]


@pytest.mark.parametrize(
    ("normalization", "extra"),
    [
        ("layer", {"weight", "bias"}),
        ("batch", {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}),
    ],
)
def test_a_normalization_is_named_after_its_layer(normalization: str, extra: set[str]) -> None:
    plain, normalized = _build().state_dict(), _build(normalization=normalization).state_dict()
    assert set(normalized) - set(plain) == {f"hidden_{i}.norm.{name}" for i in (1, 2, 3) for name in extra}


def test_shapes_follow_data_depth_and_width() -> None:
    shapes = {name: tuple(weight.shape) for name, weight in _parameters(_build(depth=2), "weight").items()}
    assert shapes == {
        "hidden_1.linear.weight": (5, 4),
        "hidden_2.linear.weight": (5, 5),
        "output.weight": (3, 5),
    }


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_and_normalization_runs_forward_and_backward(
    activation: str, normalization: str
) -> None:
    model = _build(activation=activation, normalization=normalization, residual=True)
    outputs = model(_inputs())
    outputs.square().sum().backward()
    assert outputs.shape == (6, 3)
    assert outputs.isfinite().all()
    # Nothing is learned through a step: the layers below get no gradient, or zeros.
    grads = {name: p.grad for name, p in model.named_parameters()}
    assert all(grad.isfinite().all() for grad in grads.values() if grad is not None)
    first = grads["hidden_1.linear.weight"]
    assert bool(first is not None and first.any()) == (activation != "step")


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_a_block_is_linear_normalization_activation_residual(normalization: str, residual: bool) -> None:
    # Four units on four inputs: the first block could add its input, and must not.
    model = _build(normalization=normalization, residual=residual, activation="sigmoid", width=4)
    h = _inputs()
    for number in (1, 2, 3):
        block = getattr(model, f"hidden_{number}")
        z = F.linear(h, block.linear.weight, block.linear.bias)
        if normalization == "batch":
            z = F.batch_norm(z, None, None, block.norm.weight, block.norm.bias, training=True)
        elif normalization == "layer":
            z = F.layer_norm(z, (4,), block.norm.weight, block.norm.bias)
        h = torch.sigmoid(z) + (h if residual and number > 1 else 0)
    assert torch.equal(model(_inputs()), F.linear(h, model.output.weight, model.output.bias))


def test_a_new_model_is_in_training_mode() -> None:
    for initializer in ("xavier_uniform", "lsuv"):
        assert _build(initializer=initializer, normalization="batch").training


@every_initializer
def test_biases_are_zero_but_for_the_default_of_pytorch(initializer: str) -> None:
    biases = _parameters(_build(initializer=initializer), "bias").values()
    assert all(bool(bias.any()) == (initializer == "pytorch_default") for bias in biases)


def test_the_default_of_pytorch_bounds_its_biases_by_the_inputs() -> None:
    model = _build(initializer="pytorch_default", width=900, depth=2)
    bounds = {"hidden_1.linear.bias": 1 / 2, "hidden_2.linear.bias": 1 / 30}
    for name, bound in bounds.items():
        largest = float(_parameters(model, "bias")[name].abs().max())
        assert 0.98 * bound < largest <= bound


@pytest.mark.parametrize("initializer", [name for name in INITIALIZERS if name != "lsuv"])
def test_weights_have_the_spread_of_their_initializer(initializer: str) -> None:
    model = _build(initializer=initializer, dataset="digits", width=200, depth=2)
    for weight in _parameters(model, "weight").values():
        fan_out, fan_in = weight.shape
        aim = INITIALIZERS[initializer].std(fan_in, fan_out)
        assert float(weight.double().std(correction=0)) == pytest.approx(aim, rel=0.05)


@every_initializer
@pytest.mark.parametrize("gain", [0.37, 3.0])
def test_gain_multiplies_the_weights_and_nothing_else(initializer: str, gain: float) -> None:
    plain, scaled = _build(initializer=initializer), _build(initializer=initializer, gain=gain)
    for name, weight in _parameters(plain, "weight").items():
        assert torch.equal(_parameters(scaled, "weight")[name], weight * gain)
    for name, bias in _parameters(plain, "bias").items():
        assert torch.equal(_parameters(scaled, "bias")[name], bias)


@every_initializer
def test_the_same_seed_gives_the_same_bits(initializer: str) -> None:
    one, other = (_build(initializer=initializer, seed=3).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("initializer", [name for name in INITIALIZERS if name != "zeros"])
def test_another_seed_gives_other_weights(initializer: str) -> None:
    one, other = (_build(initializer=initializer, seed=seed) for seed in (3, 4))
    for name, weight in _parameters(one, "weight").items():
        assert not torch.equal(_parameters(other, "weight")[name], weight)


@every_initializer
def test_the_random_state_of_the_process_is_not_used(initializer: str) -> None:
    before = torch.get_rng_state()
    _build(initializer=initializer)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "change", [{"activation": "relu"}, {"normalization": "batch"}, {"residual": True}, {"steps": 5}]
)
def test_weights_depend_on_nothing_but_shape_seed_and_initializer(change: dict[str, Any]) -> None:
    one, other = _parameters(_build(), "weight"), _parameters(_build(**change), "weight")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("residual", [False, True])
def test_lsuv_gives_every_layer_unit_variance_on_the_training_data(activation: str, residual: bool) -> None:
    config = nnlab.ExperimentConfig(initializer="lsuv", depth=8, activation=activation, residual=residual)
    data = nnlab.load_dataset(config)
    model = nnlab.build_model(config, data)
    variances = []
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda _, __, z: variances.append(float(z.var(correction=0))))
    with torch.no_grad():
        model(torch.from_numpy(data.x_train))
    assert len(variances) == 9
    assert variances == pytest.approx([1.0] * 9, abs=0.1)


def test_lsuv_ends_for_data_that_give_no_variance() -> None:
    weights = _parameters(_build(initializer="lsuv", activation="step", depth=20, width=2), "weight")
    assert all(weight.isfinite().all() for weight in weights.values())


def test_a_copy_computes_the_same() -> None:
    model = _build(activation="sine", normalization="layer")
    assert torch.equal(copy.deepcopy(model)(_inputs()), model(_inputs()))


def test_weights_load_into_a_model_of_the_same_configuration() -> None:
    trained, fresh = _build(seed=1), _build(seed=2)
    fresh.load_state_dict(trained.state_dict())
    assert torch.equal(fresh(_inputs()), trained(_inputs()))


def test_building_reads_the_dataset_of_the_configuration() -> None:
    weights = _parameters(_build(dataset="digits"), "weight")
    assert (weights["hidden_1.linear.weight"].shape[1], weights["output.weight"].shape[0]) == (64, 10)


def test_the_hundredth_layer_is_there() -> None:
    model = _build(depth=100, width=1, activation="identity", initializer="orthogonal")
    with torch.no_grad():
        for weight in _parameters(model, "weight").values():
            weight.fill_(-1.0)
    # x -> -(x1 + x2 + x3 + x4), 99 more signs, and the output's: (-1)^101.
    assert model(torch.ones(1, 4)).tolist() == [[math.copysign(4, (-1) ** 101)] * 3]
