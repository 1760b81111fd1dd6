"""Charts of a sweep: a heat map over two of its fields, dots with their range over one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import DECADE_LABEL, Chart, decade_ticks, decades, finish, rows, spread
from nnlab.config import FIELDS
from nnlab.palette import CATEGORIES, MAGMA, THEMES, UNDEFINED_COLOR, ZERO_COLOR, Mode, interpolate, text_on
from nnlab.sweep_summary import SWEPT, Spot, SweptMetric, SweptRuns, number_words, spots, value_words

PICKED = "picked"  # the name of the selection that a click makes
ROW_HEIGHT, MIN_HEIGHT, MAX_HEIGHT = 34, 190, 620  # pixels
DOTS_HEIGHT = 320
MIN_TEXT_WIDTH, MIN_TEXT_HEIGHT = 40, 13  # pixels of a cell that a number fits into
MAX_LABELS = 40  # values that an axis names
MAX_LOST = 8  # values without a number that a note names
MAX_TEXT_COLUMNS = 24  # in more, no number fits on any screen
MAX_WITH_BAR = 1_500  # marks
# Cells of a larger map are hard to hit: it can be zoomed and moved with a mouse. The wheel alone goes on to
# scroll the page, and so does a finger, which has a gesture of its own to zoom all of it.
MAX_STILL = 600
MOVED = "moved"  # the name of the selection that holds what is in sight
ZOOM = "wheel![event.ctrlKey || event.metaKey]"
# A press that the mouse was moved after, by more than a hand trembles, is no click.
STILL_CLICK = "[pointerdown, window:pointermove[abs(event.movementX) + abs(event.movementY) > 2]] > pointerup"
DRAG = "[pointerdown[event.pointerType == 'mouse'], window:pointerup] > window:pointermove!"
# Below this spread of the numbers a linear scale tells them apart better.
LOG_FROM = 10.0
ODD_COLORS = {"zero": ZERO_COLOR, "lost": UNDEFINED_COLOR, "failed": "#5b6770"}
ODD_INK = {state: text_on(color) for state, color in ODD_COLORS.items()}


@dataclass(frozen=True)
class _Scale:
    """From where to where the numbers go; `low` and `high` are exponents of 10 where it is logarithmic."""

    is_log: bool
    low: float
    high: float

    def place(self, value: float) -> float:
        """Give what is drawn for a number: itself, or its logarithm."""
        return float(np.log10(value)) if self.is_log else value

    def share(self, value: float) -> float:
        return (self.place(value) - self.low) / (self.high - self.low)


def _scale_of(metric: SweptMetric, numbers: Sequence[float]) -> _Scale:
    known = np.array([number for number in numbers if np.isfinite(number)])
    if metric.is_share:
        return _Scale(False, 0.0, 1.0)
    positive = known[known > 0]
    if metric.is_size and len(positive) and positive.max() >= LOG_FROM * positive.min():
        return _Scale(True, *map(float, decades(positive)))
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    low = min(low, 0.0) if metric.is_size else low
    return _Scale(False, low, high if high > low else low + 1.0)


def _short(metric: SweptMetric, spot: Spot, *, is_log: bool) -> str:
    """Write a spot's number so that it fits into a cell."""
    if spot.state == "failed":
        return "x"
    if spot.state == "lost":
        return "–" if metric.column == "steps_to_90" else "?"
    if metric.is_share:
        return f"{spot.median:.0%}" if spot.median < 0.995 or spot.median == 1 else "99%"
    said = number_words(metric, spot.median)
    if "e" not in said:
        return said
    mantissa, exponent = f"{spot.median:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _state(spot: Spot, *, is_log: bool) -> str:
    # Only a logarithmic scale has no place for zero.
    return "value" if spot.state == "zero" and not is_log else spot.state


def _runs_words(metric: SweptMetric, spot: Spot) -> str:
    said = f"{spot.runs} run{'s' * (spot.runs != 1)}"
    if spot.lost > spot.failed:
        said += f", {spot.lost - spot.failed} {metric.lost}"
    return said + (f", {spot.failed} failed" if spot.failed else "")


