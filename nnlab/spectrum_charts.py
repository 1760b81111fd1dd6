"""Chart of the singular values of drawn Jacobians: how far each direction is stretched."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import Chart, decade_exponents, finish, rows, spread
from nnlab.movable_axis import axis_frame, axis_layers, ends_of, ticks_of, words_frame, words_layer
from nnlab.numerals import percent
from nnlab.palette import CATEGORIES, THEMES, Mode, blue
from nnlab.spectrum_words import own_label, power_words, stretch_words

if TYPE_CHECKING:
    from nnlab.jacobian import Spectra, Spectrum
    from nnlab.linear_product import SingularRanking

POINTS = 120  # of a line
FLOOR_POINTS = 24  # marks along the floor where singular values are 0
HEIGHT = 320
# The last few singular values of a Gaussian product fall off a cliff: the axis ends before them.
DRAWN_SHARE = 0.98
FLOOR = 0.14  # of the axis, below its end, for what is exactly 0; a lane for each kind of weights
THEORY = "theory, linear network"
TEXT = (
    "Take a tiny change of the input, and ask how long it is after the last hidden layer. That depends "
    "on its direction: the singular values $s$ of the Jacobian $J = \\partial h_L / \\partial x = D_L W_L"
    " \\cdots D_1 W_1$ are these stretches, $D_l$ the slopes of layer $l$ (Saxe et al. 2014; Pennington,"
    " Schoenholz & Ganguli 2017). Gradients run through the same matrices backward. From left to right "
    "stand all directions, the most stretched first; upward, on a logarithmic axis, $s$. A flat line is"
    " good: all directions learn alike. A flat line at 1 keeps every length, which is called dynamical "
    "isometry. A steep line means that a few directions get everything. Triangles on the floor are "
    "directions that are lost: $s$ is exactly 0. The output layer takes no part, and there are as many "
    "inputs as units. Where the network is linear, the thin dotted line is the exact law for wide "
    "Gaussian layers (Forrester & Liu 2015)."
)


def spectrum(spectra: Spectra, law: SingularRanking | None, mode: Mode) -> Chart:
    """Draw the ranked singular values of the three kinds of weights, and theory's for a linear network."""
    labels = (own_label(spectra), "Gaussian", "orthogonal")
    kinds = (spectra.own, spectra.gaussian, spectra.orthogonal)
    lines = [_line(label, kind) for label, kind in zip(labels, kinds, strict=True)]
    if law is not None:
        kept = spread(len(law.share), POINTS)
        lines.append(pd.DataFrame({"share": law.share[kept], "log10": law.log10[kept], "series": THEORY}))
    low, high = _span(lines[: len(kinds)])
    is_empty = not any(np.isfinite(kind.values).any() for kind in kinds)
    has_zero = any(kind.zero_share > 0 for kind in kinds)
    frame = pd.concat(lines, ignore_index=True)
    inside = frame["log10"].between(low, high)
    guides = [(0.0, "1: length kept")] * (low <= 0 <= high)
    lanes = [low - FLOOR * (high - low) * part for part in (0.25, 0.5, 0.75)]
    said = _alt_text(spectra, labels)
    return Chart(
        name="spectrum",
        title="Stretch of each direction (singular values s of the Jacobian)",
        how_to_read=TEXT,
        alt_text=said,
        steady_text="Singular values of Jacobians, ranked",
        spec=_spec(mode, labels, has_law=law is not None),
        frames={
            "rows": frame[inside].assign(exact=[power_words(v) for v in frame.loc[inside, "log10"]]),
            "zeros": pd.concat([_zeros(*row) for row in zip(labels, kinds, lanes, strict=True)]),
            "guide": _words(guides),
            "floor": _words([(lanes[1], "exactly 0")] * has_zero),
            "upward": axis_frame(
                low - FLOOR * (high - low) * has_zero, high, decade_exponents(int(low), int(high))
            ),
            "said": words_frame(said),
        },
        make_table=lambda: _table(spectra),
        notes=() if is_empty else _notes(frame[~inside]),
        is_empty=is_empty,
    )


def _line(label: str, kind: Spectrum) -> pd.DataFrame:
    """Give POINTS of the singular values that are not 0, at their share among all."""
    values = kind.values
    alive = values[np.isfinite(values)]
    places = np.unique(np.linspace(0, max(0, len(alive) - 1), POINTS).round().astype(int))[: len(alive)]
    share = (places + 0.5) / max(1, len(values))
    frame = pd.DataFrame({"share": share, "log10": alive[places], "series": label})
    return frame.astype({"share": float, "log10": float, "series": str})


def _zeros(label: str, kind: Spectrum, height: float) -> pd.DataFrame:
    """Place marks along the floor, at one height, where a kind's singular values are 0."""
    lost = kind.zero_share if kind.zero_share > 0 else 0.0
    share = (np.arange(FLOOR_POINTS) + 0.5) / FLOOR_POINTS
    share = share[share > 1 - lost]
    words = f"0 in {percent(lost)} of the directions"
    frame = pd.DataFrame({"share": share, "log10": height, "series": label, "exact": words})
    return frame.astype({"share": float, "log10": float, "series": str, "exact": str})


