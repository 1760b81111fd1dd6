"""frames: a run's records as tidy pandas frames; their columns are a contract."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nnlab.histogram import QUANTITIES, bin_rows
from nnlab.metrics import METRICS
from nnlab.run import Run, StepRecord

METRIC_TYPES = {"step": int, "layer": str, "layer_index": int, "metric": str, "value": float}
METRIC_COLUMNS = tuple(METRIC_TYPES)
HISTOGRAM_TYPES = {
    "step": int,
    "layer": str,
    "layer_index": int,
    "quantity": str,
    "bin_left": float,
    "bin_right": float,
    "count": int,
}
HISTOGRAM_COLUMNS = tuple(HISTOGRAM_TYPES)


def metric_frame(run: Run) -> pd.DataFrame:
    """Give one row per record, layer and metric."""
    parts = [_network_rows(run), *(_layer_rows(run, name) for name in METRICS)]
    frame = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    frame = frame.astype(METRIC_TYPES)
    frame = frame.sort_values(["step", "layer_index"], kind="stable", ignore_index=True)
    return frame[list(METRIC_COLUMNS)]


def metric_rows(run: Run, metric: str, last_layer: int | None = None) -> pd.DataFrame:
    """Give one metric: step, layer, layer_index and a column of its name."""
    rows = _layer_rows(run, metric) if METRICS[metric].scope == "layer" else _network_rows(run)
    # Not taken from all metrics: of 200 layers and 1,000 records those are five million rows.
    rows = rows.astype(METRIC_TYPES)
    rows = rows[rows["metric"] == metric].drop(columns="metric")
    if last_layer is not None:
        rows = rows[rows["layer_index"] <= last_layer]
    return rows.rename(columns={"value": metric}).reset_index(drop=True)


def _network_rows(run: Run) -> pd.DataFrame:
    rows = [
        (record.step, "network", 0, name, float(value))
        for record in run.records
        for name, value in record.network.items()
        if name in METRICS
    ]
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


def _layer_rows(run: Run, metric: str) -> pd.DataFrame:
    if METRICS[metric].scope == "network":
        return pd.DataFrame(columns=list(METRIC_COLUMNS))
    steps, values = run.series(metric)
    if not values.size:
        return pd.DataFrame(columns=list(METRIC_COLUMNS))
    layers = run.layers[: values.shape[1]]
    return pd.DataFrame(
        {
            "step": np.repeat(steps, len(layers)),
            "layer": [layer.name for layer in layers] * len(steps),
            "layer_index": [layer.index for layer in layers] * len(steps),
            "metric": metric,
            "value": values.ravel(),
        }
    )


def histogram_frame(run: Run) -> pd.DataFrame:
    """Give one row per probe record, quantity, layer and bin, empty bins included."""
    parts = [
        _histogram_rows(run, record, quantity)
        for record in run.records
        for quantity in QUANTITIES
        if quantity in record.histograms
    ]
    if not parts:
        return pd.DataFrame(columns=list(HISTOGRAM_COLUMNS)).astype(HISTOGRAM_TYPES)
    return pd.concat(parts, ignore_index=True)


def histogram_at(run: Run, step: int, quantity: str) -> pd.DataFrame:
    """Give the rows of one quantity at the probe record nearest to a step."""
    return _histogram_rows(run, run.record_at(step, probe=True), quantity)


def _histogram_rows(run: Run, record: StepRecord, quantity: str) -> pd.DataFrame:
    parts = []
    for layer, counts in zip(run.layers, record.histograms[quantity], strict=False):
        if counts is None:
            continue
        left, right = bin_rows(quantity, layer.activation)
        parts.append((layer.name, layer.index, left, right, counts))
    sizes = [len(part[4]) for part in parts]
    return pd.DataFrame(
        {
            "step": record.step,
            "layer": np.repeat(np.array([part[0] for part in parts], dtype=object), sizes),
            "layer_index": np.repeat(np.array([part[1] for part in parts], dtype=int), sizes),
            "quantity": quantity,
            "bin_left": np.concatenate([part[2] for part in parts] or [np.empty(0)]),
            "bin_right": np.concatenate([part[3] for part in parts] or [np.empty(0)]),
            "count": np.concatenate([part[4] for part in parts] or [np.empty(0, dtype=int)]),
        }
    ).astype({"layer": str, "quantity": str, "count": int})
