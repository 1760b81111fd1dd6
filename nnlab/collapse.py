"""Collapse: layers without an activation are one affine map, and how far an activation is from one.

The error of a collapse is held against the rounding that the two ways of computing can cause at most, so
that "the same" and "not the same" are measured and never assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.field import Field
from nnlab.network import Layer, Network
from nnlab.numerals import percent, scientific

if TYPE_CHECKING:
    import pandas as pd

MAX_HIDDEN_LAYERS = 10  # more boxes than this do not fit beside each other on a phone
HIDDEN_WIDTH = Field("hidden widths", "integer", "Hidden widths", "", low=1, high=64)
# A singular value counts above this times the largest one. For one given matrix max(m, n) * eps is usual
# (Golub & Van Loan 2013, section 5.4; numpy.linalg.matrix_rank). A product carries the rounding of every
# multiplication, so the widths along the way are summed; in 2,500 drawn networks the noise stayed below
# 0.17 of this, where max(m, n) was too small for one of them.
RANK_EPSILON = float(np.finfo(np.float64).eps)
# A fit that misses by less is exact but for rounding: least squares loses up to half of float64's digits
# (Golub & Van Loan 2013, section 5.3), so the limit is the square root of its epsilon.
EXACT_FIT = float(np.sqrt(np.finfo(np.float64).eps))


@dataclass(frozen=True)
class Collapse:
    """What one affine map W'x + b' says of a network f, on `examples` inputs.

    `widths` run from the inputs to the outputs, `activations` names those that are not the identity.
    `error_*` is max |f(x) - (W'x + b')| with weights, inputs and composition all in that precision;
    `relative_error_*` is the same over max |f(x)|; `bound_*` is the largest error that rounding alone can
    make. `rank` is that of W', `output_rank` that of f(x) less its mean over the examples; None where the
    numbers are not finite. `miss` is ||f(x) - (W'x + b')|| / ||f(x)||, Frobenius norms over examples and
    outputs; `best_affine_miss` is the same for the affine map that is fitted to f(x) by least squares;
    `unexplained` is its squared error over the squared deviation of f(x) from its mean (1 - R^2).
    `fit_is_free` says that a fit to so few examples meets any outputs. NaN where a denominator is 0.
    """

    composed: Layer
    widths: tuple[int, ...]
    activations: tuple[str, ...]
    parameters: int
    examples: int
    error_float64: float
    error_float32: float
    relative_error_float64: float
    relative_error_float32: float
    bound_float64: float
    bound_float32: float
    rank: int | None
    output_rank: int | None
    miss: float
    best_affine_miss: float
    unexplained: float
    fit_is_free: bool

    @property
    def narrowest(self) -> int:
        """Smallest width of all: inputs, hidden layers and outputs."""
        return min(self.widths)

    @property
    def is_linear(self) -> bool:
        """Whether no layer has an activation."""
        return not self.activations

    @property
    def is_same(self) -> bool:
        """Whether f and W'x + b' differ by no more than rounding can make, measured in float64."""
        return self.error_float64 <= self.bound_float64


def parse_widths(text: str) -> tuple[int, ...]:
    """Read the widths of the hidden layers from text such as "16, 8, 3, 8".

    Raises:
        ValueError: not 1 to 10 whole numbers from 1 to 64, separated by commas.
    """
    parts = [part.strip() for part in text.split(",")]
    allowed = f"allowed: 1 to {MAX_HIDDEN_LAYERS} whole numbers from 1 to 64, separated by commas"
    if not text.strip():
        raise ValueError(f"{HIDDEN_WIDTH.name}: nothing is not allowed; {allowed}")
    if len(parts) > MAX_HIDDEN_LAYERS:
        raise ValueError(f"{HIDDEN_WIDTH.name}: {len(parts)} layers are not allowed; {allowed}")
    try:
        return tuple(HIDDEN_WIDTH.parse(part) for part in parts)
    except ValueError as refused:
        value, _, _ = str(refused).rpartition("; allowed")
        raise ValueError(f"{value}; {allowed}") from None


def collapse(network: Network, x: np.ndarray) -> Collapse:
    """Compose a network into one affine map and measure on x of shape (examples, inputs) how they differ.

    Raises:
        ValueError: x has no rows or not as many columns as the network has inputs.
    """
    _check_inputs(network, x)
    with np.errstate(all="ignore"):  # what overflows is inf or NaN in the result, and said
        double, data = network.astype(np.float64), x.astype(np.float64)
        composed = double.composed()
        outputs = double.outputs(data)
        error64, relative64 = _difference(double, data)
        error32, relative32 = _difference(network.astype(np.float32), x.astype(np.float32))
        miss = _share(outputs - _apply(composed, data), outputs)
        best, unexplained, is_free = _best_affine(data, outputs)
        return Collapse(
            composed=composed,
            widths=network.widths,
            activations=_activations(network),
            parameters=sum(layer.weight.size + layer.bias.size for layer in network.layers),
            examples=len(x),
            error_float64=error64,
            error_float32=error32,
            relative_error_float64=relative64,
            relative_error_float32=relative32,
            bound_float64=_rounding_bound(double, data, np.float64),
            bound_float32=_rounding_bound(double, data, np.float32),
            rank=count_rank(singular_values(composed), rank_tolerance(network)),
            output_rank=_output_rank(outputs),
            miss=miss,
            best_affine_miss=best,
            unexplained=unexplained,
            fit_is_free=is_free,
        )


def _check_inputs(network: Network, x: np.ndarray) -> None:
    inputs = network.widths[0]
    if x.ndim != 2 or not len(x) or x.shape[1] != inputs:
        raise ValueError(f"x: shape {x.shape} is not allowed; allowed: (examples >= 1, {inputs})")


def _activations(network: Network) -> tuple[str, ...]:
    return tuple(sorted({layer.activation for layer in network.layers} - {"identity"}))


def _apply(layer: Layer, x: np.ndarray) -> np.ndarray:
    return x @ layer.weight.T + layer.bias


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    """Give ||part|| / ||whole||, NaN if the whole is 0."""
    size = float(np.linalg.norm(whole))
    return float(np.linalg.norm(part)) / size if size else math.nan


def _difference(network: Network, x: np.ndarray) -> tuple[float, float]:
    """Give max |f(x) - (W'x + b')| and the same over max |f(x)|, in the precision of the arguments."""
    outputs = network.outputs(x)
    error = float(np.abs(outputs - _apply(network.composed(), x)).max())
    largest = float(np.abs(outputs).max())
    return error, error / largest if largest else math.nan


def _rounding_bound(network: Network, x: np.ndarray, precision: type[np.floating]) -> float:
    """Give the largest difference that rounding can make between f(x) and W'x + b', without activations.

    A sum of n products is wrong by at most gamma_n = n u / (1 - n u) times the sum of their sizes, u being
    half the machine epsilon (Higham 2002, section 3.5). What layer l adds so goes through the matrices
    after it; both ways of computing add no more than the sizes |W_l| (|P| |x| + |c|) + |b_l| allow, with
    P and c composed of the layers before. To first order in u.
    """
    suffix = np.eye(network.widths[-1])
    befores = _composed_before(network)
    wrong = _gamma(network.layers[0], precision) * _sizes(befores[-1], np.abs(x))
    for layer, before in zip(network.layers[::-1], befores[-2::-1], strict=True):
        sizes = _sizes(layer, _sizes(before, np.abs(x)))
        wrong = wrong + 2 * _gamma(layer, precision) * (sizes @ np.abs(suffix).T)
        suffix = suffix @ layer.weight
    return float(wrong.max())


def _composed_before(network: Network) -> list[Layer]:
    """Give the affine map of the first 0, 1, 2 ... layers."""
    inputs = network.widths[0]
    none = Layer(np.eye(inputs), np.zeros(inputs))
    counts = range(1, len(network.layers) + 1)
    return [none, *(Network(network.layers[:count]).composed() for count in counts)]


def _sizes(layer: Layer, sizes: np.ndarray) -> np.ndarray:
    return sizes @ np.abs(layer.weight).T + np.abs(layer.bias)


def _gamma(layer: Layer, precision: type[np.floating]) -> float:
    terms, unit = layer.fan_in + 1, float(np.finfo(precision).eps) / 2
    return terms * unit / (1 - terms * unit)


def _best_affine(x: np.ndarray, outputs: np.ndarray) -> tuple[float, float, bool]:
    """Give the miss of the least-squares affine map, its 1 - R^2, and whether it could meet any outputs."""
    if not (np.isfinite(x).all() and np.isfinite(outputs).all()):
        return math.nan, math.nan, False
    columns = np.column_stack([x, np.ones(len(x))])
    solution, _, rank, _ = np.linalg.lstsq(columns, outputs, rcond=None)
    rest = outputs - columns @ solution
    unexplained = _share(rest, outputs - outputs.mean(axis=0)) ** 2
    return _share(rest, outputs), unexplained, int(rank) == len(x)


def singular_values(layer: Layer) -> np.ndarray:
    """Give the singular values of a layer's weight, largest first; NaN where it is not finite."""
    if not np.isfinite(layer.weight).all():
        return np.full(min(layer.weight.shape), math.nan)
    return np.linalg.svd(layer.weight.astype(np.float64), compute_uv=False)


