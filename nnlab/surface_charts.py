"""Chart of what a network answers over the plane."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import (
    Chart,
    finish,
    left_out_notes,
    rows,
    spread,
)
from nnlab.network import Network
from nnlab.numerals import percent, scientific
from nnlab.palette import CATEGORIES, THEMES, Mode, interpolate
from nnlab.surface import (
    Window,
    boundary,
    class_share,
    is_affine,
    is_straight,
    is_undecided,
    pixel_centers,
    right_share,
    share_at,
    to_png_url,
)

WORDS_RESOLUTION = 8  # of a look over the plane that only words are made from
RESOLUTION = 72  # pixels along a side of a surface; smoothed, steps of a seventieth cannot be seen
MAX_DRAWN = 400  # points; each is a mark the browser must draw
CLASS_WORDS = ("blue", "red")  # what class 0 and class 1 are called, as in the lessons' texts
CLASS_COLORS = (CATEGORIES[0], CATEGORIES[5])  # safe for color-blind readers (Okabe & Ito 2008)
CLASS_SHAPES = ("circle", "triangle-up")
TINT = 0.5  # how far the surface's colors go to the middle: the points on it must stand out
SURFACE_HEIGHT = 340
LOST = "undefined"
SURFACE_TEXT = (
    "The color of the plane is the network's answer at that place: blue where it says class 0, red where "
    "it says class 1, faded where it cannot decide. For two outputs the shade is their softmax "
    "probability; for one output it is the score itself, cut to 0..1. The line is the boundary, where "
    "both answers weigh the same ($p = 0.5$), found by marching squares on a "
    f"{RESOLUTION} x {RESOLUTION} grid (Lorensen & Cline 1987). Circles are points of class 0, triangles "
    "points of class 1; a point on the other color's side is classified wrong. Axes are the inputs as "
    "the network sees them, each shifted to mean 0 and scaled to spread 1."
)


def _surface_stops(mode: Mode) -> tuple[str, ...]:
    middle = "#f7f6f3" if mode == "light" else THEMES[mode].panel
    blue, red = (interpolate((color, middle), TINT) for color in CLASS_COLORS)
    return blue, middle, red


def _plane_axes(window: Window) -> tuple[alt.X, alt.Y]:
    # As wide as it is high, however wide the page is: a circle of points must look like one.
    side = alt.ExprRef(f"min(width, {SURFACE_HEIGHT})")
    x = alt.X("x:Q", title="input x1").scale(
        domain=[window.x_low, window.x_high], nice=False, range=[0, side]
    )
    y = alt.Y("y:Q", title="input x2").scale(domain=[window.y_low, window.y_high], nice=False)
    axis = alt.Axis(grid=False, tickCount=5)
    return x.axis(axis), y.axis(axis)


@lru_cache(maxsize=64)
def _surface_spec(mode: Mode, window: Window) -> dict[str, Any]:
    theme = THEMES[mode]
    x, y = _plane_axes(window)
    image = alt.Chart(rows("surface")).mark_image(aspect=False, aria=False)
    image = image.encode(x=x, x2="x2:Q", y=y, y2="y2:Q", url="url:N")
    # One line with gaps: hundreds of little rules would cost a live page half its time.
    line = alt.Chart(rows("boundary")).encode(x=x, y=y, order="place:Q")
    gaps: Any = "break-paths-show-path-domains"
    halo = line.mark_line(color=theme.background, strokeWidth=5, strokeCap="round", opacity=0.6, invalid=gaps)
    core = line.mark_line(color=theme.text, strokeWidth=2, strokeCap="round", invalid=gaps)
    color = (
        alt.Color("word:N", title=None)
        .scale(domain=list(CLASS_WORDS), range=list(CLASS_COLORS))
        .legend(orient="top", symbolOpacity=1, symbolSize=110)
    )
    shape = alt.Shape("word:N", title=None).scale(domain=list(CLASS_WORDS), range=list(CLASS_SHAPES))
    tooltip = [
        alt.Tooltip("word:N", title="class"),
        alt.Tooltip("answer:N", title="network says"),
        alt.Tooltip("share:N", title="p(red)"),
    ]
    points = alt.Chart(rows("points"))
    # White in both modes: dark blue on a dark page needs an outline that it stands out by.
    points = points.mark_point(filled=True, opacity=1, size=60, stroke="#ffffff", strokeWidth=0.8)
    points = points.encode(x=x, y=y, color=color, shape=shape, tooltip=tooltip)
    return finish(alt.layer(image, halo, core, points), mode, SURFACE_HEIGHT)


def _check_points(points: np.ndarray, labels: np.ndarray) -> None:
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(
            f"points: shapes {points.shape} and {labels.shape} are not allowed; allowed: (n, 2) and (n,)"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels: a class that is not 0 or 1 is not allowed; allowed: 0 and 1")


def _boundary_words(network: Network, segments: np.ndarray, window: Window) -> str:
    if is_undecided(network, window, WORDS_RESOLUTION):
        return "The network says one half everywhere in the picture: it has no boundary to draw"
    if not len(segments):
        shares = class_share(network, window, WORDS_RESOLUTION)
        if not np.isfinite(shares).any():
            return "The network's answer is undefined everywhere in the picture"
        word = CLASS_WORDS[int(np.nanmean(shares) > 0.5)]
        return f"There is no boundary in the picture: the network says {word} everywhere"
    if is_affine(network):
        return "The boundary is a straight line"
    if is_straight(segments, window, RESOLUTION):
        return "Within the picture the boundary is a straight line"
    return "The boundary is not one straight line; it bends"


def describe_surface(network: Network, points: np.ndarray, labels: np.ndarray, window: Window) -> str:
    """Say in a sentence what the boundary looks like and how many points lie on the right side of it."""
    right = right_share(network, points, labels)
    words = _boundary_words(network, boundary(network, window, RESOLUTION), window)
    return _sentence(words, right, len(labels), "points")


def _sentence(words: str, right: float, count: int, noun: str) -> str:
    if not count:
        return f"{words}."
    return f"{words}. {round(right * count)} of {count} {noun} ({percent(right)}) are on the right side."


def _point_rows(network: Network | None, points: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Give one row a point; without a network nothing of what it says of the point."""
    frame = pd.DataFrame(
        {
            "x": points[:, 0].astype(float),
            "y": points[:, 1].astype(float),
            "word": pd.Series([CLASS_WORDS[int(label)] for label in labels], dtype=str),
        }
    )
    if network is None:
        return frame.assign(answer="training", share="training")
    shares = np.asarray(share_at(network, points), dtype=np.float64)
    said = [LOST if np.isnan(share) else CLASS_WORDS[int(share > 0.5)] for share in shares]
    frame = frame.assign(answer=said, share=[scientific(float(share)) for share in shares])
    return frame.astype({"answer": str, "share": str})


