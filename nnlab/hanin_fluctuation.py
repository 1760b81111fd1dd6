"""Hanin 2018: how much gradients of drawn ReLU networks fluctuate, against the sum of 1 / width."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnlab.chart import Chart
from nnlab.length_chain import length_law
from nnlab.numerals import scientific
from nnlab.palette import Mode
from nnlab.paper import Check, Columns, Interrupted, Paper, Report, Settings
from nnlab.paper_charts import Axis, Caption
from nnlab.paper_law_charts import EXACT, LAW, MEASURED, law_points
from nnlab.paper_rows import counted, picked, to_columns
from nnlab.stop import Stop
from nnlab.streams import numpy_stream

INPUTS, OUTPUTS = 20, 10
AT_ONCE = 2_000_000  # weights drawn together: 8 MB
WIDE = 40  # from here on the law is its leading order within a tenth
LEADING = 5.0  # var ln M ~ 5 beta


def _draw(rng: np.random.Generator, count: int, widths: Sequence[int]) -> np.ndarray:
    """Draw networks and give |delta_1|^2 / |delta_output|^2 of one example each, shape (count,)."""
    h = np.ones((count, INPUTS), np.float32)
    weights, firing = [], []
    for fan_in, width in zip((INPUTS, *widths), (*widths, OUTPUTS)):
        weight = rng.standard_normal((count, width, fan_in), dtype=np.float32)
        weights.append(weight * np.float32(math.sqrt(2 / fan_in)))
        z = (weights[-1] @ h[:, :, None])[:, :, 0]
        firing.append(z > 0)
        h = np.maximum(z, 0)
    output = rng.standard_normal((count, OUTPUTS), dtype=np.float32)
    delta = output
    for weight, mask in zip(weights[:0:-1], firing[-2::-1], strict=True):
        delta = (delta[:, None, :] @ weight)[:, 0, :] * mask
    squares = [np.sum(part.astype(np.float64) ** 2, axis=1) for part in (delta, output)]
    return np.asarray(squares[0] / squares[1])


def draw_gradient_lengths(widths: Sequence[int], draws: int, seed: int, stop: Stop) -> np.ndarray:
    """Draw ReLU networks with He weights; give how the squared error signal grew on its way, (draws,).

    That is |delta_1|^2 / |delta_output|^2 for one input and a random error at the output: 1 on average, and
    0 where a layer is silent.

    Raises:
        Interrupted: it was stopped before the end.
    """
    rng = numpy_stream(seed, f"widths {tuple(widths)}")
    size = sum(a * b for a, b in zip((INPUTS, *widths), (*widths, OUTPUTS), strict=True))
    at_once = max(1, AT_ONCE // size)
    parts = []
    for first in range(0, draws, at_once):
        if stop.is_set():
            raise Interrupted
        parts.append(_draw(rng, min(at_once, draws - first), widths))
    return np.concatenate(parts)


def widths_of(shape: str) -> tuple[int, ...]:
    """Read "4 x 80", four layers of 80 units, or "4 x 15/45", of 15 and 45 in turn."""
    depth, _, widths = shape.partition(" x ")
    repeated = itertools.cycle(int(width) for width in widths.split("/"))
    return tuple(itertools.islice(repeated, int(depth)))


def measure(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Draw networks of every shape and compare the spread of their log squared gradient with the law."""
    rows = []
    for shape in counted(settings["shapes"], report, stop):
        widths = widths_of(shape)
        lengths = draw_gradient_lengths(widths, settings["draws"], settings["seed"], stop)
        alive = np.log(lengths[lengths > 0])
        law = length_law(widths)
        rows.append(
            {
                "shape": shape,
                "narrowest": min(widths),
                "beta": law.beta,
                "draws": len(alive),
                "log_std": float(alive.std()),
                "exact_log_std": law.log_std,
            }
        )
    return to_columns(rows)


