"""Schoenholz et al. 2017: how deep a random tanh network can be and still train, against six depth scales."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from nnlab.chart import Chart
from nnlab.config import ExperimentConfig
from nnlab.fixed_correlation import fixed_correlation
from nnlab.numerals import percent
from nnlab.palette import Mode
from nnlab.paper import Check, Columns, Paper, Report, Settings
from nnlab.paper_depth_charts import depth_map
from nnlab.paper_rows import counted, different, picked, to_columns
from nnlab.random_network import RandomNetwork
from nnlab.stop import Stop
from nnlab.theory import DEPTHS_OF_XI, edge_of_chaos, mean_field, mean_field_map

ACTIVATION = "tanh"
BIAS_VARIANCE = 0.05
# Half way between guessing one of ten digits and knowing all; chosen before any network was trained.
TRAINED_FROM = 0.55
CURVE_POINTS = 160  # on either side of the edge of chaos


def _networks(settings: Settings, depth: int) -> list[RandomNetwork]:
    config = ExperimentConfig(
        dataset="digits",
        depth=depth,
        width=settings["width"],
        activation=ACTIVATION,
        initializer="lecun_normal",  # fan_in Var(W) = 1, so that the gain is sigma_w
        learning_rate=settings["learning_rate"],
        batch_size=settings["batch"],
        steps=settings["steps"],
        seed=settings["seed"],
    )
    gains = [math.sqrt(variance) for variance in settings["weight_variances"]]
    return [RandomNetwork(config.replace(gain=gain), math.sqrt(BIAS_VARIANCE)) for gain in gains]


def correlation_scale(weight_variance: float) -> float:
    """Give the depth scale of correlations, in layers: what two inputs are to each other fades by e in it.

    Schoenholz et al. 2017, section 3. Below the edge of chaos it is 1 / abs(ln chi), above it is longer.
    """
    sigma_w, sigma_b = math.sqrt(weight_variance), math.sqrt(BIAS_VARIANCE)
    q = mean_field(ACTIVATION, sigma_w, sigma_b).q_star
    return fixed_correlation(ACTIVATION, sigma_w, sigma_b, q).xi


def measure(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Train one network for each weight variance and depth; give its accuracy on the training split."""
    from nnlab.drawn_training import trained_accuracies

    scales = [correlation_scale(variance) for variance in settings["weight_variances"]]
    rows = []
    for depth in counted(settings["depths"], report, stop):
        accuracies = trained_accuracies(_networks(settings, depth), stop)
        for variance, xi, accuracy in zip(settings["weight_variances"], scales, accuracies, strict=True):
            rows.append({"weight_variance": variance, "depth": depth, "xi": xi, "accuracy": accuracy})
    return to_columns(rows)


def _agreement(columns: Columns) -> float:
    depth, xi, accuracy = (picked(columns, name) for name in ("depth", "xi", "accuracy"))
    return float(np.mean((accuracy > TRAINED_FROM) == (depth <= DEPTHS_OF_XI * xi)))


def _limits(columns: Columns) -> list[float]:
    """Give the depth at which training ends over xi, for every weight variance for which it ends inside."""
    found = []
    for variance in different(columns, "weight_variance"):
        depth, accuracy = (picked(columns, name, weight_variance=variance) for name in ("depth", "accuracy"))
        trains = accuracy > TRAINED_FROM
        if trains[0] and not trains.all():
            last = int(np.argmin(trains))
            limit = np.interp(-TRAINED_FROM, -accuracy[[last - 1, last]], depth[[last - 1, last]])
            found.append(float(limit) / float(picked(columns, "xi", weight_variance=variance)[0]))
    return found


