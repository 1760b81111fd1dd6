"""What a run is guessed to take, before it begins, beside what such runs were measured to take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nnlab.config import ExperimentConfig
from nnlab.datasets import load_dataset
from nnlab.footprint import EXAMPLES, PROBE_EXAMPLES, estimated_bytes, estimated_seconds, together_bytes

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "benchmarks" / "results" / "footprint.json"
SMALL_MB = 8.0  # below, it matters to nobody
LOWEST, HIGHEST = 0.7, 1.6


def measured() -> list[tuple[str, float, float]]:
    """Give what was measured in MB and what is guessed now, job by job."""
    from benchmarks.footprint import jobs_of

    grown = {row["job"]: row["grown MB"] for row in json.loads(MEASURED.read_text())["rows"]}
    makers = dict(jobs_of(5))
    return [(words, grown[words], makers[words]().estimated_bytes / 1e6) for words in grown]


def test_every_guess_is_near_what_was_measured_or_above_it():
    jobs = measured()
    assert len(jobs) > 30
    low = [(words, grown, guess) for words, grown, guess in jobs if guess < LOWEST * grown]
    assert not low
    high = [job for job in jobs if job[1] > SMALL_MB and job[2] > HIGHEST * job[1]]
    assert not high


def test_a_run_measured_now_takes_what_is_guessed():
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system has no /proc to read a process's peak from")
    code = "from benchmarks.footprint import measure, worst; print(worst(measure(0)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert LOWEST < float(done.stdout) < HIGHEST


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_datasets_have_as_many_examples_as_are_counted_on(name):
    data = load_dataset(ExperimentConfig(dataset=name))
    assert len(data.x_train) + len(data.x_test) == EXAMPLES[name]


def test_the_probe_set_is_as_large_as_is_counted_on():
    from nnlab import member

    assert member.PROBE_EXAMPLES == PROBE_EXAMPLES


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 7}, {"width": 65}, {"batch_size": 256}, {"normalization": "batch"}, {"residual": True},
        {"optimizer": "adam"}, {"record_every": 1}, {"dataset": "gaussian", "samples": 50_000},
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_a_run_larger_makes_the_guess_larger(change):
    base = ExperimentConfig(steps=1000)
    assert estimated_bytes(base.replace(**change)) > estimated_bytes(base)


@pytest.mark.parametrize(
    "change", [{"depth": 12}, {"width": 128}, {"steps": 600}, {"record_every": 1}], ids=str
)
def test_what_makes_a_run_longer_makes_the_guess_longer(change):
    base = ExperimentConfig(steps=400)
    assert estimated_seconds(base.replace(**change)) > estimated_seconds(base)


def test_networks_side_by_side_take_more_than_one_and_less_than_each_in_turn():
    config = ExperimentConfig()
    alone = estimated_bytes(config)
    together = together_bytes([(config, None)] * 5)
    assert 2 * alone < together < 5 * alone
