"""Checkpoints: the weights of an MLP and what their file says, or one sentence."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from safetensors.torch import save
from torch import nn

import nnlab
from nnlab.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from nnlab.network import Layer, Network, draw_network
from nnlab.tensor_file import to_bytes
from nnlab.weights import save_networks

ROOT = Path(__file__).resolve().parents[1]
KINDS = {
    "plain": {},
    "batch and residual": {"normalization": "batch", "residual": True},
    "layer": {"normalization": "layer", "activation": "sine"},
    "csv-like path": {"csv_path": "/home/somebody/secret.csv"},
}


def config(**fields: object) -> nnlab.ExperimentConfig:
    small = {"dataset": "iris", "depth": 3, "width": 5, "batch_size": 16, "steps": 2}
    return nnlab.ExperimentConfig(**(small | fields))


@pytest.fixture(scope="module")
def runs() -> dict[str, nnlab.Run]:
    return {kind: nnlab.train(config(**fields)) for kind, fields in KINDS.items()}


def refusal(content: bytes, network: str = "") -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(content, "w.safetensors", network)
    assert str(caught.value).startswith("w.safetensors: ")
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_what_nnlab_wrote_opens_with_no_question_asked(runs: dict[str, nnlab.Run], kind: str) -> None:
    run = runs[kind]
    content = write_checkpoint(run)
    checkpoint = read_checkpoint(content, "w.safetensors")
    assert checkpoint.config == run.config.replace(csv_path="")
    assert checkpoint.activation == run.config.activation
    assert checkpoint.activations == (run.config.activation,) * 3 + ("identity",)
    assert (checkpoint.widths, checkpoint.notes) == ((4, 5, 5, 5, 3), ())
    assert [stage.name for stage in checkpoint.stages] == [f"hidden_{n}.linear" for n in (1, 2, 3)] + [
        "output"
    ]
    for name, tensor in run.model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert np.array_equal(checkpoint.tensors[name], tensor.numpy())
    assert load(content).keys() == run.model.state_dict().keys()
    assert b"secret" not in content


def test_the_file_is_the_same_in_every_process(runs: dict[str, nnlab.Run]) -> None:
    content = write_checkpoint(runs["layer"])
    code = (
        "import sys; from nnlab.tensor_file import to_bytes, read_tensors;"
        "from safetensors.numpy import load; from nnlab.checkpoint import read_checkpoint;"
        "content = sys.stdin.buffer.read(); file = read_tensors(content, 'w'); tensors = load(content);"
        "about = {'config': file.ours['config']};"
        "sys.stdout.buffer.write(to_bytes({name: tensors[name] for name in file.order}, about))"
    )
    again = subprocess.run(
        [sys.executable, "-c", code], input=content, capture_output=True, cwd=ROOT, check=True
    )
    assert again.stdout == content


def test_a_run_without_a_model_has_no_weights(runs: dict[str, nnlab.Run]) -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match="holds no model"):
        write_checkpoint(replace(runs["plain"], model=None))


@pytest.mark.parametrize(
    "changes",
    [
        {"depth": 2},
        {"width": 6},
        {"normalization": "layer"},
        {"activation": "softmax"},
        {"depth": "three"},
        {"new": 1},
    ],
    ids=str,
)
def test_an_experiment_that_does_not_fit_is_ignored_and_said(
    runs: dict[str, nnlab.Run], changes: dict[str, object]
) -> None:
    about = {"config": runs["plain"].config.to_dict() | changes}
    checkpoint = read_checkpoint(
        to_bytes({name: tensor.numpy() for name, tensor in runs["plain"].model.state_dict().items()}, about),
        "w",
    )
    assert (checkpoint.config, checkpoint.activation, checkpoint.activations) == (None, None, ())
    assert any("was ignored" in note for note in checkpoint.notes)
    assert checkpoint.widths == (4, 5, 5, 5, 3)


def test_layers_that_do_not_follow_each_other_as_listed_are_taken_by_name() -> None:
    tensors = {"b.weight": np.ones((2, 3), np.float32), "a.weight": np.ones((3, 4), np.float32)}
    checkpoint = read_checkpoint(to_bytes(tensors, {}), "w")
    assert [stage.name for stage in checkpoint.stages] == ["a", "b"]
    assert checkpoint.notes[0] == "The layers are taken in the order of their names: a, b."


@pytest.mark.parametrize("config", [None, 3, "text", [], {"depth": {}}], ids=str)
def test_an_experiment_of_another_shape_is_ignored_too(config: object) -> None:
    tensors = {
        "hidden_1.linear.weight": np.ones((2, 2), np.float32),
        "output.weight": np.ones((2, 2), np.float32),
    }
    assert read_checkpoint(to_bytes(tensors, {"config": config}), "w").config is None


def test_weights_of_others_say_no_activation() -> None:
    model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    checkpoint = read_checkpoint(save(model.state_dict()), "mine.safetensors")
    assert (checkpoint.config, checkpoint.activation, checkpoint.widths) == (None, None, (64, 8, 10))
    assert checkpoint.fitting_datasets == ("digits", "gaussian")
    assert checkpoint.notes[0] == "The layers are taken in the order of their names: 0, 2."


def test_networks_saved_side_by_side_are_read_one_by_one(tmp_path: Path) -> None:
    networks = {"a b": draw_network((4, 5, 3), "tanh", 1), "c": draw_network((2, 3, 3, 2), "sigmoid", 2)}
    save_networks(networks, tmp_path / "n.safetensors")
    content = (tmp_path / "n.safetensors").read_bytes()
    for name, network in networks.items():
        checkpoint = read_checkpoint(content, "n", name)
        assert (checkpoint.networks, checkpoint.widths) == (("a b", "c"), network.widths)
        assert checkpoint.activations == tuple(layer.activation for layer in network.layers)
        for stage, layer in zip(checkpoint.stages, network.layers, strict=True):
            assert np.array_equal(stage.weight, layer.weight.astype(np.float32))
            assert np.array_equal(stage.bias, layer.bias.astype(np.float32))
    assert read_checkpoint(content, "n").widths == networks["c"].widths
    assert "network 'd' is not in the file; allowed: a b, c" in refusal(content, "d")


def test_networks_whose_activations_make_no_sense_leave_the_choice(tmp_path: Path) -> None:
    layers = (Layer(np.ones((3, 2)), np.ones(3), "relu"), Layer(np.ones((2, 3)), np.ones(2), "relu"))
    save_networks({"n": Network(layers)}, tmp_path / "n.safetensors")  # its output is not linear
    checkpoint = read_checkpoint((tmp_path / "n.safetensors").read_bytes(), "n")
    assert checkpoint.activations == ()
    assert any("was ignored" in note for note in checkpoint.notes)
    tensors = load((tmp_path / "n.safetensors").read_bytes())
    for stated in ({"n": 3}, {"n": [[], "identity"]}, {"n": ["nobody", "identity"]}, {"n": ["relu"]}):
        content = save(
            {name: torch.from_numpy(t) for name, t in tensors.items()},
            metadata={"activations": json.dumps(stated)},
        )
        assert read_checkpoint(content, "n").activations == ()


def test_the_stored_networks_of_the_lessons_open() -> None:
    stored = ROOT / "nnlab" / "stored"
    for name, widths in (("sevens", (64, 32, 32, 10)), ("xor_1", (2, 8, 2)), ("dots_0", (2, 6, 6, 2))):
        checkpoint = read_checkpoint((stored / f"{name}.safetensors").read_bytes(), name)
        assert (checkpoint.widths, checkpoint.activations[-1]) == (widths, "identity")


def test_what_is_no_mlp_is_one_sentence_with_the_file_s_name() -> None:
    assert "'conv.weight' (2, 1, 3, 3)" in refusal(save({"conv.weight": torch.ones(2, 1, 3, 3)}))
    lstm = nn.LSTM(3, 4)
    assert "belongs to no MLP" in refusal(save(lstm.state_dict()))
    assert "not a whole safetensors file" in refusal(b"PK")


def test_what_batch_normalization_counts_is_no_obstacle() -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    checkpoint = read_checkpoint(save(model.state_dict()), "w")
    assert checkpoint.stages[0].norm.kind == "batch"
    assert not any("num_batches" in name for name in checkpoint.tensors)


def test_a_misfit_names_both_sides_and_what_fits() -> None:
    digits, iris = (nnlab.load_dataset(nnlab.ExperimentConfig(dataset=name)) for name in ("digits", "iris"))
    large = read_checkpoint(save(nn.Sequential(nn.Linear(784, 8), nn.Linear(8, 10)).state_dict()), "mnist")
    assert large.misfit(digits, "digits") == (
        "mnist: the weights take 784 inputs, digits has 64; datasets that fit: none of the built-in ones; "
        "a CSV file may"
    )
    small = read_checkpoint(save(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1)).state_dict()), "one")
    assert "the weights give 1 output, iris has 3 classes" in small.misfit(iris, "iris")
    fitting = read_checkpoint(save(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3)).state_dict()), "fit")
    assert fitting.misfit(iris, "iris") == ""
    assert fitting.fitting_datasets == ("iris",)


def mutated(content: bytes, draws: random.Random) -> bytes:
    """Damage a file: bytes anywhere or in its header, numbers in its header, its length, its end."""
    damaged = bytearray(content)
    kind = draws.randrange(7)
    header = 8 + struct.unpack("<Q", content[:8])[0]
    if kind == 0:
        return bytes(damaged[: draws.randrange(len(damaged))])
    if kind == 1:
        damaged[:8] = struct.pack("<Q", draws.choice((0, 1, header, header + draws.randrange(40), 2**60)))
    if kind == 2:
        digits = [place for place in range(8, header) if chr(damaged[place]).isdigit()]
        damaged[draws.choice(digits)] = ord(str(draws.randrange(10)))
    if kind == 3:
        start = draws.randrange(8, header)
        piece = damaged[start : start + draws.randrange(1, 60)]
        place = draws.randrange(8, header)
        damaged[place:place] = piece
        damaged[:8] = struct.pack("<Q", header - 8 + len(piece))
    first, last = {4: (0, header), 5: (0, len(damaged)), 6: (header, len(damaged))}.get(kind, (0, 0))
    for _ in range(draws.choice((1, 2, 8)) if last else 0):
        damaged[draws.randrange(first, last)] = draws.randrange(256)
    return bytes(damaged)


def bases(runs: dict[str, nnlab.Run], path: Path) -> list[bytes]:
    """Give files of every kind to be damaged."""
    half = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh(), nn.Linear(4, 2)).to(torch.bfloat16)
    save_networks({"a": draw_network((2, 3, 2), "tanh", 1), "b": draw_network((2, 2), "relu", 1)}, path)
    # Without the checksum that nearly all damage would be found by.
    plain = {name: torch.from_numpy(tensor) for name, tensor in load(write_checkpoint(runs["layer"])).items()}
    about = json.dumps({"config": runs["layer"].config.to_dict(), "order": list(range(len(plain)))})
    return [
        write_checkpoint(runs["batch and residual"]),
        save(plain, metadata={"nnlab": about}),
        save(half.state_dict()),
        path.read_bytes(),
    ]


def test_five_thousand_damaged_files_are_one_kind_of_error_or_a_whole_mlp(
    runs: dict[str, nnlab.Run], tmp_path: Path
) -> None:
    draws = random.Random(11)
    whole = bases(runs, tmp_path / "n.safetensors")
    read, refusals = 0, []
    for number in range(5_200):
        try:
            checkpoint = read_checkpoint(mutated(whole[number % len(whole)], draws), "w")
        except CheckpointError as error:
            refusals.append(str(error))
            continue
        read += 1
        for before, after in zip(checkpoint.stages, checkpoint.stages[1:], strict=False):
            assert before.fan_out == after.fan_in
            assert before.weight.dtype == np.float32
    assert 400 < read < 4_000
    assert all(len(message) < 600 and len(message.splitlines()) == 1 for message in refusals)
