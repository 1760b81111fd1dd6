"""Charts of papers' figures: lines over layers or steps, with the range of the seeds and a law."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import (
    DECADE_LABEL,
    Chart,
    decade_ticks,
    decades,
    depth_colors,
    finish,
    guide_layers,
    layer_ticks,
    rows,
)
from nnlab.numerals import percent, scientific
from nnlab.palette import CATEGORIES, THEMES, Mode

HEIGHT = 280
# A dash each, so that lines are told apart without color.
DASHES = ([1, 0], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [8, 3, 2, 3, 2, 3])
# A phone has room for one column of names.
LEGEND_COLUMNS = "width < 380 ? 1 : 3"
MEASURED, LAW = "measured", "law"
GUIDE, POINTS = "guide", "points"


@dataclass(frozen=True)
class Axis:
    """One axis of a picture: its title with the unit, its scale, and how its numbers are written.

    `low` and `high` fix the ends of the scale; on a log axis they follow from the numbers.
    """

    title: str
    is_log: bool = False
    is_share: bool = False
    is_whole: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Caption:
    """The words of a picture; `guide` are levels drawn across it, each with its word."""

    name: str
    title: str
    how_to_read: str
    alt_text: str
    notes: tuple[str, ...] = ()
    guide: tuple[tuple[float, str], ...] = ()


def over_seeds(table: pd.DataFrame, by: list[str], field: str) -> pd.DataFrame:
    """Give mean, lowest and highest of a column over the seeds, for every combination of `by`.

    Combinations keep the order in which they first appear.
    """
    groups = table.groupby(by, sort=False)[field]
    frame = groups.agg(["mean", "min", "max"]).reset_index()
    return frame.rename(columns={"mean": "value", "min": "low", "max": "high"})


def _scale(axis: Axis, log_range: tuple[int, int]) -> alt.Scale:
    if axis.is_log:
        low, high = log_range
        return alt.Scale(type="log", domain=[float(f"1e{low}"), float(f"1e{high}")], nice=False)
    if axis.low is not None and axis.high is not None:
        return alt.Scale(domain=[axis.low, axis.high], nice=False)
    # A count of steps ends where they end.
    return alt.Scale(zero=axis.is_share, nice=not axis.is_whole)


def _ticks(axis: Axis, log_range: tuple[int, int]) -> alt.Axis:
    if axis.is_log:
        return alt.Axis(values=decade_ticks(*log_range), labelExpr=DECADE_LABEL)
    if axis.is_share:
        return alt.Axis(format="%", tickCount=5)
    if axis.is_whole:
        return alt.Axis(tickMinStep=1, format="d", grid=False, labelOverlap=True, labelSeparation=6)
    return alt.Axis(format="~g", tickCount=6)


def _range(axis: Axis, values: np.ndarray) -> tuple[int, int]:
    return decades(values) if axis.is_log else (0, 0)


Ranges = tuple[tuple[int, int], tuple[int, int]]


def _base(x: Axis, y: Axis, ranges: Ranges) -> tuple[alt.Chart, alt.Y]:
    base = alt.Chart(rows()).encode(
        x=alt.X("x:Q", title=x.title, scale=_scale(x, ranges[0]), axis=_ticks(x, ranges[0]))
    )
    return base, alt.Y("shown:Q", title=y.title, scale=_scale(y, ranges[1]), axis=_ticks(y, ranges[1]))


def _tooltip(x: Axis, y: Axis, series: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("series:N", title=series),
        alt.Tooltip("x:Q", title=x.title, format="~g"),
        alt.Tooltip("exact:N", title=y.title),
        alt.Tooltip("span:N", title="seeds"),
    ]


def _series_scales(mode: Mode, names: tuple[str, ...]) -> tuple[alt.Color, alt.StrokeDash]:
    legend = alt.Legend(
        orient="top",
        columns=alt.ExprRef(LEGEND_COLUMNS),
        symbolType="stroke",
        symbolSize=500,
        symbolStrokeWidth=2.5,
        symbolOpacity=1,
    )
    colors = [*CATEGORIES, THEMES[mode].text][: len(names)]
    dashes = [list(DASHES[place % len(DASHES)]) for place in range(len(names))]
    return (
        alt.Color("series:N", title=None, legend=legend).scale(domain=list(names), range=colors),
        alt.StrokeDash("series:N", title=None, legend=legend).scale(domain=list(names), range=dashes),
    )


@lru_cache(maxsize=64)
def _series_spec(
    mode: Mode, x: Axis, y: Axis, ranges: Ranges, names: tuple[str, ...], has: frozenset[str]
) -> dict[str, Any]:
    base, height = _base(x, y, ranges)
    color, dash = _series_scales(mode, names)
    measured = base.transform_filter(f"datum.kind == '{MEASURED}'")
    band = measured.mark_area(opacity=0.16).encode(y=alt.Y("low:Q"), y2="high:Q", color=color)
    lines = measured.mark_line(strokeWidth=2.2, invalid="break-paths-show-path-domains")
    law = base.transform_filter(f"datum.kind == '{LAW}'").mark_point(shape="cross", size=70, filled=True)
    has_points = POINTS in has
    hover = measured.mark_point(filled=True, size=40 if has_points else 120, opacity=float(has_points))
    parts = [
        band,
        lines.encode(y=height, color=color, strokeDash=dash),
        hover.encode(y=height, color=color, tooltip=_tooltip(x, y, "line")),
    ]
    # What has no rows is left out: the browser would complain of axes without an end.
    if LAW in has:
        parts.append(law.encode(y=height, color=color, opacity=alt.value(1), tooltip=_tooltip(x, y, "law")))
    if GUIDE in has:
        parts += guide_layers(mode)
    return finish(alt.layer(*parts), mode, HEIGHT)


@lru_cache(maxsize=64)
def _depth_spec(
    mode: Mode, x: Axis, y: Axis, ranges: Ranges, depth: int, has: frozenset[str]
) -> dict[str, Any]:
    base, height = _base(x, y, ranges)
    legend = alt.Legend(values=layer_ticks(depth), format="d", symbolOpacity=1)
    color = alt.Color("number:Q", title="layer", legend=legend).scale(depth_colors(mode, depth))
    lines = base.mark_line(strokeWidth=2, invalid="break-paths-show-path-domains")
    hover = base.mark_point(size=120, opacity=0, filled=True)
    parts = [
        lines.encode(y=height, color=color, detail="number:Q"),
        hover.encode(y=height, color=color, tooltip=_tooltip(x, y, "line")),
    ]
    if GUIDE in has:
        parts += guide_layers(mode)
    return finish(alt.layer(*parts), mode, HEIGHT)


def _written(value: float, axis: Axis) -> str:
    return percent(value) if axis.is_share else scientific(value)


def _finished(frame: pd.DataFrame, y: Axis) -> pd.DataFrame:
    """Add what the picture shows: nothing where a number cannot stand on the axis, and words."""
    frame = frame if "kind" in frame else frame.assign(kind=MEASURED)
    frame = frame if "low" in frame else frame.assign(low=frame["value"], high=frame["value"])
    spans = [(_written(a, y), _written(b, y)) for a, b in zip(frame["low"], frame["high"], strict=True)]
    can_stand = np.isfinite(frame["value"]) & ((frame["value"] > 0) | (not y.is_log))
    return frame.assign(
        shown=frame["value"].where(can_stand),
        exact=[_written(value, y) for value in frame["value"]],
        span=["" if a == b else f"{a} to {b}" for a, b in spans],
    )


def _lost_notes(frame: pd.DataFrame) -> tuple[str, ...]:
    lost = int(frame["shown"].isna().sum())
    return (f"{lost} values are 0 or not finite and cannot stand on this axis.",) if lost else ()


def _chart(frame: pd.DataFrame, table: pd.DataFrame, spec: dict[str, Any], caption: Caption) -> Chart:
    guide = pd.DataFrame(caption.guide, columns=["shown", "word"]).astype({"shown": float, "word": str})
    return Chart(
        name=caption.name,
        title=caption.title,
        how_to_read=caption.how_to_read,
        alt_text=caption.alt_text,
        spec=spec,
        frames={"rows": frame, "guide": guide},
        make_table=lambda: table,
        notes=(*caption.notes, *_lost_notes(frame)),
    )


def _present(frame: pd.DataFrame, caption: Caption) -> frozenset[str]:
    """Name what there is to draw beside the measured lines."""
    return frozenset({LAW} & set(frame["kind"])) | ({GUIDE} if caption.guide else set())


def _ranges(frame: pd.DataFrame, x: Axis, y: Axis, caption: Caption) -> Ranges:
    heights = [
        frame["shown"],
        frame["low"],
        frame["high"],
        pd.Series([g for g, _ in caption.guide], dtype=float),
    ]
    return _range(x, frame["x"].to_numpy(float)), _range(y, np.concatenate(heights))


def series_lines(
    table: pd.DataFrame, x: Axis, y: Axis, caption: Caption, mode: Mode, *, has_points: bool = True
) -> Chart:
    """Draw one line a series; at most seven.

    `table` has the columns series, x, value; low and high where there is a band; kind where some rows are
    a LAW, drawn as crosses in the color of their series, and not MEASURED.
    """
    frame = _finished(table, y)
    names = tuple(dict.fromkeys(frame["series"]))
    ranges = _ranges(frame, x, y, caption)
    has = _present(frame, caption) | ({POINTS} if has_points else set())
    return _chart(frame, table, _series_spec(mode, x, y, ranges, names, has), caption)


def depth_lines(table: pd.DataFrame, x: Axis, y: Axis, caption: Caption, mode: Mode) -> Chart:
    """Draw one line a layer, colored from the first to the last; `table` has the columns number, x, value."""
    named = table.assign(series=[f"layer {int(number)}" for number in table["number"]])
    frame = _finished(named, y)
    depth = int(table["number"].max())
    spec = _depth_spec(mode, x, y, _ranges(frame, x, y, caption), depth, _present(frame, caption))
    return _chart(frame, table, spec, caption)
