"""conversion: a PyTorch state dict (.pt, .pth) as a safetensors file, on its owner's own machine.

This is the only module that unpickles, and only the command line calls it: what a server reads can hold no
code. torch.load(weights_only=True) keeps a hostile file from running code, but not from asking for any
amount of memory, so the file is looked through before it is loaded, and its tensors before they are copied.
"""

from __future__ import annotations

import mmap
import os
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnlab.tensor_file import LONGEST_NAME, MAX_TENSORS, metadata_of, shown

MAX_BYTES = 64_000_000
MAX_RATIO = 20  # of the unpacked to the packed size; torch.save packs nothing, so this is 1
# torch.save writes a member per tensor and half a dozen more.
MAX_MEMBERS = MAX_TENSORS + 100
# The list of tensors takes about 40 instructions and 200 bytes a tensor; a hostile instruction makes at
# most some 250 bytes of objects, so that these keep it below 30 MB.
MAX_INSTRUCTIONS = 120_000
MAX_LIST_BYTES = 1_000_000
LISTED = 3  # names in a note
# Where training scripts put the state dict.
WRAPPINGS = ("state_dict", "model_state_dict", "model")
KEPT = ("float16", "bfloat16", "float32", "float64")

# What a state dict of torch.save calls, and nothing else: _rebuild_tensor_v2 makes a view of a storage.
CALLED = frozenset(
    {
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        *(
            f"torch {kind}Storage"
            for kind in (
                "Float",
                "Double",
                "Half",
                "BFloat16",
                "Long",
                "Int",
                "Short",
                "Char",
                "Byte",
                "Bool",
            )
        ),
    }
)
# Ways to call something that torch.save does not use.
UNUSUAL = frozenset({"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"})

MEMBER, DIRECTORY_ENTRY, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
END_64, LOCATOR_64 = b"PK\x06\x06", b"PK\x06\x07"
END_BYTES, END_64_BYTES, LOCATOR_BYTES = 22, 56, 20
SAVE_AGAIN = "save it again with torch.save(model.state_dict(), path)"


class ConversionError(ValueError):
    """The file cannot be converted; the message names it and says why."""


@dataclass(frozen=True)
class Converted:
    """A safetensors file's content, and in words what is not as it was."""

    content: bytes
    tensors: int
    notes: tuple[str, ...] = ()


def _check_beginning_and_end(view: mmap.mmap) -> None:
    """Hold the archive to the one shape that torch.save writes, which all readers read alike.

    Two readers can find two directories in a crafted file; then what was looked through is not what is
    loaded.
    """
    if view[:2] == b"\x80\x02" or view[:4] != MEMBER:
        raise ConversionError(f"no file of torch.save, or one of before PyTorch 1.6; {SAVE_AGAIN}")
    size = len(view)
    end = size - END_BYTES
    locator = end - LOCATOR_BYTES
    directory_end = end
    if view[locator : locator + 4] == LOCATOR_64:
        directory_end = locator - END_64_BYTES
        stated = int.from_bytes(view[locator + 8 : locator + 16], "little")
        if stated != directory_end or view[directory_end : directory_end + 4] != END_64:
            raise ConversionError(f"its directory is not where torch.save writes it; {SAVE_AGAIN}")
        length = int.from_bytes(view[directory_end + 40 : directory_end + 48], "little")
        start = int.from_bytes(view[directory_end + 48 : directory_end + 56], "little")
    else:
        length = int.from_bytes(view[end + 12 : end + 16], "little")
        start = int.from_bytes(view[end + 16 : end + 20], "little")
    if view[end : end + 4] != END or start + length != directory_end:
        raise ConversionError(f"its directory is not where torch.save writes it; {SAVE_AGAIN}")
    # More than the directory can hold, whichever way its size is read; zipfile takes 500 bytes for each.
    entries = sum(1 for _ in re.finditer(re.escape(DIRECTORY_ENTRY), view))
    if entries > MAX_MEMBERS:
        raise ConversionError(f"{entries:,} members; at most {MAX_MEMBERS:,}")


def _check_members(members: list[zipfile.ZipInfo]) -> str:
    """Give the name of the member that lists the tensors."""
    total = sum(member.file_size for member in members)
    if total > MAX_BYTES:
        raise ConversionError(f"{total:,} bytes once unpacked; at most {MAX_BYTES:,}")
    for member in members:
        if member.file_size > MAX_RATIO * max(member.compress_size, 1):
            raise ConversionError(f"a member unpacks to more than {MAX_RATIO} times its size")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ConversionError(f"it is compressed, which torch.save never does; {SAVE_AGAIN}")
    names = [member.filename.lower() for member in members]
    if len(set(names)) != len(names):
        raise ConversionError("two of its members have the same name")
    lists = [member.filename for member in members if member.filename.lower().endswith(".pkl")]
    if len(lists) != 1 or not lists[0].endswith("/data.pkl"):
        raise ConversionError(f"not a state dict, perhaps a TorchScript model; {SAVE_AGAIN}")
    return lists[0]


