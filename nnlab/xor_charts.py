"""Charts of XOR: what the last hidden layer makes of the four corners, and where linear networks stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import MAX_POINTS, Chart, finish, rows, spread, step_axis
from nnlab.network import Layer, Network
from nnlab.numerals import scientific
from nnlab.palette import CATEGORIES, THEMES, Mode, blue
from nnlab.xor import CORNERS, LOSS_WORDS, TARGETS, check_shape, linear_optimum, optimum_words

CLASS_WORDS = ("class 0", "class 1")
COINCIDE_WITHIN = 1e-6  # of the window: rounding of float32 training cannot be seen as a distance
LABEL_WITHIN = 0.08  # of the window: labels of nearer points would be printed over each other
PAD = 0.25  # free share of the window on each side, room for the labels
CURVE_COLORS, CURVE_DASHES = (CATEGORIES[5], CATEGORIES[0]), ([1, 0], [6, 3])
TOP_OVER_OPTIMUM = 2.5  # times the linear optimum: what an axis shows at most of the first steps


def hidden_space(network: Network, mode: Mode) -> Chart:
    """The four corners of XOR as the last hidden layer places them, with the line the output draws there.

    With more than two units in that layer, the two that vary most over the corners are the axes, and no
    line is drawn, since the output's boundary is no line in them.

    Raises:
        ValueError: the network has no hidden layer, or not 2 inputs and 1 or 2 linear outputs.
    """
    check_shape(network)
    if not network.depth:
        raise ValueError("network: 0 hidden layers are not allowed; allowed: at least 1")
    with np.errstate(all="ignore"):
        hidden = network.forward(CORNERS)[-2].h.astype(np.float64)
    units = _shown_units(hidden)
    places = np.column_stack([hidden[:, unit] if unit is not None else np.zeros(4) for unit in units])
    finite = bool(np.isfinite(places).all())
    window = _window(places if finite else np.zeros((1, 2)))
    line = _line(network, units, window) if finite and hidden.shape[1] <= 2 else None
    names = tuple("" if unit is None else f"hidden unit {unit + 1}" for unit in units)
    return Chart(
        name="xor_hidden_space",
        title="XOR as the last hidden layer sees it",
        how_to_read=(
            "Each of the four corners (x₁, x₂) stands where the last hidden layer puts it. The output "
            "is linear, so it can only draw a straight line here, and a straight line has to do: XOR is "
            "solved if the layer has moved circles and triangles apart. In the known solution both "
            "triangles land on one point (Goodfellow et al. 2016, section 6.1, figure 6.1)."
        ),
        alt_text=_places_words(places, window, line is not None),
        spec=_space_spec(mode, window, names),
        frames={
            "rows": _corner_rows(places),
            "labels": _label_rows(places, window),
            "line": _line_rows(line),
        },
        make_table=lambda: _table(hidden),
        notes=_space_notes(hidden.shape[1], units, network, line is None, finite),
        is_empty=not finite,
    )


def _shown_units(hidden: np.ndarray) -> tuple[int, int | None]:
    """Give the two units with the largest variance over the corners, in their own order."""
    if hidden.shape[1] == 1:
        return 0, None
    with np.errstate(all="ignore"):
        chosen = np.argsort(-hidden.var(axis=0), kind="stable")[:2]
    first, second = sorted(int(unit) for unit in chosen)
    return first, second


def _window(places: np.ndarray) -> tuple[float, float, float, float]:
    """Give left, right, bottom and top with room for labels, also around a single place."""
    low, high = places.min(axis=0), places.max(axis=0)
    extent = high - low
    extent = np.where(extent > 0, extent, float(extent.max()) or 1.0)
    left, bottom = low - PAD * extent
    right, top = high + PAD * extent
    return float(left), float(right), float(bottom), float(top)


def _line(
    network: Network, units: tuple[int, int | None], window: tuple[float, float, float, float]
) -> np.ndarray | None:
    """Give the two ends, shape (2, 2), of the output's decision line inside the window; None if outside."""
    normal, offset = _boundary(network.layers[-1])
    a, b = normal[units[0]], 0.0 if units[1] is None else normal[units[1]]
    left, right, bottom, top = window
    ends = []
    if b:
        ends += [(x, -(offset + a * x) / b) for x in (left, right)]
    if a:
        ends += [(-(offset + b * y) / a, y) for y in (bottom, top)]
    slack_x, slack_y = 1e-9 * (right - left), 1e-9 * (top - bottom)
    inside = [
        (x, y)
        for x, y in ends
        if left - slack_x <= x <= right + slack_x and bottom - slack_y <= y <= top + slack_y
    ]
    return np.array([min(inside), max(inside)]) if len(set(inside)) >= 2 else None


