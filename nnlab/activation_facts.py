"""activation_facts: what is true of each activation, found from its own function and derivative.

Nothing here is looked up: kinks, flat stretches, the largest slope and the average output are searched
for in float64, so that an entry added to the registry gets its facts by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from nnlab.activations import ACTIVATIONS, Activation
from nnlab.numerals import scientific
from nnlab.samples import SATURATION_TAU

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_TAU = SATURATION_TAU
# Where facts are searched. Farther out float64 rounds the slopes of sigmoid (37), tanh (19) and GELU (39)
# to 0, which is the computer's doing and not the formula's.
WINDOW = 8.0
WINDOW_STEPS = 1024  # 1/64 wide: exact in binary, so that kinks at whole numbers are on the grid
# Where the tails are judged: softsign's slope is below 1e-12 here. 4 pi long, so that a wave shows.
TAIL_START, TAIL_POINTS = 1e6, 4001
HALVINGS = 60  # from 1/64 down to the last bit
JUMP = 1e-6  # a smooth function changes by less than 1e-12 between two neighboring floats of the window
ZERO_MEAN = 1e-12  # quadrature below is exact to about 1e-15
EDGE_REACHED = 1e-9  # tanh is 2e-7 away from its limit at the window's end and never reaches it
BEYOND = 10.0  # the normal density is 8e-23 there

COLUMN_WORDS = {
    "name": "name",
    "label": "Activation",
    "made_for": "What it was made for, and its cost",
    "range": "Output range",
    "zero_centered": "Zero-centered",
    "mean_output": "Average output",
    "slope_sup": "Largest slope",
    "saturates": "Saturates",
    "can_die": "Can die",
    "differentiable": "Differentiable",
    "formula": "Formula",
    "derivative_formula": "Slope",
    "source": "Source",
}
COLUMN_HELP = {
    "range": "The outputs it can give. A round bracket is never reached, a square one is.",
    "zero_centered": "Whether the average output is 0 for inputs drawn from a standard normal distribution. "
    "If it is not, the next layer gets inputs that all lean to one side (LeCun et al. 1998).",
    "mean_output": "The average output for inputs drawn from a standard normal distribution.",
    "slope_sup": "The largest size of the slope. Backpropagation multiplies by the slope at every layer.",
    "saturates": "Where the slope stays below the threshold for all inputs far enough out.",
    "can_die": "Whether the slope is exactly 0 on a whole interval, so that a unit there gets no gradient.",
    "differentiable": "Where the function has a slope. At a kink PyTorch takes the slope of one side.",
}


@dataclass(frozen=True)
class Facts:
    """What was found about one activation; `mean_output` is E phi(Z) with Z standard normal.

    `saturates` is "both sides", "left", "right", "no", "everywhere" or NARROW. `kinks` are the z where phi
    or phi' jumps.
    """

    name: str
    mean_output: float
    zero_centered: bool
    slope_sup: float
    saturates: str
    can_die: bool
    kinks: tuple[float, ...]
    differentiable: str


NARROW = "no, only around its turning points"


def check_tau(tau: object) -> float:
    """Give the threshold tau as a float.

    Raises:
        ValueError: tau is no number between 0 and 1, both excluded.
    """
    is_number = isinstance(tau, (int, float, np.floating)) and not isinstance(tau, bool)
    if not is_number or not 0 < float(tau) < 1:  # type: ignore[arg-type]
        raise ValueError(f"tau: {tau!r} is not allowed; allowed: a number above 0 and below 1")
    return float(tau)  # type: ignore[arg-type]


def entry_of(name: str) -> Activation:
    """Give the registry's entry.

    Raises:
        ValueError: no activation has this name.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation: {name!r} is not known; allowed: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def zone_word(name: str) -> str:
    """Give what a unit in the flat zone is called: ReLU's flat side is its purpose, not a fault."""
    return "inactive" if entry_of(name).inactive_not_saturated else "saturated"


Curve = Callable[[np.ndarray], np.ndarray]


def _grid() -> np.ndarray:
    return np.linspace(-WINDOW, WINDOW, WINDOW_STEPS + 1)


def _jumps(curve: Curve) -> set[float]:
    """Find where a curve jumps: halve cells, keep the half that changes more, drop what hardly changes."""
    left, right = _grid()[:-1], _grid()[1:]
    at_left, at_right = curve(left), curve(right)
    for _ in range(HALVINGS):
        middle = (left + right) / 2
        at_middle = curve(middle)
        go_left = np.abs(at_middle - at_left) >= np.abs(at_right - at_middle)
        left, right = np.where(go_left, left, middle), np.where(go_left, middle, right)
        at_left, at_right = np.where(go_left, at_left, at_middle), np.where(go_left, at_middle, at_right)
        kept = np.abs(at_right - at_left) > JUMP
        left, right, at_left, at_right = left[kept], right[kept], at_left[kept], at_right[kept]
    return {round(float(place), 9) + 0.0 for place in left}  # + 0.0 turns -0.0 into 0.0


