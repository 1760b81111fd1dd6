"""tensor_file: a safetensors file's tensors as float32; every odd file is answered by one sentence.

safetensors holds numbers and text and can hold no code, but a hostile header can still cost much time and
memory, and the format has no checksum: files that nnlab writes carry one of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

MAX_BYTES = 5_000_000  # as much as a public server takes of any upload
# A header of 6.6 MB with 100,000 empty tensors costs 0.8 s and 163 MB, one of 256 kB 0.05 s.
MAX_HEADER_BYTES = 262_144
MAX_TENSORS = 2_000
MAX_DIMENSIONS = 8
LONGEST_NAME = 200
LENGTH_BYTES = 8  # the file begins with its header's length, little-endian

READ_AS = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}
# What batch normalization counts beside its numbers; nothing is computed from it.
COUNTER = "num_batches_tracked"
# The one entry of the metadata that nnlab writes: with two, safetensors gives another order every time.
OURS = "nnlab"


class CheckpointError(ValueError):
    """The file holds no weights that can be used; the message names the file and says why."""


@dataclass(frozen=True)
class TensorFile:
    """A file's tensors by name, float32.

    `metadata` is the text that its writer put beside them; `order` the tensors' names in the order of their
    use, () where the file does not say it. `sha256` is of the whole file. `notes` says what a reader of the
    numbers must know.
    """

    name: str
    sha256: str
    tensors: Mapping[str, np.ndarray]
    metadata: Mapping[str, str]
    order: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ours(self) -> dict[str, Any]:
        """What nnlab wrote beside the tensors; {} where that is nothing or cannot be read."""
        return read_json(self.metadata.get(OURS, ""))


def shown(name: str) -> str:
    """Write a user's name so that a message stays one line."""
    return name if name.isprintable() and len(name) <= 60 else repr(name[:60])


def read_json(text: str) -> dict[str, Any]:
    """Give a JSON object; {} where the text is none."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def fingerprint(contents: Mapping[str, bytes]) -> str:
    """Give the SHA-256 of tensors' names and bytes, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(contents):
        encoded = name.encode()
        digest.update(f"{len(encoded)} {len(contents[name])} ".encode() + encoded)
        digest.update(contents[name])
    return digest.hexdigest()


def order_of(names: Sequence[str]) -> list[int]:
    """Give the order of names as their places in the sorted list, which is all that a file keeps."""
    places = {name: place for place, name in enumerate(sorted(names))}
    return [places[name] for name in names]


def _in_order(places: object, names: Sequence[str]) -> tuple[str, ...]:
    """Undo `order_of`; () where the places are not those of these names."""
    if not isinstance(places, list) or not all(type(place) is int for place in places):
        return ()
    if sorted(places) != list(range(len(names))):
        return ()
    known = sorted(names)
    return tuple(known[place] for place in places)


def metadata_of(about: Mapping[str, Any], contents: Mapping[str, bytes]) -> dict[str, str]:
    """Give the metadata of a file of nnlab: what it is about, the tensors' order, and their checksum."""
    order = order_of(list(contents))
    ours = {**about, "order": order, "fingerprint": fingerprint(contents)}
    return {OURS: json.dumps(ours, sort_keys=True, separators=(",", ":"))}


