"""Charts of what a network answers over the plane, and of the error signals that taught it."""

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
from nnlab.network import Network
from nnlab.numerals import percent, scientific
from nnlab.palette import CATEGORIES, THEMES, VIRIDIS, Mode, interpolate
from nnlab.surface import (
    Window,
    boundary,
    class_share,
    is_affine,
    is_straight,
    is_undecided,
    neuron_maps,
    pixel_centers,
    right_share,
    share_at,
    to_png_url,
)

WORDS_RESOLUTION = 8  # of a look over the plane that only words are made from
RESOLUTION = 72  # pixels along a side of a surface; smoothed, steps of a seventieth cannot be seen
NEURON_RESOLUTION = 32  # of a neuron's picture, which is a few millimeters wide
MAX_DRAWN = 400  # points; each is a mark the browser must draw
MAX_MAP_LAYERS, MAX_MAP_UNITS = 6, 8  # as many small pictures as a phone can show
CLASS_WORDS = ("blue", "red")  # what class 0 and class 1 are called, as in the lessons' texts
CLASS_COLORS = (CATEGORIES[0], CATEGORIES[5])  # safe for color-blind readers (Okabe & Ito 2008)
CLASS_SHAPES = ("circle", "triangle-up")
TINT = 0.5  # how far the surface's colors go to the middle: the points on it must stand out
SURFACE_HEIGHT = 340
STEPS_HEIGHT = 260
MAP_SIDES = (56, 110)  # pixels; the smallest and the largest row of neurons
MAP_SIZE = (300, 480)  # pixels that columns and rows share: what a phone has beside the axis, and its height
MAP_GAP = 14  # pixels between columns on a wide page
WORD_WIDTH = 62  # pixels a word of the size used here needs; a narrower column shows a sign instead
SAME = "constant"
LOST = "undefined"
OUTPUT = "output"  # the word for the last layer, as nnlab.run.spoken says it
SURFACE_TEXT = (
    "The color of the plane is the network's answer at that place: blue where it says class 0, red where "
    "it says class 1, faded where it cannot decide. For two outputs the shade is their softmax "
    "probability; for one output it is the score itself, cut to 0..1. The line is the boundary, where "
    "both answers weigh the same ($p = 0.5$), found by marching squares on a "
    f"{RESOLUTION} x {RESOLUTION} grid (Lorensen & Cline 1987). Circles are points of class 0, triangles "
    "points of class 1; a point on the other color's side is classified wrong. Axes are the inputs as "
    "the network sees them, each shifted to mean 0 and scaled to spread 1."
)
MAP_TEXT = (
    "One small picture a neuron: its activation $h$ over the same plane as the decision surface. Columns "
    "are the hidden layers from input to output, rows the neurons. Each picture has its own scale, from "
    "its smallest value (dark) to its largest (yellow), so compare shapes, not shades. A neuron of "
    "layer 1 changes along one straight direction only; later ones combine those of the layer before "
    "(after TensorFlow Playground, Smilkov et al. 2017). A gray picture (constant, or = on a narrow screen) "
    "answers the same everywhere: that neuron tells the next layer nothing about where a point lies."
)
GRADIENT_TEXT = (
    "One line a layer, colored from the input (dark) to the output (yellow): the length of the error "
    r"signal that arrives there, $\|\delta_l\| = \|\partial\,\mathrm{loss}/\partial z_l\|$ (Rumelhart, "
    "Hinton & Williams 1986), on a logarithmic axis. Lines close together learn at similar speeds. A dark "
    "line far below the others is a layer that hears almost nothing of the error: its gradient has "
    "vanished. All lines fall together when the network has learned the points. Triangles on the floor are "
    "exact zeros, which a logarithmic axis cannot show."
)


def _surface_stops(mode: Mode) -> tuple[str, ...]:
    middle = "#f7f6f3" if mode == "light" else THEMES[mode].panel
    blue, red = (interpolate((color, middle), TINT) for color in CLASS_COLORS)
    return blue, middle, red


def _plane_axes(window: Window) -> tuple[alt.X, alt.Y]:
    # As wide as it is high, however wide the page is: a circle of points must look like one.
    side = alt.ExprRef(f"min(width, {SURFACE_HEIGHT})")
    x = alt.X("x:Q", title="input x1").scale(
        domain=[window.x_low, window.x_high], nice=False, range=[0, side]
    )
    y = alt.Y("y:Q", title="input x2").scale(domain=[window.y_low, window.y_high], nice=False)
    axis = alt.Axis(grid=False, tickCount=5)
    return x.axis(axis), y.axis(axis)