def _largest(curve: Curve) -> float:
    """Find the largest value in the window by zooming in on the best grid point."""
    places = _grid()
    for _ in range(6):
        best = int(np.argmax(curve(places)))
        low, high = places[max(0, best - 1)], places[min(len(places) - 1, best + 1)]
        places = np.union1d(np.linspace(low, high, 65), places[best])
    return float(curve(places).max())


def _tail(sign: int) -> np.ndarray:
    return sign * np.linspace(TAIL_START, TAIL_START + 4 * math.pi, TAIL_POINTS)


def _normal_mean(curve: Curve, kinks: tuple[float, ...]) -> float:
    """Integrate a curve against the standard normal density, Gauss-Legendre between the kinks."""
    edges = np.union1d(np.linspace(-BEYOND, BEYOND, 81), kinks)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    half = np.diff(edges)[:, None] / 2
    z = edges[:-1, None] + half * (1 + nodes)
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return math.fsum((half * weights * density * curve(z)).ravel())


@dataclass(frozen=True)
class _Shape:
    """What does not depend on tau. `attained` tells of both ends of the range whether phi reaches them."""

    mean_output: float
    slope_sup: float
    can_die: bool
    jumps: tuple[float, ...]
    kinks: tuple[float, ...]
    attained: tuple[bool, bool]


@lru_cache(maxsize=len(ACTIVATIONS))
def _shape(name: str) -> _Shape:
    entry = entry_of(name)
    phi, slope = entry.function, entry.derivative
    jumps = _jumps(phi)
    kinks = tuple(sorted(jumps | _jumps(slope)))
    mean = _normal_mean(phi, kinks)
    tail_slopes = np.abs(slope(np.concatenate([_tail(-1), _tail(1)])))
    is_zero = slope(np.linspace(-WINDOW, WINDOW, 2 * WINDOW_STEPS + 1)) == 0
    low, high = -_largest(lambda z: -phi(z)), _largest(phi)
    return _Shape(
        mean_output=0.0 if abs(mean) < ZERO_MEAN else mean,
        slope_sup=max(_largest(lambda z: np.abs(slope(z))), float(tail_slopes.max())),
        can_die=bool((is_zero[:-2] & is_zero[1:-1] & is_zero[2:]).any()),
        jumps=tuple(sorted(jumps)),
        kinks=kinks,
        attained=(abs(low - entry.range[0]) < EDGE_REACHED, abs(high - entry.range[1]) < EDGE_REACHED),
    )


def _saturates(name: str, tau: float) -> str:
    entry = entry_of(name)
    if entry.slope_sup == 0:
        return "everywhere"
    limit = tau * entry.slope_sup
    left, right = (bool((np.abs(entry.derivative(_tail(sign))) < limit).all()) for sign in (-1, 1))
    if left or right:
        return "both sides" if left and right else "left" if left else "right"
    return NARROW if saturated_zones(name, tau, -WINDOW, WINDOW) else "no"


def _differentiable(shape: _Shape) -> str:
    places = " and ".join(f"{place:g}" for place in shape.kinks)
    if shape.jumps:
        return f"it jumps at {places}"
    return f"not at {places}" if shape.kinks else "everywhere"


@lru_cache(maxsize=256)
def _facts(name: str, tau: float) -> Facts:
    shape = _shape(name)
    return Facts(
        name=name,
        mean_output=shape.mean_output,
        zero_centered=shape.mean_output == 0,
        slope_sup=shape.slope_sup,
        saturates=_saturates(name, tau),
        can_die=shape.can_die,
        kinks=shape.kinks,
        differentiable=_differentiable(shape),
    )


def facts(name: str, tau: float = DEFAULT_TAU) -> Facts:
    """Find the facts about one activation.

    Raises:
        ValueError: no activation has this name, or tau is not between 0 and 1.
    """
    entry_of(name)
    return _facts(name, check_tau(tau))


def _sign_changes(curve: Curve, places: np.ndarray) -> np.ndarray:
    """Find where a curve crosses 0, so that a zone narrower than the grid is not missed."""
    signs = np.sign(curve(places))
    cells = np.flatnonzero(signs[:-1] * signs[1:] < 0)
    left, right = places[cells], places[cells + 1]
    for _ in range(HALVINGS):
        middle = (left + right) / 2
        is_left = np.sign(curve(middle)) == signs[cells]
        left, right = np.where(is_left, middle, left), np.where(is_left, right, middle)
    return left


def saturated_zones(name: str, tau: float, low: float, high: float) -> tuple[tuple[float, float], ...]:
    """Give the intervals of z in [low, high] with abs(phi') < tau sup abs(phi'), edges to the last bits.

    Raises:
        ValueError: unknown name, tau not between 0 and 1, or low and high are no interval.
    """
    entry_of(name)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"low, high: {low!r}, {high!r} are not allowed; allowed: finite numbers, low < high")
    return _zones(name, check_tau(tau), float(low), float(high))


