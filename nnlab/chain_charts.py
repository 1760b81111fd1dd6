"""Charts of the chain rule: the error signal on its way back, and which weights it reaches."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.activations import ACTIVATIONS
from nnlab.chain import ChainRule, disagreement
from nnlab.chart import (
    DECADE_LABEL,
    LOWEST_DECADE,
    Chart,
    decade_ticks,
    decades,
    finish,
    layer_axis,
    layer_ticks,
    rows,
    state_of,
)
from nnlab.numerals import scientific
from nnlab.palette import CATEGORIES, THEMES, UNDEFINED_COLOR, Mode, blue

BOUND = "largest possible slopes, multiplied"
SLOPES = "slopes at this network's z, multiplied"
BY_HAND = "slopes and weights: the chain rule by hand"
AUTOGRAD = "PyTorch's autograd (circles)"
ORDER = (BOUND, SLOPES, BY_HAND, AUTOGRAD)


def _log_axis(low: int, high: int, title: str) -> alt.Y:
    return (
        alt.Y("shown:Q", title=title)
        .scale(type="log", domain=[float(f"1e{low}"), float(f"1e{high}")], nice=False)
        .axis(values=decade_ticks(low, high), labelExpr=DECADE_LABEL)
    )


@lru_cache(maxsize=64)
def _signal_spec(mode: Mode, depth: int, low: int, high: int) -> dict[str, Any]:
    colors = [CATEGORIES[1], CATEGORIES[2], blue(mode), THEMES[mode].text]
    color = (
        alt.Color("series:N", title=None)
        .scale(domain=list(ORDER), range=colors)
        .legend(orient="top", columns=1, symbolType="stroke", symbolStrokeWidth=3, symbolSize=500)
    )
    dash = alt.StrokeDash("series:N", title=None).scale(
        domain=list(ORDER), range=[[2, 4], [8, 4], [1, 0], [1, 0]]
    )
    x = alt.X("layer:Q", title="hidden layer, from input to output").scale(
        domain=[0.7, depth + 0.3], nice=False
    )
    x = x.axis(values=layer_ticks(depth), format="d", grid=False)
    tooltip = [
        alt.Tooltip("layer:Q", title="layer"),
        alt.Tooltip("series:N", title="of"),
        alt.Tooltip("exact:N", title="share of the signal"),
    ]
    base = alt.Chart(rows()).encode(
        x=x, y=_log_axis(low, high, "share of the error signal that is left"), color=color
    )
    lines = base.transform_filter(alt.FieldOneOfPredicate("series", [BOUND, SLOPES, BY_HAND]))
    lines = lines.transform_filter("datum.state == 'value'")
    dots = base.transform_filter(alt.FieldEqualPredicate(AUTOGRAD, "series"))
    marks = dots.mark_point(size=70, strokeWidth=1.8, filled=False).encode(tooltip=tooltip)
    zeros = dots.transform_filter("datum.state == 'zero'").mark_text(dy=-14, fontSize=11)
    words = zeros.encode(text=alt.value("0"), color=alt.value(THEMES[mode].text))
    return finish(
        alt.layer(lines.mark_line(strokeWidth=2.2).encode(strokeDash=dash), marks, words), mode, 300
    )


def error_signal(rule: ChainRule, autograd: np.ndarray, mode: Mode) -> Chart:
    """What is left of the error signal below every layer; `autograd` has shape (L,)."""
    parts = dict(zip(ORDER, (rule.bound, rule.slopes, rule.signal, autograd), strict=True))
    long = pd.concat(
        [
            pd.DataFrame({"layer": np.arange(1.0, rule.depth + 1), "series": words, "value": values})
            for words, values in parts.items()
        ],
        ignore_index=True,
    )
    # Never less than the three decades down to a thousandth: a small loss must look small.
    low, high = decades(np.append(long["value"].to_numpy(), [1.0, 1e-3]))
    frame = long.drop(columns="value").assign(
        state=state_of(long["value"].to_numpy()),
        exact=[scientific(value) for value in long["value"]],
        shown=np.maximum(long["value"].to_numpy(), float(f"1e{max(low, LOWEST_DECADE)}")),
    )
    label = ACTIVATIONS[rule.activation].label
    zeros = int(np.sum(rule.signal == 0))
    note = f"{zeros} of {rule.depth} layers get exactly 0; they stand on the lowest line, marked 0."
    return Chart(
        name="error_signal",
        title=f"What is left of the error signal, {rule.depth} layers of {label}",
        how_to_read=(
            "Read from right to left: the error signal comes in at the last layer and is multiplied by "
            "weights and by the slope φ′(z) at every layer: δₗ = (Wₗ₊₁ᵀ δₗ₊₁) · φ′(zₗ) (Rumelhart, Hinton & "
            "Williams 1986). The **dotted** line multiplies the largest slope φ can have, the **dashed** one "
            "the root mean square of the slopes this network really has, the **full** one does the whole "
            "chain rule by hand. The circles are PyTorch's automatic differentiation of the same network."
        ),
        alt_text=f"At layer 1, {scientific(rule.signal[0])} of the error signal is left; the slopes alone "
        f"leave {scientific(rule.slopes[0])}. By hand and by autograd differ by "
        f"{scientific(disagreement(rule, autograd))}.",
        spec=_signal_spec(mode, rule.depth, low, max(high, 0)),
        frames={"rows": frame},
        make_table=lambda: long.pivot(index="layer", columns="series", values="value")[
            list(ORDER)
        ].reset_index(),
        notes=(note,) if zeros else (),
    )


@lru_cache(maxsize=64)
def _reached_spec(mode: Mode, layers: int, low: int, high: int, names: tuple[str, ...]) -> dict[str, Any]:
    colors = [blue(mode), CATEGORIES[5]][: len(names)]
    shapes = ["circle", "cross"][: len(names)]
    color = alt.Color("name:N", title=None).scale(domain=list(names), range=colors).legend(orient="top")
    shape = alt.Shape("name:N", title=None).scale(domain=list(names), range=shapes).legend(orient="top")
    x = alt.X("layer:Q", title="layer, from input to output").axis(layer_axis(layers))
    base = alt.Chart(rows()).encode(
        x=x.scale(domain=[0.5, layers + 0.5], nice=False),
        y=_log_axis(low, high, "gradient norm of its weights"),
        color=color,
    )
    tooltip = [
        alt.Tooltip("name:N", title="activation"),
        alt.Tooltip("layer:Q", title="layer"),
        alt.Tooltip("exact:N", title="gradient norm"),
    ]
    points = base.mark_point(filled=True, size=140, opacity=1).encode(shape=shape, tooltip=tooltip)
    zeros = base.transform_filter("datum.state == 'zero'").mark_text(dy=-16, fontSize=12, fontWeight="bold")
    words = zeros.encode(text=alt.value("0"), color=alt.value(UNDEFINED_COLOR))
    return finish(alt.layer(base.mark_line(strokeWidth=1.5, opacity=0.5), points, words), mode, 260)


def reached_weights(norms: Mapping[str, np.ndarray], mode: Mode) -> Chart:
    """Weight gradient norms of every layer, output last, for one or two activations by name."""
    long = pd.concat(
        [
            pd.DataFrame({"layer": np.arange(1.0, len(v) + 1), "name": ACTIVATIONS[name].label, "value": v})
            for name, v in norms.items()
        ],
        ignore_index=True,
    )
    values = long["value"].to_numpy()
    low, high = decades(values)
    floor = float(f"1e{low - 1}")  # a decade of its own, so that 0 is not taken for the smallest number
    frame = long.drop(columns="value").assign(
        state=state_of(values),
        exact=["exactly 0" if value == 0 else scientific(value) for value in values],
        shown=np.where(values == 0, floor, values),
    )
    layers = int(long["layer"].max())
    zeros = {name: int(np.sum(v[:-1] == 0)) for name, v in norms.items()}
    said = [f"{ACTIVATIONS[name].label}: {count} of {layers - 1}" for name, count in zeros.items()]
    return Chart(
        name="reached_weights",
        title="Which layers get a gradient",
        how_to_read=(
            "The Frobenius norm of dLoss/dW of every layer, by PyTorch's autograd, on one batch before any "
            "training. A weight moves by learning rate times gradient: where that is exactly 0, marked **0** "
            "on the lowest line, it never moves. The step function's slope is 0 everywhere but at its "
            "jump, where it has none; PyTorch takes 0 there too."
        ),
        alt_text="Hidden layers with a gradient of exactly 0: " + "; ".join(said) + ".",
        spec=_reached_spec(mode, layers, low - 1, high, tuple(ACTIVATIONS[name].label for name in norms)),
        frames={"rows": frame},
        make_table=lambda: long,
    )
