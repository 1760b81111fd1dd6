"""overlay_job: the background job that trains the configurations of a comparison, each from several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

from nnlab.config import ExperimentConfig
from nnlab.courtesy import Courteous
from nnlab.footprint import kept_bytes, together_bytes
from nnlab.jobs import GroupJob
from nnlab.run import Run
from nnlab.trajectory import Plan, Trajectory


def seeds_plans(configs: Sequence[ExperimentConfig], seeds: int) -> tuple[Plan, ...]:
    """Plan every configuration with the same seeds: as many as asked for, from the first one's on.

    Raises:
        ValueError: a seed would be out of range.
    """
    return tuple(
        Plan(config.replace(seed=configs[0].seed + number)) for config in configs for number in range(seeds)
    )


BULK = 5  # times what is left without it, roughly


def without_bulk(run: Run) -> Run:
    """Drop what no comparison draws, histograms and weights: up to nine tenths of a run's memory."""
    records = tuple(replace(record, histograms={}) for record in run.records)
    return replace(run, records=records, model=None)


def _but_seed(plan: Plan) -> ExperimentConfig:
    return plan.config.replace(seed=0)


@dataclass(kw_only=True)
class OverlayJob(GroupJob):
    """Several configurations side by side; the seeds of each, which are neighbors, are trained at once."""

    @cached_property
    def groups(self) -> tuple[tuple[Plan, ...], ...]:
        """The plans by configuration."""
        return tuple(tuple(plans) for _, plans in groupby(self.plans, key=_but_seed))

    @property
    def ways_to_shrink(self) -> str:
        """What to do where it would take too much memory."""
        return "Take fewer seeds or configurations, or make depth or width smaller"

    @property
    def estimated_bytes(self) -> int:
        """The memory it will take."""
        return together_bytes([(plan.config, plan.data) for plan in self.plans])

    @property
    def kept_bytes(self) -> int:
        """The memory that its records take when it has ended, without bulk."""
        return sum(kept_bytes(plan.config) for plan in self.plans) // BULK

    def _end_records(self, status: str) -> None:
        super()._end_records(status)
        self._on_runs([without_bulk(trajectory.run) for trajectory in self.trajectories])

    def _on_runs(self, runs: Sequence[Run]) -> None:
        self._on_progress([Trajectory(run, {}) for run in runs])

    def _train(self, time_limit: float | None) -> str:
        from nnlab.trainer import train_groups

        runs = train_groups(self.groups, self._on_runs, stop=Courteous(self), time_limit=time_limit)
        self._on_runs([without_bulk(run) for run in runs])
        statuses = {trajectory.run.status for trajectory in self.trajectories}
        return next((status for status in ("stopped", "timed_out") if status in statuses), "completed")
