"""One fault planted in a healthy network: the verdict names its kind and layer, and is silent without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from animal import drawn_from, next_words, numbers, tokens
from torch import nn
from torch.nn import functional as F
from zoo_attention import Encoder, Gpt
from zoo_convolutional import Plain, ResNet, Squeezed, UNet, pictures
from zoo_recurrent import CellLoop, Elman, HandLstm, HandRnn, Highway, WordsLSTM

import nnlab


class Chain(nn.Module):
    """Layers with tanh; `cut` is what is done to the signal after layer `at`."""

    cut: Callable[[torch.Tensor], torch.Tensor] | None = None
    at = 1

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(12, 12) for _ in range(4))
        self.head = nn.Linear(12, 3)
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x):
        for number, layer in enumerate(self.layers):
            x = torch.tanh(layer(x))
            if self.cut is not None and number == self.at:
                x = self.cut(x)
        return self.head(x)


class WithoutGrad(Chain):
    """Its first layers run under torch.no_grad."""

    def forward(self, x):
        with torch.no_grad():
            for layer in self.layers[:2]:
                x = torch.tanh(layer(x))
        for layer in self.layers[2:]:
            x = torch.tanh(layer(x))
        return self.head(x)


class Branched(nn.Module):
    """Residual branches with a scale, as in ReZero and LayerScale."""

    def __init__(self, depth: int = 3) -> None:
        super().__init__()
        self.stem = nn.Linear(8, 12)
        self.one = nn.ModuleList(nn.Linear(12, 12) for _ in range(depth))
        self.two = nn.ModuleList(nn.Linear(12, 12) for _ in range(depth))
        self.scale = nn.Parameter(torch.full((depth,), 0.7))
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = self.stem(x)
        for one, two, scale in zip(self.one, self.two, self.scale, strict=True):
            x = x + scale * two(torch.tanh(one(x)))
        return self.head(x)


class DetachedUNet(UNet):
    """Its bottom is computed from a detached tensor."""

    def forward(self, x):
        skip = F.relu(self.down1(x))
        bottom = F.relu(self.down2(self.pool(skip))).detach()
        x = torch.cat([self.up(bottom), skip], dim=1)
        return self.head(torch.relu(self.merge(x)))


class DetachedEncoder(Encoder):
    """The embedding is cut off, as where a value is taken by .data."""

    def forward(self, x):
        return self.head(self.encoder(self.embed(x).detach()).mean(dim=1))


@dataclass(frozen=True)
class Fault:
    """`make` gives the healthy twin; `plant` changes it, or gives another model with the same weights."""

    name: str
    make: Callable[[], nn.Module]
    batch: Callable[[torch.Generator], tuple[Any, Any]]
    plant: Callable[[Any], nn.Module | None]
    kind: str
    layer: str

    def __str__(self) -> str:
        return self.name


def freeze(*names: str) -> Callable[[nn.Module], None]:
    def plant(model: nn.Module) -> None:
        for name in names:
            model.get_submodule(name).requires_grad_(False)

    return plant


def kill(name: str, bias: float = -1000.0) -> Callable[[nn.Module], None]:
    def plant(model: nn.Module) -> None:
        nn.init.constant_(model.get_submodule(name).bias, bias)

    return plant


def set_(expression: Callable[[Any], torch.Tensor], value: float) -> Callable[[Any], None]:
    def plant(model: Any) -> None:
        with torch.no_grad():
            expression(model).fill_(value)

    return plant


def scale(expression: Callable[[Any], torch.Tensor], factor: float) -> Callable[[Any], None]:
    def plant(model: Any) -> None:
        with torch.no_grad():
            expression(model).mul_(factor)

    return plant


def becomes(cls: type[nn.Module]) -> Callable[[nn.Module], nn.Module]:
    def plant(model: nn.Module) -> nn.Module:
        other = cls()
        other.load_state_dict(model.state_dict())
        return other

    return plant


def cut(how: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Any], None]:
    def plant(model: Any) -> None:
        model.cut = how

    return plant


def open_and_shake(model: Any) -> None:
    """Make an LSTM's signal grow backward: gates that stay open, a state that moves them strongly."""
    with torch.no_grad():
        model.lstm.weight_ih_l0.mul_(0.1)
        model.lstm.weight_hh_l0.mul_(10.0)
        model.lstm.bias_ih_l0[12:24] += 2.0


def words():
    return tokens(16, 6, words=20, classes=3)


def relu_rnn() -> nn.Module:
    return Elman("relu")


