"""What is said of a random network: thresholds, theory, what to change, and words for what is no number."""

from __future__ import annotations

import math

import pytest

from nnlab.agreement import Agreement
from nnlab.caveats import caveats
from nnlab.config import ExperimentConfig
from nnlab.cure import critical_sigma_w, find_cure
from nnlab.prediction import predict
from nnlab.random_network import RandomNetwork
from nnlab.settled import settle
from nnlab.signal_theory import predict_signal
from nnlab.signal_words import verdict
from nnlab.theory import mean_field
from nnlab.theory_facts import facts


def random_network(sigma_b=0.0, **fields):
    usual = {"dataset": "gaussian", "depth": 10, "width": 100, "batch_size": 256}
    return RandomNetwork(ExperimentConfig(**{**usual, **fields}), sigma_b)


def said(reached=None, **fields):
    return verdict(predict(random_network(**fields)), reached)


def measured(value, *, zeros=0, networks=20):
    return Agreement("x", 1.0, value, value, value, 0.0, zeros, zeros, networks)


SIGMOID = {"activation": "sigmoid", "initializer": "xavier_uniform"}
HE = {"activation": "relu", "initializer": "kaiming_normal"}


def test_a_vanishing_network_by_its_numbers():
    # definitions.md, E1: theory 2.09e-6; its ninth root is 0.234; chi 0.0557 trains 6 / ln(1 / 0.0557) layers
    found = said(**SIGMOID)
    assert (found.severity, found.title) == ("severe", "Vanishing")
    assert "x0.23 a layer: layer 1 gets 2.1e-06 of what layer 10 gets." in found.headline
    assert "up to about 2 layers" in found.reach
    assert "Theory says" not in found.headline
    # definitions.md, E2: tanh with Xavier's weights passes on 0.307
    assert found.advice.startswith("With tanh, says theory, layer 1 gets 0.31 of")
    assert "The gain that makes chi 1, 10.15, would put 64 % of a layer's activations" in found.advice
    drawn = said(measured(3.3e-6), **SIGMOID)
    assert "gets 3.3e-06 of what layer 10 gets. Theory says 2.1e-06." in drawn.headline


@pytest.mark.parametrize(
    ("ratio", "severity", "title", "words"),
    [
        (0.9, "", "Healthy", "keeps its size"),
        (0.1, "", "Healthy", "roughly keeps its size"),
        (0.01, "warn", "Vanishing", "shrinks"),
        (1e-4, "severe", "Vanishing", "shrinks"),
        (30.0, "warn", "Exploding", "gets 30 times what layer 10 gets"),
        (1e6, "severe", "Exploding", "grows"),
        (math.nan, "severe", "Not finite", "beyond the largest number"),
    ],
)
def test_thresholds_are_those_of_the_lab(ratio, severity, title, words):
    found = said(measured(ratio), **HE)
    assert (found.severity, found.title) == (severity, title)
    assert words in found.headline
    assert bool(found.cure) == bool(severity)


def test_a_signal_that_gets_through_flat_layers_is_not_healthy():
    critical = said(gain=10.15, **SIGMOID)
    assert (critical.severity, critical.title) == ("warn", "Saturating")
    # Layer 1: sigma_w^2 = 10.15^2 x 64 x 2 / 164, so z has std 8.97; flat beyond 4.18 = 2 artanh 0.97
    flat = math.erfc(2 * math.atanh(0.97) / (10.15 * math.sqrt(128 / 164)) / math.sqrt(2))
    assert f"Theory expects {100 * flat:.0f} % of layer 1's activations on the flat part" in critical.headline
    assert said(**SIGMOID).cure.change == {"activation": "tanh"}
    assert critical.cure.change == {"activation": "tanh", "gain": 1.0}
    single = said(depth=1, gain=10.15, **SIGMOID)
    assert single.title == "Saturating"
    assert "layer 1 gets" not in single.advice
    flat_relu = said(activation="relu", initializer="kaiming_normal", depth=1, gain=5.0)
    assert flat_relu.title == "Healthy"  # half of its slopes are 0 on purpose


def test_healthy_networks_have_nothing_to_change():
    for fields in (HE, {"activation": "tanh"}, {"activation": "selu", "initializer": "lecun_normal"}):
        found = said(**fields)
        assert (found.severity, found.cure, found.advice) == ("", None, "")
    assert "no limit" in said(**HE).reach


def test_nothing_is_said_in_words():
    step = said(activation="step")
    assert (step.title, step.severity) == ("Blocked", "severe")
    assert "slope of Step is 0" in step.headline
    assert "chi is 0" in step.reach
    single = said(activation="step", depth=1)
    assert (single.title, single.cure.change["activation"]) == ("Blocked", "tanh")
    assert "all are 0" in said(initializer="zeros").headline
    assert "all are 0" in said(initializer="zeros", depth=1).headline
    lost = said(measured(math.nan, zeros=20), depth=80, **SIGMOID)
    assert "float32 holds no number below 1e-45" in lost.headline
    dead = said(measured(0.04, zeros=15), activation="relu", width=2)
    assert "in most drawn networks all units of some layer have slope 0" in dead.headline
    assert (dead.cure, "wider" in dead.advice) == (None, True)
    assert said(depth=1).headline.startswith("One hidden layer")


