"""Mode strength: how a two-layer linear network learns one singular direction of its task over time.

Gradient flow tau dW/dt = -dE/dW on E = half the summed squared error, inputs with X X' = I, weights that
start small, balanced and in the task's own directions. Each direction then learns by itself:
tau du/dt = 2 u (s - u), with s the task's singular value and u the network's (Saxe, McClelland & Ganguli
2014). Steps of gradient descent with a small learning rate follow it with tau = 1 / learning rate.
"""

from __future__ import annotations

import math

import numpy as np


def _check_positive(field: str, value: float, *, zero: bool = False) -> None:
    if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
        allowed = "0 or more" if zero else "above 0"
        raise ValueError(f"{field}: {value!r} is not allowed; allowed: a finite number {allowed}")


def mode_strength(t: np.ndarray | float, s: float, u0: float, tau: float) -> np.ndarray:
    """Give u(t) = s e^(2 s t / tau) / (e^(2 s t / tau) - 1 + s / u0), in the shape of t.

    At s = 0 it is the limit, u0 / (1 + 2 u0 t / tau): what the task does not hold is unlearned slowly.

    Args:
        t: times from 0 on, in the unit of tau; inf gives where learning ends.
        s: singular value of the task, 0 or more.
        u0: the network's at the start, above 0: from 0 it would never move.
        tau: time constant, 1 / learning rate in steps.

    Raises:
        ValueError: a number is out of range.
    """
    _check_positive("s", s, zero=True)
    _check_positive("u0", u0)
    _check_positive("tau", tau)
    times = np.asarray(t, dtype=np.float64)
    if not (times >= 0).all():
        raise ValueError(f"t: {float(times[~(times >= 0)][0])!r} is not allowed; allowed: numbers, 0 or more")
    if s == 0:
        return np.asarray(u0 / (1 + 2 * u0 / tau * times))
    # e^(-2st/tau) in place of e^(2st/tau), which leaves float64 where u has long arrived at s.
    return np.asarray(s / (1 + (s / u0 - 1) * np.exp(-2 * s / tau * times)))


def learning_time(s: float, u0: float, uf: float, tau: float) -> float:
    """Give the time from u0 to uf: tau / (2 s) ln(uf (s - u0) / (u0 (s - uf))), in the unit of tau.

    Of the order of tau / s: strong directions are learned first (Saxe, McClelland & Ganguli 2014).

    Raises:
        ValueError: a number is out of range, or uf is not between u0 and s, where u comes by.
    """
    for field, value in (("s", s), ("u0", u0), ("tau", tau)):
        _check_positive(field, value)
    low, high = (u0, s) if u0 <= s else (s, u0)
    if not (low <= uf <= high and (uf != s or u0 == s)):
        raise ValueError(
            f"uf: {uf!r} is not allowed; allowed: a number from u0 = {u0:g} on to s = {s:g}, but not s"
        )
    if uf == u0:
        return 0.0
    return tau / (2 * s) * math.log(uf * (s - u0) / (u0 * (s - uf)))
