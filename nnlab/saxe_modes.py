"""Saxe et al. 2014: how a two-layer linear network learns its modes, against their solution u(t)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from nnlab.chart import Chart
from nnlab.linear_task import digits_task
from nnlab.mode_strength import mode_strength
from nnlab.numerals import scientific
from nnlab.palette import Mode
from nnlab.paper import Check, Columns, Interrupted, Paper, Report, Settings
from nnlab.paper_charts import Axis, Caption
from nnlab.paper_law_charts import LAW, MEASURED, law_points
from nnlab.paper_rows import counted, different, picked, to_columns
from nnlab.stop import Stop
from nnlab.streams import numpy_stream

ALIGNED, RANDOM = "along the modes", "in random directions"


def _starts(start: str, task: np.ndarray, hidden: int, u0: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Give small weights of two layers, (hidden, inputs) and (outputs, hidden)."""
    random = numpy_stream(seed, start)
    outputs, inputs = task.shape
    if start == ALIGNED:
        left, _, right = np.linalg.svd(task, full_matrices=False)
        frame, _ = np.linalg.qr(random.standard_normal((hidden, outputs)))
        return math.sqrt(u0) * frame @ right, math.sqrt(u0) * left @ frame.T
    # Each layer's largest singular values are near the root of u0.
    scale = math.sqrt(u0)
    return (
        scale * random.standard_normal((hidden, inputs)) / math.sqrt(inputs),
        scale * random.standard_normal((outputs, hidden)) / math.sqrt(hidden),
    )


def _strengths(first: np.ndarray, second: np.ndarray, task: np.ndarray, rate: float) -> Iterator[np.ndarray]:
    """Train two layers by gradient descent and give the strength of every mode at every step, for ever."""
    left, _, right = np.linalg.svd(task, full_matrices=False)
    while True:
        product = second @ first
        yield np.einsum("ik,ij,kj->k", left, product, right)
        missing = task - product
        first, second = first + rate * second.T @ missing, second + rate * missing @ first.T


def measure(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Follow the strength of some modes over time (in units of tau, 1 / learning rate) from two starts."""
    task = digits_task()
    singular = np.linalg.svd(task, compute_uv=False)
    rate, u0 = settings["learning_rate"], settings["u0"]
    every = round(settings["interval"] / rate)
    rows = []
    for start in counted((ALIGNED, RANDOM), report, stop):
        walk = _strengths(*_starts(start, task, settings["hidden"], u0, 0), task, rate)
        for step in range(round(settings["end"] / rate) + 1):
            strengths = next(walk)
            if step % every:
                continue
            if stop.is_set():
                raise Interrupted
            for mode in settings["modes"]:
                s, time = float(singular[mode - 1]), step * rate
                law = float(mode_strength(step, s, u0, 1 / rate))
                rows.append({"start": start, "mode": mode, "s": s, "time": time,
                             "strength": float(strengths[mode - 1]), "law": law})  # fmt: skip
    return to_columns(rows)


def _half_time(columns: Columns, field: str, start: str, mode: int) -> float:
    """Give the time at which a mode first reaches half its strength; nan where it does not."""
    time, value, s = (picked(columns, name, start=start, mode=mode) for name in ("time", field, "s"))
    above = value >= s / 2
    if above[0] or not above.any():
        return math.nan
    last = int(np.argmax(above))
    part = (s[0] / 2 - value[last - 1]) / (value[last] - value[last - 1])
    return float(time[last - 1] + part * (time[last] - time[last - 1]))


def check(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Compare strengths with the law from the law's own start, and times from a random one."""
    gap = np.abs(picked(columns, "strength", start=ALIGNED) - picked(columns, "law", start=ALIGNED))
    ratios = [
        _half_time(columns, "strength", RANDOM, mode) / _half_time(columns, "law", RANDOM, mode)
        for mode in different(columns, "mode")
    ]
    return (
        Check(
            "weights along the modes: largest gap to u(t), as a share of s",
            0.0,
            "the two-layer solution u(t), exact for small steps",
            float(np.max(gap / picked(columns, "s", start=ALIGNED))),
            settings["gap_tolerance"],
            is_absolute=True,
        ),
        Check(
            "weights in random directions: time to half strength over that of u(t) (mean over modes)",
            1.0,
            "the two-layer solution u(t)",
            float(np.mean(ratios)),
            tolerance=0.3,
        ),
    )


def charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Draw the strength of every mode over time, the solution as lines and a network as points."""
    frame = pd.DataFrame({name: list(values) for name, values in columns.items()})
    names = {number: f"mode {number:.0f}, s = {s:.2f}" for number, s in zip(frame["mode"], frame["s"])}
    frame = frame.assign(series=frame["mode"].map(names), x=frame["time"])
    law = frame[frame["start"] == ALIGNED].assign(kind=LAW, value=lambda rows: rows["law"])
    measured = frame[frame["start"] == RANDOM].assign(kind=MEASURED, value=lambda rows: rows["strength"])
    table = pd.concat([law, measured])[["series", "x", "value", "kind"]]
    halves = {number: _half_time(columns, "strength", RANDOM, number) for number in names}
    first, last = min(halves), max(halves)
    caption = Caption(
        name="saxe_modes",
        title="Strength of single modes in a two-layer linear network",
        how_to_read=(
            "Lines are the paper's solution "
            r"$u(t) = s\,e^{2st/\tau} / (e^{2st/\tau} - 1 + s/u_0)$, with $s$ the singular value of a mode "
            "in the task, $u$ its strength in the network and $u_0$ where it starts. Points are a real "
            "network that starts from small weights in random directions. Time counts in units of "
            "τ = 1 / learning rate. Strong modes are learned first, each with a plateau and a fast rise "
            "(Saxe, McClelland & Ganguli 2014)."
        ),
        alt_text=(
            f"Strength of {len(names)} modes over time: the strongest is half learned after "
            f"{scientific(halves[first])} time units, the weakest after {scientific(halves[last])}."
        ),
    )
    return (law_points(table, Axis("time in units of τ"), Axis("strength u"), caption, mode),)


FULL = {
    "modes": (1, 6, 8, 9),
    "hidden": 64,
    "u0": 0.001,
    "learning_rate": 0.02,
    "end": 50,
    "interval": 1.0,
    "gap_tolerance": 0.02,
}
SMALL = {**FULL, "learning_rate": 0.1, "interval": 2.0}

MODES = Paper(
    name="saxe_modes",
    title="A linear network learns its modes one by one",
    authors="Saxe et al.",
    year=2014,
    figure="mode strength over time, two layers",
    claim=(
        "Although its map is linear, a two-layer linear network learns in plateaus and fast rises: every "
        "mode of the task follows its own curve u(t), the strongest first."
    ),
    setup=(
        "A linear network with 64 hidden units learns scanned digits, made uncorrelated, by gradient descent "
        "on the whole training split. It starts at u₀ = 0.001 two ways: with weights along the modes of the "
        "task, for which the curve is exact, and with weights in random directions."
    ),
    notes=(
        "The paper's task are made-up items and their properties; ours are scanned digits with their ten "
        "classes, whose nine modes have similar strengths. Four of them are shown.",
        "From random directions each mode first has to turn into its direction, so that it comes somewhat "
        "later than the curve.",
    ),
    full=FULL,
    small=SMALL,
    measure=measure,
    check=check,
    charts=charts,
)
