"""Chart of which networks train: accuracy over weight variance and depth, under six depth scales."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import Chart, finish, rows
from nnlab.numerals import percent
from nnlab.palette import MAGMA, THEMES, UNDEFINED_COLOR, Mode
from nnlab.paper import Columns
from nnlab.theory import DEPTHS_OF_XI

HEIGHT = 340
CURVE_COLOR = "#56B4E9"  # sky blue stands out from every color of the scale and from both pages
UNDEFINED = "not finite"


def _edges(centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give where the cells around sorted centers begin and end: half way to the neighbors."""
    middle = (centers[1:] + centers[:-1]) / 2
    if not len(middle):
        return centers - 0.5, centers + 0.5
    first, last = 2 * centers[0] - middle[0], 2 * centers[-1] - middle[-1]
    return np.concatenate([[first], middle]), np.concatenate([middle, [last]])


def _cells(columns: Columns) -> pd.DataFrame:
    frame = pd.DataFrame({name: np.asarray(values, dtype=float) for name, values in columns.items()})
    for field, low, high in (("weight_variance", "x", "x2"), ("depth", "y", "y2")):
        centers = np.unique(frame[field])
        place = np.searchsorted(centers, frame[field])
        begins, ends = _edges(centers)
        frame = frame.assign(**{low: begins[place], high: ends[place]})
    reach = frame["xi"] * DEPTHS_OF_XI
    return frame.assign(
        state=np.where(np.isfinite(frame["accuracy"]), "value", "undefined"),
        exact=[percent(v) if math.isfinite(v) else UNDEFINED for v in frame["accuracy"]],
        reach=[f"{value:.0f} layers" if value < 1000 else "over 1,000 layers" for value in reach],
    )


def _inside(curve: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Give the curve with a gap where it lies outside of the picture."""
    is_inside = (curve["y"] >= cells["y"].min()) & (curve["y"] <= cells["y2"].max())
    return curve.assign(y=curve["y"].where(is_inside))


@lru_cache(maxsize=16)
def _spec(mode: Mode, window: tuple[float, float, float, float]) -> dict[str, Any]:
    left, right, low, high = window
    x = alt.X("x:Q", title="weight variance σ²").scale(domain=[left, right], nice=False)
    y = alt.Y("y:Q", title="depth (hidden layers)").scale(domain=[low, high], nice=False)
    x, y = x.axis(alt.Axis(grid=False, tickCount=7)), y.axis(alt.Axis(grid=False, tickCount=7))
    shades = alt.Scale(domain=[0, 1], range=list(MAGMA), clamp=True)
    legend = alt.Legend(type="gradient", format="%", gradientLength=160, tickCount=5)
    color = alt.Color("accuracy:Q", title="accuracy", scale=shades, legend=legend)
    # A stroke of its own color closes the hairlines between cells.
    stroke = alt.Stroke("accuracy:Q", scale=shades, legend=None)
    tooltip = [
        alt.Tooltip("weight_variance:Q", title="σ²"),
        alt.Tooltip("depth:Q", title="depth"),
        alt.Tooltip("exact:N", title="training accuracy"),
        alt.Tooltip("reach:N", title="6ξ"),
    ]
    cells = alt.Chart(rows("cells")).encode(x=x, x2="x2:Q", y=y, y2="y2:Q", tooltip=tooltip)
    known = cells.transform_filter("datum.state == 'value'").mark_rect(strokeWidth=1)
    known = known.encode(color=color, stroke=stroke)
    lost = cells.transform_filter("datum.state != 'value'").mark_rect(color=UNDEFINED_COLOR)
    gaps: Any = "break-paths-show-path-domains"
    line = alt.Chart(rows("curve")).encode(x=x, y=y)
    halo = line.mark_line(color="#000000", strokeWidth=6, opacity=0.55, invalid=gaps, strokeCap="round")
    core = line.mark_line(color=CURVE_COLOR, strokeWidth=3, invalid=gaps, strokeCap="round")
    edge = alt.Chart(rows("edge"))
    rule = edge.mark_rule(color=CURVE_COLOR, strokeDash=[5, 4], strokeWidth=1.5).encode(x=x)
    words = alt.Chart(rows("words")).encode(x=x, y=y, text="word:N")
    shade = words.mark_text(
        align="left", dx=8, fontSize=13, stroke="#000000", strokeWidth=4, strokeOpacity=0.75
    )
    text = words.mark_text(align="left", dx=8, fontSize=13, color="#ffffff")
    parts = alt.layer(known, lost, rule, halo, core, shade, text)
    return finish(parts, mode, HEIGHT, background=THEMES[mode].background)


def _words(curve: pd.DataFrame, critical: float, high: float) -> pd.DataFrame:
    """Name the curve on its right arm, where there is room to the right, and the dashed line."""
    arm = curve[curve["y"].notna() & (curve["x"] > critical)]
    places = [{"x": critical, "y": 0.09 * high, "word": "edge of chaos"}]
    if len(arm):
        place = arm.iloc[int(0.7 * len(arm))]
        places.append({"x": float(place["x"]), "y": float(place["y"]) + 0.04 * high, "word": "6ξ"})
    return pd.DataFrame(places)


def _lost_notes(lost: int) -> tuple[str, ...]:
    if not lost:
        return ()
    noun = "network" if lost == 1 else "networks"
    return (f"{lost} {noun} left float32 while training (vermilion).",)


def depth_map(columns: Columns, curve: pd.DataFrame, critical: float, words: str, mode: Mode) -> Chart:
    """Draw accuracy over weight variance and depth.

    `columns` holds weight_variance, depth, xi and accuracy, a row a network; `curve` is 6 xi, y, over the
    weight variance, x; `critical` is that of the edge of chaos; `words` say what the picture shows.
    """
    cells = _cells(columns)
    curve = _inside(curve, cells)
    window = (cells["x"].min(), cells["x2"].max(), max(0.0, cells["y"].min()), cells["y2"].max())
    return Chart(
        name="schoenholz_depth_map",
        title="Training accuracy over weight variance and depth",
        how_to_read=(
            "A cell is a network after training: bright where it knows its training images, dark where it "
            "only guesses (10 %). The blue curve is six depth scales, 6ξ: within ξ layers, what two inputs "
            "are to each other fades by a factor e. Theory says: below the curve a network can be "
            "trained, above it not (Schoenholz et al. 2017, sections 3 and 5). At the dashed edge of chaos ξ "
            "has no limit and the curve leaves the picture. Left of it inputs become alike and gradients "
            "vanish; right of it alike inputs part and gradients explode."
        ),
        alt_text=words,
        spec=_spec(mode, tuple(float(end) for end in window)),
        frames={
            "cells": cells,
            "curve": curve,
            "edge": pd.DataFrame({"x": [critical]}),
            "words": _words(curve, critical, window[3]),
        },
        make_table=lambda: pd.DataFrame({name: list(values) for name, values in columns.items()}),
        notes=_lost_notes(int((cells["state"] != "value").sum())),
    )