def to_bytes(tensors: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> bytes:
    """Write tensors in the order of their use, with what they are about as JSON."""
    kept = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    contents = {name: tensor.tobytes() for name, tensor in kept.items()}
    return save(kept, metadata=metadata_of(about, contents))


def _check_size(content: bytes) -> int:
    """Give the header's length."""
    if len(content) > MAX_BYTES:
        raise CheckpointError(
            f"larger than {MAX_BYTES:,} bytes; in Python, nnlab.diagnose takes models of any size"
        )
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    if len(content) <= LENGTH_BYTES or length > len(content) - LENGTH_BYTES:
        advice = "; python -m nnlab convert makes one of a .pt file" if content[:2] == b"PK" else ""
        raise CheckpointError(f"not a whole safetensors file{advice}")
    if length > MAX_HEADER_BYTES:
        raise CheckpointError(f"its header takes {length:,} bytes; at most {MAX_HEADER_BYTES:,}")
    return length


def _check_entry(name: str, kind: str, shape: Sequence[int]) -> None:
    if not name.isprintable() or not 1 <= len(name) <= LONGEST_NAME:
        raise CheckpointError(
            f"a tensor is called {name[:60]!r}; names are 1 to {LONGEST_NAME} printable characters"
        )
    if len(shape) > MAX_DIMENSIONS:
        raise CheckpointError(f"tensor {shown(name)!r} has {len(shape)} dimensions; at most {MAX_DIMENSIONS}")
    if kind not in READ_AS:
        raise CheckpointError(f"tensor {shown(name)!r} is of type {kind}; allowed: {', '.join(READ_AS)}")
    if 0 in shape:
        raise CheckpointError(f"tensor {shown(name)!r} of shape {tuple(shape)} holds no numbers")


def _to_float32(data: bytes, kind: str, shape: Sequence[int]) -> np.ndarray:
    raw = np.frombuffer(data, READ_AS[kind]).reshape(shape)
    if kind == "BF16":  # the upper half of a float32
        return (raw.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # beyond float32 is inf, which is counted
        return raw.astype(np.float32)


def _number_notes(tensors: Mapping[str, np.ndarray], kinds: Mapping[str, str]) -> list[str]:
    notes = []
    odd = [name for name, values in tensors.items() if not np.isfinite(values).all()]
    if odd:
        nans = sum(int(np.isnan(tensors[name]).sum()) for name in odd)
        infinite = sum(int(np.isinf(tensors[name]).sum()) for name in odd)
        where = f"the first in {shown(min(odd))!r}"
        notes.append(f"The weights hold {nans} NaN and {infinite} infinite values, {where}.")
    wide = sum(kind == "F64" for kind in kinds.values())
    if wide:
        notes.append(f"{wide} tensors were rounded from float64 to float32.")
    return notes


def _parse(content: bytes, name: str) -> TensorFile:
    length = _check_size(content)
    try:
        entries = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise CheckpointError(f"not a safetensors file: {_one_line(str(error))}") from None
    if len(entries) > MAX_TENSORS:
        raise CheckpointError(f"{len(entries):,} tensors; at most {MAX_TENSORS:,}")
    tensors, kinds, contents = {}, {}, {}
    for label, entry in entries:
        contents[label] = bytes(entry["data"])
        if label.endswith(COUNTER) and entry["dtype"] == "I64" and len(label) <= LONGEST_NAME:
            continue
        _check_entry(label, entry["dtype"], entry["shape"])
        kinds[label] = entry["dtype"]
        tensors[label] = _to_float32(contents[label], entry["dtype"], entry["shape"])
    metadata = read_json(content[LENGTH_BYTES : LENGTH_BYTES + length].decode()).get("__metadata__")
    file = TensorFile(
        name,
        hashlib.sha256(content).hexdigest(),
        dict(sorted(tensors.items())),
        metadata if isinstance(metadata, dict) else {},
        notes=tuple(_number_notes(tensors, kinds)),
    )
    written = file.ours.get("fingerprint")
    if written is not None and written != fingerprint(contents):
        raise CheckpointError("damaged: its numbers are not those that nnlab wrote into it")
    return replace(file, order=_in_order(file.ours.get("order"), list(contents)))


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if words.isprintable() and len(words) <= 120 else repr(words[:120])


def read_tensors(content: bytes, name: str) -> TensorFile:
    """Read a safetensors file's bytes; `name` is what it is called.

    Raises:
        CheckpointError: no safetensors file, too large, or tensors that no weights have.
    """
    try:
        return _parse(content, name)
    except CheckpointError as error:
        raise CheckpointError(f"{shown(name)}: {error}") from None
