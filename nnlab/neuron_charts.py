"""Charts of one neuron: its numbers flowing, its output over one input, its point on the curve."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd

from nnlab.activation_charts import BESIDE_A_KINK
from nnlab.activation_facts import entry_of, facts
from nnlab.chart import Chart, finish, rows
from nnlab.neuron import (
    INPUT_LIMIT,
    INPUTS,
    Neuron,
    at_zero,
    check_which,
    digits,
    exact_or_about,
    in_words,
    threshold,
    threshold_in_words,
)
from nnlab.palette import CATEGORIES, THEMES, ZERO_COLOR, Mode

# Places in the flow picture: x in percent of the width, y in rows; the sum stands between rows 1 and 2.
NODE_X, SUM_X, ACT_X, OUT_X, MIDDLE = 8.0, 52.0, 71.0, 99.0, 1.5
ALONG = 0.4  # where on its edge a weight is written: rows are then still a label apart
ROW_PIXELS, FLOW_ROWS = 70, INPUTS + 1
THINNEST, THICKEST = 1.2, 9.0  # pixels of an edge
SIGNS = ("adds", "subtracts", "adds nothing")
SKETCH_POINTS, SKETCH_HALF = 33, 4.0  # the small curve in the activation's box covers z from -4 to 4
POINTS_PER_Z = 2.5  # a wave of the sine then has 16 points
FEWEST_POINTS, MOST_POINTS = 201, 2001
CURVE_HALF = 6.0  # the curve shows at least z from -6 to 6
TANGENT = 0.12  # half of the tangent's length, in parts of the z axis


def _sign_colors(mode: Mode) -> dict[str, str]:
    return dict(zip(SIGNS, (CATEGORIES[0 if mode == "light" else 4], CATEGORIES[5], ZERO_COLOR), strict=True))


def _signed(value: float) -> str:
    return f"+{value:.4g}" if value > 0 else f"{value:.4g}"


def _sketch(name: str) -> str:
    """Write the activation's curve as an SVG path within -1 and 1, for a symbol of fixed size."""
    z = np.linspace(-SKETCH_HALF, SKETCH_HALF, SKETCH_POINTS)
    phi = np.asarray(entry_of(name).function(z), dtype=float)
    low, high = min(float(phi.min()), 0.0), max(float(phi.max()), 0.0)
    across = 0.8 * z / SKETCH_HALF
    down = 0.7 - 1.4 * (phi - low) / (high - low)
    points = [f"{x:.3f},{y:.3f}" for x, y in zip(across, down, strict=True)]
    if name == "step":  # upright at the jump
        points = [f"-0.8,{down[0]:.3f}", f"0,{down[0]:.3f}", f"0,{down[-1]:.3f}", f"0.8,{down[-1]:.3f}"]
    return "M" + "L".join(points)


def _flow_base(name: str) -> tuple[alt.Chart, alt.X, alt.Y]:
    x = alt.X("x:Q").scale(domain=[0, 100], nice=False, zero=False).axis(None)
    y = alt.Y("y:Q").scale(domain=[FLOW_ROWS - 0.35, -0.6], nice=False, zero=False).axis(None)
    return alt.Chart(rows(name)), x, y


def _flow_edges(mode: Mode) -> list[alt.Chart]:
    colors = _sign_colors(mode)
    base, x, y = _flow_base("edges")
    color = alt.Color("sign:N", title=None).scale(domain=list(colors), range=list(colors.values()))
    color = color.legend(orient="top", symbolType="stroke", symbolStrokeWidth=4, symbolSize=260)
    dash = alt.StrokeDash("sign:N", title=None).scale(domain=list(colors), range=[[1, 0], [7, 3], [2, 3]])
    tooltip = [alt.Tooltip("name:N", title="from"), alt.Tooltip("words:N", title="it adds")]
    line = base.mark_rule(opacity=0.85).encode(
        x=x, y=y, x2="x2:Q", y2="y2:Q", color=color, strokeDash=dash,
        strokeWidth=alt.StrokeWidth("thick:Q", scale=None, legend=None), tooltip=tooltip,
    )  # fmt: skip
    label, x, y = _flow_base("labels")
    background = THEMES[mode].background
    look: dict[str, Any] = {"fontSize": 12, "lineBreak": "\n", "baseline": "middle", "dy": -6}
    halo = label.mark_text(stroke=background, strokeWidth=9, strokeJoin="round", **look)
    word = label.mark_text(color=THEMES[mode].text, **look)
    return [line, *(part.encode(x=x, y=y, text="word:N") for part in (halo, word))]


