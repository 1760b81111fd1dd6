"""overlay_sets: sets of configurations worth laying over each other, made from one experiment.

More than MOST cannot be told apart, so all activations and all initializers come in several sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from nnlab.activations import ACTIVATIONS
from nnlab.config import FIELDS, ExperimentConfig
from nnlab.initializers import INITIALIZERS
from nnlab.overlay import MOST, said


@dataclass(frozen=True)
class OverlaySet:
    """Values of one field to compare, and what they are called together."""

    name: str
    field: str
    values: tuple[Any, ...]

    def configs(self, base: ExperimentConfig) -> tuple[ExperimentConfig, ...]:
        """Give the base with each of the values; raises ValueError where the base does not allow one."""
        return tuple(base.replace(**{self.field: value}) for value in self.values)


def _in_sets(noun: str, field: str, values: Sequence[str]) -> list[OverlaySet]:
    """Cut many values into sets of at most MOST, as even as can be, each named by what is in it."""
    count = -(-len(values) // MOST)
    cuts = [round(number * len(values) / count) for number in range(count + 1)]
    parts = [tuple(values[start:end]) for start, end in pairwise(cuts)]
    return [
        OverlaySet(f"All {noun}, {number} of {count}: {', '.join(part)}", field, part)
        for number, part in enumerate(parts, start=1)
    ]


def _named(field: str, values: Sequence[Any]) -> OverlaySet:
    words = [said(field, ExperimentConfig(**{field: value})) for value in values]
    label = FIELDS[field].label
    plain = [word.removeprefix(f"{label.lower()} ") for word in words]
    return OverlaySet(f"{label}: {', '.join(plain)}", field, tuple(values))


_SETS = (
    *_in_sets("activations", "activation", tuple(ACTIVATIONS)),
    *_in_sets("initializers", "initializer", tuple(INITIALIZERS)),
    _named("depth", (2, 5, 10, 20, 50)),
    _named("width", (16, 32, 64, 128)),
    _named("normalization", ("none", "batch", "layer")),
    _named("residual", (False, True)),
    _named("optimizer", FIELDS["optimizer"].options),
    _named("learning_rate", (0.001, 0.01, 0.1, 1.0)),
)
SETS: dict[str, OverlaySet] = {entry.name: entry for entry in _SETS}
