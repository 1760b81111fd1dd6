"""XOR: the linear optima against other routes to them, tables and verdicts against hand-worked networks."""

from __future__ import annotations

import itertools
import math
import re

import numpy as np
import pytest

from nnlab.network import Layer, Network, draw_network
from nnlab.xor import (
    CLOSED_FORM,
    CORNERS,
    TARGETS,
    best_linear_accuracy,
    best_linear_cross_entropy,
    best_linear_mse,
    corner_data,
    corner_loss,
    linear_optimum,
    optimum_words,
    separable_labelings,
    separable_words,
    truth_table,
    xor_verdict,
)


def linear(weight, bias):
    return Network((Layer(np.array(weight, dtype=float), np.array(bias, dtype=float)),))


UNDECIDED = linear([[0, 0], [0, 0]], [0.5, 0.5])
THREE_RIGHT = linear([[0, 0], [3, 3]], [0, -1])  # an "or": wrong at (1, 1) only


def test_the_corners_are_xor():
    assert [int(a) ^ int(b) for a, b in CORNERS] == TARGETS.tolist()
    with pytest.raises(ValueError, match="read-only"):
        CORNERS[0, 0] = 5


def test_the_dataset_is_the_corners_twice():
    data = corner_data()
    assert data.x_train.dtype == np.float32
    assert data.y_train.dtype == np.int64
    assert data.x_train.tolist() == data.x_test.tolist() == CORNERS.tolist()
    assert data.y_train.tolist() == data.y_test.tolist() == [0, 1, 1, 0]
    assert (data.task, data.classes, data.n_outputs, data.n_features) == ("classification", ("0", "1"), 2, 2)
    assert "both" in data.notes[0]


def test_least_squares_optimum_against_sklearn_and_a_search():
    from sklearn.linear_model import LinearRegression

    for outputs, wanted in ((1, TARGETS[:, None]), (2, np.eye(2)[TARGETS])):
        fit = LinearRegression().fit(CORNERS, wanted)
        expected = float(np.mean((fit.predict(CORNERS) - wanted) ** 2))
        assert best_linear_mse(outputs) == pytest.approx(expected, rel=1e-12)
        assert best_linear_mse(outputs) == pytest.approx(0.25, rel=1e-12)
    draws = np.random.default_rng(0).normal(0, 0.5, (20_000, 3))
    losses = ((draws @ np.column_stack([CORNERS, np.ones(4)]).T - TARGETS) ** 2).mean(axis=1)
    assert losses.min() >= 0.25


def test_cross_entropy_optimum_against_sklearn_and_ln_2():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    fit = LogisticRegression(C=np.inf).fit(CORNERS, TARGETS)
    expected = log_loss(TARGETS, fit.predict_proba(CORNERS))
    assert best_linear_cross_entropy() == pytest.approx(expected, rel=1e-9)
    assert best_linear_cross_entropy() == pytest.approx(math.log(2), rel=1e-12)


def is_separable(labels):
    """Ask a linear program for w, b with (2 label - 1) (w x + b) >= 1."""
    from scipy.optimize import linprog

    sign = 2 * np.array(labels) - 1
    rows = -sign[:, None] * np.column_stack([CORNERS, np.ones(4)])
    return linprog(np.zeros(3), A_ub=rows, b_ub=-np.ones(4), bounds=(None, None)).status == 0


def test_the_separable_labelings_are_those_of_a_linear_program():
    expected = [labels for labels in itertools.product((0, 1), repeat=4) if is_separable(labels)]
    assert list(separable_labelings()) == expected
    assert len(expected) == 14  # Cover 1965: 2 (C(3,0) + C(3,1) + C(3,2))
    assert not is_separable(TARGETS)
    assert not is_separable(1 - TARGETS)
    assert best_linear_accuracy() == max(np.mean(np.array(labels) == TARGETS) for labels in expected) == 0.75
    assert "16 ways" in separable_words()
    assert "14 of them" in separable_words()
    assert "3 of 4 right" in separable_words()


def test_the_closed_form_is_goodfellows_table():
    table = truth_table(CLOSED_FORM)
    assert list(table.columns) == ["x1", "x2", "target", "h1", "h2", "output", "class", "right"]
    assert table["h1"].tolist() == [0, 1, 1, 2]
    assert table["h2"].tolist() == [0, 0, 0, 1]
    assert table["output"].tolist() == [0, 1, 1, 0]
    assert table["class"].tolist() == ["0", "1", "1", "0"]
    assert table["right"].all()


def test_two_outputs_are_read_by_softmax():
    import torch

    network = draw_network((2, 5, 3, 2), "tanh", 1)
    table = truth_table(network)
    logits = torch.from_numpy(network.outputs(CORNERS))
    expected = torch.softmax(logits, dim=1)[:, 1].numpy()
    assert table["probability_1"].to_numpy() == pytest.approx(expected, rel=1e-12)
    assert table["class"].tolist() == [str(int(share > 0.5)) for share in expected]
    assert table["right"].tolist() == [
        said == str(target) for said, target in zip(table["class"], TARGETS, strict=True)
    ]
    hidden = network.forward(CORNERS)[-2].h
    assert table[["h1", "h2", "h3"]].to_numpy().tolist() == hidden.tolist()
    assert "h4" not in table


