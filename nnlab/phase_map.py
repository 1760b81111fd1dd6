"""Phase map: where random networks pass gradients on, over sigma_w and sigma_b, and over depth and sigma_w.

A network is the point (sigma_w, sigma_b). The edge of chaos, chi = 1, parts the ordered phase, in which
gradients vanish, from the chaotic one, in which they explode (Poole et al. 2016, section 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from nnlab.initializers import INITIALIZERS
from nnlab.random_network import RandomNetwork
from nnlab.theory import (
    DEPTHS_OF_XI,
    MAX_SIGMA,
    MeanField,
    MeanFieldMap,
    depth_scale,
    edge_of_chaos,
    mean_field,
    mean_field_map,
)

RESOLUTION = 60  # cells along a side of a map
EDGE_POINTS = 41  # of the edge of chaos over sigma_b, the first at 0
# And more of them in the first gap: tanh's edge leaves sigma_w = 1 as sigma_b^(2/3).
NEAR_ZERO = np.array([1 / 64, 1 / 16, 1 / 4])
LIMIT_POINTS = 241  # of the line 6 xi over sigma_w; it is steep beside the edge of chaos
DEPTH_TOP = 100  # the deepest network that an experiment may have
# The first tops of the axes, and how far beyond the network's own numbers they reach.
FIRST_W_TOP, FIRST_B_TOP = 4.0, 2.0
ROOM, CRITICAL_ROOM = 1.25, 1.1
# A map is interpolated, good to 1e-6: where a critical point is reached, chi is 1 within this.
REACHED_WITHIN = 1e-6
VANISHING, EXPLODING, CRITICAL, RUNAWAY, BLOCKED = (
    "gradients vanish",
    "gradients explode",
    "critical",
    "signal runs away",
    "nothing passes",
)


@dataclass(frozen=True)
class PhaseMap:
    """Mean field at the centers of RESOLUTION x RESOLUTION cells; rows are sigma_b, rising from 0.

    `w_top` and `b_top` are the ends of the axes, which begin at 0.
    """

    w_top: float
    b_top: float
    field: MeanFieldMap

    @property
    def decades(self) -> np.ndarray:
        """log10 of what a layer multiplies gradient norms by, 0.5 log10 chi; nan where q runs away."""
        with np.errstate(divide="ignore"):
            return 0.5 * np.log10(self.field.chi)


@dataclass(frozen=True)
class DepthMap:
    """What a depth does to gradients: rows are `depth` at cell centers (rising), columns `field`'s sigma_w.

    `limit` is 6 xi at `limit_w`: up to that depth networks train (Schoenholz et al. 2017, section 5).
    """

    w_top: float
    sigma_b: float
    depth: np.ndarray
    field: MeanFieldMap
    limit_w: np.ndarray
    limit: np.ndarray

    @property
    def decades(self) -> np.ndarray:
        """log10 of the expected gradient_ratio, (depth - 1) / 2 log10 chi; nan where q runs away."""
        return ratio_decades(self.field.chi[None, :], self.depth[:, None])

    @property
    def trains(self) -> np.ndarray:
        """Whether the depth is at most 6 xi, as boolean (depths, sigma_w); not where q runs away."""
        return self.depth[:, None] <= DEPTHS_OF_XI * self.field.xi[None, :]


@dataclass(frozen=True)
class Edge:
    """The edge of chaos: sigma_w over sigma_b, rising from 0; nan where there is none.

    `is_reached` tells where iterating from q = 1 goes to the fixed point that is critical; where not,
    a network is not critical there (GELU, SiLU and Mish at small sigma_b).
    """

    sigma_w: np.ndarray
    sigma_b: np.ndarray
    is_reached: np.ndarray


def ratio_decades(chi: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Give log10 of the expected gradient_ratio of a network as deep, 0 at depth 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = 0.5 * (depth - 1) * np.log10(chi)
    return np.where((depth == 1) & ~np.isnan(chi), 0.0, decades)


def ratio_of(field: MeanField, depth: int) -> float:
    """Give log10 of the expected gradient_ratio of a network."""
    return float(ratio_decades(np.array(field.chi), np.array(depth)))


def states(field: MeanFieldMap) -> np.ndarray:
    """Say in words what gradients do at every point of a map."""
    chi = field.chi
    words = np.select([chi == 0, chi < 1, chi > 1], [BLOCKED, VANISHING, EXPLODING], CRITICAL)
    return np.where(np.isinf(field.q_star), RUNAWAY, words)


def state(field: MeanField) -> str:
    """Say in words what gradients do at one point; it is critical where chi is 1 but for rounding."""
    if math.isinf(field.q_star):
        return RUNAWAY
    if abs(field.chi - 1) <= REACHED_WITHIN:
        return CRITICAL
    if field.chi == 0:
        return BLOCKED
    return VANISHING if field.chi < 1 else EXPLODING


def is_critical(name: str, sigma_w: float, sigma_b: float) -> bool:
    """Whether a signal of size 1 goes to a fixed point with chi = 1."""
    return not math.isnan(sigma_w) and state(mean_field(name, sigma_w, sigma_b)) == CRITICAL


def nowhere(network: RandomNetwork) -> str:
    """Say why a network is no point of the map; "" if it is one."""
    label = INITIALIZERS[network.config.initializer].label
    if math.isnan(network.base_sigma_w):
        return (
            f"{label}: the data decide the size of the weights in each layer, so they have no sigma_w of "
            "their own and the network is no point of the map."
        )
    if network.base_sigma_w == 0:
        return f"{label}: all weights are 0 whatever the gain, so the network is no point of the map."
    if not network.sigma_w <= MAX_SIGMA:
        return f"A sigma_w of {network.sigma_w:.3g} is too large for the map, which ends at {MAX_SIGMA:,.0f}."
    return ""


def standing(network: RandomNetwork) -> MeanField | None:
    """Give what theory says of the plain network of this sigma_w and sigma_b; None if it is `nowhere`."""
    if nowhere(network):
        return None
    return mean_field(network.config.activation, network.sigma_w, network.total_sigma_b)


def moved(
    network: RandomNetwork, sigma_w: float | None = None, sigma_b: float | None = None
) -> RandomNetwork:
    """Give the network with the gain and the biases that bring it to a point of the map; None keeps one.

    Raises:
        ValueError: no gain brings it there, or its initializer's own biases are larger than this sigma_b.
    """
    if sigma_b is not None:
        network = RandomNetwork(network.config, _extra_sigma_b(network, sigma_b))
    if sigma_w is None:
        return network
    if not 0 < sigma_w <= MAX_SIGMA:
        allowed = f"a number above 0, up to {MAX_SIGMA:,.0f}"
        raise ValueError(f"sigma_w: {sigma_w!r} is not allowed; allowed: {allowed}")
    return network.at(sigma_w)


def _extra_sigma_b(network: RandomNetwork, sigma_b: float) -> float:
    """Give the biases to add to the initializer's own ones, to have this sigma_b in all."""
    own = least_sigma_b(network)
    if own == 0:
        return sigma_b
    # A slider's number is written and read with fewer digits than the bound has.
    if sigma_b < own and not math.isclose(sigma_b, own, rel_tol=1e-9):
        raise ValueError(
            f"sigma_b: {sigma_b:.3g} is not allowed with initializer {network.config.initializer}; allowed: "
            f"{own:.3g} or more, which its own biases have"
        )
    return math.sqrt(max(0.0, sigma_b**2 - own**2))


