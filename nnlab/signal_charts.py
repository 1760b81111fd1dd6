"""Chart of the error signal of every layer over training, for networks of a few layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import (
    DECADE_LABEL,
    MAX_LINES,
    MAX_POINTS,
    Chart,
    decade_ticks,
    decades,
    depth_colors,
    finish,
    layer_ticks,
    left_out_notes,
    rows,
    spread,
    state_of,
    step_axis,
)
from nnlab.numerals import scientific
from nnlab.palette import THEMES, Mode

STEPS_HEIGHT = 260
OUTPUT = "output"  # the word for the last layer, as nnlab.run.spoken says it
GRADIENT_TEXT = (
    "One line a layer, colored from the input (dark) to the output (yellow): the length of the error "
    r"signal that arrives there, $\|\delta_l\| = \|\partial\,\mathrm{loss}/\partial z_l\|$ (Rumelhart, "
    "Hinton & Williams 1986), on a logarithmic axis. Lines close together learn at similar speeds. A dark "
    "line far below the others is a layer that hears almost nothing of the error: its gradient has "
    "vanished. All lines fall together when the network has learned the points. Triangles on the floor are "
    "exact zeros, which a logarithmic axis cannot show."
)


@lru_cache(maxsize=64)
def _gradients_spec(
    mode: Mode, end: int, depth: int, log_range: tuple[int, int], has_floor: bool, ends_in_output: bool
) -> dict[str, Any]:
    low, high = log_range
    x = alt.X("step:Q", title="step", axis=step_axis()).scale(domain=[0, max(1, end)], nice=False)
    y = (
        alt.Y("shown:Q", title="length of the error signal δ")
        .scale(type="log", domain=[float(f"1e{low}"), float(f"1e{high}")], nice=False)
        .axis(values=decade_ticks(low + has_floor, high), labelExpr=DECADE_LABEL)  # zeros have a word
    )
    output = depth if ends_in_output else 0
    color = alt.Color("number:Q", title="layer").scale(depth_colors(mode, depth))
    color = color.legend(
        values=layer_ticks(depth), format="d", symbolOpacity=1,
        labelExpr=f"datum.value == {output} ? 'out' : datum.label",
    )  # fmt: skip
    tooltip = [
        alt.Tooltip("name:N", title="layer"),
        alt.Tooltip("step:Q", title="step"),
        alt.Tooltip("exact:N", title="length of δ"),
    ]
    base = alt.Chart(rows()).transform_filter("datum.state != 'undefined'")
    base = base.encode(x=x, y=y, color=color)
    lines = base.mark_line(strokeWidth=2).encode(detail="number:Q")
    zeros = base.transform_filter("datum.state == 'zero' && datum.marked")
    zeros = zeros.mark_point(shape="triangle-down", filled=True, size=60, opacity=1, yOffset=-5)
    hover = base.mark_point(size=120, opacity=0, filled=True).transform_filter("datum.marked")
    words = alt.Chart(rows("guide")).mark_text(align="right", dx=-4, dy=-14, color=THEMES[mode].text)
    words = words.encode(x=alt.value("width"), y=alt.Y("shown:Q"), text="word:N")
    return finish(alt.layer(lines, zeros, hover.encode(tooltip=tooltip), words), mode, STEPS_HEIGHT)


def _gradient_rows(steps: np.ndarray, norms: np.ndarray, words: Sequence[str]) -> pd.DataFrame:
    places, lines = spread(len(steps), MAX_POINTS), spread(norms.shape[1], MAX_LINES)
    chosen = norms[np.ix_(places, lines)]
    frame = pd.DataFrame(
        {
            "step": np.repeat(steps[places], len(lines)).astype(float),
            "number": np.tile(np.array(lines) + 1.0, len(places)),
            "name": [words[line] for line in lines] * len(places),
            "value": chosen.ravel(),
        }
    )
    # Every mark costs the browser time; twenty along a line are enough to hover and to see zeros by.
    marked = np.isin(np.arange(len(places)), spread(len(places), 20))
    return frame.assign(
        marked=np.repeat(marked, len(lines)),
        exact=[scientific(value) for value in frame["value"]],
        state=state_of(frame["value"].to_numpy()),
    )


def _check_norms(steps: np.ndarray, norms: np.ndarray, words: Sequence[str]) -> None:
    if norms.ndim != 2 or 0 in norms.shape or norms.shape != (len(steps), len(words)):
        raise ValueError(
            f"norms: shape {norms.shape} is not allowed; allowed: (records, layers), one record for each of "
            f"{len(steps)} steps and one layer for each of {len(words)} words, not empty"
        )


def describe_gradients(steps: np.ndarray, norms: np.ndarray, words: Sequence[str]) -> str:
    """Compare the first layer's error signal with the last one's at the first and the last step."""
    parts = []
    for place in dict.fromkeys((0, len(steps) - 1)):
        first, last = float(norms[place, 0]), float(norms[place, -1])
        parts.append(
            f"At step {int(steps[place]):,} it is {scientific(first)} in {words[0]} "
            f"and {scientific(last)} in {words[-1]}"
        )
    return f"Length of the error signal of {norms.shape[1]} layers over training. {'. '.join(parts)}."


def layer_gradients(
    steps: np.ndarray,
    norms: np.ndarray,
    words: Sequence[str],
    mode: Mode,
    *,
    end: int | None = None,
    title: str = "Error signal of each layer",
    name: str = "layer_gradients",
) -> Chart:
    """Draw delta_norm of every layer, norms of shape (records, layers), over the steps (records,).

    `words` names the layers, the output layer as "output".
    `end` is the end of the step axis, so that it stands still while a run goes on.

    Raises:
        ValueError: the shapes do not fit each other.
    """
    norms = np.asarray(norms, dtype=np.float64)
    _check_norms(steps, norms, words)
    frame = _gradient_rows(np.asarray(steps), norms, words)
    low, high = decades(frame["value"].to_numpy())
    has_zero = bool((frame["state"] == "zero").any())
    floor = float(f"1e{low - 1}")
    guide = pd.DataFrame({"shown": [floor] * has_zero, "word": ["exactly 0"] * has_zero})
    log_range = (low - 1 if has_zero else low, high)
    last = int(steps[-1]) if end is None else end
    return Chart(
        name=name,
        title=title,
        how_to_read=GRADIENT_TEXT,
        alt_text=describe_gradients(steps, norms, words),
        spec=_gradients_spec(mode, last, len(words), log_range, has_zero, words[-1] == OUTPUT),
        frames={
            "rows": frame.assign(shown=np.where(frame["state"] == "zero", floor, frame["value"])),
            "guide": guide.astype({"shown": float, "word": str}),
        },
        make_table=lambda: _gradient_table(steps, norms, words),
        notes=left_out_notes(frame["number"].nunique(), len(words), "layers") + _lost_notes(norms),
    )


def _lost_notes(norms: np.ndarray) -> tuple[str, ...]:
    lost = int((~np.isfinite(norms)).sum())
    return (f"{lost} values are not finite and cannot be drawn.",) if lost else ()


def _gradient_table(steps: np.ndarray, norms: np.ndarray, words: Sequence[str]) -> pd.DataFrame:
    layers = list(words) * len(steps)
    return pd.DataFrame({"step": np.repeat(steps, len(words)), "layer": layers, "delta_norm": norms.ravel()})
