"""Charts of one image followed through a network: the image, what is left of a difference, the units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.brightness_words import listed, share_words
from nnlab.chart import Chart, decade_ticks, decades, finish, left_out_notes, rows, spread, state_of
from nnlab.followed import Followed, FollowedLayer
from nnlab.numerals import scientific
from nnlab.palette import CATEGORIES, THEMES, Mode

SHAPES = ("triangle-up", "circle", "square", "diamond", "cross", "triangle-down")
MOST_UNITS = 64  # more dots than that run into each other on a phone


# --- one image

IMAGE_HEIGHT, CAPTION_HEIGHT = 170, 22
MOST_IMAGES = 5  # side by side on a phone
# Ink on paper in both modes: a small factor makes an image lighter, and that is what the pages call it.
PAPER, INK = "#ffffff", "#000000"
MOST_SPELLED = 3  # pictures that have room for the word "brightness" above them


def _between(start: int, end: str) -> list[Any]:
    """Give a scale's range in pixels, from a number to a Vega expression."""
    return [start, {"expr": end}]


@lru_cache(maxsize=64)
def _images_spec(mode: Mode, count: int, side: int) -> dict[str, Any]:
    across = count * side + (count - 1)
    # The container's width is known to the browser only; whole steps, or seams show between pixels.
    cell = f"floor(min(width / {across}, {IMAGE_HEIGHT - CAPTION_HEIGHT} / {side}))"
    x_scale = alt.Scale(domain=[0, across], nice=False, range=_between(0, f"{across} * {cell}"))
    y_range = _between(CAPTION_HEIGHT, f"{CAPTION_HEIGHT} + {side} * {cell}")
    y_scale = alt.Scale(domain=[0, side], nice=False, range=y_range)
    x, y = alt.X("left:Q", axis=None, scale=x_scale), alt.Y("top:Q", axis=None, scale=y_scale)
    tooltip = [
        alt.Tooltip("brightness:Q", title="brightness", format="~g"),
        alt.Tooltip("row:Q", title="row"),
        alt.Tooltip("column:Q", title="column"),
        alt.Tooltip("exact:N", title="pixel"),
    ]
    scale = alt.Scale(domain=[0, 1], range=[PAPER, INK], clamp=True)
    gray: dict[str, Any] = {"scale": scale, "legend": None}
    fill, stroke = alt.Fill("value:Q", **gray), alt.Stroke("value:Q", **gray)
    # Stroked in their own color, or the page shines through between them.
    pixels = alt.Chart(rows()).mark_rect(strokeWidth=1).encode(
        x=x, x2="right:Q", y=y, y2="bottom:Q", fill=fill, stroke=stroke, tooltip=tooltip
    )  # fmt: skip
    frames = alt.Chart(rows("panels"))
    box = frames.mark_rect(fillOpacity=0, stroke=THEMES[mode].muted, strokeWidth=1)
    word = frames.mark_text(baseline="bottom", dy=-5, fontSize=12)
    parts = [
        pixels,
        box.encode(x=x, x2="right:Q", y=y, y2="bottom:Q"),
        word.encode(x=alt.X("middle:Q", scale=x_scale), y=y, text="word:N"),
    ]
    return finish(alt.layer(*parts), mode, IMAGE_HEIGHT)


def images(image: np.ndarray, brightnesses: Sequence[float], mode: Mode) -> Chart:
    """Show one square image (pixels,) at several brightnesses as ink: 0 is white paper, 1 and more is black.

    Raises:
        ValueError: the image is not square, or there are too many brightnesses, or none.
    """
    side = math.isqrt(image.size)
    if image.ndim != 1 or side * side != image.size or not side:
        raise ValueError(f"image: shape {image.shape} is not allowed; allowed: (n * n,), a square image")
    if not 1 <= len(brightnesses) <= MOST_IMAGES:
        raise ValueError(f"brightnesses: {len(brightnesses)} is not allowed; allowed: 1 to {MOST_IMAGES}")
    factors = np.array(brightnesses, dtype=float)
    pixels = _pixel_rows(image.astype(float), factors, side)
    darkest, beyond = float(pixels["value"].max()), int((pixels["value"] > 1).sum())
    left = np.arange(len(factors)) * (side + 1.0)
    noun = "brightness " if len(factors) <= MOST_SPELLED else ""
    panels = pd.DataFrame({"left": left, "right": left + side, "middle": left + side / 2, "top": 0.0})
    panels = panels.assign(bottom=float(side), word=[f"{noun}{a:g}" for a in factors])
    return Chart(
        name="brightness_images",
        title=f"One image at {len(factors)} brightnesses",
        how_to_read=(
            "The same image with every pixel multiplied by the brightness; 1 is the image as it is in the "
            "data (scikit-learn's digits; Alpaydin & Kaynak 1998). A pixel says how much ink there is: 0 is "
            "white paper, 1 is black ink. So a factor below 1 makes the image lighter, one above 1 darker. "
            "All pictures share this gray scale. What is above 1 cannot be drawn blacker than black, but the "
            "network gets the full number."
        ),
        alt_text=f"An image of {side} x {side} pixels, drawn as black ink on white, side by side at "
        f"brightness {listed(f'{a:g}' for a in factors)}; the darkest pixel is {scientific(darkest)}.",
        spec=_images_spec(mode, len(factors), side),
        frames={"rows": pixels, "panels": panels},
        make_table=lambda: pixels[["brightness", "row", "column", "value"]],
        notes=(f"{beyond} of {len(pixels)} pixels are above 1 and drawn black.",) if beyond else (),
    )


