"""chain: the chain rule of one network, factor by factor, by hand and by autograd."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.network import Network, draw_network
from nnlab.numerals import scientific
from nnlab.streams import numpy_stream

INPUTS, CLASSES, EXAMPLES = 64, 10, 256  # as the theory's dataset "gaussian"


@dataclass(frozen=True)
class Problem:
    """A network at its random start with a batch: x (batch, inputs), y (batch,) class numbers; float64."""

    network: Network
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class ChainRule:
    """The error signal on its way back through the hidden layers 1..L, each array of shape (L,).

    `signal` is the norm of delta_l over that of dLoss/dh_L, what arrives at the last hidden layer, from
    the backward pass written out. `slope` is the root mean square of phi'(z_l), `slopes` the product of
    the slopes of layers l..L, `bound` that of their largest possible values.
    """

    activation: str
    slope: np.ndarray
    signal: np.ndarray
    slopes: np.ndarray
    bound: np.ndarray

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return len(self.slope)


def draw_problem(activation: str, depth: int, width: int, gain: float, seed: int) -> Problem:
    """Draw a network of 64 inputs and 10 classes with a batch of standard normal inputs.

    Its weights are N(0, gain^2/fan_in): 1 is LeCun's rule, sqrt(2) He's.
    """
    generator = numpy_stream(seed, "chain")
    x = generator.standard_normal((EXAMPLES, INPUTS))
    y = generator.integers(0, CLASSES, EXAMPLES)
    widths = (INPUTS, *[width] * depth, CLASSES)
    return Problem(draw_network(widths, activation, seed, gain), x, y)


def output_delta(outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Give dLoss/dz of the output for the mean cross-entropy: (softmax - one-hot) / batch."""
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    delta = shifted / shifted.sum(axis=1, keepdims=True)
    delta[np.arange(len(y)), y] -= 1
    return delta / len(y)


def chain_rule(problem: Problem) -> ChainRule:
    """Follow the error signal of a problem from the last hidden layer to the first."""
    network, hidden = problem.network, problem.network.layers[:-1]
    passes = network.forward(problem.x)
    deltas = network.backward(passes, output_delta(passes[-1].h, problem.y))
    arriving = np.linalg.norm(deltas[-1] @ network.layers[-1].weight)
    activation = ACTIVATIONS[hidden[0].activation]
    slope = np.array([np.sqrt(np.mean(activation.derivative(taken.z) ** 2)) for taken in passes[:-1]])
    return ChainRule(
        activation=activation.name,
        slope=slope,
        signal=np.array([np.linalg.norm(delta) for delta in deltas[:-1]]) / arriving,
        slopes=_from_the_top(slope),
        bound=_from_the_top(np.full(len(slope), activation.slope_sup)),
    )


def _from_the_top(factors: np.ndarray) -> np.ndarray:
    """Multiply the factors of layers l..L, for every l."""
    return np.cumprod(factors[::-1])[::-1]


def disagreement(rule: ChainRule, autograd: np.ndarray) -> float:
    """Give the largest relative difference between a signal by hand and by autograd; 0 where both are 0."""
    size = np.maximum(np.abs(rule.signal), np.abs(autograd))
    return float(np.max(np.abs(rule.signal - autograd) / np.where(size > 0, size, 1.0)))


def _agreement(rule: ChainRule, autograd: np.ndarray) -> str:
    off = disagreement(rule, autograd)
    finds = "exactly the same" if off == 0 else f"the same but for rounding ({scientific(off)} of it)"
    return f"PyTorch's autograd, which knows nothing of this page, finds {finds}."


def chain_words(rule: ChainRule, autograd: np.ndarray) -> str:
    """Say what arrives at layer 1, what the slopes alone would leave, and whether autograd agrees."""
    layers = "its one layer" if rule.depth == 1 else f"its {rule.depth} layers"
    product = scientific(rule.slopes[0])
    if not rule.signal[0]:
        return (
            f"Of the error signal, **exactly nothing** gets through layer 1: the slopes of {layers} multiply "
            f"to {product}, and 0 times anything is 0. {_agreement(rule, autograd)}"
        )
    return (
        f"Of the error signal that arrives at layer {rule.depth}, **{scientific(rule.signal[0])}** gets "
        f"through layer 1. The slopes at the z that {layers} really have multiply to {product}, the largest "
        f"possible slopes to {scientific(rule.bound[0])}; the weights do the rest. "
        f"{_agreement(rule, autograd)}"
    )


def layers_reached(weight_gradients: np.ndarray) -> int:
    """Count the hidden layers with a gradient, of norms one a layer, output last."""
    return int(np.count_nonzero(weight_gradients[:-1]))


def zero_words(name: str, weight_gradients: np.ndarray) -> str:
    """Say how many hidden layers get a gradient; `weight_gradients` has one norm a layer, output last."""
    hidden = weight_gradients[:-1]
    moved = layers_reached(weight_gradients)
    output = f"the output layer's is {scientific(weight_gradients[-1])}"
    if moved == len(hidden):
        return (
            f"**{name}**: all {moved} hidden layers get a gradient, from {scientific(hidden.min())} to "
            f"{scientific(hidden.max())}; {output}."
        )
    if moved:
        return f"**{name}**: {moved} of {len(hidden)} hidden layers get a gradient; {output}."
    return (
        f"**{name}**: all {len(hidden)} hidden layers have a gradient of exactly 0, {output}. Between them "
        "and the output stands a slope of 0, and whatever the chain rule multiplies by 0 is 0. Training "
        "would only ever change the output layer."
    )
