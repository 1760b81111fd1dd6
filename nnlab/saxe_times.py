"""Saxe et al. 2014: how many steps deep linear networks take to learn, from two kinds of weights."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from nnlab.chart import Chart
from nnlab.linear_task import digits_task
from nnlab.numerals import scientific
from nnlab.palette import Mode
from nnlab.paper import Check, Columns, Interrupted, Paper, Report, Settings
from nnlab.paper_charts import Axis, Caption, series_lines
from nnlab.paper_rows import counted, different, picked, to_columns
from nnlab.stop import Stop
from nnlab.streams import numpy_stream

ORTHOGONAL, GAUSSIAN = "orthogonal", "Gaussian"
# Learned: what is left of the error, above that of the best linear map, over that of answering the mean.
LEARNED = 0.05
RUNAWAY = 1e6  # of the same error: a learning rate that came here does not come back


def _draw(start: str, width: int, seed: int, layer: int) -> np.ndarray:
    drawn = numpy_stream(seed, f"layer {layer}").standard_normal((width, width))
    if start == GAUSSIAN:
        return drawn / math.sqrt(width)
    q, r = np.linalg.qr(drawn)
    return q * np.sign(np.diag(r))  # without the signs not all rotations are equally likely


def _gradients(weights: list[np.ndarray], task: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """Give the errors (rates,) and every layer's gradient of half of it, weights (rates, out, in)."""
    products = [weights[0]]
    for weight in weights[1:]:
        products.append(weight @ products[-1])
    back = products[-1] - task
    errors = np.sum(back**2, axis=(1, 2)) / np.sum(task**2)
    gradients = []
    for layer in range(len(weights) - 1, -1, -1):
        gradients.append(back @ products[layer - 1].transpose(0, 2, 1) if layer else back)
        back = weights[layer].transpose(0, 2, 1) @ back
    return errors, gradients[::-1]


def learning_steps(
    weights: list[np.ndarray], task: np.ndarray, rates: np.ndarray, limit: int, stop: Stop
) -> float:
    """Count the steps that gradient descent takes at the best of several learning rates; inf beyond `limit`.

    The rates run side by side until the first has learned.

    Raises:
        Interrupted: it was stopped before the end.
    """
    copies = [np.repeat(weight[None], len(rates), axis=0) for weight in weights]
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(limit + 1):
            if stop.is_set():
                raise Interrupted
            errors, gradients = _gradients(copies, task)
            if (errors < LEARNED).any():
                return float(step)
            alive = errors < RUNAWAY
            if not alive.any():
                break
            rates = rates[alive]
            copies = [
                copy[alive] - rates[:, None, None] * gradient[alive]
                for copy, gradient in zip(copies, gradients, strict=True)
            ]
    return math.inf


