"""Charts of a collapse: network against one matrix, that matrix, its shape and its singular values."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import DECADE_LABEL, Chart, decade_ticks, decades, finish, left_out_notes, rows, spread
from nnlab.collapse import Collapse, collapse, count_rank, rank_tolerance, singular_values
from nnlab.network import Layer, Network
from nnlab.numerals import percent, scientific
from nnlab.palette import CATEGORIES, THEMES, UNDEFINED_COLOR, ZERO_COLOR, Mode, blue, interpolate, text_on

MAX_DOTS = 400
MAX_ROWS = 24  # matrix rows drawn; with all 64 columns that is under 1,600 cells
NUMBERED_COLUMNS = 12  # beyond these, numbers of five characters do not fit into a cell
CELL_FOR_NUMBER = 42  # pixels that "-3.0e-03" needs; narrower cells leave the number to the tooltip
MAX_LABELS = 12  # of two digits each, on an axis as wide as a phone
# Heights of a matrix row: of a few rows, of many with a number in each cell, of many without.
ROW_PIXELS, NUMBER_PIXELS, THIN_PIXELS = 26, 18, 13
MARGIN = 0.06  # free share of the axis on each side, so that no dot is cut
WIDTHS_HEIGHT = 220
KINDS = ("layer", "narrowest ▲", "one matrix")
STATES = ("comes through", "rounding, in truth 0", "exactly 0")
DIVERGING_ENDS = (CATEGORIES[5], CATEGORIES[0])  # vermilion below 0, blue above: safe for color-blind readers


def agreement(network: Network, x: np.ndarray, mode: Mode) -> Chart:
    """Every output of the network against what the one composed matrix gives; on the diagonal if equal.

    Raises:
        ValueError: x has no rows or not as many columns as the network has inputs.
    """
    found = collapse(network, x)
    dots, total = _dots(network, found, x)
    finite = dots[np.isfinite(dots["short"]) & np.isfinite(dots["long"])]
    low, high = _span(finite[["short", "long"]].to_numpy())
    lost = len(dots) - len(finite)
    notes = left_out_notes(len(dots), total, "outputs")
    if lost:
        notes += (f"{lost} outputs are not finite and cannot be drawn.",)
    return Chart(
        name="collapse_agreement",
        title="The network against one matrix",
        how_to_read=(
            "One dot an output of an example: across, what the single matrix says, W'x + b', where W' and "
            "b' are all layers multiplied out; upward, what the network itself says. On the dashed diagonal "
            "both say the same. Without activations every dot lies there: y = W₂(W₁x + b₁) + b₂ = "
            "(W₂W₁)x + (W₂b₁ + b₂) (Goodfellow et al. 2016, section 6.1). A dot off the diagonal is what the "
            "activation does and no single matrix can."
        ),
        alt_text=_agreement_words(found),
        spec=_agreement_spec(mode, low, high),
        frames={"rows": finite, "diagonal": pd.DataFrame({"short": [low, high], "long": [low, high]})},
        make_table=lambda: _all_outputs(network, found, x),
        notes=notes,
    )


def _agreement_words(found: Collapse) -> str:
    if not math.isfinite(found.error_float64):
        return "Some outputs are not finite numbers, so their difference is undefined."
    if found.is_same:
        return (
            "All outputs lie on the diagonal: the network and one matrix differ by at most "
            f"{scientific(found.error_float64)}."
        )
    return (
        f"The outputs lie off the diagonal: one matrix misses the network by {percent(found.miss)} of the "
        f"outputs' size, at most by {scientific(found.error_float64)}."
    )


def _all_outputs(network: Network, found: Collapse, x: np.ndarray) -> pd.DataFrame:
    with np.errstate(all="ignore"):
        long = network.astype(np.float64).outputs(x.astype(np.float64))
        short = x @ found.composed.weight.T + found.composed.bias
        difference = long - short
    examples, outputs = long.shape
    return pd.DataFrame(
        {
            "example": np.repeat(np.arange(1, examples + 1), outputs),
            "output": np.tile(np.arange(1, outputs + 1), examples),
            "one_matrix": short.ravel(),
            "network": long.ravel(),
            "difference": difference.ravel(),
        }
    )


def _dots(network: Network, found: Collapse, x: np.ndarray) -> tuple[pd.DataFrame, int]:
    """Give the dots to draw and how many there are in all."""
    table = _all_outputs(network, found, x)
    drawn = table.iloc[spread(len(table), MAX_DOTS)].reset_index(drop=True)
    frame = pd.DataFrame(
        {
            "example": drawn["example"].astype(float),
            "output": drawn["output"].astype(float),
            "short": drawn["one_matrix"],
            "long": drawn["network"],
            "exact": [scientific(value) for value in drawn["difference"]],
        }
    )
    return frame, len(table)


def _span(values: np.ndarray) -> tuple[float, float]:
    """Give an axis that holds all values with a margin; one around 0 if there are none."""
    if not values.size:
        return -1.0, 1.0
    low, high = float(values.min()), float(values.max())
    pad = MARGIN * (high - low) or max(1.0, abs(high))
    return low - pad, high + pad


@lru_cache(maxsize=64)
def _agreement_spec(mode: Mode, low: float, high: float) -> dict[str, Any]:
    scale = alt.Scale(domain=[low, high], nice=False)
    x = alt.X("short:Q", title="one matrix: W'x + b'", scale=scale).axis(tickCount=5)
    y = alt.Y("long:Q", title="the network", scale=scale).axis(tickCount=5)
    tooltip = [
        alt.Tooltip("example:Q", title="example", format="d"),
        alt.Tooltip("output:Q", title="output", format="d"),
        alt.Tooltip("short:Q", title="one matrix", format=".4~g"),
        alt.Tooltip("long:Q", title="network", format=".4~g"),
        alt.Tooltip("exact:N", title="difference"),
    ]
    line = alt.Chart(rows("diagonal")).mark_line(
        color=THEMES[mode].muted, strokeDash=[6, 4], strokeWidth=1.5, clip=True
    )
    word = alt.Chart(rows("diagonal")).transform_filter(f"datum.short == {high!r}")
    word = word.mark_text(align="right", dx=-14, dy=2, baseline="bottom", color=THEMES[mode].muted)
    dots = alt.Chart(rows()).mark_point(shape="circle", filled=True, size=26, opacity=0.65, color=blue(mode))
    parts = [
        line.encode(x=x, y=y),
        dots.encode(x=x, y=y, tooltip=tooltip),
        word.encode(x=x, y=y, text=alt.value("the same")),
    ]
    return finish(alt.layer(*parts), mode, 300)


def composed_matrix(network: Network, mode: Mode) -> Chart:
    """Heat map of the one matrix W' that all layers are together, and of its bias b'."""
    one = _composed(network)
    lines = spread(one.fan_out, MAX_ROWS)
    frame = _cells(one.weight, one.bias, lines, mode)
    columns = one.fan_in
    notes = left_out_notes(len(lines), one.fan_out, "rows")
    if not np.isfinite(frame["value"]).all():
        notes += ("Numbers that are not finite are drawn in vermilion with the word.",)
    if columns > NUMBERED_COLUMNS:
        notes += (
            f"Numbers stand in the cells up to {NUMBERED_COLUMNS} inputs; touch a cell for its number.",
        )
    largest = float(np.abs(np.append(one.weight, one.bias)).max())
    layers = len(network.layers)
    return Chart(
        name="composed_matrix",
        title=f"The one matrix W' and bias b' of {layers} layers" if layers > 1 else "The matrix and bias",
        how_to_read=(
            "One row an output, one column an input; the last column, set apart, is the bias b'. A cell is "
            "what its output gains when its input grows by 1, if no activation stands between the layers. "
            "Blue is positive, vermilion negative, faint near 0; matrix and bias each have their own color "
            "scale, up to their largest number. W' = W_L ... W₂W₁, and b' is each bias taken through the "
            "matrices after it (Goodfellow et al. 2016, section 6.1)."
        ),
        alt_text=(
            f"One matrix of {one.fan_out} x {one.fan_in} with a bias column; the largest entry is "
            f"{scientific(largest)} in size."
        ),
        spec=_matrix_spec(mode, columns, tuple(line + 1 for line in lines)),
        frames={"rows": frame},
        make_table=lambda: _matrix_table(one.weight, one.bias),
        notes=notes,
    )


def _composed(network: Network) -> Layer:
    with np.errstate(all="ignore"):  # what overflows is inf or NaN in the picture, and said
        return network.astype(np.float64).composed()


def _matrix_table(weight: np.ndarray, bias: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(weight, columns=[f"input_{number + 1}" for number in range(weight.shape[1])])
    table.insert(0, "output", np.arange(1, len(weight) + 1))
    return table.assign(bias=bias)


def _cells(weight: np.ndarray, bias: np.ndarray, lines: list[int], mode: Mode) -> pd.DataFrame:
    """Place the cells: column 1 .. n are the inputs, the bias follows after a gap of half a column."""
    columns = weight.shape[1]
    whole = np.column_stack([weight, bias])
    values = whole[lines].ravel()
    scales = np.tile([*[_largest(weight)] * columns, _largest(bias)], len(lines))
    colors = [_diverging(value / scale, mode) for value, scale in zip(values, scales, strict=True)]
    left = np.append(np.arange(columns) + 0.5, columns + 1.0)
    return pd.DataFrame(
        {
            "left": np.tile(left, len(lines)),
            "right": np.tile(left + 1, len(lines)),
            "middle": np.tile(left + 0.5, len(lines)),
            "top": np.repeat(np.arange(len(lines)) + 0.5, columns + 1),
            "bottom": np.repeat(np.arange(len(lines)) + 1.5, columns + 1),
            "center": np.repeat(np.arange(len(lines)) + 1.0, columns + 1),
            "output": [f"output {line + 1}" for line in lines for _ in range(columns + 1)],
            "input": [*(f"input {number + 1}" for number in range(columns)), "bias"] * len(lines),
            "value": values,
            "exact": [scientific(value) for value in values],
            "color": colors,
            "ink": [text_on(color) for color in colors],
        }
    )


def _largest(values: np.ndarray) -> float:
    """Give the largest finite size, 1 if there is none but 0."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0.0)) or 1.0


