"""XOR: four points that no straight line separates, what is the best without a bend, and a network that can.

Minsky & Papert 1969; Goodfellow, Bengio & Courville 2016, section 6.1. The optima of linear maps are
computed here, not quoted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.datasets import Data
from nnlab.network import Layer, Network
from nnlab.numerals import scientific
from nnlab.surface import UNDECIDED_WITHIN

if TYPE_CHECKING:
    import pandas as pd

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TARGETS = np.array([0, 1, 1, 0])
CORNERS.setflags(write=False)
TARGETS.setflags(write=False)

# Goodfellow et al. 2016, equations 6.4 to 6.6: h = relu(x W + c), y = w h + b; W is symmetric.
CLOSED_FORM = Network(
    (
        Layer(np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([0.0, -1.0]), "relu"),
        Layer(np.array([[1.0, -2.0]]), np.array([0.0])),
    )
)

UNDECIDED = "undecided"
# A loss within this share of the linear optimum has reached it: training nears it, but never to the digit.
AT_OPTIMUM = 1e-3
NEWTON_STEPS = 50  # Newton doubles its correct digits every step; a dozen are enough from any start below
NEWTON_STARTS = (0.0, 1.0, -2.0)  # convex: every start must end at the same optimum
LOSS_WORDS = {"mse": "mean squared error", "cross_entropy": "cross-entropy"}


def corner_data() -> Data:
    """Give the four corners as a dataset, unscaled; they are both the training and the test split."""
    x, y = CORNERS.astype(np.float32), TARGETS.astype(np.int64)
    return Data(
        x_train=x,
        y_train=y,
        x_test=x.copy(),
        y_test=y.copy(),
        task="classification",
        classes=("0", "1"),
        feature_names=("x1", "x2"),
        notes=("the four corners are both the training and the test split",),
    )


def _with_ones(x: np.ndarray) -> np.ndarray:
    return np.column_stack([x, np.ones(len(x))])


def best_linear_mse(outputs: int = 2) -> float:
    """Give the least mean squared error of an affine map on the corners, by least squares.

    One output is held against the class number, two against its one-hot code, as nnlab's loss does;
    the mean is over examples and outputs.

    Raises:
        ValueError: outputs is neither 1 nor 2.
    """
    if outputs not in (1, 2):
        raise ValueError(f"outputs: {outputs!r} is not allowed; allowed: 1, 2")
    wanted = TARGETS[:, None].astype(float) if outputs == 1 else np.eye(2)[TARGETS]
    columns = _with_ones(CORNERS)
    solution, *_ = np.linalg.lstsq(columns, wanted, rcond=None)
    return float(np.mean((columns @ solution - wanted) ** 2))


@cache
def best_linear_cross_entropy() -> float:
    """Give the least cross-entropy (nats) of an affine map on the corners, by Newton's method.

    Softmax of two affine outputs depends on their difference only, so this is logistic regression: convex,
    and with a Hessian that is positive definite on these four points, so it has one optimum.
    """
    columns, sign = _with_ones(CORNERS), 2.0 * TARGETS - 1
    ends = [_newton(columns, sign, np.full(3, start)) for start in NEWTON_STARTS]
    return min(_logistic_loss(columns, sign, end) for end in ends)


def _logistic_loss(columns: np.ndarray, sign: np.ndarray, weights: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, -sign * (columns @ weights))))


def _newton(columns: np.ndarray, sign: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Minimize the logistic loss; a step that does not lower it is halved, and at the end nothing does."""
    for _ in range(NEWTON_STEPS):
        share = 1 / (1 + np.exp(sign * (columns @ weights)))
        gradient = -(columns.T @ (sign * share))
        hessian = columns.T @ (columns * (share * (1 - share))[:, None])
        step, size = np.linalg.solve(hessian, gradient), 1.0
        before = _logistic_loss(columns, sign, weights)
        while size > 1e-6 and _logistic_loss(columns, sign, weights - size * step) >= before:
            size /= 2
        if size <= 1e-6:
            break
        weights = weights - size * step
    return weights


