"""Chart of how deep a random network can be: the gradient over the whole network, over depth and sigma_w."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import Chart, finish
from nnlab.numerals import scientific
from nnlab.palette import Mode
from nnlab.phase_map import (
    DEPTH_TOP,
    DepthMap,
    depth_map,
    is_critical,
    ratio_decades,
    ratio_of,
    standing,
    states,
    w_top,
)
from nnlab.phase_marks import (
    HEIGHT,
    MOST_MAPS,
    Drawn,
    axes,
    cell_frame,
    clickable,
    color,
    field_table,
    ground,
    image_frame,
    line_marks,
    own_table,
    point_frame,
    point_marks,
    point_words,
    regions,
    sigma_w_columns,
    told,
    word_frame,
    word_marks,
)
from nnlab.random_network import RandomNetwork
from nnlab.theory import DEPTHS_OF_XI, MeanFieldMap, edge_of_chaos, mean_field_map

DEPTHS = (1, *range(5, DEPTH_TOP + 1, 5))  # of places that can be clicked
ENDS = (1.0, float(DEPTH_TOP))
# A finding is severe where a gradient is a thousand times smaller or larger (definitions, thresholds).
SPAN = 3.0
LABELS = "datum.value < -1 ? '1 / 1000' : datum.value > 1 ? '1000' : '1'"
TRAINS = "still trains"
HOW_TO_READ = (
    r"Across, the spread of the weights $\sigma_w$, at the network's own $\sigma_b$; upward, its depth $L$. "
    "The color is the length of the error signal expected at the first layer over that at the last, "
    r"$\chi^{(L-1)/2}$: blue has vanished, vermilion has exploded. Below the solid line, $L = 6\,\xi$ with "
    r"the depth scale $\xi = 1/|\ln \chi|$, networks were found to train (Schoenholz et al. 2017, section "
    "5). The dashed line is the edge of chaos, where no depth is too deep. Gray: the signal runs away. The "
    "dot is the network."
)


def _cells(name: str, w_end: float, sigma_b: float) -> pd.DataFrame:
    x, y = sigma_w_columns(w_end), np.array(DEPTHS, dtype=float)
    line = mean_field_map(name, x, sigma_b)
    # One row for all depths: theory is asked once.
    rows = (np.tile(values, (len(y), 1)) for values in (line.sigma_w, line.sigma_b, line.q_star, line.chi))
    field = MeanFieldMap(name, *rows)
    frame = told(cell_frame(x, y, w_end, ENDS), field, ratio_decades(field.chi, y[:, None]))
    trains = y[:, None] <= DEPTHS_OF_XI * field.xi
    return frame.assign(trains=np.where(trains, "yes", "no").ravel())


@lru_cache(maxsize=32)
def _spec(mode: Mode, w_end: float) -> dict[str, Any]:
    x, y = axes(w_end, ENDS, "depth in layers")
    tooltip = [
        alt.Tooltip("x:Q", title="sigma_w", format=".4~g"),
        alt.Tooltip("y:Q", title="depth", format="d"),
        alt.Tooltip("factor:N", title="first / last gradient"),
        alt.Tooltip("chi:N", title="chi"),
        alt.Tooltip("xi:N", title="xi in layers"),
        alt.Tooltip("trains:N", title="within 6 xi"),
        alt.Tooltip("state:N", title="here"),
    ]
    title = "gradient at the first layer / at the last"
    image, cells = ground(x, y, color(title, SPAN, (-SPAN, 0, SPAN), LABELS, mode), tooltip)
    parts = [
        image,
        *line_marks("critical", mode, (6, 4)),
        *line_marks("limit", mode, ()),
        *word_marks(mode),
        cells,
        *point_marks(mode, tooltip),
    ]
    return clickable(finish(alt.layer(*parts), mode, HEIGHT))


@lru_cache(maxsize=MOST_MAPS)
def _drawn(name: str, w_end: float, sigma_b: float, mode: Mode) -> Drawn:
    """Draw all but the network."""
    found, critical = depth_map(name, w_end, sigma_b), _critical(name, sigma_b)
    areas = regions(np.tile(states(found.field), (len(found.depth), 1)))
    too_deep = {word: area & ~found.trains for word, area in areas.items()}
    frames = {
        "image": image_frame(found.decades, SPAN, mode, w_end, ENDS),
        **_line_frames(found, critical),
        "words": word_frame({TRAINS: found.trains, **too_deep}, w_end, ENDS),
        "cells": _cells(name, w_end, sigma_b),
    }
    return Drawn(_map_words(found, critical), frames)


def depth_chart(network: RandomNetwork, mode: Mode) -> Chart:
    """Map of the gradient ratio over depth and sigma_w: the depth that still trains, and the network."""
    name, sigma_b = network.config.activation, network.total_sigma_b
    found = depth_map(name, w_top(network), sigma_b)
    drawn = _drawn(name, found.w_top, sigma_b, mode)
    return Chart(
        name="depth_map",
        title=f"How deep can it be? The gradient over the whole network at sigma_b = {sigma_b:.3g}",
        how_to_read=HOW_TO_READ,
        steady_text=drawn.words,  # where the network stands is said beside the map
        alt_text=f"{drawn.words} {point_words(network)} Its depth is {network.config.depth}.",
        spec=_spec(mode, found.w_top),
        frames={**drawn.frames, "point": point_frame(network, network.config.depth)},
        make_table=lambda: _table(network, found),
    )


def _critical(name: str, sigma_b: float) -> float:
    """Give the critical sigma_w if a signal of size 1 reaches it, else nan."""
    critical = edge_of_chaos(name, sigma_b)
    return critical if is_critical(name, critical, sigma_b) else math.nan


def _line_frames(found: DepthMap, critical: float) -> dict[str, pd.DataFrame]:
    """Give the line 6 xi, as high as it can be drawn, and the upright line of the edge of chaos."""
    # Beside the edge it is beyond all numbers; twice the axis is as good as any of them.
    drawn = np.where(np.isnan(found.limit), np.nan, np.minimum(found.limit, 2.0 * DEPTH_TOP))
    limit = pd.DataFrame({"x": found.limit_w, "y": drawn, "place": np.arange(len(drawn), dtype=float)})
    ends = [(critical, end, float(place)) for place, end in enumerate(ENDS) if critical <= found.w_top]
    return {"limit": limit, "critical": pd.DataFrame(ends, columns=["x", "y", "place"]).astype(float)}


def _map_words(found: DepthMap, critical: float) -> str:
    if math.isfinite(critical):
        peak = f"The depth that trains rises without limit toward sigma_w {critical:.4g}, the edge of chaos."
    else:
        deepest = np.nan_to_num(found.limit).max()
        peak = (
            f"No sigma_w is critical; the depth that trains is at most {scientific(float(deepest))} layers."
        )
    return f"Map up to depth {DEPTH_TOP} and sigma_w {found.w_top:g} at sigma_b {found.sigma_b:.3g}. {peak}"


def _table(network: RandomNetwork, found: DepthMap) -> pd.DataFrame:
    """Give the map as numbers: its cells, and the network."""
    line, shape = field_table("cell", found.field), found.decades.shape
    cells = pd.concat([line] * shape[0], ignore_index=True).assign(
        depth=np.repeat(found.depth, shape[1]),
        log10_gradient_ratio=found.decades.ravel(),
        within_6_xi=found.trains.ravel(),
    )
    own, depth = standing(network), network.config.depth
    if own is None:
        return cells
    row = own_table(network).assign(
        depth=float(depth),
        log10_gradient_ratio=ratio_of(own, depth),
        within_6_xi=depth <= own.trainable_depth,
    )
    return pd.concat([cells, row], ignore_index=True)