def _check_instructions(listing: bytes) -> None:
    """Refuse a list of tensors that asks for anything else."""
    if len(listing) > MAX_LIST_BYTES:
        raise ConversionError(f"its list of tensors takes {len(listing):,} bytes; at most {MAX_LIST_BYTES:,}")
    for count, (operation, argument, _) in enumerate(pickletools.genops(listing), start=1):
        if count > MAX_INSTRUCTIONS:
            raise ConversionError(f"its list of tensors has more than {MAX_INSTRUCTIONS:,} instructions")
        if operation.name in UNUSUAL:
            raise ConversionError(f"written in a way that torch.save does not use by itself; {SAVE_AGAIN}")
        if operation.name == "GLOBAL" and argument not in CALLED:
            called = shown(str(argument).replace(" ", "."))
            raise ConversionError(f"it asks for {called}, which no state dict needs; {SAVE_AGAIN}")


def _look_through(path: Path) -> None:
    """Refuse what must not be loaded."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ConversionError(f"{size:,} bytes; at most {MAX_BYTES:,}")
    if size <= END_BYTES + END_64_BYTES + LOCATOR_BYTES:
        raise ConversionError(f"no file of torch.save; {SAVE_AGAIN}")
    with path.open("rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            _check_beginning_and_end(view)
        try:
            with zipfile.ZipFile(file) as archive:
                listing = archive.read(_check_members(archive.infolist()))
            _check_instructions(listing)
        except ConversionError:
            raise
        except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, OSError):
            raise ConversionError(f"damaged, or no file of torch.save; {SAVE_AGAIN}") from None


def _load(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # of a damaged file: seven types were seen, from KeyError to UnpicklingError
        raise ConversionError(f"PyTorch cannot load it ({type(error).__name__}); {SAVE_AGAIN}") from None


def _unwrapped(loaded: Any, notes: list[str]) -> Mapping[Any, Any]:
    """Give the state dict, also from where training scripts usually put it."""
    if not isinstance(loaded, dict):
        raise ConversionError(f"it holds a {type(loaded).__name__}, not a state dict; {SAVE_AGAIN}")
    for key in WRAPPINGS:
        inner = loaded.get(key)
        if isinstance(inner, dict):
            others = [str(other) for other in loaded if other != key]
            left_out = f"; left out: {_named(others)}" if others else ""
            notes.append(f"the weights were taken from the entry {key!r}{left_out}")
            return inner
    return loaded


def _check_tensor(name: Any, tensor: Any) -> None:
    import torch

    if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name) <= LONGEST_NAME:
        raise ConversionError(f"an entry's name is not text of 1 to {LONGEST_NAME} printable characters")
    if name == "__metadata__":
        raise ConversionError("an entry is called '__metadata__', which safetensors keeps for itself")
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        kind = type(tensor).__name__
        raise ConversionError(f"entry {shown(name)!r} is a {kind}, not a tensor; {SAVE_AGAIN}")
    if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
        raise ConversionError(f"tensor {shown(name)!r} is sparse, quantized or without numbers")
    is_spread = any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))
    if is_spread or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.itemsize:
        shape = tuple(tensor.shape)
        raise ConversionError(
            f"tensor {shown(name)!r} of shape {shape} has more elements than the file holds"
        )


def _check_all(state: Mapping[Any, Any]) -> None:
    if len(state) > MAX_TENSORS:
        raise ConversionError(f"{len(state):,} tensors; at most {MAX_TENSORS:,}")
    total = 0
    for name, tensor in state.items():
        _check_tensor(name, tensor)
        total += tensor.numel() * tensor.itemsize  # a storage that many share is copied for each
    if total > MAX_BYTES:
        raise ConversionError(f"its tensors take {total:,} bytes; at most {MAX_BYTES:,}")


def _sharing(state: Mapping[str, Any]) -> Iterator[list[str]]:
    """Give the names of tensors that lie in one storage."""
    groups: dict[int, list[str]] = {}
    for name, tensor in state.items():
        groups.setdefault(tensor.untyped_storage().data_ptr(), []).append(name)
    yield from (names for names in groups.values() if len(names) > 1)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(shown(name) for name in names[:LISTED]) + more


def _converted(state: Mapping[str, Any], notes: list[str]) -> Converted:
    import torch
    from safetensors.torch import save

    kept = {
        name: tensor for name, tensor in state.items() if str(tensor.dtype).removeprefix("torch.") in KEPT
    }
    left_out = [name for name in state if name not in kept]
    if left_out:
        notes.append(f"left out, as they hold no floating-point numbers: {_named(left_out)}")
    empty = [name for name, tensor in kept.items() if tensor.numel() == 0]
    if empty:
        notes.append(f"left out, as they are empty: {_named(empty)}")
    kept = {name: tensor for name, tensor in kept.items() if tensor.numel()}
    if not kept:
        raise ConversionError("it holds no tensor of floating-point numbers")
    for names in _sharing(kept):
        notes.append(
            f"{len(names)} tensors share memory (tied weights) and were written one by one: {_named(names)}"
        )
    copies = {
        name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in kept.items()
    }
    contents = {
        name: tensor.reshape(-1).view(torch.uint8).numpy().tobytes() for name, tensor in copies.items()
    }
    return Converted(save(copies, metadata=metadata_of({}, contents)), len(copies), tuple(notes))


def convert(path: str | os.PathLike[str]) -> Converted:
    """Read a state dict that torch.save wrote, of any network, and give it as a safetensors file.

    Raises:
        ConversionError: no state dict, too large, damaged, or one that asks for more than tensors.
        OSError: the file cannot be read.
    """
    source = Path(path)
    notes: list[str] = []
    try:
        _look_through(source)
        state = _unwrapped(_load(source), notes)
        _check_all(state)
        return _converted(state, notes)
    except ConversionError as error:
        raise ConversionError(f"{shown(source.name)}: {error}") from None
