"""What a long run's file takes to write and to open: 1,000 records of 200 layers, as of a deep model.

Opening is timed and its memory taken in a fresh process, beside json.loads alone on the same lines, which no
reader of JSON in Python can be faster than.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ratios import save, show
from nnlab.histogram import QUANTITIES, bin_rows
from nnlab.metrics import METRICS
from nnlab.run import LayerInfo, Run, StepRecord, is_probe_record
from nnlab.runwriter import RunWriter

LAYERS, RECORDS = 200, 1000
EVERY = 10  # steps
LARGEST_COUNT = 3000

OPEN = """
import json, sys, time
import numpy
from nnlab.runfile import load_run

def peak():
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3

before, start = peak(), time.perf_counter()
run = load_run(sys.argv[1])
opened, memory = time.perf_counter() - start, peak() - before
assert len(run.records) == int(sys.argv[2]) and not run.notes
start = time.perf_counter()
run.findings
found = time.perf_counter() - start
start = time.perf_counter()
with open(sys.argv[1], "rb") as file:
    for line in file:
        json.loads(line)
print(json.dumps([opened, memory, time.perf_counter() - start, found]))
"""


def make_run(count: int = RECORDS) -> Run:
    """Make up so many records of a deep network."""
    draw = np.random.default_rng(0)
    layers = tuple(
        LayerInfo(f"blocks.{number}.linear", number + 1, "relu", (64, 64)) for number in range(LAYERS)
    )
    layers = (*layers[:-1], replace(layers[-1], activation="identity"))
    records = tuple(_record(number, layers, draw) for number in range(count))
    return Run(None, "completed", layers, records, {"model": "Deep"})


def _record(number: int, layers: tuple[LayerInfo, ...], draw: np.random.Generator) -> StepRecord:
    probe = is_probe_record(number, last=False)
    metrics = [metric for metric in METRICS.values() if probe or not metric.at_probe]
    values = {
        metric.name: np.exp(draw.normal(size=len(layers) - metric.hidden_only))
        for metric in metrics
        if metric.scope == "layer"
    }
    values["saturation_low"][:] = np.nan
    network = {metric.name: float(draw.random()) for metric in metrics if metric.scope == "network"}
    histograms = {
        quantity: [
            draw.integers(0, LARGEST_COUNT, len(bin_rows(quantity, layer.activation)[0])) for layer in layers
        ]
        for quantity in QUANTITIES
    }
    return StepRecord(number * EVERY, values, network, histograms if probe else {})


def main(rounds: int) -> None:
    """Print and write medians."""
    run = make_run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        start = time.perf_counter()
        writer = RunWriter(path)
        for record in run.records:
            writer.append(run, record)
        writer.finish(run, run.status)
        written = time.perf_counter() - start
        size = path.stat().st_size
        opened = [measure_opening(path, RECORDS) for _ in range(rounds)]
    seconds, memory, floor, found = (statistics.median(column) for column in zip(*opened, strict=True))
    rows: list[dict[str, Any]] = [
        {"figure": f"{RECORDS} records of {LAYERS} layers, MB", "value": round(size / 1e6, 1)},
        {"figure": "writing one record, ms", "value": round(written / RECORDS * 1e3, 2)},
        {"figure": "opening, s", "value": round(seconds, 2)},
        {"figure": "of json.loads alone", "value": round(statistics.median(o[0] / o[2] for o in opened), 2)},
        {"figure": "json.loads alone, s", "value": round(floor, 2)},
        {"figure": "memory over the process's, peak, MB", "value": round(memory, 1)},
        {"figure": "its verdict, s", "value": round(found, 2)},
    ]
    show(rows)
    save("runfile", rows)


def measure_opening(path: Path, records: int) -> list[float]:
    """Give the numbers of OPEN: seconds, MB, seconds of json.loads alone, seconds of the verdict."""
    command = [sys.executable, "-c", OPEN, str(path), str(records)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