def _diverging(position: float, mode: Mode) -> str:
    """Give the color of a share from -1 to 1 of the largest number; pale (or dark) at 0."""
    if not np.isfinite(position):
        return UNDEFINED_COLOR
    middle = THEMES[mode].panel
    return interpolate((DIVERGING_ENDS[0], middle, DIVERGING_ENDS[1]), (position + 1) / 2)


@lru_cache(maxsize=64)
def _matrix_spec(mode: Mode, columns: int, outputs: tuple[int, ...]) -> dict[str, Any]:
    lines, right = len(outputs), columns + 2.0
    plain: dict[str, Any] = {"grid": False, "ticks": False, "domain": False}
    words = f"datum.value > {columns} ? \"b'\" : format(datum.value, 'd')"
    x_axis = alt.Axis(values=[*_every(columns), columns + 1.5], labelExpr=words, **plain)
    x = alt.X("left:Q", title="input", axis=x_axis).scale(domain=[0.5, right], nice=False)
    # The rows may be thinned: place 2 is then not output 2.
    y_axis = alt.Axis(values=_every(lines), labelExpr=f"{list(outputs)}[datum.value - 1]", **plain)
    y = alt.Y("top:Q", title="output", axis=y_axis).scale(domain=[lines + 0.5, 0.5], nice=False)
    tooltip = [
        alt.Tooltip("output:N", title="to"),
        alt.Tooltip("input:N", title="from"),
        alt.Tooltip("exact:N", title="weight"),
    ]
    cells = alt.Chart(rows()).mark_rect(stroke=THEMES[mode].background, strokeWidth=0.5)
    color = alt.Color("color:N", scale=None)
    parts = [cells.encode(x=x, x2="right:Q", y=y, y2="bottom:Q", color=color, tooltip=tooltip)]
    if columns <= NUMBERED_COLUMNS:
        fits = alt.ExprRef(f"width / {right - 0.5} >= {CELL_FOR_NUMBER} ? 1 : 0")
        numbers = alt.Chart(rows()).mark_text(fontSize=11, opacity=fits)
        place = {"x": alt.X("middle:Q"), "y": alt.Y("center:Q"), "color": alt.Color("ink:N", scale=None)}
        parts.append(numbers.encode(**place, text="exact:N", tooltip=tooltip))
    return finish(alt.layer(*parts), mode, max(60, lines * _row_pixels(columns, lines)))


