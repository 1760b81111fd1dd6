"""Born-dead networks, the length chain and linear products against networks and matrices that are drawn."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from nnlab.born_dead import born_dead_at_one_input, born_dead_bounds, draw_born_dead
from nnlab.length_chain import draw_lengths, length_law
from nnlab.linear_product import (
    MEAN_SINGULAR_VALUE,
    largest_singular_value,
    singular_law,
    squared_moment,
)


def forward(rng, x, widths, draws):
    """Pass x, shape (points, inputs), through `draws` bias-free He ReLU networks: (draws, points, width)."""
    h = np.broadcast_to(x, (draws, *x.shape))
    for width in widths:
        weight = rng.standard_normal((draws, h.shape[2], width)) * math.sqrt(2 / h.shape[2])
        h = np.maximum(h @ weight, 0)
    return h


def test_one_input_is_exact():
    widths = (2, 3, 2, 4)
    alive = 1.0
    for width in widths:  # by counting: every pattern of units that are on is equally likely
        patterns = list(itertools.product([False, True], repeat=width))
        alive *= sum(any(pattern) for pattern in patterns) / len(patterns)
    assert born_dead_at_one_input(widths) == pytest.approx(1 - alive, rel=1e-12)
    h = forward(np.random.default_rng(0), np.array([[0.3, -2.0]]), widths, 20_000)
    assert (~h.any(axis=(1, 2))).mean() == pytest.approx(1 - alive, abs=0.012)  # 3.5 standard errors
    assert born_dead_at_one_input([100] * 8) == pytest.approx(8 * 2.0**-100, rel=1e-12)
    assert born_dead_at_one_input([2000]) == 0  # 2^-2000 is below the smallest float64


@pytest.mark.parametrize(("hidden_layers", "width"), [(2, 1), (4, 2), (6, 3), (10, 4), (10, 2), (20, 5)])
def test_drawn_lines_lie_between_the_bounds(hidden_layers, width):
    bounds, drawn = born_dead_bounds(hidden_layers, width), draw_born_dead(hidden_layers, width, seed=1)
    assert bounds.low - 0.015 <= drawn.share <= bounds.high + 0.015
    assert drawn.low < drawn.share < drawn.high


def test_drawing_two_numbers_a_unit_is_as_drawing_all_weights():
    h = forward(np.random.default_rng(2), np.array([[1.0], [-1.0]]), [3] * 6, 20_000)
    whole = (~h.any(axis=(1, 2))).mean()
    assert draw_born_dead(6, 3, draws=20_000).share == pytest.approx(whole, abs=0.017)
    assert draw_born_dead(1, 3).share == 0  # every unit fires on one of the sides
    assert draw_born_dead(3, 1, draws=20_000).share == pytest.approx(0.75, abs=0.011)  # 1 - 2^-2
    assert draw_born_dead(6, 3, seed=5) == draw_born_dead(6, 3, seed=5)


def test_the_length_law_is_that_of_drawn_networks():
    widths = (6, 4, 5)
    h = forward(np.random.default_rng(3), np.array([[3.0, 0.0, 4.0]]), widths, 40_000)
    lengths = (h[:, 0] ** 2).sum(axis=1) / 5 / (25 / 3)
    law, drawn = length_law(widths), draw_lengths(widths, draws=40_000)
    for sample in (lengths, drawn):
        alive = np.log(sample[sample > 0])
        assert sample.mean() == pytest.approx(law.mean, abs=0.04)
        assert (sample**2).mean() == pytest.approx(law.second_moment, rel=0.15)
        assert (sample == 0).mean() == pytest.approx(law.silent, abs=0.01)
        assert (alive.mean(), alive.std()) == pytest.approx((law.log_mean, law.log_std), abs=0.04)
    assert law.second_moment == pytest.approx((1 + 5 / 6) * (1 + 5 / 4) * 2)
    quantiles = [np.quantile(np.log(s[s > 0]), [0.1, 0.5, 0.9]) for s in (lengths, drawn)]
    assert quantiles[0] == pytest.approx(quantiles[1], abs=0.06)


def test_the_leading_order_of_hanin_in_wide_networks():
    law = length_law([2000] * 20)
    assert law.beta == pytest.approx(0.01)
    assert law.log_mean == pytest.approx(-2.5 * law.beta, rel=0.01)
    assert law.log_std == pytest.approx(math.sqrt(5 * law.beta), rel=0.01)


def test_singular_values_of_drawn_products():
    rng, n = np.random.default_rng(0), 250
    product = np.eye(n)
    for factors in (1, 2, 3):
        product = product @ rng.standard_normal((n, n)) / math.sqrt(n)
        s = np.linalg.svd(product, compute_uv=False)
        assert s.max() == pytest.approx(largest_singular_value(factors), rel=0.05)
        assert np.mean(s**4) == pytest.approx(squared_moment(factors, 2), rel=0.1)
        law = singular_law(factors, 4000)
        share = np.trapezoid(law.density * (law.singular_value < 0.5), law.singular_value)
        # The law starts a little above 0, where its density is finite or, for more factors, steep.
        assert share == pytest.approx(np.mean(s < 0.5), abs=0.03)
        if factors == 1:
            assert s.mean() == pytest.approx(MEAN_SINGULAR_VALUE, rel=0.01)


def test_constants_of_products():
    assert round(MEAN_SINGULAR_VALUE, 3) == 0.849  # definitions.md: 0.849, and 0.490 at sigma 1 / sqrt(3)
    assert round(MEAN_SINGULAR_VALUE / math.sqrt(3), 3) == 0.490
    for factors in (1, 2, 5, 20):
        exact = (factors + 1) ** (factors + 1) / factors**factors
        assert largest_singular_value(factors) ** 2 == pytest.approx(exact, rel=1e-12)
        law = singular_law(factors, 20_000)
        s = law.singular_value
        assert s.max() == pytest.approx(math.sqrt(exact), rel=1e-6)
        moments = [np.trapezoid(law.density * s ** (2 * order), s) for order in (1, 2, 3)]
        assert moments == pytest.approx([squared_moment(factors, order) for order in (1, 2, 3)], rel=1e-4)
    assert largest_singular_value(1000) ** 2 == pytest.approx(1000 * math.e, rel=1e-3)
    assert [squared_moment(1, order) for order in range(5)] == [1, 1, 2, 5, 14]  # Catalan


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: born_dead_at_one_input([]), "widths: nothing"),
        (lambda: born_dead_at_one_input([3, 0]), "widths: 0"),
        (lambda: born_dead_bounds(0, 3), "hidden_layers: 0"),
        (lambda: born_dead_bounds(3, 2.5), "width: 2.5"),
        (lambda: draw_born_dead(3, 3, draws=0), "draws: 0"),
        (lambda: draw_born_dead(3, 1000, draws=10**6), "draws: 1000000 with width 1000"),
        (lambda: draw_born_dead(3, 3, seed=-1), "seed: -1"),
        (lambda: length_law([True]), "widths: True"),
        (lambda: draw_lengths([3], draws=10**9), "draws: 1000000000"),
        (lambda: largest_singular_value(0), "factors: 0"),
        (lambda: squared_moment(1, 11), "order: 11"),
        (lambda: singular_law(2, 1), "points: 1"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "allowed: " in str(caught.value)