def _boundary_rows(segments: np.ndarray) -> pd.DataFrame:
    """Give the ends of all pieces (n, 4) one after the other, with a gap after each."""
    gaps = np.full((len(segments), 2), np.nan)
    places = np.concatenate([segments, gaps], axis=1).reshape(-1, 2)
    return pd.DataFrame(places, columns=["x", "y"]).assign(place=np.arange(len(places), dtype=float))


def _surface_table(
    network: Network, points: np.ndarray, labels: np.ndarray, window: Window, segments: np.ndarray
) -> pd.DataFrame:
    """Give the picture as numbers: its pixels, its boundary's ends, and all points."""
    pixels = pixel_centers(window, RESOLUTION)
    ends = segments.reshape(-1, 2)
    parts = []
    for kind, places, classes in (
        ("pixel", pixels, np.full(len(pixels), np.nan)),
        ("boundary_end", ends, np.full(len(ends), np.nan)),
        ("point", points, labels.astype(float)),
    ):
        share = np.asarray(share_at(network, places), dtype=np.float64)
        columns = {"kind": kind, "x1": places[:, 0], "x2": places[:, 1], "label": classes, "p_class_1": share}
        parts.append(pd.DataFrame(columns))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def decision_surface(
    network: Network,
    points: np.ndarray,
    labels: np.ndarray,
    window: Window,
    mode: Mode,
    title: str,
    name: str,
    *,
    live: bool = False,
) -> Chart:
    """Draw a network's answer over the plane with its boundary and labeled points (n, 2).

    While it trains (`live`), points do not tell what the network says of them: the browser then need not
    draw all of them anew every second.

    Raises:
        ValueError: the network has not 2 inputs or not 1 or 2 outputs; the labels are not 0 and 1.
    """
    _check_points(points, labels)
    shares = class_share(network, window, RESOLUTION)
    # Where a network says one half everywhere, the rounding would be drawn as a boundary.
    undecided = is_undecided(network, window, WORDS_RESOLUTION)
    segments = np.empty((0, 4)) if undecided else boundary(network, window, RESOLUTION)
    drawn = spread(len(points), MAX_DRAWN)
    url = to_png_url(shares, _surface_stops(mode), 0.0, 1.0)
    corners = {"x": window.x_low, "x2": window.x_high, "y": window.y_low, "y2": window.y_high}
    words = _boundary_words(network, segments, window)
    right = right_share(network, points[drawn], labels[drawn])
    lost = int(np.isnan(shares).sum())
    undefined = (f"Undefined (gray) at {percent(lost / shares.size)} of the plane.",) if lost else ()
    return Chart(
        name=name,
        title=title,
        how_to_read=SURFACE_TEXT,
        alt_text=_sentence(words, right, len(drawn), "points drawn"),
        spec=_surface_spec(mode, window),
        frames={
            "surface": pd.DataFrame([{**corners, "url": url}]),
            "boundary": _boundary_rows(segments),
            "points": _point_rows(None if live else network, points[drawn], labels[drawn]),
        },
        make_table=lambda: _surface_table(network, points, labels, window, segments),
        notes=left_out_notes(len(drawn), len(points), "points") + undefined,
    )
