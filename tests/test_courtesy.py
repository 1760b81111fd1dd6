"""Who goes first where much is computed at once: pages before training, and long computations in turn."""

from __future__ import annotations

import inspect
import threading

import pytest
from streamlit.runtime.scriptrunner import ScriptRunner
from waiting import wait_until

from nnlab import courtesy
from nnlab.config import ExperimentConfig
from nnlab.jobs import RunJob
from pages.parts import page


@pytest.fixture
def rests(monkeypatch):
    """Give the seconds that work has rested, by a clock that goes on by them alone."""
    taken: list[float] = []
    monkeypatch.setattr(courtesy, "time", type("Clock", (), {
        "sleep": staticmethod(taken.append), "monotonic": staticmethod(lambda: 100 + sum(taken) + offset[0]),
    }))  # fmt: skip
    offset = [0.0]
    monkeypatch.setattr(courtesy, "_is_awaited", lambda: True)
    return taken, offset


def test_work_rests_half_of_the_time_where_something_goes_first(rests, monkeypatch):
    taken, offset = rests
    stop = courtesy.Courteous(threading.Event())
    assert not stop.is_set()
    assert not stop.is_set()
    assert taken == [courtesy.PAUSE_SECONDS]
    offset[0] += courtesy.PAUSE_SECONDS
    assert not stop.is_set()
    assert taken == [courtesy.PAUSE_SECONDS] * 2
    offset[0] += 1
    monkeypatch.setattr(courtesy, "_is_awaited", bool)
    assert not stop.is_set()
    assert len(taken) == 2


def test_a_job_that_is_trained_rests_and_whoever_asks_about_it_does_not(rests):
    taken, _ = rests
    job = RunJob(config=ExperimentConfig(dataset="iris", depth=1, width=2, steps=3))
    assert not job.is_set()
    assert taken == []
    job.execute()
    assert job.status == "completed"
    assert taken


def test_a_page_that_is_drawn_is_known_by_its_thread():
    assert f'"{page.SCRIPT_THREAD}"' in inspect.getsource(ScriptRunner.start)
    done = threading.Event()
    drawing = threading.Thread(target=done.wait, name=page.SCRIPT_THREAD)
    assert not page._is_drawn()
    drawing.start()
    assert page._is_drawn()
    done.set()
    drawing.join()


def test_nothing_gives_way_to_a_page_that_waits_itself():
    job = RunJob(config=ExperimentConfig())
    page_waits = threading.Thread(target=job.wait, args=(60.0,), name=page.SCRIPT_THREAD)
    page_waits.start()
    wait_until(lambda: courtesy.waits(page_waits))
    assert not page._is_drawn()
    job._changed.set()
    page_waits.join()
    assert not courtesy.waits(page_waits)
