"""The short fingerprint of a file of a visitor's own, by which a link tells it from others."""

from __future__ import annotations

from nnlab.config import ExperimentConfig
from nnlab.run import Run
from pages.parts import own_data

CHARACTERS = 12  # enough to tell files apart, and short in a link


def of_run(run: Run) -> str:
    """Give the short fingerprint of the file that a run was made with, "" where there was none."""
    if run.config is None or run.config.dataset != "csv":
        return ""
    return str(run.environment.get("dataset_sha256", ""))[:CHARACTERS]


def of_own(config: ExperimentConfig) -> str:
    """Give the short fingerprint of the visitor's table as an experiment uses it, "" where there is none."""
    if config.dataset != "csv":
        return ""
    try:
        own = own_data.data(config)
    except ValueError:
        return ""
    return "" if own is None else own.sha256[:CHARACTERS]


def has_file_of(run: Run) -> bool:
    """Whether the file that a run was made with is here, where it was made with one."""
    return run.config is not None and of_run(run) == of_own(run.config)
