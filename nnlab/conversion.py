"""conversion: a PyTorch state dict (.pt, .pth) as a safetensors file, on its owner's own machine.

This is the only module that unpickles, and only the command line calls it: what a server reads can hold no
code. torch.load(weights_only=True) keeps a hostile file from running code, but not from asking for any
amount of memory, so the file is looked through before it is loaded, and its tensors before they are copied.
"""

from __future__ import annotations

import os
import pickletools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nnlab.archive import MAX_BYTES, SAVE_AGAIN, ConversionError, read_listing
from nnlab.tensor_file import LONGEST_NAME, MAX_TENSORS, metadata_of, shown

# The list of tensors takes about 40 instructions and 200 bytes a tensor; a hostile instruction makes at
# most some 250 bytes of objects, so that these keep it below 30 MB.
MAX_INSTRUCTIONS = 120_000
MAX_LIST_BYTES = 1_000_000
LISTED = 3  # names in a note
# Where training scripts put the state dict.
WRAPPINGS = ("state_dict", "model_state_dict", "model")
KEPT = ("float16", "bfloat16", "float32", "float64")

# What a state dict of torch.save calls, and nothing else: _rebuild_tensor_v2 makes a view of a storage.
DICT = "collections OrderedDict"
CALLED = frozenset(
    {
        DICT,
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
PROTOCOL = 2  # torch.save's own; torch.load warns of others
# The instructions that write it.
KNOWN = frozenset({
    "PROTO", "STOP", "GLOBAL", "REDUCE", "BUILD", "MARK", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "NONE", "NEWTRUE",
    "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING",
    "BINPERSID", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET",
})  # fmt: skip
FILLING = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS"})
MAX_WEIGHT = 200  # a tensor's description has 20 values and two for each of its at most 64 dimensions


@dataclass(frozen=True)
class Converted:
    """A safetensors file's content, and in words what is not as it was."""

    content: bytes
    tensors: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Value:
    """What stands for a value while a listing is followed without making it.

    `weight` is how many values are hashed where it is the key of a dict; `is_recalled` tells that it was
    made before and not for this place.
    """

    called: str = ""
    weight: int = 1
    is_recalled: bool = False


_MARK = _Value("mark")


class _Listing:
    """Follows the instructions that list the tensors, and refuses what torch.save would not write.

    What is recalled costs nothing to write and all to use: a tuple of ten tuples of ten, ten deep, as a
    key; or the same million entries for a million dicts.
    """

    def __init__(self) -> None:
        self._stack: list[_Value] = []
        self._memo: dict[int, _Value] = {}

    def follow(self, operation: pickletools.OpcodeInfo, argument: Any) -> None:
        """Take one instruction; raises IndexError or KeyError where it makes no sense."""
        name = operation.name
        if name not in KNOWN or (name == "PROTO" and argument != PROTOCOL):
            raise ConversionError(f"written in a way that torch.save does not use by itself; {SAVE_AGAIN}")
        if name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self._stack.append(replace(self._memo[argument], is_recalled=True))
        elif name == "MARK":
            self._stack.append(_MARK)
        elif name == "GLOBAL":
            self._stack.append(_Value(_allowed(argument)))
        else:
            taken = self._take(operation)
            _check_use(name, taken)
            weight = 1 + sum(value.weight for value in taken) if "TUPLE" in name else 1
            if weight > MAX_WEIGHT:
                raise ConversionError(f"it holds a tuple of more than {MAX_WEIGHT} values")
            is_recalled = name in FILLING and taken[0].is_recalled
            self._stack += [_Value("", weight, is_recalled) for _ in operation.stack_after]

    def _take(self, operation: pickletools.OpcodeInfo) -> list[_Value]:
        """Take off the stack what an instruction uses."""
        before = operation.stack_before
        if pickletools.markobject not in before:
            return [self._stack.pop() for _ in before][::-1]
        taken = []
        while (value := self._stack.pop()) is not _MARK:
            taken.append(value)
        return [self._stack.pop() for _ in before[: before.index(pickletools.markobject)]] + taken[::-1]


def _allowed(argument: str) -> str:
    if argument not in CALLED:
        called = shown(argument.replace(" ", "."))
        raise ConversionError(f"it asks for {called}, which no state dict needs; {SAVE_AGAIN}")
    return argument


def _check_use(name: str, taken: list[_Value]) -> None:
    """Refuse a call or an attribute whose values were made before: each use would copy them."""
    if name not in ("REDUCE", "BUILD"):
        return
    target, values = taken
    is_filled_dict = name == "REDUCE" and target.called == DICT and values.weight > 1
    if values.is_recalled or is_filled_dict or (name == "REDUCE" and not target.called):
        raise ConversionError(f"it makes its values in a way that no state dict needs; {SAVE_AGAIN}")


def _check_listing(listing: bytes) -> None:
    """Refuse a list of tensors that asks for anything else."""
    if len(listing) > MAX_LIST_BYTES:
        raise ConversionError(f"its list of tensors takes {len(listing):,} bytes; at most {MAX_LIST_BYTES:,}")
    follower = _Listing()
    try:
        for count, (operation, argument, _) in enumerate(pickletools.genops(listing), start=1):
            if count > MAX_INSTRUCTIONS:
                raise ConversionError(f"its list of tensors has more than {MAX_INSTRUCTIONS:,} instructions")
            follower.follow(operation, argument)
    except ConversionError:
        raise
    except (ValueError, IndexError, KeyError):
        raise ConversionError(f"its list of tensors is damaged; {SAVE_AGAIN}") from None


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
        _check_listing(read_listing(source))
        state = _unwrapped(_load(source), notes)
        _check_all(state)
        return _converted(state, notes)
    except ConversionError as error:
        raise ConversionError(f"{shown(source.name)}: {error}") from None
