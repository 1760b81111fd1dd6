"""What a run takes in memory: a thousand records of thirty layers in ten megabytes, histograms and all."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import nnlab
from nnlab.memory import _unchanged_code

# As Linux writes it: code, constants that the loader has changed, data, a small library, no library, a heap.
SMAPS = """\
7f0000000000-7f0000200000 r-xp 00001000 fe:00 12   /lib/python/torch/lib/libtorch_cpu.so
Size:               2048 kB
Rss:                1024 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
7f0000200000-7f0000400000 r--p 00201000 fe:00 12   /lib/python/torch/lib/libtorch_cpu.so
Size:               2048 kB
Anonymous:             4 kB
7f0000400000-7f0000600000 rw-p 00401000 fe:00 12   /lib/python/torch/lib/libtorch_cpu.so
Size:               2048 kB
Anonymous:             0 kB
7f0000600000-7f0000601000 r-xp 00000000 fe:00 13   /lib/small.so
Size:                  4 kB
Anonymous:             0 kB
7f0000700000-7f0000900000 r--p 00000000 fe:00 14   /lib/libgomp.so.1.0
Size:               2048 kB
Anonymous:             0 kB
7f0000a00000-7f0000c00000 r--p 00000000 fe:00 15   /data/run.jsonl
Size:               2048 kB
Anonymous:             0 kB
7f0000d00000-7f0000f00000 r--p 00000000 00:00 0
Size:               2048 kB
Anonymous:             0 kB
"""
LET_CODE_GO = """
import nnlab
from nnlab.memory import let_code_go

def mapped():
    words = open("/proc/self/status").read().split()
    return int(words[words.index("RssFile:") + 1])

config = nnlab.ExperimentConfig(dataset="moons", samples=60, depth=3, width=8, steps=20)
first = nnlab.train(config)
before = mapped()
let_code_go()
after = mapped()
again = nnlab.train(config)
first, again = first.metrics, again.metrics
print(after / before, first.equals(again), len(first))
"""
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


def test_code_that_nobody_changed_is_let_go_and_nothing_else():
    assert list(_unchanged_code(SMAPS)) == [
        (0x7F0000000000, 0x7F0000200000),
        (0x7F0000700000, 0x7F0000900000),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what is mapped")
def test_most_of_what_importing_touched_is_let_go_and_training_gives_the_same_numbers():
    done = subprocess.run([sys.executable, "-c", LET_CODE_GO], capture_output=True, text=True, check=True)
    share, same, rows = done.stdout.split()
    assert float(share) < 0.5
    assert same == "True"
    assert int(rows) > 50