def check(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Compare the spread with the exact law, its leading order, and beta."""
    beta, std, exact = (picked(columns, name) for name in ("beta", "log_std", "exact_log_std"))
    wide = picked(columns, "narrowest") >= WIDE
    slope = float(np.sum(beta[wide] * std[wide] ** 2) / np.sum(beta[wide] ** 2))
    return (
        Check(
            f"growth of Var ln M with β in networks at least {WIDE} wide",
            LEADING,
            "law: leading order of the length of a chain of ReLU layers, derived",
            slope,
            settings["slope_tolerance"],
        ),
        Check(
            "spread of ln M over the exact law's (mean over the shapes)",
            1.0,
            "law: a product of independent chi-squared factors, derived",
            float(np.mean(std / exact)),
            settings["law_tolerance"],
        ),
        Check(
            "correlation of Var ln M with β over all shapes",
            1.0,
            "theorem 1, read as a tendency: fluctuation is governed by the sum of 1 / width",
            float(np.corrcoef(beta, std**2)[0, 1]),
            tolerance=0.1,
        ),
    )


def _rows(columns: Columns) -> pd.DataFrame:
    frame = pd.DataFrame({name: list(values) for name, values in columns.items()})
    # The standard error of a standard deviation, of nearly normal numbers; two of them on each side.
    error = 2 * frame["log_std"] / np.sqrt(2 * frame["draws"])
    measured = frame.assign(
        value=frame["log_std"], low=frame["log_std"] - error, high=frame["log_std"] + error, kind=MEASURED
    )
    exact = frame.assign(value=frame["exact_log_std"], kind=EXACT)
    # Squared steps: the root is steepest at 0.
    beta = 1.05 * frame["beta"].max() * np.linspace(0, 1, 60) ** 2
    curve = pd.DataFrame({"beta": beta, "value": np.sqrt(LEADING * beta), "kind": LAW})
    both = pd.concat([measured, exact]).assign(
        series=lambda rows: np.where(rows["narrowest"] >= WIDE, f"{WIDE} wide or more", f"under {WIDE} wide")
    )
    parts = [curve.assign(series="leading order √(5β)"), both.sort_values("narrowest", ascending=False)]
    return pd.concat(parts, ignore_index=True).rename(columns={"beta": "x"})


def charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Draw the spread of ln M over beta with the leading order and the exact law."""
    beta, std = picked(columns, "beta"), picked(columns, "log_std")
    first, last = int(np.argmin(beta)), int(np.argmax(beta))
    caption = Caption(
        name="hanin_fluctuation",
        title="How much gradients differ from draw to draw",
        how_to_read=(
            "A point is a shape of network. M is by what factor the squared error signal grows on its way "
            "from the output to the first layer; shown is the standard deviation of ln M over drawn "
            "networks, with a range of two standard errors. At 1, typical networks are a factor e above or "
            "below the middle. β is the sum of 1 / width over the hidden layers (Hanin 2018, theorem 1). "
            "The line is the leading order √(5β) for wide layers; strokes are the exact law of each shape, "
            "a product of (2/n) χ² with a binomial number of degrees of freedom."
        ),
        alt_text=(
            f"Spread of ln M for {len(beta)} shapes: {scientific(std[first])} at "
            f"β = {scientific(beta[first])} and {scientific(std[last])} at β = {scientific(beta[last])}."
        ),
    )
    table = _rows(columns)[["series", "x", "value", "low", "high", "kind"]]
    x, y = Axis("β, sum of 1 / width"), Axis("standard deviation of ln M")
    return (law_points(table, x, y, caption, mode),)


FULL = {
    "shapes": (
        "4 x 80",
        "8 x 80",
        "8 x 40",
        "15 x 60",
        "20 x 40",
        "4 x 20",
        "10 x 20",
        "8 x 15/45",
        "16 x 20",
        "24 x 30",
    ),
    "draws": 4000,
    "seed": 0,
    "slope_tolerance": 0.15,
    "law_tolerance": 0.03,
}
SMALL = {
    "shapes": ("4 x 40", "8 x 40", "8 x 20"),
    "draws": 400,
    "seed": 0,
    "slope_tolerance": 0.3,
    "law_tolerance": 0.12,
}

FLUCTUATION = Paper(
    name="hanin_fluctuation",
    title="Gradients fluctuate with the sum of 1 / width",
    authors="Hanin",
    year=2018,
    figure="theorem 1",
    claim=(
        "In ReLU networks, how much gradients vanish or explode from one draw of the weights to the next "
        "is governed by the sum of 1 / width over the layers, and grows exponentially with it."
    ),
    setup=(
        "Networks of ten shapes are drawn with He weights and no biases, 4,000 times each. In each, a "
        "random error at the output is sent back to the first layer, for one input; M is by what factor "
        "its squared length grows."
    ),
    notes=(
        "Nothing is trained. The paper proves bounds on moments of gradients; the law that is checked "
        "here, for the length of the whole error signal, is derived from the same independence: its "
        "spread is √(5β) in wide networks, and a little more in narrow ones.",
        "Draws in which a layer is silent have M = 0 and are left out, as in the law.",
    ),
    full=FULL,
    small=SMALL,
    measure=measure,
    check=check,
    charts=charts,
)
