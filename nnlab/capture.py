"""Capture: what a probe saw of one layer, over all its calls, until it becomes a sample."""

from __future__ import annotations

import math
import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn

from nnlab.activation_calls import IDENTITY, Phi
from nnlab.activations import ACTIVATIONS
from nnlab.fused import FusedCall
from nnlab.run import LayerInfo
from nnlab.samples import LayerSample, norm
from nnlab.seen import Rows, Seen, as_matrix, is_matrix, plain, side_by_side

OVERWRITTEN = "its output was overwritten in place by something that cannot be seen"
NO_GRADIENT = "no gradient reaches this layer's output: nothing before it needs one"
WITHOUT_GRADIENTS = (
    "no gradient reaches this layer's output: it was computed without gradients, as under no_grad"
)


@dataclass(slots=True)
class Piece:
    """One activation of a layer's output, or of a part of it."""

    z: Seen
    h: Seen
    phi: Phi


@dataclass(slots=True)
class Call:
    """One execution of a layer and of what follows it.

    `uses` counts what takes the output; `normalized` is what the first normalization made of it. `is_over`
    says that a sum it went into was taken by another layer, so that no later activation belongs to it;
    `is_activated` that an activation took it whole: then that of a later sum is another layer's.
    """

    seen: Seen
    bit: int
    output: weakref.ref[torch.Tensor] | None
    passed: int = 0
    pieces: list[Piece] = field(default_factory=list)
    normalized: Seen | None = None
    uses: int = 0
    is_over: bool = False
    is_activated: bool = False

    def gave(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is the output itself."""
        return self.output is not None and self.output() is tensor

    @property
    def got_gradient(self) -> bool:
        """Whether a backward pass came by."""
        return self.seen.grad is not None

    @property
    def base(self) -> Seen:
        """What stands for the whole output: after a normalization, where that alone takes it."""
        return self.normalized if self.normalized is not None and self.uses == 1 else self.seen


def _stacked(parts: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts) or len({part.shape[1] for part in known}) > 1:
        return None
    return torch.cat(known)


def _filled(gradients: Sequence[torch.Tensor | None], rows: Sequence[Rows]) -> list[torch.Tensor | None]:
    """Give 0 for calls whose output the loss does not depend on, where that of another call it does."""
    if all(gradient is None for gradient in gradients):
        return list(gradients)
    return [
        torch.zeros_like(row.z) if gradient is None and row.z is not None else gradient
        for gradient, row in zip(gradients, rows, strict=True)
    ]


def _all_together(every: Sequence[Rows]) -> Rows:
    """Give what all calls of a layer left below each other, the first one's activations."""
    if len(every) == 1:
        return every[0]
    return Rows(
        z=_stacked([rows.z for rows in every]),
        h=_stacked([rows.h for rows in every]),
        delta=_stacked(_filled([rows.delta for rows in every], every)),
        h_grad=_stacked(_filled([rows.h_grad for rows in every], every)),
        phis=every[0].phis,
    )


@dataclass(frozen=True)
class Grads:
    """Where gradients are read from.

    `kept` are those of parameters as they were when the backward pass ended, by id, as far as they are
    needed; without them the parameters' own are read. `norms` are the norms of all of them, by id. `scale`
    is what a loss scaler multiplied the loss by, `kept_scale` what is still in those of the parameters.
    """

    kept: Mapping[int, torch.Tensor] | None = None
    norms: Mapping[int, float] = field(default_factory=dict)
    scale: float = 1.0
    kept_scale: float = 1.0

    def norm_of(self, parameters: Sequence[torch.Tensor]) -> float:
        """Give the norm of the gradients of some parameters together, NaN where there is none."""
        known = [norm for parameter in parameters if (norm := self.norms.get(id(parameter))) is not None]
        if len(known) == 1:
            return known[0] / self.kept_scale
        return math.hypot(*known) / self.kept_scale if known else math.nan

    def of(self, parameter: torch.Tensor) -> torch.Tensor | None:
        """Give the gradient of a parameter, None where there is none."""
        grad = parameter.grad if self.kept is None else self.kept.get(id(parameter))
        return None if grad is None else _unscaled(plain(grad), self.kept_scale)

    def signal(self, gradient: torch.Tensor | None) -> torch.Tensor | None:
        """Give the gradient of what a layer computed."""
        return None if gradient is None else _unscaled(gradient, self.scale)


def _unscaled(gradient: torch.Tensor, scale: float) -> torch.Tensor:
    return gradient if scale == 1 else gradient / scale


@dataclass
class Capture:
    """What a probe saw of one layer; `parameter` names the weight of its module that makes it a row.

    `bit` stands for it where a tensor's past is told.
    """

    name: str
    module: nn.Module
    parameter: str
    bit: int = 0
    calls: list[Call] = field(default_factory=list)
    fused: list[FusedCall] = field(default_factory=list)
    is_recurrent: bool = False
    computed_weight: weakref.ref[torch.Tensor] | None = None
    weight_seen: list[Seen] = field(default_factory=list)

    @property
    def called(self) -> Sequence[Call | FusedCall]:
        """All executions."""
        return self.fused or self.calls

    def keep_passes(self, passes: Collection[int]) -> None:
        """Forget the executions of all passes but these."""
        self.calls = [call for call in self.calls if call.passed in passes]
        self.fused = [call for call in self.fused if call.passed in passes]

    @property
    def is_executed(self) -> bool:
        """Whether it was executed with at least one example."""
        return bool(self.fused) or any([call.seen.tensor.numel() for call in self.calls])

    @property
    def weights(self) -> list[torch.Tensor]:
        """The weights: one tensor, or the several of a module that computes all at once."""
        if self.fused:
            return self.fused[0].weights(self.parameter)
        if self.weight_seen:
            return [self.weight_seen[-1].tensor]
        weight = getattr(self.module, "weight" if self.parameter == "tied" else self.parameter)
        return [weight]

    @property
    def biases(self) -> list[torch.Tensor]:
        """The biases."""
        if self.fused:
            return self.fused[0].biases(self.parameter)
        bias = getattr(self.module, "bias", None) if self.parameter == "weight" else None
        return [bias] if isinstance(bias, torch.Tensor) else []

    @property
    def is_trainable(self) -> bool:
        """Whether a weight is to learn."""
        computed = [p for p in self.module.parameters() if p.requires_grad] if self.weight_seen else []
        return bool(computed) or any(weight.requires_grad for weight in self.weights)

    def _axis(self) -> int:
        if isinstance(self.module, nn.modules.conv._ConvNd):
            return 1 - self.module.weight.dim()
        return -1

    def _units(self, call: Call) -> int:
        shape = call.seen.tensor.shape
        axis = self._axis()
        return int(shape[axis]) if len(shape) >= -axis else int(shape[-1]) if shape else 1

    def _plain_rows(self, call: Call) -> Rows | None:
        """Give what one call of the usual kind left, which is matrices already; None for any other."""
        pieces, shape = call.pieces, call.seen.tensor.shape
        if len(pieces) > 1 or len(shape) != 2 or isinstance(self.module, nn.modules.conv._ConvNd):
            return None
        units = shape[1]
        z, h = (pieces[0].z, pieces[0].h) if pieces else (call.base, call.base)
        z_values, h_values, delta, h_grad = z.values, h.values, z.grad, h.grad
        if not is_matrix(z_values, units) or not (h is z or is_matrix(h_values, units)):
            return None
        if not (delta is None or is_matrix(delta, units)) or not (h_grad is None or is_matrix(h_grad, units)):
            return None
        return Rows(z_values, h_values, delta, h_grad, ((pieces[0].phi if pieces else IDENTITY, units),))

    def rows(self, call: Call) -> Rows:
        """Give what one call left."""
        plain_rows = self._plain_rows(call)
        if plain_rows is not None:
            return plain_rows
        units, axis = self._units(call), self._axis()

        def matrix(values: torch.Tensor | None) -> torch.Tensor | None:
            return None if values is None else as_matrix(plain(values), units, axis)

        pieces = call.pieces
        if not pieces:
            z, grad = matrix(call.base.values), matrix(call.base.grad)
            return Rows(z, z, grad, grad, ((IDENTITY, units),))
        zs = [matrix(piece.z.values) for piece in pieces]
        widths = [units // len(pieces) if z is None else z.shape[1] for z in zs]
        is_whole = len(pieces) == 1 and widths[0] == units
        delta = pieces[0].z.grad if is_whole else call.base.grad
        return Rows(
            z=side_by_side(zs),
            h=side_by_side([matrix(piece.h.values) for piece in pieces]),
            delta=matrix(delta),
            h_grad=side_by_side([matrix(piece.h.grad) for piece in pieces]),
            phis=tuple((piece.phi, width) for piece, width in zip(pieces, widths, strict=True)),
        )

    def all_rows(self) -> list[Rows]:
        """Give what every call with examples left; the backward pass must be done."""
        if self.fused:
            return [call.rows_of(self.parameter) for call in self.fused]
        return [self.rows(call) for call in self.calls if call.seen.tensor.numel()]

    @property
    def phis(self) -> tuple[tuple[Phi, int], ...]:
        """The activations, as the first call had them, with their numbers of units."""
        if self.fused:
            return self.fused[0].phis(self.parameter)
        called = [call for call in self.calls if call.seen.tensor.numel()]
        with_pieces = [call for call in called if call.pieces]
        return self.rows((with_pieces or called)[0]).phis

    @property
    def activations(self) -> str:
        """The names of its activations, as far as they are told without looking at numbers."""
        return "+".join(piece.phi.name for call in self.calls for piece in call.pieces)

    def needs_gradient(self) -> bool:
        """Whether an error signal is to come here at all."""
        if self.fused:
            return any(call.needs_gradient for call in self.fused)
        return any([call.seen.needs_gradient for call in self.calls])

    def notes(self, gradients: bool) -> tuple[str, ...]:
        """Say what could not be measured, and why."""
        notes = []
        if gradients and not self.needs_gradient():
            notes.append(WITHOUT_GRADIENTS if self.is_trainable else NO_GRADIENT)
        if self.fused:
            notes += self.fused[0].notes(self.parameter)
        elif any(call.base.values is None for call in self.calls):
            notes.append(OVERWRITTEN)
        return tuple(notes)

    def info(self, index: int, gradients: bool) -> LayerInfo:
        """Describe the layer."""
        phis = self.phis
        return LayerInfo(
            name=self.name,
            index=index,
            activation="+".join(dict.fromkeys(phi.name for phi, _ in phis)),
            weight_shape=_units_first(self.weights, sum(width for _, width in phis)),
            trainable=self.is_trainable,
            slope_sup=max(phi.slope_sup(torch.empty(0)) for phi, _ in phis),
            notes=self.notes(gradients),
        )

    def sample(self, delta_norm_after: float, grads: Grads | None) -> LayerSample:
        """Give everything one record needs of this layer; without `grads` nothing of a backward pass."""
        rows = _all_together(self.all_rows())
        z, h, phis = rows.z, rows.h, rows.phis
        if z is None or h is None or z.shape != h.shape:
            z = h = torch.empty(0, sum(width for _, width in phis))
        backward: dict[str, Any] = {}
        if grads is not None:
            backward = {
                "delta": grads.signal(rows.delta),
                "h_grad": grads.signal(rows.h_grad),
                "weight_grad": self._weight_grad(grads),
                "bias_grad": _joined([grads.of(bias) for bias in self.biases]),
                "time_ratio": self._time_ratio(),
                "awaits_delta": self.needs_gradient(),
            }
        weight = _joined([weight.detach() for weight in self.weights])
        if len(phis) == 1 and phis[0][0].function is None:
            phi, entry = phis[0][0], ACTIVATIONS[phis[0][0].name]
            return LayerSample(
                z=z,
                h=h,
                derivative=phi.slope,
                slope_sup=entry.slope_sup,
                two_sided=entry.two_sided,
                weight=weight,
                delta_norm_after=delta_norm_after,
                activation=phi.name,
                **backward,
            )
        return LayerSample(
            z=z,
            h=h,
            derivative=partial(_slopes, phis),
            slope_sup=_slope_sups(phis, z),
            two_sided=all(phi.two_sided for phi, _ in phis),
            weight=weight,
            delta_norm_after=delta_norm_after,
            gates=tuple(width for _, width in phis) if len(phis) > 1 else (),
            **backward,
        )

    def grad_norms(self, grads: Grads) -> tuple[float, float]:
        """Give the norms of the gradients of its weights and of its biases; NaN where there is none."""
        computed = self._weight_grad(grads) if self.weight_seen else None
        of_weights = grads.norm_of(self.weights) if computed is None else norm(computed)
        return of_weights, grads.norm_of(self.biases)

    def _weight_grad(self, grads: Grads) -> torch.Tensor | None:
        if not self.weight_seen:
            return _joined([grads.of(weight) for weight in self.weights])
        known = [seen.grad for seen in self.weight_seen if seen.grad is not None]
        return grads.signal(plain(torch.stack(known).sum(0))) if known else None

    def _time_ratio(self) -> float:
        """Give ||delta|| at the first call of the latest pass over that at the last, of a recurrent layer."""
        if self.fused and len(self.fused) == 1:
            return self.fused[0].time_ratio
        if not self.is_recurrent:
            return math.nan
        made: Sequence[Call | FusedCall] = self.fused or self.calls
        deltas = [self._delta_of(call) for call in made if call.passed == made[-1].passed]
        known = [norm(delta) for delta in deltas if delta is not None]
        return known[0] / known[-1] if len(known) > 1 and known[-1] > 0 else math.nan

    def _delta_of(self, call: Call | FusedCall) -> torch.Tensor | None:
        return self.rows(call).delta if isinstance(call, Call) else call.rows_of(self.parameter).delta


def _joined(tensors: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """Give one tensor as it is, several as one row; None where there is none."""
    if len(tensors) == 1:
        return None if tensors[0] is None else plain(tensors[0])
    known = [plain(tensor) for tensor in tensors if tensor is not None]
    if not known:
        return None
    return known[0] if len(known) == 1 else torch.cat([tensor.flatten() for tensor in known])


def _units_first(weights: Sequence[torch.Tensor], units: int) -> tuple[int, ...]:
    """Give a weight's shape with its units first, as that of a linear layer is."""
    shape = tuple(weights[0].shape)
    if len(weights) > 1 or units not in shape:
        return (units, sum(weight.numel() for weight in weights) // max(1, units))
    place = shape.index(units)
    return (units, *shape[:place], *shape[place + 1 :])


def _slopes(phis: Sequence[tuple[Phi, int]], z: torch.Tensor) -> torch.Tensor:
    if len(phis) == 1:
        return phis[0][0].slope(z)
    columns = z.split([width for _, width in phis], dim=1)
    return torch.cat([phi.slope(part) for (phi, _), part in zip(phis, columns, strict=True)], dim=1)


def _slope_sups(phis: Sequence[tuple[Phi, int]], z: torch.Tensor) -> float | torch.Tensor:
    """Give sup abs(phi'), one number, or one a unit where there are several activations."""
    if len(phis) == 1:
        return phis[0][0].slope_sup(z)
    columns = z.split([width for _, width in phis], dim=1)
    sups = [(phi.slope_sup(part), width) for (phi, width), part in zip(phis, columns, strict=True)]
    return torch.cat([torch.full((width,), sup if sup else math.inf) for sup, width in sups])
