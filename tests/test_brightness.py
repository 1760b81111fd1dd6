"""Brightness: what is measured, against torch, plain loops and what was worked out by hand."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import MODULES, affine, draw_images, network_of, torch_layers

from nnlab.brightness import (
    BRIGHTNESSES,
    SHARE_COLUMNS,
    Group,
    Measured,
    Sweep,
    accuracy_over,
    agreement_over,
    brightness_table,
    gap,
    homogeneity_error,
    saturated_share,
    sweep,
)
from nnlab.network import Layer, Network

ROOT = Path(__file__).parent.parent
TAU = 1 - 0.97**2
FEW = (0.05, 0.3, 1.0, 2.0, 10.0)


@pytest.fixture(scope="module")
def x():
    return draw_images()


# --- brightnesses


def test_brightnesses_hold_the_named_values_and_are_evenly_spaced_on_a_log_axis():
    assert {0.05, 0.1, 0.5, 1.0, 2.0, 10.0} <= set(BRIGHTNESSES)
    assert (BRIGHTNESSES[0], BRIGHTNESSES[-1]) == (0.05, 10.0)
    assert 20 <= len(BRIGHTNESSES) <= 30
    ratios = np.diff(np.log(BRIGHTNESSES))
    assert ratios.min() > math.log(1.24)
    assert ratios.max() < math.log(1.28)


# --- accuracy and agreement


@pytest.mark.parametrize("activation", MODULES)
def test_accuracy_and_agreement_are_what_a_loop_over_torch_counts(x, activation):
    networks = [network_of(activation, seed) for seed in range(2)]
    y = np.random.default_rng(1).integers(0, 4, len(x))
    accuracy = accuracy_over(networks, x, y, FEW)
    agreement = agreement_over(networks, x, FEW)
    assert accuracy.shape == agreement.shape == (2, len(FEW))
    for seed, network in enumerate(networks):
        normal = [int(torch_layers(network, image)[-1][1].argmax()) for image in x]
        for place, a in enumerate(FEW):
            decided = [int(torch_layers(network, a * image)[-1][1].argmax()) for image in x]
            right = sum(d == truth for d, truth in zip(decided, y, strict=True))
            same = sum(d == n for d, n in zip(decided, normal, strict=True))
            assert accuracy[seed, place] == right / len(x)
            assert agreement[seed, place] == same / len(x)


def test_a_bias_decides_a_dark_image_by_hand():
    # Output 1 is a pixel, output 0 the constant 0.3: a pixel of 0.5 is seen as long as 0.5 a > 0.3.
    network = affine([[0.0], [1.0]], [0.3, 0.0])
    x, y = np.array([[0.5]]), np.array([1])
    assert accuracy_over([network], x, y, (0.5, 0.59, 0.61, 1.0, 4.0)).tolist() == [[0, 0, 1, 1, 1]]
    assert agreement_over([network], x, (0.5, 0.61)).tolist() == [[0, 1]]


def test_an_answer_that_is_not_a_number_is_wrong_and_changed_and_is_counted(x):
    broken = network_of("relu")
    weight = broken.layers[-1].weight.copy()
    weight[0, 0] = math.nan
    broken = Network((*broken.layers[:-1], replace(broken.layers[-1], weight=weight)))
    y = np.zeros(len(x), dtype=int)
    assert agreement_over([broken], x, (1.0,)).tolist() == [[0.0]]
    assert accuracy_over([broken], x, y, (1.0,)).tolist() == [[0.0]]
    measured = sweep([Group("relu", "Broken", (broken,))], x, y)
    assert measured.kinds[0].undecided == len(x) * len(BRIGHTNESSES)
    assert math.isnan(measured.kinds[0].homogeneity[0, 0])


def test_an_overflow_is_a_result_and_no_warning(x):
    huge = Network(tuple(replace(layer, weight=layer.weight * 1e30) for layer in network_of("relu").layers))
    assert not math.isfinite(homogeneity_error(huge, x, 10.0, np.float32))


# --- saturation


@pytest.mark.parametrize("tau", [TAU, 0.5])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "identity"])
def test_saturation_is_the_share_of_slopes_that_autograd_finds_small(x, activation, tau):
    network = network_of(activation)
    sup = {"sigmoid": 0.25}.get(activation, 1.0)
    found = saturated_share(network, x, FEW, tau)
    for place, a in enumerate(FEW):
        z = torch_layers(network, a * x)[0][0].requires_grad_()
        (slope,) = torch.autograd.grad(MODULES[activation](z).sum() + 0 * z.sum(), z)
        assert found[place] == pytest.approx(float((slope.abs() < tau * sup).double().mean()), abs=1e-12)


def test_saturation_of_tanh_is_the_share_beyond_097_and_grows_to_all():
    network = Network(
        (Layer(np.array([[1.0], [2.0]]), np.zeros(2), "tanh"), Layer(np.ones((2, 2)), np.zeros(2)))
    )
    x = np.ones((1, 1))
    edge = math.atanh(0.97)
    found = saturated_share(network, x, (0.4 * edge, 0.6 * edge, 1.1 * edge))
    assert found.tolist() == [0.0, 0.5, 1.0]


def test_a_step_is_flat_everywhere_and_nan_stays_nan(x):
    network = network_of("step")
    assert saturated_share(network, x, (1.0,)).tolist() == [1.0]
    assert math.isnan(saturated_share(network, x * math.nan, (1.0,))[0])


# --- homogeneity


@pytest.mark.parametrize("activation", ["identity", "relu", "leaky_relu"])
def test_networks_without_biases_scale_with_the_image(x, activation):
    network = network_of(activation, bias=False)
    for a in (0.05, 0.3, 1.7, 10.0):
        assert homogeneity_error(network, x, a, np.float64) < 1e-12
        assert homogeneity_error(network, x, a, np.float32) < 1e-5
    assert homogeneity_error(network, x, 0.3, np.float32) > homogeneity_error(network, x, 0.3, np.float64)
    # A power of two only moves the exponent.
    assert homogeneity_error(network, x, 2.0, np.float32) == 0


@pytest.mark.parametrize("activation", MODULES)
def test_biases_and_bent_activations_break_it_as_torch_says(x, activation):
    network = network_of(activation)
    for a in (0.1, 10.0):
        found = homogeneity_error(network, x, a, np.float64)
        lit, normal = (torch_layers(network, each)[-1][1] for each in (a * x, x))
        distance = (lit - a * normal).norm(dim=1) / (a * normal).norm(dim=1)
        assert found == pytest.approx(float(distance.max()), rel=1e-9)
        assert found > 0.05
    assert homogeneity_error(network, x, 1.0, np.float32) == 0


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_leaving_out_the_biases_does_not_make_a_bent_activation_scale(x, activation):
    assert homogeneity_error(network_of(activation, bias=False), x, 10.0, np.float64) > 0.05


def test_an_affine_network_misses_by_its_bias_by_hand():
    # f(x) = x + 1 at x = 1: f(3) = 4 against 3 f(1) = 6.
    assert homogeneity_error(affine([[1.0]], [1.0]), np.ones((1, 1)), 3.0, np.float64) == pytest.approx(1 / 3)


def test_zero_answers_scale_exactly_and_an_answer_out_of_nothing_does_not():
    dark = np.zeros((1, 1))
    assert homogeneity_error(affine([[1.0]], [0.0]), dark, 3.0, np.float64) == 0
    # f(1) = 0 but f(3) = 2
    assert homogeneity_error(affine([[1.0]], [-1.0]), np.ones((1, 1)), 3.0, np.float64) == math.inf


# --- the sweep


@pytest.fixture(scope="module")
def measured(x):
    groups = [
        Group("identity", "Linear", tuple(network_of("identity", seed) for seed in range(2))),
        Group("bare", "Bare ReLU", tuple(network_of("relu", seed, bias=False) for seed in range(2))),
        Group("sigmoid", "Sigmoid", tuple(network_of("sigmoid", seed) for seed in range(2))),
    ]
    y = np.random.default_rng(1).integers(0, 4, len(x))
    return groups, y, sweep(groups, x, y)


def test_a_sweep_holds_what_the_single_measurements_give(measured, x):
    groups, y, found = measured
    assert (found.images, found.classes, found.tau) == (24, 4, TAU)
    for group, kind in zip(groups, found.kinds, strict=True):
        np.testing.assert_array_equal(kind.accuracy, accuracy_over(group.networks, x, y, BRIGHTNESSES))
        np.testing.assert_array_equal(kind.agreement, agreement_over(group.networks, x, BRIGHTNESSES))
        for seed, network in enumerate(group.networks):
            np.testing.assert_array_equal(
                kind.saturation[seed], saturated_share(network, x, BRIGHTNESSES, TAU)
            )
            errors = [homogeneity_error(network, x, a, np.float32) for a in BRIGHTNESSES]
            np.testing.assert_allclose(kind.homogeneity[seed], errors, rtol=1e-12)
        ends = [homogeneity_error(n, x, a, np.float64) for n in group.networks for a in (0.05, 10.0)]
        assert kind.homogeneity_double == max(ends)
    assert [kind.has_bias for kind in found.kinds] == [True, False, True]
    assert [kind.is_linear for kind in found.kinds] == [True, False, False]
    assert [kind.flat_word for kind in found.kinds] == ["saturated", "inactive", "saturated"]


def test_a_sweep_takes_another_tau(measured, x):
    groups, y, found = measured
    wide = sweep(groups, x, y, tau=0.9)
    assert wide.saturation(wide.kinds[2], 1.0) > found.saturation(found.kinds[2], 1.0)


def test_a_bare_relu_network_keeps_every_decision(measured):
    assert (measured[2].kinds[1].agreement == 1).all()
    assert not (measured[2].kinds[0].agreement == 1).all()


# --- reading at one brightness


def test_a_gap_is_the_mean_accuracy_of_one_kind_less_the_others(measured, x):
    groups, y, found = measured
    means = [
        np.mean([np.mean(np.argmax(n.outputs(0.1 * x), axis=1) == y) for n in group.networks])
        for group in groups
    ]
    assert gap(found, "sigmoid", "identity", 0.1) == pytest.approx(means[2] - means[0], abs=1e-12)
    assert gap(found, "identity", "sigmoid", 0.1) == pytest.approx(means[0] - means[2], abs=1e-12)
    assert means[2] != means[0]
    assert gap(found, "bare", "bare", 2.0) == 0


def test_a_gap_refuses_unknown_kinds_and_brightnesses(measured):
    found = measured[2]
    with pytest.raises(ValueError, match=r"kind: 'relu' is not allowed; allowed: identity, bare, sigmoid"):
        gap(found, "sigmoid", "relu", 1.0)
    for call in (
        lambda: gap(found, "sigmoid", "identity", 0.3),
        lambda: brightness_table(found, 0.3),
        lambda: found.accuracy(found.kinds[0], 0.3),
        lambda: found.saturation(found.kinds[0], 0.3),
    ):
        with pytest.raises(ValueError, match=r"brightness: 0\.3 .* one of the 24 values .* 0\.05 to 10$"):
            call()


def test_the_table_holds_the_shares_of_a_brightness_in_percent(measured, x):
    groups, y, found = measured
    table = brightness_table(found, 10.0)
    assert table.columns.tolist() == ["network", *SHARE_COLUMNS]
    assert table["network"].tolist() == ["Linear", "Bare ReLU", "Sigmoid"]
    for group, row in zip(groups, table[list(SHARE_COLUMNS)].to_numpy(), strict=True):
        normal = [np.argmax(n.outputs(x), axis=1) for n in group.networks]
        lit = [np.argmax(n.outputs(10 * x), axis=1) for n in group.networks]
        right = [np.mean(each == y) for each in lit]
        kept = np.mean([np.mean(a == b) for a, b in zip(lit, normal, strict=True)])
        flat = np.mean([saturated_share(n, x, (10.0,), TAU)[0] for n in group.networks])
        wanted = 100 * np.array([np.mean(right), min(right), max(right), kept, flat])
        np.testing.assert_allclose(row, wanted, atol=0.05 + 1e-9)
    assert table.loc[1, SHARE_COLUMNS[3]] == 100
    assert (brightness_table(found, 1.0)[SHARE_COLUMNS[3]] == 100).all()


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, 0.0), (1.0, 100.0), (0.95278, 95.3), (0.5, 50.0), (0.99972, 99.97), (0.00004, 0.004),
        (1 - 2e-7, 99.99998), (math.nan, math.nan),
    ],
)  # fmt: skip
def test_the_table_says_0_and_100_only_where_it_is_true(share, shown):
    values = np.full((1, len(BRIGHTNESSES)), share)
    kind = Measured("k", "K", "tanh", True, False, values, values, values, values, 0.0)
    row = brightness_table(Sweep((kind,), images=1, classes=2, tau=TAU), 1.0).loc[0, list(SHARE_COLUMNS)]
    np.testing.assert_array_equal(row.to_numpy(dtype=float), [shown] * len(SHARE_COLUMNS))


# --- bad input


def test_bad_input_is_answered_by_field_value_and_what_is_allowed(x):
    network, y = network_of("relu"), np.zeros(len(x), dtype=int)
    group = Group("relu", "ReLU", (network,))
    cases = [
        (lambda: accuracy_over([network], x[:, :3], y, FEW), r"x: shape \(24, 3\) .* \(images, 16\)"),
        (lambda: accuracy_over([network], x, y[:3], FEW), r"y: shape \(3,\) .* \(24,\)"),
        (lambda: accuracy_over([network], x[:0], y[:0], FEW), r"x: shape \(0, 16\)"),
        (lambda: agreement_over([network], x, (0.0,)), r"brightness: 0.0 .* finite numbers > 0"),
        (lambda: saturated_share(network, x, ()), r"brightness: an empty list"),
        (lambda: homogeneity_error(network, x, math.inf, np.float64), r"brightness: inf"),
        (lambda: Group("none", "None", ()), r"networks: 0 shapes"),
        (lambda: Group("two", "Two", (network, affine([[1.0]], [0.0]))), r"networks: 2 shapes"),
        (lambda: sweep([], x, y), r"groups: an empty list"),
        (lambda: sweep([group, group], x, y), r"groups: two share their words"),
    ]  # fmt: skip
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


def test_measuring_changes_nothing_it_is_given(x):
    network = network_of("sigmoid")
    before = [layer.weight.copy() for layer in network.layers], x.copy()
    sweep([Group("sigmoid", "Sigmoid", (network,))], x, np.zeros(len(x), dtype=int))
    for layer, weight in zip(network.layers, before[0], strict=True):
        np.testing.assert_array_equal(layer.weight, weight)
    np.testing.assert_array_equal(x, before[1])


def test_measuring_needs_neither_torch_nor_pandas_nor_altair():
    code = (
        "import sys, nnlab.brightness;"
        "sys.exit(bool({'torch', 'sklearn', 'pandas', 'altair'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
