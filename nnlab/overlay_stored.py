"""overlay_stored: the comparison that a visitor sees first, trained already and kept in files.

`python -m nnlab.overlay_stored` trains it anew.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nnlab.config import ExperimentConfig
from nnlab.overlay import Group, by_configuration
from nnlab.overlay_job import seeds_plans, without_bulk
from nnlab.presets import PRESETS
from nnlab.run import LayerNumbers, Run, StepRecord
from nnlab.runfile import load_run, save_run

STORED = Path(__file__).parent / "stored"
SEEDS = 3
RECORD_EVERY = 30  # few records, so that the files stay small
DIGITS = 7  # all that a float32 holds
FIRST: tuple[ExperimentConfig, ...] = tuple(PRESETS[name].config for name in ("Sigmoid tower", "Healthy"))


def _path(number: int) -> Path:
    return STORED / f"overlay_{number}.jsonl"


def stored_groups() -> tuple[Group, ...]:
    """Read the kept comparison: FIRST, each with SEEDS seeds."""
    return by_configuration([load_run(_path(number)) for number in range(len(FIRST) * SEEDS)])


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _rounded(record: StepRecord) -> StepRecord:
    layers = {name: np.array([_short(v) for v in values]) for name, values in record.layers.items()}
    network = {name: _short(value) for name, value in record.network.items()}
    return replace(record, layers=LayerNumbers.of(layers), network=network)


def _lean(run: Run) -> Run:
    kept = without_bulk(run)
    return replace(kept, records=tuple(_rounded(record) for record in kept.records))


def store() -> None:
    """Train the kept comparison anew and write its files."""
    from nnlab.trainer import train

    plans = seeds_plans([config.replace(record_every=RECORD_EVERY) for config in FIRST], SEEDS)
    for number, plan in enumerate(plans):
        save_run(_lean(train(plan.config)), _path(number))


if __name__ == "__main__":
    store()
