"""columns: what every column of every table that leaves nnlab means, by name."""

from __future__ import annotations

from collections.abc import Iterable

from nnlab.metrics import METRICS

# A column that is named after a metric means the metric; these are the others.
_OTHERS = {
    "step": "The record: the network after so many updates.",
    "layer": "The layer: hidden_1 to hidden_L, output; network for the whole network.",
    "layer_index": "The layer's number: 1 to L, L + 1 for the output, 0 for the whole network.",
    "metric": "The name of the metric.",
    "value": "The number.",
    "quantity": "What was binned: pre_activation, activation, delta, weight_grad.",
    "bin_left": "Lower edge of the bin; log10 of the magnitude for delta and weight_grad. -inf to -inf "
    "holds exact zeros, nan what is not finite.",
    "bin_right": "Upper edge of the bin; inf for what lies above all bins.",
    "count": "How many numbers, or units, it holds.",
    "name": "The name.",
    "series": "Which curve of the chart the row belongs to.",
    "relative_to_last_hidden": "delta_norm over that of the last hidden layer.",
    "width": "Units of the layer.",
    "share": "The count over the layer's units.",
    "activation": "The activation function, or its output.",
    "units": "Units of the layer.",
    "slope_factor": "What the slopes multiply the error signal's norm by at this layer.",
    "weight_factor": "What the weights from here to the next layer multiply it by.",
}


def meaning(column: str) -> str:
    """Say what a column means; "" for a name that is its own explanation, as a class's or an input's."""
    if column in _OTHERS:
        return _OTHERS[column]
    return METRICS[column].meaning if column in METRICS else ""


def meanings(columns: Iterable[object]) -> dict[str, str]:
    """Say what columns mean, by name."""
    return {str(column): meaning(str(column)) for column in columns}
