"""A board of its own for every test of a page."""

from __future__ import annotations

import sys

import pytest

from nnlab import job_board
from nnlab.job_board import BOARD, JobBoard
from pages.parts import caches, measured, paper_run, progress, runs, sweep_run, training, weights

HOLDERS = (job_board, caches, measured, paper_run, progress, runs, sweep_run, training, weights)


def fresh_board(monkeypatch: pytest.MonkeyPatch) -> JobBoard:
    """Put a new board in the place of the process's own, wherever it is known."""
    fresh = JobBoard()
    ours = {name for name in list(sys.modules) if name.split(".")[0] in ("nnlab", "pages")}
    holders = {name for name in ours if getattr(sys.modules[name], "BOARD", None) is BOARD}
    assert holders == {module.__name__ for module in HOLDERS}
    for module in HOLDERS:
        monkeypatch.setattr(module, "BOARD", fresh)
    return fresh