def rank_tolerance(network: Network) -> float:
    """Give the share of the largest singular value of W' below which one is rounding in float64."""
    return RANK_EPSILON * sum(network.widths)


def count_rank(values: np.ndarray, tolerance: float) -> int | None:
    """Count the singular values above a share of the largest; None where they are not finite."""
    if not np.isfinite(values).all():
        return None
    return int((values > tolerance * values[0]).sum())


def _output_rank(outputs: np.ndarray) -> int | None:
    """Count the directions in which the outputs of the examples differ.

    The tolerance is set by the outputs before their mean is taken off: that is where the rounding is.
    """
    if not np.isfinite(outputs).all():
        return None
    size = float(np.linalg.norm(outputs, 2))
    values = np.linalg.svd(outputs - outputs.mean(axis=0), compute_uv=False)
    return int((values > RANK_EPSILON * sum(outputs.shape) * size).sum())


def collapse_words(found: Collapse) -> tuple[str, ...]:
    """Say what was measured, in sentences for a student; every number in them is from `found`."""
    if not math.isfinite(found.error_float64):
        return ("The difference is undefined: some outputs are not finite numbers.",)
    if found.is_linear:
        return (_size_words(found), _rounding_words(found), _rank_words(found))
    if found.is_same:
        return (_unbent_words(found), _rank_words(found))
    return (_miss_words(found), _best_words(found), _spread_words(found))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _labels(names: tuple[str, ...]) -> str:
    return " and ".join(ACTIVATIONS[name].label for name in names)


