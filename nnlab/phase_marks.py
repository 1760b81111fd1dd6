"""Phase marks: what both maps of order and chaos are drawn with: colors, cells, words, lines, the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import rows
from nnlab.numerals import scientific
from nnlab.palette import CATEGORIES, THEMES, Mode
from nnlab.phase_map import BLOCKED, EXPLODING, RUNAWAY, VANISHING, ratio_of, standing, state, states
from nnlab.random_network import RandomNetwork
from nnlab.surface import to_png_url
from nnlab.theory import MeanFieldMap

HEIGHT = 380
CLICK = "click"  # the selection that a place clicked on makes
# Of places that can be clicked, on round numbers: as many as a finger can hit. The browser lays each of them
# out whenever the point moves; 40 took it a fifth longer.
COLUMNS = 20
# A word needs a region that is free over so many of a map's 60 x 60 cells; a phone has room for it then.
WORD_COLUMNS, WORD_ROWS = 20, 5
THEORY_COLUMNS = ("sigma_w", "sigma_b", "q_star", "chi", "xi")

# Drawn once for all networks that share a map, as all that differ in depth or width only do.
MOST_MAPS = 16

Ends = tuple[float, float]  # of an upright axis


@dataclass(frozen=True)
class Drawn:
    """All of a map but the network: what it shows, in words, and its frames, which nobody changes."""

    words: str
    frames: dict[str, pd.DataFrame]


def sigma_w_columns(top: float) -> np.ndarray:
    """Give the sigma_w of the places that can be clicked."""
    return top * np.arange(1, COLUMNS + 1) / COLUMNS


def factor(decades: float) -> str:
    """Write 10^decades, which float64 may not hold."""
    if math.isfinite(decades) and abs(decades) >= 300:
        return f"1e{decades:.0f}"
    return scientific(10.0**decades)


def image_frame(decades: np.ndarray, span: float, mode: Mode, top: float, ends: Ends) -> pd.DataFrame:
    """Color decades, rows rising upward, from -span to span; nan is gray."""
    # An image's first row is its top one.
    url = to_png_url(decades[::-1], _stops(mode), -span, span)
    return pd.DataFrame([{"left": 0.0, "right": top, "low": ends[0], "high": ends[1], "url": url}])


def _stops(mode: Mode) -> tuple[str, ...]:
    # Blue below 1, vermilion above: safe for color-blind readers (Okabe & Ito 2008).
    return CATEGORIES[0], THEMES[mode].panel, CATEGORIES[5]


def cell_frame(x: np.ndarray, y: np.ndarray, top: float, ends: Ends) -> pd.DataFrame:
    """Place the cells that can be clicked, row by row: their centers x and y, rising, and where they end."""
    left, right = _cell_ends(x, (0.0, top))
    low, high = _cell_ends(y, ends)
    across = {"x": x, "left": left, "right": right}
    upward = {"y": y, "low": low, "high": high}
    return pd.DataFrame(
        {name: np.tile(values, len(y)) for name, values in across.items()}
        | {name: np.repeat(values, len(x)) for name, values in upward.items()}
    )


def _cell_ends(centers: np.ndarray, ends: Ends) -> tuple[np.ndarray, np.ndarray]:
    cuts = np.concatenate([[ends[0]], (centers[1:] + centers[:-1]) / 2, [ends[1]]])
    return cuts[:-1], cuts[1:]


def told(frame: pd.DataFrame, field: MeanFieldMap, decades: np.ndarray) -> pd.DataFrame:
    """Add what the tooltips of cells say; `decades` is what their color shows."""
    shown = decades.ravel()
    return frame.assign(
        decades=np.where(np.isfinite(shown), shown, np.nan),
        factor=[factor(value) for value in shown],
        chi=[scientific(value) for value in field.chi.ravel()],
        xi=[scientific(value) for value in field.xi.ravel()],
        state=states(field).ravel(),
    )


def point_frame(network: RandomNetwork, depth: int | None) -> pd.DataFrame:
    """Give the network's point with what its tooltip says; no row if it stands nowhere.

    Its height is its depth, or its sigma_b without one.
    """
    field = standing(network)
    if field is None:
        words = {name: pd.Series([], dtype=str) for name in ("factor", "chi", "xi", "state", "trains")}
        return pd.DataFrame({"x": np.zeros(0), "y": np.zeros(0), **words})
    layers = 2 if depth is None else depth  # what one layer does is what two layers differ by
    row = {
        "x": field.sigma_w,
        "y": field.sigma_b if depth is None else float(depth),
        "factor": factor(ratio_of(field, layers)),
        "chi": scientific(field.chi),
        "xi": scientific(field.xi),
        "state": state(field),
        "trains": "yes" if layers <= field.trainable_depth else "no",
    }
    return pd.DataFrame([row])


def point_words(network: RandomNetwork) -> str:
    """Say where the network stands, for those who do not see the picture."""
    field = standing(network)
    if field is None:
        return "The network is no point of it."
    return f"The network stands at sigma_w {field.sigma_w:.3g}, sigma_b {field.sigma_b:.3g}: {state(field)}."


def regions(words: np.ndarray) -> dict[str, np.ndarray]:
    """Give where each of the phases is, as boolean arrays."""
    return {word: words == word for word in (VANISHING, EXPLODING, RUNAWAY, BLOCKED)}


def word_frame(regions: dict[str, np.ndarray], top: float, ends: Ends) -> pd.DataFrame:
    """Place the words of the regions, arrays of a map's cells, that have room for them."""
    low, high = ends
    spots = {word: _spot(region) for word, region in regions.items()}
    found = [(top * s[0], low + (high - low) * s[1], word) for word, s in spots.items() if s is not None]
    frame = pd.DataFrame(found, columns=["x", "y", "word"])
    return frame.astype({"x": float, "y": float, "word": str})


