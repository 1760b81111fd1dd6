"""A record's line of the run file: what is written of a StepRecord, and what is taken for one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from nnlab.histogram import QUANTITIES, bin_rows, packed
from nnlab.metrics import METRICS
from nnlab.run import LayerInfo, LayerNumbers, StepRecord
from nnlab.runline import (
    decode_number,
    decode_numbers,
    encode_number,
    encode_numbers,
    short_text,
    unknown_keys,
    whole_number,
)

_KEYS = ("k", "step", "layout", "layers", "network", "histograms")
# What every record of schema 1 holds, and every one with histograms besides. A metric that comes later is
# not in these lists: older files do not have it.
_BATCH = (
    "pre_activation_mean", "pre_activation_std", "activation_mean", "activation_std", "slope_mean",
    "saturation", "saturation_low", "saturation_high", "zero_fraction", "delta_norm", "delta_rms",
    "activation_grad_norm", "backward_gain", "weight_norm", "weight_grad_norm", "bias_grad_norm",
    "grad_to_weight", "update_ratio",
)  # fmt: skip
_PROBE = (
    "dead_units", "dead_fraction", "stuck_units", "silent_units", "dormant_fraction", "effective_rank",
    "mean_cosine",
)  # fmt: skip
_NETWORK = ("loss", "accuracy", "grad_norm", "gradient_ratio", "vanishing_index")


def record_content(record: StepRecord, layout: int = 0) -> dict[str, Any]:
    """Give the content of a record's line; `layout` counts the lines of layers before it."""
    unread = dict(record.extras)
    histograms = {
        quantity: [None if counts is None else counts.tolist() for counts in rows]
        for quantity, rows in record.histograms.items()
    }
    return {
        **unread,
        "k": "record",
        "step": record.step,
        **({"layout": layout} if layout else {}),
        "layers": {name: encode_numbers(values) for name, values in record.layers.items()},
        "network": {name: encode_number(float(value)) for name, value in record.network.items()},
        "histograms": histograms | unread.get("histograms", {}),
    }


def read_record(content: Mapping[str, Any], layers: tuple[LayerInfo, ...]) -> StepRecord:
    """Build a record; raises ValueError, TypeError, KeyError, AttributeError or OverflowError."""
    values = {
        _known_or_short(name): _read_numbers(numbers, name, len(layers))
        for name, numbers in content["layers"].items()
    }
    network = {_known_or_short(n): decode_number(value) for n, value in content["network"].items()}
    counts = dict(content["histograms"])
    histograms = {name: _read_counts(counts.pop(name), name, layers) for name in QUANTITIES if name in counts}
    _check_complete(values, network, histograms)
    extras = unknown_keys(content, _KEYS)
    if counts:
        extras |= unknown_keys({"histograms": counts}, ())
    # What only a newer version knows may have any length, and would spread it to every other metric.
    is_even = all(len(layers) - 1 <= len(numbers) <= len(layers) for numbers in values.values())
    dense = LayerNumbers.of(values) if is_even else values
    return StepRecord(whole_number(content["step"], "step"), dense, network, histograms, extras)


def _known_or_short(metric: str) -> str:
    return metric if metric in METRICS else short_text(metric, "metric")


def _read_numbers(numbers: Any, name: str, layers: int) -> np.ndarray:
    values = decode_numbers(numbers)
    # A newer minor version may know more metrics; they are kept as they are.
    expected = layers - METRICS[name].hidden_only if name in METRICS else len(values)
    if len(values) != expected:
        raise ValueError(f"{name} has {len(values)} numbers for {expected} layers")
    return values


def _check_complete(
    values: Mapping[str, Any], network: Mapping[str, Any], histograms: Mapping[str, Any]
) -> None:
    """Raise ValueError where something is not there that every reader of a run counts on."""
    missing = {*_BATCH} - values.keys() | {*_NETWORK} - network.keys()
    if histograms:
        missing |= {*_PROBE} - values.keys() | {*QUANTITIES} - histograms.keys()
    if missing:
        raise ValueError(f"{min(missing)} is missing")


def _read_counts(rows: Any, quantity: str, layers: tuple[LayerInfo, ...]) -> list[np.ndarray | None]:
    if not isinstance(rows, list) or len(rows) != len(layers):
        raise ValueError(f"{quantity}: not one list of counts a layer")
    bins = {name: len(bin_rows(quantity, name)[0]) for name in {layer.activation for layer in layers}}
    for counts, layer in zip(rows, layers, strict=True):
        if counts is not None and (not isinstance(counts, list) or len(counts) != bins[layer.activation]):
            raise ValueError(f"{quantity}: not one count a bin")
    # All layers at once: a Python call a bin would take most of the time that a long file takes to open.
    counted = [counts for counts in rows if counts is not None]
    flat = list(chain.from_iterable(counted))
    if not set(map(type, flat)) <= {int}:
        raise ValueError(f"{quantity}: a count is no whole number")
    numbers = np.array(flat, dtype=np.int64)
    if len(numbers) and numbers.min() < 0:
        raise ValueError(f"{quantity}: a count is negative")
    parts = iter(np.split(numbers, np.cumsum([len(counts) for counts in counted])[:-1]))
    return packed([None if counts is None else next(parts) for counts in rows])
