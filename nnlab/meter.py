"""Meter: the batch metrics of an engine's pass, taken block by block of layers while these lie in cache.

`nnlab.metrics` says what every number means, and measures it in float64. Here the same numbers come from as
few reads as they can: short sums in float32, collected in float64. Wherever float32 is not enough (a sum of
squares near its limits, a NaN) the definition is asked instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from nnlab.engine import Engine
from nnlab.kernels import SLOPE
from nnlab.metrics import layer_metrics
from nnlab.run import LayerNumbers
from nnlab.samples import NAN, SATURATION_TAU, LayerSample
from nnlab.sums import (
    SCALE,
    SMALLEST_SQUARE,
    Array,
    Both,
    Call,
    careful_moments,
    center,
    dots,
    fits,
    settle,
    summing,
)

# Hidden layers are taken together up to this many numbers of z and h, or of weights: 1 MB of float32, a
# usual L2 cache. Smaller blocks lose more by calls than they gain by lying in cache (benchmarks overhead).
BLOCK = 262_144


def _slices(first: int, stop: int, together: int) -> Iterator[slice]:
    """Give the layers from first to stop (not included), so many at a time."""
    for start in range(first, stop, together):
        yield slice(start, min(start + together, stop))


@dataclass(frozen=True)
class _Block:
    """Hidden layers that are measured together.

    Shapes: `parts`, z and h together or apart, (2 or 1, layers, models, numbers), scratch alike, slope
    (layers, models, numbers), flags (3, layers, models, numbers).
    """

    layers: slice
    z: Both
    h: Both
    parts: list[tuple[tuple[slice, slice], Both]]
    square_parts: list[Call]
    scratch: Both
    slope: Both
    flags: Array
    flag_rows: list[Array]


@dataclass(frozen=True)
class _Rows:
    """What has a norm: one quantity of some layers, shape (layers, models, numbers)."""

    quantity: int
    layers: slice
    numbers: Array


DELTA, H_GRAD, WEIGHT, WEIGHT_GRAD, BIAS_GRAD = range(5)
Z, H, WEIGHT_BEFORE, UPDATE = range(4)


def _numbers(buffer: torch.Tensor, layers: slice) -> torch.Tensor:
    return buffer[layers].flatten(2)


def _stack(parts: list[torch.Tensor], layers: slice) -> torch.Tensor:
    """Give equal tensors (models, ...) that lie one stride apart as one (layers, models, numbers)."""
    chosen = [part.flatten(1) for part in parts[layers]]
    first = chosen[0]
    stride = chosen[1].storage_offset() - first.storage_offset() if len(chosen) > 1 else 0
    return first.as_strided((len(chosen), *first.shape), (stride, *first.stride()))


class Meter:
    """Watches the passes of an engine; `read` then gives the batch metrics of every layer and model."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.check: Callable[[], None] = lambda: None
        depth, models, batch, width = engine.z.shape
        self._together = max(1, BLOCK // (2 * models * batch * width))
        self._metrics = layer_metrics(at_probe=False)
        self._unread = [metric for metric in self._metrics if metric.name not in _READ]
        self._columns = {
            metric.name: (row, depth if metric.hidden_only else depth + 1)
            for row, metric in enumerate(self._metrics)
        }
        self._numbers = np.full((len(self._metrics), depth + 1, models), NAN)
        self._of = dict(zip(self._columns, self._numbers, strict=True))
        # What norms (first of `_squares`) and moments (the rest, with `_means`) are made of when asked for.
        self._squares = np.full((5, depth + 1, models), NAN)
        self._spread_squares, self._means, self._left = np.full((3, 4, depth + 1, models), NAN)
        self._before = torch.zeros_like(engine.values)
        self._make_sizes()
        self._make_blocks()
        self._make_rows()
        self._make_updates()
        engine.watch(self)

    def _make_sizes(self) -> None:
        depth, _, batch, width = self._engine.z.shape
        numbers = [batch * width] * depth + [self._engine.outputs[0].numel()]
        weights = [weight[0].numel() for weight in self._engine.weights]
        self._sizes = np.array([numbers, numbers, weights, weights], dtype=np.float64)[:, :, None]
        self._root_of_size = np.sqrt(self._sizes[Z])

    def _make_blocks(self) -> None:
        engine, depth = self._engine, len(self._engine.z)
        both = engine.z_and_h.flatten(3)
        # Two layers' z and h fit into the cache together only where layers are small.
        cuts = (slice(0, 2),) if self._together > 1 else (slice(0, 1), slice(1, 2))
        scratch = torch.zeros(2 // len(cuts), min(self._together, depth), *both.shape[2:])
        whole = np.zeros((3, *scratch.shape[1:]), dtype=bool)
        self._blocks: dict[int, _Block] = {}
        for layers in _slices(0, depth, self._together):
            count = layers.stop - layers.start
            flags = whole[:, :count]
            self._blocks[layers.stop - 1] = _Block(
                layers=layers,
                z=Both.of(both[Z, layers]),
                h=Both.of(both[H, layers]),
                parts=[((cut, layers), Both.of(both[cut, layers])) for cut in cuts],
                square_parts=[self._squaring(scratch[:, :count], (cut, layers)) for cut in cuts],
                scratch=Both.of(scratch[:, :count]),
                slope=Both.of(scratch[0, :count]),
                flags=flags,
                flag_rows=[row for flag in flags for layer in flag for row in layer],
            )

    def _squaring(self, scratch: torch.Tensor, place: tuple[slice, slice]) -> Call:
        numbers = scratch.numpy()
        return summing(numbers, numbers, self._spread_squares[place])

    def _make_rows(self) -> None:
        """Settle what is squared when a layer's backward pass is done."""
        engine, depth = self._engine, len(self._engine.z)
        output = slice(depth, depth + 1)
        self._rows: dict[int, list[_Rows]] = {layer: [] for layer in range(depth + 1)}
        for layers in _slices(0, depth, self._together):
            self._rows[layers.start] += [
                _Rows(DELTA, layers, _numbers(engine.delta, layers).numpy()),
                _Rows(H_GRAD, layers, _numbers(engine.h_grad, layers).numpy()),
            ]
        delta = engine.output_delta.flatten(1).unsqueeze(0).numpy()
        self._rows[depth] += [_Rows(DELTA, output, delta), _Rows(H_GRAD, output, delta)]
        # The first layer and the output have other shapes than those between.
        for layers in (slice(0, 1), *_slices(1, depth, self._together), output):
            self._rows[layers.start] += [
                _Rows(WEIGHT, layers, _stack(engine.weights, layers).numpy()),
                _Rows(WEIGHT_GRAD, layers, _stack(engine.weight_grads, layers).numpy()),
            ]
        self._bias_rows = [
            _Rows(BIAS_GRAD, layers, _stack(engine.bias_grads, layers).numpy())
            for layers in (slice(0, depth), output)
            if engine.bias_grads
        ]
        self._square_rows = {layer: self._squarings(rows) for layer, rows in self._rows.items()}
        self._square_biases = self._squarings(self._bias_rows)

    def _squarings(self, every: list[_Rows]) -> list[Call]:
        return [
            summing(rows.numbers, rows.numbers, self._squares[rows.quantity, rows.layers]) for rows in every
        ]

    def _make_updates(self) -> None:
        """Settle which weights are compared with which after an update."""
        engine, depth = self._engine, len(self._engine.z)
        before = [self._before_of(weight) for weight in engine.weights]
        sizes = [weight.numel() for weight in engine.weights]
        together = max(1, BLOCK // max(sizes))
        most = max(self._sizes.max(), together * max(sizes))
        self._update = np.zeros(int(most), dtype=np.float32)
        self._ones = np.ones(max(sizes), dtype=np.float32)
        self._after_update: list[Call] = []
        for layers in (slice(0, 1), *_slices(1, depth, together), slice(depth, depth + 1)):
            now, old = _stack(engine.weights, layers).numpy(), _stack(before, layers).numpy()
            update = self._update[: now.size].reshape(now.shape)
            self._after_update.append(partial(np.subtract, now, old, update))
            for quantity, numbers in ((WEIGHT_BEFORE, old), (UPDATE, update)):
                ones = self._ones[: now.shape[-1]]
                self._after_update += [
                    summing(numbers, ones, self._left[quantity, layers]),
                    summing(numbers, numbers, self._spread_squares[quantity, layers]),
                ]

    def _before_of(self, weight: torch.Tensor) -> torch.Tensor:
        return self._before.as_strided(weight.shape, weight.stride(), weight.storage_offset())

    def forward_done(self, layer: int) -> None:
        """Measure z and h, once a block of layers is complete."""
        self.check()
        block = self._blocks.get(layer)
        if block is None:
            return
        for (place, part), square in zip(block.parts, block.square_parts, strict=True):
            self._means[place], self._left[place] = center(part, block.scratch)
            square()
        self._measure_slope(block)

    def _measure_slope(self, block: _Block) -> None:
        entry, slope = self._engine.entry, block.slope
        if entry.name in SLOPE:
            SLOPE[entry.name](block.h.tensor, slope.tensor)
        else:
            slope = Both.of(entry.derivative(block.z.tensor).abs_())
        size = np.float64(slope.array.shape[-1])
        self._of["slope_mean"][block.layers] = slope.tensor.sum(-1).numpy() / size
        self._count_flags(block, slope.array)

    def _count_flags(self, block: _Block, slope: Array) -> None:
        entry, (flat, low, zero) = self._engine.entry, block.flags
        if entry.slope_sup == 0:  # the step function: flat everywhere, by definition
            np.equal(slope, 0, out=flat)
        else:
            np.less(slope, SATURATION_TAU * entry.slope_sup, out=flat)
        np.equal(block.h.array, 0, out=zero)
        if entry.two_sided:
            np.less(block.z.array, 0, out=low)
            np.logical_and(flat, low, out=low)
        counts = np.array([np.count_nonzero(row) for row in block.flag_rows], dtype=np.float64)
        shares = (counts / slope.shape[-1]).reshape(block.flags.shape[:-1])
        self._of["saturation"][block.layers] = shares[0]
        if entry.two_sided:
            self._of["saturation_low"][block.layers] = shares[1]
        self._of["zero_fraction"][block.layers] = shares[2]

    def backward_done(self, layer: int) -> None:
        """Sum the squares of the error signals, weights and gradients of a block that is complete."""
        self.check()
        for square in self._square_rows[layer]:
            square()

    def before_update(self) -> None:
        """Keep the weights, so that `after_update` can say how far they moved."""
        self._before.copy_(self._engine.values)

    def after_update(self) -> None:
        """Measure the update that was really made."""
        for call in self._after_update:
            call()
        self._left[WEIGHT_BEFORE:] /= self._sizes[WEIGHT_BEFORE:]

    def forget_update(self) -> None:
        """Say nothing of the last update, which was not measured."""
        self._left[WEIGHT_BEFORE:] = NAN
        self._spread_squares[WEIGHT_BEFORE:] = NAN

    def read(self) -> list[LayerNumbers]:
        """Give each model's batch metrics of the last watched pass, as `measure_layers` does."""
        self._measure_outputs()
        self._settle_spreads()
        self._settle_norms()
        measured = []
        for model in range(len(self._engine.models)):
            numbers = self._numbers[:, :, model].copy()
            self._add_by_definition(model, numbers)
            measured.append(LayerNumbers(self._columns, numbers))
        return measured

    def _measure_outputs(self) -> None:
        outputs = self._engine.outputs.flatten(1).numpy().astype(np.float64)
        self._means[Z, -1] = self._left[Z, -1] = outputs.sum(-1) / outputs.shape[-1]
        self._spread_squares[Z, -1] = np.vecdot(outputs, outputs)

    def _settle_spreads(self) -> None:
        std, trusted = settle(self._spread_squares, self._left, self._sizes)
        means = self._means.copy()
        if not trusted[:, :-1].all() or not trusted[Z, -1].all() or not trusted[WEIGHT_BEFORE:].all():
            self._widen_spreads(std, means, trusted)
        self._of["pre_activation_mean"][:], self._of["pre_activation_std"][:] = means[Z], std[Z]
        self._of["activation_mean"][:], self._of["activation_std"][:] = means[H], std[H]
        before, update = std[WEIGHT_BEFORE], std[UPDATE]
        self._of["update_ratio"][:] = update / np.where(before > 0, before, NAN)
        self._of["saturation_high"][:] = self._of["saturation"] - self._of["saturation_low"]
        self._update_stds = before, update

    def _widen_spreads(self, std: Array, means: Array, trusted: Array) -> None:
        """Take in float64 the moments that float32 has no digits for; NaN where nothing was measured."""
        for quantity, layer, model in zip(*np.nonzero(~trusted), strict=True):
            place = (quantity, layer, model)
            if np.isnan(self._left[place]) and quantity >= WEIGHT_BEFORE:
                std[place] = NAN
            elif quantity == H and layer == len(self._engine.z):
                continue  # the output has no activation
            else:
                means[place], std[place] = careful_moments(self._spread_of(quantity, layer, model))

    def _spread_of(self, quantity: int, layer: int, model: int) -> Array:
        engine = self._engine
        if quantity >= WEIGHT_BEFORE:
            now = engine.weights[layer]
            before = self._before_of(now)[model]
            chosen = before if quantity == WEIGHT_BEFORE else now[model] - before
        elif layer == len(engine.z):
            chosen = engine.outputs[model]
        else:
            chosen = engine.z_and_h[quantity, layer, model]
        return np.asarray(chosen.numpy())

    def _settle_norms(self) -> None:
        for square in self._square_biases:
            square()
        self._norms = norms = np.sqrt(self._squares)
        if not fits(self._squares[: 5 if self._bias_rows else BIAS_GRAD]).all():
            self._rescale_norms(norms)
        delta, weight, weight_grad = norms[DELTA], norms[WEIGHT], norms[WEIGHT_GRAD]
        self._of["delta_norm"][:] = delta
        self._of["delta_rms"][:] = delta / self._root_of_size
        self._of["activation_grad_norm"][:] = norms[H_GRAD]
        # The last hidden layer's gain would compare it with the linear output: definitions.md.
        self._of["backward_gain"][:-2] = delta[:-2] / delta[1:-1]
        self._of["weight_norm"][:] = weight
        self._of["weight_grad_norm"][:] = weight_grad
        self._of["bias_grad_norm"][:] = norms[BIAS_GRAD]
        self._of["grad_to_weight"][:] = weight_grad / weight

    def _rescale_norms(self, norms: Array) -> None:
        """Take once more the norms whose squares are near float32's limits, of numbers moved from there."""
        every = [rows for layer in self._rows.values() for rows in layer] + self._bias_rows
        for rows in every:
            squares = self._squares[rows.quantity, rows.layers]
            for layer, model in zip(*np.nonzero(~fits(squares)), strict=True):
                scale = SCALE if squares[layer, model] <= SMALLEST_SQUARE else 1 / SCALE
                row = rows.numbers[layer, model]
                scaled = np.multiply(row, np.float32(scale), out=self._update[: len(row)])
                place = (rows.quantity, rows.layers.start + layer, model)
                norms[place] = np.sqrt(dots(scaled, scaled)) / scale

    def _add_by_definition(self, model: int, numbers: Array) -> None:
        """Measure by definition the layers whose z is not finite, and what is not read off here."""
        broken = ~np.isfinite(numbers[self._columns["pre_activation_mean"][0]])
        if not self._unread and not broken.any():
            return
        samples = self.samples(model)
        for row, metric in enumerate(self._metrics):
            for layer in np.flatnonzero(broken | (metric in self._unread)):
                numbers[row, layer] = metric.measure(samples[layer])
        numbers[self._columns["backward_gain"][0], -2:] = NAN

    def grad_norms(self, model: int) -> list[float]:
        """Give the norms of all parameters' gradients, as `read` found them."""
        kinds = [WEIGHT_GRAD, BIAS_GRAD] if self._bias_rows else [WEIGHT_GRAD]
        norms: list[float] = self._norms[kinds, :, model].ravel().tolist()
        return norms

    def samples(self, model: int) -> list[LayerSample]:
        """Give the tensors themselves, as the probe does, with the last update."""
        before, update = self._update_stds
        stds = zip(before[:, model].tolist(), update[:, model].tolist(), strict=True)
        return [
            replace(sample, weight_std_before=one, update_std=other)
            for sample, (one, other) in zip(self._engine.samples(model), stds, strict=True)
        ]


# What is read off here. A metric that the registry has besides is measured by its definition.
_READ = frozenset(
    (
        "pre_activation_mean", "pre_activation_std", "activation_mean", "activation_std", "slope_mean",
        "saturation", "saturation_low", "saturation_high", "zero_fraction", "delta_norm", "delta_rms",
        "activation_grad_norm", "backward_gain", "weight_norm", "weight_grad_norm", "bias_grad_norm",
        "grad_to_weight", "update_ratio",
    )
)  # fmt: skip
