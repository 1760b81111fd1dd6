"""A file written whole or not at all: under its name lies the old content or the new one, never a piece."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: str | Path, content: Iterable[bytes]) -> None:
    """Write pieces of content into a file that appears complete or not at all.

    They go into a file beside it first, `.nnlab-*.partial`, which only a killed process leaves behind.

    Raises:
        OSError: the folder is missing, unwritable or full; what lay there before still does.
    """
    target = Path(path)
    if target.exists() and not target.is_file():  # a device would be gone, and a file in its place
        raise OSError(errno.EINVAL, "This is no file that can be replaced", str(target))
    # Its own name for every writer: two that save to one place do not write into one file.
    partial = target.with_name(f".nnlab-{secrets.token_hex(6)}.partial")
    try:
        try:
            _write_synced(partial, content)
            os.replace(partial, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise
    except OSError as error:  # nobody has asked for the file beside it
        raise OSError(error.errno, error.strerror or str(error), str(target)) from None
    _sync_folder(target.parent)


def _write_synced(path: Path, content: Iterable[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        for piece in content:
            pending = piece
            while pending:  # a nearly full disk may take a part
                pending = pending[os.write(descriptor, pending) :]
        # Before it takes the name: else a power cut may leave the name with nothing behind it.
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Have the new name survive a power cut, where the system lets one ask for that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
