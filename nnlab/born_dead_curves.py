"""Born-dead curves: how likely ReLU networks are born dead, over depth and over width, told and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nnlab.born_dead import (
    Bounds,
    Estimate,
    born_dead_at_one_input,
    born_dead_bounds,
    draw_born_dead_by_depth,
)

DRAWN_PLACES = 10  # along a curve
# So many random numbers take a quarter of a second; what many large networks need is saved in draws.
MAX_NUMBERS = 10_000_000
MIN_DRAWS, MAX_DRAWS = 300, 2000
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


def _draws(numbers: int) -> int:
    """Give how many networks to draw, each of which needs so many random numbers."""
    return max(MIN_DRAWS, min(MAX_DRAWS, MAX_NUMBERS // numbers))


def _place(depth: int, width: int, drawn: Estimate | None) -> Place:
    return Place(depth, width, born_dead_at_one_input([width] * depth), born_dead_bounds(depth, width), drawn)


def curves_over_depth(widths: Sequence[int], deepest: int, seed: int = 0) -> tuple[Place, ...]:
    """Give every depth up to the deepest for some widths; at DRAWN_PLACES of them networks are drawn.

    Raises:
        ValueError: a width or the depth is no whole number of 1 or more.
    """
    draws = _draws(2 * deepest * sum(widths))
    stride = -(-deepest // DRAWN_PLACES)
    places = []
    for width in widths:
        estimates = draw_born_dead_by_depth(deepest, width, draws=draws, seed=seed)
        for depth, estimate in enumerate(estimates, start=1):
            shown = estimate if depth % stride == 0 or depth == deepest else None
            places.append(_place(depth, width, shown))
    return tuple(places)


def curve_over_width(depth: int, widest: int, seed: int = 0) -> tuple[Place, ...]:
    """Give every width up to the widest for one depth, with drawn networks at each.

    Raises:
        ValueError: a number is no whole number of 1 or more.
    """
    draws = _draws(depth * widest * (widest + 1))
    drawn = (
        draw_born_dead_by_depth(depth, width, draws=draws, seed=seed)[-1] for width in range(1, widest + 1)
    )
    return tuple(_place(depth, width, estimate) for width, estimate in enumerate(drawn, start=1))
