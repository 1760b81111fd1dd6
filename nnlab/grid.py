"""Grid: the cells of a sweep, every combination of some fields' values from every seed, or a list."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nnlab.config import FIELDS, ExperimentConfig

# A table of 5 MB; at a second a cell, three hours of one processor.
MAX_CELLS = 10_000


@dataclass(frozen=True)
class Grid:
    """The experiments of a sweep, each once; made by `make_grid` or `list_grid`."""

    cells: tuple[ExperimentConfig, ...]

    @cached_property
    def axes(self) -> Mapping[str, tuple[Any, ...]]:
        """The fields that differ between cells, with their values in order of appearance; seed the last."""
        names = sorted(FIELDS, key=lambda name: name == "seed")
        values = {name: tuple(dict.fromkeys(getattr(cell, name) for cell in self.cells)) for name in names}
        return {name: found for name, found in values.items() if len(found) > 1}

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The cells' numbers, those that differ by the seed alone together."""
        found: dict[ExperimentConfig, list[int]] = {}
        for number, cell in enumerate(self.cells):
            found.setdefault(cell.replace(seed=0), []).append(number)
        return tuple(map(tuple, found.values()))


def make_grid(
    base: ExperimentConfig,
    axes: Mapping[str, Iterable[Any] | Sized],
    seeds: int | Sequence[int] = 1,
    limit: int = MAX_CELLS,
) -> Grid:
    """Combine every value of some fields with each other and with seeds; the rest is as in `base`.

    Args:
        base: gives all fields that are no axis.
        axes: a field's name and the values it takes.
        seeds: the seeds, or how many from the seed of `base` on.
        limit: how many cells are allowed.

    Raises:
        ValueError: a field or value is not allowed or there twice, nothing is left, or it is too much.
    """
    for name in axes:
        if name not in FIELDS:
            raise ValueError(f"grid: {name[:40]!r} is no field; allowed: {', '.join(FIELDS)}")
    count = seeds if isinstance(seeds, int) else _size(seeds)
    _check_count({**{name: _size(values) for name, values in axes.items()}, "seeds": count}, limit)
    if "seed" in axes and count > 1:
        raise ValueError("seeds: the grid names its seeds already; leave one of the two out")
    wanted = seeds if not isinstance(seeds, int) else range(base.seed, base.seed + seeds)
    checked = {name: _checked(name, values) for name, values in axes.items()}
    if "seed" not in axes:
        checked["seed"] = _checked("seed", wanted)
    return Grid(tuple(_combine(base, checked)))


def list_grid(cells: Iterable[ExperimentConfig], limit: int = MAX_CELLS) -> Grid:
    """Make a sweep of experiments as they are listed; raises ValueError where they are none or too many."""
    listed = tuple(itertools.islice(cells, limit + 1))
    if not listed:
        raise ValueError("grid: no cells; name at least one experiment")
    if len(listed) > limit:
        raise ValueError(f"grid: more than {limit:,} cells; allowed: at most {limit:,}")
    return Grid(tuple(dict.fromkeys(listed)))


def parse_axis(text: str) -> tuple[str, tuple[Any, ...]]:
    """Read "depth=2,5,10": a field and its values; raises ValueError in one sentence.

    A value that holds a comma stands in double quotes.
    """
    name, equals, listed = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals:
        raise ValueError(f"grid: {text[:80]!r} is no FIELD=VALUE,VALUE,...; write for example depth=2,5,10")
    if name not in FIELDS:
        raise ValueError(f"grid: {name[:40]!r} is no field; allowed: {', '.join(FIELDS)}")
    try:
        lines = list(csv.reader([listed], strict=True))
    except csv.Error:
        raise ValueError(f"grid: {text[:80]!r} has a quote that is not closed") from None
    values = lines[0] if lines else []
    try:
        return name, tuple(FIELDS[name].parse(value) for value in values)
    except ValueError as error:
        raise ValueError(f"grid: {error}") from None


def _size(values: Iterable[Any] | Sized) -> int:
    try:
        if isinstance(values, str):
            raise TypeError
        return len(values)  # type: ignore[arg-type]
    except OverflowError:  # a range of more than 2^63
        return 2**63
    except TypeError:
        raise ValueError(f"grid: {str(values)[:40]!r} is no list of values; write [value, ...]") from None


def _check_count(sizes: Mapping[str, int], limit: int) -> None:
    """Raise ValueError where there are no cells or too many, before any of them is made."""
    cells = 1
    for name, size in sizes.items():
        if size < 1:
            name = "seeds" if name == "seeds" else "grid"
            what = "0 seeds" if name == "seeds" else "a field without values"
            raise ValueError(f"{name}: {what}, so no cells; allowed: 1 to {limit:,} cells")
        cells *= size
    if cells > limit:
        count = f"{cells:,}" if cells < 10**15 else f"about 10^{len(str(cells)) - 1}"
        raise ValueError(f"grid: {count} cells; allowed: at most {limit:,} (leave out values or seeds)")


def _checked(name: str, values: Any) -> tuple[Any, ...]:
    try:
        checked = tuple(FIELDS[name].check(value) for value in values)
    except ValueError as error:
        raise ValueError(f"grid: {error}") from None
    seen: set[Any] = set()
    for value in checked:
        if value in seen:
            raise ValueError(f"grid: {name} {FIELDS[name].format(value)[:40]} is there twice; name it once")
        seen.add(value)
    return checked


def _combine(base: ExperimentConfig, axes: Mapping[str, Sequence[Any]]) -> Iterator[ExperimentConfig]:
    for values in itertools.product(*axes.values()):
        changes = dict(zip(axes, values, strict=True))
        try:
            yield base.replace(**changes)
        except ValueError as error:
            said = " ".join(f"{name} {FIELDS[name].format(value)[:40]}" for name, value in changes.items())
            raise ValueError(f"grid: the cell {said} is not allowed: {error}") from None