def check(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Compare where training ends with six depth scales, cell by cell and as one number."""
    limits = _limits(columns)
    agreement = Check(
        "share of networks that train where depth ≤ 6ξ, and do not where it is larger",
        1.0,
        'the claim ("precisely when"), read as a tendency: the paper prints no share',
        _agreement(columns),
        settings["agreement_tolerance"],
        is_absolute=True,
    )
    limit = Check(
        "depth at which training ends, in depth scales ξ (median over the weight variances)",
        DEPTHS_OF_XI,
        "the curve that the paper draws over its figure",
        float(np.median(limits)) if limits else math.nan,
        tolerance=0.5,
    )
    return agreement, limit


def _curve(columns: Columns, critical: float) -> pd.DataFrame:
    """Give 6 xi over the weight variance; above the edge 1 / xi is interpolated, which is smooth there."""
    variances = np.array(sorted(set(columns["weight_variance"])))
    ordered = np.linspace(variances[0], max(critical, variances[0]), CURVE_POINTS, endpoint=False)
    below = mean_field_map(ACTIVATION, np.sqrt(ordered), math.sqrt(BIAS_VARIANCE)).xi
    chaotic = variances[variances > critical]
    if not len(chaotic):
        return pd.DataFrame({"x": ordered, "y": DEPTHS_OF_XI * below})
    rates = [1 / picked(columns, "xi", weight_variance=variance)[0] for variance in chaotic]
    rate = PchipInterpolator([critical, *chaotic], [0.0, *rates])
    beyond = np.linspace(critical, chaotic[-1], CURVE_POINTS + 1)[1:]
    scales = np.concatenate([below, 1 / rate(beyond)])
    return pd.DataFrame({"x": np.concatenate([ordered, beyond]), "y": DEPTHS_OF_XI * scales})


def charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Draw accuracy over weight variance and depth, with the curve 6 xi."""
    found = _agreement(columns)
    words = (
        f"Training accuracy of {len(columns['depth'])} networks over weight variance and depth. In "
        f"{percent(found)} of them six depth scales tell whether the network trains."
    )
    critical = edge_of_chaos(ACTIVATION, math.sqrt(BIAS_VARIANCE)) ** 2
    return (depth_map(columns, _curve(columns, critical), critical, words, mode),)


FULL = {
    "weight_variances": (1.0, 1.2, 1.4, 1.6, 1.76, 2.0, 2.25, 2.5, 2.75, 3.0, 3.5, 4.0),
    "depths": (5, 10, 15, 20, 30, 40, 50, 60),
    "width": 100,
    "steps": 300,
    "batch": 64,
    "learning_rate": 0.01,
    "seed": 0,
    "agreement_tolerance": 0.2,
}
SMALL = {
    **FULL,
    "weight_variances": (1.0, 1.76, 2.5, 3.5),
    "depths": (10, 30, 50),
    "width": 64,
    "steps": 120,
    "batch": 32,
    "learning_rate": 0.02,
    "agreement_tolerance": 0.35,
}

DEPTH = Paper(
    name="schoenholz_depth",
    title="How deep a network can train",
    authors="Schoenholz et al.",
    year=2017,
    figure="accuracy over depth and weight variance, with 6ξ",
    claim=(
        "A random network can be trained precisely when a signal can travel through it: up to a depth of "
        "about six times the depth scale ξ, which grows without limit at the edge of chaos."
    ),
    setup=(
        "tanh networks with weight variance σ²/n and bias variance 0.05, trained on scanned digits by "
        "plain gradient descent; one network for each weight variance and depth. It counts as trained "
        "when it knows more than 55 % of its training images, half way between guessing and knowing all."
    ),
    notes=(
        "The paper trains 300 units a layer on MNIST, for far more steps and down to a depth of 300; "
        "here it is 100 units, 300 steps and a depth of up to 60 on smaller digits.",
        "The learning rate was chosen by looking at the critical weight variance 1.76 alone, where "
        "theory predicts no limit. What counts as trained, and the tolerances of the full settings, were "
        "fixed before looking at any other result.",
        "ξ is the paper's scale of correlations: how fast two inputs lose what they are to each other. "
        "Below the edge of chaos it is 1 / |ln χ|, the scale of gradients, which the other pages show; "
        "above the edge it is longer. A first comparison here took the scale of gradients on both sides: "
        "the median limit was then nine scales, not six, and missed the tolerance.",
    ),
    full=FULL,
    small=SMALL,
    measure=measure,
    check=check,
    charts=charts,
)