@lru_cache(maxsize=64)
def _surface_spec(mode: Mode, window: Window) -> dict[str, Any]:
    theme = THEMES[mode]
    x, y = _plane_axes(window)
    image = alt.Chart(rows("surface")).mark_image(aspect=False, aria=False)
    image = image.encode(x=x, x2="x2:Q", y=y, y2="y2:Q", url="url:N")
    # One line with gaps: hundreds of little rules would cost a live page half its time.
    line = alt.Chart(rows("boundary")).encode(x=x, y=y, order="place:Q")
    gaps: Any = "break-paths-show-path-domains"
    halo = line.mark_line(color=theme.background, strokeWidth=5, strokeCap="round", opacity=0.6, invalid=gaps)
    core = line.mark_line(color=theme.text, strokeWidth=2, strokeCap="round", invalid=gaps)
    color = (
        alt.Color("word:N", title=None)
        .scale(domain=list(CLASS_WORDS), range=list(CLASS_COLORS))
        .legend(orient="top", symbolOpacity=1, symbolSize=110)
    )
    shape = alt.Shape("word:N", title=None).scale(domain=list(CLASS_WORDS), range=list(CLASS_SHAPES))
    tooltip = [
        alt.Tooltip("word:N", title="class"),
        alt.Tooltip("answer:N", title="network says"),
        alt.Tooltip("share:N", title="p(red)"),
    ]
    points = alt.Chart(rows("points"))
    # White in both modes: dark blue on a dark page needs an outline that it stands out by.
    points = points.mark_point(filled=True, opacity=1, size=60, stroke="#ffffff", strokeWidth=0.8)
    points = points.encode(x=x, y=y, color=color, shape=shape, tooltip=tooltip)
    return finish(alt.layer(image, halo, core, points), mode, SURFACE_HEIGHT)


