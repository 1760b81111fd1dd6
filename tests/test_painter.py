"""The painter: the same pictures from another process, one at a time, and no process left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from nnlab import export, painter
from nnlab.charts import draw
from nnlab.hosting import HOSTED_VARIABLE
from nnlab.painter import Busy, Painter
from nnlab.presets import STORED_RUN
from nnlab.runfile import load_run

PATIENCE = 20.0
HERE = os.getpid()


def waited_for(condition) -> bool:
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(condition())


@pytest.fixture
def alone(monkeypatch) -> Iterator[Painter]:
    monkeypatch.setattr(painter, "IDLE_SECONDS", 0.05)
    made = Painter()
    yield made
    assert waited_for(lambda: made.is_at_rest)


def test_a_public_server_draws_the_same_in_a_process_that_ends(monkeypatch, alone):
    chart = draw("loss", load_run(STORED_RUN), 300, "light")
    here = export.to_svg(chart, "caption"), export.to_png(chart, "caption")
    asked = []
    monkeypatch.setenv(HOSTED_VARIABLE, "1")
    monkeypatch.setattr(painter, "PAINTER", alone)
    monkeypatch.setattr(alone, "call", lambda *a: asked.append(a[0].__name__) or Painter.call(alone, *a))
    assert (export.to_svg(chart, "caption"), export.to_png(chart, "caption")) == here
    assert asked == ["svg", "png"]


def test_calls_share_one_process_one_after_the_other(monkeypatch):
    monkeypatch.setattr(painter, "IDLE_SECONDS", 0.3)
    made, pids = Painter(), []
    threads = [threading.Thread(target=lambda: pids.append(made.call(os.getpid))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 4
    assert set(pids) != {HERE}
    assert len(set(pids)) == 1
    assert waited_for(lambda: made.is_at_rest)
    assert not os.path.exists(f"/proc/{pids[0]}")


def test_a_process_that_is_killed_is_replaced(alone):
    first = alone.call(os.getpid)
    alone._pool and os.kill(first, signal.SIGKILL)
    assert alone.call(os.getpid) not in (first, HERE)


def test_a_process_that_has_grown_is_let_go(alone, monkeypatch):
    monkeypatch.setattr(painter, "MOST_BYTES", 0)
    first = alone.call(os.getpid)
    assert alone.is_at_rest
    assert alone.call(os.getpid) != first


def test_more_than_fit_are_refused_in_words_and_one_that_hangs_is_given_up(alone, monkeypatch):
    monkeypatch.setattr(painter, "SLOWEST_SECONDS", 0.5)
    said = []

    def ask() -> None:
        try:
            alone.call(time.sleep, 60)
        except RuntimeError as error:
            said.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    monkeypatch.setattr(alone, "_places", threading.BoundedSemaphore(1))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said)[0].startswith("10 pictures wait")
    assert "not drawn within" in sorted(said)[1]
    assert issubclass(Busy, RuntimeError)


def test_what_raises_says_so(alone):
    with pytest.raises(RuntimeError, match="ValueError"):
        alone.call(int, "x")
