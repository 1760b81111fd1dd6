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
    "run": "Which run the row belongs to.",
    "series": "Which curve of the chart the row belongs to.",
    "width": "Units of the layer.",
    "share": "The count over the layer's units.",
    "activation": "The activation function, or its output.",
    "units": "Units of the layer.",
    "slope_factor": "What the slopes multiply the error signal's norm by at this layer.",
    "weight_factor": "What the weights from here to the next layer multiply it by.",
    # Of the initialization page.
    "theory": "What mean-field theory expects.",
    "theory_low": "Theory expects 95 % of networks of this width from here on.",
    "theory_high": "Theory expects 95 % of networks of this width up to here.",
    "median": "The median over the drawn networks.",
    "lowest": "The lowest of the drawn networks.",
    "highest": "The highest of the drawn networks.",
    "networks": "How many drawn networks have a finite number here.",
    "seed": "The seed that the network was drawn from.",
    "relative_to_last_hidden": "delta_norm over that of the last hidden layer.",
    "slope_power": "Mean of the squared slope.",
    # Of the lessons' charts.
    "z": "What an activation gets: weighted sum and bias.",
    "h": "What an activation gives.",
    "phi": "The activation function's value at z.",
    "slope": "The activation function's derivative at z.",
    "saturated": "Whether the slope is below the share tau of the largest one.",
    "tau": "Below this share of its largest slope an activation counts as saturated.",
    "part": "The part of the weighted sum: an input, the bias, z, the output.",
    "input": "The input's value.",
    "weight": "What the input is multiplied by.",
    "output": "The network's or neuron's output, or its number.",
    "class": "The class.",
    "score": "The network's output before softmax.",
    "probability": "What softmax makes of the score.",
    "temperature": "What scores are divided by before softmax.",
    "at_temperature_1": "The probability at temperature 1.",
    "example": "The number of the example.",
    "one_matrix": "What the one multiplied-out matrix gives.",
    "network": "What the layers give one after the other, or the number of the network.",
    "difference": "How far both are apart.",
    "bias": "What is added whatever the input.",
    "number": "Its place in the order of size.",
    "singular_value": "How much the matrix stretches this direction.",
    "kind": "What sort of row, point or network it is.",
    "label": "The class that the point or image belongs to, or the words beside it.",
    "p_class_1": "The probability that the network gives class 1.",
    "target": "The output that is wanted.",
    "unit": "The number of the unit.",
    "brightness": "What the image's gray values are multiplied by.",
    "agreement": "Share of images that are classified as at normal brightness.",
    "homogeneity": "The largest distance of f(ax) from a f(x), in lengths of a f(x).",
    "row": "The pixel's row.",
    "column": "The pixel's column.",
    "stage": "Where in the network it is measured.",
    "z_difference": "How far z is from that at brightness 1, in lengths of the latter.",
    "h_difference": "How far h is from that at brightness 1, in lengths of the latter.",
}
# Columns that are counted.
_COUNTED = {"x": "Input {}.", "input_": "Input {}.", "h": "What hidden unit {} gives."}


def meaning(column: str) -> str:
    """Say what a column means; "" for a name that is its own explanation, as that of a curve."""
    if column in _OTHERS:
        return _OTHERS[column]
    if column in METRICS:
        return METRICS[column].meaning
    stem = column.rstrip("0123456789")
    return _COUNTED[stem].format(column[len(stem) :]) if stem in _COUNTED and stem != column else ""


def meanings(columns: Iterable[object]) -> dict[str, str]:
    """Say what columns mean, by name."""
    return {str(column): meaning(str(column)) for column in columns}
