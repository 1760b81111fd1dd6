"""build_model: an ordinary torch.nn.Module for an experiment, at its initial weights."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from nnlab.activations import ACTIVATIONS
from nnlab.datasets import Data, load_dataset
from nnlab.initializers import INITIALIZERS, LSUV_ROUNDS, LSUV_TOLERANCE
from nnlab.network import Layer, Network
from nnlab.streams import torch_stream

if TYPE_CHECKING:
    from nnlab.config import ExperimentConfig

LSUV_EXAMPLES = 1024  # as many as the probe set: the estimate of Var(z) is then good to 5 %


class Elementwise(nn.Module):
    """An activation that torch.nn has no class for: step, sine, cosine."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Apply the registry's function to z of any shape."""
        return ACTIVATIONS[self.name].function(z)

    def extra_repr(self) -> str:
        """Show the name when the model is printed."""
        return self.name


def _blank_linear(fan_in: int, fan_out: int, *, bias: bool) -> nn.Linear:
    """Make a Linear whose numbers are still to be drawn.

    By itself it would draw them from the process-wide generator that all visitors share. torch.nn.utils'
    skip_init avoids that too, but loads PyTorch's symbolic shapes and sympy, a second and 40 MB.
    """
    linear = nn.Linear(fan_in, fan_out, bias=bias, device="meta")
    linear.weight = nn.Parameter(torch.empty(fan_out, fan_in))
    if bias:
        linear.bias = nn.Parameter(torch.empty(fan_out))
    return linear


class Block(nn.Module):
    """One hidden layer: Linear -> normalization -> activation -> residual add."""

    def __init__(self, fan_in: int, config: ExperimentConfig, *, residual: bool, bias: bool) -> None:
        super().__init__()
        self.linear = _blank_linear(fan_in, config.width, bias=bias)
        self.norm = _normalization(config)
        self.activation = make_activation(config.activation)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, fan_in) to (batch, width)."""
        h = self.activation(self.norm(self.linear(x)))
        return h + x if self.residual else h


class MLP(nn.Sequential):
    """The experiment's network: hidden_1 .. hidden_L, then a linear output.

    `nnlab_layer_names` tells the probe what the rows of the frames are called.
    """

    def __init__(self, config: ExperimentConfig, n_inputs: int, n_outputs: int, *, bias: bool = True) -> None:
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for layer in range(1, config.depth + 1):
            # The first block changes the space from inputs to units, so it has nothing to add.
            residual = config.residual and layer > 1
            fan_in = n_inputs if layer == 1 else config.width
            parts[f"hidden_{layer}"] = Block(fan_in, config, residual=residual, bias=bias)
        parts["output"] = _blank_linear(config.width, n_outputs, bias=bias)
        super().__init__(parts)

    @property
    def nnlab_layer_names(self) -> dict[str, str]:
        """Row names by the qualified name of the weight-bearing module."""
        hidden = [name for name, _ in self.named_children() if name != "output"]
        return {**{f"{name}.linear": name for name in hidden}, "output": "output"}

    @property
    def linears(self) -> list[nn.Linear]:
        """The weight-bearing modules from input to output."""
        hidden = [block.linear for block in self if isinstance(block, Block)]
        output = self.get_submodule("output")
        assert isinstance(output, nn.Linear)
        return [*hidden, output]


def to_network(model: MLP, config: ExperimentConfig) -> Network:
    """Copy the weights of a plain MLP, one without normalization and residual connections.

    Raises:
        ValueError: the experiment has a normalization or residual connections.
    """
    if config.normalization != "none" or config.residual:
        raise ValueError("normalization, residual: a Network holds plain layers only; allowed: none, false")
    layers = []
    for linear in model.linears:
        weight = linear.weight.detach().numpy().copy()
        bias = np.zeros(len(weight), weight.dtype) if linear.bias is None else linear.bias.detach().numpy()
        layers.append(Layer(weight, bias.copy(), config.activation))
    return Network((*layers[:-1], replace(layers[-1], activation="identity")))


def make_activation(name: str) -> nn.Module:
    """Make the module of a registry name."""
    module = ACTIVATIONS[name].module
    return Elementwise(name) if module is None else getattr(nn, module)()


def _normalization(config: ExperimentConfig) -> nn.Module:
    makers = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
    return makers[config.normalization](config.width)


@torch.no_grad()
def _initialize(model: MLP, config: ExperimentConfig) -> None:
    initializer = INITIALIZERS[config.initializer]
    generator = torch_stream(config.seed, "weights")
    for linear in model.linears:
        initializer.fill(linear.weight, generator)
        bound = initializer.bias_bound(linear.in_features) if initializer.bias_bound else 0.0
        # Drawn even where there is no bias, so that the weights are the same with and without.
        bias = torch.zeros(linear.out_features)
        if bound:
            bias.uniform_(-bound, bound, generator=generator)
        if linear.bias is not None:
            linear.bias.copy_(bias)


@torch.no_grad()
def _fit_variance(model: MLP, x: torch.Tensor) -> None:
    """Scale each layer until Var(z_l) is 1 on x of shape (examples, inputs).

    Mishkin & Matas 2016, algorithm 1. z is taken before a normalization, which would hide the scale.
    """
    for part in model.children():
        linear = part.linear if isinstance(part, Block) else part
        assert isinstance(linear, nn.Linear)
        for _ in range(LSUV_ROUNDS):
            variance = linear(x).var(correction=0)
            if abs(variance - 1) < LSUV_TOLERANCE or not variance > 0:
                break
            linear.weight.div_(variance.sqrt())
        x = part(x)


def build_model(config: ExperimentConfig, data: Data | None = None, *, bias: bool = True) -> MLP:
    """Build the network of an experiment at its initial weights for `config.seed`.

    Args:
        config: the experiment.
        data: its dataset, where it is loaded already.
        bias: whether the layers have biases; without them the same weights are drawn.

    Raises:
        ValueError: the dataset is a CSV file that cannot be used.
    """
    data = data or load_dataset(config)
    model = MLP(config, data.n_features, data.n_outputs, bias=bias)
    _initialize(model, config)
    if INITIALIZERS[config.initializer].fitted_to_data:
        model.eval()
        _fit_variance(model, torch.from_numpy(data.x_train[:LSUV_EXAMPLES].copy()))
        model.train()
    if config.gain != 1.0:
        with torch.no_grad():
            for linear in model.linears:
                linear.weight.mul_(config.gain)
    return model
