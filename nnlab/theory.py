"""Theory: what mean field says of a wide random network: its variance, and how gradients grow a layer.

Weights have variance sigma_w^2 / fan_in and biases sigma_b^2. In a wide network z is then normal, and its
variance q goes from layer to layer by the variance map V(q) = sigma_w^2 E phi(sqrt(q) Z)^2 + sigma_b^2
(Poole et al. 2016, equation 3). Several fixed points, none, and an infinite one are results, never errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq

from nnlab.activation_facts import entry_of
from nnlab.gaussian_mean import output_mean, output_power, power_growth, slope_power
from nnlab.variance_table import HIGHEST, LOWEST, VarianceTable, variance_table

# Every fixed point up to here lies inside the table of variances, for every activation that has one.
MAX_SIGMA = 1e6
# V(q) / q - 1 and chi - 1 closer to 0 than this are 0 but for rounding: the integrals are good to 1e-14.
ROUNDING = 1e-13
# Schoenholz et al. 2017, section 5: networks train up to a depth of about 6 xi.
DEPTHS_OF_XI = 6.0
ROWS_AT_ONCE = 512  # points of a map scanned together: some 13 MB
KEPT = 1024  # answers, of some hundred bytes each: a page asks for the same a dozen times
HALVINGS = 60  # from a cell of the table down to the last bit


@dataclass(frozen=True)
class MeanField:
    """Where the variance map goes from q = 1, and what gradients do there.

    `q_star` is the fixed point; inf where the map runs away, and then `chi` is nan. `chi` is
    sigma_w^2 E phi'(sqrt(q_star) Z)^2: squared gradient norms grow by it from a layer to the one before
    (Schoenholz et al. 2017, section 3). Below 1 they vanish, above 1 they explode.
    """

    activation: str
    sigma_w: float
    sigma_b: float
    q_star: float
    chi: float

    @property
    def xi(self) -> float:
        """Depth scale 1 / abs(ln chi), in layers; inf at chi = 1 (Schoenholz et al. 2017, section 3)."""
        return float(depth_scale(self.chi))

    @property
    def trainable_depth(self) -> float:
        """About 6 xi layers, the depth that still trains (Schoenholz et al. 2017, section 5)."""
        return DEPTHS_OF_XI * self.xi


@dataclass(frozen=True)
class MeanFieldMap:
    """The same for many points; arrays of one shape. Interpolated: q_star and chi are good to 1e-6."""

    activation: str
    sigma_w: np.ndarray
    sigma_b: np.ndarray
    q_star: np.ndarray
    chi: np.ndarray

    @property
    def xi(self) -> np.ndarray:
        """Depth scale 1 / abs(ln chi), in layers."""
        return depth_scale(self.chi)


@dataclass(frozen=True)
class FixedPoint:
    """One q with V(q) = q; `slope` is V'(q): iterating from nearby returns to it where abs(slope) < 1."""

    q: float
    chi: float
    slope: float

    @property
    def is_stable(self) -> bool:
        """Whether the variance returns to it from nearby."""
        return abs(self.slope) < 1


def depth_scale(chi: np.ndarray | float) -> np.ndarray:
    """Give xi = 1 / abs(ln chi), in layers (Schoenholz et al. 2017, section 3).

    It is inf at chi = 1, 0 at chi = 0 (nothing passes a single layer), and nan at chi = nan.
    """
    with np.errstate(divide="ignore"):
        return 1.0 / np.abs(np.log(np.asarray(chi, dtype=np.float64)))


