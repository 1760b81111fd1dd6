"""Paper training: the networks that a paper's measurement trains, with one count of steps for all."""

from __future__ import annotations

from collections.abc import Sequence

from nnlab.config import ExperimentConfig
from nnlab.paper import Interrupted, Report
from nnlab.run import Run, StepRecord
from nnlab.stop import Stop
from nnlab.trainer import train


def train_each(configs: Sequence[ExperimentConfig], report: Report, stop: Stop) -> tuple[Run, ...]:
    """Train networks one after the other; raises Interrupted where it is stopped before their end."""
    steps = sum(config.steps for config in configs)
    done = 0

    def on_record(run: Run, record: StepRecord) -> None:
        report(done + record.step, steps)

    runs = []
    for config in configs:
        run = train(config, on_record=on_record, stop=stop)
        if run.status == "stopped":
            raise Interrupted
        done += config.steps
        runs.append(run)
    report(steps, steps)
    return tuple(runs)
