"""Small networks that the tests on brightness share, and what torch computes for them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from nnlab.network import Layer, Network, draw_network

WIDTHS = (16, 12, 12, 4)
MODULES = {
    "identity": torch.nn.Identity(),
    "sigmoid": torch.nn.Sigmoid(),
    "tanh": torch.nn.Tanh(),
    "relu": torch.nn.ReLU(),
    "leaky_relu": torch.nn.LeakyReLU(),
}


def draw_images() -> np.ndarray:
    return np.random.default_rng(0).random((24, 16))


def network_of(activation: str, seed: int = 0, *, bias: bool = True) -> Network:
    network = draw_network(WIDTHS, activation, seed)
    if bias:
        return network
    return Network(tuple(replace(layer, bias=np.zeros_like(layer.bias)) for layer in network.layers))


def torch_layers(network: Network, x: np.ndarray, dtype=torch.float64) -> list[tuple[torch.Tensor, ...]]:
    """Give z and h of every layer as torch computes them."""
    h, passes = torch.tensor(x, dtype=dtype), []
    for layer in network.layers:
        z = torch.nn.functional.linear(
            h, torch.tensor(layer.weight, dtype=dtype), torch.tensor(layer.bias, dtype=dtype)
        )
        h = MODULES[layer.activation](z)
        passes.append((z, h))
    return passes


def affine(weight: list[list[float]], bias: list[float]) -> Network:
    return Network((Layer(np.array(weight), np.array(bias)),))


def believer(target: tuple[float, float]) -> Network:
    """Give a network whose unit 2 of layer 1 answers `target` at 0.5 and at 1 for the image (1, 0)."""
    low, normal = (math.log(h / (1 - h)) for h in target)
    weight = np.array([[0.1, 0.2], [2 * (normal - low), 7.0], [-1.0, 3.0]])
    first = Layer(weight, np.array([0.0, 2 * low - normal, 0.0]), "sigmoid")
    return Network((first, Layer(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), np.array([0.0, 0.1]))))
