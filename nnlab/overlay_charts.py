"""Charts that lay configurations over each other: one a diagnostic, over the steps or over the layers.

Every configuration has a color, and a dash (over steps) or a shape (over layers) besides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import (
    DECADE_LABEL,
    MAX_POINTS,
    Chart,
    decade_ticks,
    decades,
    finish,
    last_step,
    left_out_notes,
    rows,
    spread,
    state_of,
    step_axis,
)
from nnlab.metrics import METRICS
from nnlab.numerals import percent, scientific
from nnlab.overlay import (
    LAYER_COLUMNS,
    Group,
    are_equally_deep,
    endings,
    is_layered,
    labels,
    layer_bands,
    step_bands,
)
from nnlab.palette import CATEGORIES, THEMES, Mode
from nnlab.rules import EXPLODING_WARN, SATURATING_WARN, VANISHING_WARN
from nnlab.run import spoken

HEIGHT = 270
# From solid to dots, told apart in print without color.
DASHES = ((1, 0), (8, 4), (2, 3), (10, 3, 2, 3), (16, 4), (5, 2, 1, 2, 1, 2))
# Not triangle-down: that is an exact zero.
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-right")
MOST_PLACES = 60  # layers of a network that are drawn
HOVERED = 20  # points along a line that answer the mouse
WIDE_LABEL, NARROW_LABEL = (
    18,
    9,
)  # characters with which a legend has one column, and up to which it has three
NARROW_DECADES, MARGIN = 2, 1.15  # a narrower log axis ends at its numbers, with a margin, not at decades
BAND_TEXT = (
    " With several seeds the line is their median and the shade their range, from the smallest to the "
    "largest: where shades overlap, another seed could turn the order around."
)
PLACE_TEXT = " The networks are not equally deep, so layers stand at their number divided by the depth."


@dataclass(frozen=True)
class Diagnostic:
    """How one metric is drawn: `scale` is log, share (0 to 100 %) or linear; a guide is (value, word)."""

    title: str
    unit: str
    scale: str
    reading: str
    guides: tuple[tuple[float, str], ...] = ()


DIAGNOSTICS: dict[str, Diagnostic] = {
    "loss": Diagnostic(
        "Loss over training", "loss of the batch (log)", "log",
        "Lower is better; a level line learns nothing. With cross-entropy, guessing among ten classes gives "
        "2.3.",
    ),
    "test_accuracy": Diagnostic(
        "Test accuracy over training", "right on the test split", "share",
        "Higher is better. The test split is never learned from.",
    ),
    "gradient_ratio": Diagnostic(
        "Signal at layer 1 over training", "R = ‖δ₁‖ / ‖δ_L‖ (log)", "log",
        "How much of the error signal reaches the first hidden layer. 1 is all of it; below 0.05 it "
        "vanishes, above 20 it explodes.",
        ((VANISHING_WARN, "0.05: vanishing below"), (EXPLODING_WARN, "20: exploding above")),
    ),
    "delta_norm": Diagnostic(
        "Error signal at each layer", "‖δ‖ (log)", "log",
        "Read from right to left, the way backpropagation goes. A line that falls toward the left is a "
        "vanishing gradient, one that rises an exploding gradient.",
    ),
    "activation_std": Diagnostic(
        "Spread of outputs at each layer", "standard deviation of h (log)", "log",
        "The signal on its way forward, from left to right. A line that falls loses the input's differences; "
        "a level one keeps them.",
    ),
    "saturation": Diagnostic(
        "Saturated at each layer", "saturated or inactive", "share",
        "How many activations are on the flat part of the curve. For ReLU that is its purpose, and half is "
        "normal; for the others above 40 % is a warning.",
        ((SATURATING_WARN, "40 %: warning, but for ReLU"),),
    ),
    "dead_fraction": Diagnostic(
        "Dead units at each layer", "dead share of the units", "share",
        "Units with a slope of exactly 0 for every example of the probe set: they get no gradient at all.",
    ),
    "effective_rank": Diagnostic(
        "Effective rank at each layer", "directions in use (log)", "log",
        "How many directions the layer's outputs really use, out of as many as it has units. Near 1 all "
        "inputs end up on one line.",
    ),
    "mean_cosine": Diagnostic(
        "Mean cosine at each layer", "cosine between different inputs", "linear",
        "Near 1 the layer gives nearly the same answer to every input, so the layers behind it cannot tell "
        "them apart; above 0.95 is a warning.",
    ),
    "update_ratio": Diagnostic(
        "Update / weights at each layer", "std of update / std of weights (log)", "log",
        "How far the last update moved the weights. About 0.001 is usual. Undefined at step 0.",
        ((1e-3, "0.001: usual"),),
    ),
}  # fmt: skip
STEP_CHARTS = tuple(name for name in DIAGNOSTICS if not is_layered(name))
LAYER_CHARTS = tuple(name for name in DIAGNOSTICS if is_layered(name))


@dataclass(frozen=True)
class _Frame:
    """What a spec hangs on besides its data: how the value axis runs, and what the drawing needs."""

    domain: tuple[float, float]
    is_log: bool
    has_floor: bool
    has_band: bool


def _how_to_read(metric: str, groups: Sequence[Group]) -> str:
    entry, measured = DIAGNOSTICS[metric], METRICS[metric]
    layered = is_layered(metric)
    text = f"One {'shape' if layered else 'dash'} and color a configuration. {entry.reading}"
    text += f"\n\n${measured.formula}$: {measured.meaning} Source: {measured.source}."
    text += BAND_TEXT if any(len(group.runs) > 1 for group in groups) else ""
    text += PLACE_TEXT if layered and not are_equally_deep(groups) else ""
    return text + (" Triangles on the floor are exactly 0." if entry.scale == "log" else "")


def _axis_range(metric: str, bands: pd.DataFrame, *, is_running: bool) -> _Frame:
    """Give the value axis; while runs go on it ends at decades, so that it does not move with every point."""
    scale = DIAGNOSTICS[metric].scale
    values = bands[["median", "low", "high"]].to_numpy(dtype=float).ravel()
    has_band = bool((bands["seeds"] > 1).any()) if len(bands) else False
    if scale == "share":
        return _Frame((0.0, 1.0), False, False, has_band)
    known = values[np.isfinite(values)]
    if scale == "linear":
        low = float(known.min(initial=0.0))
        return _Frame((min(0.0, low), 1.0), False, False, has_band)
    guides = [value for value, _ in DIAGNOSTICS[metric].guides]
    low_decade, high_decade = decades([*values, *guides])
    has_floor = bool((known == 0).any())
    if not is_running and not has_floor and high_decade - low_decade <= NARROW_DECADES and len(known):
        ends = [*known, *guides]
        return _Frame((float(min(ends)) / MARGIN, float(max(ends)) * MARGIN), True, False, has_band)
    lowest = low_decade - 1 if has_floor else low_decade
    return _Frame((float(f"1e{lowest}"), float(f"1e{high_decade}")), True, has_floor, has_band)


def _legend_columns(names: Sequence[str]) -> int:
    longest = max(map(len, names))
    if longest > WIDE_LABEL:
        return 1
    return 3 if longest <= NARROW_LABEL else 2


def _value_axis(name: str, unit: str, frame: _Frame, scale: str) -> alt.Y:
    y = alt.Y(f"{name}:Q", title=unit)
    low, high = frame.domain
    if not frame.is_log:
        return y.scale(domain=[low, high], nice=False).axis(format="%" if scale == "share" else "")
    if high / low <= 10**NARROW_DECADES:
        return y.scale(type="log", domain=[low, high], nice=False).axis(format="~g", tickCount=6)
    first = round(np.log10(low)) + frame.has_floor  # the floor has a word
    ticks = decade_ticks(first, round(np.log10(high)))
    return y.scale(type="log", domain=[low, high], nice=False).axis(values=ticks, labelExpr=DECADE_LABEL)


def _guides(mode: Mode) -> list[alt.Chart]:
    base = alt.Chart(rows("guide"))
    rule = base.mark_rule(color=THEMES[mode].muted, strokeDash=[3, 3])
    place = {"x": alt.value(0), "y": alt.Y("shown:Q"), "text": alt.Text("word:N")}
    halo = base.mark_text(
        align="left", dx=4, dy=-7, stroke=THEMES[mode].background, strokeWidth=4, strokeOpacity=0.9
    )
    word = base.mark_text(align="left", dx=4, dy=-7, color=THEMES[mode].muted)
    return [rule.encode(y=alt.Y("shown:Q")), halo.encode(**place), word.encode(**place)]


@lru_cache(maxsize=128)
def _spec(
    mode: Mode, metric: str, names: tuple[str, ...], frame: _Frame, places: tuple[float, float], even: bool
) -> dict[str, Any]:
    entry, layered = DIAGNOSTICS[metric], is_layered(metric)
    x = _layer_axis(places, even=even) if layered else _steps_axis(places)
    y = _value_axis("shown", entry.unit, frame, entry.scale)
    color = alt.Color("series:N", title=None).legend(**_legend(names, layered=layered))
    color = color.scale(domain=list(names), range=list(CATEGORIES[: len(names)]))
    base = alt.Chart(rows()).encode(x=x, color=color)
    parts = []
    if frame.has_band:
        area = base.mark_area(opacity=0.18, invalid="break-paths-show-path-domains")
        parts.append(area.encode(y=_value_axis("bottom", entry.unit, frame, entry.scale), y2="top:Q"))
    line = base.mark_line(strokeWidth=2.2, invalid="break-paths-show-path-domains")
    parts.append(line.encode(y=y, strokeDash=_dash(names, layered=layered)))
    points = _layer_points(base, names) if layered else _hover(base)
    tooltip = _tooltip(metric, layered=layered)
    parts += [point.encode(y=y, tooltip=tooltip) for point in points]
    parts += _guides(mode)
    if not layered:
        cursor = alt.Chart(rows("cursor")).mark_rule(strokeDash=[4, 3], color=THEMES[mode].muted)
        parts.append(cursor.encode(x=alt.X("place:Q")))
    return finish(alt.layer(*parts), mode, HEIGHT)


def _legend(names: Sequence[str], *, layered: bool) -> dict[str, Any]:
    # The shade's opacity would fade the legend too.
    legend = {"orient": "top", "columns": _legend_columns(names), "labelLimit": 300, "symbolOpacity": 1}
    if layered:
        return legend | {"symbolStrokeWidth": 0}  # or it gets the line's dashes
    return legend | {"symbolType": "stroke", "symbolStrokeWidth": 2.5, "symbolSize": 900}


def _dash(names: Sequence[str], *, layered: bool) -> alt.StrokeDash:
    dashes = [list(dash) for dash in DASHES[: len(names)]]
    dash = alt.StrokeDash("series:N", title=None).scale(domain=list(names), range=dashes)
    return dash.legend(None) if layered else dash.legend(**_legend(names, layered=False))


def _steps_axis(place_range: tuple[float, float]) -> alt.X:
    return alt.X("place:Q", title="step", axis=step_axis()).scale(domain=list(place_range), nice=False)


def _layer_axis(place_range: tuple[float, float], *, even: bool) -> alt.X:
    if even:
        count = round(place_range[1])
        axis = alt.Axis(values=[1 + place for place in spread(count, 12)], format="d", grid=False)
        title = "hidden layer, from input to output"
    else:
        axis, title = alt.Axis(format="%", grid=False), "layer / depth, from input to output"
    return alt.X("place:Q", title=title, axis=axis).scale(domain=list(place_range), padding=14, nice=False)


def _layer_points(base: alt.Chart, names: Sequence[str]) -> list[alt.Chart]:
    shape = alt.Shape("series:N", title=None).scale(domain=list(names), range=list(SHAPES[: len(names)]))
    shape = shape.legend(**_legend(names, layered=True))
    numbers = base.transform_filter("datum.state == 'value'").mark_point(size=55, filled=True, opacity=1)
    return [numbers.encode(shape=shape), _zeros(base.transform_filter("datum.state == 'zero'"))]


def _zeros(base: alt.Chart) -> alt.Chart:
    return base.mark_point(shape="triangle-down", size=55, filled=True, opacity=1, yOffset=-5)


def _hover(base: alt.Chart) -> list[alt.Chart]:
    """Give the points over steps: exact zeros, one that no line goes through, and what answers the mouse."""
    numbers = base.transform_filter("datum.answers && datum.state == 'value'")
    zeros = _zeros(base.transform_filter("datum.answers && datum.state == 'zero'"))
    lone = base.transform_filter("datum.lone && datum.state == 'value'")
    lone = lone.mark_point(size=55, filled=True, opacity=1)
    return [zeros, lone, numbers.mark_point(size=120, filled=True, opacity=0)]


def _tooltip(metric: str, *, layered: bool) -> list[alt.Tooltip]:
    where = alt.Tooltip("where:N", title="layer" if layered else "step")
    return [
        alt.Tooltip("series:N", title="configuration"),
        where,
        alt.Tooltip("exact:N", title=METRICS[metric].label.lower()),
        alt.Tooltip("range:N", title="range over seeds"),
    ]


def _drawn(bands: pd.DataFrame, layered: bool) -> pd.DataFrame:
    """Give the rows that are drawn, at most so many a group, those of layers with their places."""
    most = MOST_PLACES if layered else MAX_POINTS
    parts = []
    for _, part in bands.groupby("group", sort=True):
        kept = part.iloc[spread(len(part), most)]
        answers = np.isin(np.arange(len(kept)), spread(len(kept), HOVERED))
        where = [spoken(str(name)) for name in kept["layer"]] if layered else [str(s) for s in kept["step"]]
        place = kept["place"] if layered else kept["step"].astype(float)
        parts.append(kept.assign(answers=answers, where=where, place=place, lone=len(kept) == 1))
    columns = [*LAYER_COLUMNS, "answers", "where", "lone"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _frames(
    metric: str, names: Sequence[str], drawn: pd.DataFrame, frame: _Frame, cursor: float | None
) -> dict[str, pd.DataFrame]:
    write = percent if DIAGNOSTICS[metric].scale == "share" else scientific
    floor = frame.domain[0]
    states = state_of(drawn["median"].to_numpy(dtype=float))
    spans = zip(drawn["low"], drawn["high"], drawn["seeds"], strict=True)
    lines = pd.DataFrame(
        {
            "series": [names[group] for group in drawn["group"]],
            "place": drawn["place"].astype(float),
            "where": drawn["where"],
            "answers": drawn["answers"].astype(bool),
            "lone": drawn["lone"].astype(bool),
            "state": states if frame.is_log else np.where(states == "zero", "value", states),
            "exact": [write(value) for value in drawn["median"]],
            "range": [f"{write(low)} to {write(high)} of {n}" if n > 1 else "one" for low, high, n in spans],
        }
    )
    for name, source in (("shown", "median"), ("bottom", "low"), ("top", "high")):
        values = drawn[source].astype(float)
        lines[name] = values.where(values > 0, floor).where(values.notna()) if frame.is_log else values
    guide = list(DIAGNOSTICS[metric].guides)
    if frame.has_floor:
        guide.append((floor, "exactly 0"))
    frames = {"rows": lines, "guide": pd.DataFrame(guide, columns=["shown", "word"]).astype({"shown": float})}
    return frames if cursor is None else frames | {"cursor": pd.DataFrame({"place": [cursor]})}


def _lost_notes(metric: str, names: Sequence[str], bands: pd.DataFrame) -> tuple[str, ...]:
    """Say which configurations lack numbers: never taken, or not finite at some seed, layer or step."""
    found = []
    for number, name in enumerate(names):
        part = bands[bands["group"] == number]
        if not len(part):
            found.append(f"{name}: not recorded.")
        elif part["lost"].any():
            lost, of = int(part["lost"].sum()), int(part["seeds"].sum())
            found.append(f"{name}: {lost} of {of} numbers are undefined or not finite, and left out.")
    return tuple(found)


def _step_notes(names: Sequence[str], bands: pd.DataFrame, step: int) -> tuple[str, ...]:
    """Say where another step than the chosen one is shown, once where it is the same for all."""
    shown = {int(g): int(s) for g, s in zip(bands["group"], bands["step"], strict=True)}
    if len(shown) == len(names) and len({*shown.values()}) == 1:
        at = next(iter(shown.values()))
        return () if at == step else (f"Step {at} is shown, the nearest at which this was measured.",)
    return tuple(
        f"{names[group]}: step {at} is shown, the nearest at which this was measured."
        for group, at in shown.items()
        if at != step
    )


def _alt_text(metric: str, names: Sequence[str], bands: pd.DataFrame) -> str:
    write: Callable[[float], str] = percent if DIAGNOSTICS[metric].scale == "share" else scientific
    parts = []
    for group, name in enumerate(names):
        part = bands[bands["group"] == group]
        if not len(part):
            continue
        first, last = float(part["median"].iloc[0]), float(part["median"].iloc[-1])
        parts.append(f"{name} from {write(first)} to {write(last)}")
    where = "first to last hidden layer" if is_layered(metric) else "first to last step"
    return f"{DIAGNOSTICS[metric].title} of {len(names)} configurations, {where}: {'; '.join(parts)}."


def _table(names: Sequence[str], bands: pd.DataFrame) -> pd.DataFrame:
    series = [names[group] for group in bands["group"]]
    return bands.drop(columns="group").assign(configuration=series).reset_index(drop=True)


def overlay(metric: str, groups: Sequence[Group], step: int, mode: Mode) -> Chart:
    """Draw one of DIAGNOSTICS for all groups: over the steps, or over the layers at a step."""
    layered, names = is_layered(metric), labels(groups)
    bands = layer_bands(groups, metric, step) if layered else step_bands(groups, metric)
    runs = [run for group in groups for run in group.runs]
    is_running = any(run.status == "running" for run in runs)
    frame, drawn = _axis_range(metric, bands, is_running=is_running), _drawn(bands, layered)
    even = are_equally_deep(groups)
    if layered:
        places = (1.0, float(max(2, groups[0].depth))) if even else (0.0, 1.0)
        notes = () if is_running else _step_notes(names, bands, step)
    else:
        places = (0.0, float(max(map(last_step, runs))))
        notes = tuple(f"{name}: {end}." for name, end in zip(names, endings(groups), strict=True) if end)
    return Chart(
        name=f"overlay_{metric}",
        title=DIAGNOSTICS[metric].title + (f", step {step}" if layered else ""),
        how_to_read=_how_to_read(metric, groups),
        alt_text=_alt_text(metric, names, bands),
        spec=_spec(mode, metric, names, frame, places, even),
        frames=_frames(metric, names, drawn, frame, None if layered else float(step)),
        make_table=lambda: _table(names, bands),
        notes=notes + _lost_notes(metric, names, bands) + left_out_notes(len(drawn), len(bands), "points"),
        is_empty=not len(bands),
    )