@cache
def separable_labelings() -> tuple[tuple[int, ...], ...]:
    """Give all ways to label the corners 0 and 1 that a straight line can draw, in order.

    By brute force: the order in which a line sweeping in some direction meets the points changes only
    where two points are met at once, so one direction between every two such angles, with a cut after
    every point, gives all of them. Cover 1965: four points in general position have 14.
    """
    pairs = [b - a for number, a in enumerate(CORNERS) for b in CORNERS[number + 1 :]]
    critical = np.array([math.atan2(pair[0], -pair[1]) for pair in pairs])
    angles = np.unique(np.round(np.concatenate([critical, critical + math.pi]) % (2 * math.pi), 12))
    between = (angles + np.append(angles[1:], angles[0] + 2 * math.pi)) / 2
    found = set()
    for angle in between:
        order = np.argsort(CORNERS @ [math.cos(angle), math.sin(angle)])
        for cut in range(len(CORNERS) + 1):
            found.add(tuple(int(place in order[cut:]) for place in range(len(CORNERS))))
    return tuple(sorted(found))


def best_linear_accuracy() -> float:
    """Give the largest share of the corners that a straight line gets right."""
    return max(float(np.mean(np.array(labels) == TARGETS)) for labels in separable_labelings())


def separable_words() -> str:
    """Say how many labelings of the corners a line can draw, and that XOR is none of them."""
    found = separable_labelings()
    total, xor = 2 ** len(CORNERS), tuple(int(target) for target in TARGETS)
    verdict = "is one of them" if xor in found else "is not among them"
    return (
        f"There are {total} ways to color the four corners with two colors. A line can draw "
        f"{len(found)} of them. XOR {verdict}: the best gets {best_linear_accuracy() * 4:.0f} of 4 right."
    )


def check_shape(network: Network) -> None:
    """Refuse a network that cannot answer XOR.

    Raises:
        ValueError: not 2 inputs and 1 or 2 outputs, or an activation on the outputs.
    """
    inputs, outputs = network.widths[0], network.widths[-1]
    if network.layers[-1].activation != "identity":
        raise ValueError(
            f"network: {network.layers[-1].activation} on the outputs is not allowed; allowed: identity"
        )
    if inputs != 2 or outputs not in (1, 2):
        raise ValueError(
            f"network: {inputs} inputs and {outputs} outputs are not allowed; "
            "allowed: 2 inputs and 1 or 2 outputs"
        )


def _decisions(outputs: np.ndarray) -> list[str]:
    """Name the class of each example: the larger output, or one output against 0.5."""
    scores = outputs[:, 0] if outputs.shape[1] == 1 else class_1_probability(outputs)
    return [_decide(float(score)) for score in scores]


def _decide(score: float) -> str:
    if math.isnan(score):
        return "undefined"
    return UNDECIDED if abs(score - 0.5) <= UNDECIDED_WITHIN else str(int(score > 0.5))


def class_1_probability(outputs: np.ndarray) -> np.ndarray:
    """Give softmax's probability of class 1 for outputs of shape (batch, 2)."""
    with np.errstate(all="ignore"):
        return 1 / (1 + np.exp(np.clip(outputs[:, 0] - outputs[:, 1], -700, 700)))


def truth_table(network: Network) -> pd.DataFrame:
    """Give what a network says of the four corners, one row a corner.

    Columns: x1, x2, target; h1, h2, ... of the last hidden layer; output, or output_0, output_1 and
    probability_1 (softmax); class ("0", "1", "undecided" within 1e-3 of equal, "undefined"); right.

    Raises:
        ValueError: the network does not have 2 inputs and 1 or 2 linear outputs.
    """
    import pandas as pd

    check_shape(network)
    with np.errstate(all="ignore"):
        passes = network.forward(CORNERS)
    outputs = passes[-1].h
    columns: dict[str, Sequence[object] | np.ndarray] = {
        "x1": CORNERS[:, 0].astype(int),
        "x2": CORNERS[:, 1].astype(int),
        "target": TARGETS,
    }
    if network.depth:
        columns |= {f"h{number + 1}": values for number, values in enumerate(passes[-2].h.T)}
    if outputs.shape[1] == 1:
        columns["output"] = outputs[:, 0]
    else:
        columns |= {"output_0": outputs[:, 0], "output_1": outputs[:, 1]}
        columns["probability_1"] = class_1_probability(outputs)
    decisions = _decisions(outputs)
    columns["class"] = decisions
    columns["right"] = [said == str(target) for said, target in zip(decisions, TARGETS, strict=True)]
    return pd.DataFrame(columns)


