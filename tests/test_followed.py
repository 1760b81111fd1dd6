"""Followed: every layer against torch, and the believer's unit where it was put."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from small_networks import MODULES, affine, believer, draw_images, network_of, torch_layers

from nnlab.brightness import NO_DECISION
from nnlab.followed import believers_neuron, follow
from nnlab.network import Network


@pytest.fixture(scope="module")
def x():
    return draw_images()


@pytest.mark.parametrize("activation", MODULES)
def test_follow_gives_the_layers_of_torch_and_what_is_left_of_the_difference(x, activation):
    network, image = network_of(activation), x[3]
    factors = (0.5, 1.0, 2.0)
    found = follow(network, image.astype(np.float32), factors)
    scaled = np.array(factors)[:, None] * image.astype(np.float32).astype(float)
    passes = torch_layers(network, scaled)
    assert [layer.name for layer in found.layers] == ["layer 1", "layer 2", "output"]
    for layer, (z, h) in zip(found.layers, passes, strict=True):
        np.testing.assert_allclose(layer.z, z.numpy(), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(layer.h, h.numpy(), rtol=1e-12, atol=1e-14)
        for values, difference in ((z, layer.z_difference), (h, layer.h_difference)):
            wanted = (values - values[1]).norm(dim=1) / values[1].norm()
            np.testing.assert_allclose(difference, wanted.numpy(), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found.input_difference, [0.5, 0, 1], rtol=1e-12)
    np.testing.assert_allclose(found.probabilities, passes[-1][1].softmax(dim=1).numpy(), rtol=1e-10)
    assert found.decisions.tolist() == passes[-1][1].argmax(dim=1).tolist()
    assert found.normal == 1


def test_a_bare_relu_network_hands_the_whole_difference_on(x):
    found = follow(network_of("relu", bias=False), x[0], (0.5, 1.0, 3.0))
    for layer in found.layers:
        np.testing.assert_allclose(layer.h_difference, [0.5, 0, 2], rtol=1e-12)


def test_follow_keeps_a_dark_image_and_an_unchanged_layer(x):
    dark = follow(network_of("relu", bias=False), np.zeros(16), (0.5, 1.0))
    assert dark.input_difference.tolist() == [0, 0]
    assert [layer.h_difference.tolist() for layer in dark.layers] == [[0, 0]] * 3


@pytest.mark.parametrize("broken", [(0.5, 2.0), (), (1.0, -1.0), (1.0, math.nan), (1.0, 0.5, 0.5)])
def test_follow_refuses_brightnesses_in_one_sentence(x, broken):
    with pytest.raises(ValueError, match=r"brightness.*is not allowed; allowed: ") as raised:
        follow(network_of("relu"), x[0], broken)
    assert "\n" not in str(raised.value)


def test_there_is_no_decision_where_an_output_is_not_a_number(x):
    network = network_of("relu")
    weight = network.layers[-1].weight.copy()
    weight[0, 0] = math.nan
    broken = Network((*network.layers[:-1], replace(network.layers[-1], weight=weight)))
    assert follow(broken, x[0], (0.5, 1.0)).decisions.tolist() == [NO_DECISION, NO_DECISION]


# --- the believer's neuron


def test_the_believers_neuron_is_found_where_it_was_put():
    x = np.array([[0.3, 0.1], [1.0, 0.0], [0.2, 0.9]])
    networks = (believer((0.994, 0.992)), believer((0.992, 0.994)))
    found = believers_neuron(networks, x, 0.5)
    assert (found.network, found.image, found.layer, found.unit) == (1, 1, 1, 2)
    assert found.h == pytest.approx((0.992, 0.994), abs=1e-12)
    assert found.z == pytest.approx((math.log(0.992 / 0.008), math.log(0.994 / 0.006)), abs=1e-9)
    assert found.slope == pytest.approx((0.992 * 0.008, 0.994 * 0.006), abs=1e-12)
    # The other two units move by 0.0125 and 0.11.
    assert (found.alike, found.units) == (1, 3)
    assert found.followed.brightnesses == (0.5, 1.0)


def test_no_pair_of_answers_is_closer_than_the_one_found(x):
    networks = [network_of("sigmoid", seed) for seed in range(3)]
    found = believers_neuron(networks, x, 0.6)
    closest = min(
        math.hypot(float(low) - 0.992, float(normal) - 0.994)
        for network in networks
        for lit, usual in list(zip(torch_layers(network, 0.6 * x), torch_layers(network, x), strict=True))[
            :-1
        ]
        for low, normal in zip(lit[1].flatten(), usual[1].flatten(), strict=True)
    )
    assert math.hypot(found.h[0] - 0.992, found.h[1] - 0.994) == pytest.approx(closest, rel=1e-12)
    lit, usual = (torch_layers(networks[found.network], a * x[found.image])[-1][1] for a in (0.6, 1.0))
    assert found.followed.decisions.tolist() == [int(lit.argmax()), int(usual.argmax())]
    assert found.followed.layers[-1].h_difference[0] == pytest.approx(
        float((lit - usual).norm() / usual.norm())
    )


# --- bad input


def test_bad_input_is_answered_by_field_value_and_what_is_allowed(x):
    network = network_of("relu")
    cases = [
        (lambda: follow(network, x, (1.0,)), r"image: shape \(24, 16\) .* \(16,\)"),
        (lambda: believers_neuron((), x, 0.5), r"networks: none"),
        (lambda: believers_neuron((affine([[1.0]], [0.0]),), x, 0.5), r"networks: none or without hidden"),
        (lambda: believers_neuron((network,), x, -1.0), r"brightness: -1.0"),
        (lambda: believers_neuron((network,), x[:0], 0.5), r"x: shape \(0, 16\)"),
    ]  # fmt: skip
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()


def test_following_changes_nothing_it_is_given(x):
    network = network_of("sigmoid")
    before = [layer.weight.copy() for layer in network.layers], x.copy()
    follow(network, x[0], (0.5, 1.0))
    believers_neuron((network,), x, 0.5)
    for layer, weight in zip(network.layers, before[0], strict=True):
        np.testing.assert_array_equal(layer.weight, weight)
    np.testing.assert_array_equal(x, before[1])