def _size_words(found: Collapse) -> str:
    fan_out, fan_in = found.composed.weight.shape
    single = f"one matrix of {fan_out} x {fan_in} and one bias vector of {_count(fan_out, 'number')}"
    chain = "-".join(str(width) for width in found.widths)
    layers = len(found.widths) - 1
    if layers == 1:
        return f"The network ({chain}) has a single layer, {single}: there is nothing to multiply out."
    numbers = _count(found.parameters, "weight and bias").replace("weight and biass", "weights and biases")
    return f"{layers} layers ({chain}) hold {numbers}. Multiplied out, they are {single}."


def _rounding_words(found: Collapse) -> str:
    said = (
        f"On {_count(found.examples, 'example')} the network and the one matrix differ by at most "
        f"{scientific(found.error_float64)} in float64 and {scientific(found.error_float32)} in float32."
    )
    if not found.error_float64 and not found.error_float32:
        return f"{said} Here not even rounding shows."
    epsilons = [scientific(float(np.finfo(kind).eps)) for kind in (np.float64, np.float32)]
    bounds = f"{scientific(found.bound_float64)} and {scientific(found.bound_float32)}"
    if not (found.is_same and found.error_float32 <= found.bound_float32):
        return f"{said} That is more than rounding makes, which is at most {bounds}."
    return (
        f"{said} That is rounding: after 1, the next number lies {epsilons[0]} and {epsilons[1]} away, "
        f"and over all sums rounding can add up to {bounds}."
    )


def _rank_words(found: Collapse) -> str:
    if found.rank is None:
        return "The rank is undefined: some weights are not finite numbers."
    compared = "as many as" if found.rank == found.narrowest else "fewer than"
    if found.rank > found.narrowest:
        compared = "by rounding more than"
    return (
        f"W' has rank {found.rank}: it lets {_count(found.rank, 'independent direction')} through, "
        f"{compared} the narrowest layer has numbers ({found.narrowest}). "
        "What a narrow layer drops, no later matrix brings back."
    )


