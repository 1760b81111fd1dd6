"""Linear product: singular values of a product of wide random matrices, a deep linear network's Jacobian.

Gaussian factors stretch some directions ever more; orthogonal ones keep every length (Saxe et al. 2014;
Pennington, Schoenholz & Ganguli 2017). Factors are square with variance 1 / n.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Mean singular value of one square matrix with independent entries of variance 1 / n: the mean of the
# quarter-circle law sqrt(4 - s^2) / pi on [0, 2] (Marchenko & Pastur 1967).
MEAN_SINGULAR_VALUE = 8 / (3 * math.pi)
MAX_FACTORS = 1000


@dataclass(frozen=True)
class SingularLaw:
    """Density of singular values; `singular_value` rises from near 0 to near the largest."""

    singular_value: np.ndarray
    density: np.ndarray


@dataclass(frozen=True)
class SingularRanking:
    """The same law by rank: `share` of all singular values, rising from 0 to 1, are above 10^`log10`."""

    share: np.ndarray
    log10: np.ndarray


def _check_points(points: int) -> None:
    if isinstance(points, bool) or not isinstance(points, (int, np.integer)) or not 2 <= points <= 100_000:
        raise ValueError(f"points: {points!r} is not allowed; allowed: a whole number from 2 to 100,000")


def _check_factors(factors: int) -> None:
    is_whole = isinstance(factors, (int, np.integer)) and not isinstance(factors, bool)
    if not is_whole or not 1 <= factors <= MAX_FACTORS:
        raise ValueError(
            f"factors: {factors!r} is not allowed; allowed: a whole number from 1 to {MAX_FACTORS:,}"
        )


def largest_singular_value(factors: int) -> float:
    """Give the largest singular value for m Gaussian factors: s^2 = (m+1)^(m+1) / m^m, about e m.

    Pennington, Schoenholz & Ganguli 2017. For orthogonal matrices it is 1, as all are.

    Raises:
        ValueError: factors is no whole number from 1 to MAX_FACTORS.
    """
    _check_factors(factors)
    return math.exp(0.5 * ((factors + 1) * math.log1p(1 / factors) + math.log(factors)))


def squared_moment(factors: int, order: int) -> float:
    """Give the mean of s^(2 order): the Fuss-Catalan number binom(m k + k, k) / (m k + 1).

    Alexeev, Götze & Tikhomirov 2010. The mean of s^2 is 1 for any m; that of s^4 is m + 1.

    Raises:
        ValueError: factors or order is no whole number in its range.
    """
    _check_factors(factors)
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)) or not 0 <= order <= 10:
        raise ValueError(f"order: {order!r} is not allowed; allowed: a whole number from 0 to 10")
    return math.comb(factors * order + order, order) / (factors * order + 1)


def singular_law(factors: int, points: int = 400) -> SingularLaw:
    """Give the density of the singular values of a product of m wide Gaussian matrices.

    With x = s^2 = sin((m+1) t)^(m+1) / (sin t sin(m t)^m) for 0 < t < pi / (m+1), the density of x is
    sin(t)^2 sin(m t)^(m-1) / (pi sin((m+1) t)^m) (Forrester & Liu 2015).

    Raises:
        ValueError: factors or points is no whole number in its range.
    """
    _check_factors(factors)
    _check_points(points)
    m = factors
    t = math.pi / (m + 1) * (np.arange(points, 0, -1) - 0.5) / points
    top, low, middle = np.log(np.sin((m + 1) * t)), np.log(np.sin(t)), np.log(np.sin(m * t))
    squared = np.exp((m + 1) * top - low - m * middle)
    density = np.exp(2 * low + (m - 1) * middle - m * top) / math.pi
    s = np.sqrt(squared)
    return SingularLaw(s, 2 * s * density)


def singular_ranking(factors: int, points: int = 400) -> SingularRanking:
    """Rank the singular values of a product of m wide Gaussian matrices, the largest first.

    With x and t as in `singular_law`, the share between t and t + dt is sin t sin((m+1) t) / (pi sin(m t))
    times d ln x / dt = (m+1)^2 cot((m+1) t) - cot t - m^2 cot(m t).

    Raises:
        ValueError: factors or points is no whole number in its range.
    """
    _check_factors(factors)
    _check_points(points)
    m = factors
    t = math.pi / (m + 1) * (np.arange(points) + 0.5) / points
    log_x = (m + 1) * np.log(np.sin((m + 1) * t)) - np.log(np.sin(t)) - m * np.log(np.sin(m * t))
    falls = 1 / np.tan(t) + m**2 / np.tan(m * t) - (m + 1) ** 2 / np.tan((m + 1) * t)
    mass = np.sin(t) * np.sin((m + 1) * t) / np.sin(m * t) * falls
    share = (np.cumsum(mass) - mass / 2) / mass.sum()
    return SingularRanking(share, log_x / (2 * math.log(10)))
