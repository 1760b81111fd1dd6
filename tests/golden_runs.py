"""How the golden run files were made, each once: python tests/golden_runs.py NAME writes what is not there.

A golden file is what a released nnlab wrote and is never written again: `tests/test_golden.py` reads all of
them for ever. Beside each stands NAME.csv with its numbers, taken from memory and not from the file.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

import nnlab

FOLDER = Path(__file__).parent / "golden"
COLUMNS = ("step", "what", "name", "layer", "row", "value")
Row = tuple[int, str, str, str, int, str]


def numbers_of(run: nnlab.Run) -> Iterator[Row]:
    """List every number of a run: metrics as repr, counts by row, "none" where nothing was counted."""
    names = [layer.name for layer in run.layers]
    for record in run.records:
        for name, values in record.layers.items():
            for layer, value in zip(names, values, strict=False):
                yield record.step, "layer", name, layer, 0, repr(float(value))
        for name, value in record.network.items():
            yield record.step, "network", name, "", 0, repr(float(value))
        for quantity, counts in record.histograms.items():
            for layer, rows in zip(names, counts, strict=True):
                for number, count in enumerate(["none"] if rows is None else rows.tolist()):
                    if count:
                        yield record.step, "histogram", quantity, layer, number, str(count)


def _schema_1_0() -> None:
    config = nnlab.ExperimentConfig(dataset="iris", depth=2, width=2, batch_size=16, steps=3)
    _keep("schema_1_0", nnlab.train(config))


def _keep(name: str, run: nnlab.Run) -> None:
    run.save(FOLDER / f"{name}.jsonl")
    _keep_numbers(name, run)


def _keep_numbers(name: str, run: nnlab.Run) -> None:
    with (FOLDER / f"{name}.csv").open("x", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *numbers_of(run)])


MAKERS = {"schema_1_0": _schema_1_0}

if __name__ == "__main__":
    for chosen in sys.argv[1:]:
        if (FOLDER / f"{chosen}.jsonl").exists():
            raise SystemExit(f"{chosen}: is there, and golden files are never written again")
        MAKERS[chosen]()