@pytest.mark.parametrize(
    ("bias", "said"), [(0.0, "undecided"), (0.0039, "undecided"), (0.0041, "1"), (-0.0041, "0")]
)
def test_within_a_thousandth_of_equal_is_undecided(bias, said):
    # sigmoid(0.004) = 0.5010, since its slope at 0 is 1/4
    table = truth_table(linear([[0, 0], [0, 0]], [0, bias]))
    assert table["class"].tolist() == [said] * 4
    assert table["right"].tolist() == [said == str(target) for target in TARGETS]
    single = truth_table(linear([[0, 0]], [0.5 + bias / 4]))
    assert single["class"].tolist() == [said] * 4


def test_huge_and_undefined_outputs_are_kept():
    table = truth_table(linear([[0, 0], [0, 0]], [1e6, -1e6]))
    assert table["probability_1"].max() < 1e-300
    undefined = truth_table(linear([[0, 0], [0, 0]], [0, np.nan]))
    assert undefined["class"].tolist() == ["undefined"] * 4
    assert not undefined["right"].any()


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_loss_is_the_one_that_training_makes_small(loss, seed):
    import torch

    from nnlab.recorder import LOSSES

    network = draw_network((2, 4, 2), "tanh", seed)
    expected = LOSSES[loss](torch.from_numpy(network.outputs(CORNERS)), torch.from_numpy(TARGETS.copy()))
    assert corner_loss(network, loss) == pytest.approx(float(expected), rel=1e-12)


def test_the_loss_of_one_output_is_hand_worked():
    assert corner_loss(CLOSED_FORM, "mse") == 0
    assert corner_loss(linear([[0, 0]], [1.0]), "mse") == 0.5
    assert corner_loss(linear([[0, 0]], [0.5]), "mse") == linear_optimum("mse") == 0.25


def test_no_drawn_linear_network_is_below_the_optimum():
    for seed in range(50):
        network = draw_network((2, 6, 6, 2), "identity", seed)
        assert corner_loss(network, "mse") >= best_linear_mse() - 1e-15
        assert corner_loss(network, "cross_entropy") >= best_linear_cross_entropy() - 1e-15
        assert truth_table(network)["right"].sum() <= 3


def test_verdict_of_the_closed_form():
    said = xor_verdict(CLOSED_FORM, "mse")
    assert said.startswith("The network with ReLU has a mean squared error of 0; that is below 0.25,")
    assert "It gets 4 of 4 cases right; a straight line gets at most 3." in said


def test_verdict_of_a_linear_network_at_its_optimum():
    said = xor_verdict(UNDECIDED, "cross_entropy")
    assert (
        "of a single layer without activations has a cross-entropy of 0.6931; it stands at 0.6931 (ln 2)"
        in said
    )
    assert "It gets 0 of 4 cases right, 4 undecided" in said
    assert "error of 0.25; it stands at 0.25," in xor_verdict(UNDECIDED, "mse")


def test_verdict_of_a_linear_network_above_its_optimum():
    said = xor_verdict(THREE_RIGHT, "cross_entropy")
    value = float(re.search(r"cross-entropy of ([0-9.]+);", said)[1])
    # softmax over a difference d of the outputs: d = -1, 2, 2, 5
    losses = [math.log1p(math.exp(-1)), *[math.log1p(math.exp(-2))] * 2, math.log1p(math.exp(5))]
    assert value == pytest.approx(np.mean(losses), rel=1e-3)
    assert "it can still fall to 0.6931 (ln 2)" in said
    assert "It gets 3 of 4 cases right" in said


def test_verdict_of_a_network_with_an_activation_that_failed():
    network = Network((*UNDECIDED.layers, Layer(np.array([[1.0, 0], [0, 2.0]]), np.zeros(2))))
    said = xor_verdict(network.with_activation("tanh"), "mse")
    assert said.startswith("The network with Tanh ")
    low, high = math.tanh(0.5), 2 * math.tanh(0.5)  # the two outputs, whatever the corner
    expected = ((low - 1) ** 2 + high**2 + low**2 + (high - 1) ** 2) / 4
    assert f"error of {expected:.4g}; that is above 0.25" in said
    assert "It gets 2 of 4 cases right; " in said


def test_verdict_of_numbers_that_are_not_finite():
    said = xor_verdict(linear([[0, 0]], [np.nan]), "mse")
    assert said.endswith("has no mean squared error: some of its numbers are not finite.")


def test_words_of_the_optimum():
    assert optimum_words("mse") == "0.25"
    assert optimum_words("cross_entropy") == "0.6931 (ln 2)"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_linear_mse(3), "outputs: 3 is not allowed; allowed: 1, 2"),
        (lambda: linear_optimum("mae"), "loss: 'mae' is not allowed; allowed: mse, cross_entropy"),
        (lambda: corner_loss(CLOSED_FORM, "cross_entropy"), "loss: 'cross_entropy' is not allowed"),
        (lambda: xor_verdict(UNDECIDED, "mae"), "loss: 'mae' is not allowed; allowed: mse, cross_entropy"),
        (lambda: truth_table(draw_network((3, 2), "relu", 0)), "network: 3 inputs and 2 outputs are not"),
        (lambda: truth_table(draw_network((2, 3), "relu", 0)), "network: 2 inputs and 3 outputs are not"),
        (
            lambda: truth_table(Network((Layer(np.eye(2), np.zeros(2), "tanh"),))),
            "network: tanh on the outputs is not allowed; allowed: identity",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()
