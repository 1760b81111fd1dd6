"""First pass: one forward and backward pass of a network at its initial weights, layer by layer."""

from __future__ import annotations

import torch
from torch import nn

from nnlab.config import ExperimentConfig
from nnlab.datasets import Data, load_dataset
from nnlab.model import build_model
from nnlab.probe import Probe
from nnlab.recorder import LOSSES
from nnlab.samples import LayerSample
from nnlab.threads import one_thread


def first_pass(config: ExperimentConfig, data: Data | None = None) -> list[LayerSample]:
    """Give what the first batch_size training examples leave at every layer, the output layer last.

    Raises:
        ValueError: the dataset is a CSV file that cannot be used.
    """
    data = data or load_dataset(config)
    model: nn.Module = build_model(config, data)
    x = torch.from_numpy(data.x_train[: config.batch_size].copy())
    y = torch.from_numpy(data.y_train[: config.batch_size].copy())
    with one_thread():
        with Probe(model, gradients=True) as probe:
            loss = LOSSES[config.loss](model(x), y)
        loss.backward()
    return probe.samples()
