"""Charts of a remedy: the error signal, its reach and the loss of two runs in one picture."""

from __future__ import annotations

from collections.abc import Sequence
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
    guide_layers,
    layer_ticks,
    rows,
    spread,
    state_of,
    step_axis,
)
from nnlab.gradient_charts import DELTA_DEFINITION
from nnlab.numerals import scientific
from nnlab.palette import CATEGORIES, Mode, blue
from nnlab.remedies import HEALTHY_RATIOS
from nnlab.run import Run

HEIGHT = 260
SIDES = ("before", "after")
DASHES = ([6, 4], [1, 0])
MOST_LAYERS = 101  # the deepest network that the lab trains
MOST_SEEN = 24  # layers; the points of more would hide the dashes between them
FEW_DECADES = 2  # so many have room for ticks between them
HOVERED = 20  # points of a line over steps that answer the mouse
LINES = "The dashed line is the run **before** the remedy, the solid one the run **after** it. "
ZEROS = " Triangles on the floor are exact zeros, which a logarithmic axis cannot show."
DELTA_TEXT = (
    LINES
    + "Each point is a hidden layer at the chosen step, read from right to left, the way backpropagation "
    "goes. A line that falls toward the left is a vanishing gradient, one that rises is an exploding one, a "
    f"level one is healthy.{ZEROS}\n\n{DELTA_DEFINITION}"
)
RATIO_TEXT = (
    LINES + r"Shown is $R = \|\delta_1\| / \|\delta_L\|$: how much of the last hidden layer's error signal "
    "reaches the first one. Between the two guide lines, 0.05 and 20, a network trains: beyond, its layers "
    f"learn at speeds too unlike (Schoenholz et al. 2017: deeper than six times the depth scale).{ZEROS}"
)
LOSS_TEXT = (
    LINES
    + "Shown is the loss of every recorded training batch, on a logarithmic axis. Both networks saw the "
    "same data, in the same order. A line that ends early is a run that broke off. With cross-entropy, "
    f"guessing among c classes gives ln c (2.30 for ten).{ZEROS}"
)


def _x(kind: str, end: int) -> alt.X:
    if kind == "layer":
        axis = alt.Axis(values=layer_ticks(end), format="d", grid=False)
        return alt.X("place:Q", title="hidden layer, from the input", axis=axis).scale(
            domain=[0.5, end + 0.5], nice=False
        )
    return alt.X("place:Q", title="step", axis=step_axis()).scale(domain=[0, max(1, end)], nice=False)


def _value_axis(low: int, high: int) -> dict[str, Any]:
    if high - low > FEW_DECADES:
        return {"values": decade_ticks(low, high), "labelExpr": DECADE_LABEL}
    values = [float(f"{digit}e{power}") for power in range(low, high) for digit in (1, 2, 5)]
    return {"values": [*values, float(f"1e{high}")], "format": "~g"}


@lru_cache(maxsize=64)
def _spec(
    mode: Mode, kind: str, end: int, title: str, log_range: tuple[int, int], *, has_floor: bool
) -> dict[str, Any]:
    low, high = log_range
    y = (
        alt.Y("shown:Q", title=title)
        .scale(type="log", domain=[float(f"1e{low}"), float(f"1e{high}")], nice=False)
        .axis(**_value_axis(low + has_floor, high))  # zeros have a word
    )
    legend = alt.Legend(orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolSize=400)
    color = alt.Color("side:N", title=None, legend=legend)
    color = color.scale(domain=list(SIDES), range=[CATEGORIES[5], blue(mode)])
    dash = alt.StrokeDash("side:N", title=None, legend=legend).scale(domain=list(SIDES), range=list(DASHES))
    base = alt.Chart(rows()).encode(x=_x(kind, end), y=y, color=color)
    lines = base.mark_line(strokeWidth=2.4, invalid="break-paths-show-path-domains").encode(strokeDash=dash)
    zeros = base.transform_filter("datum.state == 'zero'")
    zeros = zeros.mark_point(shape="triangle-down", filled=True, size=60, opacity=1, yOffset=-5)
    tooltip = [
        alt.Tooltip("side:N", title="run"),
        alt.Tooltip("place:Q", title=kind),
        alt.Tooltip("exact:N", title=title),
    ]
    points = base.transform_filter("datum.marked && datum.state != 'undefined'")
    is_seen = kind == "layer" and end <= MOST_SEEN
    points = points.mark_point(size=36 if is_seen else 120, opacity=float(is_seen), filled=True)
    layers = [lines, *guide_layers(mode), zeros, points.encode(tooltip=tooltip)]
    return finish(alt.layer(*layers), mode, HEIGHT)


def _side_rows(side: str, places: np.ndarray, values: np.ndarray, most: int, hovered: int) -> pd.DataFrame:
    kept = spread(len(places), most)
    values = values[kept].astype(float)
    return pd.DataFrame(
        {
            "side": pd.Series([side] * len(kept), dtype=str),
            "place": places[kept].astype(float),
            "value": values,
            "exact": pd.Series([scientific(value) for value in values], dtype=str),
            "state": state_of(values),
            "marked": np.isin(np.arange(len(kept)), spread(len(kept), hovered)),
        }
    )


