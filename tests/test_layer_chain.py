"""layer_chain: which tensors are the layers of an MLP, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from nnlab.layer_chain import MAX_LAYERS, MAX_UNITS, NoChain, describe, find_stages, listed, natural


def linear(name: str, fan_in: int, fan_out: int, *, bias: bool = True) -> dict[str, np.ndarray]:
    tensors = {f"{name}.weight": np.zeros((fan_out, fan_in), np.float32)}
    return tensors | ({f"{name}.bias": np.zeros(fan_out, np.float32)} if bias else {})


def norm(name: str, units: int, *, batch: bool = True, affine: bool = True) -> dict[str, np.ndarray]:
    parts = (["weight", "bias"] if affine else []) + (["running_mean", "running_var"] if batch else [])
    return {f"{name}.{part}": np.ones(units, np.float32) for part in parts}


def names(tensors: dict[str, np.ndarray], order: Sequence[str] = ()) -> list[str]:
    return [stage.name for stage in find_stages(tensors, order)]


def refusal(tensors: dict[str, np.ndarray], order: Sequence[str] = ()) -> str:
    with pytest.raises(NoChain) as caught:
        find_stages(tensors, order)
    return str(caught.value)


def test_numbers_in_names_count_as_numbers() -> None:
    assert sorted(["l.10", "l.2", "l.2.b", "k²", ""], key=natural) == ["", "k²", "l.2", "l.2.b", "l.10"]
    tensors: dict[str, np.ndarray] = {}
    for number in reversed(range(12)):
        tensors |= linear(f"layers.{number}", 4, 4)
    assert names(tensors) == [f"layers.{number}" for number in range(12)]


def test_layers_are_found_whatever_the_file_s_order() -> None:
    stages = find_stages(linear("net.4", 3, 2, bias=False) | linear("net.0", 6, 5) | linear("net.2", 5, 3))
    assert [(s.name, s.fan_in, s.fan_out, s.bias is None) for s in stages] == [
        ("net.0", 6, 5, False),
        ("net.2", 5, 3, False),
        ("net.4", 3, 2, True),
    ]


@pytest.mark.parametrize(
    "given",
    [
        ("input_layer", "hidden.0", "hidden.1", "output_layer"),
        ("fc_in", "fc_mid", "fc_out"),
        ("features.0", "features.3", "classifier"),
        ("hidden_1.linear", "hidden_2.linear", "output"),
        ("w1", "w2", "head"),
        ("module.fc1", "module.fc2", "module.fc10"),
    ],
)
def test_the_usual_names_of_square_layers_are_put_in_the_right_order(given: tuple[str, ...]) -> None:
    tensors: dict[str, np.ndarray] = {}
    for name in sorted(given):
        tensors |= linear(name, 4, 4)
    assert names(tensors) == list(given)


def test_a_known_order_counts_before_names() -> None:
    tensors = linear("b", 4, 4) | linear("a", 4, 4)
    assert names(tensors) == ["a", "b"]
    assert names(tensors, ["b.weight", "b.bias", "a.weight", "a.bias"]) == ["b", "a"]


def test_a_tensor_without_a_module_is_a_layer() -> None:
    assert names({"weight": np.ones((3, 2))} | linear("next", 3, 1)) == ["", "next"]


def test_what_does_not_chain_names_both_tensors_and_shapes() -> None:
    message = refusal(linear("net.0", 8, 5) | linear("net.2", 6, 3))
    assert "'net.0.weight' (5, 8)" in message
    assert "'net.2.weight' (3, 6)" in message
    message = refusal(linear("a", 8, 5) | {"b.weight": np.ones((2, 5)), "b.bias": np.ones(5)})
    assert "'b.weight' (2, 5) and 'b.bias' (5,) do not fit" in message


@pytest.mark.parametrize(
    ("tensors", "part"),
    [
        ({}, "no 2-D weight"),
        (linear("a", 3, 2), "one 2-D weight"),
        ({"conv.weight": np.ones((2, 1, 3, 3))} | linear("a", 3, 2), "'conv.weight' (2, 1, 3, 3) has 4"),
        ({"a.weight": np.ones(())}, "0 dimensions"),
        ({"a.bias": np.ones(2)}, "a bias without a weight"),
        ({"rnn.weight_ih_l0": np.ones((4, 4))}, "belongs to no MLP"),
        ({"kernel": np.ones((4, 4))}, "belongs to no MLP"),
        ({"n.weight": np.ones(3)}, "has only weight"),
        ({"n.running_mean": np.ones(3)}, "has only running_mean"),
        ({"n.weight": np.ones(3), "n.bias": np.ones(4)}, "do not fit"),
        ({"n.weight": np.ones((3, 3)), "n.bias": np.ones((3, 3))}, "do not fit"),
        ({"n.running_mean": np.ones(()), "n.running_var": np.ones(())}, "do not fit"),
        (linear("a", 4, 4) | {"a.running_mean": np.ones(4), "a.running_var": np.ones(4)}, "do not fit"),
    ],
)
def test_what_is_no_mlp_is_refused(tensors: dict[str, np.ndarray], part: str) -> None:
    assert part in refusal(tensors)


def test_deep_and_wide_chains_have_a_limit() -> None:
    tensors: dict[str, np.ndarray] = {}
    for number in range(MAX_LAYERS + 1):
        tensors |= linear(f"l{number}", 1, 1, bias=False)
    assert "201 layers" in refusal(tensors)
    assert "at most 200 and 20,000" in refusal(linear("a", 1, MAX_UNITS) | linear("b", MAX_UNITS, 1))


def attached(tensors: dict[str, np.ndarray], order: Sequence[str] = ()) -> list[str | None]:
    return [stage.norm.name if stage.norm else None for stage in find_stages(tensors, order)]


def test_normalizations_in_a_sequence_belong_to_the_layer_before() -> None:
    tensors = (
        linear("0", 4, 4) | norm("1", 4) | linear("3", 4, 4) | norm("5", 4, batch=False) | linear("6", 4, 2)
    )
    first, second, last = find_stages(tensors)
    assert (first.norm.name, first.norm.kind, first.norm.is_behind) == ("1", "batch", False)
    # One number is left out between them, the activation's.
    assert (second.norm.name, second.norm.kind, second.norm.is_behind) == ("5", "layer", True)
    assert last.norm is None


@pytest.mark.parametrize(
    ("layers", "norms"), [("fc{}", "bn{}"), ("layers.{}", "norms.{}"), ("b{}.lin", "b{}.norm")]
)
def test_normalizations_with_names_of_their_own_are_paired_by_number(layers: str, norms: str) -> None:
    tensors: dict[str, np.ndarray] = {}
    for number in (1, 2, 3):
        tensors |= linear(layers.format(number), 4, 4)
        tensors |= norm(norms.format(number), 4) if number < 3 else {}
    assert attached(tensors) == [norms.format(1), norms.format(2), None]


@pytest.mark.parametrize(
    ("tensors", "part"),
    [
        (linear("a", 4, 4) | norm("n", 4) | linear("b", 4, 4), "which layer the normalization 'n' follows"),
        (norm("0", 4) | linear("1", 4, 4) | linear("3", 4, 4), "which layer the normalization '0' follows"),
        (linear("0", 4, 4) | norm("1", 4) | norm("2", 4) | linear("3", 4, 4), "normalization '2' follows"),
        (linear("0", 4, 5) | norm("1", 4) | linear("3", 5, 4), "'1' is for 4 units, but '0.weight' (5, 4)"),
        (linear("0", 4, 4) | linear("2", 4, 4) | norm("3", 4), "'3' follows the last layer"),
    ],
)
def test_a_normalization_of_no_known_place_is_refused(tensors: dict[str, np.ndarray], part: str) -> None:
    assert part in refusal(tensors)


def test_notes_say_what_was_taken_for_granted() -> None:
    tensors = linear("0", 4, 4) | norm("1", 4, affine=False) | linear("3", 4, 4) | norm("5", 4, batch=False)
    stages = find_stages(tensors | linear("6", 4, 2))
    notes = describe(stages, is_as_listed=False)
    assert notes[0] == "The layers are taken in the order of their names: 0, 3, 6."
    assert "no layer's input is added" in notes[1]
    assert "batch normalization before the activation" in notes[2]
    assert notes[2].endswith(": 1.")
    assert "layer normalization behind the activation" in notes[3]
    assert describe(stages, is_as_listed=True)[0] == (
        "The layers are taken in the order in which the file lists them: 0, 3, 6."
    )


def test_many_names_are_shortened() -> None:
    assert listed([f"l{n}" for n in range(9)]) == "l0, l1, l2, l3, ..., l8"
    assert len(listed(["n" * 200])) == 60