def corner_loss(network: Network, loss: str) -> float:
    """Give a network's loss on the four corners: "mse" or, in nats, "cross_entropy", as training has it.

    Raises:
        ValueError: the loss is not known, cross-entropy with one output, or inputs and outputs are not
            2 and 1 or 2.
    """
    check_shape(network)
    is_single = network.widths[-1] == 1
    if loss not in LOSS_WORDS or (loss == "cross_entropy" and is_single):
        allowed = "mse" if is_single else ", ".join(LOSS_WORDS)
        raise ValueError(f"loss: {loss!r} is not allowed; allowed: {allowed}")
    with np.errstate(all="ignore"):
        outputs = network.outputs(CORNERS).astype(np.float64)
        if loss == "mse":
            wanted = TARGETS[:, None] if is_single else np.eye(2)[TARGETS]
            return float(np.mean((outputs - wanted) ** 2))
        of_wanted = outputs[np.arange(len(TARGETS)), TARGETS]
        return float(np.mean(np.logaddexp(outputs[:, 0], outputs[:, 1]) - of_wanted))


def linear_optimum(loss: str) -> float:
    """Give the least loss of any network without activations on the corners.

    Raises:
        ValueError: the loss is not known.
    """
    if loss not in LOSS_WORDS:
        raise ValueError(f"loss: {loss!r} is not allowed; allowed: {', '.join(LOSS_WORDS)}")
    return best_linear_mse() if loss == "mse" else best_linear_cross_entropy()


def optimum_words(loss: str) -> str:
    """Write the linear optimum of a loss, with the name of the number where it has one."""
    value = linear_optimum(loss)
    is_ln_2 = math.isclose(value, math.log(2), rel_tol=1e-12)
    return f"{_digits(value)} (ln 2)" if is_ln_2 else _digits(value)


def _digits(value: float) -> str:
    """Write a loss so that it can be told from the optimum, which two digits do not do."""
    return f"{value:.4g}" if 0.01 <= value < 100 else scientific(value)


def xor_verdict(network: Network, loss: str) -> str:
    """Say how far a network came on XOR and what a network without activations can reach at best.

    Raises:
        ValueError: as `corner_loss`.
    """
    value, optimum = corner_loss(network, loss), linear_optimum(loss)
    if not math.isfinite(value):
        return f"{_kind_words(network)} has no {LOSS_WORDS[loss]}: some of its numbers are not finite."
    said = f"{_kind_words(network)} has a {LOSS_WORDS[loss]} of {_digits(value)}"
    is_linear = all(layer.activation == "identity" for layer in network.layers)
    best = f"{optimum_words(loss)}, the least that any network without activations can reach"
    if abs(value - optimum) <= AT_OPTIMUM * optimum:
        place = f"it stands at {best}"
    elif value < optimum:
        place = f"that is below {best}"
    else:
        place = f"it can still fall to {best}" if is_linear else f"that is above {best}"
    return f"{said}; {place}. {_right_words(network)}"


def _kind_words(network: Network) -> str:
    names = sorted({layer.activation for layer in network.layers} - {"identity"})
    if not names:
        plural = "" if network.depth == 1 else "s"
        layers = f"{network.depth} hidden layer{plural}" if network.depth else "a single layer"
        return f"The network of {layers} without activations"
    return f"The network with {' and '.join(ACTIVATIONS[name].label for name in names)}"


def _right_words(network: Network) -> str:
    with np.errstate(all="ignore"):
        decisions = _decisions(network.outputs(CORNERS))
    right = sum(said == str(target) for said, target in zip(decisions, TARGETS, strict=True))
    undecided = decisions.count(UNDECIDED)
    rest = f", {undecided} undecided" if undecided else ""
    best = best_linear_accuracy() * len(TARGETS)
    return f"It gets {right} of {len(TARGETS)} cases right{rest}; a straight line gets at most {best:.0f}."