def _row_pixels(columns: int, lines: int) -> int:
    if lines <= MAX_LABELS:
        return ROW_PIXELS
    return NUMBER_PIXELS if columns <= NUMBERED_COLUMNS else THIN_PIXELS


def _every(count: int) -> list[int]:
    """Give the places from 1 on that get a label, evenly spaced."""
    return list(range(1, count + 1, math.ceil(count / MAX_LABELS)))


def layer_widths(network: Network, mode: Mode) -> Chart:
    """How many numbers pass from layer to layer, the narrowest marked, beside the one matrix."""
    widths = network.widths
    frame = _bars(widths)
    chain = ", ".join(str(width) for width in widths)
    return Chart(
        name="layer_widths",
        title="Numbers that pass each layer",
        how_to_read=(
            "One bar a layer, from the inputs to the outputs; its height is the number of neurons. The "
            "narrowest is set apart by its color and the sign ▲. The pair after the equals sign is all that "
            "is left without activations: one matrix from the inputs to the outputs. Its rank can be no "
            "larger than the narrowest bar, since rank(AB) ≤ min(rank A, rank B) (Strang 2016, Introduction "
            "to Linear Algebra)."
        ),
        alt_text=f"Widths from inputs to outputs: {chain}; the narrowest is {min(widths)}.",
        spec=_widths_spec(mode, len(widths), max(widths)),
        frames={"rows": frame, "equals": pd.DataFrame({"place": [len(widths) + 1.1], "sign": ["="]})},
        make_table=lambda: frame[["layer", "width"]].iloc[: len(widths)].reset_index(drop=True),
    )


