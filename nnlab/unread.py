"""Files that were uploaded and that no page has read yet: how many bytes they are, and which are too old."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

RECORD_BYTES = 1_000  # what the server keeps of a file besides its bytes and its name
# A page reads a file within seconds of its last byte. Who sends files and never opens them would else hold
# the room of all, for as long as the visit lasts.
PATIENCE = 90.0


class LetGo(bytes):
    """Stands for the bytes of a file that was read; no upload can say so of itself."""


class FileStore(Protocol):
    """What keeps uploaded files, as Streamlit's manager of them does."""

    @property
    def file_storage(self) -> Mapping[str, Mapping[str, Any]]:
        """The files by session and id."""

    def remove_file(self, session_id: str, file_id: str) -> None:
        """Forget a file."""


class Unread:
    """The files of a store that no page has read; what was read has `LetGo` for its bytes."""

    def __init__(self, store: FileStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._since: dict[tuple[str, str], float] = {}

    def bytes_by_session(self) -> dict[str, int]:
        """Forget what was there PATIENCE seconds ago and is unread still, and count the rest."""
        now, sizes, since = self._clock(), dict[str, int](), dict[tuple[str, str], float]()
        for session, files in list(self._store.file_storage.items()):
            for name, file in list(files.items()):
                began = self._since.get((session, name), now)
                is_read = isinstance(file.data, LetGo)
                if not is_read and now - began > PATIENCE:
                    self._store.remove_file(session, name)
                    continue
                if not is_read:
                    since[session, name] = began
                size = RECORD_BYTES + len(file.name) + len(file.type) + len(file.data)
                sizes[session] = sizes.get(session, 0) + size
        self._since = since
        return sizes
