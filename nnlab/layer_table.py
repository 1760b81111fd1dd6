"""The layer table: one row a layer, the numbers that decide at one step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nnlab.metrics import METRICS
from nnlab.rules import slope_factors, weight_factors
from nnlab.run import Run

BATCH_COLUMNS = (
    "delta_norm",
    "weight_grad_norm",
    "backward_gain",
    "slope_mean",
    "saturation",
    "pre_activation_std",
    "activation_std",
    "update_ratio",
)
PROBE_COLUMNS = ("dead_units", "effective_rank", "mean_cosine")


# What the two columns that are no metric of their own are called, and what they mean.
FACTORS = {
    "slope_factor": ("Slope factor", "What the slopes multiply the error signal's norm by at this layer."),
    "weight_factor": ("Weight factor", "What the weights from here to the next layer multiply it by."),
}


# Columns that span decades are written in scientific notation, the others with three digits.
SPANNING = ("delta_norm", "weight_grad_norm", "update_ratio")


def column_words() -> dict[str, tuple[str, str, str]]:
    """Give label, meaning and printf format of every column that holds numbers."""
    metrics = {name: METRICS[name] for name in (*BATCH_COLUMNS, *PROBE_COLUMNS)}
    words = {name: (metric.label, metric.meaning) for name, metric in metrics.items()} | FACTORS
    return {name: (*said, "%.2e" if name in SPANNING else "%.3g") for name, said in words.items()}


def _padded(values: np.ndarray, length: int) -> np.ndarray:
    """Fill up to all layers with NaN: what means nothing there."""
    return np.append(values.astype(float), np.full(length - len(values), np.nan))


def layer_table(run: Run, step: int, places: Sequence[int] | None = None) -> pd.DataFrame:
    """Give one row a layer at the record nearest to a step; probe metrics from the nearest probe, if any.

    With `places`, positions from 0, only those layers, in their order; the index then holds their numbers.

    Columns: layer, activation, units, the metrics of BATCH_COLUMNS and PROBE_COLUMNS, and
    slope_factor and weight_factor, whose product is backward_gain.
    """
    record = run.record_at(step)
    probe = run.record_at(step, probe=True).layers if run.has_probes else {}
    count = len(run.layers)
    columns: dict[str, object] = {
        "layer": [layer.name for layer in run.layers],
        "activation": [*[layer.activation for layer in run.hidden], "identity"],
        "units": [layer.weight_shape[0] for layer in run.layers],
    }
    for name in BATCH_COLUMNS:
        columns[name] = _padded(record.layers[name], count)
    columns["slope_factor"] = _padded(slope_factors(record), count)
    columns["weight_factor"] = _padded(weight_factors(record), count)
    for name in PROBE_COLUMNS:
        columns[name] = _padded(probe.get(name, np.empty(0)), count)
    table = pd.DataFrame(columns)
    if places is None:
        return table
    return table.set_axis(pd.Index(range(1, count + 1), name="#")).iloc[list(places)]