def _boundary(output: Layer) -> tuple[np.ndarray, float]:
    """Give n and c of n h + c = 0, where the output is undecided: at 0.5, or where both outputs are equal."""
    if output.fan_out == 1:
        return output.weight[0], float(output.bias[0]) - 0.5
    return output.weight[1] - output.weight[0], float(output.bias[1] - output.bias[0])


def _corner_names() -> list[str]:
    return [f"({corner[0]:.0f}, {corner[1]:.0f})" for corner in CORNERS]


def _groups(places: np.ndarray, window: tuple[float, float, float, float], within: float) -> list[list[int]]:
    """Gather the corners that lie within a share of the window of the first of their group."""
    left, right, bottom, top = window
    scaled = places / np.array([right - left, top - bottom])
    groups: list[list[int]] = []
    for number, place in enumerate(scaled):
        near = [group for group in groups if float(np.abs(scaled[group[0]] - place).max()) <= within]
        if near:
            near[0].append(number)
        else:
            groups.append([number])
    return groups


def _places_words(places: np.ndarray, window: tuple[float, float, float, float], has_line: bool) -> str:
    """Say where the corners land and which of them land on one point."""
    if not np.isfinite(places).all():
        return "The hidden layer's numbers are not finite: nothing can be drawn."
    names = _corner_names()
    said = ", ".join(
        f"{name} goes to ({scientific(x)}, {scientific(y)})"
        for name, (x, y) in zip(names, places.tolist(), strict=True)
    )
    shared = [group for group in _groups(places, window, COINCIDE_WITHIN) if len(group) > 1]
    together = "".join(f" {' and '.join(names[one] for one in group)} land on one point." for group in shared)
    line = " A dashed line is where the output is undecided." if has_line else ""
    return f"The four corners in the last hidden layer: {said}.{together}{line}"


def _space_notes(
    width: int, units: tuple[int, int | None], network: Network, lacks_line: bool, finite: bool
) -> tuple[str, ...]:
    if not finite:
        return ("The numbers are not finite and cannot be drawn.",)
    if width > 2:
        second = -1 if units[1] is None else units[1]
        return (
            f"Units {units[0] + 1} and {second + 1} of {width} are drawn, the two that differ most between "
            "the corners. No line is drawn: the output weighs all units.",
        )
    if lacks_line:
        return ("The output draws no line between the corners: they are all on one side of it.",)
    return ()


def _corner_rows(places: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "h1": places[:, 0],
            "h2": places[:, 1],
            "corner": _corner_names(),
            "target": [CLASS_WORDS[target] for target in TARGETS],
            "exact1": [scientific(value) for value in places[:, 0]],
            "exact2": [scientific(value) for value in places[:, 1]],
        }
    )


def _label_rows(places: np.ndarray, window: tuple[float, float, float, float]) -> pd.DataFrame:
    names = _corner_names()
    near = _groups(places, window, LABEL_WITHIN) if np.isfinite(places).all() else []
    groups = [sorted(group, key=lambda one: places[one, 0]) for group in near]
    return pd.DataFrame(
        {
            "h1": [float(places[group, 0].mean()) for group in groups],
            "h2": [float(places[group, 1].max()) for group in groups],
            "word": [" and ".join(names[one] for one in group) for group in groups],
        }
    ).astype({"h1": float, "h2": float, "word": str})


def _line_rows(line: np.ndarray | None) -> pd.DataFrame:
    ends = np.zeros((0, 2)) if line is None else line
    return pd.DataFrame({"h1": ends[:, 0], "h2": ends[:, 1]})