@lru_cache(maxsize=1024)
def _zones(name: str, tau: float, low: float, high: float) -> tuple[tuple[float, float], ...]:
    entry, limit = ACTIVATIONS[name], tau * ACTIVATIONS[name].slope_sup
    if limit == 0:
        return ((low, high),)
    grid = np.linspace(low, high, WINDOW_STEPS + 1)
    kinks = [kink for kink in _shape(name).kinks if low <= kink <= high]
    places = np.union1d(np.union1d(grid, _sign_changes(entry.derivative, grid)), kinks)

    def is_flat(z: np.ndarray) -> np.ndarray:
        return np.abs(entry.derivative(z)) < limit

    flat = is_flat(places)
    cells = np.flatnonzero(flat[:-1] != flat[1:])
    left, right = places[cells], places[cells + 1]
    for _ in range(HALVINGS):
        middle = (left + right) / 2
        is_left = is_flat(middle) == flat[cells]
        left, right = np.where(is_left, middle, left), np.where(is_left, right, middle)
    inner = [round(float(edge), 12) + 0.0 for edge in right]
    edges = [low] * bool(flat[0]) + inner + [high] * bool(flat[-1])
    return tuple(zip(edges[::2], edges[1::2], strict=True))


def range_text(name: str) -> str:
    """Write the range of outputs: "(0, 1)", "[0, ∞)", "{0, 1}" for two single values."""
    entry, attained = entry_of(name), _shape(name).attained
    low, high = ("∞" if math.isinf(end) else _trimmed(end) for end in entry.range)
    if len(np.unique(entry.function(_grid()))) == 2:
        return f"{{{low}, {high}}}"
    left = f"-{low}" if math.isinf(entry.range[0]) else low
    return f"{'[' if attained[0] else '('}{left}, {high}{']' if attained[1] else ')'}"


def reaches(name: str, value: float) -> bool:
    """Whether phi takes an end of its range at some z, and does not only come near it."""
    return any(
        reached and value == end
        for reached, end in zip(_shape(name).attained, entry_of(name).range, strict=True)
    )


def _trimmed(value: float) -> str:
    return f"{value:g}" if value == round(value) else scientific(value)


def zones_in_words(name: str, tau: float, low: float, high: float) -> str:
    """Say where the flat zone lies between low and high: "for z below -4.18 and above 4.18"."""
    parts = []
    for left, right in saturated_zones(name, tau, low, high):
        if left <= low and right >= high:
            return "for every z"
        if left <= low:
            parts.append(f"below {right:.3g}")
        elif right >= high:
            parts.append(f"above {left:.3g}")
        else:
            parts.append(f"from {left:.3g} to {right:.3g}")
    if not parts:
        return "for no z"
    return f"for z {parts[0]}" if len(parts) == 1 else f"for z {', '.join(parts[:-1])} and {parts[-1]}"


def _flat_words(name: str, tau: float) -> str:
    entry, found, word = entry_of(name), facts(name, tau), zone_word(name)
    if found.saturates == "everywhere":
        return (
            f"The slope of {entry.label} is 0 at every z except the jump, so no gradient passes through it."
        )
    largest = f"The slope of {entry.label} is at most {found.slope_sup:.3g} in size."
    if found.saturates == "no":
        return f"{largest} No input saturates it."
    if found.saturates == NARROW:
        left, right = min(saturated_zones(name, tau, -WINDOW, WINDOW), key=lambda zone: abs(sum(zone)))
        near = f"for example for z from {left:.3g} to {right:.3g}"
        return f"{largest} A unit is saturated only around the turning points of the wave, {near}."
    return f"{largest} A unit is {word} {zones_in_words(name, tau, -WINDOW, WINDOW)}."


def in_words(name: str, tau: float = DEFAULT_TAU) -> str:
    """Say the facts about one activation in a few short sentences.

    Raises:
        ValueError: no activation has this name, or tau is not between 0 and 1.
    """
    found = facts(name, tau)
    center = "so it is zero-centered" if found.zero_centered else "so it is not zero-centered"
    die = (
        "A unit can die, because the slope is exactly 0 on a whole interval."
        if found.can_die
        else "A unit cannot die by the formula, because the slope is exactly 0 on no interval."
    )
    mean = scientific(found.mean_output)
    flat = _flat_words(name, tau)
    return f"{flat} For standard normal inputs the average output is {mean}, {center}. {die}"


def facts_table(tau: float = DEFAULT_TAU) -> pd.DataFrame:
    """Give one row for each activation of the registry; COLUMN_WORDS has the headings.

    Raises:
        ValueError: tau is not between 0 and 1.
    """
    import pandas as pd

    records = []
    for name, entry in ACTIVATIONS.items():
        found = facts(name, tau)
        is_inactive = entry.inactive_not_saturated and found.saturates in ("left", "right")
        by_name = {
            "name": name,
            "label": entry.label,
            "made_for": entry.made_for,
            "range": range_text(name),
            "zero_centered": found.zero_centered,
            "mean_output": found.mean_output,
            "slope_sup": found.slope_sup,
            "saturates": f"{found.saturates} (inactive)" if is_inactive else found.saturates,
            "can_die": found.can_die,
            "differentiable": found.differentiable,
            "formula": entry.formula,
            "derivative_formula": entry.derivative_formula,
            "source": entry.source,
        }
        records.append(by_name)
    return pd.DataFrame(records, columns=list(COLUMN_WORDS))