def _bars(widths: tuple[int, ...]) -> pd.DataFrame:
    """Place the bars of the layers at 1, 2, ... and, after a gap, those of the one matrix."""
    last = len(widths) - 1
    between = range(1, last)
    places = np.array([*range(1, last + 2), last + 3.2, last + 4.2])
    shown = np.array([*widths, widths[0], widths[-1]])
    is_layer = np.arange(len(shown)) <= last
    is_narrowest = is_layer & (shown == min(widths))
    return pd.DataFrame(
        {
            "place": places,
            "left": places - 0.4,
            "right": places + 0.4,
            "low": -shown / 2,
            "high": shown / 2,
            "width": shown,
            "label": ["in", *(str(number) for number in between), "out", "in", "out"],
            "layer": [
                *("inputs", *(f"hidden layer {number}" for number in between), "outputs"),
                *("inputs of the one matrix", "outputs of the one matrix"),
            ],
            "kind": np.where(is_narrowest, KINDS[1], np.where(is_layer, KINDS[0], KINDS[2])),
            "sign": np.where(is_narrowest, "▲", ""),
        }
    )


@lru_cache(maxsize=64)
def _widths_spec(mode: Mode, count: int, widest: int) -> dict[str, Any]:
    theme = THEMES[mode]
    color = (
        alt.Color("kind:N", title=None)
        .scale(domain=list(KINDS), range=[blue(mode), CATEGORIES[1], CATEGORIES[2]])
        .legend(orient="top", symbolType="square", columns=3)
    )
    x = alt.X("left:Q", axis=None).scale(domain=[0.4, count + 3.8], nice=False)
    y = alt.Y("low:Q", axis=None).scale(domain=[-0.8 * widest, 0.68 * widest], nice=False)
    tooltip = [alt.Tooltip("layer:N", title="layer"), alt.Tooltip("width:Q", title="numbers", format="d")]
    base = alt.Chart(rows())
    middle = alt.X("place:Q")
    counts = base.mark_text(dy=-8, color=theme.text, fontSize=12, fontWeight="bold")
    signs = base.mark_text(dy=10, color=theme.text, fontSize=11)
    names = base.mark_text(color=theme.muted, fontSize=11, baseline="bottom")
    equals = alt.Chart(rows("equals")).mark_text(fontSize=22, color=theme.text)
    parts = [
        base.mark_rect(cornerRadius=2).encode(
            x=x, x2="right:Q", y=y, y2="high:Q", color=color, tooltip=tooltip
        ),
        counts.encode(x=middle, y=alt.Y("high:Q"), text="width:Q"),
        signs.encode(x=middle, y=alt.Y("low:Q"), text="sign:N"),
        names.encode(x=middle, y=alt.value(WIDTHS_HEIGHT - 2), text="label:N"),
        equals.encode(x=middle, y=alt.datum(0), text="sign:N"),
    ]
    return finish(alt.layer(*parts), mode, WIDTHS_HEIGHT)


