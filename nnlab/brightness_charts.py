"""Charts over brightness: what networks keep of their accuracy, what saturates, and whether f scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.brightness import BRIGHTNESSES, HIGHEST, LOWEST, NORMAL, ROUNDING, Measured, Sweep
from nnlab.brightness_words import listed, mean_words, share_words
from nnlab.chart import DECADE_LABEL, Chart, decade_ticks, decades, finish, rows, state_of
from nnlab.numerals import scientific
from nnlab.palette import CATEGORIES, THEMES, Mode

TICKS = [0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0]
# One dash a kind, so that lines are told apart without color and where they lie on each other.
DASHES = ([1, 0], [8, 4], [2, 3], [12, 3, 2, 3], [5, 2], [8, 3, 2, 3, 2, 3], [3, 6])
# A phone has room for one column of names; a legend wider than its chart would push the lines together.
LEGEND_COLUMNS = "width < 380 ? 1 : 2"
ZERO_NOTE = "An error of exactly 0 is drawn on the floor of the axis."


# --- kinds over brightness


def _kind_colors(mode: Mode, count: int) -> list[str]:
    """Give one color a kind; the seventh is the text's own, since the palette has six."""
    return [*CATEGORIES, THEMES[mode].text][:count]


def _brightness_axis() -> alt.X:
    axis = alt.Axis(values=TICKS, format="~g", grid=False, labelOverlap=False, labelFlush=False)
    scale = alt.Scale(type="log", domain=[LOWEST, HIGHEST], nice=False)
    return alt.X("brightness:Q", title="brightness of the images (log scale)", axis=axis, scale=scale)


def _training_rule(mode: Mode, *, at_top: bool) -> list[alt.Chart]:
    """Mark the brightness of the training images, its word where the chart's lines leave room."""
    base = alt.Chart(rows("training")).encode(x=alt.X("brightness:Q"))
    rule = base.mark_rule(color=THEMES[mode].muted, strokeDash=[4, 3])
    word = base.mark_text(align="right", dx=-4, dy=10 if at_top else -10, color=THEMES[mode].muted)
    return [rule, word.encode(y=alt.value(0 if at_top else "height"), text="word:N")]


def _training_mark() -> pd.DataFrame:
    return pd.DataFrame({"brightness": [NORMAL], "word": ["trained at 1"]})


def _kind_scales(
    mode: Mode, words: tuple[str, ...], drawn: tuple[str, ...]
) -> tuple[alt.Color, alt.StrokeDash]:
    """Give color and dash of all kinds; both share one legend, which names the drawn ones."""
    legend = alt.Legend(
        orient="top",
        values=list(drawn),
        columns=alt.ExprRef(LEGEND_COLUMNS),
        symbolType="stroke",
        symbolSize=500,
        symbolStrokeWidth=2.5,
        symbolOpacity=1,
        columnPadding=8,
    )
    color = alt.Color("kind:N", title=None, legend=legend)
    dash = alt.StrokeDash("kind:N", title=None, legend=legend)
    dashes = [list(DASHES[place % len(DASHES)]) for place in range(len(words))]
    return (
        color.scale(domain=list(words), range=_kind_colors(mode, len(words))),
        dash.scale(domain=list(words), range=dashes),
    )


