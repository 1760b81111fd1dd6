"""He et al. 2015, "Delving deep into rectifiers": a deep ReLU network starts to learn, or does not."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from nnlab.chart import Chart
from nnlab.config import ExperimentConfig
from nnlab.palette import Mode
from nnlab.paper import Check, Columns, Paper, Report, Settings
from nnlab.paper_charts import Axis, Caption, over_seeds, series_lines
from nnlab.stop import Stop

HE, XAVIER = "He", "Xavier"
INITIALIZERS = {HE: "kaiming_normal", XAVIER: "xavier_normal"}
GUESSING = math.log(10)  # cross-entropy of guessing among the ten digits
# What ReLU and the weights together leave of the signal's size from one layer to the next: ReLU passes half
# of the variance, and Var(W) = 2/n makes up for it (He et al. 2015, section 2.2), 1/n does not.
LAWS = {HE: 1.0, XAVIER: math.sqrt(0.5)}


def config_of(settings: Settings, start: str, seed: int) -> ExperimentConfig:
    """Give the experiment of one network."""
    return ExperimentConfig(
        dataset="digits",
        depth=settings["depth"],
        width=settings["width"],
        activation="relu",
        initializer=INITIALIZERS[start],
        batch_size=64,
        learning_rate=0.02,
        steps=settings["steps"],
        seed=seed,
        record_every=settings["steps"] // settings["records"],
    )


def measure(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Train both kinds of networks: the loss at every record, and the gradient ratio before training."""
    from nnlab.paper_training import train_each

    chosen = [(start, seed) for start in INITIALIZERS for seed in range(settings["seeds"])]
    runs = train_each([config_of(settings, start, seed) for start, seed in chosen], report, stop)
    columns: dict[str, list[Any]] = {
        name: [] for name in ("start", "seed", "step", "loss", "first_gradient_ratio")
    }
    for (start, seed), run in zip(chosen, runs, strict=True):
        steps, losses = run.series("loss")
        columns["start"] += [start] * len(steps)
        columns["seed"] += [seed] * len(steps)
        columns["step"] += steps.tolist()
        columns["loss"] += losses.tolist()
        columns["first_gradient_ratio"] += [float(run.series("gradient_ratio")[1][0])] * len(steps)
    return columns


def _last_losses(columns: Columns, start: str) -> list[float]:
    """Give the loss of each seed at its last records, averaged over two: a batch of 64 is noisy."""
    table = pd.DataFrame(dict(columns))
    chosen = table[table["start"] == start].groupby("seed")["loss"]
    return [float(losses.tail(2).mean()) for _, losses in chosen]


def _gain(columns: Columns, start: str, depth: int) -> float:
    """Give by what the error signal is multiplied from one layer to the one before, the geometric mean."""
    table = pd.DataFrame(dict(columns))
    ratios = table[(table["start"] == start) & (table["step"] == 0)]["first_gradient_ratio"]
    logs = [math.log(ratio) if ratio > 0 else math.nan for ratio in ratios]
    return math.exp(sum(logs) / len(logs) / (depth - 1))


def check(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Hold the losses against the claim, and the gain of a layer against the law."""
    he, xavier = _last_losses(columns, HE), _last_losses(columns, XAVIER)
    gains = [
        Check(
            f"{start}: error signal, one layer / the next, before training",
            law,
            "law: section 2.2",
            _gain(columns, start, settings["depth"]),
            tolerance=0.05,
        )
        for start, law in LAWS.items()
    ]
    return (
        *gains,
        Check(
            "Xavier: loss at the end (guessing: ln 10)",
            GUESSING,
            "figure 3, read as a tendency: learning stalls; the paper prints no number",
            sum(xavier) / len(xavier),
            tolerance=0.02,
        ),
        Check(
            "He: worst loss at the end / loss of guessing",
            0.0,
            "figure 3, read as a tendency: it converges; the paper prints no number",
            max(he) / GUESSING,
            tolerance=0.5,
            is_absolute=True,
        ),
    )


def charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Loss over the steps, for both ways to draw the weights."""
    frame = over_seeds(pd.DataFrame(dict(columns)), ["start", "step"], "loss")
    ends = {start: sum(found) / len(found) for start in LAWS if (found := _last_losses(columns, start))}
    caption = Caption(
        name="he_depth",
        title="Loss of a 30-layer ReLU network, two ways to draw its weights",
        how_to_read=(
            "Cross-entropy of the training batch (64 digits) over the steps, the mean over the seeds with "
            r"their range. He's weights have $\mathrm{Var}(W) = 2/n$, Xavier's $1/n$. Each ReLU throws away "
            "half of the signal's variance. Without the factor 2 nothing makes up for it, and after 30 "
            "layers the signal, forward and backward, is too small to learn from: the loss stays at ln 10 "
            "= 2.30, that of guessing. He et al. 2015, figure 3."
        ),
        alt_text=(
            f"Loss over training: with He's weights it falls to {ends[HE]:.2g}, with Xavier's it stays at "
            f"{ends[XAVIER]:.3g}, where guessing is {GUESSING:.3g}."
        ),
    )
    frame = frame.rename(columns={"start": "series", "step": "x"})
    x = Axis("step", is_whole=True)
    return (series_lines(frame, x, Axis("loss (cross-entropy)"), caption, mode, has_points=False),)


DEPTH = Paper(
    name="he_depth",
    title="He's weights start to learn where Xavier's stall",
    authors="He et al.",
    year=2015,
    figure="figure 3",
    claim=(
        "A network of 30 layers with ReLU converges when its weights are drawn with variance 2/n. With "
        "Xavier's variance 1/n it stalls completely."
    ),
    setup=(
        "30 hidden layers of 64 ReLU units, scanned digits, plain SGD with batches of 64 and learning rate "
        "0.02, the same for both."
    ),
    notes=(
        "The paper trains convolutional networks on ImageNet for days; ours are fully connected and learn "
        "digits within a minute. What is compared is whether learning starts, and the law behind it.",
        "The learning rate was chosen so that He's networks learn; with 0.005 the outcome was the same. With "
        "momentum 0.9 at 0.02 and 0.05, five of six He networks diverged and one did not learn. Xavier's "
        "stalled in every case.",
        "The paper prints curves and no numbers. Its law for the size of the signal is compared as a number.",
    ),
    full={"depth": 30, "width": 64, "steps": 1500, "records": 30, "seeds": 3},
    small={"depth": 30, "width": 64, "steps": 300, "records": 6, "seeds": 1},
    measure=measure,
    check=check,
    charts=charts,
)
