"""Klambauer et al. 2017: SELU brings means and variances back to 0 and 1 over fifty layers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from nnlab.chart import Chart
from nnlab.config import ExperimentConfig
from nnlab.gaussian_mean import output_mean
from nnlab.moment_map import moment_map
from nnlab.numerals import scientific
from nnlab.palette import Mode
from nnlab.paper import Check, Columns, Paper, Report, Settings
from nnlab.paper_charts import Axis, Caption
from nnlab.paper_law_charts import LAW, MEASURED, law_points
from nnlab.paper_rows import counted, different, picked, to_columns
from nnlab.stop import Stop
from nnlab.theory import mean_field, variance_map

if TYPE_CHECKING:
    from nnlab.samples import LayerSample

ACTIVATION = "selu"
# The second column of the paper's Jacobian at the fixed point: what the variance does to mean and variance.
MEAN_GROWTH, VARIANCE_GROWTH = 0.088834, 0.782648
JACOBIAN_TOLERANCE = 1e-6  # of numbers printed with six decimals
FIXED = 1.0  # the input variance of the fixed point


def _config(settings: Settings, seed: int) -> ExperimentConfig:
    return ExperimentConfig(
        dataset="gaussian",
        depth=settings["depth"],
        width=settings["width"],
        activation=ACTIVATION,
        initializer="lecun_normal",
        batch_size=settings["examples"],
        seed=seed,
    )


def _layers(settings: Settings, variance: float, seed: int) -> list[LayerSample]:
    from nnlab.datasets import load_dataset
    from nnlab.first_pass import first_pass

    config = _config(settings, seed)
    data = load_dataset(config)
    x = (math.sqrt(variance) * data.x_train).astype(np.float32)
    return first_pass(config, replace(data, x_train=x))[:-1]


def measure(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Measure mean and variance of every layer's outputs, and delta's norm, for several input variances.

    Moments are averages over the seeds; `delta_norm` is their geometric mean, relative to the last layer.
    """
    rounds = [(variance, seed) for variance in settings["variances"] for seed in range(settings["seeds"])]
    found: dict[float, list[np.ndarray]] = {variance: [] for variance in settings["variances"]}
    for variance, seed in counted(rounds, report, stop):
        layers = _layers(settings, variance, seed)
        moments = [
            (float(layer.h64.mean()), float(layer.h64.var(correction=0)), layer.delta_norm)
            for layer in layers
        ]
        found[variance].append(np.array(moments))
    rows = []
    for variance, parts in found.items():
        stacked = np.stack(parts)
        logs = np.log(stacked[:, :, 2]).mean(axis=0)
        for layer in range(settings["depth"]):
            rows.append(
                {
                    "start": variance,
                    "layer": layer + 1,
                    "mean": float(stacked[:, layer, 0].mean()),
                    "variance": float(stacked[:, layer, 1].mean()),
                    "delta_norm": float(np.exp(logs[layer] - logs[-1])),
                }
            )
    return to_columns(rows)


