"""Born-dead curves: how likely ReLU networks are born dead, over depth and over width, told and drawn."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from nnlab.born_dead import (
    Bounds,
    Estimate,
    born_dead_at_one_input,
    born_dead_bounds,
    draw_born_dead_by_depth,
)
from nnlab.errands import Told, untold

DRAWN_PLACES = 10  # along a curve
# Drawn once for all places of the sliders: half a second for the deepest. A half is then known to 3 %.
DRAWS, SEED = 1000, 0
WIDEST = 16  # beyond, hardly any depth up to 100 makes a network born dead
WIDTHS = (2, 3, 5, 8)  # that are always drawn over depth
DEPTHS = (20, 50, 100)  # at which a picture over depth may end


@dataclass(frozen=True)
class Place:
    """One shape of networks: exact for one input; bounds and maybe draws for all inputs of one number."""

    depth: int
    width: int
    one_input: float
    bounds: Bounds
    drawn: Estimate | None


def shown_widths(width: int) -> tuple[int, ...]:
    """Give the widths to draw over depth, one of them the visitor's, narrowest first."""
    return tuple(sorted({*WIDTHS, width}))


def shown_depth(*depths: int) -> int:
    """Give the depth at which a picture ends that must hold some depths; it moves in few steps."""
    return next(end for end in DEPTHS if end >= max(depths))


@lru_cache(maxsize=len(DEPTHS) * WIDEST)
def _drawn(deepest: int, width: int) -> tuple[Estimate, ...]:
    """Draw networks of a width once, for every depth at which they are cut, and for both curves."""
    return draw_born_dead_by_depth(deepest, width, draws=DRAWS, seed=SEED)


def _place(depth: int, width: int, drawn: Estimate | None) -> Place:
    return Place(depth, width, born_dead_at_one_input([width] * depth), born_dead_bounds(depth, width), drawn)


def draw_curves(ends: Sequence[int], told: Told = untold) -> tuple[int, ...]:
    """Draw the networks of all curves up to some depths, and give these; `told` hears how many are done.

    Then these curves are given at once.
    """
    for number, (end, width) in enumerate(itertools.product(ends, range(1, WIDEST + 1))):
        told(number)
        _drawn(end, width)
    return tuple(ends)


def curves_over_depth(widths: Sequence[int], deepest: int, *, is_drawn: bool = True) -> tuple[Place, ...]:
    """Give every depth up to the deepest for some widths; at DRAWN_PLACES of them networks are drawn.

    Raises:
        ValueError: a width or the depth is no whole number of 1 or more.
    """
    for width in widths:
        born_dead_bounds(deepest, width)  # which checks both
    stride = -(-deepest // DRAWN_PLACES)
    places = []
    for width in widths:
        drawn = _drawn(deepest, width) if is_drawn else None
        for depth in range(1, deepest + 1):
            is_shown = depth % stride == 0 or depth == deepest
            places.append(_place(depth, width, drawn[depth - 1] if drawn and is_shown else None))
    return tuple(places)


def curve_over_width(depth: int, widest: int, *, is_drawn: bool = True) -> tuple[Place, ...]:
    """Give every width up to the widest for one depth, with drawn networks at each.

    Raises:
        ValueError: a number is no whole number of 1 or more.
    """
    born_dead_bounds(depth, widest)  # which checks both
    deepest = shown_depth(depth) if depth <= DEPTHS[-1] else depth
    places = []
    for width in range(1, widest + 1):
        drawn = _drawn(deepest, width)[depth - 1] if is_drawn else None
        places.append(_place(depth, width, drawn))
    return tuple(places)
