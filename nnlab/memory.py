"""memory: how much of it this process holds, and how what it no longer needs goes back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator
from pathlib import Path

STATM = Path("/proc/self/statm")
SMAPS = Path("/proc/self/smaps")
# A library's code or constants: mapped from a file, private, readable and not writable; and how many
# kilobytes of it this process has changed, as the loader does where code holds addresses.
_MAPPING = re.compile(
    r"^(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) r-[x-]p .*\.so[.0-9]*\n"
    r"(?:[A-Z].*\n)*?Anonymous: +(?P<own>\d+) kB",
    re.MULTILINE,
)
LARGE_CODE_BYTES = 1_000_000  # fewer calls; smaller ones hold little
_MADV_DONTNEED = 4  # of Linux's mman.h
# Of the GNU C library (malloc.h). Only it keeps much of what is freed, and only it can be asked not to.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
# Larger blocks come from the system and go back at once. Left alone, the library raises the limit to 32 MB
# with the first large block that is freed, and one small block that stays keeps all below it.
LARGE_BYTES = 256 * 1024
# Else every few threads have a pool of their own, eight a core, each of which keeps what it once held; and a
# server has a thread for every page that is drawn.
POOLS = 4


def held_bytes() -> int | None:
    """Give the memory that only this process's end would give back; None where there is no /proc to tell it.

    Code that is mapped from the files of libraries, 130 MB with torch, is not in it: where memory is short
    the system takes that back by itself, and no host ends a process for it.
    """
    try:
        resident, mapped = (int(pages) for pages in STATM.read_text().split()[1:3])
    except (OSError, ValueError):
        return None
    return (resident - mapped) * os.sysconf("SC_PAGE_SIZE")


def give_memory_back() -> None:
    """Return what the C library keeps of freed memory to the system: 20 to 40 MB after a run.

    Only glibc keeps that much, and only glibc can be asked.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def let_code_go() -> None:
    """Take out of this process the code of libraries that it does not run: 60 MB with torch.

    Importing a library touches most of its code, once. What is run again comes back from the system's cache
    of files, page by page and without reading a disk. Only pages that are as they are in the file are taken
    out. Does nothing where the system is not Linux.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError, ValueError):
        library = ctypes.CDLL(None)
        for start, end in _unchanged_code(SMAPS.read_text()):
            library.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)


def _unchanged_code(smaps: str) -> Iterator[tuple[int, int]]:
    """Give start and end of library code that is mapped and of which this process has no pages of its own."""
    for mapping in _MAPPING.finditer(smaps):
        start, end = (int(mapping[name], 16) for name in ("start", "end"))
        if end - start >= LARGE_CODE_BYTES and mapping["own"] == "0":
            yield start, end


def keep_little() -> None:
    """Let freed memory go back to the system from now on: 40 to 55 MB less at a run's peak, and after it.

    For a server that is short of memory: training takes up to 8 % longer for it. Does nothing where the C
    library is another one.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, LARGE_BYTES)
        library.mallopt(_M_ARENA_MAX, POOLS)
