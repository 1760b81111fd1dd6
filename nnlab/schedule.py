"""schedule: who of those who wait is next, by rules that are fair, and how long each of them will wait."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from nnlab.sweep_cost import spoken_seconds

# A visitor waits as long as this without asking what is wrong: what takes longer leaves a place to others.
LONG_SECONDS = 10.0
MAX_LONG = 1  # of MAX_RUNNING, so that a short run never waits for long ones alone


@dataclass(frozen=True)
class Ticket:
    """Work that runs or waits.

    `owners` are the visitors it is for; () is nobody, to whom no rule applies. `seconds` is what is left of
    it; `is_long` tells of all of it.
    """

    name: str
    seconds: float
    owners: frozenset[str] = frozenset()
    is_long: bool = False


@dataclass(frozen=True)
class Place:
    """Where waiting work stands: its number from 1, and the seconds until it begins."""

    number: int
    seconds: float

    @property
    def words(self) -> str:
        """The place in one sentence."""
        return f"Waiting for a free place: number {self.number} in the queue, about " + (
            f"{spoken_seconds(self.seconds)} to wait"
        )


def may_start(ticket: Ticket, running: Sequence[Ticket]) -> bool:
    """Whether work may begin beside what runs: one run a visitor, and never long ones in all places."""
    if any(ticket.owners & other.owners for other in running):
        return False
    return not ticket.is_long or sum(other.is_long for other in running) < MAX_LONG


def next_to_start(waiting: Sequence[Ticket], running: Sequence[Ticket], *, is_fair: bool) -> Ticket | None:
    """Give the first that may begin; without `is_fair` the first. Whose turn it is not lets others pass."""
    allowed = (ticket for ticket in waiting if not is_fair or may_start(ticket, running))
    return next(allowed, None)


def places(
    waiting: Sequence[Ticket], running: Sequence[Ticket], workers: int, *, is_fair: bool
) -> dict[str, Place]:
    """Foresee in which order and when waiting work begins, by name."""
    workers, left, going, order = max(1, workers), list(waiting), list(running), count()
    ends = [(ticket.seconds, next(order), ticket) for ticket in running]
    heapq.heapify(ends)
    now, found = 0.0, dict[str, Place]()
    while left:
        ticket = next_to_start(left, going, is_fair=is_fair) if len(going) < workers else None
        if ticket is None:
            now, _, ended = heapq.heappop(ends)
            going.remove(ended)
            continue
        found[ticket.name] = Place(len(found) + 1, now)
        left.remove(ticket)
        going.append(ticket)
        heapq.heappush(ends, (now + ticket.seconds, next(order), ticket))
    return found