def _span(lines: list[pd.DataFrame]) -> tuple[float, float]:
    """Give the ends of the axis in decades, 1 included where it is near."""
    kept = [line for line in lines if len(line)]
    if not kept:
        return -1.0, 1.0
    high = math.ceil(max(line["log10"].max() for line in kept) + 0.05)
    low = math.floor(min(line["log10"].quantile(1 - DRAWN_SHARE) for line in kept) - 0.05)
    near = high - low + 4
    high = max(high, 1) if -near < high <= 1 else high
    return float(min(low, -1) if -1 <= low < near else low), float(high)


@lru_cache(maxsize=64)
def _spec(mode: Mode, labels: tuple[str, ...], *, has_law: bool) -> dict[str, Any]:
    theme = THEMES[mode]
    series = [*labels, THEORY] if has_law else list(labels)
    colors = [blue(mode), CATEGORIES[1], CATEGORIES[2], theme.text]
    dashes = [[1, 0], [7, 3], [2, 2], [3, 5]]
    x = alt.X("share:Q", title="directions, the most stretched first")
    x = x.scale(domain=[0, 1], nice=False).axis(format=".0%", tickCount=5, grid=False)
    words = "datum.value == 0 ? '1' : '1e' + format(datum.value, 'd')"
    words = f"replace({words}, '\u2212', '-')"
    axis = alt.Axis(values=ticks_of("upward"), labelExpr=words)
    y = alt.Y("log10:Q", title="stretch s", scale=ends_of("upward"), axis=axis)
    color = alt.Color("series:N", title=None).scale(domain=series, range=colors[: len(series)])
    color = color.legend(orient="top", columns=2, symbolType="stroke", symbolStrokeWidth=3, symbolSize=250)
    dash = alt.StrokeDash("series:N", title=None).scale(domain=series, range=dashes[: len(series)])
    tooltip = [
        alt.Tooltip("series:N", title="weights"),
        alt.Tooltip("share:Q", title="directions stretched more", format=".0%"),
        alt.Tooltip("exact:N", title="s"),
    ]
    base = alt.Chart(rows()).encode(x=x, y=y, color=color)
    width = alt.condition(f"datum.series == '{THEORY}'", alt.value(1.5), alt.value(3))
    lines = base.mark_line().encode(strokeDash=dash, strokeWidth=width)
    hover = base.mark_point(size=120, opacity=0, filled=True).encode(tooltip=tooltip)
    zeros = alt.Chart(rows("zeros")).mark_point(shape="triangle-down", filled=True, size=45, opacity=1)
    zeros = zeros.encode(x=x, y=y, color=color, tooltip=tooltip[::2])
    word = alt.Chart(rows("floor")).mark_text(align="left", dx=4, color=theme.text)
    word = word.encode(x=alt.value(0), y=y, text="word:N")
    parts = [*_kept_length(mode), lines, hover, zeros, word, *axis_layers("upward"), words_layer()]
    return finish(alt.layer(*parts), mode, HEIGHT)


def _kept_length(mode: Mode) -> list[alt.Chart]:
    """Draw where every length is kept."""
    base = alt.Chart(rows("guide")).encode(y=alt.Y("log10:Q"))
    rule = base.mark_rule(color=THEMES[mode].muted, strokeWidth=1.5)
    word = base.mark_text(align="right", dx=-4, dy=-8, color=THEMES[mode].muted)
    return [rule, word.encode(x=alt.value("width"), text="word:N")]


def _words(found: list[tuple[float, str]]) -> pd.DataFrame:
    return pd.DataFrame(found, columns=["log10", "word"]).astype({"log10": float, "word": str})


def _alt_text(spectra: Spectra, labels: tuple[str, ...]) -> str:
    parts = []
    for label, kind in zip(labels, (spectra.own, spectra.gaussian, spectra.orthogonal), strict=True):
        top, middle = stretch_words(kind, 0), stretch_words(kind, 0.5)
        parts.append(f"{label}: largest {top}, median {middle}, {percent(kind.zero_share)} exactly 0")
    return f"Singular values of Jacobians of {spectra.draws} networks each. {'; '.join(parts)}."


def _notes(outside: pd.DataFrame) -> tuple[str, ...]:
    if not len(outside):
        return ()
    least = power_words(float(outside["log10"].min()))
    return (f"The smallest stretches, down to {least}, lie below the picture; exports hold all.",)


def _table(spectra: Spectra) -> pd.DataFrame:
    """Give every singular value: weights, draw, rank from 1 on, s and its logarithm."""
    parts = []
    for kind in (spectra.own, spectra.gaussian, spectra.orthogonal):
        draws, width = kind.log10_s.shape
        values = kind.log10_s.ravel()
        parts.append(
            pd.DataFrame(
                {
                    "weights": kind.kind,
                    "draw": np.repeat(np.arange(1, draws + 1), width),
                    "rank": np.tile(np.arange(1, width + 1), draws),
                    "s": 10.0**values,
                    "log10_s": values,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