def _check_sigmas(sigma_w: np.ndarray | float, sigma_b: np.ndarray | float, *, single: bool = True) -> None:
    for field, given in (("sigma_w", sigma_w), ("sigma_b", sigma_b)):
        allowed = f"allowed: {'a number' if single else 'numbers'} from 0 to {MAX_SIGMA:,.0f}"
        values = np.asarray(given).ravel()
        if values.dtype.kind not in "fiu":
            raise ValueError(f"{field}: {given!r} is not allowed; {allowed}")
        if single and np.ndim(given):
            raise ValueError(f"{field}: an array of shape {np.shape(given)} is not allowed; {allowed}")
        is_allowed = (values >= 0) & (values <= MAX_SIGMA)
        if not is_allowed.all():
            raise ValueError(f"{field}: {float(values[~is_allowed][0])!r} is not allowed; {allowed}")


def variance_map(name: str, sigma_w: float, sigma_b: float, q: np.ndarray | float) -> np.ndarray:
    """Give the next layer's variance V(q) (Poole et al. 2016, equation 3).

    Raises:
        ValueError: unknown activation, sigma out of range, or a q that is not finite and 0 or more.
    """
    entry_of(name)
    _check_sigmas(sigma_w, sigma_b)
    values = np.asarray(q, dtype=np.float64)
    if not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(f"q: {q!r} is not allowed; allowed: finite numbers, 0 or more")
    return sigma_w**2 * output_power(name, values) + sigma_b**2


def _excess(table: VarianceTable, w2: np.ndarray, b2: np.ndarray) -> np.ndarray:
    """Give V(q) / q - 1 at every knot, 0 where it is rounding; shape (points, knots)."""
    excess = w2[:, None] * (table.output / table.variance) + b2[:, None] / table.variance - 1
    return np.where(np.abs(excess) <= ROUNDING, 0.0, excess)


@dataclass(frozen=True)
class _Goal:
    """Where iterating from q = 1 ends: at `known` where it is not nan, else between the knots left, right."""

    known: np.ndarray
    left: np.ndarray
    right: np.ndarray


def _goal(table: VarianceTable, w2: np.ndarray, b2: np.ndarray) -> _Goal:
    """Walk from q = 1 to where V(q) - q first changes its sign: a rising map cannot step over that.

    Every registered activation's map rises but cosine's, which falls with a slope of at most 1/e in size,
    so that the iteration goes to its only fixed point. Two of them in one cell (2.5 % of q) are not seen.
    """
    excess, start = _excess(table, w2, b2), table.start
    sign = np.sign(excess)
    up = sign[:, start + 1 :] < 0
    down = sign[:, start - 1 :: -1] > 0
    above, below = up.argmax(axis=1) + start + 1, start - 1 - down.argmax(axis=1)
    goes_up = sign[:, start] > 0
    right = np.where(goes_up, above, below + 1)
    # Knots that are 0 but for rounding belong to the cell.
    while (touching := ~goes_up & (sign[np.arange(len(sign)), right] == 0) & (right < start)).any():
        right = right + touching
    left = np.where(goes_up, above - 1, below)
    while (touching := goes_up & (sign[np.arange(len(sign)), left] == 0) & (left > start)).any():
        left = left - touching
    known = np.full(len(w2), np.nan)
    known[goes_up & ~up.any(axis=1)] = np.inf
    sinking = ~goes_up & ~down.any(axis=1)
    # V is a straight line so close to 0; at criticality the answer is below what the table resolves.
    growth = w2[sinking] * table.output[0] / table.variance[0]
    known[sinking] = b2[sinking] / np.maximum(1 - growth, ROUNDING)
    known[sign[:, start] == 0] = 1.0
    return _Goal(known, left, right)


def _settled(chi: np.ndarray) -> np.ndarray:
    """Give chi, and 1 where it is 1 but for rounding, so that the depth scale there is infinite."""
    return np.where(np.abs(chi - 1) <= ROUNDING, 1.0, chi)