def _table(hidden: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(
        {"x1": CORNERS[:, 0].astype(int), "x2": CORNERS[:, 1].astype(int), "target": TARGETS}
    )
    return table.assign(**{f"h{number + 1}": values for number, values in enumerate(hidden.T)})


@lru_cache(maxsize=64)
def _space_spec(
    mode: Mode, window: tuple[float, float, float, float], names: tuple[str, str]
) -> dict[str, Any]:
    theme = THEMES[mode]
    left, right, bottom, top = window
    x = alt.X("h1:Q", title=names[0]).scale(domain=[left, right], nice=False).axis(tickCount=5)
    axis = alt.Axis(tickCount=5) if names[1] else None
    y = alt.Y("h2:Q", title=names[1], axis=axis).scale(domain=[bottom, top], nice=False)
    order = list(CLASS_WORDS)
    legend = alt.Legend(orient="top", symbolSize=140)
    color = alt.Color("target:N", title=None, legend=legend)
    color = color.scale(domain=order, range=[blue(mode), CATEGORIES[5]])
    shape = alt.Shape("target:N", title=None, legend=legend)
    shape = shape.scale(domain=order, range=["circle", "triangle-up"])
    tooltip = [
        alt.Tooltip("corner:N", title="corner (x₁, x₂)"),
        alt.Tooltip("target:N", title="wanted"),
        alt.Tooltip("exact1:N", title=names[0]),
        *([alt.Tooltip("exact2:N", title=names[1])] if names[1] else []),
    ]
    line = alt.Chart(rows("line")).mark_line(color=theme.text, strokeDash=[6, 4], strokeWidth=1.8, clip=True)
    dots = alt.Chart(rows()).mark_point(
        filled=True, size=240, opacity=1, stroke=theme.background, strokeWidth=1.5
    )
    words = alt.Chart(rows("labels"))
    halo = words.mark_text(dy=-18, fontSize=13, stroke=theme.background, strokeWidth=4, strokeOpacity=0.9)
    word = words.mark_text(dy=-18, fontSize=13, color=theme.text)
    parts = [
        line.encode(x=x, y=y),
        dots.encode(x=x, y=y, color=color, shape=shape, tooltip=tooltip),
        halo.encode(x=x, y=y, text="word:N"),
        word.encode(x=x, y=y, text="word:N"),
    ]
    return finish(alt.layer(*parts), mode, 300)


@dataclass(frozen=True)
class LossCurve:
    """The loss of one training run over its steps, with the words for its legend."""

    words: str
    steps: np.ndarray
    losses: np.ndarray


def loss_floor(linear: LossCurve, nonlinear: LossCurve, loss: str, mode: Mode) -> Chart:
    """Loss on XOR of a network without and one with an activation, and the best a linear one can reach.

    Raises:
        ValueError: the loss is not known, or both curves have the same words.
    """
    curves = (linear, nonlinear)
    if linear.words == nonlinear.words:
        raise ValueError(f"words: {linear.words!r} twice is not allowed; allowed: one name a curve")
    optimum = linear_optimum(loss)
    frame = pd.concat([_curve_rows(curve) for curve in curves], ignore_index=True)
    finite = frame[np.isfinite(frame["value"])]
    last_step = max([1.0, *(float(curve.steps[-1]) for curve in curves if len(curve.steps))])
    highest = float(finite["value"].max()) if len(finite) else optimum
    top = min(max(highest, 1.3 * optimum), TOP_OVER_OPTIMUM * optimum)
    return Chart(
        name="xor_loss_floor",
        title=f"{LOSS_WORDS[loss].capitalize()} on the four corners",
        how_to_read=(
            f"The loss of two networks over training. The dashed line at {optimum_words(loss)} is the least "
            "that any network without activations can reach on XOR, however deep it is, since its layers "
            "are one matrix (Minsky & Papert 1969; Goodfellow et al. 2016, section 6.1). It is computed "
            "here, by least squares for the mean squared error and by Newton's method for cross-entropy."
        ),
        alt_text=_curve_words(curves, loss),
        spec=_floor_spec(mode, (linear.words, nonlinear.words), last_step, top, LOSS_WORDS[loss]),
        frames={"rows": finite.assign(shown=finite["value"].clip(upper=top)), "guide": _guide(optimum, loss)},
        make_table=lambda: _curve_table(curves),
        notes=_curve_notes(len(frame) - len(finite), int((finite["value"] > top).sum()), top),
        is_empty=finite.empty,
    )


def _guide(optimum: float, loss: str) -> pd.DataFrame:
    return pd.DataFrame({"shown": [optimum], "word": [f"best without activations: {optimum_words(loss)}"]})


def _curve_rows(curve: LossCurve) -> pd.DataFrame:
    taken = spread(len(curve.steps), MAX_POINTS)
    values = np.asarray(curve.losses, dtype=float)[taken]
    return pd.DataFrame(
        {
            "step": np.asarray(curve.steps, dtype=float)[taken],
            "series": curve.words,
            "value": values,
            "exact": [scientific(value) for value in values],
        }
    )


def _curve_table(curves: Sequence[LossCurve]) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {"step": curve.steps, "series": curve.words, "loss": np.asarray(curve.losses, dtype=float)}
        )
        for curve in curves
    ]
    return pd.concat(parts, ignore_index=True)


