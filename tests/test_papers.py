"""Papers: stored results pass their checks, belong to the registry, and a fresh small run agrees."""

from __future__ import annotations

import math
import threading

import pytest

from nnlab.paper import Check, Interrupted, passes
from nnlab.paper_result import STORED_PAPERS, reproduce, stored_result
from nnlab.papers import PAPERS

MOST_BYTES = 60_000


def no_report(done: int, steps: int) -> None:
    """Take a report of progress."""


@pytest.mark.parametrize("name", PAPERS)
def test_the_stored_result_passes_its_checks_and_was_made_with_the_full_settings(name):
    paper, result = PAPERS[name], stored_result(name)
    assert result.paper == paper.name == name
    assert dict(result.settings) == dict(paper.full)
    checks = paper.check(result.columns, result.settings)
    assert checks
    assert [check.words for check in checks if not check.passes] == []


def test_nothing_else_is_stored_and_every_file_is_small():
    files = {path.stem: path.stat().st_size for path in STORED_PAPERS.iterdir()}
    assert set(files) == set(PAPERS)
    assert max(files.values()) < MOST_BYTES


@pytest.mark.parametrize("name", PAPERS)
def test_a_fresh_small_run_passes_its_checks_and_agrees_with_the_stored_one(name):
    paper = PAPERS[name]
    steps = []
    fresh = reproduce(
        paper, paper.small, lambda done, all_steps: steps.append((done, all_steps)), threading.Event()
    )
    checks = paper.check(fresh.columns, paper.small)
    assert [check.words for check in checks if not check.passes] == []
    kept = paper.check(stored_result(name).columns, paper.full)
    assert [check.quantity for check in checks] == [check.quantity for check in kept]
    for one, other in zip(checks, kept, strict=True):
        assert abs(one.deviation - other.deviation) <= one.tolerance, one.quantity
    assert set(fresh.columns) == set(stored_result(name).columns)
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]


def test_a_measurement_that_is_stopped_gives_no_result():
    stop = threading.Event()
    stop.set()
    for paper in PAPERS.values():
        with pytest.raises(Interrupted):
            reproduce(paper, paper.small, no_report, stop)


def check_of(measured, published=2.0, tolerance=0.1, **options):
    return Check("a length", published, "printed", measured, tolerance, **options)


def test_a_check_compares_relative_or_absolute_and_never_passes_nan():
    assert check_of(2.19).passes
    assert not check_of(2.21).passes
    assert check_of(-2.1, published=-2.0).deviation == pytest.approx(-0.05)
    assert check_of(2.05, is_absolute=True).passes
    assert not check_of(2.11, is_absolute=True).passes
    assert check_of(0.05, published=0.0, is_absolute=True).passes
    assert not check_of(math.nan).passes
    assert not check_of(math.inf, tolerance=math.inf).passes
    with pytest.raises(ValueError, match="published: 0"):
        check_of(1.0, published=0.0)


def test_no_checks_are_no_pass():
    assert not passes(())
    assert passes((check_of(2.0),))
    assert not passes((check_of(2.0), check_of(3.0)))