def measure(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Count learning steps for every start, depth (in layers of weights) and seed."""
    task = digits_task()
    outputs, width = task.shape
    rates = 2.0 ** -np.arange(1, settings["rates"] + 1)
    rounds = [
        (start, depth, seed)
        for depth in settings["depths"]
        for start in (ORTHOGONAL, GAUSSIAN)
        for seed in range(settings["seeds"])
    ]
    rows = []
    for start, depth, seed in counted(rounds, report, stop):
        weights = [_draw(start, width, seed, layer) for layer in range(depth)]
        weights[-1] = weights[-1][:outputs]
        steps = learning_steps(weights, task, rates, settings["limit"], stop)
        rows.append({"start": start, "depth": depth, "seed": seed, "steps": steps})
    return to_columns(rows)


def _mean_steps(columns: Columns, start: str) -> dict[int, float]:
    return {
        int(depth): float(picked(columns, "steps", start=start, depth=depth).mean())
        for depth in different(columns, "depth")
    }


def check(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Compare how learning time grows with depth for both kinds of weights."""
    steps, slow = _mean_steps(columns, ORTHOGONAL), _mean_steps(columns, GAUSSIAN)
    exponent = np.polyfit(np.log(list(steps)), np.log(list(steps.values())), 1)[0]
    # Beyond the limit there is no number to compare; two of them say nothing of each other.
    growing = [later > sooner for sooner, later in zip(list(slow.values()), list(slow.values())[1:])]
    known = [grows for grows, sooner in zip(growing, slow.values()) if math.isfinite(sooner)]
    return (
        Check(
            "orthogonal: exponent k of learning time ~ depthᵏ",
            0.0,
            "the claim that it is independent of depth",
            float(exponent),
            tolerance=0.25,
            is_absolute=True,
        ),
        Check(
            "Gaussian: share of steps to a larger depth that make learning slower",
            1.0,
            "the claim, read as a tendency: the paper prints no number",
            float(np.mean(known)),
            tolerance=0.0,
        ),
    )


def charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Draw learning time over depth for both kinds of weights."""
    frame = pd.DataFrame({name: list(values) for name, values in columns.items()})
    frame["steps"] = frame["steps"].where(np.isfinite(frame["steps"]))
    groups = frame.groupby(["start", "depth"], sort=False)["steps"]
    table = groups.agg(value="mean", low="min", high="max").reset_index()
    table = table.rename(columns={"start": "series", "depth": "x"})
    orthogonal, gaussian = _mean_steps(columns, ORTHOGONAL), _mean_steps(columns, GAUSSIAN)
    missing = [depth for depth, steps in gaussian.items() if not math.isfinite(steps)]
    first, last = min(orthogonal), max(orthogonal)
    notes: tuple[str, ...] = ()
    if missing:
        depths = ", ".join(str(depth) for depth in missing)
        notes = (f"Gaussian weights had not learned within the limit at depth {depths}: no point is drawn.",)
    caption = Caption(
        name="saxe_times",
        title="Learning time of deep linear networks",
        how_to_read=(
            "A point is the mean number of steps of gradient descent until 95 % of what a linear map can "
            "learn is learned, each at the best of several learning rates; a band reaches over the seeds. "
            "Depth counts layers of weights. A flat line means that depth costs no time "
            "(Saxe, McClelland & Ganguli 2014). Gaussian weights stretch some directions and shrink others "
            "more with every layer; orthogonal ones keep all lengths."
        ),
        alt_text=(
            f"From {first} to {last} layers, learning takes {scientific(orthogonal[first])} to "
            f"{scientific(orthogonal[last])} steps with orthogonal weights, and "
            f"{scientific(gaussian[first])} to {scientific(gaussian[last])} with Gaussian ones."
        ),
        notes=notes,
    )
    x = Axis("depth (layers of weights)", is_whole=True, low=0, high=last)
    return (series_lines(table, x, Axis("steps", is_log=True), caption, mode),)


FULL = {"depths": (2, 3, 5, 10, 20), "seeds": 3, "rates": 9, "limit": 1000}
SMALL = {"depths": (3, 5, 8), "seeds": 1, "rates": 5, "limit": 300}

TIMES = Paper(
    name="saxe_times",
    title="Orthogonal weights learn as fast deep as shallow",
    authors="Saxe et al.",
    year=2014,
    figure="learning time over depth",
    claim=(
        "A deep linear network that starts from orthogonal weights takes the same time to learn however "
        "deep it is; from Gaussian weights it takes longer the deeper it is."
    ),
    setup=(
        "Linear networks 60 units wide learn scanned digits by gradient descent on the mean squared error of "
        "the whole training split, in float64. The pixels are made uncorrelated first. Each network uses the "
        "learning rate, out of powers of two, at which it learns first."
    ),
    notes=(
        "The paper uses MNIST and goes deeper; it also shows weights pre-trained layer by layer, which learn "
        "as fast as orthogonal ones and are left out here.",
        "The paper prints curves, not numbers. The exponent is the slope of a straight line through log "
        "time over log depth: 0 is independent of depth.",
        "With two layers Gaussian weights are the faster ones here: it is depth that slows them down.",
    ),
    full=FULL,
    small=SMALL,
    measure=measure,
    check=check,
    charts=charts,
)
