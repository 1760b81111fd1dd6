"""Layer meter: the batch metrics of samples, of all layers of one shape at a time.

`nnlab.metrics` says what every number means, and measures it in float64. Here the same numbers come from
fewer and shorter calls, as in `nnlab.meter`; where float32 is not enough, or a layer is not like others, the
definition is asked instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeGuard

import numpy as np
import torch

from nnlab.activations import ACTIVATIONS
from nnlab.kernels import SLOPE
from nnlab.metrics import Metric, layer_metrics, optional_metrics
from nnlab.run import LayerNumbers
from nnlab.samples import NAN, SATURATION_TAU, LayerSample, norm
from nnlab.sums import Array, careful_moments, fits

# Layers are taken together up to this many numbers: 1 MB of float32, a usual L2 cache.
BLOCK = 262_144
# PyTorch's norm adds in float32, in many short sums: over so many numbers it is good to 1e-6.
LONGEST = 1_000_000
# Above this share of the squares a spread about the mean loses less than a digit by being their difference.
MOSTLY_SPREAD = 0.2
# A share of the squares, of which rounding leaves 1e-14 with the mean.
FAR_SMALLER = 1e-8


def _is_plain(values: torch.Tensor | None) -> TypeGuard[torch.Tensor]:
    return values is not None and values.dtype is torch.float32 and values.is_cpu and values.dim() > 0


def _alike(tensors: Sequence[torch.Tensor | None]) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Give tensors of one shape below each other, (tensors, numbers), with their places."""
    places: dict[torch.Size, list[int]] = {}
    for place, values in enumerate(tensors):
        if values is not None and _is_plain(values) and values.numel():
            places.setdefault(values.shape, []).append(place)
    for shape, group in places.items():
        size = shape.numel()
        together = max(1, BLOCK // size)
        for start in range(0, len(group), together):
            some = group[start : start + together]
            rows = [values for place in some if (values := tensors[place]) is not None]
            # Short calls: to join along the first dimension takes half of what stacking flat rows does.
            joined = rows[0] if len(rows) == 1 else torch.cat(rows)
            yield some, joined.reshape(len(rows), size)


def _plain_places(tensors: Sequence[torch.Tensor | None]) -> tuple[list[int], list[torch.Tensor]]:
    """Give the tensors that PyTorch takes many of in one call, with their places."""
    some = [(p, values) for p, values in enumerate(tensors) if _is_plain(values) and values.numel()]
    return [place for place, _ in some], [values for _, values in some]


def norms(tensors: Sequence[torch.Tensor | None]) -> Array:
    """Give Frobenius norms, shape (tensors,); NaN for what was not measured.

    Where float32 is not enough for the squares they are accumulated in float64.
    """
    found = np.full(len(tensors), NAN)
    trusted = np.zeros(len(tensors), dtype=bool)
    places, plain = _plain_places(tensors)
    if plain:
        found[places] = torch.stack(torch._foreach_norm(plain)).numpy()
        trusted[places] = fits(found[places] ** 2) & ([values.numel() <= LONGEST for values in plain])
    for place in np.flatnonzero(~trusted).tolist():
        found[place] = norm(tensors[place])
    return found


def moments(tensors: Sequence[torch.Tensor | None]) -> tuple[Array, Array]:
    """Give means and standard deviations (correction 0), shape (tensors,) each; NaN for what is not there."""
    mean, std = np.full((2, len(tensors)), NAN)
    places, plain = _plain_places(tensors)
    rest = [place for place, values in enumerate(tensors) if values is not None and values.numel()]
    if plain:
        mean[places], std[places], trusted = _plain_moments(plain)
        rest = sorted(set(rest) - set(np.array(places)[trusted].tolist()))
    for place in rest:
        values = tensors[place]
        if values is not None:
            mean[place], std[place] = _carefully(values)
    return mean, std


def _plain_moments(tensors: Sequence[torch.Tensor]) -> tuple[Array, Array, Array]:
    """Give means, standard deviations, and which of them to trust."""
    sizes = np.array([values.numel() for values in tensors])
    means = torch.stack([values.sum() for values in tensors]).numpy() / sizes
    squares = norms(tensors) ** 2
    spread = squares - sizes * means**2
    trusted = fits(squares) & (spread > MOSTLY_SPREAD * squares)
    close = np.flatnonzero(~trusted).tolist()
    if close:  # numbers that lie closer to each other than to 0: without their mean, then
        left = torch._foreach_sub([tensors[place] for place in close], means[close].tolist())
        spread[close] = norms(left) ** 2
        # What rounding leaves of the mean weighs nothing beside a spread that is not far smaller.
        trusted[close] = fits(spread[close]) & (spread[close] > FAR_SMALLER * squares[close])
    return means, np.sqrt(np.maximum(spread, 0) / sizes), trusted


def _carefully(values: torch.Tensor) -> tuple[float, float]:
    if _is_plain(values):
        return careful_moments(values.numpy())
    wide = values.double()
    return float(wide.mean()), float(wide.std(correction=0))


class LayerMeter:
    """Measures the batch metrics of the layers of one pass, as `measure_layers` does.

    `updates` are the stds of every layer's weights before the last update, and of that update.
    """

    def __init__(self, samples: Sequence[LayerSample], updates: tuple[Array, Array] | None = None) -> None:
        self._samples, self._updates = samples, updates
        self._metrics = layer_metrics(at_probe=False) + optional_metrics(samples)
        self._of = {metric.name: np.full(len(samples), NAN) for metric in self._metrics}
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
        hidden = len(self._samples) - 1
        numbers = {
            m.name: self._of[m.name][:hidden] if m.hidden_only else self._of[m.name] for m in self._metrics
        }
        # The last hidden layer's gain would compare it with the linear output: definitions.md.
        numbers["backward_gain"][-1:] = NAN
        return LayerNumbers.of(numbers)

    def _measure_signals(self) -> None:
        seen = [None if sample.is_unseen else sample for sample in self._samples]
        z = [None if sample is None else sample.z for sample in seen]
        hidden = seen[:-1]
        h = [None if sample is None else sample.h for sample in hidden]
        mean, std = moments(z + h)
        self._of["pre_activation_mean"][:], self._of["pre_activation_std"][:] = mean[: len(z)], std[: len(z)]
        self._of["activation_mean"][:-1], self._of["activation_std"][:-1] = mean[len(z) :], std[len(z) :]
        self._measure_slopes(hidden)
        finite = np.isfinite(self._of["pre_activation_mean"])
        self._by_definition |= ~finite & np.array([sample is not None for sample in seen])

    def _measure_slopes(self, hidden: Sequence[LayerSample | None]) -> None:
        by_name: dict[str, list[int]] = {}
        for place, sample in enumerate(hidden):
            if sample is None:
                continue
            if sample.activation in ACTIVATIONS and _is_plain(sample.z) and _is_plain(sample.h):
                by_name.setdefault(sample.activation, []).append(place)
            else:
                self._by_definition[place] = True
        for name, places in by_name.items():
            samples = [self._samples[place] for place in places]
            for (some, z), (_, h) in zip(
                _alike([s.z for s in samples]), _alike([s.h for s in samples]), strict=True
            ):
                self._count(name, np.array(places)[some], z, h)

    def _count(self, name: str, places: Array, z: torch.Tensor, h: torch.Tensor) -> None:
        """Measure the slopes and the flat, and count the zeros, of layers of one shape and activation."""
        entry, size = ACTIVATIONS[name], z.shape[1]
        if name in SLOPE:
            slope = torch.empty_like(h)
            SLOPE[name](h, slope)
        else:
            slope = entry.derivative(z).abs_()
        self._of["slope_mean"][places] = slope.sum(-1).numpy() / np.float64(size)
        slopes = slope.numpy()
        flat = slopes == 0 if entry.slope_sup == 0 else slopes < SATURATION_TAU * entry.slope_sup
        self._of["saturation"][places] = _shares(flat)
        self._of["zero_fraction"][places] = _shares(h.numpy() == 0)
        if entry.two_sided:
            low = _shares(flat & (z.numpy() < 0))
            self._of["saturation_low"][places] = low
            self._of["saturation_high"][places] = self._of["saturation"][places] - low

    def _measure_norms(self) -> None:
        samples, of = self._samples, self._of
        quantities = ("delta", "h_grad", "weight", "weight_grad", "bias_grad")
        every = norms([getattr(sample, quantity) for quantity in quantities for sample in samples])
        delta, h_grad, weight, weight_grad, bias_grad = every.reshape(len(quantities), len(samples))
        sizes = [1 if sample.delta is None else sample.delta.numel() for sample in samples]
        of["delta_norm"][:], of["delta_rms"][:] = delta, delta / np.sqrt(sizes)
        of["activation_grad_norm"][:] = h_grad
        of["backward_gain"][:-1] = delta[:-1] / delta[1:]
        of["weight_norm"][:], of["weight_grad_norm"][:], of["bias_grad_norm"][:] = (
            weight,
            weight_grad,
            bias_grad,
        )
        of["grad_to_weight"][:] = weight_grad / weight

    def _add_by_definition(self) -> None:
        unread = [metric for metric in self._metrics if metric.name not in _READ]
        asked = [metric for metric in self._metrics if metric.of_signal or metric in unread]
        for place in np.flatnonzero(self._by_definition | bool(unread)).tolist():
            for metric in asked if self._by_definition[place] else unread:
                self._of[metric.name][place] = _defined(metric, self._samples[place])


def _defined(metric: Metric, sample: LayerSample) -> float:
    return NAN if metric.of_signal and sample.is_unseen else metric.measure(sample)


def _shares(flags: Array) -> Array:
    return np.array([np.count_nonzero(row) for row in flags]) / flags.shape[1]


# What is read off here. A metric that the registry has besides is measured by its definition.
_READ = frozenset(
    (
        "pre_activation_mean", "pre_activation_std", "activation_mean", "activation_std", "slope_mean",
        "saturation", "saturation_low", "saturation_high", "zero_fraction", "delta_norm", "delta_rms",
        "activation_grad_norm", "backward_gain", "weight_norm", "weight_grad_norm", "bias_grad_norm",
        "grad_to_weight", "update_ratio", "time_ratio",
    )
)  # fmt: skip