def _long(measured: Sweep, kinds: Sequence[Measured], field: str) -> pd.DataFrame:
    """Give one row per kind, seed and brightness, in full precision."""
    parts = []
    for kind in kinds:
        values = getattr(kind, field)
        parts.append(
            pd.DataFrame(
                {
                    "kind": kind.words,
                    "network": np.repeat(np.arange(1, kind.seeds + 1), len(BRIGHTNESSES)),
                    "brightness": np.tile(BRIGHTNESSES, kind.seeds),
                    field: values.ravel(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _bands(kinds: Sequence[Measured], field: str) -> pd.DataFrame:
    """Give mean, lowest and highest of the seeds per kind and brightness."""
    parts = []
    for kind in kinds:
        values = getattr(kind, field)
        mean, low, high = values.mean(axis=0), values.min(axis=0), values.max(axis=0)
        words = [share_words(float(value)) for value in mean]
        span = [f"{share_words(a)} to {share_words(b)}" for a, b in zip(low, high, strict=True)]
        frame = {"kind": kind.words, "brightness": BRIGHTNESSES, "value": mean, "low": low, "high": high}
        parts.append(pd.DataFrame({**frame, "exact": words, "span": span}))
    return pd.concat(parts, ignore_index=True)


@lru_cache(maxsize=64)
def _share_spec(
    mode: Mode, words: tuple[str, ...], drawn: tuple[str, ...], title: str, *, has_guess: bool
) -> dict[str, Any]:
    color, dash = _kind_scales(mode, words, drawn)
    base = alt.Chart(rows()).encode(x=_brightness_axis())
    y = alt.Y("value:Q", title=title).scale(domain=[0, 1], nice=False).axis(format="%", tickCount=5)
    tooltip = [
        alt.Tooltip("kind:N", title="network"),
        alt.Tooltip("brightness:Q", title="brightness", format="~g"),
        alt.Tooltip("exact:N", title="mean"),
        alt.Tooltip("span:N", title="seeds"),
    ]
    # No legend of their own: opacity and shape would enter the one that is shared.
    band = base.mark_area(opacity=0.16).encode(y=alt.Y("low:Q"), y2="high:Q", color=color)
    line = base.mark_line(strokeWidth=2.2).encode(y=y, color=color, strokeDash=dash)
    hover = base.mark_point(size=120, opacity=0, filled=True).encode(y=y, detail="kind:N", tooltip=tooltip)
    parts = [band, line, *_training_rule(mode, at_top=not has_guess)]
    if has_guess:
        level = alt.Chart(rows("guess")).encode(y=alt.Y("value:Q"))
        parts.append(level.mark_rule(color=THEMES[mode].muted, strokeDash=[1, 3]))
        word = level.mark_text(align="right", baseline="bottom", dx=-4, dy=-3, color=THEMES[mode].muted)
        parts.append(word.encode(x=alt.value("width"), text="word:N"))
    return finish(alt.layer(*parts, hover), mode, 300)


def accuracy_curves(measured: Sweep, mode: Mode) -> Chart:
    """Accuracy over brightness, one line a kind, with the range of its seeds."""
    words = tuple(kind.words for kind in measured.kinds)
    guess = 1 / measured.classes
    ends = [
        f"{kind.words} {share_words(float(measured.accuracy(kind, 0.1).mean()))} at 0.1, "
        f"{share_words(float(measured.accuracy(kind, NORMAL).mean()))} at 1 and "
        f"{share_words(float(measured.accuracy(kind, HIGHEST).mean()))} at 10"
        for kind in measured.kinds
    ]
    return Chart(
        name="brightness_accuracy",
        title="Accuracy over brightness",
        how_to_read=(
            f"All networks learned from images of brightness 1 and are asked about {measured.images} others, "
            "with every pixel multiplied by the brightness (nothing is clipped, so above 1 the pixels are "
            "larger than any in the training images). A line is the mean over the seeds, its band reaches "
            "from the worst to the best seed. A flat line means that brightness does not matter. Guessing "
            f"among {measured.classes} classes is right on {share_words(guess)}."
        ),
        alt_text=f"Accuracy over brightness, mean of the seeds: {'; '.join(ends)}.",
        spec=_share_spec(mode, words, words, "images that are right", has_guess=True),
        frames={
            "rows": _bands(measured.kinds, "accuracy"),
            "training": _training_mark(),
            "guess": pd.DataFrame({"value": [guess], "word": ["guessing"]}),
        },
        make_table=lambda: _with_agreement(measured),
        notes=_undecided_notes(measured),
    )


def _with_agreement(measured: Sweep) -> pd.DataFrame:
    table = _long(measured, measured.kinds, "accuracy")
    return table.assign(agreement=_long(measured, measured.kinds, "agreement")["agreement"])


def _undecided_notes(measured: Sweep) -> tuple[str, ...]:
    lost = sum(kind.undecided for kind in measured.kinds)
    return (f"{lost:,} answers are not numbers; they count as wrong.",) if lost else ()


def saturation_curves(measured: Sweep, mode: Mode) -> Chart:
    """Share of the first layer's activations on the flat part over brightness, without linear networks."""
    kinds = [kind for kind in measured.kinds if not kind.is_linear]
    left_out = [kind.words for kind in measured.kinds if kind.is_linear]
    words = tuple(kind.words for kind in measured.kinds)
    notes = [f"No flat part: {listed(left_out)}."] if left_out else []
    frame = _bands(kinds, "saturation") if kinds else pd.DataFrame({"value": []}, dtype=float)
    ends = [
        f"{kind.words} {share_words(measured.saturation(kind, NORMAL))} at 1 and "
        f"{share_words(measured.saturation(kind, HIGHEST))} at 10"
        for kind in kinds
    ]
    inactive = [kind.words for kind in kinds if kind.flat_word == "inactive"]
    if inactive:
        notes.append(
            f'Called "inactive" rather than "saturated", since it is their purpose: {listed(inactive)}.'
        )
    return Chart(
        name="brightness_saturation",
        title="First layer: activations on the flat part",
        how_to_read=(
            "The share of the first layer's activations (images times units) that lie where the curve is "
            rf"flat: $|\varphi'(z)| < {measured.tau:.3g}\,\sup|\varphi'|$; 0.0591 is |tanh z| > 0.97 "
            "(Karpathy's makemore, part 3). There a higher brightness changes the answer of a unit very "
            "little, and the unit passes very little gradient. A higher brightness pushes z away from the "
            "bias, so it moves more units to the flat part if the curve has one on both sides. For ReLU "
            "the flat side is its purpose and called inactive."
        ),
        alt_text=f"Share of flat activations in layer 1 over brightness: {'; '.join(ends) or 'none'}.",
        spec=_share_spec(
            mode, words, tuple(kind.words for kind in kinds), "activations on the flat part", has_guess=False
        ),
        frames={"rows": frame, "training": _training_mark()},
        make_table=lambda: _flat_table(measured, kinds),
        notes=tuple(notes),
        is_empty=not kinds,
    )


def _flat_table(measured: Sweep, kinds: Sequence[Measured]) -> pd.DataFrame:
    table = _long(measured, kinds, "saturation") if kinds else pd.DataFrame({"saturation": []})
    return table.assign(tau=measured.tau)


# --- f(ax) = a f(x)


@lru_cache(maxsize=64)
def _error_spec(mode: Mode, words: tuple[str, ...], low: int, high: int, *, has_zero: bool) -> dict[str, Any]:
    color, dash = _kind_scales(mode, words, words)
    y = (
        alt.Y("shown:Q", title="largest relative error")
        .scale(type="log", domain=[float(f"1e{low - has_zero}"), float(f"1e{high}")], nice=False)
        .axis(values=decade_ticks(low, high), labelExpr=DECADE_LABEL)
    )
    tooltip = [
        alt.Tooltip("kind:N", title="network"),
        alt.Tooltip("brightness:Q", title="brightness", format="~g"),
        alt.Tooltip("exact:N", title="relative error"),
    ]
    base = alt.Chart(rows()).transform_filter("datum.state != 'undefined'").encode(x=_brightness_axis(), y=y)
    line = base.transform_filter("datum.state == 'value'").mark_line(strokeWidth=2.2)
    zeros = base.transform_filter("datum.state == 'zero'").mark_point(size=50, strokeWidth=1.6, opacity=1)
    hover = base.mark_point(size=120, opacity=0, filled=True).encode(detail="kind:N", tooltip=tooltip)
    floor = alt.Chart(rows("floor")).mark_text(align="left", baseline="bottom", dx=6, dy=-6)
    rounding = alt.Chart(rows("rounding")).encode(y=alt.Y("shown:Q"))
    parts = [
        rounding.mark_rule(color=THEMES[mode].muted, strokeDash=[1, 3]),
        rounding.mark_text(align="left", dx=6, dy=9, color=THEMES[mode].muted).encode(
            x=alt.value(0), text="word:N"
        ),
        line.encode(color=color, strokeDash=dash, detail="side:N"),
        zeros.encode(color=color),
        floor.encode(x=alt.value(0), y=alt.Y("shown:Q"), text="word:N"),
        *_training_rule(mode, at_top=True),
        hover,
    ]
    return finish(alt.layer(*parts), mode, 300)


def homogeneity(measured: Sweep, mode: Mode) -> Chart:
    """Largest relative error of f(ax) = a f(x) over brightness, in float32, one line a kind."""
    frame = _error_rows(measured)
    low, high = decades(np.append(frame["value"].to_numpy(), ROUNDING))
    frame["shown"] = np.where(frame["state"] == "zero", float(f"1e{low - 1}"), frame["value"])
    largest = [f"{k.words} {scientific(float(k.homogeneity.max()))}" for k in measured.kinds]
    has_zero = bool((frame["state"] == "zero").any())
    undefined = int((frame["state"] == "undefined").sum())
    notes = [ZERO_NOTE] if has_zero else []
    if undefined:
        notes.append(f"{undefined} errors are not finite and cannot be drawn.")
    floor = [(float(f"1e{low - 1}"), "exactly 0")] if has_zero else []
    return Chart(
        name="brightness_homogeneity",
        title="Relative error of f(ax) = a f(x)",
        how_to_read=(
            "If multiplying an image by a makes all outputs a times as large, the largest output stays the "
            "largest and the decision stays the same. Shown is how far a network is from that: "
            r"$\max \lVert f(ax) - a f(x)\rVert \,/\, \lVert a f(x)\rVert$ over all images and seeds, in "
            "float32. Around 1e-7 it is rounding, so the rule holds (a positively homogeneous function of "
            "degree 1); around 1 it does not hold at all. Multiplying by 0.5 or 2 does not round, so "
            "there the error can be exactly 0. Brightness 1 is left out, since there it is 0 by definition."
        ),
        alt_text=f"Largest relative error of f(ax) = a f(x) over all brightnesses: {'; '.join(largest)}.",
        spec=_error_spec(mode, tuple(kind.words for kind in measured.kinds), low, high, has_zero=has_zero),
        frames={
            "rows": frame,
            "training": _training_mark(),
            "floor": pd.DataFrame(floor, columns=["shown", "word"]).astype({"shown": float}),
            "rounding": pd.DataFrame({"shown": [ROUNDING], "word": ["rounding"]}),
        },
        make_table=lambda: _long(measured, measured.kinds, "homogeneity"),
        notes=tuple(notes),
    )


def _error_rows(measured: Sweep) -> pd.DataFrame:
    parts = []
    for kind in measured.kinds:
        values = kind.homogeneity.max(axis=0)
        words = [scientific(float(value)) for value in values]
        frame = {"kind": kind.words, "brightness": BRIGHTNESSES, "value": values, "state": state_of(values)}
        parts.append(pd.DataFrame({**frame, "exact": words}))
    long = pd.concat(parts, ignore_index=True)
    # Two lines a kind: one through brightness 1 would show an error where there is none.
    sides = np.where(long["brightness"] < NORMAL, "below", "above")
    return long.assign(side=sides)[long["brightness"] != NORMAL].reset_index(drop=True)


# --- accuracy at brightness 1

ROW_HEIGHT = 48  # a line of words and a line of dots
SEED_SPREAD = 0.36  # of a row
FINEST_SPAN = 0.05  # the axis begins at a multiple of it below the worst network


@lru_cache(maxsize=64)
def _bars_spec(mode: Mode, words: tuple[str, ...], low: float) -> dict[str, Any]:
    scale = alt.Scale(domain=[low, 1], nice=False, clamp=True)
    axis = alt.Axis(format="~%", tickCount=5, labelFlush=True)
    y = alt.Y("place:Q", axis=None).scale(domain=[0, len(words)], reverse=True, nice=False)
    color = alt.Color("kind:N", legend=None).scale(domain=list(words), range=_kind_colors(mode, len(words)))
    base = alt.Chart(rows()).encode(y=y, color=color)
    means = alt.Chart(rows("means")).encode(y=y)
    value = alt.X("value:Q", title="images that are right at brightness 1", scale=scale, axis=axis)
    tooltip = [alt.Tooltip("kind:N", title="network"), alt.Tooltip("exact:N", title="right")]
    above: dict[str, Any] = {"baseline": "middle", "dy": -20, "fontSize": 12, "color": THEMES[mode].text}
    parts = [
        means.mark_rule(color=THEMES[mode].grid, strokeWidth=1).encode(x=alt.value(0), x2=alt.value("width")),
        means.mark_tick(thickness=3, size=26, color=THEMES[mode].text).encode(
            x=value, tooltip=[*tooltip, alt.Tooltip("span:N", title="seeds")]
        ),
        base.mark_point(
            size=75, filled=True, opacity=1, stroke=THEMES[mode].background, strokeWidth=1
        ).encode(x=value, tooltip=[*tooltip, alt.Tooltip("network:Q", title="number")]),
        means.mark_text(align="left", **above).encode(x=alt.value(0), text="kind:N"),
        means.mark_text(align="right", **above).encode(x=alt.value("width"), text="exact:N"),
    ]
    return finish(alt.layer(*parts), mode, ROW_HEIGHT * len(words))


def accuracy_bars(measured: Sweep, mode: Mode) -> Chart:
    """Accuracy at brightness 1: the mean of each kind as a bar, its networks as dots."""
    normal = BRIGHTNESSES.index(NORMAL)
    table = _long(measured, measured.kinds, "accuracy")
    table = table[table["brightness"] == NORMAL].reset_index(drop=True)
    places = {kind.words: place + 0.65 for place, kind in enumerate(measured.kinds)}
    dots = table.rename(columns={"accuracy": "value"}).drop(columns="brightness")
    # Seeds that are equally right lie beside each other, not on each other.
    apart = SEED_SPREAD * (dots["network"] - dots.groupby("kind")["network"].transform("mean"))
    dots = dots.assign(
        place=dots["kind"].map(places) + apart / dots["network"].max(),
        exact=[share_words(value) for value in dots["value"]],
    )
    means = _bands(measured.kinds, "accuracy").query("brightness == @NORMAL").reset_index(drop=True)
    means = means.assign(place=means["kind"].map(places).astype(float)).drop(columns=["low", "high"])
    worst = float(min(kind.accuracy[:, normal].min() for kind in measured.kinds))
    steps = math.ceil(worst / FINEST_SPAN - 1e-9) - 1  # strictly below the worst, or its dot is cut
    low = round(max(0, steps) * FINEST_SPAN, 2)
    said = [f"{kind.words} {mean_words(kind.accuracy[:, normal])}" for kind in measured.kinds]
    return Chart(
        name="brightness_accuracy_bars",
        title="Accuracy at brightness 1",
        how_to_read=(
            "A dot is one network (one seed), the bar across is the mean of its kind, written at the right. "
            f"The axis begins at {share_words(low)}, not at 0, so compare positions, not lengths. Where the "
            "dots of two kinds overlap, these seeds do not tell which kind is better. Networks without "
            "activation are one linear map, however many layers they have."
        ),
        alt_text=f"Accuracy at brightness 1, mean and range of the seeds: {'; '.join(said)}.",
        spec=_bars_spec(mode, tuple(kind.words for kind in measured.kinds), low),
        frames={"rows": dots, "means": means},
        make_table=lambda: table,
        notes=_undecided_notes(measured),
    )
