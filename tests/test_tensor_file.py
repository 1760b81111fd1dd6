"""Safetensors files: float32 arrays, or one sentence."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from nnlab.tensor_file import (
    MAX_BYTES,
    MAX_HEADER_BYTES,
    MAX_TENSORS,
    CheckpointError,
    order_of,
    read_tensors,
    to_bytes,
)

TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(2, np.float32)}


def file_of(header: Any, data: bytes = b"") -> bytes:
    """Write a safetensors file by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(kind: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def refusal(content: bytes, name: str = "w.safetensors") -> str:
    with pytest.raises(CheckpointError) as caught:
        read_tensors(content, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_number_is_read_as_pytorch_reads_it(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(3)
    odd = torch.tensor([0.0, -0.0, 1e-7, -3e4, 1e38, -1e300, float("inf"), float("nan")], dtype=torch.float64)
    values = torch.cat([torch.randn(500, generator=generator, dtype=torch.float64), odd]).to(dtype)
    read = read_tensors(save({"w": values.reshape(4, 127)}), "w").tensors["w"]
    wanted = values.reshape(4, 127).float().numpy()
    assert (read.dtype, read.shape) == (np.float32, (4, 127))
    assert np.array_equal(read, wanted, equal_nan=True)
    assert np.array_equal(np.signbit(read), np.signbit(wanted))


def test_nan_and_infinite_values_are_counted_not_refused() -> None:
    values = torch.tensor(
        [[1.0, float("nan"), float("nan")], [float("inf"), 1e300, 0.0]], dtype=torch.float64
    )
    notes = read_tensors(save({"z": torch.ones(2), "w": values}), "w").notes
    assert notes == (
        "The weights hold 2 NaN and 2 infinite values, the first in 'w'.",  # 1e300 is beyond float32
        "1 tensors were rounded from float64 to float32.",
    )


def test_what_nnlab_writes_says_order_and_is_the_same_every_time() -> None:
    content = to_bytes(TENSORS, {"x": 1})
    assert content == to_bytes(TENSORS, {"x": 1})
    file = read_tensors(content, "w")
    assert (file.order, file.ours["x"], file.notes) == (("b", "a"), 1, ())
    assert all(np.array_equal(file.tensors[name], TENSORS[name]) for name in TENSORS)


def test_every_damaged_number_of_a_file_of_nnlab_is_found() -> None:
    content = to_bytes(TENSORS, {})
    start = 8 + struct.unpack("<Q", content[:8])[0]
    for place in range(start, len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        assert "damaged" in refusal(bytes(damaged))


def test_the_order_of_names_survives_sorting() -> None:
    names = ["m.10", "m.2", "b", "a"]
    assert [sorted(names)[place] for place in order_of(names)] == names


GOOD = {"w": entry("F32", [2], 0, 8)}
MANY = {f"t{n}": entry("F32", [1], 4 * n, 4 * n + 4) for n in range(MAX_TENSORS + 1)}
ODD_FILES = {
    "empty": (b"", "not a whole safetensors file"),
    "eight bytes": (struct.pack("<Q", 0), "not a whole"),
    "header longer than the file": (struct.pack("<Q", 99) + b"{}", "not a whole"),
    "a length of 2^63": (struct.pack("<Q", 2**63) + b"{}", "not a whole"),
    "an archive": (b"PK\x03\x04" + b"\xff" * 90, "python -m nnlab convert"),
    "no JSON": (file_of(b"hello there"), "not a safetensors file"),
    "deep JSON": (file_of(b"[" * 100_000), "not a safetensors file"),
    "no UTF-8": (file_of(b'{"\xff": 1}'), "not a safetensors file"),
    "data missing": (file_of(GOOD, b"1234"), "not a safetensors file"),
    "data left over": (file_of(GOOD, bytes(9)), "not a safetensors file"),
    "overlapping": (file_of(GOOD | {"v": entry("F32", [2], 4, 12)}, bytes(12)), "not a safetensors file"),
    "a product beyond 64 bits": (file_of({"w": entry("F32", [2**33, 2**33], 0, 8)}, bytes(8)), "not a safe"),
    "whole numbers": (file_of({"w": entry("I32", [2], 0, 8)}, bytes(8)), "type I32; allowed: F16, F32"),
    "an eight-bit float": (file_of({"w": entry("F8_E4M3", [8], 0, 8)}, bytes(8)), "type F8_E4M3"),
    "no numbers": (file_of({"w": entry("F32", [0, 2**40], 0, 0)}), "holds no numbers"),
    "nine dimensions": (file_of({"w": entry("F32", [1] * 8 + [2], 0, 8)}, bytes(8)), "9 dimensions"),
    "a name of two lines": (file_of({"a\nb": GOOD["w"]}, bytes(8)), "printable"),
    "a long name": (file_of({"n" * 201: GOOD["w"]}, bytes(8)), "printable"),
    "no name": (file_of({"": GOOD["w"]}, bytes(8)), "printable"),
    "too many": (file_of(MANY, bytes(4 * len(MANY))), "2,001 tensors; at most 2,000"),
    "a large header": (file_of(b" " * (MAX_HEADER_BYTES + 1)), "262,145 bytes; at most 262,144"),
    "a large file": (bytes(MAX_BYTES + 1), "larger than 5,000,000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(ODD_FILES))
def test_every_odd_file_is_one_sentence(kind: str) -> None:
    content, part = ODD_FILES[kind]
    message = refusal(content)
    assert message.startswith("w.safetensors: ")
    assert part in message
    assert len(message) < 300


def test_a_hostile_file_name_stays_on_one_line() -> None:
    assert refusal(b"", "a\nb").startswith("'a\\nb': ")


def test_a_header_of_a_hundred_thousand_tensors_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(content: bytes) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("nnlab.tensor_file.deserialize", fail)
    header = {f"t{n}": entry("F32", [0], 0, 0) for n in range(50_000)}
    assert "header" in refusal(file_of(header))


@pytest.mark.parametrize("ours", ["", "[]", "3", "{", "[" * 5000, '{"order": 3}', '{"order": [0, 0]}',
                                  '{"order": [0]}', '{"order": [true, 1]}', '{"order": [1, 2]}'])  # fmt: skip
def test_metadata_that_make_no_sense_are_left_aside(ours: str) -> None:
    content = save({"a": torch.ones(2), "b": torch.ones(2)}, metadata={"nnlab": ours})
    file = read_tensors(content, "w")
    assert file.order == ()
    assert sorted(file.tensors) == ["a", "b"]
