"""Born-dead curves: how likely ReLU networks are born dead, over depth and over width, told and drawn."""

from __future__ import annotations

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

DRAWN_PLACES = 10  # along a curve
# Drawn once for all places of the sliders: half a second for the deepest. A half is then known to 3 %.
DRAWS = 1000
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
def _drawn(deepest: int, width: int, seed: int) -> tuple[Estimate, ...]:
    """Draw networks of a width once, for every depth at which they are cut, and for both curves."""
    return draw_born_dead_by_depth(deepest, width, draws=DRAWS, seed=seed)


def _place(depth: int, width: int, drawn: Estimate | None) -> Place:
    return Place(depth, width, born_dead_at_one_input([width] * depth), born_dead_bounds(depth, width), drawn)


def curves_over_depth(widths: Sequence[int], deepest: int, seed: int = 0) -> tuple[Place, ...]:
    """Give every depth up to the deepest for some widths; at DRAWN_PLACES of them networks are drawn.

    Raises:
        ValueError: a width or the depth is no whole number of 1 or more.
    """
    stride = -(-deepest // DRAWN_PLACES)
    places = []
    for width in widths:
        for depth, estimate in enumerate(_drawn(deepest, width, seed), start=1):
            shown = estimate if depth % stride == 0 or depth == deepest else None
            places.append(_place(depth, width, shown))
    return tuple(places)


def curve_over_width(depth: int, widest: int, seed: int = 0) -> tuple[Place, ...]:
    """Give every width up to the widest for one depth, with drawn networks at each.

    Raises:
        ValueError: a number is no whole number of 1 or more.
    """
    born_dead_bounds(depth, widest)  # which checks both
    deepest = shown_depth(depth) if depth <= DEPTHS[-1] else depth
    widths = range(1, widest + 1)
    return tuple(_place(depth, width, _drawn(deepest, width, seed)[depth - 1]) for width in widths)
