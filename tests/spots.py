"""Hand-placed autograd: z and h of a forward pass written out by hand, and every number that follows.

It shares no line with nnlab: each metric is written here once more, from definitions.md, section 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

TAU = 1 - 0.97**2
# Each activation with sup abs(phi'). GELU's is at sqrt(2), SiLU's at 2.39936.
PHIS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float]] = {
    "identity": (lambda z: z * 1.0, 1.0),
    "relu": (F.relu, 1.0),
    "leaky_relu": (F.leaky_relu, 1.0),
    "tanh": (torch.tanh, 1.0),
    "sigmoid": (torch.sigmoid, 0.25),
    "gelu": (F.gelu, 1.128904145),
    "silu": (F.silu, 1.099839320),
    "softplus": (F.softplus, 1.0),
    "elu": (F.elu, 1.0),
    "ReLU6": (F.relu6, 1.0),
    "Hardswish": (F.hardswish, 1.5),
    "GELU": (lambda z: F.gelu(z, approximate="tanh"), 1.128998),
    "NewGELU": (lambda z: F.gelu(z, approximate="tanh"), 1.128998),
    "StraightThrough": (lambda z: z.clamp(-1, 1), 1.0),
}


@dataclass
class Spot:
    """One row: a list of pieces (z, h, phi) a call, and the tensor whose gradient is delta."""

    axis: int
    weights: list[torch.Tensor]
    biases: list[torch.Tensor]
    calls: list[list[tuple[torch.Tensor, torch.Tensor, str]]] = field(default_factory=list)
    products: list[torch.Tensor | None] = field(default_factory=list)

    @property
    def activation(self) -> str:
        return "+".join(dict.fromkeys(phi for _, _, phi in self.calls[0]))

    def matrix(self, values: torch.Tensor) -> torch.Tensor:
        return values.movedim(self.axis, -1).reshape(-1, values.shape[self.axis])

    def stacked(self, pick: Callable[[tuple], torch.Tensor]) -> torch.Tensor:
        """Gates side by side, calls below each other."""
        calls = [torch.cat([self.matrix(pick(piece)) for piece in call], 1) for call in self.calls]
        return torch.cat(calls)


def retained(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.requires_grad and not tensor.is_leaf:
        tensor.retain_grad()
    return tensor


class Spots:
    """What a forward pass written out by hand marks on its way; rows in order of execution."""

    def __init__(self) -> None:
        self.rows: dict[str, Spot] = {}

    def gates(
        self,
        row: str,
        pieces: Sequence[tuple[torch.Tensor, str]],
        *,
        of: nn.Module | None = None,
        weights: Sequence[torch.Tensor] = (),
        biases: Sequence[torch.Tensor] = (),
        product: torch.Tensor | None = None,
        hs: Sequence[torch.Tensor] | None = None,
        axis: int = -1,
    ) -> list[torch.Tensor]:
        """Mark one call of a row; give h of every piece."""
        if of is not None:
            weights, biases = [of.weight], [of.bias] if getattr(of, "bias", None) is not None else []
        spot = self.rows.setdefault(row, Spot(axis, list(weights), list(biases)))
        for z, _ in pieces:
            retained(z)
        hs = hs or [retained(PHIS[phi][0](z)) if phi != "identity" else z for z, phi in pieces]
        spot.calls.append([(z, h, phi) for (z, phi), h in zip(pieces, hs, strict=True)])
        spot.products.append(None if product is None else retained(product))
        return list(hs)

    def put(
        self, row: str, z: torch.Tensor, phi: str = "identity", *, h: torch.Tensor | None = None, **more
    ) -> torch.Tensor:
        """Mark one call of a row with one activation; give h."""
        return self.gates(row, [(z, phi)], hs=None if h is None else [h], **more)[0]

    def expected(self, row: str) -> dict[str, float]:
        """Every number of a row, after the backward pass."""
        spot = self.rows[row]
        z, h = (spot.stacked(lambda piece, at=at: piece[at].detach()).double() for at in (0, 1))
        slope, sup = _slopes(spot)
        return {
            "pre_activation_mean": z.mean().item(),
            "pre_activation_std": z.std(correction=0).item(),
            "activation_mean": h.mean().item(),
            "activation_std": h.std(correction=0).item(),
            "zero_fraction": (h == 0).double().mean().item(),
            "slope_mean": slope.double().abs().mean().item(),
            "saturation": (slope.abs() < TAU * sup).double().mean().item(),
            "dead_units": float((slope == 0).all(0).sum()),
            "delta_norm": _total(_delta(spot)),
            "activation_grad_norm": _total([_grad(h) for call in spot.calls for _, h, _ in call]),
            "weight_norm": _total([weight.detach() for weight in spot.weights]),
            "weight_grad_norm": _total([weight.grad for weight in spot.weights]),
            "bias_grad_norm": _total([bias.grad for bias in spot.biases]) if spot.biases else math.nan,
        }

    def time_ratio(self, row: str) -> float:
        """||delta|| of the first call over that of the last."""
        spot = self.rows[row]
        first, last = (
            _total([_grad(z) for z, _, _ in spot.calls[at]])
            if spot.products[at] is None
            else _total([_grad(spot.products[at])])
            for at in (0, -1)
        )
        return first / last


def _slopes(spot: Spot) -> tuple[torch.Tensor, torch.Tensor]:
    """phi' as PyTorch's backward pass computes it, and sup abs(phi') of every unit."""

    def slope(piece: tuple[torch.Tensor, torch.Tensor, str]) -> torch.Tensor:
        z = piece[0].detach()
        leaf = (z if z.dtype == torch.float64 else z.float()).clone().requires_grad_()
        return torch.autograd.grad(PHIS[piece[2]][0](leaf).sum(), leaf)[0]

    sups = [torch.full((z.shape[spot.axis],), PHIS[phi][1]) for z, _, phi in spot.calls[0]]
    return spot.stacked(slope), torch.cat(sups)


def _grad(tensor: torch.Tensor) -> torch.Tensor | None:
    return tensor.grad if tensor.requires_grad else None


def _delta(spot: Spot) -> list[torch.Tensor | None]:
    found = []
    for call, product in zip(spot.calls, spot.products, strict=True):
        found += [_grad(z) for z, _, _ in call] if product is None else [_grad(product)]
    return found


def _total(parts: Sequence[torch.Tensor | None]) -> float:
    """The norm over several tensors in float64; NaN where one has no gradient."""
    if not parts or any(part is None for part in parts):
        return math.nan
    dense = [part.to_dense() if part.is_sparse else part for part in parts]
    return math.sqrt(sum(part.double().square().sum().item() for part in dense))
