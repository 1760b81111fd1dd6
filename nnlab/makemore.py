"""Karpathy's makemore, part 3: tanh with gain 5/3, how much of it saturates, and how large an update is."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from nnlab.chart import Chart
from nnlab.config import ExperimentConfig
from nnlab.palette import Mode
from nnlab.paper import Check, Columns, Interrupted, Paper, Report, Settings
from nnlab.paper_charts import Axis, Caption, over_seeds, series_lines
from nnlab.stop import Stop

GAIN = 5 / 3
DEPTH = 10  # the lecture has 5; further up, nothing changes any more, and the law says where it stays
# What the lecture prints of its five layers before training: standard deviation, and share with |h| > 0.97.
PRINTED_STD = (0.75, 0.69, 0.67, 0.66, 0.66)
PRINTED_SATURATED = (0.2025, 0.0838, 0.0662, 0.0547, 0.0612)
PRINTED = "printed in the lecture's notebook, one batch of 32"
GUIDE = 1e-3
TRAINED_DEPTH, TRAINED_WIDTH = 5, 100  # as in the lecture
FIRST_STEPS = 300  # while it still learns: afterwards the digits are learned and updates fade


def _base(width: int, depth: int, seed: int) -> ExperimentConfig:
    return ExperimentConfig(
        depth=depth, width=width, activation="tanh", initializer="lecun_normal", gain=GAIN, seed=seed
    )


def measure(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Measure spread and saturation before training, and the update ratios of the first steps.

    What one part does not measure is NaN in its rows.
    """
    from nnlab.first_pass import first_pass
    from nnlab.metrics import METRICS
    from nnlab.paper_training import train_each

    columns: dict[str, list[Any]] = {
        name: [] for name in ("seed", "step", "layer", "activation_std", "saturation", "update_ratio")
    }

    def add(*row: float) -> None:
        for name, value in zip(columns, row, strict=True):
            columns[name].append(value)

    for seed in range(settings["seeds"]):
        config = _base(settings["width"], DEPTH, seed).replace(
            dataset="gaussian", samples=settings["examples"], batch_size=settings["examples"]
        )
        for layer, sample in enumerate(first_pass(config)[:-1], start=1):
            if stop.is_set():
                raise Interrupted
            std, share = (METRICS[name].measure(sample) for name in ("activation_std", "saturation"))
            add(seed, 0, layer, std, share, math.nan)
    config = _base(TRAINED_WIDTH, TRAINED_DEPTH, 0).replace(
        dataset="digits", batch_size=32, learning_rate=0.1, steps=FIRST_STEPS, record_every=10
    )
    (run,) = train_each([config], report, stop)
    steps, ratios = run.series("update_ratio")
    for step, row in zip(steps[1:].tolist(), ratios[1:, :-1].tolist(), strict=True):
        for layer, ratio in enumerate(row, start=1):
            add(0, step, layer, math.nan, math.nan, ratio)
    return columns


def _table(columns: Columns) -> pd.DataFrame:
    return pd.DataFrame(dict(columns))


def _in_layer(columns: Columns, field: str, layer: int) -> float:
    table = _table(columns)
    return float(table[(table["step"] == 0) & (table["layer"] == layer)][field].mean())


def _typical_update(columns: Columns) -> float:
    """Give the median update ratio over hidden layers and steps."""
    return float(_table(columns)["update_ratio"].median())


def _fixed_point() -> tuple[float, float]:
    """Give standard deviation and saturation that mean field predicts far from the input."""
    from nnlab.gaussian_mean import output_power
    from nnlab.signal_theory import saturation_share
    from nnlab.theory import mean_field

    q = mean_field("tanh", sigma_w=GAIN, sigma_b=0.0).q_star
    return math.sqrt(float(output_power("tanh", q))), saturation_share("tanh", q)