def bottleneck(network: Network, mode: Mode) -> Chart:
    """Singular values of the one matrix: how many directions it lets through."""
    values = singular_values(_composed(network))
    tolerance = rank_tolerance(network)
    rank = count_rank(values, tolerance)
    frame = _value_rows(values, tolerance)
    low, high = decades(values)
    floor = float(f"1e{low - 1}")
    used = tuple(state for state in STATES if (frame["state"] == state).any())
    has_zero = STATES[2] in used
    frame["shown"] = np.where(values == 0, floor, values)
    narrowest = min(network.widths)
    is_finite = rank is not None
    said = f"{rank} of {len(values)} singular values are not 0" if is_finite else "the rank is undefined"
    return Chart(
        name="bottleneck",
        title="Directions the one matrix keeps",
        how_to_read=(
            "The singular values of W', largest first: by how much it stretches each of its independent "
            "directions. Their number that is not 0 is the rank. Crosses are 0 in truth and stand for "
            "rounding alone: they are below the sum of all widths times 2.2e-16 of the largest (Golub & Van "
            "Loan 2013, section 5.4, with max(m, n) for one given matrix). Right of the dashed line, behind "
            "the narrowest layer, none can be anything else."
        ),
        alt_text=f"Singular values of the one matrix: {said}; the narrowest layer has {narrowest}.",
        spec=_values_spec(mode, len(values), narrowest, (low - 1 if has_zero else low, high), used),
        frames={
            "rows": frame[np.isfinite(values)],
            "narrow": pd.DataFrame({"place": [narrowest + 0.5], "word": [f"narrowest layer: {narrowest}"]}),
        },
        make_table=lambda: pd.DataFrame(
            {"number": np.arange(1, len(values) + 1), "singular_value": values, "kind": frame["state"]}
        ),
        notes=() if is_finite else ("Undefined where the numbers are not finite.",),
        is_empty=not is_finite,
    )


def _value_rows(values: np.ndarray, tolerance: float) -> pd.DataFrame:
    counted = values > tolerance * values[0]
    state = np.where(counted, STATES[0], np.where(values == 0, STATES[2], STATES[1]))
    return pd.DataFrame(
        {
            "number": np.arange(1, len(values) + 1, dtype=float),
            "value": values,
            "exact": [scientific(value) for value in values],
            "state": np.where(np.isfinite(values), state, "undefined"),
        }
    )


@lru_cache(maxsize=64)
def _values_spec(
    mode: Mode, count: int, narrowest: int, log_range: tuple[int, int], states: tuple[str, ...]
) -> dict[str, Any]:
    theme, (low, high) = THEMES[mode], log_range
    x = (
        alt.X("number:Q", title="direction, the strongest first")
        .axis(values=[place + 1 for place in spread(count, 12)], format="d", grid=False)
        .scale(domain=[0.5, count + 0.6], nice=False)
    )
    y = (
        alt.Y("shown:Q", title="singular value")
        .scale(type="log", domain=[0.5 * float(f"1e{low}"), 2 * float(f"1e{high}")], nice=False)
        .axis(values=decade_ticks(low + (STATES[2] in states), high), labelExpr=DECADE_LABEL)
    )
    color, shape = _state_looks(mode, states)
    tooltip = [
        alt.Tooltip("number:Q", title="direction", format="d"),
        alt.Tooltip("exact:N", title="singular value"),
        alt.Tooltip("state:N", title="kind"),
    ]
    dots = alt.Chart(rows()).mark_point(filled=True, size=70, opacity=1)
    rule = alt.Chart(rows("narrow")).mark_rule(strokeDash=[6, 4], strokeWidth=1.5, color=theme.text)
    # The word stands where no dots are: right of the line on top, or left of it at the bottom.
    is_left = narrowest <= count / 2
    word = alt.Chart(rows("narrow")).mark_text(
        align="left" if is_left else "right", dx=6 if is_left else -6, color=theme.text
    )
    parts = [
        rule.encode(x=alt.X("place:Q")),
        dots.encode(x=x, y=y, color=color, shape=shape, tooltip=tooltip),
        word.encode(x=alt.X("place:Q"), y=alt.value(10 if is_left else 270), text="word:N"),
    ]
    return finish(alt.layer(*parts), mode, 280)


def _state_looks(mode: Mode, states: tuple[str, ...]) -> tuple[alt.Color, alt.Shape]:
    """Give color and shape of the kinds of singular values that occur; the legend lists no others."""
    looks = {
        STATES[0]: (blue(mode), "circle"),
        STATES[1]: (CATEGORIES[5], "cross"),
        STATES[2]: (ZERO_COLOR, "triangle-down"),
    }
    legend = alt.Legend(orient="top", columns=2)
    colors, shapes = [looks[state][0] for state in states], [looks[state][1] for state in states]
    color = alt.Color("state:N", title=None, legend=legend).scale(domain=list(states), range=colors)
    shape = alt.Shape("state:N", title=None, legend=legend).scale(domain=list(states), range=shapes)
    return color, shape
