"""Layer meter: the batch metrics of samples, one layer at a time, while it lies in the cache.

`nnlab.metrics` says what every number means, and measures it in float64. Here the same numbers come from a
few short calls, the same ones for every layer: between two records a training step has thrown everything
else out of the processor's caches. Where float32 is not enough, or a layer is not like others, the
definition is asked instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
import torch

from nnlab.activations import ACTIVATIONS
from nnlab.kernels import SLOPE
from nnlab.metrics import Metric, layer_metrics, optional_metrics
from nnlab.run import LayerNumbers
from nnlab.samples import NAN, SATURATION_TAU, LayerSample, norm
from nnlab.sums import LARGEST_SQUARE, SMALLEST_SHARE, SMALLEST_SQUARE, Array, careful_moments, dots

# Above this share of the squares a spread about the mean loses less than a digit by being their difference.
MOSTLY_SPREAD = 0.2
# BLAS's dot product adds in float32: over so many numbers it is good to 4e-6 (nnlab.sums).
SHORT = 16_384
_ONES = np.ones(SHORT, dtype=np.float32)
_ONES.flags.writeable = False


def _is_plain(values: torch.Tensor | None) -> TypeGuard[torch.Tensor]:
    return values is not None and values.dtype is torch.float32 and values.is_cpu and values.dim() > 0


def _row(values: torch.Tensor) -> Array:
    return values.numpy().reshape(-1)


def _total(row: Array) -> float:
    if len(row) <= SHORT:
        return float(row.dot(_ONES[: len(row)]))
    return float(torch.from_numpy(row).sum())


def _square(row: Array) -> float:
    return float(row.dot(row)) if len(row) <= SHORT else float(dots(row, row))


def _fits(square: float) -> bool:
    return SMALLEST_SQUARE < square < LARGEST_SQUARE


def norms(tensors: Sequence[torch.Tensor | None]) -> list[float]:
    """Give Frobenius norms; NaN for what was not measured.

    Where float32 is not enough for the squares they are accumulated in float64.
    """
    return [_norm(values) for values in tensors]


def _norm(values: torch.Tensor | None) -> float:
    if _is_plain(values):
        square = _square(_row(values))
        if _fits(square):
            return math.sqrt(square)
    return norm(values)


def moments(values: torch.Tensor) -> tuple[float, float]:
    """Give mean and standard deviation (correction 0) of a tensor that holds something."""
    if _is_plain(values):
        return _moments_of(_row(values))
    wide = values.double()
    return float(wide.mean()), float(wide.std(correction=0))


def _moments_of(row: Array) -> tuple[float, float]:
    size = len(row)
    mean, square = _total(row) / size, _square(row)
    spread = square - size * mean * mean
    if _fits(square) and spread > MOSTLY_SPREAD * square:
        return mean, math.sqrt(spread / size)
    # Numbers that lie closer to each other than to 0: without their mean, then.
    about = np.float32(mean)
    left = row - about
    rest, square = _total(left) / size, _square(left)
    spread = square - size * rest * rest
    if _fits(square) and spread > SMALLEST_SHARE * square:
        return float(about) + rest, math.sqrt(spread / size)
    return careful_moments(row)


def update_spreads(
    before: Sequence[torch.Tensor | None], after: Sequence[torch.Tensor | None]
) -> tuple[Array, Array]:
    """Give the stds of weights before an update and of the update, shape (tensors,) each; NaN for None."""
    stds = np.full((2, len(before)), NAN)
    for place, (old, new) in enumerate(zip(before, after, strict=True)):
        if _is_plain(old) and _is_plain(new):
            row = _row(old)
            stds[:, place] = _moments_of(row)[1], _moments_of(_row(new) - row)[1]
        elif old is not None and new is not None:
            stds[:, place] = moments(old)[1], moments(new - old)[1]
    return stds[0], stds[1]


def _slopes(activation: str, z: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Give abs(phi'(z))."""
    if activation not in SLOPE:
        return ACTIVATIONS[activation].derivative(z).abs_()
    slopes = torch.empty_like(h)
    SLOPE[activation](h, slopes)
    return slopes


