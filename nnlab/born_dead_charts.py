"""Charts of how likely ReLU networks are born dead, over depth and over width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import altair as alt
import pandas as pd

from nnlab.born_dead import born_dead_at_one_input
from nnlab.born_dead_curves import Place
from nnlab.born_dead_words import chance
from nnlab.chart import DECADE_LABEL, Chart, decade_ticks, finish, rows
from nnlab.palette import CATEGORIES, THEMES, Mode

HEIGHT = 280
YOURS = "your network"
MARKS = "Line: for one given input, exact. Band and dots: for all inputs of one number, bounds and drawn."
AWAITED = (
    "Line: for one given input, exact. Band: bounds for all inputs of one number. Dots follow once drawn."
)
TEXT = (
    "A ReLU layer whose units are all off passes nothing on, forward or backward. The line is the exact "
    "probability that this happens somewhere for one given input, without biases and with weights symmetric "
    "about 0: $1 - \\prod_l (1 - 2^{-n_l})$ with $n_l$ units in layer $l$; each unit is off with probability "
    "1/2 (the bound of Rister & Rubin 2020, which is then exact). The band and the dots are about all inputs "
    "of a network with one input number: the published bounds (Lu, Shin, Su & Karniadakis 2020), and the "
    "share of drawn networks that are constant on either side of 0, with bars that hold the truth in 95 of "
    "100 cases (Wilson 1927). Fewer are dead for all inputs than for one."
)


def born_dead_over_depth(places: Sequence[Place], chosen: tuple[int, int], mode: Mode) -> Chart:
    """Draw the probability over depth for some widths, and the chosen network (depth, width) as a diamond."""
    frame = _frame(places)
    widths = tuple(dict.fromkeys(f"width {place.width}" for place in places))
    deepest = max(place.depth for place in places)
    is_inside = chosen[0] <= deepest
    return Chart(
        name="born_dead_over_depth",
        title="Born dead over depth",
        how_to_read=f"{TEXT} The dots of one width are the same networks, cut after each layer.",
        alt_text=_alt_text(places, "depth"),
        spec=_depth_spec(mode, widths, max(2, deepest)),
        frames={
            "rows": frame.assign(has_none=False, series=[f"width {place.width}" for place in places]),
            "chosen": _chosen(chosen, is_inside, YOURS),
        },
        make_table=lambda: _table(places),
        notes=_notes(
            places, "" if is_inside else f"Your network, {chosen[0]} layers deep, lies to the right."
        ),
    )


def born_dead_over_width(places: Sequence[Place], chosen: tuple[int, int], mode: Mode) -> Chart:
    """Draw the probability over width at one depth on a logarithmic axis, and the chosen network."""
    depth, widest = places[0].depth, places[-1].width
    is_inside = chosen[1] <= widest
    told = born_dead_at_one_input([chosen[1]] * chosen[0])
    low = _lowest_decade(places, told if is_inside else 1.0)
    floor = float(f"1e{low}")
    frame = _frame(places).assign(series=f"depth {depth}")
    frame["has_none"] = frame["share"] == 0
    # A logarithmic axis has no 0: bars and bands that reach it end on the floor.
    for name in ("low", "high", "bar_low", "bar_high"):
        frame[name] = frame[name].clip(lower=floor)
    frame["shown"] = frame["share"].where(~frame["has_none"], frame["bar_high"])
    yours = YOURS if chosen[0] == depth else f"{YOURS}, {chosen[0]} deep"
    words = f"Your network, {chosen[1]:,} wide, lies to the right: {chance(told)}."
    return Chart(
        name="born_dead_over_width",
        title=f"Born dead over width, with {depth} layer{'s' if depth > 1 else ''}",
        how_to_read=(
            f"{TEXT} The axis is logarithmic: every further unit halves the probability, once it is small. A "
            "triangle stands where no drawn network was dead, at the most that this allows."
        ),
        alt_text=_alt_text(places, "width"),
        spec=_width_spec(mode, f"depth {depth}", widest, low),
        frames={"rows": frame, "chosen": _chosen(chosen, is_inside, yours)},
        make_table=lambda: _table(places),
        notes=_notes(places, "" if is_inside else words),
    )


def _notes(places: Sequence[Place], beyond: str) -> tuple[str, ...]:
    """Say what the marks are, and where the chosen network lies if beyond the picture."""
    is_drawn = any(place.drawn for place in places)
    return tuple(filter(None, (MARKS if is_drawn else AWAITED, beyond)))


def _frame(places: Sequence[Place]) -> pd.DataFrame:
    """Give one row a place; nan where no networks are drawn."""
    drawn = [place.drawn for place in places]
    frame = pd.DataFrame(
        {
            "depth": [float(place.depth) for place in places],
            "width": [float(place.width) for place in places],
            "one_input": [place.one_input for place in places],
            "low": [place.bounds.low for place in places],
            "high": [place.bounds.high for place in places],
            "share": [estimate.share if estimate else math.nan for estimate in drawn],
            "bar_low": [estimate.low if estimate else math.nan for estimate in drawn],
            "bar_high": [estimate.high if estimate else math.nan for estimate in drawn],
            "told": [chance(place.one_input) for place in places],
            "bounds": [f"{chance(place.bounds.low)} to {chance(place.bounds.high)}" for place in places],
            "found": [f"{chance(e.share)} of {e.draws:,}" if e else "" for e in drawn],
        }
    )
    return frame.astype({"told": str, "bounds": str, "found": str})


def _chosen(chosen: tuple[int, int], is_inside: bool, word: str) -> pd.DataFrame:
    """Place the chosen network, with its words."""
    depth, width = chosen
    told = born_dead_at_one_input([width] * depth)
    row = (float(depth), float(width), told, word, chance(told) if told else "below 1e-300")
    frame = pd.DataFrame([row] * is_inside, columns=["depth", "width", "one_input", "word", "told"])
    return frame.astype({"depth": float, "width": float, "one_input": float, "word": str, "told": str})


def _lowest_decade(places: Sequence[Place], told: float) -> int:
    smallest = min(*(place.one_input for place in places), told)
    return min(-2, max(-40, math.floor(math.log10(max(smallest, 1e-300)))))


def _table(places: Sequence[Place]) -> pd.DataFrame:
    """Give all numbers in full precision, and how many networks were drawn."""
    frame = _frame(places).drop(columns=["told", "bounds", "found"])
    draws = [place.drawn.draws if place.drawn else 0 for place in places]
    names = {"low": "bound_low", "high": "bound_high", "share": "drawn_share", "bar_low": "drawn_low"}
    frame = frame.rename(columns={**names, "bar_high": "drawn_high"}).assign(draws=draws)
    return frame.astype({"depth": int, "width": int})


def _alt_text(places: Sequence[Place], over: str) -> str:
    first, last = places[0], places[-1]
    ends = [
        f"{chance(place.one_input)} at depth {place.depth} and width {place.width}" for place in (first, last)
    ]
    return f"Probability of being born dead over {over}: {' and '.join(ends)}."


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("depth:Q", title="layers", format="d"),
        alt.Tooltip("width:Q", title="units in each", format="d"),
        alt.Tooltip("told:N", title="at one input"),
        alt.Tooltip("bounds:N", title="for all inputs, bounds"),
        alt.Tooltip("found:N", title="drawn"),
    ]


@lru_cache(maxsize=64)
def _depth_spec(mode: Mode, series: tuple[str, ...], deepest: int) -> dict[str, Any]:
    x = alt.X("depth:Q", title="hidden layers").scale(domain=[0, deepest], nice=False)
    x = x.axis(tickMinStep=1, grid=False, tickCount=8)
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(format=".1f", tickCount=5)
    return _layers(mode, series, x, scale, axis, "share")


@lru_cache(maxsize=64)
def _width_spec(mode: Mode, series: str, widest: int, low: int) -> dict[str, Any]:
    x = alt.X("width:Q", title="units in each layer").scale(domain=[0.5, widest + 0.5], nice=False)
    x = x.axis(tickMinStep=1, grid=False, tickCount=8, format="d")
    scale = alt.Scale(type="log", domain=[float(f"1e{low}"), 1.0], nice=False)
    axis = alt.Axis(values=decade_ticks(low, 0), labelExpr=DECADE_LABEL)
    return _layers(mode, (series,), x, scale, axis, "shown")


def _layers(
    mode: Mode, series: tuple[str, ...], x: alt.X, scale: alt.Scale, axis: alt.Axis, dots: str
) -> dict[str, Any]:
    theme = THEMES[mode]
    names: dict[str, Any] = {"title": "probability of being born dead", "scale": scale, "axis": axis}
    colors = [CATEGORIES[place] for place in (5, 1, 2, 4, 3)][: len(series)]
    color = alt.Color("series:N", title=None).scale(domain=list(series), range=colors)
    color = color.legend(orient="top", columns=3, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1)
    base = alt.Chart(rows()).encode(x=x, color=color)
    band = base.mark_area(opacity=0.25, clip=True).encode(y=alt.Y("low:Q", **names), y2="high:Q")
    line = base.mark_line(strokeWidth=2, clip=True).encode(y=alt.Y("one_input:Q", **names))
    drawn = base.transform_filter("isValid(datum.share)")
    bars = drawn.mark_rule(strokeWidth=1.5).encode(y=alt.Y("bar_low:Q", **names), y2="bar_high:Q")
    points = drawn.mark_point(filled=True, size=45, opacity=1, stroke=theme.background, strokeWidth=0.8)
    shape = alt.condition("datum.has_none", alt.value("triangle-down"), alt.value("circle"))
    size = alt.condition("datum.has_none", alt.value(80), alt.value(45))
    points = points.encode(y=alt.Y(f"{dots}:Q", **names), shape=shape, size=size)
    hover = base.mark_point(size=120, opacity=0, filled=True)
    hover = hover.encode(y=alt.Y("one_input:Q", **names), tooltip=_tooltip())
    parts = [band, line, bars, points, hover, *_chosen_marks(mode, x, names)]
    return finish(alt.layer(*parts), mode, HEIGHT)


def _chosen_marks(mode: Mode, x: alt.X, names: dict[str, Any]) -> list[alt.Chart]:
    theme = THEMES[mode]
    tooltip = [
        alt.Tooltip("word:N", title="this is"),
        alt.Tooltip("depth:Q", title="layers", format="d"),
        alt.Tooltip("width:Q", title="units in each", format=",d"),
        alt.Tooltip("told:N", title="at one input"),
    ]
    base = alt.Chart(rows("chosen")).encode(x=x, y=alt.Y("one_input:Q", **names))
    diamond = base.mark_point(shape="diamond", filled=True, size=130, opacity=1, color=theme.text)
    halo = base.mark_text(dy=-13, stroke=theme.background, strokeWidth=4, strokeOpacity=0.9)
    word = base.mark_text(dy=-13, color=theme.text)
    return [diamond.encode(tooltip=tooltip), halo.encode(text="word:N"), word.encode(text="word:N")]
