"""Charts of the error signal: strip, heat map, norms per layer, histograms of its magnitude."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import (
    DECADE_LABEL,
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_NAMES,
    Chart,
    decade_ticks,
    drawn_decades,
    drawn_records,
    finish,
    has_module_names,
    last_step,
    layer_axis,
    layer_ticks,
    left_out_notes,
    missing_notes,
    module_axis,
    modules_frame,
    modules_layer,
    rows,
    spread,
    state_of,
    step_axis,
)
from nnlab.frames import metric_rows
from nnlab.numerals import fraction, scientific
from nnlab.palette import (
    CATEGORIES,
    MAGMA,
    THEMES,
    UNDEFINED_COLOR,
    ZERO_COLOR,
    Mode,
    interpolate,
    text_on,
)
from nnlab.rules import slope_factors, weight_factors
from nnlab.run import Run, StepRecord, spoken

DELTA_DEFINITION = (
    r"$\|\delta_l\|_F$ with $\delta_l = \partial L / \partial z_l$: the gradient of the mean loss with "
    "respect to the inputs of a layer's activation, over the batch "
    "(Rumelhart, Hinton & Williams 1986; Hochreiter 1991)."
)
STRIP_HOW_TO_READ = (
    "One cell a layer, from the input on the left to the output on the right. The error "
    "signal starts at the output and travels left. Bright cells get much of it, dark cells "
    f"little; each color step is the same factor. Gray is exactly 0.\n\n{DELTA_DEFINITION}"
)
HEATMAP_HOW_TO_READ = (
    "Each column is a recorded step, each row a layer; the output is on top. Color is the size "
    "of the error signal on a logarithmic scale. A picture that darkens toward the bottom is a "
    "vanishing gradient, one that brightens is an exploding gradient, even rows are healthy. "
    f"Gray cells are exactly 0. The dashed line is the chosen step.\n\n{DELTA_DEFINITION}"
)
NORMS_HOW_TO_READ = (
    "Read from right to left, the way backpropagation goes. At every layer the chain rule "
    "multiplies the error signal by the activation's slope and by the weights:\n\n"
    r"$\delta_l = (W_{l+1}^T \delta_{l+1}) \odot \varphi'(z_l)$"
    "\n\nThe dashed line multiplies both measured factors up and lands on the measured error "
    "signal; the dotted line multiplies the slopes alone, so the gap between the two is what "
    "the weights (with normalization and skip connections) do. The slope factor is "
    r"$\|\delta_l\| / \|\partial L/\partial h_l\|$, the weight factor "
    r"$\|\partial L/\partial h_l\| / \|\delta_{l+1}\|$. Triangles on the floor are exactly 0."
    "\n\nThe weight gradient mixes in how large the layer's inputs are and can stay level while "
    "the error signal vanishes (Glorot & Bengio 2010, figure 8). All before clipping."
)
CELL_OVERLAP = 0.4  # of a cell
STRIP_TEXT_COLUMNS = 24  # more columns are too narrow for a number


def _short(value: float) -> str:
    """Write 6e-8 for 5.8e-08, so that it fits a narrow cell."""
    if not np.isfinite(value):
        return "?"
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def _magma_at(log_value: float, low: float, high: float) -> str:
    return interpolate(MAGMA, (log_value - low) / (high - low))


def _cell_color(value: float, state: str, low: int, high: int) -> str:
    if state == "zero":
        return ZERO_COLOR
    if state == "undefined":
        return UNDEFINED_COLOR
    return _magma_at(float(np.log10(value)), low, high)


def _delta_decades(run: Run) -> tuple[int, int]:
    """Give one range for all steps, so that colors keep their meaning while the slider moves."""
    return drawn_decades(run, run.series("delta_norm")[1])


@lru_cache(maxsize=64)
def _strip_spec(mode: Mode, columns: int) -> dict[str, Any]:
    x = alt.X("left:Q").axis(None).scale(domain=[0.5, columns + 0.5], nice=False)
    tooltip = [
        alt.Tooltip("name:N", title="layer"),
        alt.Tooltip("exact:N", title="error signal"),
        alt.Tooltip("relative:N", title="relative to the last hidden layer"),
    ]
    base = alt.Chart(rows())
    cells = base.mark_rect(cornerRadius=3).encode(
        x=x, x2="right:Q", y=alt.value(0), y2=alt.value(44),
        color=alt.Color("color:N").scale(None), tooltip=tooltip,
    )  # fmt: skip
    numbers = base.mark_text(fontSize=11, fontWeight="bold").encode(
        x=alt.X("layer:Q"), y=alt.value(22), text="label:N",
        color=alt.Color("ink:N").scale(None), tooltip=tooltip,
    )  # fmt: skip
    names = base.mark_text(fontSize=11, color=THEMES[mode].muted).encode(
        x=alt.X("layer:Q"), y=alt.value(56), text="short_name:N"
    )
    return finish(alt.layer(cells, numbers, names), mode, 64)


def delta_strip(run: Run, step: int, mode: Mode) -> Chart:
    """One cell a layer from input to output, colored by the error signal that arrives there."""
    record = run.record_at(step)
    values = record.layers["delta_norm"]
    low, high = _delta_decades(run)
    states = state_of(values)
    colors = [_cell_color(v, s, low, high) for v, s in zip(values, states, strict=True)]
    reference = values[-2] if len(values) > 1 else values[-1]
    numbered = set(layer_ticks(len(values)))
    with_text = len(values) <= STRIP_TEXT_COLUMNS
    place = np.arange(1, len(values) + 1, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = values / reference
    frame = pd.DataFrame(
        {
            "layer": place,
            "left": place - 0.46,
            "right": place + 0.46,
            "name": [spoken(layer.name) for layer in run.layers],
            "short_name": [
                "out" if n == len(values) else (str(n) if n in numbered else "")
                for n in range(1, len(values) + 1)
            ],
            "label": [_short(value) if with_text else "" for value in values],
            "exact": [scientific(value) for value in values],
            "relative": [fraction(value) for value in relative],
            "color": colors,
            "ink": [text_on(color) for color in colors],
        }
    )
    table = pd.DataFrame(
        {
            "layer": [layer.name for layer in run.layers],
            "step": record.step,
            "delta_norm": values,
            "relative_to_last_hidden": relative,
        }
    )
    return Chart(
        name="delta_strip",
        title=f"Error signal at each layer, step {record.step}",
        how_to_read=STRIP_HOW_TO_READ,
        alt_text=_strip_words(run, record),
        spec=_strip_spec(mode, len(values)),
        frames={"rows": frame},
        make_table=lambda: table,
        notes=missing_notes(run, values),
    )


def _strip_words(run: Run, record: StepRecord) -> str:
    values = record.layers["delta_norm"]
    last = f", {scientific(float(values[-2]))} at the last hidden layer" if len(values) > 1 else ""
    first = spoken(run.layers[0].name)
    return f"Error signal per layer at step {record.step}: {scientific(float(values[0]))} at {first}{last}."


@lru_cache(maxsize=64)
def _heatmap_spec(
    mode: Mode, layers: int, low: int, high: int, steps: int, *, named: bool = False
) -> dict[str, Any]:
    x = alt.X("left:Q", title="step", axis=step_axis()).scale(domain=[0, max(1, steps)], nice=False)
    y = (
        alt.Y("bottom:Q", title="layer, input at the bottom")
        .axis(module_axis([1 + p for p in spread(layers, MAX_NAMES)], 1) if named else layer_axis(layers))
        .scale(domain=[0.5, layers + 0.5], nice=False)
    )
    labels = decade_ticks(low, high)
    # Names on the left leave a phone no room for legends on the right.
    below: dict[str, Any] = {"orient": "bottom", "direction": "horizontal"} if named else {}
    above: dict[str, Any] = {"orient": "top", "title": None} if named else {}
    undefined = "not measured, or not finite" if named else "not finite"
    color = (
        alt.Color("log:Q", title="error signal")
        .scale(domain=[low, high], range=list(MAGMA))
        .legend(
            type="gradient",
            values=[round(float(np.log10(label))) for label in labels],
            labelExpr="'1e' + replace(format(datum.value, 'd'), '\u2212', '-')",
            gradientLength=200,
            **below,
        )
    )
    tooltip = [
        alt.Tooltip("name:N", title="layer"),
        alt.Tooltip("step:Q", title="step"),
        alt.Tooltip("exact:N", title="error signal"),
    ]
    base = alt.Chart(rows())
    cells = (
        base.transform_filter("datum.state == 'value'")
        .mark_rect(clip=True)
        .encode(x=x, x2="right:Q", y=y, y2="top:Q", color=color, tooltip=tooltip)
    )
    odd = (
        base.transform_filter("datum.state != 'value'")
        .mark_rect(clip=True)
        .encode(
            x=x, x2="right:Q", y=y, y2="top:Q", tooltip=tooltip,
            fill=alt.Fill("state:N", title="no number")
            .scale(domain=["zero", "undefined"], range=[ZERO_COLOR, UNDEFINED_COLOR])
            .legend(labelExpr=f"datum.label == 'zero' ? 'exactly 0' : '{undefined}'", **above),
        )
    )  # fmt: skip
    cursor = alt.Chart(rows("cursor")).mark_rule(color=THEMES[mode].text, strokeWidth=1.5, strokeDash=[4, 3])
    cursor = cursor.encode(x=alt.X("step:Q"))
    if not named:
        return finish(alt.layer(cells, odd, cursor), mode, 300)
    return finish(alt.layer(cells, odd, cursor, modules_layer()), mode, max(300, 13 * min(layers, MAX_NAMES)))


def delta_heatmap(run: Run, step: int, mode: Mode) -> Chart:
    """The signature picture: the error signal of every layer over the whole training."""
    layers = len(run.layers)
    records = drawn_records(run, "delta_norm", min(MAX_COLUMNS, max(12, MAX_CELLS // layers)))
    starts = np.array([record.step for record in records], dtype=float)
    # The last column is as wide as the one before, so that a last, sick record is seen too.
    width = starts[-1] - starts[-2] if len(starts) > 1 else 1.0
    ends = np.append(starts[1:], starts[-1] + width)
    values = np.array([record.layers["delta_norm"] for record in records])
    low, high = _delta_decades(run)
    states = state_of(values.ravel())
    has_odd = bool((states != "value").any())
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(states == "value", np.log10(values.ravel()), np.nan)
    number = np.tile(np.arange(1, layers + 1, dtype=float), len(records))
    frame = pd.DataFrame(
        {
            "step": np.repeat(starts, layers),
            "left": np.repeat(starts, layers),
            # Cells reach under their next neighbors, which are drawn over them: no seams.
            "right": np.repeat(ends + CELL_OVERLAP * (ends - starts), layers),
            "bottom": number - 0.5,
            "top": number + 0.5 + CELL_OVERLAP,
            "name": [spoken(layer.name) for layer in run.layers] * len(records),
            "log": logs,
            "state": states,
            "exact": [scientific(value) for value in values.ravel()],
        }
    )
    cursor = pd.DataFrame({"step": [float(run.record_at(step).step)]})
    named = has_module_names(run)
    spec = _heatmap_spec(mode, layers, low, high, max(last_step(run), int(ends[-1])), named=named)
    frames = {"rows": frame, "cursor": cursor}
    if named:
        frames["modules"] = modules_frame([layer.name for layer in run.layers])
    return Chart(
        name="delta_heatmap",
        title="Error signal over layers and steps",
        how_to_read=HEATMAP_HOW_TO_READ,
        alt_text=f"Heat map of the error signal. {_strip_words(run, run.records[-1])}",
        spec=spec if has_odd else _without_odd(spec),
        frames=frames,
        make_table=lambda: metric_rows(run, "delta_norm"),
        notes=left_out_notes(len(records), len(run.records), "records"),
    )


def _without_odd(spec: dict[str, Any]) -> dict[str, Any]:
    """Drop the layer of zeros and undefined cells, whose legend would stand there for nothing."""
    return {**spec, "layer": [spec["layer"][0], *spec["layer"][2:]]}


SERIES = {
    "delta": "error signal (gradient at z), measured",
    "weight_grad": "weight gradient, measured",
    "product": "chain rule: slopes × weights",
    "slopes": "chain rule: slopes alone",
}


@lru_cache(maxsize=64)
def _norms_spec(mode: Mode, layers: int, low: int, high: int, has_zero: bool) -> dict[str, Any]:
    order = list(SERIES.values())
    colors = [CATEGORIES[0], CATEGORIES[1], THEMES[mode].text, CATEGORIES[3]]
    color = (
        alt.Color("series:N", title=None)
        .scale(domain=order, range=colors)
        .legend(orient="top", columns=1, symbolType="stroke", symbolStrokeWidth=3)
    )
    x = (
        alt.X("layer:Q", title="layer, from input to output")
        .axis(layer_axis(layers))
        .scale(domain=[1, max(2, layers)], padding=14)
    )
    ticks = decade_ticks(low, high)
    y = (
        alt.Y("shown:Q", title="norm (gradient of the mean loss)")
        .axis(values=ticks, labelExpr=DECADE_LABEL)
        .scale(type="log", domain=[float(f"1e{low}"), float(f"1e{high}")], nice=False)
    )
    tooltip = [
        alt.Tooltip("name:N", title="layer"),
        alt.Tooltip("series:N", title="what"),
        alt.Tooltip("exact:N", title="value"),
    ]
    # A line breaks where there is no number; a filter before it would draw it across the gap.
    drawn = alt.Chart(rows()).transform_filter("datum.state != 'undefined'")
    dash = alt.StrokeDash("series:N").scale(domain=order, range=[[1, 0], [1, 0], [6, 4], [2, 3]]).legend(None)
    line = alt.Chart(rows()).mark_line(strokeWidth=2.5, invalid="break-paths-show-path-domains")
    line = line.encode(x=x, y=y, color=color, strokeDash=dash)
    point = drawn.transform_filter("datum.measured").mark_point(size=45, filled=True, opacity=1)
    shape = (
        alt.Shape("state:N").scale(domain=["value", "zero"], range=["circle", "triangle-down"]).legend(None)
    )
    points = point.encode(x=x, y=y, color=color, shape=shape, tooltip=tooltip)
    parts: list[alt.Chart] = [line, points]
    if has_zero:
        floor = alt.Chart(rows("floor"))
        parts.append(floor.mark_rule(strokeDash=[2, 2]).encode(y=alt.Y("shown:Q")))
        label = floor.mark_text(align="left", dy=-7, dx=4, color=THEMES[mode].muted)
        parts.append(label.encode(x=alt.value(0), y=alt.Y("shown:Q"), text="word:N"))
    return finish(alt.layer(*parts), mode, 300)


def chain_rule_lines(record: StepRecord) -> tuple[np.ndarray, np.ndarray]:
    """Give what the chain rule predicts for delta_norm, from the last hidden layer backward.

    The first array multiplies slope and weight factors of every layer on the way, the second one the
    slope factors alone; both start at the measured delta_norm of the last hidden layer. Shape
    (hidden layers,).
    """
    slopes = slope_factors(record)[:-1]
    weights = weight_factors(record)
    start = record.layers["delta_norm"][-2]

    def backward(factors: np.ndarray) -> np.ndarray:
        return np.append(start * np.cumprod(factors[::-1])[::-1], start)

    return backward(slopes * weights), backward(slopes)


def _lost_notes(run: Run, record: StepRecord, states: np.ndarray) -> tuple[str, ...]:
    if run.config is None:
        return missing_notes(run, record.layers["delta_norm"])
    lost = int((states == "undefined").sum())
    return (f"{lost} numbers are not finite and cannot be drawn.",) if lost else ()


def layer_norms(run: Run, step: int, mode: Mode) -> Chart:
    """Error signal and weight gradient per layer, with the chain rule that makes them."""
    record = run.record_at(step)
    hidden = len(run.hidden)
    series = {
        "delta": record.layers["delta_norm"],
        "weight_grad": record.layers["weight_grad_norm"],
    }
    if hidden > 1:
        series["product"], series["slopes"] = chain_rule_lines(record)
    long = pd.concat(
        pd.DataFrame(
            {
                "layer": np.arange(1, len(values) + 1, dtype=float),
                "name": [spoken(layer.name) for layer in run.layers[: len(values)]],
                "series": SERIES[name],
                "value": values,
                "measured": name in ("delta", "weight_grad"),
            }
        )
        for name, values in series.items()
    ).reset_index(drop=True)
    values = long["value"].to_numpy()
    low, high = drawn_decades(run, values)
    states = state_of(values)
    has_zero = bool((states == "zero").any())
    floor = float(f"1e{low - 1}") if has_zero else float(f"1e{low}")
    frame = long.assign(
        state=states,
        shown=np.where(states == "zero", floor, np.where(states == "undefined", np.nan, values)),
        exact=[scientific(value) for value in values],
    )
    spec = _norms_spec(mode, len(run.layers), low - 1 if has_zero else low, high, has_zero)
    frames = {"rows": frame}
    if has_zero:
        frames["floor"] = pd.DataFrame({"shown": [floor], "word": ["exactly 0"]})
    return Chart(
        name="layer_norms",
        title=f"Gradients per layer, step {record.step}",
        how_to_read=NORMS_HOW_TO_READ,
        alt_text=f"Norms per layer. {_strip_words(run, record)}",
        spec=spec,
        frames=frames,
        make_table=lambda: long.assign(step=record.step)[["step", "layer", "name", "series", "value"]],
        notes=_lost_notes(run, record, states[long["measured"].to_numpy()]),
    )
