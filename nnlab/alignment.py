"""Alignment: records of a model whose set of layers grew on the way, on the layers that it has in the end.

Layers only grow: part of a model may run for the first time at step 40.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nnlab.histogram import bin_edges
from nnlab.metrics import METRICS
from nnlab.run import LayerInfo, LayerNumbers, StepRecord


def merged(known: tuple[LayerInfo, ...], seen: tuple[LayerInfo, ...]) -> tuple[LayerInfo, ...]:
    """Give the known layers and the new ones of `seen`, each right after its predecessor there.

    A layer that is known stays where it is; what is said of a layer seen anew replaces what was.
    """
    if known == seen:
        return known
    names = [layer.name for layer in known]
    infos = {layer.name: layer for layer in (*known, *seen)}
    before = ""
    for layer in seen:
        if layer.name not in names:
            names.insert(names.index(before) + 1 if before else 0, layer.name)
        before = layer.name
    return tuple(replace(infos[name], index=number) for number, name in enumerate(names, start=1))


def grows_into(before: tuple[LayerInfo, ...], after: tuple[LayerInfo, ...]) -> bool:
    """Whether `after` holds all layers of `before` in their order."""
    known = {layer.name for layer in before}
    return [layer.name for layer in after if layer.name in known] == [layer.name for layer in before]


def aligned(record: StepRecord, before: tuple[LayerInfo, ...], after: tuple[LayerInfo, ...]) -> StepRecord:
    """Give a record of the layers `before` as one of the layers `after`: NaN, None where one was not there.

    What was the output and is hidden now has NaN in the metrics that have no meaning for an output. What
    only a newer nnlab knows is left out where it has no number a layer.
    """
    if [layer.name for layer in before] == [layer.name for layer in after]:
        return _with_histograms(record, before, after) if record.histograms else record
    place = {layer.name: number for number, layer in enumerate(after)}
    places = np.array([place.get(layer.name, -1) for layer in before], dtype=int)
    values = {
        name: _spread(numbers, places, len(after) - _is_hidden_only(name, numbers, len(before)))
        for name, numbers in record.layers.items()
        if name in METRICS or len(before) - 1 <= len(numbers) <= len(before)
    }
    moved = replace(record, layers=LayerNumbers.of(values))
    return _with_histograms(moved, before, after) if record.histograms else moved


def _is_hidden_only(metric: str, numbers: np.ndarray, layers: int) -> bool:
    known = METRICS.get(metric)  # a newer nnlab's metrics are told by their length
    return len(numbers) < layers if known is None else known.hidden_only


def _spread(numbers: np.ndarray, places: np.ndarray, length: int) -> np.ndarray:
    """Put each number into its place, NaN elsewhere; what has no place is left out."""
    spread = np.full(length, np.nan)
    places = places[: len(numbers)]
    is_placed = (places >= 0) & (places < length)
    spread[places[is_placed]] = numbers[: len(places)][is_placed]
    return spread


def _with_histograms(
    record: StepRecord, before: tuple[LayerInfo, ...], after: tuple[LayerInfo, ...]
) -> StepRecord:
    histograms = {
        quantity: _moved(rows, quantity, before, after) for quantity, rows in record.histograms.items()
    }
    return replace(record, histograms=histograms)


def _moved(
    rows: Sequence[np.ndarray | None],
    quantity: str,
    before: tuple[LayerInfo, ...],
    after: tuple[LayerInfo, ...],
) -> list[np.ndarray | None]:
    counted = {layer.name: (layer, counts) for layer, counts in zip(before, rows, strict=True)}
    moved: list[np.ndarray | None] = []
    for layer in after:
        earlier, counts = counted.get(layer.name, (layer, None))
        # Another activation than was thought at first may have other bins, in which counts mean nothing.
        has_same_bins = earlier.activation == layer.activation or np.array_equal(
            bin_edges(quantity, earlier.activation), bin_edges(quantity, layer.activation)
        )
        moved.append(counts if has_same_bins else None)
    return moved
