"""A tiny experiment and its trained run, for every test that needs some run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

# One test a core is as much as there is to do. Threads of BLAS and OpenMP besides, waiting for each other,
# took four fifths of the time of tests of small networks. Both are read when NumPy and torch are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NNLAB_LOG", "off")  # threads would write between the lines of pytest

import numpy as np
import pytest

import nnlab
from nnlab import memory
from nnlab.run import StepRecord

try:
    from hypothesis import Phase, settings
except ImportError:  # a development package: what asks for it is skipped without
    pass
else:
    # The same few examples every time; `pytest --hypothesis-profile nightly` draws many new ones.
    # A failing one is not made smaller there: that can take minutes.
    settings.register_profile(
        "check",
        max_examples=24,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
    )
    settings.register_profile("nightly", max_examples=10_000, deadline=None)
    settings.load_profile("check")


@pytest.fixture(scope="session", autouse=True)
def last_records_take_their_time() -> None:
    """Let the last record of a stopped run be taken however busy the machine is."""
    from nnlab import training

    training.LONGEST_END = 60.0


@pytest.fixture(scope="session", autouse=True)
def pages_are_compiled_once() -> None:
    """Let all visits share what a page is compiled to, as those of a server do: a tenth of their time."""
    from streamlit.runtime.scriptrunner.script_cache import ScriptCache
    from streamlit.testing.v1 import local_script_runner

    shared = ScriptCache()
    local_script_runner.ScriptCache = lambda: shared  # type: ignore[assignment,misc]


@pytest.fixture(autouse=True)
def memory_is_not_short(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let no public server refuse work for what the tests before have left in this process."""
    monkeypatch.setattr(memory, "STATM", tmp_path_factory.getbasetemp() / "no_proc")


@pytest.fixture(scope="session")
def tiny_config() -> nnlab.ExperimentConfig:
    return nnlab.ExperimentConfig(dataset="iris", depth=2, width=4, batch_size=16, steps=5, record_every=1)


@pytest.fixture(scope="session")
def tiny_run(tiny_config: nnlab.ExperimentConfig) -> nnlab.Run:
    return nnlab.train(tiny_config)


def _bits(numbers: object) -> list[int]:
    """Give the bits of float64 numbers, every NaN alike: -0.0 is not 0.0 here."""
    values = np.atleast_1d(np.asarray(numbers, dtype=np.float64))
    return np.where(np.isnan(values), np.nan, values).view(np.int64).tolist()


def _assert_same_records(got: Sequence[StepRecord], want: Sequence[StepRecord]) -> None:
    assert [record.step for record in got] == [record.step for record in want]
    for one, other in zip(got, want, strict=True):
        for part in ("layers", "network"):
            found, expected = getattr(one, part), getattr(other, part)
            assert {name: _bits(v) for name, v in found.items()} == {
                name: _bits(v) for name, v in expected.items()
            }
        assert _counts(one) == _counts(other)


def _counts(record: StepRecord) -> dict[str, list[list[int] | None]]:
    return {
        quantity: [None if c is None else c.tolist() for c in rows]
        for quantity, rows in record.histograms.items()
    }


@pytest.fixture(scope="session")
def assert_same_records() -> Callable[..., None]:
    """Compare records bit for bit."""
    return _assert_same_records


# What takes long stands first, and what waits for a browser next to what computes: at the end of the run no
# worker then has a long file to itself while the other has nothing left.
LONG = (
    "test_lessons_browser", "test_lesson_pages", "test_browser", "test_dashboard", "test_export_browser",
    "test_trainer", "test_your_model_browser", "test_charts", "test_clean_start", "test_report",
    "test_run_files", "test_diagnosis", "test_experiments", "test_phases", "test_own_data", "test_your_model",
    "test_reproduction", "test_papers", "test_meter", "test_oracle", "test_sweep_command", "test_sweep",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files by how long they take; within a file the order stays."""
    ranks = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(LONG)))


def pytest_collection_finish() -> None:
    """Spare tests of pages two waits, where there are such tests.

    AppTest looks a thousand times a second whether a script has ended, which slows the script: it waits for
    the script's thread instead. And no browser has to be left time to paint.
    """
    runners = sys.modules.get("streamlit.testing.v1.local_script_runner")
    if runners is None:
        return
    look = runners.require_widgets_deltas

    def wait(runner: Any, timeout: float = 3) -> None:
        runner._script_thread.join(timeout)
        look(runner, 0 if runner._script_thread.is_alive() else timeout)

    runners.require_widgets_deltas = wait
    from pages.parts import first_sight

    first_sight.PAINT_SECONDS = 0.0
