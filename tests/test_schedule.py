"""Who is next and who waits how long: checked by hand, and on drawn queues by what must never happen."""

from __future__ import annotations

import random

import pytest

from nnlab.schedule import LONG_SECONDS, Place, Ticket, may_start, next_to_start, places


def ticket(name: str, seconds: float = 1.0, owner: str = "", *, is_long: bool = False) -> Ticket:
    return Ticket(name, seconds, frozenset({owner} - {""}), is_long)


def order(waiting, running=(), workers=2, *, is_fair=True):
    return {name: (place.number, place.seconds) for name, place in found(waiting, running, workers, is_fair)}


def found(waiting, running, workers, is_fair):
    return places(waiting, running, workers, is_fair=is_fair).items()


def test_nobody_waits_where_there_is_a_place():
    assert order([ticket("a"), ticket("b")]) == {"a": (1, 0.0), "b": (2, 0.0)}


def test_who_waits_begins_when_the_first_ends():
    running = [ticket("r", 5.0), ticket("s", 3.0)]
    assert order([ticket("a", 4.0), ticket("b"), ticket("c")], running) == {
        "a": (1, 3.0),
        "b": (2, 5.0),
        "c": (3, 6.0),
    }


def test_a_visitors_second_run_waits_for_the_first_and_lets_others_pass():
    running = [ticket("r", 5.0, "me")]
    waiting = [ticket("mine", 1.0, "me"), ticket("theirs", 1.0, "you")]
    assert not may_start(waiting[0], running)
    assert order(waiting, running) == {"theirs": (1, 0.0), "mine": (2, 5.0)}


def test_work_of_nobody_waits_for_nobody():
    assert may_start(ticket("a"), [ticket("r")])


def test_long_work_leaves_a_place_to_short():
    running = [ticket("sweep", 40.0, "one", is_long=True)]
    waiting = [ticket("long", 30.0, "two", is_long=True), ticket("short", 2.0, "three")]
    assert next_to_start(waiting, running, is_fair=True).name == "short"
    assert order(waiting, running) == {"short": (1, 0.0), "long": (2, 40.0)}


def test_on_ones_own_machine_nothing_stands_back():
    running = [ticket("r", 5.0, "me", is_long=True)]
    waiting = [ticket("a", 30.0, "me", is_long=True), ticket("b", 1.0, "me")]
    assert order(waiting, running, is_fair=False) == {"a": (1, 0.0), "b": (2, 5.0)}


@pytest.mark.parametrize("seed", range(20))
def test_a_drawn_queue_is_worked_off_by_the_rules(seed):
    draw = random.Random(seed)
    waiting = [
        ticket(str(n), draw.uniform(0.1, 60), draw.choice("abcdefg"), is_long=draw.random() < 0.4)
        for n in range(draw.randint(1, 20))
    ]
    told = places(waiting, [], 2, is_fair=True)
    assert sorted(place.number for place in told.values()) == list(range(1, len(waiting) + 1))
    by_name = {one.name: one for one in waiting}
    spans = [(told[n].seconds, told[n].seconds + by_name[n].seconds, by_name[n]) for n in told]
    for begin, _, one in spans:
        beside = [other for b, e, other in spans if b <= begin < e and other is not one]
        assert len(beside) < 2
        assert not any(one.owners & other.owners for other in beside)
        assert not (one.is_long and any(other.is_long for other in beside))


def test_no_short_run_waits_for_longer_than_short_ones_take():
    running = [ticket("sweep", 60.0, "one", is_long=True)]
    waiting = [ticket(f"long{n}", 60.0, f"l{n}", is_long=True) for n in range(5)]
    waiting += [ticket(f"short{n}", LONG_SECONDS, f"s{n}") for n in range(3)]
    told = places(waiting, running, 2, is_fair=True)
    assert [told[f"short{n}"].seconds for n in range(3)] == [0.0, LONG_SECONDS, 2 * LONG_SECONDS]


def test_a_place_is_said_with_the_time_to_wait():
    assert Place(3, 41.7).words == ("Waiting for a free place: number 3 in the queue, about 42 s to wait")
    assert Place(1, 0.0).words.endswith("about 1 s to wait")
    assert "about 4 min" in Place(9, 240.0).words
