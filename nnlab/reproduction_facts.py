"""Facts of a run beyond its configuration, which a script needs to make it again."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from nnlab.config import ExperimentConfig
from nnlab.csvfile import SEPARATORS
from nnlab.csvtable import DECIMAL_COMMAS, SEPARATED_BY
from nnlab.datasets import AT_RANDOM, CONSTANT, DATASETS, PIXELS, TARGET_SCALED, load_dataset
from nnlab.run import Run
from nnlab.trajectory import DATA_NOTES, NO_BIASES, WHOLE_SPLIT


@dataclass(frozen=True)
class Facts:
    """The facts of a run with records whose model nnlab built.

    `every` is the interval of the recorded steps, None where they are not regular (a damaged file). `sha256`
    is the fingerprint of the data. `is_undefined` says whether z held a NaN at the last record.
    """

    config: ExperimentConfig
    status: str
    steps: tuple[int, ...]
    every: int | None
    inputs: int
    outputs: int
    sha256: str | None
    has_biases: bool
    has_constant_inputs: bool
    is_split_at_random: bool
    is_pixels: bool
    is_whole_batch: bool
    is_target_scaled: bool
    separator: str
    has_decimal_commas: bool
    is_undefined: bool

    @classmethod
    def of(cls, run: Run) -> Facts:
        """Gather the facts; raises ValueError for a run without a configuration or without records."""
        config = run.config
        if config is None:
            raise ValueError("config: the run has none; nnlab can only make a model again that it built")
        if not run.records:
            raise ValueError("records: the run has none; there are no numbers to print again")
        steps = tuple(int(record.step) for record in run.records)
        notes = "\n".join(run.notes if run.status != "interrupted" else _notes_again(run, config))
        inputs, outputs = _ends(run, config)
        return cls(
            config=config,
            status=run.status,
            steps=steps,
            every=_interval(steps, config),
            inputs=inputs,
            outputs=outputs,
            sha256=_fingerprint(run),
            has_biases=NO_BIASES not in notes,
            has_constant_inputs=CONSTANT in notes,
            is_split_at_random=_is_regression(config, outputs) or AT_RANDOM in notes,
            is_pixels=PIXELS in notes,
            is_whole_batch=WHOLE_SPLIT in notes,
            is_target_scaled=TARGET_SCALED in notes,
            separator=next((s for s, word in SEPARATORS.items() if f"{SEPARATED_BY} {word}" in notes), ","),
            has_decimal_commas=DECIMAL_COMMAS in notes,
            is_undefined=any(math.isnan(slope) for slope in run.records[-1].layers.get("slope_mean", ())),
        )

    @property
    def last_step(self) -> int:
        """The step of the last record."""
        return self.steps[-1]

    @property
    def is_regression(self) -> bool:
        """Whether numbers are predicted instead of classes."""
        return _is_regression(self.config, self.outputs)

    @property
    def has_weight_decay(self) -> bool:
        """Whether the optimizer must be told one: AdamW has one of its own if it is not."""
        return self.config.weight_decay != 0 or self.config.optimizer == "adamw"


def _is_regression(config: ExperimentConfig, outputs: int) -> bool:
    return config.dataset == "csv" and outputs == 1  # a classification has two classes or more


def _ends(run: Run, config: ExperimentConfig) -> tuple[int, int]:
    """Give the numbers of inputs and outputs, which only a CSV file leaves to the run."""
    entry = DATASETS[config.dataset]
    if entry.n_features is not None and entry.n_classes is not None:
        return entry.n_features, entry.n_classes
    if not run.layers or len(run.layers[0].weight_shape) != 2:
        raise ValueError("layers: the run does not say how many inputs its CSV file had")
    return int(run.layers[0].weight_shape[1]), int(run.layers[-1].weight_shape[0])


def _interval(steps: Sequence[int], config: ExperimentConfig) -> int | None:
    """Give k where the steps are every k-th and the last, None where they are not."""
    planned = config.recorded_steps
    every = planned[1] - planned[0]
    regular = range(0, steps[-1] + 1, every)
    # The lengths first: a damaged file may name a step in the billions.
    return every if len(regular) <= len(steps) and [*steps] == sorted({*regular, steps[-1]}) else None


def _fingerprint(run: Run) -> str | None:
    told = str(run.environment.get("dataset_sha256", ""))
    return told if re.fullmatch("[0-9a-f]{64}", told) else None


def _notes_again(run: Run, config: ExperimentConfig) -> tuple[str, ...]:
    """Give the notes of a run that was killed before it could write them."""
    if DATASETS[config.dataset].needs_file:
        # The path stands in a run file that anybody may have written: it is not opened.
        return (str(run.environment.get(DATA_NOTES, "")),)
    data = load_dataset(config)
    return data.notes if config.batch_size <= len(data.x_train) else (*data.notes, WHOLE_SPLIT)
