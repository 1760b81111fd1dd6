"""Recorder: turns what a probe captured into one StepRecord."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from nnlab.histogram import count, packed
from nnlab.metrics import measure_layers, measure_network
from nnlab.run import LayerInfo, LayerNumbers, StepRecord
from nnlab.samples import LayerSample, NetworkSample


@dataclass(frozen=True)
class Measured:
    """The batch's share of one network's record.

    `layers` maps a metric to one number a layer. `grad_norms` are those of all parameters.
    `samples` gives the tensors behind the numbers, for histograms. `awaited` tells at which layers an error
    signal is to arrive: not before the first one that learns.
    """

    layers: Mapping[str, np.ndarray]
    grad_norms: Sequence[float]
    samples: Callable[[], Sequence[LayerSample]]
    awaited: Sequence[bool] | None = None


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
    """Share classified right; NaN for regression and where the largest output is no number.

    argmax of a NaN would say 0, and of two infinities the first; minus infinity masks a class.
    """
    if y.dtype != torch.int64 or outputs.dim() < 2 or outputs.shape[:1] + outputs.shape[2:] != y.shape:
        return math.nan
    # NumPy, which does not know bfloat16, takes a third of torch's time for so few numbers, and finds the
    # same first largest one.
    outputs = outputs.detach().cpu()
    scores = (outputs.float() if outputs.dtype == torch.bfloat16 else outputs).numpy()
    classes = y.cpu().numpy()
    # A sum is quicker than a look at every number, and is not finite wherever one of them is not.
    if not math.isfinite(scores.sum()) and not np.isfinite(scores.max(axis=1)).all():
        return math.nan
    return np.count_nonzero(scores.argmax(axis=1) == classes) / classes.size


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
            "pre_activation": None if sample.is_unseen else sample.z,
            "activation": None if is_output or sample.is_unseen else sample.h,
            "delta": sample.delta,
            "weight_grad": sample.weight_grad,
        }
        for quantity, values in tensors.items():
            counts[quantity].append(_count(values, quantity, info.activation))
    return {quantity: packed(rows) for quantity, rows in counts.items()}


def _count(values: torch.Tensor | None, quantity: str, activation: str) -> np.ndarray | None:
    if values is None:
        return None
    values = values.detach().cpu()
    return count((values if values.dtype == torch.float32 else values.double()).numpy(), quantity, activation)


def make_record(
    step: int,
    batch: Measured,
    probe: Sequence[LayerSample] | None,
    infos: Sequence[LayerInfo],
    scores: Scores,
    check: Callable[[], None],
    *,
    has_histograms: bool = True,
) -> StepRecord:
    """Make one record of what the batch left and, at a probe record, of the probe set's samples."""
    layers = batch.layers
    if probe is not None:
        measured = measure_layers(probe, at_probe=True, check=check)
        layers = LayerNumbers.of({**layers, **measured})
    awaited = slice(None) if batch.awaited is None else np.array(batch.awaited[:-1], dtype=bool)
    network = NetworkSample(
        loss=scores.loss,
        accuracy=scores.accuracy,
        test_loss=scores.test_loss,
        test_accuracy=scores.test_accuracy,
        grad_norms=batch.grad_norms,
        delta_norm=layers["delta_norm"][:-1][awaited],
        delta_rms=layers["delta_rms"][:-1][awaited],
    )
    return StepRecord(
        step=step,
        layers=layers,
        network=measure_network(network, at_probe=probe is not None),
        histograms=_histograms(batch.samples(), infos, check) if probe is not None and has_histograms else {},
    )
