"""The strength of one direction against its differential equation and a trained two-layer linear network."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from nnlab.mode_strength import learning_time, mode_strength


@pytest.mark.parametrize(
    ("s", "u0", "tau"), [(3.0, 0.001, 20.0), (0.4, 1.5, 1.0), (0.0, 0.7, 5.0), (2.0, 2.0, 1.0)]
)
def test_it_solves_its_differential_equation(s, u0, tau):
    times = np.linspace(0, 5 * tau, 40)
    solved = solve_ivp(
        lambda _, u: 2 * u * (s - u) / tau, (0, times[-1]), [u0], t_eval=times, rtol=1e-11, atol=1e-13
    )
    assert mode_strength(times, s, u0, tau) == pytest.approx(solved.y[0], rel=1e-8)


def test_a_trained_network_learns_its_directions_as_told():
    rng = np.random.default_rng(3)
    left, right = (np.linalg.qr(rng.standard_normal((4, 4)))[0] for _ in range(2))
    strengths, u0, rate = np.array([3.0, 2.0, 1.0, 0.0]), 0.01, 0.001
    task = left @ np.diag(strengths) @ right.T
    first, second = math.sqrt(u0) * right.T, math.sqrt(u0) * left
    for step in range(2501):
        if step % 500 == 0:
            learned = np.diag(left.T @ second @ first @ right)
            told = [float(mode_strength(step, s, u0, 1 / rate)) for s in strengths]
            assert learned == pytest.approx(told, abs=0.02)  # a step of 1/1000 is not yet a flow
        error = task - second @ first
        first, second = first + rate * second.T @ error, second + rate * error @ first.T


def test_the_learning_time_is_when_the_strength_is_there():
    for s, u0, uf in ((3.0, 0.001, 2.9), (1.0, 4.0, 1.2)):
        time = learning_time(s, u0, uf, 7.0)
        assert float(mode_strength(time, s, u0, 7.0)) == pytest.approx(uf, rel=1e-12)
    assert learning_time(2.0, 0.5, 0.5, 1.0) == 0


def test_long_times_and_extreme_strengths_stay_finite():
    assert mode_strength(np.array([0.0, 1e6, math.inf]), 5.0, 1e-9, 1.0) == pytest.approx([1e-9, 5.0, 5.0])
    assert mode_strength(math.inf, 0.0, 1.0, 1.0) == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mode_strength(-1.0, 1.0, 0.1, 1.0), "t: -1.0"),
        (lambda: mode_strength(math.nan, 1.0, 0.1, 1.0), "t: nan"),
        (lambda: mode_strength(1.0, -1.0, 0.1, 1.0), "s: -1.0"),
        (lambda: mode_strength(1.0, 1.0, 0.0, 1.0), "u0: 0.0"),
        (lambda: mode_strength(1.0, 1.0, 0.1, math.inf), "tau: inf"),
        (lambda: learning_time(1.0, 0.1, 1.0, 1.0), "uf: 1.0"),
        (lambda: learning_time(1.0, 0.1, 0.05, 1.0), "uf: 0.05"),
        (lambda: learning_time(0.0, 0.1, 0.05, 1.0), "s: 0.0"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
