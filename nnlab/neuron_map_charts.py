"""Chart of what every hidden neuron answers over the plane."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import Chart, finish, left_out_notes, rows, spread
from nnlab.network import Network
from nnlab.numerals import scientific
from nnlab.palette import THEMES, VIRIDIS, Mode
from nnlab.surface import Window, neuron_maps, pixel_centers, to_png_url

NEURON_RESOLUTION = 32  # of a neuron's picture, which is a few millimeters wide
MAX_MAP_LAYERS, MAX_MAP_UNITS = 6, 8  # as many small pictures as a phone can show
MAP_SIDES = (56, 110)  # pixels; the smallest and the largest row of neurons
MAP_SIZE = (300, 480)  # pixels that columns and rows share: what a phone has beside the axis, and its height
MAP_GAP = 14  # pixels between columns on a wide page
WORD_WIDTH = 62  # pixels a word of the size used here needs; a narrower column shows a sign instead
SAME = "constant"
LOST = "undefined"
MAP_TEXT = (
    "One small picture a neuron: its activation $h$ over the same plane as the decision surface. Columns "
    "are the hidden layers from input to output, rows the neurons. Each picture has its own scale, from "
    "its smallest value (dark) to its largest (yellow), so compare shapes, not shades. A neuron of "
    "layer 1 changes along one straight direction only; later ones combine those of the layer before "
    "(after TensorFlow Playground, Smilkov et al. 2017). A gray picture (constant, or = on a narrow screen) "
    "answers the same everywhere: that neuron tells the next layer nothing about where a point lies."
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
