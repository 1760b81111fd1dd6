"""A process that ends while something is computed in the background ends well, and soon."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

ERRAND = """
import threading
import torch
from nnlab.errands import ERRANDS

begun = threading.Event()

def do(told):
    for number in range(1_000_000):
        torch.linalg.qr(torch.ones(64, 64) + torch.eye(64))
        begun.set()
        told(number)

ERRANDS.ask("key", do, "me")
assert begun.wait(30)
"""
RUN = """
import time
from nnlab.config import ExperimentConfig
from nnlab.job_board import BOARD
from nnlab.jobs import RunJob

config = ExperimentConfig(depth=20, width=64, steps=20_000, record_every=1)
jobs = [BOARD.submit(RunJob(config=config.replace(seed=seed))) for seed in range(3)]
while not all(job.first_record for job in jobs[:2]):
    time.sleep(0.01)
"""


@pytest.mark.parametrize("script", [ERRAND, RUN], ids=["errand", "run"])
def test_it_ends_without_an_error_whatever_is_computed(script: str) -> None:
    for _ in range(3):
        begin = time.monotonic()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
        assert (done.returncode, "terminate" in done.stderr) == (0, False), done.stderr
        assert time.monotonic() - begin < 60
