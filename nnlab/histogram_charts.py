"""Ridge-line histograms: how pre-activations, activations and gradients spread, layer by layer."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.activations import ACTIVATIONS
from nnlab.chart import (
    MAX_LINES,
    Chart,
    depth_colors,
    finish,
    has_module_names,
    left_out_notes,
    missing_notes,
    module_axis,
    modules_frame,
    modules_layer,
    rows,
    spread,
    without_probes,
)
from nnlab.frames import histogram_at
from nnlab.histogram import bin_edges
from nnlab.numerals import percent
from nnlab.palette import CATEGORIES, THEMES, Mode
from nnlab.run import Run, spoken
from nnlab.samples import SATURATION_TAU

RIDGE_HEIGHT = 1.7  # in rows: peaks overlap the row above, which reads best for many layers
SLOPE_ROW = 1.6  # rows that the slope curve gets above the first layer
ROW_PIXELS = 26
CURVE_POINTS = 241

AXIS_TITLES = {
    "pre_activation": "z, the input of the activation",
    "activation": "h, the output of the activation",
    "delta": "size of one entry of the gradient at z (power of ten)",
    "weight_grad": "size of one entry of the weight gradient (power of ten)",
}
TITLES = {
    "pre_activation": "Pre-activations",
    "activation": "Activations",
    "delta": "Error signal, entry by entry",
    "weight_grad": "Weight gradient, entry by entry",
}


@lru_cache(maxsize=64)
def _spec(
    mode: Mode, quantity: str, numbers: tuple[str, ...], depth: int, low: float, high: float,
    *, named: bool = False,
) -> dict[str, Any]:  # fmt: skip
    count = len(numbers)
    has_slope = quantity == "pre_activation"
    top = RIDGE_HEIGHT if not has_slope else RIDGE_HEIGHT + SLOPE_ROW
    names = dict(enumerate(reversed(numbers)))
    expression = " : ".join(f"datum.value == {place} ? '{name}'" for place, name in names.items())
    words = f"{expression} : ''"
    numbered = alt.Axis(values=list(names), labelExpr=words, grid=False, ticks=False, labelOverlap=False)
    x = alt.X("left:Q", title=AXIS_TITLES[quantity]).scale(domain=[low, high], nice=False)
    y = (
        alt.Y("base:Q", title="layer, input on top")
        .axis(module_axis(list(names), 0) if named else numbered)
        .scale(domain=[-0.2, count - 1 + top], nice=False)
    )
    tooltip = [
        alt.Tooltip("name:N", title="layer"),
        alt.Tooltip("left:Q", title="from", format=".3g"),
        alt.Tooltip("right:Q", title="to", format=".3g"),
        alt.Tooltip("count:Q", title="how many", format=","),
        alt.Tooltip("share:N", title="share of the layer"),
    ]
    color = alt.Color("number:Q").scale(depth_colors(mode, depth)).legend(None)
    parts: list[alt.Chart] = []
    if has_slope:
        zone = alt.Chart(rows("flat")).mark_rect(color=CATEGORIES[5], opacity=0.13)
        parts.append(zone.encode(x=x, x2="right:Q"))
    bars = alt.Chart(rows()).mark_rect(opacity=0.88)
    parts.append(bars.encode(x=x, x2="right:Q", y=y, y2="peak:Q", color=color, tooltip=tooltip))
    baseline = alt.Chart(rows("lines")).mark_rule(strokeWidth=0.5, opacity=0.5)
    parts.append(baseline.encode(y=alt.Y("base:Q")))
    if has_slope:
        curve = alt.Chart(rows("curve")).mark_line(color=THEMES[mode].text, strokeWidth=2)
        parts.append(curve.encode(x=alt.X("left:Q"), y=alt.Y("base:Q")))
        said = alt.Chart(rows("words")).mark_text(align="left", dx=4, fontSize=11)
        parts.append(said.encode(x=alt.value(0), y=alt.Y("base:Q"), text="word:N"))
    if named:
        parts.append(modules_layer())
    height = int(ROW_PIXELS * (count + top)) + 20
    return finish(alt.layer(*parts), mode, height)


def _ridge_rows(histogram: pd.DataFrame, numbers: list[int]) -> pd.DataFrame:
    """Place the finite bins of the drawn layers; every ridge is scaled to its own peak."""
    total = histogram.groupby("layer_index")["count"].transform("sum")
    frame = histogram.assign(share=histogram["count"] / total)
    finite = np.isfinite(frame["bin_left"]) & np.isfinite(frame["bin_right"])
    frame = frame[finite & frame["layer_index"].isin(numbers)]
    peak = frame.groupby("layer_index")["count"].transform("max").clip(lower=1)
    place = {number: len(numbers) - 1 - row for row, number in enumerate(numbers)}
    base = frame["layer_index"].map(place).astype(float)
    return pd.DataFrame(
        {
            "name": frame["layer"].map(spoken),
            "number": frame["layer_index"].astype(float),
            "left": frame["bin_left"],
            "right": frame["bin_right"],
            "base": base,
            "peak": base + RIDGE_HEIGHT * frame["count"] / peak,
            "count": frame["count"].astype(float),
            "share": frame["share"].map(percent),
        }
    )[frame["count"] > 0].reset_index(drop=True)


def _slope_frames(activation: str, low: float, high: float, top: float) -> dict[str, pd.DataFrame]:
    """Give the curve of abs(phi'), the zones where it counts as saturated, and their words."""
    entry = ACTIVATIONS.get(activation)
    if entry is None or entry.slope_sup == 0:
        curve = pd.DataFrame({"left": [low, high], "base": [top, top]})
        flat = pd.DataFrame({"left": [low], "right": [high]}) if entry else _no_zone()
        return {"curve": curve, "flat": flat, "words": _words(top, "slope 0 everywhere")}
    z = np.linspace(low, high, CURVE_POINTS)
    slope = np.abs(np.asarray(entry.derivative(z)))
    curve = pd.DataFrame({"left": z, "base": top + slope / entry.slope_sup})
    is_flat = slope < SATURATION_TAU * entry.slope_sup
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_flat.astype(int), [0]])))
    starts, ends = z[edges[::2]], z[np.minimum(edges[1::2], len(z) - 1)]
    flat = pd.DataFrame({"left": starts, "right": ends})
    return {"curve": curve, "flat": flat, "words": _words(top, "slope φ′(z)")}


