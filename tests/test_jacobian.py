"""Jacobians of drawn networks against autograd, exact arithmetic, exact laws and the papers' predictions."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch

from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.isometry import linear_ranking, predict_isometry
from nnlab.jacobian import KINDS, MAX_WIDTH, draw_layers, draw_spectra, layer_jacobians
from nnlab.linear_product import largest_singular_value, singular_law, singular_ranking, squared_moment
from nnlab.matrix_chain import chain_singular_values
from nnlab.model import make_activation
from nnlab.random_network import RandomNetwork


def network(sigma_b=0.0, **fields):
    chosen = {"dataset": "gaussian", "depth": 10, "width": 100, "batch_size": 16, **fields}
    return RandomNetwork(ExperimentConfig(**chosen), sigma_b)


def in_torch(layers, x, config):
    """Give h_L as a function of the first example, with all the rest of the batch held fixed."""
    module = make_activation(config.activation)
    batch = torch.from_numpy(x)

    def output(first):
        h, rest = first[None], batch
        for number, layer in enumerate(layers):
            weight, bias = torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)
            z, others = h @ weight.T + bias, rest @ weight.T + bias
            if config.normalization == "batch":
                mean, variance = others.mean(dim=0), others.var(dim=0, correction=0)
                z, others = (torch.nn.functional.batch_norm(v, mean, variance) for v in (z, others))
            if config.normalization == "layer":
                z, others = (torch.nn.functional.layer_norm(v, (len(bias),)) for v in (z, others))
            has_skip = config.residual and number > 0
            h = module(z) + h if has_skip else module(z)
            rest = module(others) + rest if has_skip else module(others)
        return h[0]

    return output, batch[0]


@pytest.mark.parametrize(
    "fields",
    [
        *[{"activation": name} for name in ACTIVATIONS if name not in ("step", "sine", "cosine")],
        {"activation": "gelu", "normalization": "batch", "initializer": "pytorch_default"},
        {"activation": "tanh", "normalization": "layer", "residual": True},
        {"activation": "relu", "residual": True, "initializer": "kaiming_normal"},
    ],
    ids=str,
)
def test_the_product_is_what_autograd_gives(fields):
    chosen = network(0.3, depth=4, width=9, **fields)
    layers, x = draw_layers(chosen, "own", 9, 0)
    output, first = in_torch(layers, x, chosen.config)
    expected = torch.autograd.functional.jacobian(output, first).numpy()
    product = np.linalg.multi_dot(layer_jacobians(layers, x, chosen.config)[::-1])
    assert product == pytest.approx(expected, rel=1e-10, abs=1e-13)


def exact_log10(factors):
    """Singular values of the product in 500 digits: eigenvalues of P P' would lose half of them."""
    with mpmath.workdps(500):
        product = mpmath.eye(factors[0].shape[1])
        for factor in factors:
            product = mpmath.matrix(factor.tolist()) * product
        found = mpmath.svd_r(product, compute_uv=False)
        return sorted((float(mpmath.log10(s)) for s in found), reverse=True)


@pytest.mark.parametrize("gain", [1.0, 6.0])
def test_small_singular_values_of_long_products_keep_their_digits(gain):
    layers, x = draw_layers(network(activation="tanh", gain=gain, depth=26, width=6), "gaussian", 6, 1)
    factors = layer_jacobians(layers, x, network(activation="tanh").config)
    expected = exact_log10(factors)
    assert expected[0] - expected[-1] > 16  # more than float64 has digits
    assert chain_singular_values(factors) == pytest.approx(expected, abs=1e-9)


def test_directions_lost_in_relu_are_exact_zeros():
    layers, x = draw_layers(network(activation="relu", width=12, depth=8), "own", 12, 3)
    factors = layer_jacobians(layers, x, network(activation="relu").config)
    rank = min(int(factor.any(axis=1).sum()) for factor in factors)  # of generic matrices
    found = chain_singular_values(factors)
    assert 0 < rank < 12
    assert np.isinf(found).sum() == 12 - rank
    exact = np.linalg.svd(np.linalg.multi_dot(factors[::-1]), compute_uv=False)
    assert 10.0 ** found[:rank] == pytest.approx(exact[:rank], rel=1e-6)
    assert (chain_singular_values([np.zeros((3, 3)), np.eye(3)]) == -np.inf).all()


def test_rectangles_and_ranges_beyond_float64():
    rng = np.random.default_rng(0)
    factors = [rng.standard_normal(shape) for shape in ((5, 3), (2, 5), (4, 2))]
    expected = np.linalg.svd(factors[2] @ factors[1] @ factors[0], compute_uv=False)
    found = chain_singular_values(factors)
    assert 10.0 ** found[:2] == pytest.approx(expected[:2], rel=1e-10)
    assert found[2] == -np.inf
    stretched = chain_singular_values([np.diag([1e5, 1.0, 1e-8])] * 100)
    assert stretched == pytest.approx([500, 0, -800], abs=1e-9)
    with pytest.raises(ValueError, match="shape"):
        chain_singular_values([np.eye(3), np.eye(2)])
    with pytest.raises(ValueError, match="place 1 is not finite"):
        chain_singular_values([np.eye(2), np.full((2, 2), np.nan)])


