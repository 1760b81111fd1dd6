"""Length chain: how the squared length of a signal fluctuates in a ReLU network with He weights.

With Gaussian weights of variance 2 / fan_in and no biases, M = (|h_L|^2 / n_L) / (|x|^2 / d) is a product of
independent factors (2 / n) chi-squared(Binomial(n, 1/2)), one a layer: a unit fires with probability 1/2, and
its z is normal. Exact for every width; Hanin 2018 and Hanin & Rolnick 2018 give the leading order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln, polygamma

MAX_SAMPLES = 10_000_000  # of the product; 80 MB


@dataclass(frozen=True)
class LengthLaw:
    """The exact law of M: E M and E M^2; mean and std of ln M where no layer is silent.

    `silent` is the probability that one is, so that M = 0. `beta` is the sum of 1 / width, on which the
    fluctuation depends exponentially (Hanin 2018, theorem 1).
    """

    mean: float
    second_moment: float
    log_mean: float
    log_std: float
    silent: float
    beta: float


def _checked(widths: Sequence[int]) -> list[int]:
    allowed = "allowed: one whole number of 1 or more for each hidden layer"
    if not len(widths):
        raise ValueError(f"widths: nothing is not allowed; {allowed}")
    for width in widths:
        if isinstance(width, bool) or not isinstance(width, (int, np.integer)) or width < 1:
            raise ValueError(f"widths: {width!r} is not allowed; {allowed}")
    return [int(width) for width in widths]


def _log_moments(width: int) -> tuple[float, float]:
    """Give mean and variance of ln((2 / n) chi-squared(K)) for K binomial(n, 1/2), given K >= 1.

    ln chi-squared(k) has mean digamma(k/2) + ln 2 and variance trigamma(k/2).
    """
    firing = np.arange(1, width + 1)
    log_choices = gammaln(width + 1) - gammaln(firing + 1) - gammaln(width - firing + 1)
    chances = np.exp(log_choices - width * math.log(2))
    chances /= chances.sum()
    means = digamma(firing / 2) + math.log(2) + math.log(2 / width)
    mean = float(chances @ means)
    return mean, float(chances @ (polygamma(1, firing / 2) + (means - mean) ** 2))


def length_law(widths: Sequence[int]) -> LengthLaw:
    """Give the exact law of M for hidden layers of these widths: E M = 1, E M^2 = prod(1 + 5 / n_l).

    Raises:
        ValueError: there is no width, or one is no whole number of 1 or more.
    """
    checked = _checked(widths)
    by_width = {width: _log_moments(width) for width in set(checked)}
    return LengthLaw(
        mean=1.0,
        second_moment=math.prod(1 + 5 / width for width in checked),
        log_mean=math.fsum(by_width[width][0] for width in checked),
        log_std=math.sqrt(math.fsum(by_width[width][1] for width in checked)),
        silent=-math.expm1(math.fsum(math.log1p(-(2.0 ** -float(width))) for width in checked)),
        beta=math.fsum(1 / width for width in checked),
    )


def draw_lengths(widths: Sequence[int], *, draws: int = 10_000, seed: int = 0) -> np.ndarray:
    """Draw M from its exact law, shape (draws,); 0 where a layer is silent.

    Raises:
        ValueError: widths as in `length_law`; draws or seed is no whole number in its range.
    """
    checked = _checked(widths)
    for field, value, low, high in (("draws", draws, 1, MAX_SAMPLES), ("seed", seed, 0, 2**32 - 1)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise ValueError(f"{field}: {value!r} is not allowed; allowed: {low} to {high:,}")
    rng = np.random.default_rng(seed)
    lengths = np.ones(draws)
    for width in checked:
        firing = rng.binomial(width, 0.5, draws)
        # chi-squared(k) is twice a gamma variable of shape k/2, which is 0 for k = 0.
        lengths *= 2 / width * 2 * rng.standard_gamma(firing / 2)
    return lengths