def mean_field(name: str, sigma_w: float, sigma_b: float) -> MeanField:
    """Give the fixed point to which iterating the variance map from q = 1 goes, and chi there.

    A fixed point that the iteration only creeps toward (tanh at sigma_w = 1, sigma_b = 0 takes 1/(2q) layers
    to reach q) is given itself, not where the iteration would have been stopped. Good to 1e-6 of q but for a
    sigma_b between 0 and 1e-9 beside the critical sigma_w, where float64 hardly tells V(q) from q.
    Poole et al. 2016, equation 3; Schoenholz et al. 2017, section 3.

    Raises:
        ValueError: unknown activation, or sigma_w or sigma_b is no number from 0 to MAX_SIGMA.
    """
    entry_of(name)
    _check_sigmas(sigma_w, sigma_b)
    return _mean_field(name, float(sigma_w), float(sigma_b))


@lru_cache(maxsize=KEPT)
def _mean_field(name: str, sigma_w: float, sigma_b: float) -> MeanField:
    w2, b2 = sigma_w**2, sigma_b**2
    table = variance_table(name)
    goal = _goal(table, np.array([w2]), np.array([b2]))
    q = float(goal.known[0])
    if math.isnan(q):
        cell = table.variance[goal.left[0]], table.variance[goal.right[0]]
        q = _root(lambda q: (w2 * float(output_power(name, q)) + b2) / q - 1, *cell)
    chi = math.nan if math.isinf(q) else float(_settled(w2 * slope_power(name, q)))
    return MeanField(name, sigma_w, sigma_b, q, chi)


def _root(curve: Callable[[float], float], low: float, high: float) -> float:
    """Find where a curve crosses 0 between two positive numbers, in the logarithm."""
    return math.exp(brentq(lambda log: curve(math.exp(log)), math.log(low), math.log(high), xtol=1e-15))


def mean_field_map(name: str, sigma_w: np.ndarray | float, sigma_b: np.ndarray | float) -> MeanFieldMap:
    """Give `mean_field` at many points; the two arrays are broadcast together.

    Raises:
        ValueError: as `mean_field`, or the shapes do not fit together.
    """
    entry_of(name)
    _check_sigmas(sigma_w, sigma_b, single=False)
    try:
        widths, biases = np.broadcast_arrays(
            np.asarray(sigma_w, dtype=np.float64), np.asarray(sigma_b, dtype=np.float64)
        )
    except ValueError:
        shapes = f"{np.shape(sigma_w)} and {np.shape(sigma_b)}"
        raise ValueError(
            f"sigma_w, sigma_b: shapes {shapes} are not allowed; allowed: shapes that broadcast"
        ) from None
    table = variance_table(name)
    w2, b2 = widths.ravel() ** 2, biases.ravel() ** 2
    starts = range(0, len(w2), ROWS_AT_ONCE)
    groups = [slice(first, first + ROWS_AT_ONCE) for first in starts]
    parts = [_fixed_in_table(table, w2[group], b2[group]) for group in groups]
    q = np.concatenate([np.zeros(0), *parts])
    chi = _settled(w2 * table.slope_at(np.clip(q, LOWEST, HIGHEST)))
    chi[np.isinf(q)] = np.nan
    return MeanFieldMap(
        name, widths.copy(), biases.copy(), q.reshape(widths.shape), chi.reshape(widths.shape)
    )


def _fixed_in_table(table: VarianceTable, w2: np.ndarray, b2: np.ndarray) -> np.ndarray:
    goal = _goal(table, w2, b2)
    logs = np.log(table.variance)
    low, high = logs[goal.left], logs[goal.right]
    at_low = np.sign((w2 * table.output[goal.left] + b2) / table.variance[goal.left] - 1)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        q = np.exp(middle)
        is_low = np.sign((w2 * table.output_at(q) + b2) / q - 1) == at_low
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return np.where(np.isnan(goal.known), np.exp(low), goal.known)


def _crossings(values: np.ndarray) -> list[tuple[int, int]]:
    """Find the pairs of neighboring knots with values of opposite sign, skipping those that are 0 or nan."""
    places = np.flatnonzero(np.isfinite(values) & (values != 0))
    signs = np.sign(values[places])
    return [(int(places[cell]), int(places[cell + 1])) for cell in np.flatnonzero(signs[:-1] != signs[1:])]


