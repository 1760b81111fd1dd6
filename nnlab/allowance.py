"""An allowance: how much memory things of one kind may take together, for as long as they are there."""

from __future__ import annotations

import gc
import itertools
import weakref

# What visitors' tables, runs and weights may take in all: of the 690 MB of a small host, 330 are taken at
# rest, 128 by two runs and 36 by files on their way.
VISITORS_BYTES = 60_000_000


class Full(ValueError):
    """There is no room; the message says so and what to do."""


class Allowance:
    """Bytes for things that come and go; what is gone takes none, without anybody saying so."""

    def __init__(self, most: int = VISITORS_BYTES) -> None:
        self._most = most
        # No lock: a thing may go while one is held, and single operations of a dict need none.
        self._sizes: dict[int, int] = {}
        self._numbers = itertools.count()

    @property
    def taken(self) -> int:
        """The bytes of all things that are there."""
        return sum(list(self._sizes.values()))

    def take(self, thing: object, size: int) -> None:
        """Count a thing of so many bytes in, until nobody holds it any more.

        Raises:
            Full: with it, there would be too much.
        """
        if self.taken + size > self._most:
            gc.collect()  # what an ended visit had open may still wait to be collected
        if self.taken + size > self._most:
            raise Full(
                "the files that visitors have open now leave no room for this one, which takes "
                f"{max(1, round(size / 1e6))} MB; try again in a few minutes, or run nnlab on your machine"
            )
        number = next(self._numbers)
        self._sizes[number] = size
        weakref.finalize(thing, self._sizes.pop, number, None)