def _flow_nodes(mode: Mode, activation: str) -> list[alt.Chart]:
    theme = THEMES[mode]
    base, x, y = _flow_base("nodes")
    parts = []
    for kind, shape, size in (("circle", "circle", 2000), ("square", "square", 2000)):
        node = base.transform_filter(f"datum.kind == '{kind}'")
        node = node.mark_point(
            shape=shape,
            size=size,
            filled=True,
            fill=theme.panel,
            stroke=theme.text,
            strokeWidth=1.3,
            opacity=1,
        )
        parts.append(node.encode(x=x, y=y))
    curve = base.transform_filter("datum.kind == 'square'").mark_point(
        shape=_sketch(activation), size=2000, filled=False, stroke=CATEGORIES[5], strokeWidth=2.5, opacity=1
    )
    inside = base.mark_text(fontSize=13, fontWeight="bold", color=theme.text).encode(
        x=x, y=y, text="inside:N"
    )
    above = base.mark_text(fontSize=12, dy=-32, color=theme.muted).encode(x=x, y=y, text="above:N")
    below = base.mark_text(fontSize=13, dy=35, color=theme.text).encode(x=x, y=y, text="below:N")
    return [*parts, curve.encode(x=x, y=y), inside, above, below, *_flow_output(mode)]


def _flow_output(mode: Mode) -> list[alt.Chart]:
    """Write the output at the right border, over the end of its line whatever its length."""
    theme = THEMES[mode]
    base, x, y = _flow_base("output")
    halo = base.mark_text(align="right", fontWeight="bold", stroke=theme.background, strokeWidth=10)
    word = base.mark_text(align="right", fontWeight="bold", color=theme.text)
    name = base.mark_text(align="right", fontSize=12, dy=-32, color=theme.muted)
    size = alt.Size("size:Q", scale=None, legend=None)
    return [
        halo.encode(x=x, y=y, text="word:N", size=size),
        word.encode(x=x, y=y, text="word:N", size=size),
        name.encode(x=x, y=y, text=alt.value("output")),
    ]


@lru_cache(maxsize=64)
def _flow_spec(mode: Mode, activation: str) -> dict[str, Any]:
    arrows, x, y = _flow_base("arrows")
    arrow = arrows.mark_rule(color=THEMES[mode].text, strokeWidth=2, x2Offset=-28).encode(x=x, y=y, x2="x2:Q")
    parts = [*_flow_edges(mode), arrow, *_flow_nodes(mode, activation)]
    return finish(alt.layer(*parts), mode, ROW_PIXELS * FLOW_ROWS + 40)


def _sign(value: float) -> str:
    return SIGNS[2] if value == 0 else SIGNS[0] if value > 0 else SIGNS[1]


def _edge_frames(neuron: Neuron) -> tuple[pd.DataFrame, pd.DataFrame]:
    adds = (*neuron.products, float(neuron.bias))
    largest = max(abs(value) for value in adds) or 1.0
    place = np.arange(FLOW_ROWS, dtype=float)
    edges = pd.DataFrame(
        {
            "name": [*(f"x{number}" for number in range(1, INPUTS + 1)), "bias"],
            "adds": adds,
            "words": [_signed(value) for value in adds],
            "sign": [_sign(value) for value in adds],
            "thick": [THINNEST + (THICKEST - THINNEST) * abs(value) / largest for value in adds],
            "x": NODE_X,
            "y": place,
            "x2": SUM_X,
            "y2": MIDDLE,
        }
    )
    words = [f"× {w:g}\n= {_signed(p)}" for w, p in zip(neuron.weights, neuron.products, strict=True)]
    labels = pd.DataFrame(
        {
            "x": NODE_X + ALONG * (SUM_X - NODE_X),
            "y": place + ALONG * (MIDDLE - place),
            "word": [*words, _signed(float(neuron.bias))],
        }
    )
    return edges, labels


