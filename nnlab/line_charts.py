"""Charts over the steps of training: loss, accuracy, saturation and update ratio."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import (
    DECADE_LABEL,
    HOVER_EVERY,
    MAX_LINES,
    MAX_POINTS,
    Chart,
    decade_ticks,
    depth_colors,
    drawn_decades,
    drawn_places,
    end_marks,
    finish,
    guide_layers,
    last_step,
    left_out_notes,
    missing_notes,
    rows,
    spread,
    state_of,
    step_axis,
)
from nnlab.frames import metric_rows
from nnlab.metrics import METRICS
from nnlab.numerals import percent, scientific
from nnlab.palette import CATEGORIES, THEMES, UNDEFINED_COLOR, Mode
from nnlab.rules import SATURATING_WARN, ReluFamily
from nnlab.run import Run, spoken

NO_UPDATES = "No update was seen: this needs two records of one training, as nnlab.watch makes them."
SCORE_COLUMNS = ["step", "series", "metric", "value", "drawn"]
MAX_SCORES = 300  # points of a curve; as many as a run records if it is not told otherwise
NO_ACCURACY = "Numbers are predicted, not classes: there is no accuracy, look at the loss."
UPDATE_GUIDE = 1e-3  # Karpathy's makemore, part 3: the usual update ratio


def _step_axis(steps: int) -> alt.X:
    return alt.X("step:Q", title="step", axis=step_axis()).scale(domain=[0, max(1, steps)], nice=False)


def _cursor(mode: Mode) -> alt.Chart:
    rule = alt.Chart(rows("cursor")).mark_rule(strokeDash=[4, 3], color=THEMES[mode].muted)
    return rule.encode(x=alt.X("step:Q"))


def _ends(mode: Mode) -> list[alt.Chart]:
    """Draw where a run broke off, so that a curve that just ends is not taken for a finished one."""
    base = alt.Chart(rows("ends"))
    rule = base.mark_rule(color=UNDEFINED_COLOR, strokeWidth=1.5).encode(x=alt.X("step:Q"))
    word = base.mark_text(align="right", dx=-4, color=UNDEFINED_COLOR)
    return [rule, word.encode(x=alt.X("step:Q"), y=alt.value(10), text="word:N")]


def _marks(run: Run, step: int) -> dict[str, pd.DataFrame]:
    cursor = pd.DataFrame({"step": [float(run.record_at(step).step)]})
    return {"cursor": cursor, "ends": end_marks(run)}


@lru_cache(maxsize=64)
def _score_spec(
    mode: Mode, title: str, steps: int, top: float | None, *, has_test: bool = True
) -> dict[str, Any]:
    order = ["training batch", "test split"][: 1 + has_test]
    color = (
        alt.Color("series:N", title=None)
        .scale(domain=order, range=[CATEGORIES[4], CATEGORIES[5]][: 1 + has_test])
        .legend(orient="top", symbolType="stroke", symbolStrokeWidth=3)
    )
    y_scale = alt.Scale(domain=[0, top]) if top else alt.Scale(zero=True)
    y = alt.Y("value:Q", title=title, scale=y_scale)
    tooltip = [
        alt.Tooltip("series:N", title="of"),
        alt.Tooltip("step:Q", title="step"),
        alt.Tooltip("exact:N", title=title),
    ]
    base = alt.Chart(rows()).encode(
        x=_step_axis(steps), y=y, color=color,
    )  # fmt: skip
    points = base.transform_filter("datum.series == 'test split'").mark_point(filled=True, size=28, opacity=1)
    batch = base.transform_filter("datum.series != 'test split'").mark_line(strokeWidth=1.4)
    test = base.transform_filter("datum.series == 'test split'").mark_line(strokeWidth=3)
    parts = [batch, test, points.encode(tooltip=tooltip), _cursor(mode), *_ends(mode)]
    return finish(alt.layer(*parts), mode, 260)


def _guessing(run: Run, *, is_accuracy: bool) -> str:
    """Say what a network that has learned nothing gets."""
    if is_accuracy:
        return "Guessing among c classes gives 1/c."
    if run.predicts_numbers:
        return "The numbers to predict are standardized, so that always guessing their mean gives 1."
    return "With cross-entropy, guessing among c classes gives ln c (2.30 for ten)."


def _score_parts(run: Run, metric: str) -> pd.DataFrame:
    """Give a score of the training batches and of the test split: step, series, metric, value, drawn."""
    parts = []
    for name, words in ((metric, "training batch"), (f"test_{metric}", "test split")):
        steps, values = run.series(name)
        if run.config is None and np.isnan(values).all():
            continue  # never measured: nnlab knows no test split of another's model
        part = pd.DataFrame({"step": steps.astype(float), "series": words, "metric": name, "value": values})
        # Too many points of the batches would hide where the line goes, and slow the browser down.
        part["drawn"] = np.isin(np.arange(len(part)), drawn_places(run, len(part), MAX_SCORES))
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=SCORE_COLUMNS)


def _score_notes(run: Run, long: pd.DataFrame, label: str, shown: Callable[[float], str]) -> tuple[str, ...]:
    """Say what a curve of a score does not: what is not finite, what is one number only, what is none."""
    if label == METRICS["accuracy"].label and run.predicts_numbers:
        return (NO_ACCURACY,)
    if long.empty:
        return (f"{label} was not recorded: watch.step(loss, outputs=outputs, targets=y) does it.",)
    if run.config is None and len(run.records) == 1:
        return (f"{label} of the one recorded batch: {shown(float(long['value'].iloc[0]))}.",)
    lost = int((~np.isfinite(long["value"])).sum())
    return (f"{lost} values are not finite and cannot be drawn.",) if lost else ()


def _score_chart(run: Run, step: int, mode: Mode, metric: str) -> Chart:
    is_accuracy = metric == "accuracy"
    shown = percent if is_accuracy else scientific
    label = METRICS[metric].label
    long = _score_parts(run, metric)
    is_single = run.config is None and (long.empty or len(run.records) == 1)
    drawn = np.isfinite(long["value"].astype(float)) & long["drawn"].astype(bool)
    frame = long[drawn].drop(columns=["metric", "drawn"])
    frame = frame.assign(exact=[shown(value) for value in frame["value"]])
    ends = [
        f"{scientific(float(part['value'].iloc[-1]))} on the {name}"
        for name, part in long.groupby("series", sort=False)
    ]
    return Chart(
        name=metric,
        title=f"{label} over training",
        how_to_read=f"The thin line is the {label.lower()} on each recorded training batch, a thick one with "
        "dots that on the test split, which the network never learns from. "
        + _guessing(run, is_accuracy=is_accuracy),
        alt_text=f"{label} over {run.records[-1].step} steps; at the end {' and '.join(ends) or 'unknown'}.",
        spec=_score_spec(
            mode,
            label,
            last_step(run),
            1.0 if is_accuracy else None,
            has_test=bool((long["series"] == "test split").any()),
        ),
        frames={"rows": frame, **_marks(run, step)},
        make_table=lambda: long[["step", "metric", "value"]],
        notes=_score_notes(run, long, label, shown),
        is_empty=is_single or (is_accuracy and run.predicts_numbers),
    )


def loss(run: Run, step: int, mode: Mode) -> Chart:
    """Loss on the training batches and on the test split."""
    return _score_chart(run, step, mode, "loss")


def accuracy(run: Run, step: int, mode: Mode) -> Chart:
    """Accuracy on the training batches and on the test split."""
    return _score_chart(run, step, mode, "accuracy")


def _layer_lines(run: Run, metric: str, last_layer: int) -> tuple[pd.DataFrame, int]:
    """Give the drawn rows and the number of layers drawn."""
    steps, values = run.series(metric)
    values = values[:, :last_layer]
    points, lines = drawn_places(run, len(steps), MAX_POINTS), spread(values.shape[1], MAX_LINES)
    chosen = values[np.ix_(points, lines)]
    frame = pd.DataFrame(
        {
            "step": np.repeat(steps[points], len(lines)).astype(float),
            "number": np.tile(np.array(lines) + 1.0, len(points)),
            "name": [spoken(run.layers[line].name) for line in lines] * len(points),
            "value": chosen.ravel(),
        }
    )
    answers = (np.arange(len(points)) % HOVER_EVERY == 0) & (run.status != "running")
    frame["answers"] = np.repeat(answers, len(lines))
    frame["exact"] = [scientific(value) for value in frame["value"]]
    frame["state"] = state_of(frame["value"].to_numpy())
    return frame, len(lines)


def _drawn(frame: pd.DataFrame) -> pd.Series[float]:
    """Give what a line goes through: nothing where there is no number, so that it breaks there."""
    return frame["value"].where(frame["state"] != "undefined")


def _line_notes(run: Run, metric: str, drawn: int, layers: int) -> tuple[str, ...]:
    never = np.isnan(run.series(metric)[1]).all(axis=0)
    missing = missing_notes(run, np.where(never, np.nan, 0.0)[:layers])
    return left_out_notes(drawn, layers, "layers") + missing


@lru_cache(maxsize=64)
def _lines_spec(
    mode: Mode, title: str, steps: int, depth: int, log_range: tuple[int, int] | None
) -> dict[str, Any]:
    if log_range is None:
        y = alt.Y("shown:Q", title=title).scale(domain=[0, 1]).axis(format="%")
    else:
        low, high = log_range
        y = (
            alt.Y("shown:Q", title=title)
            .scale(type="log", domain=[float(f"1e{low}"), float(f"1e{high}")], nice=False)
            .axis(values=decade_ticks(low, high), labelExpr=DECADE_LABEL)
        )
    color = (
        alt.Color("number:Q", title="layer")
        .scale(depth_colors(mode, depth))
        .legend(type="gradient", gradientLength=140, format="d", tickCount=min(6, max(1, depth - 1)))
    )
    tooltip = [
        alt.Tooltip("name:N", title="layer"),
        alt.Tooltip("step:Q", title="step"),
        alt.Tooltip("exact:N", title=title),
    ]
    base = alt.Chart(rows()).encode(x=_step_axis(steps), y=y, color=color, detail="number:Q")
    lines = base.mark_line(strokeWidth=1.8, invalid="break-paths-show-path-domains")
    hover = base.transform_filter("datum.answers && datum.state != 'undefined'")
    hover = hover.mark_point(size=120, opacity=0, filled=True).encode(tooltip=tooltip)
    return finish(alt.layer(lines, *guide_layers(mode), hover, _cursor(mode), *_ends(mode)), mode, 280)


def saturation(run: Run, step: int, mode: Mode) -> Chart:
    """Saturated share of every hidden layer over the steps."""
    frame, drawn = _layer_lines(run, "saturation", len(run.hidden))
    bent = [layer.activation for layer in run.hidden if layer.activation != "identity"]
    inactive = bool(bent) and all(name in ReluFamily for name in bent)
    word = "Inactive" if inactive else "Saturated"
    normal = (
        " For ReLU the flat side is its purpose: about half inactive is normal, so there is no limit."
        if inactive
        else ""
    )
    guide = [] if inactive else [(SATURATING_WARN, f"warning above {percent(SATURATING_WARN)}")]
    return Chart(
        name="saturation",
        title=f"{word} share of each layer",
        how_to_read=(
            "One line a layer, colored from the first (dark) to the last. Shown is the share of "
            "activations on the flat part of the curve: "
            r"$|\varphi'(z)| < 0.0591\,\sup|\varphi'|$, which for tanh is |tanh z| > 0.97 "
            f"(Karpathy's makemore, part 3).{normal}"
        ),
        alt_text=f"{word} share over steps for {len(run.hidden)} layers.",
        spec=_lines_spec(mode, word.lower(), last_step(run), len(run.hidden), None),
        frames={
            "rows": frame.assign(shown=_drawn(frame)),
            "guide": pd.DataFrame(guide, columns=["shown", "word"]).astype({"shown": float}),
            **_marks(run, step),
        },
        make_table=lambda: metric_rows(run, "saturation", len(run.hidden)),
        notes=_line_notes(run, "saturation", drawn, len(run.hidden)),
    )


def update_ratio(run: Run, step: int, mode: Mode) -> Chart:
    """How far each update moved the weights of every layer, relative to their spread."""
    frame, drawn = _layer_lines(run, "update_ratio", len(run.layers))
    measured = bool(run.config is not None or frame["value"].notna().any())
    values = np.append(frame["value"].to_numpy(), UPDATE_GUIDE)
    low, high = drawn_decades(run, values)
    floor = float(f"1e{low - 1}")
    has_zero = bool((frame["state"] == "zero").any())
    guide = [(UPDATE_GUIDE, "0.001: usual")]
    if has_zero:
        guide.append((floor, "exactly 0"))
    steps = last_step(run)
    log_range = (low - 1 if has_zero else low, high)
    return Chart(
        name="update_ratio",
        title="Update / weights of each layer",
        how_to_read=(
            "One line a layer: std(wₛ − wₛ₋₁) / std(wₛ₋₁), with the update that was really made. Lines "
            "around 0.001 learn at a usual pace (Karpathy's makemore, part 3); far below, a layer "
            "stands still; above 0.01 it jumps. Lines far apart mean that layers learn at different "
            "speeds. Undefined at step 0, where nothing has been updated."
        ),
        alt_text=f"Update to weight ratio over steps for {len(run.layers)} layers, with a guide at 0.001.",
        spec=_lines_spec(mode, "update / weights", steps, len(run.layers), log_range),
        frames={
            "rows": frame.assign(shown=_drawn(frame).where(frame["state"] != "zero", floor)),
            "guide": pd.DataFrame(guide, columns=["shown", "word"]),
            **_marks(run, step),
        },
        make_table=lambda: metric_rows(run, "update_ratio"),
        notes=_line_notes(run, "update_ratio", drawn, len(run.layers)) if measured else (NO_UPDATES,),
        is_empty=not measured,
    )
