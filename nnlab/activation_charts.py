"""Charts of the activation functions: output above, slope below, on one z axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd

from nnlab.activation_facts import (
    check_tau,
    entry_of,
    facts,
    saturated_zones,
    zone_word,
    zones_in_words,
)
from nnlab.activations import ACTIVATIONS
from nnlab.chart import Chart, finish, rows
from nnlab.numerals import scientific
from nnlab.palette import CATEGORIES, THEMES, Mode

LOW, HIGH = -6.0, 6.0  # beyond, sigmoid's slope is below 1 % of its largest and lines are straight
TICKS = [-6, -4, -2, 0, 2, 4, 6]
POINTS = 200  # a curve
HOVERED = 25  # points of a curve that answer the mouse, at every half z
TABLE_POINTS = 241  # every 0.05
BESIDE_A_KINK = 1e-9  # a piece starts so far from a kink, so that a jump is not drawn as a slope
# With a bounded curve beside an unbounded one, outputs outside are cut off: sigmoid's bend would vanish.
CUT_LOW, CUT_HIGH = -2.0, 3.0
DASHES = ([1, 0], [7, 4], [2, 3])  # colors repeat after six with the next pattern
UPPER, LOWER, SINGLE_GAP, LANE, LANE_HEAD = 190, 140, 30, 17, 24  # pixels
WORD_ROOM = 2.9  # in z: a word of 65 pixels on a phone's axis
FAINT = 0.5
SHADE = {"light": 0.15, "dark": 0.3}

HOW_TO_READ = (
    "**Above**: the output φ(z) of the activation for its input z. **Below**: its slope φ′(z), on the same z "
    "axis. Backpropagation multiplies the error signal by this slope at every layer. {zone} the slope's size "
    "is below τ = {tau} of its largest value: there a unit is *saturated*, and the curve is drawn "
    "fainter. At τ = 0.059 this is the same as |tanh| > 0.97 (Karpathy's makemore, part 3). "
    "For ReLU and leaky ReLU the flat side is the purpose, so it is called *inactive*."
)


def pieces(name: str, low: float, high: float, cuts: Sequence[float], points: int) -> pd.DataFrame:
    """Sample phi and phi' in pieces that end at kinks and at `cuts`; columns z, phi, slope, piece."""
    entry = entry_of(name)
    inner = {place for place in (*facts(name).kinks, *cuts) if low < place < high}
    edges = [low, *sorted(inner), high]
    parts = []
    for number, (left, right) in enumerate(pairwise(edges)):
        count = max(2, round(points * (right - left) / (high - low)))
        inset = min(BESIDE_A_KINK * max(1.0, abs(left), abs(right)), (right - left) / 4)
        z = np.linspace(left + inset * (left != low), right - inset * (right != high), count)
        parts.append(
            pd.DataFrame(
                {"z": z, "phi": entry.function(z), "slope": entry.derivative(z), "piece": float(number)}
            )
        )
    return pd.concat(parts, ignore_index=True)


def _is_within(z: np.ndarray, zones: Sequence[tuple[float, float]]) -> np.ndarray:
    inside = np.zeros(len(z), dtype=bool)
    for left, right in zones:
        inside |= (z >= left) & (z <= right)
    return inside


@lru_cache(maxsize=128)
def _curve(name: str, tau: float) -> pd.DataFrame:
    """Sample one activation; pieces end at its kinks and zone edges. Callers do not change the frame."""
    zones = saturated_zones(name, tau, LOW, HIGH)
    frame = pieces(name, LOW, HIGH, [edge for zone in zones for edge in zone], POINTS)
    middle = frame.groupby("piece")["z"].transform("mean").to_numpy()
    flat = _is_within(middle, zones)
    return frame.assign(label=ACTIVATIONS[name].label, state=np.where(flat, "flat", "steep"))


@lru_cache(maxsize=256)
def _span(names: tuple[str, ...]) -> tuple[float, float]:
    """Give the lowest and highest output to draw, with a little air."""
    z = np.linspace(LOW, HIGH, TABLE_POINTS)
    values = np.concatenate([ACTIVATIONS[name].function(z) for name in names])
    low, high = float(values.min()), float(values.max())
    bounded = {ACTIVATIONS[name].is_bounded for name in names}
    if len(bounded) == 2:
        low, high = max(low, CUT_LOW), min(high, CUT_HIGH)
    air = 0.06 * (high - low)
    return low - air, high + air


