"""rebuilt: a network from its weights computes what the original does, and is diagnosed like it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

import nnlab
from nnlab.activations import ACTIVATIONS
from nnlab.checkpoint import read_checkpoint, write_checkpoint
from nnlab.datasets import Data, prepare
from nnlab.rebuilt import MAX_ACTIVATIONS, build, diagnose_checkpoint
from nnlab.runfile import parse_run, to_bytes
from nnlab.threads import one_thread

DIGITS, IRIS = nnlab.ExperimentConfig(), nnlab.ExperimentConfig(dataset="iris")


def stirred(model: nn.Module) -> nn.Module:
    """Give every number of a model another value, stored statistics included."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                drawn = torch.randn(tensor.shape, generator=generator) * 0.3
                tensor.copy_(drawn.abs() + 0.5 if "var" in name else drawn)
    return model.eval()


class Named(nn.Module):
    """An MLP as people write it, its activation a function call."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.head = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm1d(6, affine=False), nn.BatchNorm1d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.bn1(self.fc1(x)))
        return self.head(torch.tanh(self.bn2(self.fc2(x))))


MODELS = {
    "plain": ("relu", lambda: nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 3))),
    "functional": ("tanh", Named),
    "layer norm behind": (
        "gelu",
        lambda: nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.LayerNorm(6), nn.Linear(6, 3)),
    ),
    "nested": (
        "silu",
        lambda: nn.ModuleDict({"body": nn.Sequential(nn.Linear(4, 4), nn.SiLU(), nn.Linear(4, 3))})["body"],
    ),
    "no activation": ("identity", lambda: nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))),
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_rebuilt_network_computes_what_the_original_does(kind: str) -> None:
    activation, make = MODELS[kind]
    model = stirred(make())
    built = build(read_checkpoint(save(model.state_dict()), "w"), activation)
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(built(x), model(x))


@pytest.mark.parametrize("kind", MODELS)
def test_its_weights_can_be_saved_and_read_again(kind: str) -> None:
    activation, make = MODELS[kind]
    model = stirred(make())
    data = nnlab.load_dataset(IRIS)
    run = diagnose_checkpoint(read_checkpoint(save(model.state_dict()), "w"), activation, data)
    again = build(read_checkpoint(write_checkpoint(run), "again"), activation)
    with torch.no_grad():
        x = torch.from_numpy(data.x_test)
        assert torch.equal(again(x), model(x))


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_can_be_chosen(activation: str) -> None:
    model = stirred(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)))
    built = build(read_checkpoint(save(model.state_dict()), "w"), activation)
    x = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = model[2](ACTIVATIONS[activation].function(model[0](x)))
        assert torch.allclose(built(x), wanted, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    "fields",
    [{}, {"normalization": "batch", "residual": True}, {"normalization": "layer", "activation": "sine"}],
)
def test_a_trained_network_of_nnlab_comes_back(fields: dict[str, object]) -> None:
    small = {"depth": 3, "width": 6, "batch_size": 16, "steps": 5}
    config = IRIS.replace(**(small | fields))
    run = nnlab.train(config)
    data = nnlab.load_dataset(config)
    checkpoint = read_checkpoint(write_checkpoint(run), "w.safetensors")
    with torch.no_grad():
        x = torch.from_numpy(data.x_test)
        assert torch.equal(build(checkpoint)(x), run.model.eval()(x))
    found = diagnose_checkpoint(checkpoint, None, data, dataset="iris")
    with one_thread():
        wanted = nnlab.diagnose(run.model.eval(), data.x_train, data.y_train)
    assert found.metrics.equals(wanted.metrics)
    assert [layer.name for layer in found.layers] == ["hidden_1", "hidden_2", "hidden_3", "output"]
    assert found.environment["activation"] == config.activation


def test_the_diagnosis_is_that_of_the_original_under_the_names_of_the_file() -> None:
    model = stirred(
        nn.Sequential(nn.Linear(64, 20), nn.Tanh(), nn.Linear(20, 12), nn.Tanh(), nn.Linear(12, 10))
    )
    data = nnlab.load_dataset(DIGITS)
    checkpoint = read_checkpoint(
        save({f"net.{n}": t for n, t in model.state_dict().items()}), "mine.safetensors"
    )
    run = diagnose_checkpoint(checkpoint, "tanh", data, dataset="digits")
    wanted = nnlab.diagnose(model, data.x_train[:1024], data.y_train[:1024])
    assert [layer.name for layer in run.layers] == ["net.0", "net.2", "net.4"]
    assert [layer.activation for layer in run.layers] == ["tanh", "tanh", "identity"]
    numbers = [
        frame.metrics.pivot(index="layer_index", columns="metric", values="value") for frame in (run, wanted)
    ]
    np.testing.assert_allclose(numbers[0].to_numpy(), numbers[1].to_numpy(), rtol=1e-5, atol=1e-12)


def test_the_run_says_file_and_dataset_and_can_be_saved() -> None:
    checkpoint = read_checkpoint(
        save(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).state_dict()), "a\nb"
    )
    data = nnlab.load_dataset(IRIS)
    run = diagnose_checkpoint(checkpoint, "relu", data, "mse", dataset="iris")
    said = run.environment
    assert (said["weights_sha256"], said["dataset_sha256"]) == (checkpoint.sha256, data.sha256)
    assert (said["weights_file"], said["dataset"], said["loss"]) == ("'a\\nb'", "iris", "mse")
    assert run.notes[0].startswith(f"Weights of 'a\\nb' (sha256 {checkpoint.sha256}) with relu")
    assert "120 training examples of iris; loss mse" in run.notes[0]
    assert set(checkpoint.notes) <= set(run.notes)
    assert "\n" not in run.title
    again = parse_run(to_bytes(run), "r")
    assert again.metrics.equals(run.metrics)
    assert (again.environment["weights_file"], again.notes) == (said["weights_file"], run.notes)


def test_a_dead_layer_of_the_file_is_found() -> None:
    model = stirred(
        nn.Sequential(nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 10))
    )
    with torch.no_grad():
        model[2].bias.fill_(-1e4)
    run = diagnose_checkpoint(
        read_checkpoint(save(model.state_dict()), "w"), "relu", nnlab.load_dataset(DIGITS), dataset="digits"
    )
    assert ("dead_layer", "2") in {(finding.kind, finding.layer) for finding in run.findings}


def regression() -> Data:
    x = np.linspace(-1, 1, 120).reshape(40, 3)
    return prepare(x, x.sum(axis=1), "regression", (), ("a", "b", "c"))


def test_what_does_not_fit_is_one_sentence() -> None:
    wide = read_checkpoint(save(nn.Sequential(nn.Linear(784, 5), nn.Linear(5, 10)).state_dict()), "w")
    digits = nnlab.load_dataset(DIGITS)
    with pytest.raises(ValueError, match="the weights take 784 inputs, digits has 64"):
        diagnose_checkpoint(wide, "relu", digits, dataset="digits")
    three = read_checkpoint(save(nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 1)).state_dict()), "w")
    with pytest.raises(ValueError, match="allowed: mse"):
        diagnose_checkpoint(three, "relu", regression(), dataset="my.csv")
    assert diagnose_checkpoint(three, "relu", regression(), "mse", dataset="my.csv").records
    fits = read_checkpoint(save(nn.Sequential(nn.Linear(64, 5), nn.Linear(5, 10)).state_dict()), "w")
    for activation, loss, part in (
        (None, "mse", "activation: the file does not say it"),
        ("softmax", "mse", "activation: 'softmax' is not allowed; allowed: identity"),
        ("relu", "hinge", "loss: 'hinge' is not allowed; allowed: cross_entropy, mse"),
    ):
        with pytest.raises(ValueError, match=part):
            diagnose_checkpoint(fits, activation, digits, loss, dataset="digits")


def test_weights_that_are_not_finite_are_a_result() -> None:
    model = stirred(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)))
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    run = diagnose_checkpoint(
        read_checkpoint(save(model.state_dict()), "w"), "relu", nnlab.load_dataset(IRIS)
    )
    assert np.isnan(run.records[-1].network["loss"])
    assert any("1 NaN" in note for note in run.notes)


def test_very_many_units_get_fewer_examples() -> None:
    units = 15_000
    model = nn.Sequential(nn.Linear(64, units, bias=False), nn.Linear(units, 10, bias=False)).half()
    checkpoint = read_checkpoint(save(model.state_dict()), "w")
    run = diagnose_checkpoint(checkpoint, "relu", nnlab.load_dataset(DIGITS), dataset="digits")
    assert f"on {MAX_ACTIVATIONS // (units + 74)} training examples of digits" in run.notes[0]


def test_the_rebuilt_network_shares_nothing_with_the_checkpoint() -> None:
    checkpoint = read_checkpoint(save(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)).state_dict()), "w")
    before = checkpoint.stages[0].weight.copy()
    with torch.no_grad():
        for parameter in build(checkpoint, "relu").parameters():
            parameter.zero_()
    assert np.array_equal(checkpoint.stages[0].weight, before)
