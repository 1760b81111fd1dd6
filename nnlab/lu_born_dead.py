"""Lu et al. 2019: how many drawn ReLU networks are constant from the start, against their bounds."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from nnlab.born_dead import born_dead_bounds, draw_born_dead
from nnlab.chart import Chart
from nnlab.numerals import percent
from nnlab.palette import Mode
from nnlab.paper import Check, Columns, Paper, Report, Settings
from nnlab.paper_charts import Axis, Caption
from nnlab.paper_law_charts import LAW, MEASURED, law_points
from nnlab.paper_rows import counted, different, picked, to_columns
from nnlab.stop import Stop
from nnlab.streams import stream_seed


def measure(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Draw networks of every width and depth; give the share that is born dead and its bounds."""
    rounds = [(width, depth) for width in settings["widths"] for depth in settings["hidden_layers"]]
    rows = []
    for width, depth in counted(rounds, report, stop):
        seed = stream_seed(settings["seed"], f"{width} wide, {depth} deep")
        bounds = born_dead_bounds(depth, width)
        drawn = draw_born_dead(depth, width, draws=settings["draws"], seed=seed)
        rows.append(
            {
                "width": width,
                "hidden_layers": depth,
                "share": drawn.share,
                "low": drawn.low,
                "high": drawn.high,
                "lower_bound": bounds.low,
                "upper_bound": bounds.high,
            }
        )
    return to_columns(rows)


def _worst_miss(columns: Columns, draws: int) -> float:
    """Give how far the worst share lies outside its bounds, in standard errors; 0 where all are inside."""
    share, low, high = (picked(columns, name) for name in ("share", "lower_bound", "upper_bound"))
    nearest = np.clip(share, low, high)
    error = np.sqrt(np.maximum(nearest * (1 - nearest), 1 / draws) / draws)
    return float(np.max(np.abs(share - nearest) / error))


def check(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Compare the shares with the bounds, and their ends with the limits that the paper proves."""
    deepest, narrowest = int(max(columns["hidden_layers"])), int(min(columns["width"]))
    narrow = picked(columns, "share", width=narrowest, hidden_layers=deepest)
    bound = born_dead_bounds(deepest, narrowest)
    return (
        Check(
            "how far the worst share lies outside the bounds, in standard errors",
            0.0,
            "the bounds for one input number",
            _worst_miss(columns, settings["draws"]),
            tolerance=4.0,
            is_absolute=True,
        ),
        Check(
            f"share born dead: {narrowest} units wide, {deepest} hidden layers",
            (bound.low + bound.high) / 2,
            "middle of the bounds; the claim is that it goes to 1 with depth",
            float(narrow[0]),
            tolerance=(bound.high - bound.low) / 2 + 4 / math.sqrt(4 * settings["draws"]),
            is_absolute=True,
        ),
    )


def _rows(columns: Columns) -> pd.DataFrame:
    parts = []
    for width in different(columns, "width"):
        words = f"{int(width)} units" if width > 1 else "1 unit"
        depths = picked(columns, "hidden_layers", width=width)
        deep = np.arange(1, int(depths.max()) + 1)
        bounds = [born_dead_bounds(int(depth), int(width)) for depth in deep]
        low, high = np.array([b.low for b in bounds]), np.array([b.high for b in bounds])
        law = {"x": deep, "low": low, "high": high, "value": high, "kind": LAW}
        drawn = {name: picked(columns, name, width=width) for name in ("low", "high")}
        share = picked(columns, "share", width=width)
        measured = {**drawn, "x": depths, "value": share, "kind": MEASURED}
        parts += [pd.DataFrame(part).assign(series=words) for part in (law, measured)]
    return pd.concat(parts, ignore_index=True)


def charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Draw the share of dead networks over depth for every width, with the bounds as bands."""
    deepest = max(columns["hidden_layers"])
    said = [
        f"{percent(picked(columns, 'share', width=width, hidden_layers=deepest)[0])} of those "
        f"{int(width)} wide"
        for width in different(columns, "width")
    ]
    caption = Caption(
        name="lu_born_dead",
        title="ReLU networks that are constant from the start",
        how_to_read=(
            "A point is the share of drawn networks that give the same answer everywhere on each side of 0, "
            "with the range that covers 95 % (Wilson 1927). Bands are the bounds of Lu, Shin, Su & "
            "Karniadakis 2019 for one input number, no biases and symmetric weights; a line is the upper "
            "one. Deeper networks die more often, wider ones less."
        ),
        alt_text=f"Born dead at {int(deepest)} hidden layers: {', '.join(said)}.",
    )
    x = Axis("hidden layers", is_whole=True, low=0, high=float(deepest) + 1)
    return (
        law_points(_rows(columns), x, Axis("share born dead", is_share=True, low=0, high=1), caption, mode),
    )


FULL = {"widths": (2, 3, 4, 6), "hidden_layers": (2, 5, 10, 15, 20, 30, 40), "draws": 10_000, "seed": 0}
SMALL = {**FULL, "draws": 1_000}

BORN_DEAD = Paper(
    name="lu_born_dead",
    title="Narrow and deep ReLU networks are born dead",
    authors="Lu et al.",
    year=2019,
    figure="probability of a born dead network over depth and width",
    claim=(
        "A ReLU network is born dead, constant before any training, with a probability that goes to 1 "
        "with its depth and to 0 with its width."
    ),
    setup=(
        "10,000 networks are drawn for each width and depth, with one input number, Gaussian weights and "
        "no biases. One counts as dead if, on either side of 0, some layer lets nothing through."
    ),
    notes=(
        "Nothing is trained. The paper also trains networks and counts those that collapse to a "
        "constant; here they are only drawn, as its bounds ask for.",
        "A unit's outputs for the two sides are drawn from their joint normal law given the layer below, "
        "which is the same as drawing all weights.",
    ),
    full=FULL,
    small=SMALL,
    measure=measure,
    check=check,
    charts=charts,
)