def _cut(frame: pd.DataFrame, low: float, high: float) -> pd.DataFrame:
    """Drop outputs outside the drawn span, after ending each curve exactly on its border."""
    z, phi = frame["z"].to_numpy(), frame["phi"].to_numpy()
    outside = (phi < low) | (phi > high)
    if not outside.any():
        return frame
    border = outside & ~(np.roll(outside, 1) & np.roll(outside, -1))
    order = np.argsort(phi, kind="stable")  # only monotone ends are cut: identity, ReLU and its kin
    on_border = np.clip(phi, low, high)
    crossed = np.interp(on_border, phi[order], z[order])
    frame = frame.assign(phi=on_border, z=np.where(border, crossed, z))
    return frame[~outside | border]


def _slope_span(names: tuple[str, ...]) -> tuple[float, float]:
    z = np.linspace(LOW, HIGH, TABLE_POINTS)
    values = np.concatenate([ACTIVATIONS[name].derivative(z) for name in names])
    low, high = min(0.0, float(values.min())), max(float(values.max()), 0.0)
    high = high if high > low else 1.0
    air = 0.08 * (high - low)
    return low - air, high + air


def _gap(count: int) -> int:
    """Give the pixels between the panels: one line of words, or one lane for each activation."""
    return SINGLE_GAP if count == 1 else LANE_HEAD + LANE * count + 12


