"""The lock of a file's one writer: advisory, held as long as the file is open, gone with its process."""

from __future__ import annotations

import errno
import time

try:
    import fcntl
except ImportError:
    HAS_LOCKS = False  # Windows
else:
    HAS_LOCKS = True

# A reader that asks for a writer holds the lock for microseconds.
ATTEMPTS, PAUSE = 10, 0.01  # seconds
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


def take(descriptor: int) -> bool:
    """Take the lock of an open file and tell whether nobody else has it."""
    for _ in range(ATTEMPTS):
        if _try(descriptor, exclusive=True):
            return True
        time.sleep(PAUSE)
    return False


def give_back(descriptor: int) -> None:
    """Give the lock back, though a forked process may still have the file open."""
    if HAS_LOCKS:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        except OSError:
            return  # a file system without locks


def is_taken(descriptor: int) -> bool:
    """Tell whether a writer has the lock of this open file; False where there are no locks."""
    if not HAS_LOCKS:
        return False
    if not _try(descriptor, exclusive=False):
        return True
    give_back(descriptor)
    return False


def _try(descriptor: int, *, exclusive: bool) -> bool:
    if not HAS_LOCKS:
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _TAKEN  # a file system without locks refuses nobody
    return True
