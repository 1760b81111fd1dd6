"""Paper: a published figure, what it claims, and how this project measures the same and compares."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnlab.numerals import scientific
from nnlab.palette import Mode
from nnlab.stop import Stop

if TYPE_CHECKING:
    from nnlab.chart import Chart

# Numbers, words, or tuples of them, by name: what a measurement is made with.
Settings = Mapping[str, Any]
# A table: numbers or words by column, all columns of one length.
Columns = Mapping[str, Sequence[Any]]
Report = Callable[[int, int], None]  # called as report(steps done, all steps)


class Interrupted(Exception):
    """A measurement was asked to stop before its end: there is no result."""


@dataclass(frozen=True)
class Check:
    """A measured number beside the published one.

    `origin` says where the published number is from: printed, derived, or read off a picture.
    `tolerance` is relative to the published number, or absolute in its unit.
    """

    quantity: str
    published: float
    origin: str
    measured: float
    tolerance: float
    is_absolute: bool = False

    def __post_init__(self) -> None:
        if self.published == 0 and not self.is_absolute:
            raise ValueError(f"published: 0 is not allowed for {self.quantity!r} with a relative tolerance")

    @property
    def deviation(self) -> float:
        """Measured minus published, relative unless the tolerance is absolute."""
        difference = self.measured - self.published
        return difference if self.is_absolute else difference / abs(self.published)

    @property
    def passes(self) -> bool:
        """Whether the deviation is within the tolerance; never for NaN."""
        return math.isfinite(self.measured) and abs(self.deviation) <= self.tolerance

    @property
    def deviation_words(self) -> str:
        """The deviation with its sign, in percent unless it is absolute."""
        return _signed(self.deviation, is_absolute=self.is_absolute)

    @property
    def tolerance_words(self) -> str:
        """The tolerance, as the deviation is written."""
        if self.tolerance == 0:
            return "none"
        return "±" + _signed(self.tolerance, is_absolute=self.is_absolute).lstrip("+")

    @property
    def words(self) -> str:
        """The comparison in one line."""
        return (
            f"{'passes' if self.passes else 'FAILS'}: {self.quantity}: measured {digits(self.measured)}, "
            f"published {digits(self.published)}, deviation {self.deviation_words}, "
            f"tolerance {self.tolerance_words}"
        )


def digits(value: float) -> str:
    """Write with three significant digits, so that a deviation of a percent can be seen."""
    return f"{value:.3g}" if math.isfinite(value) else scientific(value)


def _signed(value: float, *, is_absolute: bool) -> str:
    if not math.isfinite(value):
        return scientific(value)
    if value == 0:
        return "0" if is_absolute else "0 %"
    return f"{value:+.2g}" if is_absolute else f"{100 * value:+.{1 if abs(value) < 0.1 else 0}f} %"


@dataclass(frozen=True)
class Paper:
    """One figure of one paper.

    `claim` is the paper's, `setup` ours, `notes` say where the two differ. `full` settings make the stored
    result, `small` ones run within seconds. `measure` is called as measure(settings, report, stop), imports
    torch only inside, and raises Interrupted where it is stopped. `check` and `charts` turn its table into
    comparisons and pictures; the names of the charts differ from those of all other papers.
    """

    name: str
    title: str
    authors: str
    year: int
    figure: str
    claim: str
    setup: str
    notes: tuple[str, ...]
    full: Settings
    small: Settings
    measure: Callable[[Settings, Report, Stop], Columns]
    check: Callable[[Columns, Settings], tuple[Check, ...]]
    charts: Callable[[Columns, Mode], tuple[Chart, ...]]

    @property
    def source(self) -> str:
        """Authors, year and figure in one line."""
        return f"{self.authors} {self.year}, {self.figure}"


def passes(checks: Sequence[Check]) -> bool:
    """Whether there are checks and all of them pass."""
    return bool(checks) and all(check.passes for check in checks)