def _curve_words(curves: Sequence[LossCurve], loss: str) -> str:
    ends = [
        f"{curve.words} ends at {scientific(float(curve.losses[-1]))}"
        if len(curve.losses)
        else f"{curve.words} has no steps yet"
        for curve in curves
    ]
    return f"{LOSS_WORDS[loss].capitalize()} on XOR: {', '.join(ends)}; a guide at {optimum_words(loss)}."


def _curve_notes(lost: int, above: int, top: float) -> tuple[str, ...]:
    notes = []
    if lost:
        notes.append(f"{lost} values are not finite and cannot be drawn.")
    if above:
        noun = "value" if above == 1 else "values"
        notes.append(f"Drawn at the upper edge: {above} {noun} above {scientific(top)}.")
    return tuple(notes)


@lru_cache(maxsize=64)
def _floor_spec(
    mode: Mode, words: tuple[str, str], last_step: float, top: float, title: str
) -> dict[str, Any]:
    legend = alt.Legend(orient="top", columns=1, symbolType="stroke", symbolStrokeWidth=3, symbolSize=300)
    color = alt.Color("series:N", title=None, legend=legend)
    color = color.scale(domain=list(words), range=[CURVE_COLORS[0], blue(mode)])
    dash = alt.StrokeDash("series:N", title=None, legend=legend)
    dash = dash.scale(domain=list(words), range=list(CURVE_DASHES))
    x = alt.X("step:Q", title="step", axis=step_axis(tickCount=6)).scale(domain=[0, last_step], nice=False)
    y = alt.Y("shown:Q", title=title).scale(domain=[0, top], nice=False).axis(tickCount=5)
    tooltip = [
        alt.Tooltip("series:N", title="network"),
        alt.Tooltip("step:Q", title="step"),
        alt.Tooltip("exact:N", title=title),
    ]
    base = alt.Chart(rows())
    lines = base.mark_line(strokeWidth=2.5, clip=True).encode(x=x, y=y, color=color, strokeDash=dash)
    hover = base.mark_point(size=90, opacity=0, filled=True).encode(x=x, y=y, tooltip=tooltip)
    return finish(alt.layer(lines, *_guide_layers(mode, y), hover), mode, 240)


def _guide_layers(mode: Mode, y: alt.Y) -> list[alt.Chart]:
    """Draw the optimum with its words under its right end, where a network that learns is long below."""
    base = alt.Chart(rows("guide"))
    rule = base.mark_rule(color=CATEGORIES[2], strokeWidth=1.5, strokeDash=[6, 4])
    place = {"x": alt.value("width"), "y": y, "text": alt.Text("word:N")}
    look: dict[str, Any] = {"align": "right", "baseline": "top", "dx": -6, "dy": 7}
    halo = base.mark_text(**look, stroke=THEMES[mode].background, strokeWidth=4, strokeOpacity=0.9)
    word = base.mark_text(**look, color=THEMES[mode].text)
    return [rule.encode(y=y), halo.encode(**place), word.encode(**place)]