def _check_points(points: np.ndarray, labels: np.ndarray) -> None:
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(
            f"points: shapes {points.shape} and {labels.shape} are not allowed; allowed: (n, 2) and (n,)"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels: a class that is not 0 or 1 is not allowed; allowed: 0 and 1")


def _boundary_words(network: Network, segments: np.ndarray, window: Window) -> str:
    if is_undecided(network, window, WORDS_RESOLUTION):
        return "The network says one half everywhere in the picture: it has no boundary to draw"
    if not len(segments):
        shares = class_share(network, window, WORDS_RESOLUTION)
        if not np.isfinite(shares).any():
            return "The network's answer is undefined everywhere in the picture"
        word = CLASS_WORDS[int(np.nanmean(shares) > 0.5)]
        return f"There is no boundary in the picture: the network says {word} everywhere"
    if is_affine(network):
        return "The boundary is a straight line"
    if is_straight(segments, window, RESOLUTION):
        return "Within the picture the boundary is a straight line"
    return "The boundary is not one straight line; it bends"


def describe_surface(network: Network, points: np.ndarray, labels: np.ndarray, window: Window) -> str:
    """Say in a sentence what the boundary looks like and how many points lie on the right side of it."""
    right = right_share(network, points, labels)
    words = _boundary_words(network, boundary(network, window, RESOLUTION), window)
    return _sentence(words, right, len(labels), "points")


def _sentence(words: str, right: float, count: int, noun: str) -> str:
    if not count:
        return f"{words}."
    return f"{words}. {round(right * count)} of {count} {noun} ({percent(right)}) are on the right side."


def _point_rows(network: Network | None, points: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Give one row a point; without a network nothing of what it says of the point."""
    frame = pd.DataFrame(
        {
            "x": points[:, 0].astype(float),
            "y": points[:, 1].astype(float),
            "word": pd.Series([CLASS_WORDS[int(label)] for label in labels], dtype=str),
        }
    )
    if network is None:
        return frame.assign(answer="training", share="training")
    shares = np.asarray(share_at(network, points), dtype=np.float64)
    said = [LOST if np.isnan(share) else CLASS_WORDS[int(share > 0.5)] for share in shares]
    frame = frame.assign(answer=said, share=[scientific(float(share)) for share in shares])
    return frame.astype({"answer": str, "share": str})


def _boundary_rows(segments: np.ndarray) -> pd.DataFrame:
    """Give the ends of all pieces (n, 4) one after the other, with a gap after each."""
    gaps = np.full((len(segments), 2), np.nan)
    places = np.concatenate([segments, gaps], axis=1).reshape(-1, 2)
    return pd.DataFrame(places, columns=["x", "y"]).assign(place=np.arange(len(places), dtype=float))


def _surface_table(
    network: Network, points: np.ndarray, labels: np.ndarray, window: Window, segments: np.ndarray
) -> pd.DataFrame:
    """Give the picture as numbers: its pixels, its boundary's ends, and all points."""
    pixels = pixel_centers(window, RESOLUTION)
    ends = segments.reshape(-1, 2)
    parts = []
    for kind, places, classes in (
        ("pixel", pixels, np.full(len(pixels), np.nan)),
        ("boundary_end", ends, np.full(len(ends), np.nan)),
        ("point", points, labels.astype(float)),
    ):
        share = np.asarray(share_at(network, places), dtype=np.float64)
        columns = {"kind": kind, "x1": places[:, 0], "x2": places[:, 1], "label": classes, "p_class_1": share}
        parts.append(pd.DataFrame(columns))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def decision_surface(
    network: Network,
    points: np.ndarray,
    labels: np.ndarray,
    window: Window,
    mode: Mode,
    title: str,
    name: str,
    *,
    live: bool = False,
) -> Chart:
    """Draw a network's answer over the plane with its boundary and labeled points (n, 2).

    While it trains (`live`), points do not tell what the network says of them: the browser then need not
    draw all of them anew every second.

    Raises:
        ValueError: the network has not 2 inputs or not 1 or 2 outputs; the labels are not 0 and 1.
    """
    _check_points(points, labels)
    shares = class_share(network, window, RESOLUTION)
    # Where a network says one half everywhere, the rounding would be drawn as a boundary.
    undecided = is_undecided(network, window, WORDS_RESOLUTION)
    segments = np.empty((0, 4)) if undecided else boundary(network, window, RESOLUTION)
    drawn = spread(len(points), MAX_DRAWN)
    url = to_png_url(shares, _surface_stops(mode), 0.0, 1.0)
    corners = {"x": window.x_low, "x2": window.x_high, "y": window.y_low, "y2": window.y_high}
    words = _boundary_words(network, segments, window)
    right = right_share(network, points[drawn], labels[drawn])
    lost = int(np.isnan(shares).sum())
    undefined = (f"Undefined (gray) at {percent(lost / shares.size)} of the plane.",) if lost else ()
    return Chart(
        name=name,
        title=title,
        how_to_read=SURFACE_TEXT,
        alt_text=_sentence(words, right, len(drawn), "points drawn"),
        spec=_surface_spec(mode, window),
        frames={
            "surface": pd.DataFrame([{**corners, "url": url}]),
            "boundary": _boundary_rows(segments),
            "points": _point_rows(None if live else network, points[drawn], labels[drawn]),
        },
        make_table=lambda: _surface_table(network, points, labels, window, segments),
        notes=left_out_notes(len(drawn), len(points), "points") + undefined,
    )


def _map_words(base: alt.Chart, mode: Mode, layers: int) -> tuple[alt.Chart, alt.Chart]:
    """Draw the words on pictures without a scale and the heads of the columns, shorter where it is narrow."""
    narrow = f"width < {WORD_WIDTH * layers}"
    said = {"x": alt.X("place:Q"), "y": alt.Y("row:Q"), "text": "said:N"}
    state = base.transform_filter("datum.state != ''").transform_calculate(
        said=f"{narrow} ? (datum.state == '{SAME}' ? '=' : '?') : datum.state"
    )
    # On the gray of a picture without a scale, which is the same in both modes.
    word = state.mark_text(fontSize=11, color="#000000").encode(**said)
    heads = alt.Chart(rows("heads")).transform_calculate(
        said=f"{narrow} ? '' + datum.layer : 'layer ' + datum.layer"
    )
    heads = heads.mark_text(fontSize=12, color=THEMES[mode].muted, baseline="bottom")
    heads = heads.encode(x=alt.X("place:Q"), y=alt.value(-4), text="said:N")
    return word, heads


@lru_cache(maxsize=64)
def _maps_spec(mode: Mode, layers: int, units: int) -> dict[str, Any]:
    # The columns' heads are text marks, which can be shortened where columns are narrow.
    bare = alt.Axis(
        orient="top", labels=False, values=[], domain=False, ticks=False, titlePadding=24, titleAnchor="start"
    )
    fitting = min(MAP_SIDES[1], MAP_SIZE[0] // layers, MAP_SIZE[1] // units)
    side = max(MAP_SIDES[0], fitting)
    x = alt.X("left:Q", title="hidden layer, from input to output", axis=bare)
    # Few columns stay together at the left instead of being strewn over a wide page.
    right = alt.ExprRef(f"min(width, {layers * (side + MAP_GAP)})")
    x = x.scale(domain=[0.5, layers + 0.5], nice=False, range=[0, right])
    y = (
        alt.Y("top:Q", title="neuron")
        .scale(domain=[0.5, units + 0.5], nice=False, reverse=True)
        .axis(values=list(range(1, units + 1)), format="d", grid=False, domain=False, ticks=False)
    )
    tooltip = [
        alt.Tooltip("layer:Q", title="hidden layer", format="d"),
        alt.Tooltip("unit:Q", title="neuron", format="d"),
        alt.Tooltip("lowest:N", title="smallest h"),
        alt.Tooltip("highest:N", title="largest h"),
    ]
    base = alt.Chart(rows())
    # aspect=True keeps the pictures square and centered in their cells, however wide the page is.
    image = base.mark_image(aspect=True, aria=False).encode(
        x=x, x2="right:Q", y=y, y2="bottom:Q", url="url:N", tooltip=tooltip
    )  # fmt: skip
    word, heads = _map_words(base, mode, layers)
    return finish(alt.layer(image, word, heads), mode, units * side)


def _map_rows(maps: list[np.ndarray], layers: list[int]) -> pd.DataFrame:
    found = []
    for column, layer in enumerate(layers, start=1):
        for row, unit in enumerate(spread(len(maps[layer]), MAX_MAP_UNITS), start=1):
            found.append({"place": column, "row": row, **_map_row(maps[layer][unit], layer + 1, unit + 1)})
    frame = pd.DataFrame(found)
    return frame.assign(
        left=frame["place"] - 0.46, right=frame["place"] + 0.46,
        top=frame["row"] - 0.46, bottom=frame["row"] + 0.46,
    )  # fmt: skip


def _map_row(values: np.ndarray, layer: int, unit: int) -> dict[str, Any]:
    """Give one neuron's picture, scaled to its own smallest and largest finite value."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (np.nan, np.nan)
    is_flat = low == high and len(finite) == values.size
    state = SAME if is_flat else "" if low < high else LOST
    # Gray, as NaN is, since viridis would show a value where there is no difference to show.
    shown = values if not state else np.full(values.shape, np.nan)
    limits = (0.0, 1.0) if state else (low, high)
    return {
        "layer": layer,
        "unit": unit,
        "url": to_png_url(shown, VIRIDIS, *limits),
        "state": state,
        "lowest": scientific(low),
        "highest": scientific(high),
    }


def _map_table(network: Network, window: Window) -> pd.DataFrame:
    """Give the activations of all neurons at all pixels, drawn or not."""
    centers = pixel_centers(window, NEURON_RESOLUTION)
    parts = []
    for layer, maps in enumerate(neuron_maps(network, window, NEURON_RESOLUTION), start=1):
        for unit, values in enumerate(maps, start=1):
            columns = {"layer": layer, "unit": unit, "x1": centers[:, 0], "x2": centers[:, 1]}
            parts.append(pd.DataFrame({**columns, "activation": values.ravel()}))
    return pd.concat(parts, ignore_index=True)


def neuron_heatmaps(network: Network, window: Window, mode: Mode) -> Chart:
    """Draw each hidden neuron's activation over the plane; at most 6 layers of 8 units.

    Raises:
        ValueError: the network has not 2 inputs, or not 1 or 2 outputs.
    """
    maps = neuron_maps(network, window, NEURON_RESOLUTION)
    title = "What each neuron answers over the plane"
    if not maps:
        return _no_maps(title)
    layers = spread(len(maps), MAX_MAP_LAYERS)
    frame = _map_rows(maps, layers)
    heads = pd.DataFrame({"place": range(1, len(layers) + 1), "layer": [number + 1 for number in layers]})
    total = sum(len(units) for units in maps)
    flat = int((frame["state"] == SAME).sum())
    columns = "1 hidden layer" if len(layers) == 1 else f"{len(layers)} hidden layers"
    neurons = "1 neuron" if len(frame) == 1 else f"{len(frame)} neurons"
    return Chart(
        name="neuron_heatmaps",
        title=title,
        how_to_read=MAP_TEXT,
        alt_text=f"{neurons} of {columns} over the plane; the answer of {flat or 'none'} is the same "
        "everywhere.",
        spec=_maps_spec(mode, len(layers), int(frame["row"].max())),
        frames={"rows": frame, "heads": heads},
        make_table=lambda: _map_table(network, window),
        notes=left_out_notes(len(frame), total, "neurons"),
    )


def _no_maps(title: str) -> Chart:
    return Chart(
        name="neuron_heatmaps",
        title=title,
        how_to_read=MAP_TEXT,
        alt_text="The network has no hidden layer, so there is no neuron to show.",
        spec={},
        frames={},
        make_table=lambda: pd.DataFrame(columns=["layer", "unit", "x1", "x2", "activation"]),
        notes=("The network has no hidden layer, so there is no neuron to show.",),
        is_empty=True,
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