def _node_frame(neuron: Neuron) -> pd.DataFrame:
    records = [
        (NODE_X, float(row), "circle", f"x{row + 1}", f"{value:g}", "")
        for row, value in enumerate(neuron.inputs)
    ]
    records += [
        (NODE_X, float(INPUTS), "circle", "bias b", f"{neuron.bias:g}", ""),
        (SUM_X, MIDDLE, "circle", "sum", "Σ", f"z = {neuron.z:g}"),
        (ACT_X, MIDDLE, "square", "activation", "", neuron.label),
    ]
    return pd.DataFrame(records, columns=["x", "y", "kind", "above", "inside", "below"])


def _output_frame(neuron: Neuron) -> pd.DataFrame:
    """Give the output's text, in smaller letters the longer it is: a phone has 60 pixels for it."""
    word = digits(neuron.output)
    size = 15.0 if len(word) <= 6 else 13.0 if len(word) <= 8 else max(9.0, 115 / len(word))
    return pd.DataFrame({"x": [OUT_X], "y": [MIDDLE], "word": [word], "size": [size]})


def _flow_table(neuron: Neuron) -> pd.DataFrame:
    names = [f"x{number}" for number in range(1, INPUTS + 1)]
    nothing = [math.nan]
    return pd.DataFrame(
        {
            "part": [*names, "bias", "z", "output", "slope"],
            "input": [*neuron.inputs, *nothing * 4],
            "weight": [*neuron.weights, *nothing * 4],
            "value": [*neuron.products, float(neuron.bias), neuron.z, neuron.output, neuron.slope],
        }
    )


def flow(neuron: Neuron, mode: Mode) -> Chart:
    """Inputs times weights, their sum with the bias, the activation and the output, as a picture."""
    edges, labels = _edge_frames(neuron)
    arrows = pd.DataFrame({"x": [SUM_X, ACT_X], "x2": [ACT_X, OUT_X], "y": MIDDLE})
    return Chart(
        name="neuron_flow",
        title=f"One neuron: {neuron.label}({neuron.z:g}) {exact_or_about(neuron.output)}",
        how_to_read=(
            "Read from left to right. Every input (in a circle) is multiplied by its weight. The products "
            "and the bias b add up to z. The activation turns z into the output: φ(w₁x₁ + w₂x₂ + w₃x₃ + b) "
            "(Rosenblatt 1958; Rumelhart, Hinton & Williams 1986). The thicker a line, the more it moves the "
            "sum. Solid lines raise it, dashed ones lower it."
        ),
        alt_text=f"A neuron with three inputs: {in_words(neuron)}.",
        spec=_flow_spec(mode, neuron.activation),
        frames={
            "edges": edges,
            "labels": labels,
            "nodes": _node_frame(neuron),
            "arrows": arrows,
            "output": _output_frame(neuron),
        },
        make_table=lambda: _flow_table(neuron),
    )


def _curve_rows(name: str, low: float, high: float) -> pd.DataFrame:
    """Sample phi over z, fine enough for a wave and for the bend around 0; pieces end where phi jumps."""
    count = min(MOST_POINTS, max(FEWEST_POINTS, round(POINTS_PER_Z * (high - low))))
    found = facts(name)
    bend = np.clip(np.linspace(-CURVE_HALF, CURVE_HALF, FEWEST_POINTS), low, high)
    sides = [kink + side for kink in found.kinks for side in (-BESIDE_A_KINK, BESIDE_A_KINK)]
    z = np.unique(np.concatenate([np.linspace(low, high, count), bend, np.clip(sides, low, high)]))
    jumps = found.kinks if found.differentiable.startswith("it jumps") else ()
    return pd.DataFrame(
        {"z": z, "output": entry_of(name).function(z), "piece": np.searchsorted(jumps, z).astype(float)}
    )


