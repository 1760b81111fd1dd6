"""Network: the numbers of an MLP, forward and backward written out, without torch.

What the lessons show of a network (its boundary, its neurons, its composed map, its chain of slopes) is
computed from these, so that a page draws a trained network without loading torch. Training is the
trainer's; a test holds both to the same outputs and gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.streams import numpy_stream


@dataclass(frozen=True)
class Layer:
    """One layer: h = phi(W x + b). Shapes: weight (fan_out, fan_in), bias (fan_out,)."""

    weight: np.ndarray
    bias: np.ndarray
    activation: str = "identity"

    @property
    def fan_in(self) -> int:
        """Number of inputs."""
        return int(self.weight.shape[1])

    @property
    def fan_out(self) -> int:
        """Number of units."""
        return int(self.weight.shape[0])


@dataclass(frozen=True)
class LayerPass:
    """What one layer computed for a batch: z (pre_activation) and h (activation), shape (batch, units)."""

    z: np.ndarray
    h: np.ndarray


@dataclass(frozen=True)
class Network:
    """A plain MLP: layers from input to output, the last one being the output."""

    layers: tuple[Layer, ...]

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Widths from the inputs over the hidden layers to the outputs."""
        return (self.layers[0].fan_in, *(layer.fan_out for layer in self.layers))

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return len(self.layers) - 1

    def forward(self, x: np.ndarray) -> tuple[LayerPass, ...]:
        """Compute every layer for x of shape (batch, inputs), in x's and the weights' precision."""
        passes = []
        h = x
        for layer in self.layers:
            z = h @ layer.weight.T + layer.bias
            h = ACTIVATIONS[layer.activation].function(z)
            passes.append(LayerPass(z, h))
        return tuple(passes)

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Compute the outputs for x of shape (batch, inputs)."""
        return self.forward(x)[-1].h

    def backward(self, passes: Sequence[LayerPass], delta: np.ndarray) -> tuple[np.ndarray, ...]:
        """Give dLoss/dz of every layer from the output's, `delta` of shape (batch, outputs).

        The chain rule (Rumelhart, Hinton & Williams 1986): delta_l = (delta_{l+1} W_{l+1}) * phi'(z_l).
        """
        deltas = [delta]
        for layer, above, taken in zip(self.layers[-2::-1], self.layers[:0:-1], passes[-2::-1], strict=True):
            slope = ACTIVATIONS[layer.activation].derivative(taken.z)
            deltas.append((deltas[-1] @ above.weight) * slope)
        return tuple(deltas[::-1])

    def composed(self) -> Layer:
        """Multiply all layers into one affine map W', b', as if no activation stood between them."""
        weight, bias = self.layers[0].weight, self.layers[0].bias
        for layer in self.layers[1:]:
            weight, bias = layer.weight @ weight, layer.weight @ bias + layer.bias
        return Layer(weight, bias)

    def with_activation(self, name: str) -> Network:
        """Give the same weights with another activation in the hidden layers."""
        hidden = [replace(layer, activation=name) for layer in self.layers[:-1]]
        return Network((*hidden, self.layers[-1]))

    def astype(self, precision: type[np.floating]) -> Network:
        """Give the same network in another precision."""
        return Network(
            tuple(
                replace(layer, weight=layer.weight.astype(precision), bias=layer.bias.astype(precision))
                for layer in self.layers
            )
        )


def draw_network(widths: Sequence[int], activation: str, seed: int, gain: float = 1.0) -> Network:
    """Draw a float64 network of the given widths, inputs and outputs included.

    Weights are N(0, gain^2/fan_in); with gain 1 (LeCun et al. 1998) an identity network's signals neither
    grow nor shrink. Biases are N(0, 1/4), so that a composed bias can be seen.
    """
    generator = numpy_stream(seed, "network")
    layers = []
    for fan_in, fan_out in pairwise(widths):
        weight = generator.standard_normal((fan_out, fan_in)) * (gain / np.sqrt(fan_in))
        layers.append(Layer(weight, 0.5 * generator.standard_normal(fan_out), activation))
    return Network((*layers[:-1], replace(layers[-1], activation="identity")))