def _spot(region: np.ndarray) -> tuple[float, float] | None:
    """Find the place nearest to a region's middle where a word fits: shares of the axes; None if nowhere."""
    windows = np.lib.stride_tricks.sliding_window_view(region, (WORD_ROWS, WORD_COLUMNS))
    fits = np.argwhere(windows.all(axis=(2, 3)))
    if not len(fits):
        return None
    centers = fits + np.array([WORD_ROWS, WORD_COLUMNS]) / 2
    middle = np.argwhere(region).mean(axis=0) + 0.5
    row, column = centers[((centers - middle) ** 2).sum(axis=1).argmin()]
    return float(column / region.shape[1]), float(row / region.shape[0])


def field_table(kind: str, field: MeanFieldMap) -> pd.DataFrame:
    """Give points of a map as numbers."""
    values = {name: getattr(field, name).ravel() for name in THEORY_COLUMNS}
    return pd.DataFrame({"kind": kind, **values, "state": states(field).ravel()})


def own_table(network: RandomNetwork) -> pd.DataFrame:
    """Give the network's point as numbers; no row if it stands nowhere."""
    field = standing(network)
    if field is None:
        return pd.DataFrame()
    values = {name: getattr(field, name) for name in THEORY_COLUMNS}
    return pd.DataFrame([{"kind": "network", **values, "state": state(field)}])


def axes(top: float, ends: Ends, y_title: str) -> tuple[alt.X, alt.Y]:
    """Give the axes of a map; sigma_w runs across from 0."""
    plain = alt.Axis(grid=False, tickCount=6)
    x = alt.X("left:Q", title="sigma_w, spread of the weights").scale(domain=[0, top], nice=False)
    return x.axis(plain), alt.Y("low:Q", title=y_title).scale(domain=list(ends), nice=False).axis(plain)


def color(title: str, span: float, values: Sequence[float], words: str, mode: Mode) -> alt.Color:
    """Give the colors of decades from -span to span with a legend, labeled by an expression."""
    # As the image is colored; other interpolations pass green and yellow.
    scale = alt.Scale(domain=[-span, 0, span], range=list(_stops(mode)), interpolate="rgb")
    legend = alt.Legend(
        orient="top",
        type="gradient",
        gradientLength=220,
        titleLimit=300,
        values=list(values),
        labelExpr=words,
    )
    return alt.Color("decades:Q", title=title, scale=scale, legend=legend)


def ground(x: alt.X, y: alt.Y, color: alt.Color, tooltip: list[alt.Tooltip]) -> tuple[alt.Chart, alt.Chart]:
    """Draw the colored map, and the unseen cells above it that tell their numbers and can be clicked."""
    place = {"x": x, "x2": "right:Q", "y": y, "y2": "high:Q"}
    image = alt.Chart(rows("image")).mark_image(aspect=False, aria=False).encode(**place, url="url:N")
    cells = alt.Chart(rows("cells")).mark_rect(opacity=0, aria=False, cursor="pointer")
    return image, cells.properties(name="cells").encode(**place, color=color, tooltip=tooltip)


def word_marks(mode: Mode) -> list[alt.Chart]:
    """Draw the words of the regions, readable on every color."""
    theme = THEMES[mode]
    base = alt.Chart(rows("words")).encode(x=alt.X("x:Q"), y=alt.Y("y:Q"), text="word:N")
    halo = base.mark_text(
        fontSize=13, stroke=theme.background, strokeWidth=4, strokeOpacity=0.85, strokeJoin="round"
    )
    return [halo, base.mark_text(fontSize=13, color=theme.text)]


def line_marks(name: str, mode: Mode, dash: Sequence[int], y: str = "y") -> list[alt.Chart]:
    """Draw a line with gaps, visible on every color."""
    theme = THEMES[mode]
    base = alt.Chart(rows(name)).encode(x=alt.X("x:Q"), y=alt.Y(f"{y}:Q"), order="place:Q")
    looks: dict[str, Any] = {"clip": True, "invalid": "break-paths-show-path-domains"}
    halo = base.mark_line(color=theme.background, strokeWidth=5, opacity=0.6, **looks)
    return [halo, base.mark_line(color=theme.text, strokeWidth=2, strokeDash=list(dash), **looks)]


def point_marks(mode: Mode, tooltip: list[alt.Tooltip]) -> list[alt.Chart]:
    """Draw the network."""
    theme = THEMES[mode]
    base = alt.Chart(rows("point")).encode(x=alt.X("x:Q"), y=alt.Y("y:Q"), tooltip=tooltip)
    looks: dict[str, Any] = {"shape": "circle", "filled": True, "opacity": 1}
    ring = base.mark_point(size=260, color=theme.background, **looks)
    return [ring, base.mark_point(size=120, color=CATEGORIES[1], stroke=theme.text, strokeWidth=1.5, **looks)]


def clickable(spec: dict[str, Any]) -> dict[str, Any]:
    """Let a click choose a cell. It toggles: so a second click on the same cell is told from none at all."""
    select = {"type": "point", "fields": ["x", "y"], "toggle": "true", "clear": False}
    # The browser draws a chart with a selection anew whenever its data change; hundreds of cells as elements
    # of a page would cost it half a second each time.
    looks = {"embedOptions": {"renderer": "canvas"}}
    return {**spec, "params": [{"name": CLICK, "select": select, "views": ["cells"]}], "usermeta": looks}