@lru_cache(maxsize=64)
def _line_spec(mode: Mode, x_title: str, domain: tuple[float, float] | None) -> dict[str, Any]:
    x_scale = alt.Scale(domain=list(domain), nice=False) if domain else alt.Scale(zero=False, nice=False)
    ticks = [-20, -10, 0, 10, 20] if domain else alt.Undefined
    x = alt.X("x:Q", title=x_title, scale=x_scale).axis(values=ticks, tickCount=5, labelOverlap=True)
    y = alt.Y("output:Q", title="output φ(z)").scale(zero=False, nice=False).axis(tickCount=5, minExtent=36)
    line = alt.Chart(rows()).mark_line(strokeWidth=2.6, strokeJoin="round", color=CATEGORIES[0])
    tangent = alt.Chart(rows("tangent")).mark_line(strokeWidth=2.4, color=CATEGORIES[1], strokeDash=[6, 3])
    edge = alt.Chart(rows("threshold"))
    rule = edge.mark_rule(color=THEMES[mode].muted, strokeDash=[4, 3], strokeWidth=1.5)
    point = alt.Chart(rows("point")).mark_point(
        size=120, filled=True, color=CATEGORIES[5], stroke=THEMES[mode].background, strokeWidth=1.5, opacity=1
    )
    extent = alt.Chart(rows("extent")).mark_point(opacity=0)
    parts = [
        rule.encode(x=x),
        line.encode(x=x, y=y, detail="piece:Q"),
        tangent.encode(x=x, y=y),
        extent.encode(y=y),
        point.encode(x=x, y=y, tooltip=[alt.Tooltip("word:N", title="now")]),
        *_line_words(mode, x),
    ]
    return finish(alt.layer(*parts), mode, 220)


def _line_words(mode: Mode, x: alt.X) -> list[alt.Chart]:
    """Write the words of the point and of the threshold above the picture, on the side that has room."""
    parts = []
    sides: tuple[tuple[Literal["left", "right"], int], ...] = (("left", 1), ("right", -1))
    colors = {"threshold": THEMES[mode].muted, "point": THEMES[mode].text}
    for name, height in (("threshold", -8), ("point", -25)):
        for align, way in sides:
            word = alt.Chart(rows(name)).transform_filter(f"datum.align == '{align}'")
            word = word.mark_text(align=align, dx=-5 * way, fontSize=12, color=colors[name])
            parts.append(word.encode(x=x, y=alt.value(height), text="word:N"))
    return parts


def _placed(x: float, word: str, low: float, high: float) -> pd.DataFrame:
    """Give one word at x, written to the right of it in the left half and to the left in the right half."""
    align = "left" if x < (low + high) / 2 else "right"
    return pd.DataFrame({"x": [x], "word": [word], "align": [align]})


