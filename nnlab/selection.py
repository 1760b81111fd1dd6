"""selection: a run with fewer of its layers, so that the charts of a deep network stay readable.

What it gives is for pictures alone. The verdict is that of the whole run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nnlab.layer_names import blocks, depth_of, folded_name
from nnlab.measures import ranked
from nnlab.run import LayerInfo, LayerNumbers, Run, StepRecord

READABLE = 40  # layers; with more of them the rows of a heat map are thinner than a line of text
NO_FOLD = 0


@dataclass(frozen=True)
class Fold:
    """A way to fold: by the first `levels` parts of the names, into `rows` rows; `example` is a large one."""

    levels: int
    rows: int
    example: str


def folds(run: Run) -> list[Fold]:
    """List the ways to fold the hidden layers, the coarsest first, and last not to fold at all."""
    names = [layer.name for layer in run.hidden]
    found: list[Fold] = []
    for levels in range(1, depth_of(names)):
        grouped = blocks(names, levels)
        if 1 < len(grouped) < len(names) and len(grouped) not in [fold.rows for fold in found]:
            largest = max(grouped, key=lambda block: len(block[1]))
            found.append(Fold(levels, len(grouped), largest[0]))
    return [*found, Fold(NO_FOLD, len(names), "")]


def usual_fold(run: Run) -> Fold:
    """Give the finest fold with few enough rows; where all have too many, the coarsest."""
    known = folds(run)
    readable = [fold for fold in known if fold.rows <= READABLE]
    return readable[-1] if readable else known[0]


def _taken(record: StepRecord, places: np.ndarray, layers: int) -> StepRecord:
    """Give a record of some of `layers` layers; numbers that are not one a layer are left out."""
    values = {
        name: numbers[places[places < len(numbers)]]
        for name, numbers in record.layers.items()
        if len(numbers) in (layers, layers - 1)
    }
    histograms = {
        quantity: [counts[place] if place < len(counts) else None for place in places]
        for quantity, counts in record.histograms.items()
    }
    return replace(record, layers=LayerNumbers.of(values), histograms=histograms)


def _with_layers(run: Run, places: Sequence[int], names: Sequence[str]) -> Run:
    """Give a run of the layers at some places, renamed; the last one is the output."""
    layers = tuple(
        replace(run.layers[place], name=name, index=number)
        for number, (place, name) in enumerate(zip(places, names, strict=True), start=1)
    )
    chosen = np.array(places, dtype=int)
    records = tuple(_taken(record, chosen, len(run.layers)) for record in run.records)
    environment = {**run.environment, "model": f"part of {run.environment.get('model', 'your model')}"}
    return replace(run, layers=layers, records=records, environment=environment, model=None)


def matching(layers: Sequence[LayerInfo], text: str) -> list[int]:
    """Give the places of the layers whose name contains a text, in any case; of all for no text."""
    wanted = text.strip().casefold()
    return [place for place, layer in enumerate(layers) if wanted in layer.name.casefold()]


def searched(run: Run, text: str) -> Run:
    """Give the run with the hidden layers whose name contains a text, and its output.

    The run itself where all of them do, or none.
    """
    places = matching(run.hidden, text)
    if len(places) in (0, run.depth):
        return run
    kept = [*places, run.depth]
    return _with_layers(run, kept, [run.layers[place].name for place in kept])


def _folded_rows(run: Run, levels: int, step: int) -> Iterator[tuple[int, str]]:
    """Give, for every block, the place of its layer with the worst error signal, and a name for both."""
    rank = {entry.place: number for number, entry in enumerate(ranked(run, step, "signal"))}
    for block, places in blocks([layer.name for layer in run.hidden], levels):
        worst = min(places, key=lambda place: rank.get(place, run.depth))
        name = run.layers[worst].name
        if len(places) > 1:
            rest = name.removeprefix(block).lstrip(".") or name
            name = folded_name(block, len(places), rest)
        yield worst, name


def folded(run: Run, levels: int, step: int) -> Run:
    """Give the run with one layer a block, the one whose error signal is worst at a step.

    A block is the neighbors whose names begin with the same `levels` parts. Its name says how many layers
    it stands for. The run itself where nothing can be folded.
    """
    rows = list(_folded_rows(run, levels, step)) if levels > NO_FOLD else []
    if len(rows) in (0, run.depth):
        return run
    places, names = zip(*rows, strict=True)
    return _with_layers(run, [*places, run.depth], [*names, run.layers[-1].name])
