"""Brightness in words: every sentence against the numbers it is built from, in each of its variants."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_networks import affine, believer, draw_images, network_of, torch_layers

from nnlab.brightness import BRIGHTNESSES, Group, Measured, Sweep, sweep
from nnlab.brightness_words import example_words, follow_words, listed, mean_words, share_words, verdict
from nnlab.followed import believers_neuron, follow
from nnlab.network import Layer, Network

ROOT = Path(__file__).parent.parent
TAU = 1 - 0.97**2


@pytest.fixture(scope="module")
def x():
    return draw_images()


# --- the verdict


def kind_of(words: str, activation: str, accuracy, kept, **changes) -> Measured:
    """Give a kind of seeds whose accuracy and agreement are these numbers at every brightness but 1."""
    shape = (len(kept), len(BRIGHTNESSES))
    agreement = np.broadcast_to(np.array(kept)[:, None], shape).copy()
    agreement[:, BRIGHTNESSES.index(1.0)] = 1
    values = {
        "key": words,
        "words": words,
        "activation": activation,
        "has_bias": True,
        "is_linear": activation == "identity",
        "accuracy": np.broadcast_to(np.array(accuracy)[:, None], shape).copy(),
        "agreement": agreement,
        "saturation": np.full(shape, 0.25),
        "homogeneity": np.full(shape, 2.5),
        "homogeneity_double": 2.5,
    }
    return Measured(**{**values, **changes})


def sweep_of(*kinds: Measured) -> Sweep:
    return Sweep(kinds, images=200, classes=10, tau=TAU)


LINEAR = kind_of("Linear", "identity", [0.9, 0.92], [0.8, 0.82])
FREE = kind_of(
    "Linear without bias",
    "identity",
    [0.9, 0.9],
    [1.0, 1.0],
    has_bias=False,
    homogeneity=np.full((2, len(BRIGHTNESSES)), 3e-7),
    homogeneity_double=4e-16,
)
SIGMOID = kind_of("Sigmoid", "sigmoid", [0.95, 0.97], [0.6, 0.7])


def said(*kinds: Measured, about: str) -> str:
    return next(sentence for sentence in verdict(sweep_of(*kinds)) if re.search(about, sentence))


def test_the_verdict_names_who_keeps_every_decision_and_how_exactly():
    first, second = verdict(sweep_of(LINEAR, FREE, SIGMOID))[1:3]
    assert first.startswith(
        "These networks change none of their decisions on 200 images from brightness 0.05 to 10"
    )
    assert first.endswith(": Linear without bias.")
    assert second.startswith("For them, ")
    assert "at most 3.0e-07 in float32 and 4.0e-16 in float64" in second


def test_the_verdict_does_not_call_a_steady_network_homogeneous_that_is_not():
    steady = kind_of("Steady", "tanh", [0.9], [1.0])
    sentences = verdict(sweep_of(steady, FREE))
    assert any(s.startswith("Steady keeps its decisions although f(ax) is not a f(x)") for s in sentences)
    assert "reaches 2.5." in said(steady, FREE, about="^Steady")
    assert any(s.startswith("For Linear without bias, ") for s in sentences)


def test_the_verdict_says_when_nobody_keeps_every_decision():
    assert verdict(sweep_of(LINEAR, SIGMOID))[1] == (
        "Every kind of network changes some of its decisions from brightness 0.05 to 10."
    )


def test_the_verdict_says_losses_and_gains_with_their_sign():
    accuracy = SIGMOID.accuracy.copy()
    accuracy[:, BRIGHTNESSES.index(0.1)] = [0.3, 0.4]
    accuracy[:, BRIGHTNESSES.index(10.0)] = [0.96, 0.98]
    flat = SIGMOID.saturation.copy()
    flat[:, BRIGHTNESSES.index(10.0)] = [0.8, 0.9]
    text = said(replace(SIGMOID, accuracy=accuracy, saturation=flat), LINEAR, about="^Sigmoid: ")
    assert (
        "96.0 % at brightness 1, 35.0 % at 0.1 (minus 61.0 points) and 97.0 % at 10 (plus 1.0 points)" in text
    )
    assert "25.0 % are saturated at 1 and 85.0 % at 10" in text
    assert "are inactive at 1" in said(kind_of("ReLU", "relu", [0.9], [0.9]), about="^ReLU: ")
    assert "(no change)" in said(LINEAR, about="^Linear: ")
    assert "first layer" not in said(LINEAR, about="^Linear: ")


def test_the_belief_can_be_false_true_undecided_or_both():
    low, high = (kind_of("Sigmoid", "sigmoid", [0.9, 0.9], kept) for kept in ([0.6, 0.7], [0.9, 0.95]))
    close = kind_of("Sigmoid", "sigmoid", [0.9, 0.9], [0.81, 0.9])
    about = "^The belief"
    assert "steadier is **false** here." in said(low, LINEAR, FREE, about=about)
    assert "steadier is **true** here." in said(high, LINEAR, about=about)
    mixed = said(high, LINEAR, FREE, about=about)
    assert "is **true against “Linear” and false against “Linear without bias”** here." in mixed
    undecided = said(close, LINEAR, about=about)
    assert "is **undecided, since the seeds overlap** here." in undecided
    # 23 of 24 brightnesses at 0.6 or 0.7, brightness 1 itself at 1.
    low_end, high_end = ((23 * kept + 1) / 24 for kept in (0.6, 0.7))
    words = f"Sigmoid: {50 * (low_end + high_end):.1f} % ({100 * low_end:.1f} % to {100 * high_end:.1f} %)"
    assert words in said(low, LINEAR, about=about)
    assert not [s for s in verdict(sweep_of(LINEAR, FREE)) if "belief" in s]


def test_sentences_begin_with_a_capital_whatever_a_kind_is_called():
    quiet = [replace(kind, words=kind.words.lower()) for kind in (LINEAR, FREE, SIGMOID)]
    steady = replace(kind_of("steady", "tanh", [0.9], [1.0]), words="steady")
    sentences = verdict(sweep_of(*quiet, steady))
    assert any(sentence.startswith("Sigmoid: accuracy") for sentence in sentences)
    assert all(sentence[0].isupper() for sentence in sentences)


def test_biases_are_blamed_only_where_leaving_them_out_helps():
    about = "with biases and .* without"
    text = said(LINEAR, FREE, about=about)
    assert "the biases tie a decision" in text
    assert re.match(r"Linear keeps 81\.8 % .* of its decisions with biases and 100 % without\.", text)
    worse = kind_of("Linear without bias", "identity", [0.9, 0.9], [0.1, 0.2], has_bias=False)
    assert "biases make decisions steadier" in said(LINEAR, worse, about=about)
    same = replace(LINEAR, words="Linear without bias", has_bias=False)
    assert "do not settle it" in said(LINEAR, same, about=about)
    assert not [s for s in verdict(sweep_of(LINEAR, SIGMOID)) if re.search(about, s)]


def test_what_an_activation_buys_is_said_in_both_directions():
    about = "^At brightness 1"
    text = said(LINEAR, SIGMOID, about=about)
    assert (
        "right on 91.0 % (90.0 % to 92.0 %) of the images, networks with one on 96.0 % (95.0 % to 97.0 %)"
        in text
    )
    assert text.endswith("plus 5.0 points, and every network with an activation beats every one without.")
    poor = kind_of("Sigmoid", "sigmoid", [0.5, 0.6], [0.6, 0.7])
    assert said(LINEAR, poor, about=about).endswith(
        "minus 36.0 points, and every network without an activation beats every one with it."
    )
    even = kind_of("Sigmoid", "sigmoid", [0.91, 0.93], [0.6, 0.7])
    assert "plus 1.0 points, and the seeds overlap" in said(LINEAR, even, about=about)


def test_the_verdict_of_real_networks_follows_their_numbers(x):
    groups = [
        Group("identity", "Linear", tuple(network_of("identity", seed) for seed in range(2))),
        Group("bare", "Bare ReLU", tuple(network_of("relu", seed, bias=False) for seed in range(2))),
        Group("sigmoid", "Sigmoid", tuple(network_of("sigmoid", seed) for seed in range(2))),
    ]
    found = sweep(groups, x, np.random.default_rng(1).integers(0, 4, len(x)))
    sentences = " ".join(verdict(found))
    steady = [kind for kind in found.kinds if (kind.agreement == 1).all()]
    assert f"from brightness 0.05 to 10: {listed(kind.words for kind in steady)}." in sentences
    for kind in found.kinds:
        if (kind.agreement == 1).all():
            continue
        light = share_words(float(found.accuracy(kind, 0.1).mean()))
        assert f"{kind.words}: accuracy is " in sentences
        assert f"{light} at 0.1" in sentences


def test_the_verdict_counts_answers_that_are_not_numbers():
    lost = replace(LINEAR, words="Broken", undecided=1234)
    assert verdict(sweep_of(SIGMOID, lost))[1] == (
        "Some answers are not numbers; they count as wrong and as changed: Broken (1,234)."
    )
    assert not any("not numbers" in sentence for sentence in verdict(sweep_of(SIGMOID, LINEAR)))


# --- one image, followed


def scaled(*weights: float, bias: float = 0.0, activation: str = "identity") -> Network:
    """Give a network of one unit a layer: z = w h + bias, the activation everywhere but at the output."""
    layers = [Layer(np.array([[w]]), np.array([bias]), activation) for w in weights]
    return Network((*layers[:-1], replace(layers[-1], activation="identity")))


def test_following_says_what_torch_finds_at_every_layer_and_which_shrinks_most(x):
    network, image = network_of("sigmoid"), x[3]
    lighter, darker, decisions = follow_words(follow(network, image, (0.5, 1.0, 2.0)))
    normal = torch_layers(network, image[None])
    for sentence, a, start in ((lighter, 0.5, 0.5), (darker, 2.0, 1.0)):
        pairs = zip(torch_layers(network, a * image[None]), normal, strict=True)
        shares = [float((lit[1] - usual[1]).norm() / usual[1].norm()) for lit, usual in pairs]
        one, two, out = (f"{100 * share:.1f} %" for share in shares)
        assert (
            f"The answers to the two differ by {one} after layer 1, {two} after layer 2 and {out} at"
            in sentence
        )
        left = np.array(shares) / [start, *shares[:-1]]
        name = ("Layer 1", "Layer 2", "The output layer")[int(left.argmin())]
        assert sentence.endswith(
            f"{name} shrinks it most, to {100 * left.min():.1f} % of what it was before."
        )
    assert lighter.startswith("The lighter image (× 0.5) differs from the normal one by 50.0 % of its size. ")
    assert darker.startswith("The darker image (× 2) differs from the normal one by 100 % of its size. ")
    outputs = {a: torch_layers(network, a * image[None])[-1][1][0] for a in (0.5, 1.0, 2.0)}
    for a, output in outputs.items():
        chosen = int(output.argmax())
        probability = float(output.softmax(dim=0)[chosen])
        assert f"{chosen} at × {a:g} (probability {100 * probability:.1f} %)" in decisions
    assert len({int(output.argmax()) for output in outputs.values()}) == 1
    assert decisions.endswith("The decision stays the same.")


def test_a_network_that_scales_shrinks_nothing(x):
    lighter, darker, _ = follow_words(follow(network_of("relu", bias=False), x[0], (0.3, 1.0, 2.0)))
    assert "70.0 % after layer 1, 70.0 % after layer 2 and 70.0 % at the output" in lighter
    assert "100 % after layer 1, 100 % after layer 2 and 100 % at the output" in darker
    for sentence in (lighter, darker):
        assert sentence.endswith("No layer changes it by as much as 1 %: each hands it on.")


def test_a_layer_can_enlarge_the_difference():
    # z = x - 0.5: 0.5 at x = 1 and 1.5 at x = 2, a difference of 200 %; then z = 1 and 0, of 100 %.
    network = scaled(1.0, bias=-0.5)
    assert follow_words(follow(network, np.ones(1), (1.0, 2.0)))[0].endswith(
        "differ by 200.0 % at the output. No layer shrinks it by as much as 1 %; the output layer enlarges "
        "it most, to 200.0 % of what it was before."
    )


def test_a_layer_can_remove_the_difference_and_a_small_rest_keeps_its_size():
    flat = scaled(9.0, 1.0, activation="hardtanh")
    assert follow_words(follow(flat, np.ones(1), (0.5, 1.0)))[0].endswith(
        "differ by 0 % after layer 1 and 0 % at the output. Layer 1 removes it altogether."
    )
    # tanh 10 - tanh 5 is 2 (e^-10 - e^-20), nearly.
    tiny = follow_words(follow(scaled(10.0, 1.0, activation="tanh"), np.ones(1), (0.5, 1.0)))[0]
    rest = 100 * (math.tanh(10) - math.tanh(5)) / math.tanh(10)
    assert f"differ by {rest:.2g} % after layer 1" in tiny
    assert "0.0091 %" in tiny
    assert tiny.endswith("Layer 1 shrinks it most, to 0.018 % of what it was before.")


def test_an_answer_of_nothing_and_an_empty_image_are_said():
    # ReLU(x - 1) is 0 at x = 1 and 1 at x = 2.
    network = Network((Layer(np.ones((1, 1)), -np.ones(1), "relu"), Layer(np.ones((1, 1)), np.ones(1))))
    text = follow_words(follow(network, np.ones(1), (1.0, 2.0)))[0]
    assert "differ by an infinite share after layer 1 and 100 % at the output" in text
    assert text.endswith("so no layer can be said to shrink it most.")
    assert follow_words(follow(network, np.zeros(1), (0.5, 1.0)))[0] == (
        "The lighter image (× 0.5) is the same as the normal one, and so is every layer's answer: the image "
        "is empty."
    )


def test_a_changed_decision_is_said_with_where_it_changes():
    # A bias decides a dark image: output 1 is a pixel of 0.5, output 0 is 0.3.
    network = affine([[0.0], [1.0]], [0.3, 0.0])
    found = follow_words(follow(network, np.array([0.5]), (0.1, 0.5, 1.0, 2.0)))
    at = {a: 1 / (1 + math.exp(-abs(0.5 * a - 0.3))) for a in (0.1, 0.5, 1.0, 2.0)}
    assert len(found) == 4
    assert found[-1] == (
        f"The decisions: 0 at × 0.1 (probability {100 * at[0.1]:.1f} %), 0 at × 0.5 (probability "
        f"{100 * at[0.5]:.1f} %), 1 at × 1 (probability {100 * at[1.0]:.1f} %) and 1 at × 2 (probability "
        f"{100 * at[2.0]:.1f} %). The decision changes at × 0.1 and 0.5."
    )


def test_an_output_that_is_not_a_number_is_no_decision():
    found = follow_words(follow(affine([[1.0], [math.nan]], [0.0, 0.0]), np.ones(1), (0.5, 1.0)))
    assert "an undefined share at the output" in found[0]
    assert found[1] == (
        "The decisions: none at × 0.5 and none at × 1. Where there is none, an output is not a number."
    )


def test_one_brightness_alone_has_decisions_only():
    assert follow_words(follow(scaled(1.0), np.ones(1), (1.0,))) == [
        "The decisions: 0 at × 1 (probability 100 %). The decision stays the same."
    ]


# --- the example


def test_the_example_says_its_numbers_its_price_and_what_the_network_does():
    x = np.array([[1.0, 0.0]])
    unit, price, others, whole = example_words(believers_neuron((believer((0.992, 0.994)),), x, 0.5))
    assert unit.startswith(
        "Unit 2 of layer 1 (network 1 of 1) answers 0.992 to image 0 at brightness 0.5 and 0.994"
    )
    assert "it is 6.0e-03, which is 2.4 % of the largest slope" in price  # 0.994 * 0.006 * 4
    assert others.endswith("by 0.002 or less between the two images: 1 of 3.")
    # Outputs: sigmoid(a / 10) and sigmoid(-a) + 0.1, worked out for a = 0.5 and 1.
    low, normal = (np.array([1 / (1 + math.exp(-a / 10)), 1 / (1 + math.exp(a)) + 0.1]) for a in (0.5, 1.0))
    share = np.linalg.norm(low - normal) / np.linalg.norm(normal)
    assert (
        f"differs by 50.0 % of its length, the outputs of the whole network by {100 * share:.1f} %" in whole
    )
    assert whole.endswith("the decision stays 0.")


def test_the_example_says_when_the_decision_changes():
    network = believer((0.992, 0.994))
    # Output 1 is sigmoid(-a) + 0.2: 0.578 at a = 0.5 and 0.469 at 1; output 0 is 0.512 and 0.525.
    network = Network((network.layers[0], replace(network.layers[1], bias=np.array([0.0, 0.2]))))
    assert example_words(believers_neuron((network,), np.array([[1.0, 0.0]]), 0.5))[-1].endswith(
        "the decision changes from 0 to 1."
    )


# --- words


def test_shares_are_rounded_but_never_to_all_or_nothing():
    assert [share_words(value) for value in (0.0, 0.0001, 0.123, 0.9996, 1.0, 1.3)] == [
        "0 %", "less than 0.1 %", "12.3 %", "more than 99.9 %", "100 %", "130.0 %",
    ]  # fmt: skip
    assert share_words(math.nan) == "undefined"
    assert mean_words(np.array([0.5, 0.5])) == "50.0 %"
    assert mean_words(np.array([0.4, 0.6])) == "50.0 % (40.0 % to 60.0 %)"
    assert listed(["a, b", "c", "d, e"]) == "a, b; c; and d, e"
    assert [listed(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_words_need_neither_torch_nor_pandas_nor_altair():
    code = (
        "import sys, nnlab.brightness_words;"
        "sys.exit(bool({'torch', 'sklearn', 'pandas', 'altair'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
