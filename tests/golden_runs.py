"""How the golden run files were made, each once: python tests/golden_runs.py NAME writes what is not there.

A golden file is what a released nnlab wrote and is never written again: `tests/test_golden.py` reads all of
them for ever. Beside each stands NAME.csv with its numbers, taken from memory and not from the file.
"""

from __future__ import annotations

import csv
import json
import math
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import nnlab
from nnlab.run import StepRecord
from nnlab.runfile import to_bytes
from nnlab.runwriter import RunWriter

FOLDER = Path(__file__).parent / "golden"
COLUMNS = ("step", "what", "name", "layer", "row", "value")
Row = tuple[int, str, str, str, int, str]


def numbers_of(run: nnlab.Run) -> Iterator[Row]:
    """List every number of a run: metrics as repr, counts by row, "none" where nothing was counted."""
    names = [layer.name for layer in run.layers]
    for record in run.records:
        for name, values in record.layers.items():
            # What only a newer version knows may have any length.
            for number, value in enumerate(values):
                layer = names[number] if len(values) <= len(names) else str(number)
                yield record.step, "layer", name, layer, 0, repr(float(value))
        for name, value in record.network.items():
            yield record.step, "network", name, "", 0, repr(float(value))
        for quantity, counts in record.histograms.items():
            for layer, rows in zip(names, counts, strict=True):
                for number, count in enumerate(["none"] if rows is None else rows.tolist()):
                    if count:
                        yield record.step, "histogram", quantity, layer, number, str(count)


def _schema_1_0() -> None:
    """Schema 1.0, made with the code of before RunWriter knew layers that come later."""
    config = nnlab.ExperimentConfig(dataset="iris", depth=2, width=2, batch_size=16, steps=3)
    _keep("schema_1_0", nnlab.train(config))


def _diverged() -> None:
    """A run whose numbers end in inf and NaN."""
    config = nnlab.ExperimentConfig(
        dataset="iris", depth=2, width=2, activation="identity", batch_size=16, learning_rate=1e3, steps=60
    )
    run = nnlab.train(config)
    kept = (*run.records[:2], *run.records[-2:])
    _keep("diverged", replace(run, records=kept))


def _own_module() -> None:
    """A module that nnlab did not build, with an activation that it does not know."""
    import torch

    class Odd(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * x

    torch_generator = torch.Generator().manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 2), Odd(), torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 3)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch_generator))
    x = torch.randn(6, 4, generator=torch_generator)
    run = nnlab.diagnose(model, x, torch.tensor([0, 1, 2, 0, 1, 2]))
    layers = (replace(run.layers[0], notes=("its activation's slope is not known",)), *run.layers[1:])
    record = run.records[0]
    rows = {name: [None, *counts[1:]] for name, counts in record.histograms.items()}
    odd = replace(run, layers=layers, records=(replace(record, histograms=rows),))
    _keep("own_module", replace(odd, notes=("größe: 1 module could not be measured",)))


def _interrupted() -> None:
    """A training process that was killed: two whole records, then a piece of one."""
    config = nnlab.ExperimentConfig(dataset="iris", depth=2, width=2, batch_size=16, steps=3)
    run = nnlab.train(config)
    lines = to_bytes(run).splitlines(keepends=True)
    (FOLDER / "interrupted.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:700])
    _keep_numbers("interrupted", replace(run, records=run.records[:2]))


def _late_layer() -> None:
    """A model whose second layer ran for the first time at the third record."""
    run = nnlab.train(nnlab.ExperimentConfig(dataset="iris", depth=2, width=2, batch_size=16, steps=3))
    late = (run.layers[0], replace(run.layers[2], index=2))
    run = replace(run, config=None, environment={"model": "Experts"})
    writer = RunWriter(FOLDER / "late_layer.jsonl")
    for record in run.records[:2]:
        writer.append(replace(run, layers=late), _without_layer(record, 1))
    for record in run.records[2:]:
        writer.append(run, record)
    writer.finish(run, "completed")
    expected = [*(_with_nothing_at(record, 1) for record in run.records[:2]), *run.records[2:]]
    _keep_numbers("late_layer", replace(run, records=tuple(expected)))


def _without_layer(record: StepRecord, layer: int) -> StepRecord:
    values = {name: np.delete(numbers, layer) for name, numbers in record.layers.items()}
    rows = {name: [*c[:layer], *c[layer + 1 :]] for name, c in record.histograms.items()}
    return replace(record, layers=values, histograms=rows)


def _with_nothing_at(record: StepRecord, layer: int) -> StepRecord:
    values = {name: numbers.copy() for name, numbers in record.layers.items()}
    for numbers in values.values():
        numbers[layer] = np.nan
    rows = {name: [*c[:layer], None, *c[layer + 1 :]] for name, c in record.histograms.items()}
    return replace(record, layers=values, histograms=rows)


def _from_the_future() -> None:
    """What a schema 1.9 may look like: fields, keys, metrics, quantities and lines of later days."""
    run = nnlab.train(nnlab.ExperimentConfig(dataset="iris", depth=2, width=2, batch_size=16, steps=1))
    header, *records, end = [json.loads(line) for line in to_bytes(run).splitlines()]
    header |= {"schema": [1, 9], "campus": {"a": [1, "b", None]}}
    header["config"]["dropout"] = 0.5
    header["layers"][0]["heads"] = 4
    for record in records:
        record["layers"] |= {"sharpness": [1.5, "nan", 2.5], "spectrum": [1, 2, 3, 4, 5]}
        record["network"]["noise_scale"] = "inf"
        record["histograms"]["attention"] = [[1, 2], None, [3]]
        record["wall_time"] = 12.25
    end["reason"] = "done"
    lines = [header, {"k": "remark", "text": "hm"}, *records, {"k": "event", "step": 1}, end]
    (FOLDER / "from_the_future.jsonl").write_bytes(b"".join(_sealed(line) for line in lines))
    _keep_numbers("from_the_future", replace(run, records=tuple(_of_the_future(r) for r in run.records)))


def _sealed(content: dict[str, Any]) -> bytes:
    content.pop("crc", None)
    text = json.dumps(content, separators=(",", ":"))
    return f'{text[:-1]},"crc":{zlib.crc32(text.encode())}}}\n'.encode()


def _of_the_future(record: StepRecord) -> StepRecord:
    later = {"sharpness": np.array([1.5, math.nan, 2.5]), "spectrum": np.arange(1.0, 6.0)}
    network = {**record.network, "noise_scale": math.inf}
    return replace(record, layers={**record.layers, **later}, network=network)


def _keep(name: str, run: nnlab.Run) -> None:
    run.save(FOLDER / f"{name}.jsonl")
    _keep_numbers(name, run)


def _keep_numbers(name: str, run: nnlab.Run) -> None:
    with (FOLDER / f"{name}.csv").open("x", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *numbers_of(run)])


MAKERS: dict[str, Callable[[], None]] = {
    "schema_1_0": _schema_1_0,
    "diverged": _diverged,
    "own_module": _own_module,
    "interrupted": _interrupted,
    "late_layer": _late_layer,
    "from_the_future": _from_the_future,
}

if __name__ == "__main__":
    for chosen in sys.argv[1:]:
        if (FOLDER / f"{chosen}.jsonl").exists():
            raise SystemExit(f"{chosen}: is there, and golden files are never written again")
        MAKERS[chosen]()
