"""Errands: one after the other, each as long as somebody asks, kept for all."""

from __future__ import annotations

import threading
import time

import pytest

from nnlab import errands
from nnlab.errands import Errands, Told

PATIENCE = 20.0


class Work:
    """Something to do that can be held up, and that notes how far it came."""

    def __init__(self, steps: int = 1) -> None:
        self.steps, self.done, self.at_once = steps, 0, 0
        self.may_go_on, self.has_begun = threading.Event(), threading.Event()

    def __call__(self, told: Told) -> str:
        self.has_begun.set()
        assert self.may_go_on.wait(PATIENCE)
        for step in range(self.steps):
            told(step)
            self.done += 1
        return f"{self.steps} steps"


@pytest.fixture
def board() -> Errands:
    return Errands()


def wait(board: Errands) -> None:
    give_up_at = time.monotonic() + PATIENCE
    while not board.is_idle:
        assert time.monotonic() < give_up_at
        time.sleep(0.002)


def test_who_asks_does_not_wait_and_the_next_who_asks_gets_the_same(board: Errands) -> None:
    work = Work(3)
    errand = board.ask("key", work, "a")
    assert not errand.is_done
    assert board.done("key") is None
    assert board.ask("key", Work(), "b") is errand
    work.may_go_on.set()
    wait(board)
    assert (errand.found, errand.error, errand.progress) == ("3 steps", None, 2)
    assert board.done("key") is board.ask("key", Work(), "c") is errand
    board.forget()
    assert board.done("key") is None


def test_errands_are_done_one_after_the_other_and_in_order(board: Errands) -> None:
    order: list[int] = []
    inside: list[int] = []

    def do(number: int, told: Told) -> None:
        inside.append(number)
        assert inside == [number]
        time.sleep(0.005)
        order.append(number)
        inside.remove(number)

    for number in range(6):
        board.ask(number, lambda told, number=number: do(number, told), f"visitor {number}")  # type: ignore[misc]
    wait(board)
    assert order == list(range(6))
    assert all(board.done(number).error is None for number in range(6))  # type: ignore[union-attr]


def test_who_asks_for_something_else_takes_back_what_was_asked_before(board: Errands) -> None:
    first, waiting, other = Work(5), Work(), Work()
    board.ask("first", first, "a")
    assert first.has_begun.wait(PATIENCE)
    board.ask("waiting", waiting, "a")  # takes back the first
    board.ask("other", other, "b")
    board.ask("third", other, "a")  # takes back the one that waits
    for work in (first, waiting, other):
        work.may_go_on.set()
    wait(board)
    assert first.done == 0
    assert board.done("first") is None
    assert not waiting.has_begun.is_set()
    assert board.done("other") is not None
    assert board.done("third") is not None


def test_what_others_want_too_goes_on(board: Errands) -> None:
    work = Work(2)
    board.ask("key", work, "a")
    board.ask("key", work, "b")
    board.ask("else", lambda told: None, "a")
    work.may_go_on.set()
    wait(board)
    assert work.done == 2


def test_who_has_closed_the_page_is_not_worked_for(board: Errands, monkeypatch) -> None:
    work = Work(3)
    board.ask("key", work, "a")
    assert work.has_begun.wait(PATIENCE)
    monkeypatch.setattr(errands, "PATIENCE_SECONDS", 0.0)
    work.may_go_on.set()
    wait(board)
    assert work.done == 0
    assert board.done("key") is None
    monkeypatch.undo()
    again = Work()
    again.may_go_on.set()
    board.ask("key", again, "a")
    wait(board)
    assert again.done == 1


def test_a_failure_is_told_once_and_ends_nothing_else(board: Errands) -> None:
    def fail(told: Told) -> None:
        raise MemoryError("no room")

    board.ask("bad", fail, "a")
    board.ask("good", lambda told: 1, "b")
    wait(board)
    failed = board.done("bad")
    assert failed is not None
    assert str(failed.error) == "no room"
    assert board.done("bad") is None
    good = board.done("good")
    assert good is not None
    assert good.found == 1


def test_what_was_looked_at_last_is_kept(board: Errands, monkeypatch) -> None:
    monkeypatch.setattr(errands, "MOST_KEPT", 3)
    for number in range(3):
        board.ask(number, lambda told: None, "a")
        wait(board)
    assert board.done(0) is not None
    board.ask(3, lambda told: None, "a")
    wait(board)
    assert [number for number in range(4) if board.done(number)] == [0, 2, 3]


def test_where_there_is_no_thread_who_asks_does_it(board: Errands, monkeypatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    errand = board.ask("key", lambda told: 7, "a")
    assert errand.is_done
    assert errand.found == 7
    assert board.is_idle


def test_no_thread_stays(board: Errands) -> None:
    board.ask("key", lambda told: None, "a")
    wait(board)
    give_up_at = time.monotonic() + PATIENCE
    while any(thread.name == "nnlab-errand" for thread in threading.enumerate()):
        assert time.monotonic() < give_up_at
        time.sleep(0.002)