def _no_zone() -> pd.DataFrame:
    return pd.DataFrame({"left": [], "right": []}).astype(float)


def _words(top: float, text: str) -> pd.DataFrame:
    return pd.DataFrame({"base": [top + 0.5], "word": [text]})


def _outside_words(histogram: pd.DataFrame) -> tuple[str, ...]:
    """Say how much lies outside the axis, is exactly 0 or is not finite."""
    total = max(1, int(histogram["count"].sum()))
    left, right, count = histogram["bin_left"], histogram["bin_right"], histogram["count"]
    is_zero = np.isneginf(left) & np.isneginf(right)
    parts = {
        "exactly 0": count[is_zero].sum(),
        "below the axis": count[np.isneginf(left) & ~is_zero].sum(),
        "above the axis": count[np.isposinf(right)].sum(),
        "not finite": count[left.isna()].sum(),
    }
    said = [f"{percent(number / total)} {words}" for words, number in parts.items() if number]
    return (f"Of all entries: {', '.join(said)}.",) if said else ()


_HOW_TO_READ = {
    "pre_activation": (
        "One hill a layer, the input on top: where the inputs z of the activation lie at this step. The "
        "curve is the activation's slope φ′(z), which backpropagation multiplies by. In the shaded zone "
        f"it is below {SATURATION_TAU:.3f} of its largest value: units there are saturated (the "
        "same as |tanh| > 0.97; Karpathy's makemore, part 3). Every hill is scaled to its own peak."
    ),
    "activation": (
        "One hill a layer, the input on top: where the outputs h of the activation lie at this step. "
        "Hills that shrink to a needle carry no difference between inputs any more; hills piled up at "
        "the ends are saturated (Glorot & Bengio 2010, figures 4 and 6). Every hill is scaled to its "
        "own peak."
    ),
    "delta": (
        "One hill a layer, the input on top: the sizes of the single entries of ∂L/∂z, by powers of ten. "
        "Hills that wander left toward the input are a vanishing gradient (Glorot & Bengio 2010, "
        "figure 7)."
    ),
    "weight_grad": (
        "One hill a layer, the input on top: the sizes of the single entries of ∂L/∂W, by powers of ten "
        "(Glorot & Bengio 2010, figure 8)."
    ),
}