def _frame(
    swept: SweptRuns, metric: SweptMetric, shown: Sequence[str], found: Sequence[Spot], scale: _Scale
) -> pd.DataFrame:
    """Give a row a spot: where it is, what it says, in which colors."""
    places = [{value: place for place, value in enumerate(swept.axes[name])} for name in shown]
    drawn = []
    for number, spot in enumerate(found):
        state = _state(spot, is_log=scale.is_log)
        color = interpolate(MAGMA, scale.share(spot.median)) if state == "value" else ODD_COLORS[state]
        words = [value_words(name, value) for name, value in zip(shown, spot.values, strict=True)]
        drawn.append(
            {
                "spot": float(number),
                "x": float(places[0][spot.values[0]]),
                "y": float(places[1][spot.values[1]]) if len(shown) > 1 else 0.0,
                "x_word": words[0],
                "y_word": words[-1],
                "state": state,
                "shown": scale.place(spot.median) if state == "value" else np.nan,
                "value": spot.median,
                "low": spot.low,
                "high": spot.high,
                "label": _short(metric, spot, is_log=scale.is_log),
                "exact": "failed" if spot.state == "failed" else number_words(metric, spot.median),
                "range": _range_words(metric, spot),
                "runs": _runs_words(metric, spot),
                "ink": text_on(color),
                "said": f"{spot_words(shown, spot)}: {number_words(metric, spot.median)}",
            }
        )
    return pd.DataFrame(drawn)


def _range_words(metric: SweptMetric, spot: Spot) -> str:
    if not np.isfinite(spot.low):
        return metric.lost
    return f"{number_words(metric, spot.low)} to {number_words(metric, spot.high)}"