def _pixel_rows(image: np.ndarray, factors: np.ndarray, side: int) -> pd.DataFrame:
    """Give one row a pixel; row and column are counted from 1 at the top left."""
    values = (factors[:, None] * image).ravel()
    panel, place = np.divmod(np.arange(values.size), image.size)
    row, column = np.divmod(place, side)
    left = panel * (side + 1.0) + column
    return pd.DataFrame(
        {
            "brightness": factors[panel],
            "row": row + 1,
            "column": column + 1,
            "value": values,
            "exact": [scientific(value) for value in values],
            "left": left,
            "right": left + 1,
            "top": row.astype(float),
            "bottom": row + 1.0,
        }
    )


# --- one image through the layers

MOST_STAGES = 7  # labels under the axis on a phone
MOST_FINE_DECADES = 3  # more would need more than ten labels
# 50 %, 0.5 %; 1e-4 % where plain digits would be a row of zeros.
PERCENT_LABEL = (
    "(datum.value < 1e-5 ? replace(replace(format(100 * datum.value, '.0e'), '+', ''), '\u2212', '-')"
    " : format(100 * datum.value, '~f')) + ' %'"
)


def _labels(followed: Followed) -> tuple[str, ...]:
    return tuple(f"{a:g}" for a in followed.brightnesses)


def _brightness_scales(
    mode: Mode, labels: tuple[str, ...], normal: int, *, with_normal: bool
) -> tuple[alt.Color, alt.Shape]:
    """Give color and shape of the brightnesses; 1 is gray, since the others are compared with it."""
    strong = iter([CATEGORIES[place] for place in (0, 5, 2, 3, 1, 4)] * len(labels))
    colors = [THEMES[mode].muted if place == normal else next(strong) for place in range(len(labels))]
    shapes = [SHAPES[place % len(SHAPES)] for place in range(len(labels))]
    shown = [label for place, label in enumerate(labels) if with_normal or place != normal]
    legend = alt.Legend(orient="top", titleOrient="left", values=shown, symbolSize=70, columnPadding=10)
    return (
        alt.Color("label:N", title="brightness", legend=legend).scale(domain=list(labels), range=colors),
        alt.Shape("label:N", title="brightness", legend=legend).scale(domain=list(labels), range=shapes),
    )


def _log_percent(values: np.ndarray) -> tuple[float, float]:
    """Give the 1-2-5 steps that hold all positive finite values."""
    usable = values[np.isfinite(values) & (values > 0)]
    low, high = decades(usable)
    steps = [float(f"{digit}e{power}") for power in range(low, high + 1) for digit in (1, 2, 5)]
    if not len(usable):
        return steps[0], steps[-1]
    below, above = [each for each in steps if each <= usable.min()], [e for e in steps if e >= usable.max()]
    return below[-1], above[0] if above[0] > below[-1] else 2 * above[0]


def _floor(low: float) -> float:
    """Give where exact zeros are drawn, clearly below the smallest number."""
    return low / 5