def _visible_range(frame: pd.DataFrame, quantity: str, activations: set[str]) -> tuple[float, float]:
    if quantity not in ("delta", "weight_grad") or frame.empty:
        edges = [bin_edges(quantity, activation) for activation in sorted(activations)]
        return min(float(e[0]) for e in edges), max(float(e[-1]) for e in edges)
    return float(np.floor(frame["left"].min())), float(np.ceil(frame["right"].max()))


def _counted(run: Run, step: int, quantity: str) -> np.ndarray:
    """Give 0 for every layer with a histogram, NaN for one without."""
    rows_of = run.record_at(step, probe=True).histograms[quantity]
    return np.array([np.nan if counts is None else 0.0 for counts in rows_of])


def ridges(run: Run, step: int, mode: Mode, quantity: str) -> Chart:
    """Histograms of one quantity at the probe record nearest to a step, one ridge a layer."""
    if not run.has_probes:
        name = f"{quantity}_histograms"
        return without_probes(name, f"{TITLES[quantity]} per layer", _HOW_TO_READ[quantity])
    histogram = histogram_at(run, step, quantity)
    at = run.record_at(step, probe=True).step
    layers = run.hidden if quantity == "activation" else run.layers
    if quantity == "pre_activation":
        layers = run.hidden  # the output has no activation whose slope could be drawn
    histogram = histogram[histogram["layer_index"] <= len(layers)]
    numbers = [layers[place].index for place in spread(len(layers), MAX_LINES)]
    frame = _ridge_rows(histogram, numbers)
    words = tuple("out" if n == len(run.layers) else str(n) for n in numbers)
    present = Counter(layer.activation for layer in layers)
    low, high = _visible_range(frame, quantity, set(present) or {"identity"})
    frames = {
        "rows": frame,
        "lines": pd.DataFrame({"base": np.arange(len(numbers), dtype=float)}),
    }
    if quantity == "pre_activation":
        bent = present.copy()
        bent.pop("identity", None)
        activation = (bent or present or Counter(["identity"])).most_common(1)[0][0]
        frames |= _slope_frames(activation, low, high, len(numbers) - 1 + RIDGE_HEIGHT)
        if len(present) > 1:
            frames["words"] = _words(len(numbers) - 1 + RIDGE_HEIGHT, f"slope φ′(z) of {activation}")
    named = has_module_names(run)
    if named:
        frames["modules"] = modules_frame([run.layers[n - 1].name for n in reversed(numbers)])
    return Chart(
        name=f"{quantity}_histograms",
        title=f"{TITLES[quantity]} per layer, step {at}",
        how_to_read=_HOW_TO_READ[quantity],
        alt_text=f"Histograms of {AXIS_TITLES[quantity]} for {len(layers)} layers at step {at}.",
        spec=_spec(mode, quantity, words, len(run.hidden), low, high, named=named),
        frames=frames,
        make_table=lambda: histogram.reset_index(drop=True),
        notes=(
            left_out_notes(len(numbers), len(layers), "layers")
            + _outside_words(histogram)
            + missing_notes(run, _counted(run, at, quantity)[: len(layers)])
        ),
    )
