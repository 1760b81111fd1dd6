"""The chain rule by hand against closed forms, autograd and nnlab's own probe; its words and charts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import vl_convert
from torch.nn import functional as F

from nnlab.activations import ACTIVATIONS
from nnlab.autograd import gradients
from nnlab.chain import (
    Problem,
    chain_rule,
    chain_words,
    disagreement,
    draw_problem,
    layers_reached,
    output_delta,
    zero_words,
)
from nnlab.chain_charts import AUTOGRAD, BOUND, BY_HAND, SLOPES, error_signal, reached_weights
from nnlab.export import standalone_spec
from nnlab.network import Layer, Network
from nnlab.probe import Probe


def by_autograd(problem: Problem) -> np.ndarray:
    """Differentiate with torch.func, an implementation of its own."""
    y = torch.from_numpy(problem.y)

    def tail(h: torch.Tensor, start: int) -> torch.Tensor:
        for layer in problem.network.layers[start:]:
            z = h @ torch.from_numpy(layer.weight).T + torch.from_numpy(layer.bias)
            h = ACTIVATIONS[layer.activation].function(z)
        return F.cross_entropy(h, y)

    passes = problem.network.forward(problem.x)
    depth = problem.network.depth
    arriving = torch.func.grad(lambda h: tail(h, depth))(torch.from_numpy(passes[depth - 1].h))
    norms = []
    for number in range(depth):
        phi = ACTIVATIONS[problem.network.layers[number].activation].function
        z = torch.from_numpy(passes[number].z)
        norms.append(float(torch.func.grad(lambda z, n=number, phi=phi: tail(phi(z), n + 1))(z).norm()))
    return np.array(norms) / float(arriving.norm())


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "step"])
def test_the_signal_by_hand_is_that_of_autograd(name):
    problem = draw_problem(name, 4, 12, 1.0, 0)
    want = by_autograd(problem)
    np.testing.assert_allclose(chain_rule(problem).signal, want, rtol=1e-10)
    np.testing.assert_allclose(gradients(problem).signal, want, rtol=1e-10)


def test_one_unit_a_layer_and_weights_of_one_leave_the_product_of_slopes():
    """A chain of single sigmoids: the signal is phi'(z1) phi'(z2) phi'(z3), worked by hand."""
    one = np.ones((1, 1))
    hidden = [Layer(one, np.array([b]), "sigmoid") for b in (0.5, -1.0, 2.0)]
    output = Layer(np.array([[1.0], [-1.0]]), np.zeros(2))
    problem = Problem(Network((*hidden, output)), np.array([[0.3]]), np.array([0]))
    h, slopes = 0.3, []
    for b in (0.5, -1.0, 2.0):
        h = 1 / (1 + math.exp(-(h + b)))
        slopes.append(h * (1 - h))
    want = [slopes[0] * slopes[1] * slopes[2], slopes[1] * slopes[2], slopes[2]]
    rule = chain_rule(problem)
    np.testing.assert_allclose(rule.signal, want, rtol=1e-13)
    np.testing.assert_allclose(rule.slopes, want, rtol=1e-13)
    np.testing.assert_allclose(rule.bound, [0.25**3, 0.25**2, 0.25], rtol=1e-15)


def test_the_output_delta_is_softmax_minus_one_hot_over_the_batch():
    outputs, y = np.random.default_rng(0).standard_normal((5, 3)) * 30, np.array([0, 2, 1, 1, 0])
    z = torch.from_numpy(outputs).requires_grad_()
    F.cross_entropy(z, torch.from_numpy(y)).backward()
    np.testing.assert_allclose(output_delta(outputs, y), z.grad.numpy(), atol=1e-15)


def test_identity_layers_of_orthogonal_weights_lose_nothing():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    layers = [Layer(turn, np.zeros(2)) for _ in range(5)]
    rule = chain_rule(Problem(Network(tuple(layers)), np.eye(2), np.array([0, 1])))
    np.testing.assert_allclose(rule.signal, 1.0, rtol=1e-12)
    np.testing.assert_allclose(rule.slopes, 1.0)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "gelu", "sine"])
def test_slopes_never_multiply_to_more_than_their_bound(name):
    rule = chain_rule(draw_problem(name, 12, 32, 1.0, 3))
    assert (rule.slopes <= rule.bound * (1 + 1e-12)).all()