def _names(field: str, values: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame({"word": [value_words(field, value) for value in values]})


def _value_axis(dataset: str, count: int, **options: Any) -> alt.Axis:
    """Give an axis of numbered places that says the words of a dataset."""
    words = f"(data('{dataset}')[datum.value] || {{word: ''}}).word"
    options = {"values": spread(count, MAX_LABELS), **options}
    return alt.Axis(labelExpr=words, grid=False, ticks=False, domain=False, labelBound=True, **options)


def _unseen(*datasets: str) -> list[alt.Chart]:
    """Draw nothing: Vega knows only datasets that are drawn."""
    return [alt.Chart(rows(name)).mark_point(opacity=0, size=0) for name in datasets]


def _tooltip(title: str, x_title: str, y_title: str) -> list[alt.Tooltip]:
    fields = [alt.Tooltip("y_word:N", title=y_title)] if y_title else []
    return [
        *fields,
        alt.Tooltip("x_word:N", title=x_title),
        alt.Tooltip("exact:N", title=f"{title}, median"),
        alt.Tooltip("range:N", title="from, to"),
        alt.Tooltip("runs:N", title="runs"),
    ]


def _legend_options(scale: _Scale, metric: SweptMetric) -> dict[str, Any]:
    if scale.is_log:
        values = [round(float(np.log10(tick))) for tick in decade_ticks(int(scale.low), int(scale.high))]
        said = "'1e' + replace(format(datum.value, 'd'), '\u2212', '-')"
        return {"values": values, "labelExpr": said}
    if metric.is_share:
        return {"format": ".0%", "values": [0, 0.25, 0.5, 0.75, 1]}
    return {"format": ".3~r", "tickCount": 4}


def are_movable(counts: Sequence[int]) -> bool:
    """Whether a map of so many columns and lines can be zoomed and moved."""
    return math.prod(counts) > MAX_STILL


def _map_axes(fields: tuple[str, str], counts: tuple[int, int]) -> tuple[alt.X, alt.Y]:
    columns, lines = counts
    moves = are_movable(counts)
    # Of what is in sight every value that there is room for.
    at_x, at_y = ({"values": list(range(count))} if moves else {} for count in counts)
    x_title, y_title = (FIELDS[name].label.lower() for name in fields)
    x = alt.X("left:Q", title=x_title)
    x = x.axis(_value_axis("columns", columns, labelAngle=0, labelOverlap=True, **at_x))
    y = alt.Y("top:Q", title=y_title, axis=_value_axis("lines", lines, labelOverlap=moves, **at_y))
    return (
        x.scale(domain=[-0.5, columns - 0.5], nice=False, zero=False),
        y.scale(domain=[lines - 0.5, -0.5], nice=False, zero=False),
    )


@lru_cache(maxsize=64)
def _map_spec(
    mode: Mode,
    metric: str,
    fields: tuple[str, str],
    counts: tuple[int, int],
    scale: _Scale,
    odd: tuple[str, ...],
) -> dict[str, Any]:
    entry, (columns, lines) = SWEPT[metric], counts
    height = min(MAX_HEIGHT, max(MIN_HEIGHT, ROW_HEIGHT * lines))
    x_title, y_title = (FIELDS[name].label.lower() for name in fields)
    moves = are_movable(counts)
    x, y = _map_axes(fields, counts)
    click = STILL_CLICK if moves else "click"
    picked = alt.selection_point(name=PICKED, fields=["spot"], on=click, toggle=False)
    base = alt.Chart(rows()).transform_calculate(
        left="datum.x - 0.5", right="datum.x + 0.5", top="datum.y - 0.5", bottom="datum.y + 0.5"
    )
    box = {"x": x, "x2": "right:Q", "y": y, "y2": "bottom:Q", "description": "said:N"}
    tooltip = _tooltip(entry.label, x_title, y_title)
    edge: dict[str, Any] = {"stroke": THEMES[mode].background, "strokeWidth": 0.0 if moves else 1.0}
    edge |= {"clip": moves, "cursor": "pointer"}
    color = alt.Color("shown:Q", title=None).scale(domain=[scale.low, scale.high], range=list(MAGMA))
    # A browser draws so many cells on a canvas, where Vega's color bar stays empty.
    bar: dict[str, Any] = {"type": "gradient", "gradientLength": 220}
    squares: dict[str, Any] = {"type": "symbol", "symbolType": "square", "symbolStrokeWidth": 0}
    has_text = columns <= MAX_TEXT_COLUMNS and height / lines >= MIN_TEXT_HEIGHT
    look = squares if columns * lines * (1 + has_text) > MAX_WITH_BAR else bar
    color = color.legend(orient="top", **look, **_legend_options(scale, entry))
    cells = base.transform_filter("datum.state == 'value'").mark_rect(**edge)
    moved = alt.selection_interval(name=MOVED, bind="scales", zoom=ZOOM, translate=DRAG)
    layers = [cells.encode(color=color, tooltip=tooltip, **box).add_params(picked, *[moved] * moves)]
    if odd:
        fill = alt.Fill("state:N", title=None).scale(domain=list(odd), range=[ODD_COLORS[o] for o in odd])
        said = f"datum.label == 'zero' ? 'exactly 0' : datum.label == 'lost' ? '{entry.lost}' : 'failed'"
        fill = fill.legend(orient="top", labelExpr=said, symbolType="square")
        strange = base.transform_filter("datum.state != 'value'").mark_rect(**edge)
        layers.append(strange.encode(fill=fill, tooltip=tooltip, **box))
    if has_text:
        fits = alt.ExprRef(f"width / {columns} < {MIN_TEXT_WIDTH} ? 0 : 1")
        text = alt.Chart(rows()).mark_text(fontSize=12, opacity=fits, aria=False, clip=moves)
        layers.append(
            text.encode(x=alt.X("x:Q"), y=alt.Y("y:Q"), text="label:N", color=alt.Color("ink:N").scale(None))
        )
    return finish(alt.layer(*layers, *_unseen("columns", "lines")), mode, height)


HEAT_TEXT = (
    "One cell is one combination of the two fields. Its color is the median over the runs that share it, "
    "which differ by their seed; their range stands in the tooltip. Bright is much, dark is little"
)
DOTS_TEXT = (
    "One dot is one value of the field: the median over the runs that share it. The line through it goes "
    "from the lowest to the highest of these runs"
)
ZERO_NOTE = "A triangle at the low end: exactly 0."
FLOOR_NOTE = "A line that ends at the low end goes down to exactly 0."
LOST_TEXT = (
    " A value where half of the runs or more have no number is marked: training went beyond what numbers can "
    "say, or the number is not defined there."
)


def _how_to_read(metric: SweptMetric, text: str, *, is_log: bool) -> str:
    scale = ", each color step the same factor" if is_log and text is HEAT_TEXT else ""
    return f"{text}{scale}.{LOST_TEXT}\n\n**{metric.label}**: {metric.definition}"


def _title(metric: SweptMetric, shown: Sequence[str]) -> str:
    over = " and ".join(FIELDS[name].label.lower() for name in shown)
    return f"{metric.label} over {over}"


def _alt_text(metric: SweptMetric, shown: Sequence[str], found: Sequence[Spot]) -> str:
    known = [spot for spot in found if spot.state in ("value", "zero")]
    said = f"{_title(metric, shown)}: {len(found)} medians"
    if not known:
        return f"{said}, none of which is a number."
    ends = {"Lowest": min(known, key=lambda s: s.median), "highest": max(known, key=lambda s: s.median)}
    parts = [f"{word} {number_words(metric, s.median)} at {spot_words(shown, s)}" for word, s in ends.items()]
    lost = len(found) - len(known)
    return f"{said}. {', '.join(parts)}." + (f" {lost} without a number." if lost else "")


def spot_words(shown: Sequence[str], spot: Spot) -> str:
    """Name a spot: "activation tanh, depth 20"."""
    pairs = zip(shown, spot.values, strict=True)
    return ", ".join(f"{FIELDS[name].label.lower()} {value_words(name, value)}" for name, value in pairs)


def _table(metric: SweptMetric, shown: Sequence[str], found: Sequence[Spot]) -> pd.DataFrame:
    fields = {name: [spot.values[place] for spot in found] for place, name in enumerate(shown)}
    numbers = {
        "metric": metric.column,
        "median": [spot.median for spot in found],
        "lowest": [spot.low for spot in found],
        "highest": [spot.high for spot in found],
        "runs": [spot.runs for spot in found],
        "without_number": [spot.lost for spot in found],
    }
    return pd.DataFrame({**fields, **numbers})


def _left_out(swept: SweptRuns, shown: Sequence[str]) -> tuple[str, ...]:
    others = [FIELDS[name].label.lower() for name in swept.fields if name not in shown]
    return (f"Every median is also over all values of {', '.join(others)}.",) if others else ()


def sweep_map(swept: SweptRuns, metric: str, across: str, down: str, mode: Mode) -> Chart:
    """Draw the median of a number over two fields of a sweep as a heat map; a click picks a cell."""
    entry, shown = SWEPT[metric], (across, down)
    found = spots(swept, metric, shown)
    if not found:
        return _empty(entry, shown, mode)
    scale = _scale_of(entry, [spot.median for spot in found])
    frame = _frame(swept, entry, shown, found, scale)
    odd = tuple(state for state in ODD_COLORS if (frame["state"] == state).any())
    counts = (len(swept.axes[across]), len(swept.axes[down]))
    return Chart(
        name="sweep_map",
        title=_title(entry, shown),
        how_to_read=_how_to_read(entry, HEAT_TEXT, is_log=scale.is_log),
        alt_text=_alt_text(entry, shown, found),
        spec=_map_spec(mode, metric, shown, counts, scale, odd),
        frames={
            "rows": frame,
            "columns": _names(across, swept.axes[across]),
            "lines": _names(down, swept.axes[down]),
        },
        make_table=lambda: _table(entry, shown, found),
        notes=_left_out(swept, shown),
    )


def _sizes(channel: type[alt.X] | type[alt.Y], metric: SweptMetric, scale: _Scale, floor: bool) -> Any:
    """Give the axis of the numbers, upright or lying."""
    at = channel("drawn:Q", title=metric.label.lower())
    if scale.is_log:
        low, high = int(scale.low), int(scale.high)
        domain = [float(f"1e{low - floor}"), float(f"1e{high}")]
        at = at.scale(type="log", domain=domain, nice=False, clamp=True)
        return at.axis(values=decade_ticks(low, high), labelExpr=DECADE_LABEL, labelOverlap=True)
    at = at.scale(domain=[scale.low, scale.high], nice=not metric.is_share, zero=False)
    return at.axis(format="%", tickCount=5) if metric.is_share else at.axis(tickCount=5)


def _is_lying(field: str) -> bool:
    """Whether values stand one below the other: names need the room that numbers do not."""
    return FIELDS[field].kind in ("choice", "switch")


def _dot_places(field: str, count: int) -> alt.X | alt.Y:
    title, lying = FIELDS[field].label.lower(), _is_lying(field)
    axis = _value_axis("columns", count, labelOverlap=not lying)
    domain = [count - 0.5, -0.5] if lying else [-0.5, count - 0.5]
    at: alt.X | alt.Y = alt.Y("x:Q", title=title) if lying else alt.X("x:Q", title=title)
    return at.axis(axis).scale(domain=domain, nice=False, zero=False)


@lru_cache(maxsize=64)
def _dots_spec(mode: Mode, metric: str, field: str, count: int, scale: _Scale, floor: bool) -> dict[str, Any]:
    entry, lying = SWEPT[metric], _is_lying(field)
    places, sizes = ("y", "x") if lying else ("x", "y")
    height = min(MAX_HEIGHT, max(MIN_HEIGHT, ROW_HEIGHT * count)) if lying else DOTS_HEIGHT
    low_end: dict[str, Any] = {sizes: alt.value(6 if lying else height - 6)}
    high_end: dict[str, Any] = {sizes: alt.value("width" if lying else 8)}
    tooltip = _tooltip(entry.label, FIELDS[field].label.lower(), "")
    place: dict[str, Any] = {places: _dot_places(field, count)}
    base = alt.Chart(rows()).encode(description="said:N", tooltip=tooltip, **place)
    number: dict[str, Any] = {sizes: _sizes(alt.X if lying else alt.Y, entry, scale, floor)}
    known = base.transform_filter("datum.state == 'value'").encode(**number)
    color = CATEGORIES[0] if mode == "light" else CATEGORIES[4]
    picked = alt.selection_point(name=PICKED, fields=["spot"], on="click", toggle=False)
    span: dict[str, Any] = {sizes: (alt.X if lying else alt.Y)("low:Q"), f"{sizes}2": "high:Q"}
    ranges = known.mark_rule(strokeWidth=2.5, color=color, opacity=0.55).encode(**span)
    dots = known.mark_point(filled=True, size=110, opacity=1, color=color, cursor="pointer")
    zeros = base.transform_filter("datum.state == 'zero'").encode(**low_end)
    shape = "triangle-left" if lying else "triangle-down"
    zeros = zeros.mark_point(shape=shape, filled=True, size=90, opacity=1, color=THEMES[mode].muted)
    lost = base.transform_filter("datum.state == 'lost' || datum.state == 'failed'")
    cross = lost.mark_point(shape="cross", filled=True, size=110, opacity=1, color=UNDEFINED_COLOR)
    cross = cross.encode(**high_end)
    return finish(alt.layer(ranges, dots.add_params(picked), zeros, cross, *_unseen("columns")), mode, height)


def sweep_dots(swept: SweptRuns, metric: str, across: str, mode: Mode) -> Chart:
    """Draw the median of a number over one field of a sweep, with the range of its runs."""
    entry, shown = SWEPT[metric], (across,)
    found = spots(swept, metric, shown)
    if not found:
        return _empty(entry, shown, mode)
    scale = _scale_of(entry, [number for s in found for number in (s.low, s.median, s.high)])
    frame = _frame(swept, entry, shown, found, scale)
    floor = scale.is_log and bool((frame["low"] <= 0).any())
    # A line down to exactly 0 ends where the axis does.
    ends = frame["low"].where(frame["low"] > 0, float(f"1e{int(scale.low) - 1}")) if floor else frame["low"]
    return Chart(
        name="sweep_dots",
        title=_title(entry, shown),
        how_to_read=_how_to_read(entry, DOTS_TEXT, is_log=scale.is_log),
        alt_text=_alt_text(entry, shown, found),
        spec=_dots_spec(mode, metric, across, len(swept.axes[across]), scale, floor),
        frames={
            "rows": frame.assign(drawn=frame["value"], low=ends),
            "columns": _names(across, swept.axes[across]),
        },
        make_table=lambda: _table(entry, shown, found),
        notes=(*_odd_notes(entry, across, found, frame, floor), *_left_out(swept, shown)),
    )


def _odd_notes(
    metric: SweptMetric, field: str, found: Sequence[Spot], frame: pd.DataFrame, floor: bool
) -> list[str]:
    """Say what crosses and triangles are, where there are any."""
    lost = [value_words(field, spot.values[0]) for spot in found if spot.state in ("lost", "failed")]
    more = f" and {len(lost) - MAX_LOST} more" if len(lost) > MAX_LOST else ""
    notes = (
        [f"A cross at the high end: {metric.lost} for {', '.join(lost[:MAX_LOST])}{more}."] if lost else []
    )
    notes += [ZERO_NOTE] if (frame["state"] == "zero").any() else []
    return notes + ([FLOOR_NOTE] if floor else [])


def sweep_chart(swept: SweptRuns, metric: str, shown: Sequence[str], mode: Mode) -> Chart:
    """Draw a sweep over one field, as dots, or over two, as a heat map with the first from left to right."""
    if len(shown) == 1:
        return sweep_dots(swept, metric, shown[0], mode)
    across, down = shown
    return sweep_map(swept, metric, across, down, mode)


def _empty(metric: SweptMetric, shown: Sequence[str], mode: Mode) -> Chart:
    return Chart(
        name="sweep_map" if len(shown) > 1 else "sweep_dots",
        title=_title(metric, shown),
        how_to_read=_how_to_read(metric, HEAT_TEXT, is_log=False),
        alt_text=f"{_title(metric, shown)}: no run has finished yet.",
        spec=finish(alt.Chart(rows()).mark_point(), mode, 60),
        frames={"rows": pd.DataFrame({"x": []})},
        make_table=lambda: pd.DataFrame({name: [] for name in (*shown, "median")}),
        notes=("No run has finished yet.",),
        is_empty=True,
    )
