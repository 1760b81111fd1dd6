"""followed: one image through all layers at several brightnesses, and the unit that a believer would show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.brightness import NORMAL, check_brightnesses, check_images, decide, relative_size
from nnlab.network import Network
from nnlab.softmax import softmax

# The believer's unit: its answer to the lighter and to the normal image (design.md, section 1).
CLAIMED = (0.992, 0.994)
# Units that move no more than the believer's are as good an example; the rest is for rounding.
ALIKE = 0.002 + 1e-9


@dataclass(frozen=True, eq=False)
class FollowedLayer:
    """One layer's numbers for one image: z, h (brightnesses, units) and differences (brightnesses,).

    A difference is ||h(ax) - h(x)|| / ||h(x)||: how far the answer to brightness a is from the answer
    to brightness 1, in lengths of the latter.
    """

    name: str
    activation: str
    z: np.ndarray
    h: np.ndarray
    z_difference: np.ndarray
    h_difference: np.ndarray


@dataclass(frozen=True, eq=False)
class Followed:
    """One image through one network at several brightnesses, in float64.

    Shapes: image (inputs,), input_difference and decisions (brightnesses,), probabilities (brightnesses,
    classes), the softmax of the outputs.
    """

    image: np.ndarray
    brightnesses: tuple[float, ...]
    input_difference: np.ndarray
    layers: tuple[FollowedLayer, ...]
    decisions: np.ndarray
    probabilities: np.ndarray

    @property
    def normal(self) -> int:
        """Position of brightness 1."""
        return self.brightnesses.index(NORMAL)


def _differences(values: np.ndarray, normal: int) -> np.ndarray:
    """Give the relative difference of each row from the row `normal`."""
    with np.errstate(invalid="ignore"):
        distance = np.linalg.norm(values - values[normal], axis=1)
        # Summed in the order of the distances: twice the brightness is 100 % away, and not a last bit less.
        size = np.linalg.norm(values, axis=1)[normal]
        return relative_size(distance, np.full(len(values), size))


def follow(network: Network, image: np.ndarray, brightnesses: Sequence[float]) -> Followed:
    """Follow one image (inputs,) through all layers at several brightnesses, one of which is 1.

    Raises:
        ValueError: the image has another shape, or a brightness is not allowed or there twice, or 1 is
            missing.
    """
    if image.ndim != 1:
        raise ValueError(f"image: shape {image.shape} is not allowed; allowed: ({network.widths[0]},)")
    check_images(network, image[None])
    check_brightnesses(brightnesses)
    factors = tuple(float(a) for a in brightnesses)
    if NORMAL not in factors or len(set(factors)) < len(factors):
        raise ValueError(f"brightnesses: {factors} is not allowed; allowed: different values, one of them 1")
    normal = factors.index(NORMAL)
    inputs = np.array(factors)[:, None] * image.astype(np.float64)
    passes = network.astype(np.float64).forward(inputs)
    names = [*(f"layer {number}" for number in range(1, len(passes))), "output"]
    layers = tuple(
        FollowedLayer(
            name, layer.activation, each.z, each.h, _differences(each.z, normal), _differences(each.h, normal)
        )
        for name, layer, each in zip(names, network.layers, passes, strict=True)
    )
    outputs = passes[-1].h
    return Followed(image, factors, _differences(inputs, normal), layers, decide(outputs), softmax(outputs))


# --- the believer's neuron


@dataclass(frozen=True, eq=False)
class Example:
    """The unit and image whose answers at two brightnesses come closest to CLAIMED.

    `network` and `image` are positions counted from 0, `layer` and `unit` are counted from 1.
    `alike` of the layer's `units` units move by at most ALIKE for this image. `followed`
    is the image through the whole network at (light, 1).
    """

    network: int
    networks: int
    image: int
    layer: int
    unit: int
    light: float
    z: tuple[float, float]
    h: tuple[float, float]
    slope: tuple[float, float]
    activation: str
    alike: int
    units: int
    followed: Followed


def _closest_unit(network: Network, x: np.ndarray, light: float) -> tuple[float, int, int, int]:
    """Give distance from the claim, layer, image and unit (from 0) of the closest pair of answers."""
    cast, images = network.astype(np.float64), x.astype(np.float64)
    pairs = zip(cast.forward(images * light)[:-1], cast.forward(images)[:-1], strict=True)
    found = []
    for layer, (low, normal) in enumerate(pairs):
        distance = np.hypot(low.h - CLAIMED[0], normal.h - CLAIMED[1])
        place = int(np.where(np.isnan(distance), math.inf, distance).argmin())
        found.append((float(distance.flat[place]), layer, *divmod(place, distance.shape[1])))
    return min(found)


def believers_neuron(networks: Sequence[Network], x: np.ndarray, light: float) -> Example:
    """Find the hidden unit that a believer would show: h(light x) near 0.992 and h(x) near 0.994.

    All hidden units, all images x (images, inputs) and all networks are searched; closest is the
    smallest Euclidean distance of the two answers from CLAIMED.

    Raises:
        ValueError: there is no network with a hidden layer, or x or the brightness is not allowed.
    """
    if not networks or any(network.depth == 0 for network in networks):
        raise ValueError("networks: none or without hidden layer; allowed: at least 1 with a hidden layer")
    check_images(networks[0], x)
    check_brightnesses((light,))
    searched = [(*_closest_unit(network, x, light), number) for number, network in enumerate(networks)]
    _, layer, image, unit, number = min(searched)
    followed = follow(networks[number], x[image], (light, NORMAL))
    taken = followed.layers[layer]
    slope = ACTIVATIONS[taken.activation].derivative(taken.z[:, unit])
    return Example(
        network=number,
        networks=len(networks),
        image=image,
        layer=layer + 1,
        unit=unit + 1,
        light=light,
        z=_pair(taken.z[:, unit]),
        h=_pair(taken.h[:, unit]),
        slope=_pair(slope),
        activation=taken.activation,
        alike=int((np.abs(taken.h[0] - taken.h[1]) <= ALIKE).sum()),
        units=taken.h.shape[1],
        followed=followed,
    )


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])
