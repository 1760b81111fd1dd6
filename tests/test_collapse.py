"""Collapse: the composed map against torch and fractions, ranks against construction, words by numbers."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from nnlab.activations import ACTIVATIONS
from nnlab.collapse import (
    EXAMPLE,
    collapse,
    collapse_words,
    count_rank,
    example_words,
    parse_widths,
    rank_tolerance,
    singular_values,
    worked_steps,
    worked_table,
)
from nnlab.network import Layer, Network, draw_network
from nnlab.numerals import percent, scientific

SHAPES = [(64, 50, 30, 7, 40, 10), (5, 4, 2, 4), (2, 64, 1, 64, 2), (3, 2), (16, *[64] * 10, 4)]


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal((200, 64))


def torch_model(network: Network) -> torch.nn.Sequential:
    modules: list[torch.nn.Module] = []
    for layer in network.layers:
        linear = torch.nn.Linear(layer.fan_in, layer.fan_out, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(layer.weight))
            linear.bias.copy_(torch.from_numpy(layer.bias))
        modules.append(linear)
        if layer.activation != "identity":
            modules.append(getattr(torch.nn, str(ACTIVATIONS[layer.activation].module))())
    return torch.nn.Sequential(*modules)


def test_widths_are_read_as_written():
    assert parse_widths("16, 8,3 ,8") == (16, 8, 3, 8)
    assert parse_widths("64") == (64,)
    assert len(parse_widths(",".join(["1"] * 10))) == 10


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "nothing"),
        ("  ", "nothing"),
        ("8, 0", "'0'"),
        ("65", "'65'"),
        ("8, many", "'many'"),
        ("8,,3", "''"),
        ("1.5", "'1.5'"),
        ("-3", "'-3'"),
        ("16 8", "'16 8'"),
        ("1e1", "'1e1'"),
        (",".join(["2"] * 11), "11 layers"),
        ("９", "'９'"),
    ],
)
def test_bad_widths_are_named_in_one_sentence(text, named):
    with pytest.raises(ValueError, match="hidden widths: ") as raised:
        parse_widths(text)
    said = str(raised.value)
    assert named in said
    assert said.endswith("allowed: 1 to 10 whole numbers from 1 to 64, separated by commas")
    assert len(said) < 200


@pytest.mark.parametrize("widths", SHAPES)
def test_the_composed_map_is_what_torch_says_the_network_does(widths, x):
    network = draw_network(widths, "identity", 3)
    inputs = x[:, : widths[0]]
    found = collapse(network, inputs)
    model = torch_model(network)
    bias = model(torch.zeros(1, widths[0], dtype=torch.float64))
    columns = model(torch.eye(widths[0], dtype=torch.float64)) - bias
    assert found.composed.weight == pytest.approx(columns.detach().numpy().T, abs=1e-12)
    assert found.composed.bias == pytest.approx(bias.detach().numpy()[0], abs=1e-12)
    outputs = model(torch.from_numpy(inputs)).detach().numpy()
    assert inputs @ found.composed.weight.T + found.composed.bias == pytest.approx(outputs, abs=1e-12)


@pytest.mark.parametrize("widths", SHAPES)
def test_a_linear_network_differs_from_its_matrix_by_rounding_only(widths, x):
    found = collapse(draw_network(widths, "identity", 1), x[:, : widths[0]])
    assert found.is_linear
    assert found.is_same
    assert found.error_float64 <= min(1e-13, found.bound_float64)
    assert found.relative_error_float32 < 1e-4
    assert found.error_float32 <= found.bound_float32
    assert found.bound_float64 < 1e-9  # of use: far below any failure of a collapse
    if len(widths) > 2:
        assert found.error_float32 > 1e3 * found.error_float64
    assert found.rank == min(widths)
    assert found.miss < 1e-14
    assert found.best_affine_miss < 1e-12


def test_errors_are_the_largest_differences_in_each_precision(x):
    network = draw_network((8, 6, 5), "identity", 2)
    found = collapse(network, x[:, :8])
    for precision, error, relative in (
        (torch.float64, found.error_float64, found.relative_error_float64),
        (torch.float32, found.error_float32, found.relative_error_float32),
    ):
        w1, w2 = (torch.from_numpy(layer.weight).to(precision) for layer in network.layers)
        b1, b2 = (torch.from_numpy(layer.bias).to(precision) for layer in network.layers)
        data = torch.from_numpy(x[:, :8]).to(precision)
        long = (data @ w1.T + b1) @ w2.T + b2
        short = data @ (w2 @ w1).T + (w2 @ b1 + b2)
        expected = float((long - short).abs().max())
        # Other orders of summation round otherwise: the same size, not the same digits.
        assert expected / 4 <= error <= 4 * expected
        assert relative == pytest.approx(error / float(long.abs().max()), rel=1e-5)


def test_rounding_stays_below_its_bound_in_many_networks():
    generator = np.random.default_rng(5)
    for seed in range(60):
        widths = [int(width) for width in generator.integers(1, 20, generator.integers(2, 9))]
        inputs = 10.0 ** generator.integers(-3, 4) * generator.standard_normal((20, widths[0]))
        found = collapse(draw_network(widths, "identity", seed), inputs)
        assert found.error_float64 <= found.bound_float64
        assert found.error_float32 <= found.bound_float32


def test_the_bound_is_the_hand_worked_one():
    # f(x) = 3 (2 x + 1) + 1: two sums of two terms, each wrong by at most gamma_2 of their sizes.
    network = Network((Layer(np.array([[2.0]]), np.array([1.0])), Layer(np.array([[3.0]]), np.array([1.0]))))
    found = collapse(network, np.array([[-5.0]]))
    unit = np.finfo(np.float64).eps / 2
    gamma = 2 * unit / (1 - 2 * unit)
    last = 3 * (2 * 5 + 1) + 1  # sizes of the sum in layer 2
    first = 3 * (2 * 5 + 1)  # those of layer 1, taken through layer 2
    applied = 6 * 5 + 4  # those of W'x + b'
    assert found.bound_float64 == pytest.approx(gamma * (2 * last + 2 * first + applied), rel=1e-12, abs=0)


def test_ranks_are_the_ones_that_were_built_in():
    generator = np.random.default_rng(1)
    left, right = generator.standard_normal((6, 2)), generator.standard_normal((2, 6))
    first = Layer(left @ right, generator.standard_normal(6))
    second = Layer(generator.standard_normal((5, 6)), generator.standard_normal(5))
    found = collapse(Network((first, second)), generator.standard_normal((50, 6)))
    assert found.narrowest == 5
    assert found.rank == 2
    assert found.output_rank == 2
    assert "rank 2" in " ".join(collapse_words(found))
    assert "fewer than" in " ".join(collapse_words(found))


def test_rank_never_exceeds_the_narrowest_layer():
    generator = np.random.default_rng(2)
    for seed in range(200):
        widths = [int(width) for width in generator.integers(1, 65, generator.integers(2, 8))]
        network = draw_network(widths, "identity", seed)
        rank = count_rank(singular_values(network.composed()), rank_tolerance(network))
        assert rank is not None
        assert rank <= min(widths)


def test_small_directions_count_and_rounding_does_not():
    for smallest, rank in ((1e-6, 2), (1e-13, 2), (1e-17, 1), (0.0, 1)):
        network = Network((Layer(np.diag([1.0, smallest]), np.zeros(2)), Layer(np.eye(2), np.zeros(2))))
        assert collapse(network, np.eye(2)).rank == rank


def test_few_examples_differ_in_fewer_directions(x):
    found = collapse(draw_network((16, 8, 8), "identity", 0), x[:4, :16])
    assert (found.rank, found.output_rank) == (8, 3)  # 4 examples less their mean


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_the_failure_with_an_activation_is_the_one_torch_and_sklearn_measure(activation, x):
    from sklearn.linear_model import LinearRegression

    network = draw_network((16, 8, 3, 4), activation, 4)
    inputs = x[:, :16]
    found = collapse(network, inputs)
    outputs = torch_model(network)(torch.from_numpy(inputs)).detach().numpy()
    short = torch_model(network.with_activation("identity"))(torch.from_numpy(inputs)).detach().numpy()
    size = math.sqrt((outputs**2).sum())
    assert not found.is_linear
    assert not found.is_same
    assert found.error_float64 == pytest.approx(abs(outputs - short).max(), rel=1e-12)
    assert found.miss == pytest.approx(math.sqrt(((outputs - short) ** 2).sum()) / size, rel=1e-12)
    best = LinearRegression().fit(inputs, outputs)
    rest = outputs - best.predict(inputs)
    assert found.best_affine_miss == pytest.approx(math.sqrt((rest**2).sum()) / size, rel=1e-9)
    total = ((outputs - outputs.mean(axis=0)) ** 2).sum()
    assert found.unexplained == pytest.approx((rest**2).sum() / total, rel=1e-9)
    assert found.best_affine_miss < found.miss
    assert found.output_rank == 3  # the last hidden layer has 3 units


def test_outputs_may_spread_wider_than_the_narrowest_layer_once_bent():
    grid = np.linspace(-3, 3, 50)[:, None]
    found = collapse(draw_network((1, 20, 4), "relu", 0), grid)
    assert (found.narrowest, found.rank, found.output_rank) == (1, 1, 4)
    assert (
        "4 independent directions, more than the narrowest layer has numbers (1)" in collapse_words(found)[2]
    )


def test_words_hold_the_measured_numbers(x):
    linear = collapse(draw_network((16, 8, 3, 8, 4), "identity", 1), x[:, :16])
    size, rounding, rank = collapse_words(linear)
    parameters = 16 * 8 + 8 + 8 * 3 + 3 + 3 * 8 + 8 + 8 * 4 + 4
    assert size.startswith(f"4 layers (16-8-3-8-4) hold {parameters} weights and biases.")
    assert "one matrix of 4 x 16 and one bias vector of 4 numbers" in size
    assert f"{scientific(linear.error_float64)} in float64" in rounding
    assert f"{scientific(linear.error_float32)} in float32" in rounding
    assert "2.2e-16" in rounding
    assert "That is rounding" in rounding
    assert "rank 3" in rank
    assert "as many as" in rank


def test_words_with_an_activation_hold_the_failure(x):
    bent = collapse(draw_network((16, 8, 3, 8, 4), "relu", 1), x[:, :16])
    miss, best, _ = collapse_words(bent)
    assert miss.startswith("With ReLU ")
    assert percent(bent.miss) in miss
    assert scientific(bent.error_float64) in miss
    assert percent(bent.best_affine_miss) in best
    assert percent(bent.unexplained) in best


def test_words_say_when_an_activation_changes_nothing():
    positive = Network(
        (Layer(np.eye(2), np.array([10.0, 10.0]), "relu"), Layer(np.array([[1.0, 2.0]]), np.array([0.5])))
    )
    found = collapse(positive, np.random.default_rng(0).uniform(-1, 1, (30, 2)))
    assert not found.is_linear
    assert found.is_same
    assert collapse_words(found)[0].startswith("ReLU changes nothing here")


def test_words_say_when_another_single_layer_would_do():
    # The first unit never falls to 0, the second is never above it: a straight map, but not W'x + b'.
    first = Layer(np.eye(2), np.array([10.0, -10.0]), "relu")
    network = Network((first, Layer(np.array([[1.0, 2.0]]), np.array([0.5]))))
    found = collapse(network, np.random.default_rng(0).uniform(-1, 1, (30, 2)))
    assert not found.is_same
    assert found.best_affine_miss < 1e-14
    assert collapse_words(found)[1].startswith("But another single layer does")


def test_words_say_when_rounding_cannot_be_the_reason(x):
    found = collapse(draw_network((16, 8, 4), "identity", 1), x[:, :16])
    worse = replace(found, error_float64=1.0)
    assert "more than rounding makes" in collapse_words(worse)[1]


def test_words_say_when_a_fit_means_nothing(x):
    found = collapse(draw_network((16, 8, 4), "tanh", 1), x[:10, :16])
    assert found.fit_is_free
    assert "says nothing" in collapse_words(found)[1]
    assert not collapse(draw_network((16, 8, 4), "tanh", 1), x[:40, :16]).fit_is_free


def test_overflow_and_zeros_are_results_and_said(x):
    huge = Network((Layer(np.full((2, 2), 1e200), np.zeros(2)), Layer(np.full((2, 2), 1e200), np.zeros(2))))
    found = collapse(huge, x[:, :2])
    assert found.rank is None
    assert found.output_rank is None
    assert math.isnan(found.best_affine_miss)
    assert collapse_words(found) == ("The difference is undefined: some outputs are not finite numbers.",)
    nothing = collapse(Network((Layer(np.zeros((2, 2)), np.zeros(2)),) * 2), x[:, :2])
    assert (nothing.rank, nothing.output_rank, nothing.error_float64) == (0, 0, 0.0)
    assert math.isnan(nothing.miss)
    assert "not even rounding" in collapse_words(nothing)[1]
    single = collapse(Network((Layer(np.eye(2), np.zeros(2)),)), x[:, :2])
    assert "nothing to multiply out" in collapse_words(single)[0]


@pytest.mark.parametrize("shape", [(0, 3), (4, 2), (3,)])
def test_inputs_of_the_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"x: shape .* is not allowed; allowed: \(examples >= 1, 3\)"):
        collapse(draw_network((3, 2), "identity", 0), np.zeros(shape))


def exact_example(e: Fraction, h: Fraction, g: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    half = Fraction(1, 2)
    a, b = half * e + 3 * h + 4 * g + half, 4 * e + h + 2 * g + 1
    return a, b, 2 * a + 5 * b + 5


@pytest.mark.parametrize("inputs", [(1.0, 1.0, 1.0), (0.25, -3.5, 2.0), (-10.0, 10.0, 0.0), (0.1, 0.7, -9.9)])
def test_the_worked_example_is_exact_arithmetic(inputs):
    e, h, g = (Fraction(str(value)) for value in inputs)
    a, b, output = exact_example(e, h, g)
    assert output == 21 * e + 11 * h + 18 * g + 11
    steps = worked_steps(*inputs)
    values = [step.value for step in steps]
    assert [Fraction(value) for value in values[:3]] == [a, b, output]
    assert values[3:7] == ["21", "11", "18", "11"]
    assert Fraction(values[7]) == output
    assert values[8] == "0" or values[8].endswith("(rounding)")
    assert example_words(*inputs).startswith(f"Both ways give {values[2]}:")


def test_the_example_composes_to_the_known_coefficients():
    one = EXAMPLE.composed()
    assert one.weight.tolist() == [[21.0, 11.0, 18.0]]
    assert one.bias.tolist() == [11.0]


def test_every_formula_computes_its_own_value():
    for activation in ("identity", "relu"):
        for step in worked_steps(-3.25, 1.5, 0.5, activation):
            if "varphi" in step.formula:
                continue
            text = step.formula.rpartition("= ")[2].replace(r"\cdot", "*")
            if step.description != "Difference":
                assert re.fullmatch(r"[-0-9.*+() ]+", text)
                assert eval(text) == pytest.approx(float(step.value), abs=1e-9)


def test_formulas_are_written_for_latex():
    formulas = [step.formula for step in worked_steps(-2.0, 0.00001, -0.0)]
    assert formulas[0] == r"a = 0.5 \cdot (-2) + 3 \cdot 1 \cdot 10^{-5} + 4 \cdot 0 + 0.5"
    assert worked_steps(1, 1, 1)[3].formula == r"2 \cdot 0.5 + 5 \cdot 4"


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if ACTIVATIONS[name].module])
def test_with_an_activation_the_example_is_what_torch_computes(activation):
    inputs = torch.tensor([[-3.0, 1.0, 0.5]], dtype=torch.float64)
    network = EXAMPLE.with_activation(activation)
    expected = float(torch_model(network)(inputs).item())
    steps = worked_steps(-3.0, 1.0, 0.5, activation)
    by_name = {step.description: step.value for step in steps}
    assert float(by_name["The output"]) == pytest.approx(expected, rel=1e-5)
    short = 21 * -3.0 + 11 + 18 * 0.5 + 11
    if activation != "identity":
        assert float(by_name["Difference"]) == pytest.approx(expected - short, rel=1e-5)
        assert "multiplying out is no longer allowed" in example_words(-3.0, 1.0, 0.5, activation)


def test_a_small_failure_of_the_example_is_not_called_rounding():
    # b = 4 (-0.3) + 2 (0.05) + 1 = -0.1 is cut to 0, which the output feels five times.
    assert "they are 0.5 apart" in example_words(-0.3, 0, 0.05, "relu")
    assert worked_steps(-0.3, 0, 0.05, "relu")[-1].value == "0.5"


def test_the_example_says_when_the_activation_does_nothing():
    assert "ReLU leaves the output as it was" in example_words(1, 1, 1, "relu")
    assert worked_steps(1, 1, 1, "relu")[-1].value == "0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((11, 0, 0), "E: 11 is not allowed; allowed: a finite number from -10 to 10"),
        ((0, math.nan, 0), "H: nan is not allowed"),
        ((0, 0, "1"), "G: '1' is not allowed"),
        ((0, 0, 0, "bend"), "activation: 'bend' is not allowed; allowed: identity"),
    ],
)
def test_bad_inputs_of_the_example_are_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        worked_steps(*arguments)
    with pytest.raises(ValueError, match=re.escape(message)):
        example_words(*arguments)


def test_the_worked_example_as_a_table_holds_its_steps():
    table = worked_table(1.0, -3.0, 0.0, "relu")
    steps = worked_steps(1.0, -3.0, 0.0, "relu")
    assert list(table.columns) == ["description", "formula", "value"]
    assert list(table.itertuples(index=False, name=None)) == [
        (s.description, s.formula, s.value) for s in steps
    ]
