"""What a run takes in memory: a thousand records of thirty layers in ten megabytes, histograms and all."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import nnlab

LARGEST = 10_000_000  # bytes
DEEP = nnlab.ExperimentConfig(
    dataset="moons", samples=50, depth=30, width=4, batch_size=8, steps=999, record_every=1
)


def bytes_of(make: Callable[[], nnlab.Run]) -> tuple[nnlab.Run, int]:
    gc.collect()
    tracemalloc.start()
    try:
        run = replace(make(), model=None)
        gc.collect()
        return run, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def trained() -> tuple[nnlab.Run, int]:
    nnlab.train(DEEP.replace(steps=9))  # what is loaded once is not the run's
    return bytes_of(lambda: nnlab.train(DEEP))


def test_a_thousand_records_of_thirty_layers_take_ten_megabytes(trained: tuple[nnlab.Run, int]) -> None:
    run, size = trained
    assert len(run.records) == 1000
    assert sum(record.is_probe for record in run.records) == 65
    assert size < LARGEST


def test_and_no_more_when_they_come_from_a_file(trained: tuple[nnlab.Run, int], tmp_path: Path) -> None:
    trained[0].save(tmp_path / "run.jsonl")
    run, size = bytes_of(lambda: nnlab.load_run(tmp_path / "run.jsonl"))
    assert len(run.records) == 1000
    assert size < LARGEST