def check(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Hold five layers against printed numbers, the last against the law, updates against the guide."""
    spread = [
        Check(f"standard deviation, layer {n}", value, PRINTED, _in_layer(columns, "activation_std", n), 0.03)
        for n, value in enumerate(PRINTED_STD, start=1)
    ]
    saturated = [
        Check(
            f"saturated share, layer {n}", value, PRINTED, _in_layer(columns, "saturation", n), 0.02,
            is_absolute=True,
        )
        for n, value in enumerate(PRINTED_SATURATED, start=1)
    ]  # fmt: skip
    std, share = _fixed_point()
    law, end = "law: fixed point of the variance map (mean field)", DEPTH
    last = [
        Check(
            f"standard deviation, layer {end}", std, law, _in_layer(columns, "activation_std", end), 0.01,
            is_absolute=True,
        ),
        Check(
            f"saturated share, layer {end}", share, law, _in_layer(columns, "saturation", end), 0.01,
            is_absolute=True,
        ),
    ]  # fmt: skip
    update = Check(
        "update / weights, median, as a power of ten",
        math.log10(GUIDE),
        "guide line of the lecture, a convention",
        math.log10(_typical_update(columns)),
        tolerance=0.5,
        is_absolute=True,
    )
    return (*spread, *saturated, *last, update)


def charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Saturation over the layers, and update ratios over the first steps."""
    return _saturation_chart(columns, mode), _update_chart(columns, mode)


def _saturation_chart(columns: Columns, mode: Mode) -> Chart:
    table = _table(columns)
    ours = over_seeds(table[table["step"] == 0], ["layer"], "saturation").assign(series="measured here")
    theirs = pd.DataFrame(
        {
            "layer": range(1, len(PRINTED_SATURATED) + 1),
            "value": PRINTED_SATURATED,
            "low": PRINTED_SATURATED,
            "high": PRINTED_SATURATED,
            "series": "printed in the lecture",
        }
    )
    _, share = _fixed_point()
    caption = Caption(
        name="makemore_saturation",
        title="Saturated share of every tanh layer before training",
        how_to_read=(
            r"The share of activations with $|\tanh z| > 0.97$, where the slope is under 6 % of its largest. "
            "The gain 5/3 pulls against the squeezing of tanh: after the first layer, which sees inputs of "
            f"spread 1, the share settles at {100 * share:.2f} %, the fixed point that mean field predicts "
            "(dashed). The lecture's numbers come from one batch of 32. Karpathy, makemore part 3, 2022."
        ),
        alt_text=(
            f"Saturated share over {DEPTH} layers: {_in_layer(columns, 'saturation', 1):.3f} in layer 1, "
            f"{_in_layer(columns, 'saturation', DEPTH):.3f} in layer {DEPTH}; predicted {share:.4f}."
        ),
        guide=((share, "fixed point"),),
    )
    frame = pd.concat([ours, theirs], ignore_index=True).rename(columns={"layer": "x"})
    x = Axis("layer", is_whole=True, low=1, high=DEPTH)
    return series_lines(frame, x, Axis("saturated share", is_share=True), caption, mode)


def _update_chart(columns: Columns, mode: Mode) -> Chart:
    table = _table(columns)
    table = table[table["step"] > 0]
    frame = pd.DataFrame(
        {
            "series": [f"layer {layer:.0f}" for layer in table["layer"]],
            "x": table["step"],
            "value": table["update_ratio"],
        }
    ).reset_index(drop=True)
    caption = Caption(
        name="makemore_updates",
        title="Update / weights of every layer over the first steps",
        how_to_read=(
            "The standard deviation of an update over that of the weights it changes. The lecture's rule of "
            "thumb: about 0.001 (dashed) is a good pace; far below, the learning rate is too small. Layers "
            "close together learn at the same pace. The lines fall as the digits are learned. Karpathy, "
            "makemore part 3, 2022."
        ),
        alt_text=(
            f"Update to weight ratio of {TRAINED_DEPTH} layers over {FIRST_STEPS} steps; the median is "
            f"{_typical_update(columns):.2g}, the guide line is at {GUIDE:g}."
        ),
        guide=((GUIDE, "guide: 0.001"),),
    )
    return series_lines(
        frame, Axis("step", is_whole=True), Axis("update / weights", is_log=True), caption, mode,
        has_points=False,
    )  # fmt: skip


MAKEMORE = Paper(
    name="makemore",
    title="tanh with gain 5/3: saturation and pace",
    authors="Karpathy",
    year=2022,
    figure="makemore, part 3",
    claim=(
        "With gain 5/3 a stack of tanh layers keeps its spread near 0.65, and about 5 % of the activations "
        "are saturated. Updates of about a thousandth of the weights are a good pace."
    ),
    setup=(
        "Weights drawn with standard deviation (5/3)/√n, as in the lecture. Before training: 10 tanh layers, "
        "normally distributed inputs. Training: 5 layers of 100 units, batches of 32 digits, SGD with "
        f"learning rate 0.1, the first {FIRST_STEPS} steps."
    ),
    notes=(
        "The lecture's network reads names, letter by letter; its inputs are normally distributed too when "
        "it starts. Its numbers are of one batch of 32, so its shares scatter by about a point.",
        "The pace is a convention, not a finding: the tolerance is half a power of ten.",
    ),
    full={"width": 200, "examples": 2000, "seeds": 10},
    small={"width": 200, "examples": 500, "seeds": 2},
    measure=measure,
    check=check,
    charts=charts,
)