def _percent_ticks(low: float, high: float) -> list[float]:
    """Give 1-2-5 steps from low to high, powers of ten alone where the former would not fit."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    if last - first > MOST_FINE_DECADES:
        return decade_ticks(first, last)
    steps = [float(f"{digit}e{power}") for power in range(first, last + 1) for digit in (1, 2, 5)]
    return [step for step in steps if low <= step <= high]


@lru_cache(maxsize=64)
def _survival_spec(
    mode: Mode, labels: tuple[str, ...], normal: int, layers: int, low: float, high: float, *, has_zero: bool
) -> dict[str, Any]:
    color, shape = _brightness_scales(mode, labels, normal, with_normal=False)
    stages = [float(place) for place in spread(layers + 1, MOST_STAGES)]
    words = f"datum.value == 0 ? 'input' : datum.value == {layers} ? 'output' : datum.label"
    x = (
        alt.X("stage:Q", title="layer, from input to output")
        .axis(values=stages, format="d", grid=False, labelExpr=words, labelOverlap=False)
        .scale(domain=[-0.15, layers + 0.15], nice=False)
    )
    y = (
        alt.Y("shown:Q", title="relative difference (log scale)")
        .scale(type="log", domain=[_floor(low) if has_zero else low, high], nice=False)
        .axis(values=_percent_ticks(low, high), labelExpr=PERCENT_LABEL)
    )
    tooltip = [
        alt.Tooltip("name:N", title="layer"),
        alt.Tooltip("label:N", title="brightness"),
        alt.Tooltip("after:N", title="after the activation"),
        alt.Tooltip("before:N", title="before it"),
    ]
    base = alt.Chart(rows()).transform_filter("datum.state != 'undefined'").encode(x=x, y=y)
    floor = alt.Chart(rows("floor")).encode(x=alt.value(0), y=alt.Y("shown:Q"), text="word:N")
    parts = [
        base.mark_line(strokeWidth=2.2).encode(color=color),
        base.mark_point(filled=True, size=90, opacity=1).encode(color=color, shape=shape, tooltip=tooltip),
        floor.mark_text(align="left", baseline="bottom", dx=6, dy=-6),
    ]
    return finish(alt.layer(*parts), mode, 280)


def _survival_rows(followed: Followed) -> pd.DataFrame:
    """Give one row per stage and brightness other than 1; the input is stage 0."""
    labels = _labels(followed)
    parts = []
    stages = [
        ("input", followed.input_difference, followed.input_difference),
        *((layer.name, layer.z_difference, layer.h_difference) for layer in followed.layers),
    ]
    for place, label in enumerate(labels):
        if place == followed.normal:
            continue
        frame = {
            "stage": np.arange(len(stages), dtype=float),
            "name": [name for name, _, _ in stages],
            "brightness": followed.brightnesses[place],
            "label": label,
            "z_difference": [before[place] for _, before, _ in stages],
            "h_difference": [after[place] for _, _, after in stages],
        }
        parts.append(pd.DataFrame(frame))
    return pd.concat(parts, ignore_index=True)


def _ends_words(followed: Followed) -> str:
    """Say how large the difference is at the input and at the output."""
    pairs = zip(followed.input_difference, followed.layers[-1].h_difference, strict=True)
    return "; ".join(
        f"brightness {label} from {share_words(float(first))} to {share_words(float(last))}"
        for place, (label, (first, last)) in enumerate(zip(_labels(followed), pairs, strict=True))
        if place != followed.normal
    )


def difference_survives(followed: Followed, mode: Mode) -> Chart:
    """How far each brightness is from brightness 1 at every layer, relative to brightness 1.

    Raises:
        ValueError: brightness 1 was followed alone, so that there is nothing to compare.
    """
    if len(followed.brightnesses) < 2:
        raise ValueError("brightnesses: only 1 was followed; allowed: 1 and at least one other")
    long = _survival_rows(followed)
    values = long["h_difference"].to_numpy()
    state = state_of(values)
    low, high = _log_percent(values)
    has_zero = bool((state == "zero").any())
    frame = long[["stage", "name", "label"]].assign(
        state=state,
        shown=np.where(state == "zero", _floor(low), values),
        after=long["h_difference"].map(scientific),
        before=long["z_difference"].map(scientific),
    )
    undefined = int((state == "undefined").sum())
    return Chart(
        name="brightness_difference",
        title="How much of the difference survives",
        how_to_read=(
            "One line a brightness. A point is how far the layer's answer is from its answer to the image "
            r"at brightness 1, in lengths of the latter: $\lVert h(ax) - h(x)\rVert / \lVert h(x)\rVert$. "
            "At the input this is |a - 1|. A falling line means that layers make the two images more alike; "
            "a line that stays level means that they pass the difference on."
        ),
        alt_text=f"Relative difference from brightness 1, input to output: {_ends_words(followed)}.",
        spec=_survival_spec(
            mode, _labels(followed), followed.normal, len(followed.layers), low, high, has_zero=has_zero
        ),
        frames={
            "rows": frame,
            "floor": pd.DataFrame({"shown": [_floor(low)], "word": ["exactly 0"]}).head(int(has_zero)),
        },
        make_table=lambda: long,
        notes=(f"{undefined} values are not finite and cannot be drawn.",) if undefined else (),
    )


# --- the units of one layer

UNITS_HEIGHT = 340


@lru_cache(maxsize=64)
def _units_spec(mode: Mode, labels: tuple[str, ...], normal: int, units: int) -> dict[str, Any]:
    color, shape = _brightness_scales(mode, labels, normal, with_normal=True)
    x = (
        alt.X("place:Q", title="units, sorted by z at brightness 1")
        .axis(labels=False, ticks=False, grid=False)
        .scale(domain=[0, units + 1], nice=False)
    )
    tooltip = [
        alt.Tooltip("unit:Q", title="unit"),
        alt.Tooltip("label:N", title="brightness"),
        alt.Tooltip("z_exact:N", title="z, before the activation"),
        alt.Tooltip("h_exact:N", title="h, after the activation"),
    ]
    gap = UNITS_HEIGHT // 2
    panels = []
    for field, title, bottom, top in (
        ("z", "z, before activation", gap - 14, 0),
        ("h", "h, after activation", UNITS_HEIGHT, gap + 14),
    ):
        scale = alt.Scale(range=[bottom, top], zero=False, nice=True, padding=6)
        y = alt.Y(f"{field}:Q", title=title, scale=scale, axis=alt.Axis(orient="left", tickCount=4))
        ends = alt.Chart(rows("spans")).mark_rule(color=THEMES[mode].grid, strokeWidth=1.5)
        dots = alt.Chart(rows()).mark_point(filled=True, size=34, opacity=0.9)
        panels.append(
            alt.layer(
                ends.encode(x=x, y=alt.Y(f"{field}_low:Q", title=title, scale=scale), y2=f"{field}_high:Q"),
                dots.encode(x=x, y=y, color=color, shape=shape, tooltip=tooltip),
            )
        )
    return finish(alt.layer(*panels).resolve_scale(y="independent"), mode, UNITS_HEIGHT)


def unit_values(followed: Followed, layer: int, mode: Mode) -> Chart:
    """Show z and h of one layer's units at all brightnesses; layers count from 1, the last is the output.

    Raises:
        ValueError: there is no such layer.
    """
    if not 1 <= layer <= len(followed.layers):
        raise ValueError(f"layer: {layer} is not allowed; allowed: 1 to {len(followed.layers)}")
    taken = followed.layers[layer - 1]
    order = np.argsort(taken.z[followed.normal], kind="stable")
    drawn = order[spread(len(order), MOST_UNITS)]
    labels = _labels(followed)
    long = _unit_rows(taken.z[:, drawn], taken.h[:, drawn], drawn + 1, labels)
    everything = _unit_rows(taken.z, taken.h, np.arange(1, len(order) + 1), labels)
    spans = long.groupby("place", sort=False, as_index=False).agg(
        z_low=("z", "min"), z_high=("z", "max"), h_low=("h", "min"), h_high=("h", "max")
    )
    moved = [np.ptp(values, axis=0).mean() for values in (taken.z, taken.h)]
    return Chart(
        name="brightness_units",
        title=f"The units of {taken.name if taken.name != 'output' else 'the output layer'}",
        how_to_read=(
            "Each column is a unit. Above is z, the weighted sum that it computes, below is h, what its "
            "activation makes of it; the shapes are the brightnesses of the image. Dots that are far apart "
            "above and close together below show the activation squashing the difference. z is linear in "
            "the brightness in the first layer only: z = a W x + b."
        ),
        alt_text=f"z and h of {len(drawn)} units of {taken.name} at brightness "
        f"{listed(f'{a:g}' for a in followed.brightnesses)}: between them z moves by "
        f"{scientific(float(moved[0]))} on average, h by {scientific(float(moved[1]))}.",
        spec=_units_spec(mode, labels, followed.normal, len(drawn)),
        frames={"rows": long, "spans": spans},
        make_table=lambda: everything[["unit", "label", "z", "h"]].assign(layer=taken.name),
        notes=_unit_notes(taken, len(drawn), len(order)),
    )


def _unit_notes(layer: FollowedLayer, drawn: int, total: int) -> tuple[str, ...]:
    same = "This layer has no activation, so z and h are the same."
    return left_out_notes(drawn, total, "units") + ((same,) if layer.activation == "identity" else ())


def _unit_rows(z: np.ndarray, h: np.ndarray, units: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
    """Give one row per brightness and unit, in the order given; place counts from 1."""
    return pd.DataFrame(
        {
            "label": np.repeat(np.array(labels), len(units)),
            "unit": np.tile(units, len(labels)),
            "place": np.tile(np.arange(1.0, len(units) + 1), len(labels)),
            "z": z.ravel(),
            "h": h.ravel(),
            "z_exact": [scientific(value) for value in z.ravel()],
            "h_exact": [scientific(value) for value in h.ravel()],
        }
    )