def fixed_points(name: str, sigma_w: float, sigma_b: float) -> tuple[FixedPoint, ...]:
    """Find every isolated fixed point of the variance map, smallest first; () where there is none.

    GELU has two at sigma_w = 1.5, sigma_b = 0: 0, and one above which the variance runs away. Where V(q) = q
    holds on a whole stretch (ReLU at sigma_w = sqrt(2), sigma_b = 0) none is isolated. Points closer together
    than 2.5 % are not told apart.

    Raises:
        ValueError: as `mean_field`.
    """
    entry_of(name)
    _check_sigmas(sigma_w, sigma_b)
    w2, b2 = float(sigma_w) ** 2, float(sigma_b) ** 2
    table = variance_table(name)
    excess = _excess(table, np.array([w2]), np.array([b2]))[0]

    def at(q: float) -> FixedPoint:
        reference = max(q, LOWEST)
        chi, slope = w2 * float(slope_power(name, q)), w2 * power_growth(name, reference)
        return FixedPoint(q, float(_settled(np.array(chi))), slope)

    found = [
        at(_root(lambda q: (w2 * float(output_power(name, q)) + b2) / q - 1, *table.variance[list(cell)]))
        for cell in _crossings(excess)
    ]
    starts_at_zero = b2 == 0 and _passes_zero(table) and excess.any()
    return (at(0.0), *found) if starts_at_zero else tuple(found)


def _passes_zero(table: VarianceTable) -> bool:
    """Whether phi(0) = 0 without a jump, so that a signal of 0 stays 0."""
    return bool(table.output[0] < math.sqrt(LOWEST))


def edge_of_chaos(name: str, sigma_b: float) -> float:
    """Give the smallest sigma_w at which a fixed point of the variance map has chi = 1; nan where none has.

    At sigma_b = 0 with phi(0) = 0 that is the fixed point q = 0. Iterating from q = 1 does not always go to
    the fixed point found: GELU, SiLU and Mish run away from it. Poole et al. 2016, section 2; Schoenholz et
    al. 2017, section 3.

    Raises:
        ValueError: unknown activation, or sigma_b is no number from 0 to MAX_SIGMA.
    """
    entry_of(name)
    _check_sigmas(0.0, sigma_b)
    return _edge_of_chaos(name, float(sigma_b))


@lru_cache(maxsize=KEPT)
def _edge_of_chaos(name: str, sigma_b: float) -> float:
    table, b2 = variance_table(name), sigma_b**2
    if not table.slope.any():
        return math.nan
    if b2 == 0 and _passes_zero(table):
        return 1 / math.sqrt(float(slope_power(name, 0.0)))
    chi = (table.variance - b2) * table.slope / table.output - 1
    chi[(table.variance <= b2) | (np.abs(chi) <= ROUNDING)] = np.nan

    def excess(q: float) -> float:
        return (q - b2) * float(slope_power(name, q)) / float(output_power(name, q)) - 1

    roots = [_root(excess, *table.variance[list(cell)]) for cell in _crossings(chi)]
    critical = [math.sqrt((q - b2) / float(output_power(name, q))) for q in roots]
    return min((sigma for sigma in critical if sigma <= MAX_SIGMA), default=math.nan)


def batch_norm_growth(name: str) -> float:
    """Give by what batch normalization multiplies squared gradient norms a layer: E phi'(Z)^2 / Var phi(Z).

    For large batches; pi / (pi - 1) for ReLU (Yang et al. 2019). Normalized inputs have q = 1, and
    dividing by the spread that the layer's outputs have over the batch multiplies gradients by its inverse.

    Raises:
        ValueError: no activation has this name.
    """
    entry_of(name)
    return float(slope_power(name, 1.0) / (output_power(name, 1.0) - output_mean(name, 1.0) ** 2))
