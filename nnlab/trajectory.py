"""Trajectory: one network on its way, with its run and its weights at the probe records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnlab.config import ExperimentConfig
from nnlab.datasets import Data
from nnlab.network import Network
from nnlab.run import Run
from nnlab.runfile import load_run, save_run
from nnlab.weights import load_networks, save_networks

# What a run's notes say of a network and of its batches.
NO_BIASES = "the layers have no biases"
WHOLE_SPLIT = "training examples, fewer than asked for"
# Under this name notes on a CSV file also stand at the beginning of a run file, before a run can be killed.
DATA_NOTES = "data_notes"


@dataclass(frozen=True)
class Plan:
    """One network to train: its experiment, and what no field of an experiment says.

    `data` stands in for the experiment's dataset (four corners, a visitor's points, raw pixels).
    """

    config: ExperimentConfig
    data: Data | None = None
    bias: bool = True


@dataclass(frozen=True)
class Trajectory:
    """A run with its weights, by step: of a finished run at every probe record."""

    run: Run
    networks: Mapping[int, Network]

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps whose weights are kept."""
        return tuple(self.networks)

    @property
    def last(self) -> Network:
        """The newest weights."""
        return self.networks[self.steps[-1]]

    def at(self, step: int) -> Network:
        """Give the weights nearest to a step."""
        return self.networks[min(self.steps, key=lambda kept: abs(kept - step))]


def save_trajectory(trajectory: Trajectory, stem: Path) -> None:
    """Write stem.jsonl and stem.safetensors; raises OSError where the folder is missing or full."""
    save_run(trajectory.run, stem.with_suffix(".jsonl"))
    networks = {str(step): network for step, network in trajectory.networks.items()}
    save_networks(networks, stem.with_suffix(".safetensors"))


def load_trajectory(stem: Path) -> Trajectory:
    """Read back what `save_trajectory` wrote; raises ValueError or OSError where it cannot."""
    networks = load_networks(stem.with_suffix(".safetensors"))
    by_step = {int(name): network for name, network in networks.items()}
    return Trajectory(load_run(stem.with_suffix(".jsonl")), dict(sorted(by_step.items())))


def nearest(steps: Sequence[int], wanted: int | None) -> int:
    """Give the step nearest to a wanted one, the last where none is wanted."""
    return steps[-1] if wanted is None else min(steps, key=lambda step: abs(step - wanted))
