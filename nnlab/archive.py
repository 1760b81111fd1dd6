"""archive: the ZIP that torch.save writes, looked through before anything of it is loaded."""

from __future__ import annotations

import mmap
import re
import zipfile
from pathlib import Path

from nnlab.tensor_file import MAX_TENSORS

MAX_BYTES = 64_000_000
MAX_RATIO = 20  # of the unpacked to the packed size; torch.save packs nothing, so this is 1
# torch.save writes a member per tensor and half a dozen more.
MAX_MEMBERS = MAX_TENSORS + 100

MEMBER, DIRECTORY_ENTRY, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
END_64, LOCATOR_64 = b"PK\x06\x06", b"PK\x06\x07"
END_BYTES, END_64_BYTES, LOCATOR_BYTES = 22, 56, 20
SAVE_AGAIN = "save it again with torch.save(model.state_dict(), path)"
MISPLACED = f"its directory is not where torch.save writes it; {SAVE_AGAIN}"


class ConversionError(ValueError):
    """The file cannot be converted; the message names it and says why."""


def _number(view: mmap.mmap, start: int, length: int) -> int:
    return int.from_bytes(view[start : start + length], "little")


def _directory(view: mmap.mmap) -> tuple[int, int, int]:
    """Give where the directory starts and how long it is as stated, and where it ends."""
    end = len(view) - END_BYTES
    locator = end - LOCATOR_BYTES
    if view[locator : locator + 4] != LOCATOR_64:
        return _number(view, end + 16, 4), _number(view, end + 12, 4), end
    end_64 = locator - END_64_BYTES
    if _number(view, locator + 8, 8) != end_64 or view[end_64 : end_64 + 4] != END_64:
        raise ConversionError(MISPLACED)
    return _number(view, end_64 + 48, 8), _number(view, end_64 + 40, 8), end_64


def _check_shape(view: mmap.mmap) -> None:
    """Hold the archive to the one shape that torch.save writes, which all readers read alike.

    Two readers can find two directories in a crafted file; then what was looked through is not what is
    loaded.
    """
    if view[:4] != MEMBER:
        raise ConversionError(f"no file of torch.save, or one of before PyTorch 1.6; {SAVE_AGAIN}")
    end = len(view) - END_BYTES
    start, length, directory_end = _directory(view)
    if view[end : end + 4] != END or start + length != directory_end:
        raise ConversionError(MISPLACED)
    # No fewer than the directory can hold, whatever it says itself; zipfile takes 500 bytes for each.
    entries = sum(1 for _ in re.finditer(re.escape(DIRECTORY_ENTRY), view))
    if entries > MAX_MEMBERS:
        raise ConversionError(f"{entries:,} members; at most {MAX_MEMBERS:,}")


def _check_members(members: list[zipfile.ZipInfo]) -> str:
    """Give the name of the member that lists the tensors."""
    total = sum(member.file_size for member in members)
    if total > MAX_BYTES:
        raise ConversionError(f"{total:,} bytes once unpacked; at most {MAX_BYTES:,}")
    if total > MAX_RATIO * sum(member.compress_size for member in members):
        raise ConversionError(f"it unpacks to more than {MAX_RATIO} times its size")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise ConversionError(f"it is compressed, which torch.save never does; {SAVE_AGAIN}")
    names = [member.filename.lower() for member in members]
    if len(set(names)) != len(names):
        raise ConversionError("two of its members have the same name")
    lists = [member.filename for member in members if member.filename.lower().endswith(".pkl")]
    if len(lists) != 1 or not lists[0].endswith("/data.pkl"):
        raise ConversionError(f"not a state dict, perhaps a TorchScript model; {SAVE_AGAIN}")
    return lists[0]


def read_listing(path: Path) -> bytes:
    """Give the list of tensors, the one member whose instructions PyTorch follows.

    Raises:
        ConversionError: not such an archive, too large, compressed, or read differently by other readers.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ConversionError(f"{size:,} bytes; at most {MAX_BYTES:,}")
    if size <= END_BYTES + END_64_BYTES + LOCATOR_BYTES:
        raise ConversionError(f"no file of torch.save; {SAVE_AGAIN}")
    with path.open("rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            _check_shape(view)
        try:
            with zipfile.ZipFile(file) as archive:
                return archive.read(_check_members(archive.infolist()))
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError):
            raise ConversionError(f"a damaged file of torch.save; {SAVE_AGAIN}") from None