FAULTS = (
    Fault("frozen layers", Chain, numbers(24, 12), freeze("layers.1", "layers.2"), "frozen", "layers.1"),
    Fault("frozen start", Chain, numbers(24, 12), freeze("layers.0", "layers.1"), "frozen", "layers.0"),
    Fault(
        "frozen transformer layer",
        Encoder,
        numbers(12, 6, 5),
        freeze("encoder.layers.0"),
        "frozen",
        "encoder.layers.0.self_attn",
    ),
    Fault("frozen u-net bottom", UNet, pictures, freeze("down2"), "frozen", "down2"),
    Fault(
        "frozen block of a resnet", ResNet, numbers(16, 1, 8, 8), freeze("layer1"), "frozen", "layer1.conv1"
    ),
    Fault(
        "dead convolution",
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 3)
        ),
        numbers(16, 1, 8, 8),
        kill("2"),
        "dead_layer",
        "2",
    ),
    Fault(
        "dead convolution after batch norm", Plain, numbers(16, 1, 8, 8), kill("bn2"), "dead_layer", "conv2"
    ),
    Fault("dead u-net convolution", UNet, pictures, kill("down2"), "dead_layer", "down2"),
    Fault(
        "dead feed-forward layer of a transformer",
        lambda: Encoder(activation="relu"),
        numbers(12, 6, 5),
        kill("encoder.layers.1.linear1"),
        "dead_layer",
        "encoder.layers.1.linear1",
    ),
    Fault(
        "saturated highway gate",
        lambda: Highway(depth=1),
        numbers(24, 8),
        kill("gate.0", -12.0),
        "saturating",
        "gate.0",
    ),
    Fault(
        "saturated excitation",
        Squeezed,
        numbers(16, 1, 8, 8),
        scale(lambda m: m.se.fc[2].weight, 1e4),
        "saturating",
        "se.fc.2",
    ),
    Fault(
        "saturated lstm", WordsLSTM, words(), set_(lambda m: m.lstm.bias_hh_l0, 50.0), "saturating", "lstm"
    ),
    Fault(
        "saturated forget gate",
        WordsLSTM,
        words(),
        set_(lambda m: m.lstm.bias_hh_l0[12:24], 100.0),
        "saturating",
        "lstm",
    ),
    Fault(
        "saturated lstm cell",
        CellLoop,
        numbers(16, 5, 4),
        set_(lambda m: m.cell.bias_ih, 30.0),
        "saturating",
        "cell",
    ),
    Fault(
        "saturated forget gate by hand",
        HandLstm,
        numbers(16, 5, 4),
        set_(lambda m: m.x2h.bias[8:16], 100.0),
        "saturating",
        "x2h",
    ),
    Fault(
        "saturated chain",
        Chain,
        numbers(24, 12),
        scale(lambda m: m.layers[2].weight, 100.0),
        "saturating",
        "layers.2",
    ),
    Fault(
        "branch scaled to zero", Branched, numbers(24, 8), set_(lambda m: m.scale[1], 0.0), "blocked", "two.1"
    ),
    Fault(
        "zeroed last norm of a resnet block",
        ResNet,
        numbers(16, 1, 8, 8),
        set_(lambda m: m.layer1.bn2.weight, 0.0),
        "blocked",
        "layer1.conv2",
    ),
    Fault(
        "zeroed attention of a transformer",
        Encoder,
        numbers(12, 6, 5),
        set_(lambda m: m.encoder.layers[0].self_attn.out_proj.weight, 0.0),
        "blocked",
        "encoder.layers.0.self_attn",
    ),
    Fault(
        "zeroed feed-forward of a gpt",
        lambda: Gpt(fast=True),
        next_words(6, 8, words=16),
        set_(lambda m: m.h[1].c_proj.weight, 0.0),
        "blocked",
        "h.1.c_fc",
    ),
    Fault("detached", Chain, numbers(24, 12), cut(torch.Tensor.detach), "blocked", "layers.1"),
    Fault("taken by .data", Chain, numbers(24, 12), cut(lambda x: x.data), "blocked", "layers.1"),
    Fault(
        "through numpy",
        Chain,
        numbers(24, 12),
        cut(lambda x: torch.from_numpy(x.detach().numpy())),
        "blocked",
        "layers.1",
    ),
    Fault("rounded", Chain, numbers(24, 12), cut(lambda x: torch.round(8 * x) / 8), "blocked", "layers.1"),
    Fault("detached u-net bottom", UNet, pictures, becomes(DetachedUNet), "blocked", "down2"),
    Fault("detached embedding", Encoder, numbers(12, 6, 5), becomes(DetachedEncoder), "blocked", "embed"),
    Fault("without grad", Chain, numbers(24, 12), becomes(WithoutGrad), "blocked", "layers.1"),
    Fault(
        "exploding relu rnn",
        relu_rnn,
        numbers(16, 12, 4),
        scale(lambda m: m.rnn.weight_hh_l0, 8.0),
        "exploding",
        "rnn",
    ),
    Fault(
        "exploding rnn by hand",
        lambda: HandRnn(activation=F.relu),
        numbers(16, 12, 4),
        scale(lambda m: m.h2h.weight, 8.0),
        "exploding",
        "h2h",
    ),
    Fault(
        "exploding lstm", WordsLSTM, tokens(16, 12, words=20, classes=3), open_and_shake, "exploding", "lstm"
    ),
)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_fault_is_named_and_its_twin_is_silent(fault: Fault) -> None:
    with drawn_from(3) as generator:
        model = fault.make()
        x, y = fault.batch(generator)
        assert nnlab.diagnose(model, x, y).findings == ()
        run = nnlab.diagnose(fault.plant(model) or model, x, y)
    found = {finding.kind: finding.layer for finding in run.findings}
    assert found.get(fault.kind) == fault.layer, found
    # What a reader sees first: the fault itself, or that it has killed the layer.
    assert run.findings[0].layer == fault.layer, found
    assert run.findings[0].kind in (fault.kind, "dead_layer"), found
