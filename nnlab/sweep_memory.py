"""SweepMemory: the finished cells of a visitor's sweeps in memory, so that none is trained twice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from nnlab.sweep_row import Row

MAX_KEPT = 3_000  # cells of about 4.5 kB; a public server has 690 MB for all its visitors


class SweepMemory:
    """Finished cells by key, as `SweepStore` keeps them in a file; the oldest are forgotten."""

    def __init__(self, most: int = MAX_KEPT) -> None:
        self._rows: OrderedDict[str, Row] = OrderedDict()
        self._most = most

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __getitem__(self, key: str) -> Row:
        return self._rows[key]

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, other: SweepMemory, keys: Iterable[str]) -> None:
        """Keep the cells of another memory, those among `keys`."""
        for key in keys:
            if key in other and key not in self:
                self.add(key, other[key])

    def add(self, key: str, row: Row) -> None:
        """Keep a finished cell."""
        self._rows[key] = row
        while len(self._rows) > self._most:
            self._rows.popitem(last=False)