def test_linear_networks_follow_the_exact_law():
    chosen = network(activation="identity", initializer="lecun_normal", depth=3)
    spectra, law = draw_spectra(chosen), linear_ranking(chosen)
    for spectrum in (spectra.own, spectra.gaussian):
        drawn = np.interp([0.05, 0.25, 0.5, 0.75], np.linspace(0, 1, 400), spectrum.values)
        assert drawn == pytest.approx(np.interp([0.05, 0.25, 0.5, 0.75], law.share, law.log10), abs=0.05)
        assert spectrum.at(0) == pytest.approx(largest_singular_value(3), rel=0.06)
        assert spectrum.mean_square == pytest.approx(1, rel=0.1)
        assert spectrum.square_variance == pytest.approx(3, rel=0.35)
    # All s are 1, as in Saxe et al. 2014.
    assert (spectra.orthogonal.at(0), spectra.orthogonal.at(1)) == pytest.approx((1, 1), rel=1e-12)
    assert spectra.orthogonal.spread == pytest.approx(0, abs=1e-12)
    assert linear_ranking(network(activation="tanh")) is None
    scaled = linear_ranking(network(activation="identity", initializer="lecun_normal", depth=3, gain=2.0))
    assert scaled.log10 == pytest.approx(law.log10 + 3 * math.log10(2))


def test_the_ranking_is_the_law_in_another_form():
    for factors in (1, 4, 12):
        law, ranking = singular_law(factors, 20_000), singular_ranking(factors, 4000)
        top = law.singular_value > 0.3 * law.singular_value[-1]  # near 0 the density has a pole
        s, density = law.singular_value[top], law.density[top]
        above = np.trapezoid(density, s)
        assert np.interp(-math.log10(s[0]), -ranking.log10, ranking.share) == pytest.approx(above, abs=2e-4)
        weights = np.gradient(ranking.share)
        assert (weights * 100.0**ranking.log10).sum() == pytest.approx(squared_moment(factors, 1), rel=1e-3)


@pytest.mark.parametrize(
    ("sigma_b", "fields"),
    [
        (0.0, {"activation": "sigmoid", "initializer": "xavier_uniform"}),
        (0.3, {"activation": "tanh", "initializer": "xavier_normal", "gain": 1.5}),
        (0.0, {"activation": "relu", "initializer": "kaiming_normal", "normalization": "batch"}),
        (0.0, {"activation": "tanh", "initializer": "lsuv"}),
        (0.2, {"activation": "selu", "initializer": "normal_0.01", "width": 1024, "gain": 3.0}),
    ],
    ids=str,
)
def test_mean_and_spread_are_as_predicted(sigma_b, fields):
    chosen = network(sigma_b, **{"depth": 4, **fields})
    spectra, told = draw_spectra(chosen), predict_isometry(chosen)
    assert spectra.width == min(chosen.config.width, MAX_WIDTH)
    for spectrum, spread in (
        (spectra.gaussian, told.gaussian_spread),
        (spectra.orthogonal, told.orthogonal_spread),
    ):
        assert spectrum.mean_square == pytest.approx(told.mean_square, rel=0.4)
        assert spectrum.spread == pytest.approx(spread, rel=0.4, abs=0.05)


def test_residual_and_layer_norm_have_a_predicted_mean():
    for fields in (
        {"residual": True},
        {"normalization": "layer"},
        {"normalization": "layer", "residual": True},
    ):
        chosen = network(0.2, activation="tanh", initializer="lecun_normal", depth=5, **fields)
        told = predict_isometry(chosen)
        assert draw_spectra(chosen).gaussian.mean_square == pytest.approx(told.mean_square, rel=0.35)
        assert math.isnan(told.gaussian_spread) == ("residual" in fields)


def test_tanh_can_be_isometric_and_relu_cannot():
    # Pennington, Schoenholz & Ganguli 2017: sigma_w -> 1, sigma_b -> 0, so that q goes to 0.
    tanh = draw_spectra(network(activation="tanh", initializer="orthogonal", depth=12, gain=0.9))
    assert tanh.own.spread == pytest.approx(predict_isometry(tanh.network).orthogonal_spread, rel=0.3)
    assert tanh.own.spread < 0.2 * tanh.gaussian.spread
    relu = network(activation="relu", initializer="kaiming_normal", depth=12)
    assert predict_isometry(relu).orthogonal_spread == pytest.approx(12)  # 1 / (1/2) - 1 a layer
    assert draw_spectra(relu).orthogonal.zero_share > 0.5


def test_what_overflows_and_what_is_zero_is_told_apart():
    zeros = draw_spectra(network(activation="tanh", initializer="zeros", depth=2))
    assert (zeros.own.zero_share, zeros.own.at(0), zeros.own.mean_square) == (1, 0, 0)
    assert math.isnan(zeros.own.spread)
    lost = draw_spectra(network(activation="relu", gain=1e200, depth=4, width=5))
    assert lost.own.lost_draws == lost.draws
    assert math.isnan(lost.own.at(0))
    assert math.isnan(lost.own.mean_square)
    assert all(getattr(lost, kind).kind == kind for kind in KINDS)
    again = draw_spectra(network(activation="tanh", depth=2, width=4))
    assert np.array_equal(again.own.log10_s, draw_spectra(again.network).own.log10_s)
