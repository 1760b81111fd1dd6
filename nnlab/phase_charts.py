"""Chart of order and chaos: what a layer does to gradients, over sigma_w and sigma_b."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.activations import ACTIVATIONS
from nnlab.chart import Chart, finish, rows
from nnlab.palette import THEMES, Mode
from nnlab.phase_map import Edge, PhaseMap, b_top, edge, phase_map, ratio_decades, states, w_top
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
from nnlab.phase_words import plain_words, unreached_words
from nnlab.random_network import RandomNetwork
from nnlab.theory import mean_field_map

ROWS = 20  # of places that can be clicked, and one more at sigma_b = 0
SPAN = math.log10(4)  # where colors end: a layer that changes gradients fourfold is far from critical
LABELS = (
    "datum.value < -0.5 ? '÷ 4' : datum.value < -0.1 ? '÷ 2' : datum.value > 0.5 ? '× 4' : "
    "datum.value > 0.1 ? '× 2' : '× 1'"
)
HOW_TO_READ = (
    "Every point is a random network: across, the spread of its weights, "
    r"$\sigma_w = \sqrt{\text{fan-in} \cdot \mathrm{Var}(W)}$; upward, that of its biases, $\sigma_b$. The "
    r"color is what one layer multiplies the gradient by on its way back, $\sqrt{\chi}$ with "
    r"$\chi = \sigma_w^2\,\mathrm{E}\,\varphi'(\sqrt{q^*}Z)^2$, where $q^*$ is the variance of $z$ that "
    "layers settle at and $Z$ is standard normal. Blue shrinks it (ordered: gradients vanish), vermilion "
    r"lets it grow (chaotic: they explode). On the line, the edge of chaos, $\chi = 1$: gradients keep "
    "their size (Poole et al. 2016, section 2; Schoenholz et al. 2017, section 3). Gray: the variance has no "
    "end value, the signal runs away. The dot is the network. The theory is of very wide networks."
)


def _cells(name: str, w_end: float, b_end: float) -> pd.DataFrame:
    """Give the cells that can be clicked."""
    x, y = sigma_w_columns(w_end), b_end * np.arange(ROWS + 1) / ROWS
    field = mean_field_map(name, x[None, :], y[:, None])
    return told(cell_frame(x, y, w_end, (0.0, b_end)), field, ratio_decades(field.chi, np.array(2)))


@lru_cache(maxsize=32)
def _spec(mode: Mode, w_end: float, b_end: float) -> dict[str, Any]:
    x, y = axes(w_end, (0.0, b_end), "sigma_b, spread of the biases")
    tooltip = [
        alt.Tooltip("x:Q", title="sigma_w", format=".4~g"),
        alt.Tooltip("y:Q", title="sigma_b", format=".4~g"),
        alt.Tooltip("factor:N", title="gradient per layer ×"),
        alt.Tooltip("chi:N", title="chi"),
        alt.Tooltip("xi:N", title="xi in layers"),
        alt.Tooltip("state:N", title="here"),
    ]
    values = (-SPAN, -SPAN / 2, 0, SPAN / 2, SPAN)
    image, cells = ground(x, y, color("gradient change per layer", SPAN, values, LABELS, mode), tooltip)
    # A critical point at one sigma_b only, as ReLU's, is no line.
    lone = alt.Chart(rows("lone")).mark_point(shape="diamond", filled=True, size=140, opacity=1)
    parts = [
        image,
        *line_marks("edge", mode, ()),
        *line_marks("edge", mode, (4, 4), "unreached"),
        lone.encode(x=alt.X("x:Q"), y=alt.Y("y:Q"), color=alt.value(THEMES[mode].text)),
        *word_marks(mode),
        cells,
        *point_marks(mode, tooltip),
    ]
    return clickable(finish(alt.layer(*parts), mode, HEIGHT))


def _edge_frames(line: Edge) -> dict[str, pd.DataFrame]:
    """Give the edge of chaos as a line, `y` where it is reached, and its points that have no neighbor."""
    exists = np.isfinite(line.sigma_w)
    frame = pd.DataFrame(
        {
            "x": line.sigma_w,
            "y": np.where(exists & line.is_reached, line.sigma_b, np.nan),
            "unreached": np.where(exists & ~line.is_reached, line.sigma_b, np.nan),
            "place": np.arange(len(line.sigma_b), dtype=float),
        }
    )
    around = np.pad(exists, 1)
    alone = exists & ~around[:-2] & ~around[2:]
    return {"edge": frame, "lone": pd.DataFrame({"x": line.sigma_w[alone], "y": line.sigma_b[alone]})}


@lru_cache(maxsize=MOST_MAPS)
def _drawn(name: str, w_end: float, b_end: float, mode: Mode) -> Drawn:
    """Draw all but the network."""
    found, line, ends = phase_map(name, w_end, b_end), edge(name, b_end), (0.0, b_end)
    frames = {
        "image": image_frame(found.decades, SPAN, mode, w_end, ends),
        **_edge_frames(line),
        "words": word_frame(regions(states(found.field)), w_end, ends),
        "cells": _cells(name, w_end, b_end),
    }
    return Drawn(f"{_map_words(found)} {_edge_words(line)}", frames)


def phase_chart(network: RandomNetwork, mode: Mode) -> Chart:
    """Map of what a layer does to gradients over sigma_w and sigma_b: the edge of chaos, and the network."""
    name, ends = network.config.activation, (w_top(network), b_top(network))
    found, line, drawn = phase_map(name, *ends), edge(name, ends[1]), _drawn(name, *ends, mode)
    return Chart(
        name="phase_map",
        title=f"Order and chaos with {ACTIVATIONS[name].label}: gradient change per layer",
        how_to_read=HOW_TO_READ,
        steady_text=drawn.words,  # where the network stands is said beside the map
        alt_text=f"{drawn.words} {point_words(network)}",
        spec=_spec(mode, *ends),
        frames={**drawn.frames, "point": point_frame(network, None)},
        make_table=lambda: _table(network, found, line),
        notes=plain_words(network) + _dashed_notes(name, line),
    )


def _dashed_notes(name: str, line: Edge) -> tuple[str, ...]:
    has_dashes = bool((np.isfinite(line.sigma_w) & ~line.is_reached).any())
    return (unreached_words(name),) if has_dashes else ()


def _map_words(found: PhaseMap) -> str:
    areas = regions(states(found.field))
    said = [f"{word} on {100 * area.mean():.0f} %" for word, area in areas.items() if area.any()]
    return f"Map up to sigma_w {found.w_top:g} and sigma_b {found.b_top:g}: {', '.join(said)} of it."


def _edge_words(line: Edge) -> str:
    places = np.flatnonzero(np.isfinite(line.sigma_w))
    if not len(places):
        return "There is no edge of chaos."
    first, last = (
        f"sigma_w {line.sigma_w[at]:.3g} at sigma_b {line.sigma_b[at]:.3g}" for at in places[[0, -1]]
    )
    if len(places) == 1:
        return f"The only critical point is {first}."
    return f"The edge of chaos goes from {first} to {last}."


def _table(network: RandomNetwork, found: PhaseMap, line: Edge) -> pd.DataFrame:
    """Give the map as numbers: its cells, the edge of chaos, and the network."""
    exists = np.isfinite(line.sigma_w)
    on_edge = mean_field_map(found.field.activation, line.sigma_w[exists], line.sigma_b[exists])
    parts = [field_table("cell", found.field), field_table("edge", on_edge), own_table(network)]
    return pd.concat([part for part in parts if len(part)], ignore_index=True)
