"""Drawn training: random networks of one shape, trained side by side on the same batches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from nnlab.datasets import Data, load_dataset
from nnlab.engine import Engine
from nnlab.member import batches
from nnlab.model import MLP, build_model
from nnlab.optimizer import make_optimizer
from nnlab.paper import Interrupted
from nnlab.random_network import RandomNetwork
from nnlab.stop import Stop
from nnlab.streams import torch_stream
from nnlab.threads import one_thread


def _draw(network: RandomNetwork, data: Data) -> MLP:
    model = build_model(network.config, data)
    generator = torch_stream(network.config.seed, "biases")
    with torch.no_grad():
        for linear in model.linears[:-1]:
            own = torch.empty_like(linear.bias).normal_(generator=generator)
            linear.bias.add_(own, alpha=network.sigma_b)
    return model


def trained_accuracies(networks: Sequence[RandomNetwork], stop: Stop) -> list[float]:
    """Train networks that differ in gain and biases only; give each one's accuracy on its training split.

    All take the first one's batches, optimizer and learning rate. NaN where the outputs are not finite.

    Raises:
        Interrupted: it was stopped before the end.
    """
    config = networks[0].config
    data = load_dataset(config)
    with one_thread():
        models = [_draw(network, data) for network in networks]
        engine = Engine(models, config, min(config.batch_size, len(data.x_train)))
        parameters = [parameter for model in models for parameter in model.parameters()]
        optimizer = make_optimizer(config, engine.values, engine.grads, parameters)
        x, y = torch.from_numpy(data.x_train.copy()), torch.from_numpy(data.y_train.copy())
        order = batches(data, config)
        for _ in range(config.steps):
            if stop.is_set():
                raise Interrupted
            rows = next(order)
            for number in range(len(models)):
                engine.load(number, x, y, rows)
            engine.run()
            optimizer.step()
        return [_accuracy(model, x, y) for model in models]


@torch.no_grad()
def _accuracy(model: MLP, x: torch.Tensor, y: torch.Tensor) -> float:
    outputs = model(x)
    if not bool(outputs.isfinite().all()):
        return math.nan
    return float((outputs.argmax(dim=1) == y).double().mean())
