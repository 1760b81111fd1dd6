"""sweep_cost: how long the cells of a sweep take, guessed before the start and measured on the way.

A guess is of cores that have nothing else to do; `pace` says how far this machine is from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nnlab.config import ExperimentConfig

# One core of the machine of `benchmarks/results`, stacked seeds, nothing recorded on the way.
FLOP_PER_SECOND = 85e9
SECONDS_PER_LAYER = 12e-6  # the calls of a step
SECONDS_PER_NUMBER = 1.5e-9  # an activation and its slope
NORMALIZED_FACTOR = 4.0  # by autograd, one seed at a time
SECONDS_PER_CELL, SECONDS_PER_LAST_LAYER = 6e-3, 1e-3  # data, initial weights, the last record
# A process loads torch before its first cell.
PROCESS_START = 3.0


def work(config: ExperimentConfig) -> float:
    """Guess the seconds that one core takes for one cell."""
    numbers = config.depth * config.batch_size * config.width
    step = config.step_flop / FLOP_PER_SECOND + numbers * SECONDS_PER_NUMBER
    step += (config.depth + 1) * SECONDS_PER_LAYER
    factor = 1.0 if config.normalization == "none" else NORMALIZED_FACTOR
    once = SECONDS_PER_CELL + config.depth * SECONDS_PER_LAST_LAYER
    return once + factor * step * config.steps


def estimate(cells: Sequence[ExperimentConfig], workers: int = 1) -> float:
    """Guess the seconds that all cells take on so many cores, before anything is measured."""
    return sum(map(work, cells)) / max(1, workers)


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    `work_done` and `work_total` are of `work`, without the cells that were finished before; `seconds` is how
    long the sweep has run.
    """

    done: int
    total: int
    reused: int = 0
    failed: int = 0
    work_done: float = 0.0
    work_total: float = 0.0
    seconds: float = 0.0

    @property
    def seconds_left(self) -> float:
        """The time left at the pace so far; the guess, before a cell is finished."""
        if self.work_done <= 0:
            return self.work_total
        return self.seconds * max(0.0, self.work_total - self.work_done) / self.work_done


def spoken_seconds(seconds: float) -> str:
    """Say a length of time: "40 s", "3 min", "2.5 h"."""
    if seconds < 99.5:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"