class LayerMeter:
    """Measures the batch metrics of the layers of one pass, as `measure_layers` does.

    `updates` are the stds of every layer's weights before the last update, and of that update. `grad_norms`
    are the norms of the gradients of every layer's weights and of its biases, where they are known already.
    """

    def __init__(
        self,
        samples: Sequence[LayerSample],
        updates: tuple[Array, Array] | None = None,
        grad_norms: Sequence[tuple[float, float]] | None = None,
    ) -> None:
        self._samples, self._updates, self._grad_norms = samples, updates, grad_norms
        optional = optional_metrics(samples)
        self._metrics = [*_BATCH_METRICS, *optional]
        self._unread = [*_UNREAD, *[metric for metric in optional if metric.name not in _READ]]
        self._numbers = np.full((len(self._metrics), len(samples)), NAN)
        self._of = dict(zip([metric.name for metric in self._metrics], self._numbers, strict=True))
        self._by_definition = np.zeros(len(samples), dtype=bool)

    def read(self) -> LayerNumbers:
        """Give every metric of every layer."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            self._measure_signals()
            self._measure_norms()
            if self._updates is not None:
                before, update = self._updates
                self._of["update_ratio"][:] = update / np.where(before > 0, before, NAN)
        if "time_ratio" in self._of:
            self._of["time_ratio"][:] = [sample.time_ratio for sample in self._samples]
        self._add_by_definition()
        # The last hidden layer's gain would compare it with the linear output: definitions.md.
        self._of["backward_gain"][-2:] = NAN
        layers = len(self._samples)
        columns = {m.name: (row, layers - m.hidden_only) for row, m in enumerate(self._metrics)}
        return LayerNumbers(columns, self._numbers)

    def _measure_signals(self) -> None:
        of, last = self._of, len(self._samples) - 1
        for place, sample in enumerate(self._samples):
            if sample.is_unseen:
                continue
            mean, std = moments(sample.z)
            of["pre_activation_mean"][place], of["pre_activation_std"][place] = mean, std
            if not math.isfinite(mean):
                self._by_definition[place] = True
            elif place < last:
                self._measure_activation(place, sample)

    def _measure_activation(self, place: int, sample: LayerSample) -> None:
        """Measure h and the slopes of a hidden layer."""
        z, h = sample.z, sample.h
        if sample.activation not in ACTIVATIONS or not _is_plain(z) or not _is_plain(h) or z.shape != h.shape:
            self._by_definition[place] = True
            return
        of, entry, row = self._of, ACTIVATIONS[sample.activation], _row(h)
        size = len(row)
        of["activation_mean"][place], of["activation_std"][place] = _moments_of(row)
        of["zero_fraction"][place] = np.count_nonzero(row == 0) / size
        slopes = _row(_slopes(sample.activation, z, h))
        of["slope_mean"][place] = _total(slopes) / size
        flat = slopes == 0 if entry.slope_sup == 0 else slopes < SATURATION_TAU * entry.slope_sup
        saturated = np.count_nonzero(flat)
        of["saturation"][place] = saturated / size
        if entry.two_sided:
            low = np.count_nonzero(flat & (_row(z) < 0)) if saturated else 0
            of["saturation_low"][place] = low / size
            of["saturation_high"][place] = saturated / size - low / size

    def _measure_norms(self) -> None:
        samples, of = self._samples, self._of
        delta, h_grad, weight = self._norms_of("delta", "h_grad", "weight")
        if self._grad_norms is None:
            weight_grad, bias_grad = self._norms_of("weight_grad", "bias_grad")
        else:
            weight_grad, bias_grad = np.array(self._grad_norms).T
        sizes = [1 if sample.delta is None else sample.delta.numel() for sample in samples]
        of["delta_norm"][:], of["delta_rms"][:] = delta, delta / np.sqrt(sizes)
        of["activation_grad_norm"][:] = h_grad
        of["backward_gain"][:-1] = delta[:-1] / delta[1:]
        of["weight_norm"][:], of["weight_grad_norm"][:] = weight, weight_grad
        of["bias_grad_norm"][:] = bias_grad
        of["grad_to_weight"][:] = weight_grad / weight

    def _norms_of(self, *quantities: str) -> Array:
        every = norms([getattr(sample, quantity) for quantity in quantities for sample in self._samples])
        return np.array(every).reshape(len(quantities), -1)

    def _add_by_definition(self) -> None:
        unread = self._unread
        if not unread and not self._by_definition.any():
            return
        asked = [metric for metric in self._metrics if metric.of_signal or metric in unread]
        for place in np.flatnonzero(self._by_definition | bool(unread)).tolist():
            for metric in asked if self._by_definition[place] else unread:
                self._of[metric.name][place] = _defined(metric, self._samples[place])


def _defined(metric: Metric, sample: LayerSample) -> float:
    return NAN if metric.of_signal and sample.is_unseen else metric.measure(sample)


# What is read off here. A metric that the registry has besides is measured by its definition.
_READ = frozenset(
    (
        "pre_activation_mean", "pre_activation_std", "activation_mean", "activation_std", "slope_mean",
        "saturation", "saturation_low", "saturation_high", "zero_fraction", "delta_norm", "delta_rms",
        "activation_grad_norm", "backward_gain", "weight_norm", "weight_grad_norm", "bias_grad_norm",
        "grad_to_weight", "update_ratio", "time_ratio",
    )
)  # fmt: skip
_BATCH_METRICS = tuple(layer_metrics(at_probe=False))
_UNREAD = tuple(metric for metric in _BATCH_METRICS if metric.name not in _READ)
