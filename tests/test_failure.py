"""failure: bad input is said in nnlab's own words; anything else is a number, and the log has the rest."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.invariants import of_words
from nnlab import failure, joblog
from nnlab.config import ExperimentConfig


def caught(work: Callable[[], object]) -> Exception:
    try:
        work()
    except Exception as error:
        return error
    raise AssertionError("it went well")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, BaseException]]:
    """What the log was told; every error has the number 1a2b3c4d."""
    seen: list[tuple[str, BaseException]] = []

    def failed(where: str, error: BaseException) -> str:
        seen.append((where, error))
        return "1a2b3c4d"

    monkeypatch.setattr(joblog, "failed", failed)
    return seen


def test_what_nnlab_says_of_bad_input_stands_as_it_is(told: list) -> None:
    error = caught(lambda: ExperimentConfig(depth=0))
    assert failure.words(error, "a run") == str(error)
    assert str(error).startswith("depth: ")
    assert told == []


LIBRARIES: dict[str, Callable[[], object]] = {
    "C code": lambda: np.zeros(3) + np.zeros(4),
    "a type": lambda: int("twelve"),
    "the standard library": lambda: json.loads("{"),
    "torch": lambda: torch.nn.BatchNorm1d(2)(torch.zeros(1, 2)),
    "no ValueError": lambda: {}["key"],
    "a path": lambda: Path("/somebody/secret.csv").read_bytes(),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_a_library_says_goes_to_the_log_and_a_number_to_the_visitor(name: str, told: list) -> None:
    error = caught(LIBRARIES[name])
    said = failure.words(error, "a run")
    assert said == f"{failure.UNKNOWN} (error 1a2b3c4d)"
    assert of_words(said) == []
    assert told == [("a run", error)]


@pytest.mark.parametrize(
    "error", [MemoryError(), caught(lambda: torch.empty(10**15)), caught(lambda: np.empty(10**15))], ids=repr
)
def test_where_memory_is_out_that_is_what_is_said(error: Exception, told: list) -> None:
    assert failure.words(error, "a run") == f"{failure.NO_MEMORY} (error 1a2b3c4d)"


def test_the_number_is_the_log_s(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "_write", lambda level, event, **fields: print(fields["error_id"]))
    said = failure.words(KeyError("k"), "a run")
    number = re.search(r"\(error ([0-9a-f]{8})\)$", said)
    assert number is not None
    assert capsys.readouterr().out.strip() == number[1]
