"""A user's batch: what his model takes, what it gives, and which of that is compared with the targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn


def as_tensors(values: Any, model: nn.Module, *, is_input: bool) -> Any:
    """Give arrays, tensors, and tuples or dicts of them as tensors where the model lies.

    Floating-point inputs get the model's precision: NumPy's default is float64, which no float32 model takes.
    What is no number (None, a flag, text) stays.
    """
    if isinstance(values, Mapping):
        return {name: as_tensors(value, model, is_input=is_input) for name, value in values.items()}
    if isinstance(values, tuple) or (isinstance(values, list) and _holds_arrays(values)):
        return tuple(as_tensors(value, model, is_input=is_input) for value in values)
    if isinstance(values, list):
        values = np.asarray(values)
    if isinstance(values, np.ndarray) and values.dtype.kind in "biufc":
        values = torch.from_numpy(np.ascontiguousarray(values))
    if not isinstance(values, torch.Tensor):
        return values
    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    if first is None:
        return values
    values = values.to(first.device)
    return values.to(first.dtype) if is_input and values.is_floating_point() else values


def _holds_arrays(values: list[Any]) -> bool:
    return any(isinstance(value, (torch.Tensor, np.ndarray)) and value.ndim for value in values)


def call(model: nn.Module, x: Any) -> Any:
    """Call a model with one input, a tuple of inputs, or a dict of named ones."""
    if isinstance(x, dict):
        return model(**x)
    return model(*x) if isinstance(x, tuple) else model(x)


def scores_of(outputs: Any, y: Any) -> Any:
    """Give what of a model's outputs is compared with y: shape (batch, classes, ...) for class numbers.

    Of several outputs it is the one called "logits", else the first. Scores that lie last, as language models
    give them, (batch, steps, classes) against (batch, steps), are moved.
    """
    if isinstance(outputs, Mapping):
        outputs = outputs.get("logits", next(iter(outputs.values()), None))
    elif hasattr(outputs, "logits"):
        outputs = outputs.logits
    while isinstance(outputs, (tuple, list)) and outputs:
        outputs = outputs[0]
    if not isinstance(outputs, torch.Tensor) or not isinstance(y, torch.Tensor) or y.dtype != torch.int64:
        return outputs
    lies_last = outputs.dim() > 2 and outputs.shape[:-1] == y.shape
    fits = outputs.shape[:1] + outputs.shape[2:] == y.shape
    return outputs.movedim(-1, 1) if lies_last and not fits else outputs
