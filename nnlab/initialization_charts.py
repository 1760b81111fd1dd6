"""Charts of networks before training, layer by layer: what was drawn as dots, theory as a line over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import (
    DECADE_LABEL,
    Chart,
    decade_ticks,
    decades,
    finish,
    layer_ticks,
    left_out_notes,
    rows,
    spread,
)
from nnlab.ensemble import Ensemble
from nnlab.movable_axis import axis_frame, axis_layers, ends_of, ticks_of, words_frame, words_layer
from nnlab.numerals import percent, scientific
from nnlab.palette import CATEGORIES, THEMES, Mode, blue
from nnlab.prediction import Prediction
from nnlab.rules import ReluFamily
from nnlab.signal_theory import LARGEST

HEIGHT = 270
MAX_DOTS = 40  # layers with dots: more of them run into each other on half a screen
BESIDE = 0.08  # of a layer, by which dots of two quantities stand apart where both are 0
TABLE_COLUMNS = [
    "layer_index", "metric", "theory", "theory_low", "theory_high", "median", "lowest", "highest", "networks"
]  # fmt: skip
DOT_TEXTS = dict.fromkeys(("word", "exact", "span", "expected", "state"), str)
SHAPES = ("circle", "diamond")
DOTS_TEXT = (
    "A dot is the median of the drawn networks in that layer, the bar through it goes from the lowest to the "
    "highest network; the line is theory, exact for layers of infinite width."
)


@dataclass(frozen=True)
class _Series:
    """One quantity: its word in the legend, its numbers by network and layer, and theory's by layer.

    `drawn` has shape (networks, layers), no rows where nothing was drawn; `theory` (layers,), None where
    theory says nothing. `band`, (layers, 2), is where theory expects 95 % of networks.
    """

    word: str
    metric: str
    drawn: np.ndarray
    theory: np.ndarray | None
    band: np.ndarray | None = None

    @cached_property
    def summary(self) -> dict[str, np.ndarray]:
        """Median, lowest, highest and number of finite values in each layer; NaN where there are none."""
        finite = np.isfinite(self.drawn)
        count, layer = finite.sum(axis=0), np.arange(self.drawn.shape[1])
        # What is not finite comes last when sorted; with a row of NaN after it there is always one to take.
        lost = np.full((1, len(layer)), np.nan)
        values = np.concatenate([np.sort(np.where(finite, self.drawn, np.nan), axis=0), lost])
        return {
            "layer_index": layer + 1,
            "median": (values[(count - 1) // 2, layer] + values[count // 2, layer]) / 2,
            "lowest": values[0],
            "highest": values[count - 1, layer],
            "networks": count,
        }


def _series(
    prediction: Prediction, ensemble: Ensemble | None, word: str, metric: str, *, has_theory: bool = True
) -> _Series:
    depth = prediction.network.config.depth
    drawn = np.empty((0, depth)) if ensemble is None else ensemble.layers[metric]
    band = prediction.scatter if metric == "pre_activation_std" else None
    return _Series(word, metric, drawn, prediction.curve(metric) if has_theory else None, band)


def _table(series: Sequence[_Series]) -> pd.DataFrame:
    parts = []
    for one in series:
        layers = one.drawn.shape[1]
        theory = np.full(layers, np.nan) if one.theory is None else one.theory
        band = np.full((layers, 2), np.nan) if one.band is None else one.band
        told = {"metric": one.metric, "theory": theory, "theory_low": band[:, 0], "theory_high": band[:, 1]}
        parts.append(pd.DataFrame({**one.summary, **told})[TABLE_COLUMNS])
    return pd.concat(parts, ignore_index=True)


# Pandas takes a millisecond for each of its steps, and a page draws four of these pictures for every place of
# a slider: columns are made whole first.
def _dots(series: Sequence[_Series], floor: float | None) -> pd.DataFrame:
    """Give the dots to draw; with a floor, exact zeros stand on it."""
    parts = [_dots_of(one, number, len(series), floor) for number, one in enumerate(series)]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    is_drawn = columns["networks"] > 0
    return pd.DataFrame({name: values[is_drawn] for name, values in columns.items()}).astype(DOT_TEXTS)


def _dots_of(one: _Series, number: int, count: int, floor: float | None) -> dict[str, np.ndarray]:
    """Give the columns of one of `count` quantities."""
    show = scientific if floor is not None else percent
    kept = spread(one.drawn.shape[1], MAX_DOTS)
    found = {name: values[kept] for name, values in one.summary.items()}
    low, middle, high = (list(map(show, found[name].tolist())) for name in ("lowest", "median", "highest"))
    told = [None] * len(kept) if one.theory is None else one.theory[kept].tolist()
    is_zero = (found["median"] == 0) & (floor is not None)
    shown = {"shown": found["median"], "lowest": found["lowest"], "highest": found["highest"]}
    if floor is not None:
        shown = {name: np.where(values == 0, floor, values) for name, values in shown.items()}
    return {
        "layer": found["layer_index"].astype(float),
        "place": found["layer_index"] + BESIDE * (2 * number - count + 1),
        "networks": found["networks"].astype(float),
        "word": np.repeat(one.word, len(kept)),
        "exact": np.array(middle),
        "span": np.array([f"{least} to {most}" for least, most in zip(low, high, strict=True)]),
        "expected": np.array(["none" if value is None else show(value) for value in told]),
        "state": np.where(is_zero, "zero", "value"),
        **shown,
    }


def _lines(series: Sequence[_Series], *, is_log: bool) -> pd.DataFrame:
    told = [(one.word, one.theory) for one in series if one.theory is not None]
    shown = np.concatenate([theory for _, theory in told])
    layer = np.concatenate([np.arange(1.0, len(theory) + 1) for _, theory in told])
    word = np.repeat([word for word, _ in told], [len(theory) for _, theory in told])
    # Vega cannot draw what is beyond the numbers that it divides and multiplies.
    usable = np.isfinite(shown) & (np.abs(shown) < LARGEST) & ((shown > 0) | (not is_log))
    frame = pd.DataFrame({"layer": layer[usable], "word": word[usable], "shown": shown[usable]})
    return frame.astype({"word": str})


def _bands(series: Sequence[_Series]) -> pd.DataFrame:
    told = [(one.word, one.band) for one in series if one.band is not None]
    ends = np.concatenate([np.empty((0, 2)), *(band for _, band in told)])
    layer = np.concatenate([np.empty(0), *(np.arange(1.0, len(band) + 1) for _, band in told)])
    word = np.concatenate([np.empty(0, str), *(np.repeat(word, len(band)) for word, band in told)])
    known = np.isfinite(ends).all(axis=1) & (ends > 0).all(axis=1) & (ends[:, 1] < LARGEST)
    columns = {"layer": layer, "word": word, "low": ends[:, 0], "high": ends[:, 1]}
    frame = pd.DataFrame({name: values[known] for name, values in columns.items()})
    return frame.astype({"word": str})


@dataclass(frozen=True)
class _Axis:
    """The y axis: its title, and either decades of a log scale or the ends of a linear one."""

    title: str
    is_log: bool
    low: float
    high: float

    @property
    def frame(self) -> pd.DataFrame:
        """Give its ends and ticks as a dataset."""
        if not self.is_log:
            return axis_frame(self.low, self.high, (self.low, self.high))
        low, high = int(self.low), int(self.high)
        return axis_frame(float(f"1e{low}"), float(f"1e{high}"), decade_ticks(low, high))


def _across() -> dict[str, Any]:
    axis = alt.Axis(values=ticks_of("across"), format="d", grid=False)
    return {"title": "layer, from the input to the output", "scale": ends_of("across"), "axis": axis}


def _upward(title: str, *, is_log: bool) -> dict[str, Any]:
    if not is_log:
        return {"title": title, "scale": ends_of("upward"), "axis": alt.Axis(format="%")}
    axis = alt.Axis(values=ticks_of("upward"), labelExpr=DECADE_LABEL)
    return {"title": title, "scale": ends_of("upward", type="log"), "axis": axis}


@lru_cache(maxsize=64)
def _spec(mode: Mode, words: tuple[str, ...], title: str, *, is_log: bool, is_single: bool) -> dict[str, Any]:
    """Give the spec, one for all depths and sizes: the browser keeps a picture while a slider moves."""
    across, upward = _across(), _upward(title, is_log=is_log)
    colors = [blue(mode), CATEGORIES[1]][: len(words)]
    legend = alt.Legend(orient="top", symbolOpacity=1, symbolSize=90) if len(words) > 1 else None
    color = alt.Color("word:N", title=None, legend=legend).scale(domain=list(words), range=colors)
    shape = alt.Shape("word:N", title=None, legend=legend).scale(
        domain=list(words), range=list(SHAPES[: len(words)])
    )
    x, y = alt.X("layer:Q", **across), alt.Y("shown:Q", **upward)
    tooltip = [
        alt.Tooltip("layer:Q", title="layer"),
        alt.Tooltip("word:N", title="of"),
        alt.Tooltip("exact:N", title="median"),
        alt.Tooltip("span:N", title="networks"),
        alt.Tooltip("expected:N", title="theory"),
    ]
    theory = alt.Chart(rows("theory")).encode(x=x, y=y, color=color)
    band = alt.Chart(rows("band")).mark_area(opacity=0.16, clip=True)
    band = band.encode(x=x, y=alt.Y("low:Q", **upward), y2="high:Q", color=color)
    line = theory.mark_line(strokeWidth=2, opacity=0.75, clip=True)
    # A line through one layer would not be seen.
    single = [theory.mark_tick(orient="horizontal", size=60, thickness=2)] if is_single else []
    drawn = alt.Chart(rows()).encode(x=alt.X("place:Q", **across), color=color)
    bars = drawn.mark_rule(strokeWidth=2, opacity=0.55)
    bars = bars.encode(y=alt.Y("lowest:Q", **upward), y2="highest:Q")
    dots = drawn.mark_point(filled=True, size=55, opacity=1, stroke=THEMES[mode].background, strokeWidth=0.6)
    dots = dots.transform_filter("datum.state == 'value'").encode(y=y, shape=shape, tooltip=tooltip)
    zeros = drawn.mark_point(shape="triangle-down", filled=True, size=70, opacity=1, yOffset=-5)
    zeros = zeros.transform_filter("datum.state == 'zero'").encode(y=y, tooltip=tooltip)
    guide = alt.Chart(rows("guide")).mark_text(align="right", dx=-4, dy=-14, color=THEMES[mode].text)
    guide = guide.encode(x=alt.value("width"), y=y, text="word:N")
    parts = [band, line, *single, bars, dots, zeros, guide, *axis_layers("across", "upward"), words_layer()]
    return finish(alt.layer(*parts), mode, HEIGHT)


def _log_axis(series: Sequence[_Series], title: str) -> tuple[_Axis, float]:
    """Give an axis of whole decades that holds all, with a floor for exact zeros where there are any."""
    drawn = np.concatenate([one.drawn.ravel() for one in series])
    theory = [one.theory for one in series if one.theory is not None]
    every = np.concatenate([drawn, *theory])
    low, high = decades(every[np.abs(every) < LARGEST])
    has_zero = bool((drawn == 0).any())
    return _Axis(title, True, low - has_zero, high), float(f"1e{low - 1}")


def _guide(words: str, floor: float, series: Sequence[_Series]) -> pd.DataFrame:
    has_zero = any((one.drawn == 0).any() for one in series)
    frame = pd.DataFrame({"shown": [floor] * has_zero, "word": [words] * has_zero})
    return frame.astype({"shown": float, "word": str})


def _notes(series: Sequence[_Series], ensemble: Ensemble | None) -> tuple[str, ...]:
    if ensemble is None:
        return ("Theory alone: no network was drawn.",)
    count, depth = len(ensemble.seeds), series[0].drawn.shape[1]
    word = "network" if count == 1 else "networks"
    shaded = " Shaded: where theory expects 95 % of networks." if len(_bands(series)) > 1 else ""
    notes = [f"Dots: {count} drawn {word}, median and range. Lines: theory.{shaded}"]
    lost = max(int((~np.isfinite(one.drawn)).any(axis=1).sum()) for one in series)
    if lost:
        notes.append(f"In {lost} of {count} networks some layer has no finite number, which cannot be drawn.")
    missing = [one.word for one in series if one.theory is not None and not np.isfinite(one.theory).all()]
    if missing:
        notes.append(f"Theory has no finite number in some layers for: {', '.join(missing)}.")
    return (*notes, *left_out_notes(len(spread(depth, MAX_DOTS)), depth, "layers"))


def _words(series: Sequence[_Series], ensemble: Ensemble | None, *, is_log: bool) -> str:
    """Say what each quantity is in the first and the last layer, drawn and in theory."""
    show = scientific if is_log else percent
    parts = []
    for one in series:
        found = one.summary["median"]
        for number in dict.fromkeys((1, one.drawn.shape[1])):
            said = [] if ensemble is None else [f"{show(float(found[number - 1]))} as drawn"]
            if one.theory is not None:
                said.append(f"{show(float(one.theory[number - 1]))} in theory")
            parts.append(f"{one.word} in layer {number}: {', '.join(said) or 'not drawn'}")
    return f"{'; '.join(parts)}."


def _chart(
    name: str, title: str, how_to_read: str, series: Sequence[_Series], ensemble: Ensemble | None,
    axis: _Axis, floor: float | None, mode: Mode,
) -> Chart:  # fmt: skip
    words, depth = tuple(one.word for one in series), series[0].drawn.shape[1]
    guide = _guide("exactly 0", floor or 0.0, series if floor is not None else ())
    said = _words(series, ensemble, is_log=axis.is_log)
    return Chart(
        name=name,
        title=title,
        how_to_read=f"{how_to_read} {DOTS_TEXT}",
        alt_text=f"{title}. {said}",
        steady_text=title,
        spec=_spec(mode, words, axis.title, is_log=axis.is_log, is_single=depth == 1),
        frames={
            "rows": _dots(series, floor),
            "theory": _lines(series, is_log=axis.is_log),
            "band": _bands(series),
            "guide": guide,
            "across": axis_frame(0.5, depth + 0.5, layer_ticks(depth)),
            "upward": axis.frame,
            "said": words_frame(said),
        },
        make_table=lambda: _table(series),
        notes=_notes(series, ensemble),
    )


def initial_gradient(prediction: Prediction, ensemble: Ensemble | None, mode: Mode) -> Chart:
    """Draw the error signal of every layer, relative to the last hidden one."""
    series = [_series(prediction, ensemble, "error signal", "relative_to_last_hidden")]
    axis, floor = _log_axis(series, "‖δ‖, relative to the last hidden layer")
    return _chart(
        "initial_gradient",
        "Error signal of each layer before training",
        r"The length of the error signal $\delta_l = \partial\,\mathrm{loss}/\partial z_l$ over that of the "
        "last hidden layer, on a logarithmic axis: 1 at the right, and what is left of it toward the input. "
        r"A straight line down to the left is vanishing. Theory: each layer multiplies it by $\sqrt\chi$, "
        r"$\chi = \sigma_w^2\,E\,\varphi'(z)^2$ (Schoenholz et al. 2017).",
        series, ensemble, axis, floor, mode,
    )  # fmt: skip


def initial_spread(prediction: Prediction, ensemble: Ensemble | None, mode: Mode) -> Chart:
    """Draw the spread of z and of h in every layer."""
    series = [
        _series(prediction, ensemble, "z, into the activation", "pre_activation_std"),
        _series(prediction, ensemble, "h, out of it", "activation_std"),
    ]
    axis, floor = _log_axis(series, "standard deviation")
    return _chart(
        "initial_spread",
        "Spread of z and of h in each layer",
        "The standard deviation of what goes into the activation, $z$, and of what comes out, "
        r"$h = \varphi(z)$, over examples and units, on a logarithmic axis. Flat lines are healthy: the "
        r"signal keeps its size. Theory: $q_{l+1} = \sigma_w^2\,E\,\varphi(\sqrt{q_l} Z)^2 + \sigma_b^2$ "
        "(Poole et al. 2016, equation 3). Shaded around z: where 95 % of networks of this width should lie, "
        "to the first order in 1 / width; of one example in a ReLU network it is Hanin & Rolnick 2018.",
        series, ensemble, axis, floor, mode,
    )  # fmt: skip


def initial_saturation(prediction: Prediction, ensemble: Ensemble | None, mode: Mode) -> Chart:
    """Draw the saturated share and the dead units of every layer."""
    is_relu = prediction.network.config.activation in ReluFamily
    word = "inactive" if is_relu else "saturated"
    usual = " For ReLU half inactive is normal." if is_relu else ""
    series = [
        _series(prediction, ensemble, word, "saturation"),
        _series(prediction, ensemble, "dead units", "dead_fraction", has_theory=False),
    ]
    return _chart(
        "initial_saturation",
        f"{word.capitalize()} share and dead units of each layer",
        f"{word.capitalize()}: the share of activations on the flat part of the curve, "
        r"$|\varphi'(z)| < 0.0591\,\sup|\varphi'|$, which for tanh is |tanh z| > 0.97 (Karpathy's makemore, "
        f"part 3).{usual} Dead: the share of units whose slope is exactly 0 for all examples of the batch; "
        "theory has no line for them.",
        series, ensemble, _Axis("share", False, 0.0, 1.0), None, mode,
    )  # fmt: skip


def initial_likeness(prediction: Prediction, ensemble: Ensemble | None, mode: Mode) -> Chart:
    """Draw how alike examples are in every layer, and how many directions a layer uses."""
    config = prediction.network.config
    possible = min(config.width, config.batch_size)
    cosine = _series(prediction, ensemble, "mean cosine", "mean_cosine")
    rank = _series(prediction, ensemble, "rank in use", "effective_rank", has_theory=False)
    series = [cosine, _Series(rank.word, "effective_rank_share", rank.drawn / possible, None)]
    low = min([0.0, *cosine.drawn[np.isfinite(cosine.drawn)]])
    low = np.floor(20 * low) / 20 if low < -0.005 else min(0.0, low * 2)
    return _chart(
        "initial_likeness",
        "Likeness of examples and rank in use, layer by layer",
        "Mean cosine: that of the angle between the outputs h of two examples. At 100 % the layer says the "
        "same of all examples, and nothing can be learned behind it. Theory follows two inputs that have "
        "nothing in common (Poole et al. 2016, equation 5; Cho & Saul 2009 for ReLU). Rank in use: the "
        "effective rank, exp of the entropy of the normalized singular values (Roy & Vetterli 2007), as a "
        f"share of the {possible} directions there could be; theory has no line for it.",
        series, ensemble, _Axis("share", False, float(low), 1.0), None, mode,
    )  # fmt: skip


CHARTS = {
    "initial_gradient": initial_gradient,
    "initial_spread": initial_spread,
    "initial_saturation": initial_saturation,
    "initial_likeness": initial_likeness,
}
