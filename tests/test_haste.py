"""Page after page: a dozen at once are free, more wait, and only on a public server."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from nnlab.hosting import HOSTED_VARIABLE
from pages.parts import haste


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(haste, "time", clock)
    monkeypatch.setattr(haste, "st", SimpleNamespace(session_state={}))
    return clock


def test_a_dozen_pages_at_once_are_free_and_then_two_come_a_second(clock: Clock) -> None:
    for _ in range(haste.AT_ONCE):
        haste.slow_down()
    assert clock.slept == 0
    begin = clock.now
    for _ in range(10):
        haste.slow_down()
    assert clock.now - begin == pytest.approx(10 * haste.SECONDS_EACH)


def test_who_reads_never_waits(clock: Clock) -> None:
    for _ in range(100):
        haste.slow_down()
        clock.now += haste.SECONDS_EACH
    assert clock.slept == 0
    for _ in range(5 * haste.AT_ONCE):
        haste.slow_down()
    clock.slept = 0.0
    clock.now += haste.AT_ONCE * haste.SECONDS_EACH
    for _ in range(haste.AT_ONCE):
        haste.slow_down()
    assert clock.slept == 0  # a pause earns all of it back


def test_clicks_that_break_each_other_off_add_up_to_no_long_wait(clock: Clock, monkeypatch) -> None:
    monkeypatch.setattr(clock, "sleep", lambda seconds: None)  # each is broken off by the next one
    for _ in range(100):
        haste.slow_down()
    monkeypatch.undo()
    begin = clock.now
    monkeypatch.setattr(haste, "time", clock)
    monkeypatch.setattr(haste, "st", SimpleNamespace(session_state={haste.DUE: clock.now + 1.0}))
    haste.slow_down()
    assert clock.now - begin == pytest.approx(haste.LONGEST_WAIT)


@pytest.mark.parametrize("hosted", ["", "1"])
def test_only_a_public_server_slows_down(monkeypatch, hosted: str) -> None:
    def script() -> None:
        from pages.parts.page import page

        page("x")

    monkeypatch.setenv(HOSTED_VARIABLE, hosted)
    shown = AppTest.from_function(script, default_timeout=60).run()
    assert not shown.exception
    assert (haste.DUE in shown.session_state) == bool(hosted)
