"""gaps: what of a run could not be measured, at which layer, and why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.run import Run


@dataclass(frozen=True)
class Gap:
    """One thing that could not be measured: the layer's name, and why in words."""

    layer: str
    why: str


def _unexplained(run: Run, step: int) -> list[str]:
    """Name the layers without an error signal whose notes do not say why."""
    missing = np.isnan(run.record_at(step).layers["delta_norm"])
    return [layer.name for layer, lost in zip(run.layers, missing, strict=False) if lost and not layer.notes]


def gaps(run: Run, step: int) -> list[Gap]:
    """List what could not be measured of the layers, in order of execution."""
    said = [Gap(layer.name, note) for layer in run.layers for note in layer.notes]
    missing = "no error signal was recorded at this step"
    return said + [Gap(name, missing) for name in _unexplained(run, step)]


def general_notes(run: Run) -> tuple[str, ...]:
    """Give the notes of a run that do not repeat what a layer's own note says."""
    layered = {f"{layer.name}: {note}" for layer in run.layers for note in layer.notes}
    return tuple(note for note in run.notes if note not in layered)
