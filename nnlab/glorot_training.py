"""Glorot & Bengio 2010 in training, figures 2 and 3: how sigmoid, tanh and softsign saturate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnlab.config import ExperimentConfig
from nnlab.paper import Check, Columns, Report, Settings
from nnlab.stop import Stop

if TYPE_CHECKING:
    from nnlab.run import Run

DEPTH = 4
EPOCH = 143  # batches of 10 in the digits' training split
EARLY_EPOCH = 12
GUESSING = math.log(10)  # cross-entropy of guessing among ten classes
SPREAD_OUT = 0.6  # standard deviation of h at which a layer counts as saturating; a third of h is beyond 0.8
EXTREME = 0.96  # the outermost bins of the histogram of h begin here
READ_OFF = "read as a tendency, the paper prints no number"


def sigmoid_config(settings: Settings, seed: int) -> ExperimentConfig:
    """Give the experiment of figure 2."""
    return ExperimentConfig(
        dataset="digits",
        depth=DEPTH,
        width=settings["width"],
        activation="sigmoid",
        initializer="glorot_standard",
        batch_size=10,
        learning_rate=0.1,
        steps=EPOCH * settings["epochs"],
        record_every=EPOCH,
        seed=seed,
    )


def measure_sigmoid(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Measure the mean of h in every layer, epoch by epoch; `test_loss` is NaN where it was not taken."""
    from nnlab.paper_training import train_each

    seeds = range(settings["seeds"])
    runs = train_each([sigmoid_config(settings, seed) for seed in seeds], report, stop)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("seed", "epoch", "layer", "activation_mean", "test_loss")
    }
    for seed, run in zip(seeds, runs, strict=True):
        for record in run.records:
            for layer in range(1, DEPTH + 1):
                columns["seed"].append(seed)
                columns["epoch"].append(record.step // EPOCH)
                columns["layer"].append(layer)
                columns["activation_mean"].append(record.layers["activation_mean"][layer - 1])
                columns["test_loss"].append(record.network.get("test_loss", math.nan))
    return columns


def _rows(columns: Columns) -> list[Mapping[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def check_sigmoid(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Hold the means of the top and the first layer, and the loss, against the figure."""
    rows = _rows(columns)

    def mean(layer: int) -> float:
        found = [r["activation_mean"] for r in rows if (r["layer"], r["epoch"]) == (layer, EARLY_EPOCH)]
        return _mean(found)

    last = max(row["epoch"] for row in rows)
    losses = [row["test_loss"] for row in rows if row["epoch"] == last and row["layer"] == 1]
    return (
        Check(
            f"mean of the top layer after {EARLY_EPOCH} epochs (it begins at 0.5)",
            0.0,
            f"figure 2: it is pushed to 0; {READ_OFF}",
            mean(DEPTH),
            tolerance=0.1,
            is_absolute=True,
        ),
        Check(
            f"mean of layer 1 after {EARLY_EPOCH} epochs",
            0.5,
            f"figure 2: the lower layers stay near 0.5; {READ_OFF}",
            mean(1),
            tolerance=0.05,
            is_absolute=True,
        ),
        Check(
            "test loss at the end (guessing: ln 10)",
            GUESSING,
            f"section 3.1: the saturated top layer slows all learning; {READ_OFF}",
            _mean(losses),
            tolerance=0.05,
            is_absolute=True,
        ),
    )


TWO = ("tanh", "softsign")


def hard_config(settings: Settings, activation: str) -> ExperimentConfig:
    """Give an experiment of figure 3: classes drawn at random, which take long to learn by heart."""
    return ExperimentConfig(
        dataset="gaussian",
        samples=settings["samples"],
        depth=DEPTH,
        width=settings["width"],
        activation=activation,
        initializer="glorot_standard",
        batch_size=10,
        learning_rate=settings["learning_rate"],
        steps=settings["steps"],
        record_every=settings["steps"] // 50,
    )


def measure_two(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Measure the spread of h in every layer; `extreme` is the share of h beyond 0.96, NaN if not taken."""
    from nnlab.paper_training import train_each

    runs = train_each([hard_config(settings, activation) for activation in TWO], report, stop)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("activation", "step", "layer", "activation_std", "extreme")
    }
    for activation, run in zip(TWO, runs, strict=True):
        for record in run.records:
            shares = _extreme_shares(run, record.step) if record.is_probe else [math.nan] * DEPTH
            for layer in range(1, DEPTH + 1):
                row = (activation, record.step, layer, record.layers["activation_std"][layer - 1])
                for name, value in zip(columns, (*row, shares[layer - 1]), strict=True):
                    columns[name].append(value)
    return columns


def _extreme_shares(run: Run, step: int) -> list[float]:
    """Give the share of activations beyond EXTREME in every hidden layer, from a record's histograms."""
    from nnlab.histogram import bin_rows

    shares = []
    for info, counts in zip(
        run.hidden, run.record_at(step, probe=True).histograms["activation"], strict=False
    ):
        assert counts is not None
        low, high = bin_rows("activation", info.activation)
        outside = (low >= EXTREME - 1e-9) | (high <= -EXTREME + 1e-9)
        shares.append(float(counts[outside].sum() / counts.sum()))
    return shares


def spread_out_at(columns: Columns, activation: str) -> list[float]:
    """Give for every layer the step at which its spread first reaches SPREAD_OUT; inf where it never does."""
    steps = []
    for layer in range(1, DEPTH + 1):
        reached = [
            row["step"]
            for row in _rows(columns)
            if row["activation"] == activation
            and row["layer"] == layer
            and row["activation_std"] >= SPREAD_OUT
        ]
        steps.append(min(reached, default=math.inf))
    return steps


def extreme_at_end(columns: Columns, activation: str) -> list[float]:
    """Give the share of activations beyond EXTREME in every layer at the last step."""
    rows = _rows(columns)
    last = max(row["step"] for row in rows)
    return [row["extreme"] for row in rows if row["activation"] == activation and row["step"] == last]


def check_two(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Hold the order in which tanh's layers saturate, and softsign beside tanh, against the figure."""
    steps = spread_out_at(columns, "tanh")
    in_order = sum(below <= above and math.isfinite(above) for below, above in itertools.pairwise(steps))
    tanh, softsign = (max(extreme_at_end(columns, activation)) for activation in TWO)
    return (
        Check(
            f"tanh: neighboring layers that saturate in order, of {DEPTH - 1}",
            float(DEPTH - 1),
            f"figure 3, top: layer 1 first, then 2, and so on; {READ_OFF}",
            float(in_order),
            tolerance=0.0,
            is_absolute=True,
        ),
        Check(
            f"softsign: activations beyond {EXTREME}, as a share of tanh's",
            0.0,
            f"figure 3, bottom: softsign saturates less; {READ_OFF}",
            softsign / tanh if tanh > 0 else math.nan,
            tolerance=0.1,
            is_absolute=True,
        ),
    )
