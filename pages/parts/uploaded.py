"""What visitors upload: read one file at a time, let go by the server once it is read, counted in all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.uploaded_file_manager import UploadedFile, UploadedFileRec

from nnlab.allowance import Allowance
from nnlab.memory import give_memory_back
from nnlab.unread import LetGo

OPEN = Allowance()  # what all visitors have open together; it knows sizes, and nobody's file
# How many times the size of its file something takes in memory, at most: weights of half precision double.
RUN_SHARE, WEIGHTS_SHARE = 3, 2
BYTES_A_CELL = 4  # of a table's data as a network takes them
_reading = threading.Lock()


def here(file: object) -> UploadedFile | None:
    """Give an uploaded file; None for no file, and for one that the server has no bytes of any more."""
    return file if isinstance(file, UploadedFile) else None


@contextmanager
def reading(file: UploadedFile) -> Iterator[bytes]:
    """Give a file's bytes; behind the block the server has them no more, and `file` may not be read again.

    One file at a time: what reading takes for a moment is ten times the size of the file.
    """
    with _reading:
        try:
            yield file.getvalue()
        finally:
            _let_go(file)
            give_memory_back()


def _let_go(file: UploadedFile) -> None:
    """Take the bytes from the server's copy; the name stays, or the page would take the file for removed."""
    context = get_script_run_ctx()
    if context is None or not runtime.exists():
        return
    manager = runtime.get_instance().uploaded_file_mgr
    if isinstance(manager, MemoryUploadedFileManager) and manager.get_files(
        context.session_id, [file.file_id]
    ):
        manager.add_file(context.session_id, UploadedFileRec(file.file_id, file.name, file.type, LetGo()))
    file.seek(0)
    file.truncate()
