"""Recorder: turns what a probe captured into one StepRecord."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from nnlab.histogram import count
from nnlab.metrics import measure_layers, measure_network
from nnlab.run import LayerInfo, StepRecord
from nnlab.samples import LayerSample, NetworkSample

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Scores:
    """Loss and accuracy on the record's batch and on the test split; NaN where there is none."""

    loss: float
    accuracy: float = math.nan
    test_loss: float = math.nan
    test_accuracy: float = math.nan


def cross_entropy(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of logits (batch, classes, ...) against class numbers (batch, ...)."""
    return F.cross_entropy(outputs, y)


def mean_squared_error(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Mean over batch and outputs; class numbers are compared as one-hot rows.

    Shapes: outputs (batch, outputs); y (batch,) class numbers, or numbers to predict.
    """
    if y.dtype == torch.int64:
        return F.mse_loss(outputs, F.one_hot(y, outputs.shape[-1]).to(outputs.dtype))
    return F.mse_loss(outputs, y.reshape(outputs.shape))


LOSSES: dict[str, LossFunction] = {"cross_entropy": cross_entropy, "mse": mean_squared_error}


def accuracy(outputs: torch.Tensor, y: torch.Tensor) -> float:
    """Share classified right; NaN for regression and where an output is NaN (argmax would say 0)."""
    if y.dtype != torch.int64 or outputs.dim() < 2 or outputs.isnan().any():
        return math.nan
    return float((outputs.argmax(dim=1) == y).double().mean())


def _histograms(
    samples: Sequence[LayerSample], infos: Sequence[LayerInfo], check: Callable[[], None]
) -> dict[str, list[np.ndarray | None]]:
    counts: dict[str, list[np.ndarray | None]] = {
        "pre_activation": [],
        "activation": [],
        "delta": [],
        "weight_grad": [],
    }
    for sample, info in zip(samples, infos, strict=True):
        check()
        is_output = info is infos[-1]
        tensors = {
            "pre_activation": sample.z,
            "activation": None if is_output else sample.h,
            "delta": sample.delta,
            "weight_grad": sample.weight_grad,
        }
        for quantity, values in tensors.items():
            counts[quantity].append(_count(values, quantity, info.activation))
    return counts


def _count(values: torch.Tensor | None, quantity: str, activation: str) -> np.ndarray | None:
    if values is None:
        return None
    return count(values.detach().double().cpu().numpy(), quantity, activation)


def make_record(
    step: int,
    batch: Sequence[LayerSample],
    probe: Sequence[LayerSample] | None,
    infos: Sequence[LayerInfo],
    scores: Scores,
    model: nn.Module,
    check: Callable[[], None],
) -> StepRecord:
    """Measure one record: `batch` samples carry gradients; `probe` samples are None between probes."""
    layers = measure_layers(batch, at_probe=False, check=check)
    if probe is not None:
        layers |= measure_layers(probe, at_probe=True, check=check)
    network = NetworkSample(
        loss=scores.loss,
        accuracy=scores.accuracy,
        test_loss=scores.test_loss,
        test_accuracy=scores.test_accuracy,
        parameter_grads=[p.grad for p in model.parameters() if p.grad is not None],
        delta_norm=layers["delta_norm"][:-1],
        delta_rms=layers["delta_rms"][:-1],
    )
    return StepRecord(
        step=step,
        layers=layers,
        network=measure_network(network, at_probe=probe is not None),
        histograms=_histograms(batch, infos, check) if probe is not None else {},
    )
