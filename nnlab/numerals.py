"""Numbers as text: readable at every size, so that 2.1e-06 never shows as 0.0000."""

from __future__ import annotations

import math

# Plain decimals keep two significant digits without a long tail of zeros only in this range.
PLAIN_FROM, PLAIN_TO = 0.01, 10_000.0


def scientific(value: float) -> str:
    """Write with two significant digits: 0.23, 12, 2.1e-06; nan and inf as words."""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    if value == 0:
        return "0"
    if not PLAIN_FROM <= abs(value) < PLAIN_TO:
        return f"{value:.1e}"
    if abs(value) >= 10:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 0.995 else f"{value:.2g}"


def fraction(value: float) -> str:
    """Write a small positive share as "1 / 480,000", anything else as `scientific`."""
    if not 0 < value < 0.5 or 1 / value > 1e12:
        return scientific(value)
    inverse = 1 / value
    digits = max(0, math.floor(math.log10(inverse)) - 1)
    return f"1 / {round(inverse, -digits):,.0f}"


def percent(share: float) -> str:
    """Write a share as a percentage: 12 %, 0.4 %, undefined."""
    if not math.isfinite(share):
        return scientific(share)
    if share == 0:
        return "0 %"
    if 0.995 <= share < 1:
        return f"{min(99.9, math.floor(1000 * share) / 10):.1f} %"  # all is said only of all
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def near_one(value: float) -> str:
    """Write a number close below 1 by what it lacks: 0.97, or "1 - 7.7e-13"."""
    lack = 1 - value
    return f"1 - {scientific(lack)}" if 0 < lack < 1e-3 else f"{value:.3g}"


def signed_percent(share: float) -> str:
    """Write a difference of shares with its sign: "+12 points", "-40 points" (of a hundred)."""
    if not math.isfinite(share):
        return scientific(share)
    return f"{'-' if share < 0 else '+'}{100 * abs(share):.2g} points of a hundred"