def test_a_network_shrinks_the_signal_as_mean_field_theory_says():
    """sigma_w = 1, sigma_b = 1/2: chi = E phi'(sqrt(q) Z)^2 at the fixed point q of the variance map."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    weights = weights / weights.sum()
    q = 1.0
    for _ in range(200):
        q = float(weights @ np.tanh(np.sqrt(q) * nodes) ** 2) + 0.25
    chi = float(weights @ (1 - np.tanh(np.sqrt(q) * nodes) ** 2) ** 2)
    factors = []
    for seed in range(5):
        signal = chain_rule(draw_problem("tanh", 30, 128, 1.0, seed)).signal
        factors.append((signal[5] / signal[25]) ** (1 / 20))
    assert np.mean(factors) == pytest.approx(math.sqrt(chi), rel=0.02)


def test_gain_multiplies_the_weights_and_nothing_else():
    one, double = (draw_problem("tanh", 3, 8, gain, 0).network for gain in (1.0, 2.0))
    for a, b in zip(one.layers, double.layers, strict=True):
        np.testing.assert_allclose(b.weight, 2 * a.weight)
        np.testing.assert_array_equal(a.bias, b.bias)


@pytest.fixture(scope="module")
def step():
    return draw_problem("step", 4, 16, 1.0, 0)


def test_the_step_function_lets_exactly_nothing_through(step):
    rule, found = chain_rule(step), gradients(step)
    assert not rule.signal.any()
    assert not rule.bound.any()
    assert not found.weight[:-1].any()
    assert found.weight[-1] > 0
    assert layers_reached(found.weight) == 0
    assert disagreement(rule, found.signal) == 0
    assert "exactly nothing" in chain_words(rule, found.signal)
    assert "all 4 hidden layers have a gradient of exactly 0" in zero_words("Step", found.weight)


def test_the_probe_of_the_library_agrees_on_the_step(step):
    """nnlab's own records of the same network say the same: hidden deltas 0, the output's not."""
    import nnlab

    config = nnlab.ExperimentConfig(dataset="iris", depth=3, width=8, activation="step")
    data = nnlab.load_dataset(config)
    model = nnlab.build_model(config)
    with Probe(model, gradients=True) as probe:
        outputs = model(torch.from_numpy(data.x_train))
    F.cross_entropy(outputs, torch.from_numpy(data.y_train)).backward()
    deltas = [float(sample.delta.norm()) for sample in probe.samples()]
    assert deltas[:-1] == [0.0, 0.0, 0.0]
    assert deltas[-1] > 0


def test_words_name_the_measured_numbers():
    problem = draw_problem("sigmoid", 10, 64, 1.0, 0)
    rule, judge = chain_rule(problem), gradients(problem).signal
    words = chain_words(rule, judge)
    assert f"{rule.signal[0]:.1e}" in words
    assert f"{rule.slopes[0]:.1e}" in words
    assert f"{0.25**10:.1e}" in words
    assert "the same but for rounding" in words
    assert "exactly the same" in chain_words(rule, rule.signal)


def test_weight_gradients_in_words_cover_all_some_and_none():
    assert "all 2 hidden layers get a gradient, from 0.2 to 0.5" in zero_words("A", np.array([0.5, 0.2, 1.0]))
    assert "1 of 2 hidden layers get" in zero_words("A", np.array([0.0, 0.2, 1.0]))
    assert "only ever change the output layer" in zero_words("A", np.array([0.0, 0.0, 1.0]))


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(("name", "depth"), [("sigmoid", 10), ("step", 4), ("relu", 1), ("gelu", 50)])
def test_the_signal_chart_draws_what_was_computed(name, depth, mode):
    problem = draw_problem(name, depth, 16, 1.0, 0)
    rule, judge = chain_rule(problem), gradients(problem).signal
    chart = error_signal(rule, judge, mode)
    table = chart.make_table()
    for column, values in (
        (BOUND, rule.bound),
        (SLOPES, rule.slopes),
        (BY_HAND, rule.signal),
        (AUTOGRAD, judge),
    ):
        np.testing.assert_array_equal(table[column], values)
    assert bool(chart.notes) == (name == "step")
    assert chart.alt_text
    assert chart.how_to_read
    assert vl_convert.vegalite_to_svg(standalone_spec(chart, "x")).startswith("<svg")


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_chart_of_reached_weights_puts_zeros_on_a_line_of_their_own(step, mode):
    norms = {"sigmoid": np.array([1e-3, 1e-2, 0.1, 0.5, 0.9]), "step": gradients(step).weight}
    chart = reached_weights(norms, mode)
    frame = chart.frames["rows"]
    zeros = frame[frame["state"] == "zero"]
    assert len(zeros) == 4
    assert zeros["shown"].max() < frame[frame["state"] == "value"]["shown"].min()
    assert "Step: 4 of 4" in chart.alt_text
    assert "Sigmoid: 0 of 4" in chart.alt_text
    np.testing.assert_array_equal(chart.make_table()["value"], np.concatenate(list(norms.values())))
    assert vl_convert.vegalite_to_svg(standalone_spec(chart, "x")).startswith("<svg")