Curve = tuple[np.ndarray, np.ndarray]  # places on the x axis and values there


def _frames(
    curves: Sequence[Curve], guides: Sequence[tuple[float, str]], most: int, hovered: int
) -> tuple[dict[str, pd.DataFrame], tuple[int, int], bool]:
    """Give the datasets, the decades of the axis and whether its lowest one is the floor for zeros."""
    parts = [_side_rows(side, *curve, most, hovered) for side, curve in zip(SIDES, curves, strict=True)]
    frame = pd.concat(parts, ignore_index=True)
    low, high = decades([*frame["value"], *(value for value, _ in guides)])
    has_zero = bool((frame["state"] == "zero").any())
    floor = float(f"1e{low - 1}")
    shown = frame["value"].where(frame["state"] == "value").where(frame["state"] != "zero", floor)
    lines = [*guides, *([(floor, "exactly 0")] if has_zero else [])]
    guide = pd.DataFrame(lines, columns=["shown", "word"]).astype({"shown": float, "word": str})
    return {"rows": frame.assign(shown=shown), "guide": guide}, (low - has_zero, high), has_zero


def _lost_notes(curves: Sequence[Curve]) -> tuple[str, ...]:
    counts = {
        side: int((~np.isfinite(values)).sum()) for side, (_, values) in zip(SIDES, curves, strict=True)
    }
    words = [f"{count} {side} the remedy" for side, count in counts.items() if count]
    return (f"Undefined or not finite, and left out: {' and '.join(words)}.",) if words else ()


def _end_notes(runs: Sequence[Run]) -> tuple[str, ...]:
    return tuple(
        f"The run {side} the remedy ended early: {run.ending}."
        for side, run in zip(SIDES, runs, strict=True)
        if run.ending
    )


def _compared(curves: Sequence[Curve], place: int) -> str:
    numbers = [scientific(float(values[place])) for _, values in curves]
    return f"{numbers[0]} before the remedy and {numbers[1]} after it"


def _table(curves: Sequence[Curve], place: str, metric: str) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"run": side, place: places, metric: values})
        for side, (places, values) in zip(SIDES, curves, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def healed_signal(before: Run, after: Run, step: int, mode: Mode) -> Chart:
    """Draw delta_norm of every hidden layer of two runs at the records nearest to a step."""
    records = [run.record_at(step) for run in (before, after)]
    curves: list[Curve] = [
        (np.arange(1, run.depth + 1), record.layers["delta_norm"][: run.depth])
        for run, record in zip((before, after), records, strict=True)
    ]
    frames, log_range, has_floor = _frames(curves, (), MOST_LAYERS, MOST_LAYERS)
    steps = [record.step for record in records]
    at = f"step {steps[0]:,}" if steps[0] == steps[1] else f"steps {steps[0]:,} and {steps[1]:,}"
    depth = max(before.depth, after.depth)
    return Chart(
        name="healed_signal",
        title=f"Error signal of each layer, before and after, at {at}",
        how_to_read=DELTA_TEXT,
        alt_text=f"Error signal of {depth} layers at {at}: layer 1 gets {_compared(curves, 0)}.",
        spec=_spec(mode, "layer", depth, "length of the error signal δ", log_range, has_floor=has_floor),
        frames=frames,
        make_table=lambda: _table(curves, "layer", "delta_norm"),
        notes=_lost_notes(curves),
    )


def _over_steps(
    runs: Sequence[Run], metric: str, words: str, mode: Mode, guides: Sequence[tuple[float, str]]
) -> dict[str, Any]:
    """Give what the charts over the steps share."""
    curves: list[Curve] = [run.series(metric) for run in runs]
    frames, log_range, has_floor = _frames(curves, guides, MAX_POINTS, HOVERED)
    end = max(int(run.steps[-1]) for run in runs)
    return {
        "alt_text": f"{words} over {end:,} steps; at the end it is {_compared(curves, -1)}.",
        "spec": _spec(mode, "step", end, words, log_range, has_floor=has_floor),
        "frames": frames,
        "make_table": lambda: _table(curves, "step", metric),
        "notes": _lost_notes(curves) + _end_notes(runs),
    }


def healed_ratio(before: Run, after: Run, mode: Mode) -> Chart:
    """Draw R of two runs over the steps."""
    guides = [(limit, f"{limit:g}: warning") for limit in HEALTHY_RATIOS]
    return Chart(
        name="healed_ratio",
        title="Signal at layer 1 (R), before and after",
        how_to_read=RATIO_TEXT,
        **_over_steps((before, after), "gradient_ratio", "R", mode, guides),
    )


def healed_loss(before: Run, after: Run, mode: Mode) -> Chart:
    """Draw the loss of two runs over the steps."""
    return Chart(
        name="healed_loss",
        title="Loss, before and after",
        how_to_read=LOSS_TEXT,
        **_over_steps((before, after), "loss", "loss", mode, ()),
    )
