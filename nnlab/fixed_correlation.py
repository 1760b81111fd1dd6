"""Fixed correlation: how alike a deep random network ends up making any two inputs.

The correlation map C (Poole et al. 2016, equation 5) has C(1) = 1, and its slope there is chi. Since
E phi(z) phi(z') is a power series in c without negative terms, C is convex from 0 to 1: up to chi = 1 the
correlation goes to 1, and above, in the chaotic phase, to the one other c* with C(c*) = c* (Poole et al.
2016, section 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq

from nnlab.correlation import correlation_map, slope_product

# C is good to some 1e-14, so that closer to 1 than this C(c) - c has no sign that means something.
NEAREST, ROUNDING = 1e-7, 1e-14
MOST_OFF = 1e-2  # of V(q) from q, where q is said with few digits


@dataclass(frozen=True)
class FixedCorrelation:
    """The c* to which two inputs' correlation goes, whatever it was.

    `slope_at_one` is C'(1) = chi, inf for a phi that jumps. `slope` is C'(c*): the distance to c* shrinks by
    it a layer.
    """

    correlation: float
    slope_at_one: float
    slope: float

    @property
    def is_alike(self) -> bool:
        """Whether all inputs become one direction: the ordered phase, and its edge."""
        return self.correlation == 1

    @property
    def xi(self) -> float:
        """Layers in which the distance to c* falls to 1/e, 1 / abs(ln C'(c*)); inf where it only creeps.

        Schoenholz et al. 2017, section 3.
        """
        if self.slope in (0, 1):
            return math.inf if self.slope else 0.0
        return 1 / abs(math.log(self.slope))


def fixed_correlation(name: str, sigma_w: float, sigma_b: float, q: float) -> FixedCorrelation:
    """Give the stable fixed point c* of the correlation map at the fixed point q of the variance map.

    Poole et al. 2016, section 2. A c* closer to 1 than 1e-7, of a chi as close to 1, is given as 1.

    Raises:
        ValueError: unknown activation, or q is no fixed point above 0 of the variance map.
    """
    fixed = correlation_map(name, sigma_w, sigma_b, q, 1.0)
    if not abs(fixed - 1) <= MOST_OFF:
        raise ValueError(f"q: {q!r} is not allowed; allowed: a fixed point, but V(q) = {fixed * q:g}")

    def excess(correlation: float) -> float:
        # Counted from C(1), so that the rounding of q moves no fixed point.
        return correlation_map(name, sigma_w, sigma_b, q, correlation) - fixed + 1 - correlation

    at_one, top = sigma_w**2 * slope_product(name, q, 1.0), 1 - NEAREST
    at_one = 1.0 if abs(at_one - 1) <= 10 * ROUNDING else at_one
    if excess(top) >= -ROUNDING:
        return FixedCorrelation(1.0, at_one, at_one)
    found = 0.0 if excess(0.0) <= ROUNDING else float(brentq(excess, 0.0, top, xtol=1e-12))
    return FixedCorrelation(found, at_one, sigma_w**2 * slope_product(name, q, found))