def _unbent_words(found: Collapse) -> str:
    return (
        f"{_labels(found.activations)} changes nothing here: on {_count(found.examples, 'example')} the "
        f"network and W'x + b' differ by at most {scientific(found.error_float64)}, which is rounding. "
        "On these inputs it acts as a straight line."
    )


def _miss_words(found: Collapse) -> str:
    return (
        f"With {_labels(found.activations)} the layers cannot be multiplied out: W'x + b' misses the "
        f"network's outputs by {percent(found.miss)} of their size, in the worst place by "
        f"{scientific(found.error_float64)}."
    )


def _best_words(found: Collapse) -> str:
    examples = _count(found.examples, "example")
    if found.fit_is_free:
        return (
            f"A single layer fitted to these {examples} says nothing: it has as many weights as there are "
            "examples and meets any outputs. More examples would tell."
        )
    if found.best_affine_miss <= EXACT_FIT:
        return (
            f"But another single layer does: the best one, fitted to these {examples} by least squares, "
            f"misses by no more than {percent(found.best_affine_miss)}. On these inputs the network is "
            "still a straight map, only not this one."
        )
    return (
        f"No other single layer does it either: the best one, fitted to these {examples} by least squares, "
        f"misses by {percent(found.best_affine_miss)} and leaves {percent(found.unexplained)} of the "
        "outputs' variation unexplained."
    )


def _spread_words(found: Collapse) -> str:
    if found.output_rank is None:
        return "The rank of the outputs is undefined: some are not finite numbers."
    spread = f"The outputs of the examples differ in {_count(found.output_rank, 'independent direction')}"
    if found.output_rank > found.narrowest:
        return (
            f"{spread}, more than the narrowest layer has numbers ({found.narrowest}). No matrix can do "
            "that after so narrow a layer; a bend can."
        )
    return f"{spread}; the narrowest layer has {_count(found.narrowest, 'number')}."


# The worked example of the first lesson: a = 0.5E + 3H + 4G + 0.5, b = 4E + H + 2G + 1, output
# 2a + 5b + 5, which is 21E + 11H + 18G + 11 where a and b pass unchanged.
EXAMPLE = Network(
    (
        Layer(np.array([[0.5, 3.0, 4.0], [4.0, 1.0, 2.0]]), np.array([0.5, 1.0])),
        Layer(np.array([[2.0, 5.0]]), np.array([5.0])),
    )
)
INPUT_NAMES = ("E", "H", "G")
HIDDEN_NAMES = ("a", "b")
_ACTIVATION = Field("activation", "choice", "Activation", "", tuple(ACTIVATIONS))


@dataclass(frozen=True)
class Step:
    """One row of the worked example: what is computed, how (LaTeX), and the result."""

    description: str
    formula: str
    value: str


def worked_steps(e: float, h: float, g: float, activation: str = "identity") -> tuple[Step, ...]:
    """Compute the example both ways: through the hidden sums, and multiplied out into one matrix.

    Raises:
        ValueError: an input is not a number from -10 to 10, or the activation is not known.
    """
    inputs, network = _example(e, h, g, activation)
    hidden, output = network.forward(inputs[None])
    before = _hidden_steps(inputs, hidden.z[0])
    if activation != "identity":
        before += _activation_steps(activation, hidden.z[0], hidden.h[0])
    last = network.layers[-1]
    through = Step("The output", _sum_tex(last.weight[0], hidden.h[0], last.bias[0]), _plain(output.h[0, 0]))
    return (*before, through, *_multiplied_steps(), *_compared_steps(network, inputs))


def worked_table(e: float, h: float, g: float, activation: str = "identity") -> pd.DataFrame:
    """Give the rows of `worked_steps` as a table: description, formula (LaTeX), value; raises alike."""
    import pandas as pd

    return pd.DataFrame([vars(step) for step in worked_steps(e, h, g, activation)])


def _example(e: float, h: float, g: float, activation: str) -> tuple[np.ndarray, Network]:
    fields = [Field(name, "number", name, "", low=-10, high=10) for name in INPUT_NAMES]
    inputs = [field.check(value) for field, value in zip(fields, (e, h, g), strict=True)]
    return np.array(inputs), EXAMPLE.with_activation(_ACTIVATION.check(activation))


def _plain(value: float) -> str:
    """Write a number of the example, whose inputs have few digits, without what rounding adds."""
    return f"{float(value) + 0.0:.6g}"


