"""Trails: which layers' calls a tensor comes from, as long as a forward pass is looked at."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nnlab.capture import Call


@dataclass(slots=True)
class Part:
    """That a tensor comes from a layer's call through nothing but shaping.

    `added` says that it was added up with others, `cut` that it is a part of what the layer gave.
    """

    call: Call
    added: bool = False
    cut: bool = False


Parts = Sequence[Part]
_NOTHING: tuple[Parts, int] = ((), 0)


class Trails:
    """What is known of tensors: which calls they come from, and which layers had a part in them (bits)."""

    def __init__(self) -> None:
        # By id, which is free again when a tensor is gone: the reference tells whose it was.
        self._known: dict[int, tuple[weakref.ref[torch.Tensor], Parts, int]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()

    def leave(self, tensor: Any, parts: Parts, influences: int) -> None:
        """Note what a tensor comes from."""
        if not isinstance(tensor, torch.Tensor):
            return
        if parts or influences:
            self._known[id(tensor)] = (weakref.ref(tensor), parts, influences)
        else:
            self._known.pop(id(tensor), None)

    def of(self, tensor: torch.Tensor) -> tuple[Parts, int]:
        """Give what a tensor comes from."""
        known = self._known.get(id(tensor))
        return known[1:] if known is not None and known[0]() is tensor else _NOTHING

    def merge(self, tensors: Sequence[torch.Tensor]) -> tuple[Parts, int]:
        """Give what tensors come from, all together."""
        if len(tensors) == 1:
            return self.of(tensors[0])
        parts: dict[int, Part] = {}
        influences = 0
        for tensor in tensors:
            its_parts, its_influences = self.of(tensor)
            influences |= its_influences
            for part in its_parts:
                parts.setdefault(id(part.call), part)
        return tuple(parts.values()), influences

    def open_parts(self, tensor: torch.Tensor) -> Parts:
        """Give the calls that an activation of a tensor belongs to."""
        parts = self.of(tensor)[0]
        return [part for part in parts if not part.added or not (part.call.is_over or part.call.is_activated)]

    def count_uses(self, tensors: Iterable[torch.Tensor]) -> None:
        """Note that tensors are taken by something."""
        for tensor in tensors:
            for part in self.of(tensor)[0]:
                part.call.uses += part.call.gave(tensor)
