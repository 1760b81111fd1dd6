"""Seen: tensors of a pass as they came by, and the matrices (examples, units) that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from nnlab.activation_calls import Phi


class Seen:
    """A tensor that came by: its values as they were then and, after the backward pass, its gradient."""

    __slots__ = ("_copy", "_counts", "_on_gradient", "_version", "grad", "needs_gradient", "tensor")

    def __init__(
        self,
        tensor: torch.Tensor,
        *,
        gradients: bool,
        on_gradient: Callable[[], None] | None = None,
        counts: Callable[[], bool] = lambda: True,
    ) -> None:
        self.tensor = tensor.detach()
        self._version = _version(self.tensor)
        self._copy: torch.Tensor | None = None
        self.grad: torch.Tensor | None = None
        self._on_gradient = on_gradient
        self._counts = counts
        self.needs_gradient = gradients and tensor.requires_grad
        if self.needs_gradient:
            # Unlike retain_grad, a hook that stands before a change in place keeps meaning what was before.
            tensor.register_hook(self._add)

    def _add(self, gradient: torch.Tensor) -> None:
        if not self._counts():
            return
        if self._on_gradient is not None:
            self._on_gradient()
        gradient = gradient.detach()
        self.grad = gradient if self.grad is None else self.grad + gradient

    def save(self) -> None:
        """Copy the values, because they are about to be overwritten."""
        if self._copy is None:
            self._copy = self.tensor.clone()

    @property
    def is_current(self) -> bool:
        """Whether the tensor still holds what it held then."""
        return self._copy is None and _version(self.tensor) == self._version

    @property
    def values(self) -> torch.Tensor | None:
        """The values as they came by; None where they were overwritten unseen."""
        if self._copy is not None:
            return self._copy
        return self.tensor if _version(self.tensor) == self._version else None


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version


@dataclass(frozen=True)
class Rows:
    """One quantity of a layer's call as matrices (examples, units); None is what was not measured."""

    z: torch.Tensor | None
    h: torch.Tensor | None
    delta: torch.Tensor | None
    h_grad: torch.Tensor | None
    phis: tuple[tuple[Phi, int], ...]  # with the number of units each is of

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the activations."""
        return tuple(dict.fromkeys(phi.name for phi, _ in self.phis))


def is_matrix(values: torch.Tensor | None, units: int) -> bool:
    """Whether values are what the metrics take as they stand, shape (examples, units)."""
    return (
        values is not None
        and values.dtype is torch.float32
        and values.is_cpu
        and values.layout is torch.strided
        and values.dim() == 2
        and values.shape[1] == units
    )


def as_matrix(values: torch.Tensor, units: int, axis: int) -> torch.Tensor:
    """Give (examples, units): a unit is a feature or a channel, examples are everything else.

    `axis` is where units lie in the layer's own output; after a change of shape they are looked for.
    """
    if values.dim() == 2 and axis == -1:
        return values
    if values.dim() == 0:
        return values.reshape(1, 1)
    if values.dim() < -axis or values.shape[axis] != units:
        fitting = [place for place, size in enumerate(values.shape) if size == units]
        axis = fitting[0] if len(fitting) == 1 else -1
    values = values.movedim(axis, -1)
    return values.reshape(-1, values.shape[-1])


def side_by_side(parts: Sequence[torch.Tensor | None]) -> torch.Tensor | None:
    """Join matrices of the same examples, None where one is missing or does not fit."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not parts or len({len(part) for part in known}) > 1:
        return None
    return known[0] if len(known) == 1 else torch.cat(known, dim=1)


def plain(values: torch.Tensor) -> torch.Tensor:
    """Give values as the metrics take them: dense, at least float32, where float64 is to be had."""
    if values.dtype is torch.float32 and values.is_cpu and values.layout is torch.strided:
        return values
    values = values.to_dense() if values.is_sparse else values
    values = values if values.device.type in ("cpu", "cuda") else values.cpu()
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
