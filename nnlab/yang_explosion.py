"""Yang et al. 2019: batch normalization makes gradients of ReLU networks explode with depth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from nnlab.chart import Chart
from nnlab.config import ExperimentConfig
from nnlab.numerals import scientific
from nnlab.palette import Mode
from nnlab.paper import Check, Columns, Paper, Report, Settings
from nnlab.paper_charts import Axis, Caption
from nnlab.paper_law_charts import LAW, MEASURED, law_points
from nnlab.paper_rows import counted, different, picked, to_columns
from nnlab.stop import Stop

# Large batches: the squared norm of a gradient grows by this from a layer to the one before it.
GROWTH = {"relu": math.pi / (math.pi - 1), "identity": 1.0}
WORDS = {"relu": "ReLU", "identity": "no activation"}


def measure(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Measure delta's norm in every layer of drawn networks with batch normalization."""
    from nnlab.first_pass import first_pass

    rounds = [(name, seed) for seed in range(settings["seeds"]) for name in GROWTH]
    rows = []
    for name, seed in counted(rounds, report, stop):
        config = ExperimentConfig(
            dataset="gaussian",
            samples=math.ceil(1.25 * settings["batch"]),  # a fifth is the test split
            depth=settings["depth"],
            width=settings["width"],
            activation=name,
            initializer="kaiming_normal",
            normalization="batch",
            batch_size=settings["batch"],
            seed=seed,
        )
        for layer, sample in enumerate(first_pass(config)[:-1], start=1):
            rows.append({"activation": name, "seed": seed, "layer": layer, "delta_norm": sample.delta_norm})
    return to_columns(rows)


def _relative_logs(columns: Columns, name: str) -> np.ndarray:
    """Give ln of delta's norm over that of the last layer, shape (seeds, layers)."""
    logs = [
        np.log(picked(columns, "delta_norm", activation=name, seed=seed))
        for seed in different(columns, "seed")
    ]
    return np.array([line - line[-1] for line in logs])


def growth_per_layer(columns: Columns, name: str) -> float:
    """Give by what delta's norm grows from a layer to the one before it: a line through the logs."""
    logs = _relative_logs(columns, name).mean(axis=0)
    return math.exp(-float(np.polyfit(np.arange(len(logs)), logs, 1)[0]))


def check(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Compare the growth a layer with the law of large batches."""
    origins = {
        "relu": "law: √(π/(π − 1)), large batches",
        "identity": "law: without activation gradients hardly explode at large batches",
    }
    return tuple(
        Check(
            f"{WORDS[name]}: growth of the error signal's length a layer",
            math.sqrt(squared),
            origins[name],
            growth_per_layer(columns, name),
            settings["growth_tolerance"],
        )
        for name, squared in GROWTH.items()
    )


def charts(columns: Columns, mode: Mode) -> tuple[Chart, ...]:
    """Draw the error signal over depth for both activations, with the law."""
    parts = []
    for name, squared in GROWTH.items():
        logs = _relative_logs(columns, name)
        layers = np.arange(1, logs.shape[1] + 1)
        norms = np.exp(logs)
        law = {"x": layers, "value": math.sqrt(squared) ** (len(layers) - layers), "kind": LAW}
        measured = {
            "x": layers,
            "value": np.exp(logs.mean(axis=0)),
            "low": norms.min(axis=0),
            "high": norms.max(axis=0),
            "kind": MEASURED,
        }
        parts += [pd.DataFrame(part).assign(series=WORDS[name]) for part in (law, measured)]
    relu, linear = (growth_per_layer(columns, name) for name in GROWTH)
    whole = math.exp(_relative_logs(columns, "relu").mean(axis=0)[0])
    caption = Caption(
        name="yang_explosion",
        title="Error signal under batch normalization",
        how_to_read=(
            "Points are the length of the error signal δ in a layer over that in the last layer, before any "
            "training, averaged over drawn networks (geometric mean, range of the seeds). It travels from "
            "right to left. Lines are the law for large batches: for ReLU the length grows √(π/(π − 1)) = "
            "1.21 times at every layer, without activation hardly at all (Yang et al. 2019)."
        ),
        alt_text=(
            f"From layer to layer toward the input the error signal grows {relu:.3f} times with ReLU and "
            f"{linear:.3f} times without activation; after {int(max(columns['layer']))} layers it is "
            f"{scientific(whole)} times as long with ReLU."
        ),
    )
    x = Axis("layer", is_whole=True, low=0, high=float(max(columns["layer"])) + 1)
    y = Axis("length of δ / that of the last layer", is_log=True)
    return (law_points(pd.concat(parts, ignore_index=True), x, y, caption, mode),)


FULL = {"depth": 20, "width": 400, "batch": 1000, "seeds": 4, "growth_tolerance": 0.03}
SMALL = {"depth": 10, "width": 100, "batch": 256, "seeds": 3, "growth_tolerance": 0.05}

EXPLOSION = Paper(
    name="yang_explosion",
    title="Batch normalization makes gradients explode",
    authors="Yang et al.",
    year=2019,
    figure="growth of gradients over depth at the initial weights",
    claim=(
        "In a deep network without skip connections, batch normalization itself makes gradients grow "
        "exponentially toward the input, and no choice of the initial weights' variance avoids it."
    ),
    setup=(
        "20 hidden layers of 400 units with batch normalization before the activation, ReLU or none, He "
        "weights, one forward and backward pass of 1,000 standard normal examples in four drawn networks."
    ),
    notes=(
        "Nothing is trained. The law is that of very wide layers and large batches; small batches let "
        "gradients explode faster.",
        "The inputs are random and unlike each other, as the law asks; for inputs that are much alike "
        "the first layers differ from it.",
    ),
    full=FULL,
    small=SMALL,
    measure=measure,
    check=check,
    charts=charts,
)
