"""An allowance: what is there counts, what is gone does not."""

from __future__ import annotations

import gc

import pytest

from nnlab.allowance import Allowance, Full


class Thing:
    """Something that takes memory."""


def test_what_is_there_counts_and_what_is_gone_does_not() -> None:
    allowance = Allowance(100)
    first, second = Thing(), Thing()
    allowance.take(first, 60)
    with pytest.raises(Full, match="leave no room for this one, which takes 1 MB; try again"):
        allowance.take(second, 41)
    allowance.take(second, 40)
    assert allowance.taken == 100
    del first
    gc.collect()
    assert allowance.taken == 40
    allowance.take(Thing(), 60)  # gone at once
    assert allowance.taken == 40


def test_a_thing_in_a_circle_is_gone_when_it_is_collected() -> None:
    allowance = Allowance(100)
    thing = Thing()
    thing.__dict__["itself"] = thing
    allowance.take(thing, 100)
    del thing
    allowance.take(Thing(), 1)  # there is room after a look at what nobody holds any more
    assert allowance.taken == 0


def test_one_sentence_says_it() -> None:
    assert issubclass(Full, ValueError)
    with pytest.raises(Full) as caught:
        Allowance(0).take(Thing(), 5_000_000)
    assert "5 MB" in str(caught.value)
    assert "\n" not in str(caught.value)