def _line_frames(drawn: pd.DataFrame, point: pd.DataFrame, edge: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Give the datasets of a line; `extent` leaves air above and below, around a constant line too."""
    low, high = float(drawn["output"].min()), float(drawn["output"].max())
    air = 0.08 * (high - low) or 0.5
    return {
        "rows": drawn,
        "point": point,
        "threshold": edge,
        "tangent": pd.DataFrame({"x": [], "output": []}).astype(float),
        "extent": pd.DataFrame({"output": [low - air, high + air]}),
    }


def _response_rows(neuron: Neuron, which: int) -> pd.DataFrame:
    base, weight = at_zero(neuron, which), neuron.weights[which]
    ends = sorted(base + weight * end for end in (-INPUT_LIMIT, INPUT_LIMIT))
    if not ends[0] < ends[1]:
        flat = pd.DataFrame({"x": [-INPUT_LIMIT, INPUT_LIMIT], "z": neuron.z, "output": neuron.output})
        return flat.assign(piece=0.0)
    curve = _curve_rows(neuron.activation, *ends)
    x = np.clip((curve["z"] - base) / weight, -INPUT_LIMIT, INPUT_LIMIT)
    return curve.assign(x=x).sort_values("x", ignore_index=True)[["x", "z", "output", "piece"]]


def response(neuron: Neuron, which: int, mode: Mode) -> Chart:
    """Output over one input, the others as they are; `which` is 0, 1 or 2.

    Raises:
        ValueError: which is no position of an input.
    """
    drawn, edge = _response_rows(neuron, check_which(which)), threshold(neuron, which)
    name, low, high = f"x{which + 1}", -INPUT_LIMIT, INPUT_LIMIT
    x, is_inside = float(neuron.inputs[which]), edge is not None and abs(edge) <= INPUT_LIMIT
    place = edge if edge is not None and is_inside else 0.0
    at_edge = _placed(place, f"z = 0 at {name} = {place:.4g}", low, high)
    point = _placed(x, f"● now {name} = {x:g}, output {digits(neuron.output)}", low, high)
    frames = _line_frames(drawn, point.assign(output=neuron.output), at_edge if is_inside else at_edge[:0])
    sentence = threshold_in_words(neuron, which)
    lowest, highest = digits(float(drawn["output"].min())), digits(float(drawn["output"].max()))
    return Chart(
        name="neuron_response",
        title=f"Output of the neuron over {name}",
        how_to_read=(
            f"What the neuron gives for every {name} from {low:g} to {high:g} while the other inputs, the "
            "weights and the bias stay as they are. The dot is the neuron now. The dashed line is where the "
            "weighted sum z is 0. The bias moves this line, so it is a threshold (McCulloch & Pitts 1943)."
        ),
        alt_text=f"Output from {lowest} to {highest} for {name} from {low:g} to {high:g}, "
        f"now {digits(neuron.output)} at {x:g}. {sentence}",
        spec=_line_spec(mode, f"{name}, the others as they are", (low, high)),
        frames=frames,
        make_table=lambda: drawn[["x", "z", "output"]].rename(columns={"x": name}),
        notes=() if is_inside else (sentence,),
    )


def _tangent(neuron: Neuron, half: float, height: float) -> pd.DataFrame:
    """Give the tangent's ends, nearer to each other where it would rise out of the picture."""
    rise = abs(half * neuron.slope)
    half *= min(1.0, 0.4 * height / rise) if rise else 1.0
    run = np.array([-half, half])
    return pd.DataFrame({"x": neuron.z + run, "output": neuron.output + run * neuron.slope})


def point_on_curve(neuron: Neuron, mode: Mode) -> Chart:
    """The activation over z, with the neuron's z, its output and its slope."""
    low, high = min(-CURVE_HALF, 1.1 * neuron.z), max(CURVE_HALF, 1.1 * neuron.z)
    drawn = _curve_rows(neuron.activation, low, high).rename(columns={"z": "x"})
    word = f"z = {neuron.z:g}, output {digits(neuron.output)}, slope {digits(neuron.slope)}"
    point = _placed(neuron.z, f"● {word}", low, high).assign(output=neuron.output)
    frames = _line_frames(drawn, point, point[:0])
    frames["tangent"] = _tangent(neuron, TANGENT * (high - low), np.ptp(frames["extent"]["output"]))
    return Chart(
        name="neuron_on_curve",
        title=f"{neuron.label}: where this neuron stands",
        how_to_read=(
            "The curve is the activation φ(z). The dot is the neuron's weighted sum z and its output φ(z). "
            "The dashed line touches the curve there: its steepness is the slope φ′(z), and backpropagation "
            "multiplies the neuron's error signal by it (Rumelhart, Hinton & Williams 1986)."
        ),
        alt_text=f"{neuron.label} for z from {low:.3g} to {high:.3g}; the neuron stands at {word}.",
        spec=_line_spec(mode, "z, the weighted sum", None),
        frames=frames,
        make_table=lambda: drawn[["x", "output"]].rename(columns={"x": "z"}),
    )