def check(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Compare moments with the fixed point, its Jacobian with the paper's, and gradients with chi."""
    growth = moment_map(ACTIVATION, 1.0)
    gain = math.sqrt(mean_field(ACTIVATION, 1.0, 0.0).chi)
    last = settings["depth"]
    ends = [picked(columns, "variance", start=start, layer=last)[0] for start in settings["variances"]]
    tolerance = settings["variance_tolerance"]
    printed = "printed: the Jacobian of the moment map at the fixed point"
    return (
        Check("mean of the outputs (average over layers)", 0.0, "the fixed point",
              float(picked(columns, "mean", start=FIXED).mean()), 0.02, is_absolute=True),
        Check("variance of the outputs (average over layers)", 1.0, "the fixed point",
              float(picked(columns, "variance", start=FIXED).mean()), tolerance),
        Check("variance after the last layer, from the input variance that ends farthest off", 1.0,
              "the fixed point attracts", float(max(ends, key=lambda end: abs(end - 1))), 2 * tolerance),
        Check("Jacobian: growth of the mean with the variance", MEAN_GROWTH, printed,
              growth.mean_growth, JACOBIAN_TOLERANCE, is_absolute=True),
        Check("Jacobian: growth of the variance with itself", VARIANCE_GROWTH, printed,
              growth.variance_growth, JACOBIAN_TOLERANCE, is_absolute=True),
        Check(f"error signal in layer 1 / layer {last}", gain ** (last - 1),
              "law: χ = 1.0716 at the fixed point, derived (mean field)",
              float(picked(columns, "delta_norm", start=FIXED, layer=1)[0]), 0.3),
    )  # fmt: skip


def _law(start: float, depth: int) -> np.ndarray:
    """Give the variance of every layer's outputs that theory predicts for an input variance."""
    powers, q = [], start
    for _ in range(depth):
        powers.append(float(variance_map(ACTIVATION, 1.0, 0.0, q)) - float(output_mean(ACTIVATION, q)) ** 2)
        q = float(variance_map(ACTIVATION, 1.0, 0.0, q))
    return np.array(powers)


def _variance_chart(columns: Columns, mode: Mode) -> Chart:
    parts = []
    depth = int(max(columns["layer"]))
    for start in different(columns, "start"):
        layers = np.arange(depth + 1)
        law = {"x": layers, "value": [start, *_law(start, depth)], "kind": LAW}
        shown = [0, 1, 2, 3, 4, 5, *range(7, depth, 3), depth - 1]
        shown = [place for place in dict.fromkeys(shown) if place < depth]
        measured = picked(columns, "variance", start=start)[shown]
        points = {"x": layers[1:][shown], "value": measured, "kind": MEASURED}
        parts += [pd.DataFrame(part).assign(series=f"from {start:g}") for part in (law, points)]
    ends = [picked(columns, "variance", start=start, layer=depth)[0] for start in different(columns, "start")]
    starts = ", ".join(f"{start:g}" for start in different(columns, "start"))
    caption = Caption(
        name="klambauer_variance",
        title="Variance of SELU's outputs over depth",
        how_to_read=(
            "Points are the variance of a layer's outputs over examples and units, averaged over drawn "
            "networks; layer 0 is the input. Lines are the paper's moment map, iterated: near variance 1 "
            "every layer leaves 0.78 of the distance (Klambauer et al. 2017, section 2). Whatever comes in, "
            "variances go to 1 without any normalization."
        ),
        alt_text=(
            f"From input variances {starts} the outputs of layer {depth} end at "
            f"{', '.join(scientific(end) for end in ends)}."
        ),
    )
    x = Axis("layer", is_whole=True, low=0, high=depth)
    return law_points(pd.concat(parts, ignore_index=True), x, Axis("variance"), caption, mode)


def _gradient_chart(columns: Columns, mode: Mode) -> Chart:
    norms = picked(columns, "delta_norm", start=FIXED)
    layers = np.arange(1, len(norms) + 1)
    gain = math.sqrt(mean_field(ACTIVATION, 1.0, 0.0).chi)
    law = {"x": layers, "value": gain ** (len(norms) - layers), "kind": LAW}
    parts = [law, {"x": layers, "value": norms, "kind": MEASURED}]
    table = pd.concat([pd.DataFrame(part).assign(series="input variance 1") for part in parts])
    caption = Caption(
        name="klambauer_gradients",
        title="Error signal of a SELU network",
        how_to_read=(
            "Points are the length of the error signal δ in a layer, over that in the last one; the line is "
            "√χ = 1.035 for each layer, what mean field says of SELU's fixed point. While activations keep "
            "their variance, gradients slowly grow toward the input (read from right to left)."
        ),
        alt_text=f"The error signal of layer 1 is {scientific(norms[0])} times that of layer {len(norms)}.",
    )
    x = Axis("layer", is_whole=True, low=0, high=len(norms))
    y = Axis("length of δ / that of the last layer")
    return law_points(table.reset_index(drop=True), x, y, caption, mode)


def charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Draw variances from several inputs, and the error signal."""
    return _variance_chart(columns, mode), _gradient_chart(columns, mode)


FULL = {
    "variances": (0.25, 1.0, 2.5),
    "depth": 50,
    "width": 200,
    "examples": 256,
    "seeds": 10,
    "variance_tolerance": 0.05,
}
SMALL = {**FULL, "width": 100, "examples": 128, "seeds": 4, "variance_tolerance": 0.12}

FIXED_POINT = Paper(
    name="klambauer_fixed_point",
    title="SELU keeps mean 0 and variance 1 by itself",
    authors="Klambauer et al.",
    year=2017,
    figure="the fixed point of the moment map",
    claim=(
        "In a SELU network with weights of variance 1/n, means and variances of the activations come "
        "to 0 and 1 and stay there through many layers, without any normalization."
    ),
    setup=(
        "50 hidden layers of 200 SELU units, weights normal with variance 1/n, standard normal inputs "
        "scaled to variance 0.25, 1 and 2.5; one forward and one backward pass of 256 examples in ten "
        "drawn networks."
    ),
    notes=(
        "Nothing is trained, and the inputs are random numbers: the claim is about activations.",
        "The paper's map holds for weights that sum to exactly 0 and whose squares sum to exactly 1; "
        "drawn weights do so only on average, so that single networks scatter around it.",
        "The paper shows that gradients neither vanish nor explode. They do grow a little: 1.035 times a "
        "layer, which follows from its own constants.",
    ),
    full=FULL,
    small=SMALL,
    measure=measure,
    check=check,
    charts=charts,
)