def test_too_much_is_said_in_words():
    runaway = said(gain=2.0, **HE)
    assert runaway.title == "Exploding"
    # ReLU: chi = sigma_w^2 / 2 = 4 whatever the variance; 6 / ln 4 = 4.3
    assert "up to about 4 layers" in runaway.reach
    beyond = predict(random_network(gain=1e19, **HE))
    assert verdict(beyond, None).title == "Not finite"
    assert "no depth" in verdict(beyond, None).reach
    values = {
        fact.label: (fact.value, fact.detail) for fact in facts(predict(random_network(gain=2.0, **HE)))
    }
    assert values["Variance of z, q*"] == ("infinite", "runs away")
    assert values["chi"] == ("4", "exploding")
    assert all(isinstance(fact.value, str) for fact in facts(beyond))


def test_the_facts_are_mean_fields():
    network = random_network(0.3, activation="tanh", initializer="lecun_normal", gain=1.3, depth=30)
    field = mean_field("tanh", 1.3, 0.3)
    settled = settle(predict(network))
    assert settled.is_fixed_point
    assert (settled.q, settled.chi) == (pytest.approx(field.q_star), pytest.approx(field.chi))
    # Poole et al. 2016: chi 0.940 here (definitions.md)
    values = {fact.label: fact.value for fact in facts(predict(network))}
    assert values["chi"] == "0.94"
    assert values["Backward gain"] == f"x{math.sqrt(field.chi):.3g}"
    assert values["Depth scale xi"] == f"{1 / -math.log(field.chi):.0f}"
    assert values["Trains up to"] == f"{6 / -math.log(field.chi):.0f}"


def test_a_normalized_networks_growth_is_not_mean_fields():
    batch = settle(predict(random_network(normalization="batch", **HE)))
    assert batch.chi == pytest.approx(math.pi / (math.pi - 1))  # Yang et al. 2019
    residual = predict(random_network(activation="tanh", residual=True))
    assert settle(residual).chi == residual.signal.layers[-2].chi
    assert "The rule of 6 xi layers is for plain networks" in verdict(residual, None).reach
    assert {fact.label: fact.value for fact in facts(residual)}["Trains up to"] == "no rule"


@pytest.mark.parametrize(
    ("sigma_b", "fields"),
    [
        (0.0, {"activation": "tanh", "gain": 4.0}),
        (0.2, {"activation": "tanh", "initializer": "normal_0.01", "depth": 30}),
        (0.0, {"activation": "softsign", "initializer": "xavier_normal", "gain": 8.0}),
        (0.0, {**HE, "gain": 0.5}),
    ],
)
def test_the_gain_proposed_is_critical(sigma_b, fields):
    network = random_network(sigma_b, **fields)
    cure = find_cure(network)
    assert set(cure.change) == {"gain"}
    assert cure.network.sigma_w == pytest.approx(critical_sigma_w(network), rel=1e-3)
    chi = mean_field(network.config.activation, cure.network.sigma_w, sigma_b).chi
    # tanh close to its edge at sigma_b = 0 has chi = 1 - O(rounding of the gain)
    assert chi == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("sigma_b", "fields", "reason"),
    [
        (0.5, {**HE, "gain": 2.0}, "biases add variance"),
        (0.0, {"activation": "step"}, "No gain makes this network critical"),
        (0.0, {"initializer": "zeros"}, "No gain scales weights that are 0"),
        (0.0, {"activation": "sigmoid", "initializer": "lsuv"}, "LSUV fits"),
        (0.0, {**SIGMOID, "normalization": "layer"}, "A normalization undoes every gain"),
        (0.0, {**HE, "normalization": "batch", "depth": 30}, "A normalization undoes every gain"),
        (
            0.0,
            {"activation": "gelu", "initializer": "kaiming_normal", "gain": 2.0},
            "says theory, layer 1 gets 1.",
        ),
        (0.0, {"activation": "softplus", "depth": 50}, "No gain makes this network critical"),
    ],
)
def test_where_no_gain_helps_something_else_is_proposed_and_helps(sigma_b, fields, reason):
    prediction = predict(random_network(sigma_b, **fields))
    found = verdict(prediction, None)
    assert reason in found.advice
    assert "edge of chaos" not in found.advice
    changed = prediction.network.config.replace(**found.cure.change)
    ratio = predict_signal(changed, bias_std=sigma_b).gradient_ratio
    assert 0.05 <= ratio <= 20
    assert found.cure.gradient_ratio == ratio


def test_caveats_name_what_applies():
    def text(*found, **fields):
        return " ".join(caveats(predict(random_network(**fields)), found))

    assert text(activation="tanh") == ""
    assert "infinite width; at width 20" in text(activation="tanh", width=20)
    # definitions.md: mean ln M is about -2.5 beta, so e^-0.25 at 10 x 100: 22 % below
    assert "geometric mean 22 % below" in text(**HE)
    assert "GELU has a fixed point with chi = 1 at sigma_w = 2.0, but it repels" in text(
        activation="gelu", initializer="lecun_normal", gain=2.0
    )
    assert "95 % of networks" in text(depth=20, **HE)
    assert "orthogonal" in text(activation="tanh", initializer="orthogonal")
    assert "within 10 % of variance 1" in text(activation="tanh", initializer="lsuv")
    assert "256 examples" in text(normalization="batch")
    assert "in 3 of 20 networks" in text(measured(1.0, zeros=3), activation="tanh")
    assert "One network shows no range" in text(measured(1.0, networks=1), activation="tanh")