def _tex(value: float) -> str:
    mantissa, mark, exponent = _plain(value).partition("e")
    shown = rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if mark else mantissa
    return f"({shown})" if shown.startswith("-") else shown


def _sum_tex(weights: np.ndarray, values: np.ndarray, bias: float) -> str:
    products = [rf"{_tex(w)} \cdot {_tex(v)}" for w, v in zip(weights, values, strict=True)]
    return " + ".join([*products, _tex(bias)])


def _hidden_steps(inputs: np.ndarray, z: np.ndarray) -> list[Step]:
    first = EXAMPLE.layers[0]
    return [
        Step(f"Hidden sum {name}", f"{name} = {_sum_tex(weight, inputs, bias)}", _plain(total))
        for name, weight, bias, total in zip(HIDDEN_NAMES, first.weight, first.bias, z, strict=True)
    ]


def _activation_steps(activation: str, z: np.ndarray, h: np.ndarray) -> list[Step]:
    label = ACTIVATIONS[activation].label
    return [
        Step(f"{label} of {name}", rf"\varphi({name}) = \varphi({_plain(before)})", _plain(after))
        for name, before, after in zip(HIDDEN_NAMES, z, h, strict=True)
    ]


def _multiplied_steps() -> list[Step]:
    """Multiply the matrices out, one number of W' and b' after the other."""
    first, last = EXAMPLE.layers
    one = EXAMPLE.composed()
    steps = [
        Step(
            f"Multiplied out: what stands before {name}", _products_tex(last.weight[0], column), _plain(total)
        )
        for name, column, total in zip(INPUT_NAMES, first.weight.T, one.weight[0], strict=True)
    ]
    formula = _sum_tex(last.weight[0], first.bias, last.bias[0])
    return [*steps, Step("Multiplied out: the bias", formula, _plain(one.bias[0]))]


def _products_tex(weights: np.ndarray, values: np.ndarray) -> str:
    return " + ".join(rf"{_tex(w)} \cdot {_tex(v)}" for w, v in zip(weights, values, strict=True))


def _compared_steps(network: Network, inputs: np.ndarray) -> list[Step]:
    one = network.composed()
    output, short = _both_ways(network, inputs)
    names = " + ".join(f"{_plain(w)}{name}" for w, name in zip(one.weight[0], INPUT_NAMES, strict=True))
    difference = output - short
    shown = f"{scientific(difference)} (rounding)" if _is_rounding(network, inputs) else _plain(difference)
    return [
        Step(
            f"One matrix: {names} + {_plain(one.bias[0])}",
            _sum_tex(one.weight[0], inputs, one.bias[0]),
            _plain(short),
        ),
        Step("Difference", f"{_tex(output)} - {_tex(short)}", shown if difference else "0"),
    ]


def _both_ways(network: Network, inputs: np.ndarray) -> tuple[float, float]:
    x = inputs[None]
    return float(network.outputs(x)[0, 0]), float(_apply(network.composed(), x)[0, 0])


def _is_rounding(network: Network, inputs: np.ndarray) -> bool:
    output, short = _both_ways(network, inputs)
    return abs(output - short) <= _rounding_bound(network, inputs[None], np.float64)


def example_distance(e: float, h: float, g: float, activation: str = "identity") -> float:
    """Give how far the network and the one matrix are apart; raises as `worked_steps` does."""
    inputs, network = _example(e, h, g, activation)
    output, short = _both_ways(network, inputs)
    return abs(output - short)


def example_words(e: float, h: float, g: float, activation: str = "identity") -> str:
    """Say whether the two ways of the worked example agree; raises as `worked_steps` does."""
    inputs, network = _example(e, h, g, activation)
    output, short = _both_ways(network, inputs)
    label = ACTIVATIONS[activation].label
    if not _is_rounding(network, inputs):
        return (
            f"With {label} the network gives {_plain(output)} and the one matrix {_plain(short)}: "
            f"they are {scientific(abs(output - short))} apart, and multiplying out is no longer allowed."
        )
    if activation == "identity":
        return f"Both ways give {_plain(output)}: the hidden layer has added nothing that one matrix lacks."
    return (
        f"Both ways give {_plain(output)}: for these inputs {label} leaves the output as it was. "
        "Try other inputs."
    )