def _color(names: tuple[str, ...]) -> dict[str, Any]:
    labels = [ACTIVATIONS[name].label for name in names]
    colors = [CATEGORIES[number % len(CATEGORIES)] for number in range(len(names))]
    dashes = [DASHES[number // len(CATEGORIES)] for number in range(len(names))]
    return {
        "color": alt.Color("label:N").scale(domain=labels, range=colors).legend(None),
        "strokeDash": alt.StrokeDash("label:N").scale(domain=labels, range=dashes).legend(None),
    }


def _x(field: str = "z") -> alt.X:
    return (
        alt.X(f"{field}:Q", title="z, the input of the activation")
        .scale(domain=[LOW, HIGH], nice=False)
        .axis(values=TICKS, format="d", grid=False, labelOverlap=False)
    )


def _panel(
    names: tuple[str, ...], field: str, title: str, pixels: tuple[int, int], span: tuple[float, float]
) -> list[alt.Chart]:
    """Draw one curve per activation between two heights in pixels."""
    y = (
        alt.Y(f"{field}:Q", title=title)
        .scale(domain=list(span), range=[pixels[1], pixels[0]], nice=False, zero=False)
        .axis(orient="left", tickCount=5, titleAnchor="middle", labelOverlap=True, grid=True, minExtent=42)
    )
    opacity = alt.Opacity("state:O").scale(domain=["steep", "flat"], range=[1.0, FAINT]).legend(None)
    tooltip = [
        alt.Tooltip("label:N", title="activation"),
        alt.Tooltip("z:Q", title="z"),
        alt.Tooltip("output:N", title="output φ(z)"),
        alt.Tooltip("slope_words:N", title="slope φ′(z)"),
    ]
    line = alt.Chart(rows("outputs" if field == "phi" else "slopes")).mark_line(strokeWidth=2.6)
    line = line.encode(x=_x(), y=y, detail="piece:Q", opacity=opacity, **_color(names))
    hover = alt.Chart(rows("hover")).mark_point(size=140, opacity=0, filled=True)
    if field == "phi":
        hover = hover.transform_filter(f"datum.phi >= {span[0]} && datum.phi <= {span[1]}")
    return [line, hover.encode(x=_x(), y=y, tooltip=tooltip)]


def _single_zone(mode: Mode, heights: tuple[int, int]) -> list[alt.Chart]:
    """Shade the zone over both panels, with its word between them."""
    zone = alt.Chart(rows("zones")).mark_rect(color=CATEGORIES[5], opacity=SHADE[mode])
    parts = [zone.encode(x=_x("left"), x2="right:Q", y=alt.value(0), y2=alt.value(heights[1]))]
    sides: tuple[tuple[Literal["left", "center", "right"], int], ...] = (
        ("left", 5),
        ("center", 0),
        ("right", -5),
    )
    for align, dx in sides:
        word = alt.Chart(rows("words")).mark_text(align=align, dx=dx, fontSize=12, color=THEMES[mode].text)
        word = word.transform_filter(f"datum.align == '{align}'")
        parts.append(word.encode(x=_x(), y=alt.value(heights[0]), text="word:N"))
    return parts


def _lanes(names: tuple[str, ...], mode: Mode) -> list[alt.Chart]:
    """Draw one lane per activation: its name, its line as in the panels, thick where it is flat."""
    top = UPPER + LANE_HEAD
    labels = " : ".join(
        f"datum.value == {number} ? '{ACTIVATIONS[name].label}'" for number, name in enumerate(names)
    )
    y = (
        alt.Y("lane:Q", title=None)
        .scale(domain=[-0.5, len(names) - 0.5], range=[top, top + LANE * len(names)], nice=False, zero=False)
        .axis(
            values=list(range(len(names))), labelExpr=f"{labels} : ''", grid=False, ticks=False, domain=False,
            orient="left", labelOverlap=False, labelColor=THEMES[mode].text, labelFontSize=11,
        )
    )  # fmt: skip
    line = alt.Chart(rows("lanes")).mark_rule(strokeWidth=2.2)
    line = line.encode(x=_x("left"), x2="right:Q", y=y, **_color(names))
    bar = alt.Chart(rows("zones")).mark_rule(strokeWidth=9)
    bar = bar.encode(x=_x("left"), x2="right:Q", y=y, color=_color(names)["color"])
    return [line, bar]


def _lane_head(mode: Mode) -> alt.Chart:
    head = alt.Chart(rows("words")).mark_text(align="left", fontSize=11, color=THEMES[mode].muted)
    return head.encode(x=alt.value(0), y=alt.value(UPPER + 12), text="word:N")


@lru_cache(maxsize=64)
def _spec(mode: Mode, names: tuple[str, ...]) -> dict[str, Any]:
    below = UPPER + _gap(len(names))
    height = below + LOWER
    upper = _panel(names, "phi", "output φ(z)", (0, UPPER), _span(names))
    lower = _panel(names, "slope", "slope φ′(z)", (below, height), _slope_span(names))
    grid = alt.Chart(rows("ticks")).mark_rule(color=THEMES[mode].grid)
    grid = grid.encode(x=_x(), y=alt.value(0), y2=alt.value(height))
    parts: list[alt.Chart | alt.LayerChart | alt.FacetChart] = [grid]
    if len(names) == 1:
        parts += _single_zone(mode, (UPPER + SINGLE_GAP // 2, height))
        limit = alt.Chart(rows("limit")).mark_rule(
            color=THEMES[mode].muted, strokeDash=[4, 3], strokeWidth=1.5
        )
        lower.append(limit.encode(y=alt.Y("slope:Q")))
    else:
        parts += [alt.layer(*_lanes(names, mode)), _lane_head(mode)]
    parts += [alt.layer(*upper), alt.layer(*lower)]
    return finish(alt.layer(*parts).resolve_scale(y="independent"), mode, height)


def _zone_frame(names: tuple[str, ...], tau: float) -> pd.DataFrame:
    found = [
        (ACTIVATIONS[name].label, float(lane), left, right)
        for lane, name in enumerate(names)
        for left, right in saturated_zones(name, tau, LOW, HIGH)
    ]
    frame = pd.DataFrame(found, columns=["label", "lane", "left", "right"])
    return frame.astype({"lane": float, "left": float, "right": float})


def _words(name: str, zones: pd.DataFrame) -> pd.DataFrame:
    """Place the zone's word in wide zones, else beside an outer one or the first inner one with room."""
    word = zone_word(name) if ACTIVATIONS[name].slope_sup else "slope 0 everywhere"
    placed: list[tuple[float, str, str]] = []
    for left, right in zip(zones["left"], zones["right"], strict=True):
        if right - left >= WORD_ROOM:
            placed.append(((left + right) / 2, word, "center"))
        elif right == HIGH:
            placed.append((left, f"{word} →", "right"))
        elif not placed and right + WORD_ROOM <= HIGH:
            placed.append((right, f"← {word}", "left"))
    return pd.DataFrame(placed, columns=["z", "word", "align"]).astype({"z": float})


@lru_cache(maxsize=64)
def _hover(name: str) -> pd.DataFrame:
    table = _table((name,), 0.5, HOVERED)[["label", "z", "phi", "slope"]]
    return table.assign(output=table["phi"].map(scientific), slope_words=table["slope"].map(scientific))


def _frames(names: tuple[str, ...], tau: float) -> dict[str, pd.DataFrame]:
    low, high = _span(names)
    curves = [_curve(name, tau) for name in names]
    zones = _zone_frame(names, tau)
    frames = {
        "outputs": pd.concat([_cut(curve, low, high) for curve in curves], ignore_index=True),
        "slopes": pd.concat(curves, ignore_index=True),
        "hover": pd.concat([_hover(name) for name in names], ignore_index=True),
        "ticks": pd.DataFrame({"z": np.array(TICKS, dtype=float)}),
        "zones": zones,
    }
    if len(names) > 1:
        labels = [ACTIVATIONS[name].label for name in names]
        lanes = pd.DataFrame({"label": labels, "lane": np.arange(len(names), dtype=float)})
        head = f"thick bar: slope below {scientific(tau)} of its largest"
        return frames | {"lanes": lanes.assign(left=LOW, right=HIGH), "words": pd.DataFrame({"word": [head]})}
    limit = tau * ACTIVATIONS[names[0]].slope_sup
    limits = [limit, -limit] if float(curves[0]["slope"].min()) < 0 else [limit] if limit else []
    limit_frame = pd.DataFrame({"slope": np.array(limits, dtype=float)})
    return frames | {"limit": limit_frame, "words": _words(names[0], zones)}


def _table(names: tuple[str, ...], tau: float, points: int) -> pd.DataFrame:
    """Give phi and phi' of each activation at evenly spaced z, and whether z is in the flat zone."""
    z = LOW + np.arange(points) * (HIGH - LOW) / (points - 1)
    parts = []
    for name in names:
        entry = ACTIVATIONS[name]
        slope = entry.derivative(z)
        flat = np.abs(slope) < tau * entry.slope_sup if entry.slope_sup else slope == 0
        named = {"name": name, "label": entry.label, "z": z}
        parts.append(pd.DataFrame({**named, "phi": entry.function(z), "slope": slope, "saturated": flat}))
    return pd.concat(parts, ignore_index=True)


def _alt_text(names: tuple[str, ...], tau: float) -> str:
    parts = []
    for name in names:
        zone = zones_in_words(name, tau, LOW, HIGH)
        largest = f"{facts(name, tau).slope_sup:.3g}"
        parts.append(f"{ACTIVATIONS[name].label}: largest slope {largest}, {zone_word(name)} {zone}")
    return f"Output and slope for z from {LOW:g} to {HIGH:g}. {'; '.join(parts)}."


def _notes(names: tuple[str, ...], tau: float) -> tuple[str, ...]:
    notes = []
    low, high = _span(names)
    z = np.array([LOW, HIGH])
    cut = [
        ACTIVATIONS[name].label
        for name in names
        if (ACTIVATIONS[name].function(z) < low).any() or (ACTIVATIONS[name].function(z) > high).any()
    ]
    if cut:
        notes.append(f"Outputs below {CUT_LOW:g} or above {CUT_HIGH:g} are cut off: {', '.join(cut)}.")
    jumping = [
        ACTIVATIONS[name].label for name in names if facts(name, tau).differentiable.startswith("it jumps")
    ]
    if jumping:
        notes.append(
            f"{', '.join(jumping)}: the output jumps at 0, and the slope is 0 on both sides of the jump."
        )
    return tuple(notes)


def curves(names: Sequence[str], tau: float, mode: Mode) -> Chart:
    """Output and slope of one or more activations, with the zone where the slope is below tau of its largest.

    Raises:
        ValueError: no name, an unknown name, or tau not between 0 and 1.
    """
    chosen = tuple(dict.fromkeys(names))
    if not chosen:
        raise ValueError(f"activations: none is chosen; allowed: one to {len(ACTIVATIONS)} of them")
    for name in chosen:
        entry_of(name)
    tau = check_tau(tau)
    title = ACTIVATIONS[chosen[0]].label if len(chosen) == 1 else f"{len(chosen)} activations"
    zone = "In the shaded zone" if len(chosen) == 1 else "Where a lane's bar is thick"
    return Chart(
        name="activation_curves",
        title=f"{title}: output and slope for every input",
        how_to_read=HOW_TO_READ.format(zone=zone, tau=scientific(tau)),
        alt_text=_alt_text(chosen, tau),
        spec=_spec(mode, chosen),
        frames=_frames(chosen, tau),
        make_table=lambda: _table(chosen, tau, TABLE_POINTS).drop(columns="label"),
        notes=_notes(chosen, tau),
    )