def least_sigma_b(network: RandomNetwork) -> float:
    """Give the sigma_b of the biases that the initializer draws itself, 0 for nearly all."""
    return RandomNetwork(network.config).total_sigma_b


def axis_top(first: float, needed: float) -> float:
    """Give the end of an axis: the first of 1, 1.5, 2, 3, 4 ... times `first` that is large enough.

    So it stays where it is while a slider moves, and changes seldom.
    """
    top = first
    while top < needed:
        top *= 2
    return 0.75 * top if top > first and 0.75 * top >= needed else top


def w_top(network: RandomNetwork) -> float:
    """Give the end of the axis of sigma_w: it holds the network and its critical sigma_w."""
    needed = 0.0 if nowhere(network) else ROOM * network.sigma_w
    critical = edge_of_chaos(network.config.activation, network.total_sigma_b)
    if not math.isnan(critical):
        needed = max(needed, CRITICAL_ROOM * critical)
    return min(MAX_SIGMA, axis_top(FIRST_W_TOP, needed))


def b_top(network: RandomNetwork) -> float:
    """Give the end of the axis of sigma_b: it holds the network."""
    return axis_top(FIRST_B_TOP, ROOM * network.total_sigma_b)


def _centers(top: float) -> np.ndarray:
    return top * (np.arange(RESOLUTION) + 0.5) / RESOLUTION


def _locked(*arrays: np.ndarray) -> None:
    """Make arrays read-only: all visitors share what is remembered."""
    for array in arrays:
        array.flags.writeable = False


@lru_cache(maxsize=64)
def phase_map(name: str, w_top: float, b_top: float) -> PhaseMap:
    """Compute the map of an activation up to sigma_w = `w_top` and sigma_b = `b_top`.

    Raises:
        ValueError: unknown activation, or an end beyond MAX_SIGMA.
    """
    field = mean_field_map(name, _centers(w_top)[None, :], _centers(b_top)[:, None])
    _locked(field.sigma_w, field.sigma_b, field.q_star, field.chi)
    return PhaseMap(w_top, b_top, field)


@lru_cache(maxsize=64)
def edge(name: str, b_top: float) -> Edge:
    """Compute the edge of chaos of an activation from sigma_b = 0 up to `b_top`.

    Raises:
        ValueError: unknown activation, or an end beyond MAX_SIGMA.
    """
    even = np.linspace(0.0, b_top, EDGE_POINTS)
    sigma_b = np.sort(np.concatenate([even, NEAR_ZERO * even[1]]))
    sigma_w = np.array([edge_of_chaos(name, float(bias)) for bias in sigma_b])
    there = mean_field_map(name, np.nan_to_num(sigma_w), sigma_b)
    is_reached = np.abs(there.chi - 1) <= REACHED_WITHIN
    _locked(sigma_w, sigma_b, is_reached)
    return Edge(sigma_w, sigma_b, is_reached)


@lru_cache(maxsize=64)
def depth_map(name: str, w_top: float, sigma_b: float) -> DepthMap:
    """Compute what depths up to DEPTH_TOP do to gradients, up to sigma_w = `w_top`.

    Raises:
        ValueError: unknown activation, or a sigma beyond MAX_SIGMA.
    """
    field = mean_field_map(name, _centers(w_top), sigma_b)
    depth = 1 + (DEPTH_TOP - 1) * (np.arange(RESOLUTION) + 0.5) / RESOLUTION
    limit_w = np.linspace(0.0, w_top, LIMIT_POINTS)
    critical = edge_of_chaos(name, sigma_b)
    if critical <= w_top:
        limit_w = np.sort(np.append(limit_w, critical))
    limit = DEPTHS_OF_XI * depth_scale(mean_field_map(name, limit_w, sigma_b).chi)
    _locked(field.sigma_w, field.sigma_b, field.q_star, field.chi, depth, limit_w, limit)
    return DepthMap(w_top, sigma_b, depth, field, limit_w, limit)
