"""Charts of softmax: the probabilities now, and over the temperature."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import Chart, finish, rows
from nnlab.palette import CATEGORIES, THEMES, Mode
from nnlab.softmax import check_scores, check_temperature, probability, softmax, temperature_in_words

LOW, HIGH = 0.05, 20.0  # below, one class has everything; above, all have nearly the same
POINTS = 121
TICKS = [0.05, 0.2, 1, 5, 20]
DASHES = ([1, 0], [8, 4], [2, 3], [10, 3, 2, 3], [5, 2])
SHARES = [0, 0.2, 0.4, 0.6, 0.8, 1]
HOVER_STRIDE = 5
BAR_ROW = 44  # pixels
WORD_ROOM = 1.3  # the axis ends at 1; the words of a full bar stand beyond

HOW_TO_READ = (
    "Softmax turns scores s into probabilities: pᵢ = exp(sᵢ/T) / Σⱼ exp(sⱼ/T) (Bridle 1990). They are "
    "positive and add up to 1. The temperature T divides the scores first (Hinton, Vinyals & Dean "
    "2015, equation 1). "
)


def _named(scores: np.ndarray) -> list[str]:
    return [f"class {number}" for number in range(1, len(scores) + 1)]


def _table(scores: np.ndarray, temperature: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "class": _named(scores),
            "score": scores,
            "probability": softmax(scores, temperature),
            "at_temperature_1": softmax(scores),
        }
    )


@lru_cache(maxsize=32)
def _bars_spec(mode: Mode, classes: int) -> dict[str, Any]:
    theme = THEMES[mode]
    y = alt.Y("name:N", title=None, sort=None).axis(ticks=False, domain=False, labelColor=theme.text)
    x = alt.X("probability:Q", title="probability (upright line: at temperature 1)")
    x = x.scale(domain=[0, WORD_ROOM], nice=False).axis(values=SHARES)
    tooltip = [
        alt.Tooltip("name:N", title="class"),
        alt.Tooltip("score:Q", title="score"),
        alt.Tooltip("words:N", title="probability"),
        alt.Tooltip("plain_words:N", title="at temperature 1"),
    ]
    base = alt.Chart(rows())
    bar = base.mark_bar(height={"band": 0.6}, color=CATEGORIES[0])
    tick = base.mark_tick(color=theme.text, thickness=2, size=34).encode(x=alt.X("at_temperature_1:Q"), y=y)
    word = base.mark_text(align="left", dx=8, fontSize=13, color=theme.text)
    parts = [bar.encode(x=x, y=y, tooltip=tooltip), tick]
    parts.append(word.encode(x=alt.X("edge:Q"), y=y, text="words:N"))
    return finish(alt.layer(*parts), mode, BAR_ROW * classes)


def bars(scores: Sequence[float] | np.ndarray, temperature: float, mode: Mode) -> Chart:
    """Probabilities of 3 to 5 classes as bars, with those at temperature 1 as a mark.

    Raises:
        ValueError: not 3 to 5 finite scores, or a temperature not above 0.
    """
    array, temperature = check_scores(scores), check_temperature(temperature)
    table = _table(array, temperature)
    drawn = table.rename(columns={"class": "name"}).assign(
        words=table["probability"].map(probability),
        plain_words=table["at_temperature_1"].map(probability),
        edge=table[["probability", "at_temperature_1"]].max(axis=1),
    )
    said = ", ".join(f"{name} {words}" for name, words in zip(drawn["name"], drawn["words"], strict=True))
    return Chart(
        name="softmax_bars",
        title=f"Softmax at temperature {temperature:g}",
        how_to_read=HOW_TO_READ + "The upright line marks the probability at temperature 1.",
        alt_text=f"Probabilities at temperature {temperature:g}: {said}.",
        spec=_bars_spec(mode, len(array)),
        frames={"rows": drawn},
        make_table=lambda: table,
    )


@lru_cache(maxsize=32)
def _lines_spec(mode: Mode, classes: int) -> dict[str, Any]:
    theme = THEMES[mode]
    names = [f"class {number}" for number in range(1, classes + 1)]
    x = alt.X("temperature:Q", title="temperature T").scale(type="log", domain=[LOW, HIGH], nice=False)
    x = x.axis(values=TICKS, format="~g", grid=False)
    y = alt.Y("probability:Q", title="probability").scale(domain=[0, 1], nice=False)
    y = y.axis(values=SHARES, format="~g")
    color = alt.Color("name:N", title=None).scale(domain=names, range=list(CATEGORIES[:classes]))
    dash = alt.StrokeDash("name:N", title=None).scale(domain=names, range=list(DASHES[:classes]))
    legend = alt.Legend(orient="top", columns=3, symbolType="stroke", symbolStrokeWidth=3, symbolSize=300)
    tooltip = [
        alt.Tooltip("name:N", title="class"),
        alt.Tooltip("temperature:Q", title="temperature", format=".2~g"),
        alt.Tooltip("words:N", title="probability"),
    ]
    line = alt.Chart(rows()).mark_line(strokeWidth=2.6)
    hover = alt.Chart(rows("hover")).mark_point(size=140, opacity=0, filled=True)
    now = alt.Chart(rows("now")).mark_point(size=80, filled=True, opacity=1, stroke=theme.background)
    guess = alt.Chart(rows("guess"))
    cursor = alt.Chart(rows("cursor")).mark_rule(color=theme.muted, strokeDash=[4, 3], strokeWidth=1.5)
    parts = [
        guess.mark_rule(color=theme.muted, strokeWidth=1).encode(y=y),
        line.encode(x=x, y=y, color=color.legend(legend), strokeDash=dash.legend(legend)),
        cursor.encode(x=x),
        guess.mark_text(align="left", dx=4, dy=-8, color=theme.text).encode(
            x=alt.value(0), y=y, text="word:N"
        ),
        now.encode(x=x, y=y, color=color),
        hover.encode(x=x, y=y, tooltip=tooltip),
    ]
    return finish(alt.layer(*parts), mode, 240)


@lru_cache(maxsize=16)
def _swept(scores: tuple[float, ...]) -> pd.DataFrame:
    """Give the probabilities over the temperature axis. Callers do not change the frame."""
    temperatures = np.geomspace(LOW, HIGH, POINTS)
    values = np.array([softmax(scores, float(t)) for t in temperatures])
    return pd.DataFrame(
        {
            "name": _named(np.array(scores)) * POINTS,
            "temperature": np.repeat(temperatures, len(scores)),
            "probability": values.ravel(),
        }
    )


def over_temperature(scores: Sequence[float] | np.ndarray, temperature: float, mode: Mode) -> Chart:
    """Probabilities of 3 to 5 classes over the temperature from 0.05 to 20, with the present one marked.

    Raises:
        ValueError: not 3 to 5 finite scores, or a temperature not above 0.
    """
    array, temperature = check_scores(scores), check_temperature(temperature)
    swept, count = _swept(tuple(array.tolist())), len(array)
    every = swept[np.repeat(np.arange(POINTS) % HOVER_STRIDE == 0, count)]
    is_inside = LOW <= temperature <= HIGH
    now = _table(array, temperature).rename(columns={"class": "name"}).assign(temperature=temperature)
    guess = pd.DataFrame({"probability": [1 / count], "word": [f"1/{count}: all alike"]})
    return Chart(
        name="softmax_over_temperature",
        title="Softmax over the temperature",
        how_to_read=HOW_TO_READ
        + "To the left of T = 1 the largest score takes nearly everything, to the right "
        "all classes move toward the same probability. The dashed upright line is the temperature now.",
        alt_text=f"Probabilities of {count} classes for temperatures from {LOW:g} to {HIGH:g}. "
        + temperature_in_words(array, temperature),
        spec=_lines_spec(mode, count),
        frames={
            "rows": swept,
            "hover": every.assign(words=every["probability"].map(probability)),
            "now": now[["name", "temperature", "probability"]].iloc[: count if is_inside else 0],
            "cursor": pd.DataFrame({"temperature": [temperature] if is_inside else []}, dtype=float),
            "guess": guess,
        },
        make_table=lambda: swept.rename(columns={"name": "class"}),
        notes=() if is_inside else (f"The temperature {temperature:g} lies outside the picture.",),
    )
