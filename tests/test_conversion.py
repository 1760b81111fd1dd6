"""convert: state dicts of PyTorch become safetensors; hostile files run nothing and fill no memory."""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
import subprocess
import sys
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load
from torch import nn

from nnlab.__main__ import main
from nnlab.archive import MAX_BYTES
from nnlab.checkpoint import read_checkpoint
from nnlab.conversion import ConversionError, convert
from nnlab.tensor_file import MAX_TENSORS

ROOT = Path(__file__).resolve().parents[1]
MLP = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def with_listing(path: Path, listing: bytes, **more: bytes) -> Path:
    """Write an archive of torch.save with another list of tensors in it."""
    torch.save({"w": torch.ones(3)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    start = next(iter(members)).partition("/")[0]
    members[f"{start}/data.pkl"] = listing
    members |= {f"{start}/{name}": content for name, content in more.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        convert(path)
    message = str(caught.value)
    assert message.startswith(path.name + ": ")
    assert "\n" not in message
    return message


class Everything(nn.Module):
    """Modules of many kinds, some numbers no floats, two weights tied."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 6)
        self.convolution = nn.Conv2d(1, 2, 3)
        self.lstm = nn.LSTM(6, 4)
        self.norm = nn.BatchNorm2d(2)
        self.half = nn.Linear(3, 2).bfloat16()
        self.double = nn.Linear(3, 2).double()
        self.decoder = nn.Linear(6, 7, bias=False)
        self.decoder.weight = self.embedding.weight
        self.register_buffer("mask", torch.ones(3, dtype=torch.bool))
        self.register_buffer("turned", torch.arange(6.0).reshape(2, 3).T)


def test_every_floating_point_tensor_arrives_bit_for_bit(tmp_path: Path) -> None:
    state = Everything().state_dict()
    converted = convert(saved(tmp_path / "m.pt", state))
    loaded = load(converted.content)
    assert loaded.keys() == state.keys() - {"norm.num_batches_tracked", "mask"}
    for name, tensor in loaded.items():
        assert tensor.dtype == state[name].dtype
        assert torch.equal(tensor, state[name])
    assert converted.tensors == len(loaded)
    said = " | ".join(converted.notes)
    assert "left out, as they hold no floating-point numbers: " in said
    assert "mask" in said
    assert (
        "2 tensors share memory (tied weights) and were written one by one: embedding.weight, decoder" in said
    )


def test_parameters_in_a_plain_dict_are_converted_too(tmp_path: Path) -> None:
    state = dict(MLP.named_parameters())
    loaded = load(convert(saved(tmp_path / "m.pth", state)).content)
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    assert "save it again" in refusal(saved(tmp_path / "m.pth", state, pickle_protocol=3))


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_training_checkpoint_gives_its_weights_and_says_what_it_left(tmp_path: Path, key: str) -> None:
    betas = (0.9, 0.999)  # as in the state of torch.optim.Adam: one tuple, in every group
    groups = [{"lr": 0.1, "betas": betas, "foreach": None, "params": [number]} for number in range(3)]
    state = {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(5, 4)}}
    optimizer = {"state": state, "param_groups": groups}
    content = {"epoch": 3, key: MLP.state_dict(), "optimizer": optimizer, "loss": 0.5}
    converted = convert(saved(tmp_path / "last.pt", content))
    assert torch.equal(load(converted.content)["0.weight"], MLP.state_dict()["0.weight"])
    assert (
        converted.notes[0]
        == f"the weights were taken from the entry {key!r}; left out: epoch, optimizer, loss"
    )


def test_the_order_of_the_state_dict_is_kept(tmp_path: Path) -> None:
    state = OrderedDict(
        {"zebra.weight": torch.randn(5, 5), "ape.weight": torch.randn(5, 5), "cat.weight": torch.randn(2, 5)}
    )
    checkpoint = read_checkpoint(convert(saved(tmp_path / "m.pt", state)).content, "m")
    assert [stage.name for stage in checkpoint.stages] == ["zebra", "ape", "cat"]


class Runs:
    """Something that calls a function where it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def malicious(marker: Path) -> dict[str, Any]:
    import os
    import shutil

    touch = f"open({str(marker)!r}, 'w').close()"
    return {
        "os.system": Runs(os.system, f"touch {marker}"),
        "exec": Runs(exec, touch),
        "eval": Runs(eval, touch),
        "open": Runs(open, str(marker), "w"),
        "popen": Runs(subprocess.Popen, ["touch", str(marker)]),
        "getattr": Runs(getattr, "", "upper"),
        "rmtree": Runs(shutil.rmtree, str(marker)),
        "bytearray": Runs(bytearray, 10**11),
        "complex": Runs(complex, 1.0),
        "class": Runs(Path, "x"),
    }


@pytest.mark.parametrize("kind", sorted(malicious(Path("/x"))))
def test_nothing_in_a_hostile_file_runs(tmp_path: Path, kind: str) -> None:
    marker, path = tmp_path / "marker", tmp_path / "evil.pt"
    payload = malicious(marker)[kind]
    for content in (payload, {"w": payload}, {"w": torch.ones(2), "x": payload}):
        assert "asks for" in refusal(saved(path, content))
        assert refusal(saved(path, content, pickle_protocol=4))
        path.write_bytes(pickle.dumps(content))
        assert "torch.save" in refusal(path)
        assert refusal(saved(path, content, _use_new_zipfile_serialization=False))
    # By instructions that torch.save does not write.
    refusal(with_listing(path, f"(S'touch {marker}'\nios\nsystem\n.".encode()))
    refusal(with_listing(path, f"cos\nsystem\n(S'touch {marker}'\ntR.".encode()))
    assert not marker.exists()


def test_what_it_refuses_would_have_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    torch.load(saved(tmp_path / "evil.pt", malicious(marker)["exec"]), weights_only=False)
    assert marker.exists()


def rewritten(path: Path, method: int, content: bytes | None = None) -> Path:
    """Write an archive's members in another way, the tensor's numbers exchanged."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, old in members.items():
            archive.writestr(name, content if content and name.endswith("data/0") else old)
    return path


def nested(depth: int) -> list[Any]:
    value: list[Any] = [0] * 10
    for _ in range(depth):
        value = [value] * 10
    return value


def hashed_tuples() -> bytes:
    """A dict whose key is a tuple of ten tuples of ten tuples ...: 10^10 values to hash."""
    listing = b"\x80\x02}K\x00\x85q\x01"
    for level in range(1, 11):
        listing += b"(" + bytes([ord("h"), level]) * 10 + b"tq" + bytes([level + 1])
    return listing + b"K\x01s."


def repeated_dicts(use: bytes) -> bytes:
    """Ten thousand dicts, each made of the same list of pairs."""
    pairs = b"(" + b"".join(b"J" + struct.pack("<i", n) + b"K\x00\x86" for n in range(20_000)) + b"e"
    listing = b"\x80\x02]q\x00" + pairs + b"\x85q\x01ccollections\nOrderedDict\nq\x02]("
    return listing + (b"h\x02" + use + b"R") * 10_000 + b"e."


def repeated_attributes() -> bytes:
    """Ten thousand dicts, each with the same twenty thousand attributes."""
    pairs = b"(" + b"".join(b"J" + struct.pack("<i", n) + b"K\x00" for n in range(20_000)) + b"u"
    listing = b"\x80\x02}q\x00" + pairs + b"ccollections\nOrderedDict\nq\x02]("
    return listing + b"h\x02)Rh\x00K\x01K\x01sb" * 10_000 + b"e."


def bomb(kind: str, path: Path) -> str:
    """Write a hostile file, and give a part of its refusal."""
    large = torch.ones(250_000)
    contents: dict[str, tuple[Any, str]] = {
        "expanded": ({"w": torch.zeros(1).expand(40_000, 50_000)}, "more elements than the file holds"),
        "overlapping": ({"w": torch.zeros(99).as_strided((50, 50), (1, 1))}, "more elements than"),
        "repeated rows": ({"w": large.as_strided((2, 50), (0, 1))}, "more elements than"),
        "one storage, many names": ({f"w{n}": large for n in range(100)}, "its tensors take 100,000,000"),
        "laugh": ({"w": nested(9)}, "is a list, not a tensor"),
        "laugh at the top": (nested(9), "holds a list"),
        "too many tensors": ({f"w{n}": large[:1] for n in range(MAX_TENSORS + 1)}, "at most 2,000"),
        "meta": ({"w": torch.empty(10**6, 10**6, device="meta")}, "asks for"),
        "sparse": ({"w": torch.eye(3).to_sparse()}, "asks for"),
    }
    if kind in contents:
        saved(path, contents[kind][0])
        return contents[kind][1]
    listings = {
        "deep": (b"\x80\x02" + b"]" * 1_000_000 + b"a" * 999_999 + b".", "at most 1,000,000"),
        "less deep": (b"\x80\x02" + b"]" * 400_000 + b"a" * 399_999 + b".", "more than 120,000 instructions"),
        "hashed tuples": (hashed_tuples(), "more than 200 values"),
        "repeated dicts": (repeated_dicts(b"h\x01"), "in a way that no state dict needs"),
        "repeated lists": (repeated_dicts(b"h\x00\x85"), "in a way that no state dict needs"),
        "repeated attributes": (repeated_attributes(), "in a way that no state dict needs"),
        "bytearray": (b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "builtins.bytearray"),
        "underflow": (b"\x80\x02s.", "damaged"),
        "nothing": (b"", "damaged"),
    }
    if kind in listings:
        with_listing(path, listings[kind][0])
        return listings[kind][1]
    saved(path, {"w": torch.zeros(3)})
    if kind == "packed":
        rewritten(path, zipfile.ZIP_DEFLATED, bytes(10_000_000))
        return "more than 20 times"
    if kind == "packed far beyond":
        rewritten(path, zipfile.ZIP_DEFLATED, bytes(MAX_BYTES))
        return "once unpacked"
    if kind == "packed a little":
        rewritten(path, zipfile.ZIP_DEFLATED, None)
        return "compressed"
    if kind == "many members":
        with zipfile.ZipFile(path, "a") as archive:
            for number in range(5_000):
                archive.writestr(f"archive/x{number}", b"")
        return "5,00"
    raise AssertionError(kind)


KINDS = (
    "expanded", "overlapping", "repeated rows", "one storage, many names", "laugh", "laugh at the top",
    "too many tensors", "meta", "sparse", "deep", "less deep", "hashed tuples", "repeated dicts",
    "repeated lists", "repeated attributes", "bytearray", "underflow", "nothing", "packed",
    "packed far beyond", "packed a little", "many members",
)  # fmt: skip


def test_bombs_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    expected = {kind: bomb(kind, tmp_path / f"{number}.pt") for number, kind in enumerate(KINDS)}
    saved(tmp_path / "good.pt", MLP.state_dict())
    code = f"""
import pathlib, resource, sys
sys.path.insert(0, {str(ROOT)!r})
from nnlab.conversion import convert
folder = pathlib.Path({str(tmp_path)!r})
convert(folder / "good.pt")
for number in range({len(KINDS)}):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        convert(folder / f"{{number}}.pt")
    except ValueError as error:
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(grown // 1024, str(error))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert len(lines) == len(KINDS), lines
    for kind, line in zip(KINDS, lines, strict=True):
        grown, _, message = line.partition(" ")
        assert expected[kind] in message, kind
        assert int(grown) < 40, (kind, line)


def test_archives_that_two_readers_read_differently_are_refused(tmp_path: Path) -> None:
    good = saved(tmp_path / "good.pt", {"w": torch.ones(3)}).read_bytes()
    evil = saved(tmp_path / "evil.pt", {"w": Runs(eval, "1")}).read_bytes()
    path = tmp_path / "odd.pt"
    for content in (evil + good, good + evil, b"\x80\x02" + good, good + b"PK\x05\x06", good[:-1], good[4:]):
        path.write_bytes(content)
        refusal(path)
    # The directory of the 64-bit kind is looked for right before its end, or where the end says.
    place = good.index(b"PK\x06\x07") + 8
    path.write_bytes(good[:place] + struct.pack("<Q", 4) + good[place + 8 :])
    assert "directory" in refusal(path)
    # Without the 64-bit kind: the directory's place is stated as if nothing stood before it.
    plain = [rewritten(tmp_path / name, zipfile.ZIP_STORED).read_bytes() for name in ("evil.pt", "good.pt")]
    for content in (plain[0] + plain[1], plain[1] + plain[0]):
        path.write_bytes(content)
        assert "directory" in refusal(path)
    twins = {"good/data.pkl": "same name", "GOOD/DATA.PKL": "same name", "good/data/0": "same name",
             "good/constants.pkl": "TorchScript"}  # fmt: skip
    for twin, part in twins.items():
        path.write_bytes(good)
        with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the name is there already
            archive.writestr(twin, b"N.")
        assert part in refusal(path)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ({"w": 3}, "entry 'w' is a int, not a tensor"),
        ({3: torch.ones(2)}, "an entry's name"),
        ({"a\nb": torch.ones(2)}, "an entry's name"),
        ({"n" * 201: torch.ones(2)}, "an entry's name"),
        ({"__metadata__": torch.ones(2)}, "__metadata__"),
        ({}, "no tensor of floating-point numbers"),
        ({"n": torch.arange(3), "e": torch.ones(0, 3)}, "no tensor of floating-point numbers"),
        (torch.ones(2), "holds a Tensor, not a state dict"),
        ([torch.ones(2)], "holds a list, not a state dict"),
        (MLP, "asks for torch.nn"),
    ],
    ids=str,
)
def test_what_is_no_state_dict_is_one_sentence(tmp_path: Path, content: Any, part: str) -> None:
    assert part in refusal(saved(tmp_path / "m.pt", content))


def test_files_too_large_or_too_small_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    path.touch()
    refusal(path)
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # takes no room on the disk
    assert "64,000,001 bytes" in refusal(path)


def test_damaged_files_are_one_sentence_or_right(tmp_path: Path) -> None:
    import random

    draws = random.Random(5)
    good = saved(tmp_path / "m.pt", MLP.state_dict()).read_bytes()
    path = tmp_path / "damaged.pt"
    refused = 0
    for number in range(200):
        damaged = bytearray(good)
        for _ in range(draws.choice((1, 3, 20))):
            damaged[draws.randrange(len(damaged))] = draws.randrange(256)
        path.write_bytes(damaged if number % 4 else damaged[: draws.randrange(len(damaged))])
        try:
            convert(path)
        except ConversionError:
            refused += 1
    assert 70 < refused < 200


def test_the_listing_of_every_kind_of_file_is_followed_as_unpickling_does(tmp_path: Path) -> None:
    """The follower's stack ends as pickletools' own check does, on what torch.save writes."""
    for content in (MLP.state_dict(), Everything().state_dict(), {"a": {"b": [1, (2, 3)]}, "c": (1, (1,))}):
        with zipfile.ZipFile(saved(tmp_path / "m.pt", content)) as archive:
            listing = archive.read("m/data.pkl")
        pickletools.dis(listing, out=io.StringIO())  # raises where the stack is not one value at the end
        from nnlab.conversion import _check_listing, _Listing

        _check_listing(listing)
        follower = _Listing()
        for operation, argument, _ in pickletools.genops(listing):
            follower.follow(operation, argument)
        assert follower._stack == []


def test_the_command_writes_the_file_and_says_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = saved(tmp_path / "m.pt", MLP.state_dict()), tmp_path / "m.safetensors"
    assert main(["convert", str(source), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{out}: 8 tensors, ")
    assert "note: left out, as they hold no floating-point numbers: 1.num_batches_tracked" in shown.out
    assert torch.equal(load(out.read_bytes())["3.bias"], MLP.state_dict()["3.bias"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.pt", "m.safetensors"]


def test_the_command_refuses_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = saved(tmp_path / "m.pt", MLP.state_dict())
    evil = saved(tmp_path / "evil\n.pt", Runs(eval, "1"))
    for arguments, part in (
        ([str(tmp_path / "no.pt"), "--out", str(tmp_path / "o")], "No such file"),
        ([str(tmp_path), "--out", str(tmp_path / "o")], "irectory"),
        ([str(evil), "--out", str(tmp_path / "o")], "asks for"),
        ([str(source), "--out", str(source)], "--out"),
        ([str(source), "--out", str(tmp_path / "no" / "o")], "--out"),
        ([str(source)], "--out"),
    ):
        try:
            code: Any = main(["convert", *arguments])
        except SystemExit as ended:
            code = ended.code
        shown = capsys.readouterr()
        assert (code, shown.out, len(shown.err.splitlines())) == (2, "", 1)
        assert part in shown.err
    assert not (tmp_path / "o").exists()
    assert torch.load(source, weights_only=True).keys() == MLP.state_dict().keys()
