"""Charts of a law and what was measured: curves or bands of the law, points with their range over them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import DECADE_LABEL, Chart, decade_ticks, decades, finish, rows
from nnlab.numerals import percent, scientific
from nnlab.palette import CATEGORIES, THEMES, Mode, blue
from nnlab.paper_charts import LAW, LEGEND_COLUMNS, MEASURED, Axis, Caption

__all__ = ["EXACT", "LAW", "MEASURED", "law_points"]

HEIGHT = 300
EXACT = "exact"  # a law that gives a number for every measurement, and no curve
MAX_SERIES = 6
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "triangle-right")
PAD = 0.04  # free share of a linear axis above and below


def _bounds(axis: Axis, *values: pd.Series) -> tuple[float, float]:
    """Give the ends of an axis."""
    numbers = np.concatenate([value.to_numpy(float) for value in values])
    if axis.is_log:
        first, last = decades(numbers)
        return float(f"1e{first}"), float(f"1e{last}")
    if axis.low is not None and axis.high is not None:
        return axis.low, axis.high
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    room = PAD * (high - low) or 1.0
    return low - room if low < 0 or low > room else 0.0, high + room


def _scale(axis: Axis, ends: tuple[float, float]) -> alt.Scale:
    return alt.Scale(type="log" if axis.is_log else "linear", domain=list(ends), nice=False)


def _ticks(axis: Axis, ends: tuple[float, float]) -> alt.Axis:
    if axis.is_log:
        exponents = [round(math.log10(end)) for end in ends]
        return alt.Axis(values=decade_ticks(*exponents), labelExpr=DECADE_LABEL)
    if axis.is_share:
        return alt.Axis(format="%", tickCount=5)
    if axis.is_whole:
        return alt.Axis(tickMinStep=1, format="d", grid=False, labelOverlap=True, labelSeparation=6)
    return alt.Axis(format="~f", tickCount=6, labelOverlap=True)


def _colors(mode: Mode) -> tuple[str, ...]:
    """Give the categories' colors, with the blue that stands out from the page first."""
    first = blue(mode)
    return (first, *[CATEGORIES[0] if color == first else color for color in CATEGORIES[1:]])


def _parts(mode: Mode, names: tuple[str, ...], y: alt.Y, tooltip: list[alt.Tooltip]) -> list[alt.Chart]:
    """Give bands, curves, ranges and points, from the bottom to the top."""
    legend = alt.Legend(orient="top", columns=alt.ExprRef(LEGEND_COLUMNS), symbolOpacity=1, symbolSize=90)
    domain = list(names)
    color = alt.Color("series:N", title=None, legend=legend)
    color = color.scale(domain=domain, range=list(_colors(mode)[: len(names)]))
    shape = alt.Shape("series:N", title=None, legend=legend)
    shape = shape.scale(domain=domain, range=list(SHAPES[: len(names)]))
    base = alt.Chart(rows()).encode(x="x:Q", color=color)
    law = base.transform_filter(f"datum.kind == '{LAW}'")
    measured = base.transform_filter(f"datum.kind == '{MEASURED}'")
    exact = base.transform_filter(f"datum.kind == '{EXACT}'")
    outline = THEMES[mode].background
    gaps: Any = "break-paths-show-path-domains"
    return [
        law.mark_area(opacity=0.22).encode(y=alt.Y("low:Q"), y2="high:Q"),
        law.mark_line(strokeWidth=2, invalid=gaps).encode(y=y),
        measured.mark_rule(strokeWidth=1.4).encode(y=alt.Y("low:Q"), y2="high:Q"),
        exact.mark_point(shape="stroke", size=320, strokeWidth=2.5, opacity=1).encode(y=y, tooltip=tooltip),
        measured.mark_point(filled=True, size=62, opacity=1, stroke=outline, strokeWidth=0.8).encode(
            y=y, shape=shape, tooltip=tooltip
        ),
    ]


@lru_cache(maxsize=64)
def _spec(
    mode: Mode, axes: tuple[Axis, Axis], ends: tuple[tuple[float, float], ...], names: tuple[str, ...]
) -> dict[str, Any]:
    x_axis, y_axis = axes
    y = alt.Y("shown:Q", title=y_axis.title, scale=_scale(y_axis, ends[1]), axis=_ticks(y_axis, ends[1]))
    tooltip = [
        alt.Tooltip("series:N", title="series"),
        alt.Tooltip("kind:N", title="what"),
        alt.Tooltip("x:Q", title=x_axis.title, format="~g"),
        alt.Tooltip("exact:N", title=y_axis.title),
        alt.Tooltip("span:N", title="range"),
    ]
    x = alt.X("x:Q", title=x_axis.title, scale=_scale(x_axis, ends[0]), axis=_ticks(x_axis, ends[0]))
    parts = [part.encode(x=x) for part in _parts(mode, names, y, tooltip)]
    return finish(alt.layer(*parts), mode, HEIGHT)


def _finished(table: pd.DataFrame, y: Axis) -> pd.DataFrame:
    """Add what the picture shows: words, and nothing where a number cannot stand on the axis."""
    frame = table if "low" in table else table.assign(low=np.nan, high=np.nan)
    frame = frame.assign(low=frame["low"].fillna(frame["value"]), high=frame["high"].fillna(frame["value"]))

    def stands(column: str) -> pd.Series:
        return np.isfinite(frame[column]) & ((frame[column] > 0) | (not y.is_log))

    write = percent if y.is_share else scientific
    spans = [(write(low), write(high)) for low, high in zip(frame["low"], frame["high"], strict=True)]
    return frame.assign(
        shown=frame["value"].where(stands("value")),
        low=frame["low"].where(stands("low"), frame["value"].where(stands("value"))),
        exact=[write(value) for value in frame["value"]],
        span=["" if low == high else f"{low} to {high}" for low, high in spans],
    )


def law_points(table: pd.DataFrame, x: Axis, y: Axis, caption: Caption, mode: Mode) -> Chart:
    """Draw a law as lines, or as bands where it has bounds, and what was measured as points.

    `table` has the columns series (at most six), x, value, kind (LAW, MEASURED, EXACT); low and high where
    a law has bounds or a measurement a range. EXACT rows are short strokes.

    Raises:
        ValueError: there are too many series.
    """
    names = tuple(dict.fromkeys(table["series"]))
    if len(names) > MAX_SERIES:
        raise ValueError(f"table: {len(names)} series are not allowed; allowed: up to {MAX_SERIES}")
    frame = _finished(table, y)
    lost = int(frame["shown"].isna().sum())
    noun = "value is" if lost == 1 else "values are"
    notes = (f"{lost} {noun} 0 or not finite and cannot stand on this axis.",) if lost else ()
    ends = (_bounds(x, frame["x"]), _bounds(y, frame["shown"], frame["low"], frame["high"]))
    return Chart(
        name=caption.name,
        title=caption.title,
        how_to_read=caption.how_to_read,
        alt_text=caption.alt_text,
        spec=_spec(mode, (x, y), ends, names),
        frames={"rows": frame},
        make_table=lambda: table,
        notes=(*caption.notes, *notes),
    )
