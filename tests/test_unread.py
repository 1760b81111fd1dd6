"""Files that no page has read: counted by visit, and forgotten when they grow old."""

from __future__ import annotations

from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

from nnlab.unread import PATIENCE, RECORD_BYTES, LetGo, Unread


def test_what_is_unread_counts_and_is_forgotten_in_the_end() -> None:
    now = [0.0]
    store = MemoryUploadedFileManager("/upload")
    unread = Unread(store, lambda: now[0])
    store.add_file("ann", UploadedFileRec("1", "a.csv", "text/csv", b"x" * 5000))
    store.add_file("ann", UploadedFileRec("2", "", "", LetGo()))
    store.add_file("bob", UploadedFileRec("1", "", "", b"x" * 70))
    assert unread.bytes_by_session() == {"ann": 5013 + 2 * RECORD_BYTES, "bob": 70 + RECORD_BYTES}
    now[0] = PATIENCE
    store.add_file("bob", UploadedFileRec("2", "", "", b"y" * 10))
    assert unread.bytes_by_session()["bob"] == 80 + 2 * RECORD_BYTES
    now[0] = PATIENCE + 1
    assert unread.bytes_by_session() == {"ann": RECORD_BYTES, "bob": 10 + RECORD_BYTES}
    assert [file.data for file in store.get_files("bob", ["1", "2"])] == [b"y" * 10]
    now[0] = 3 * PATIENCE
    assert unread.bytes_by_session() == {"ann": RECORD_BYTES}
    store.remove_session_files("ann")
    assert unread.bytes_by_session() == {}


def test_a_file_that_is_read_late_is_not_forgotten_with_its_age() -> None:
    now = [0.0]
    store = MemoryUploadedFileManager("/upload")
    unread = Unread(store, lambda: now[0])
    store.add_file("ann", UploadedFileRec("1", "", "", b"x"))
    unread.bytes_by_session()
    store.add_file("ann", UploadedFileRec("1", "", "", LetGo()))
    now[0] = 10 * PATIENCE
    assert unread.bytes_by_session() == {"ann": RECORD_BYTES}
    assert len(store.get_files("ann", ["1"])) == 1


def test_an_empty_file_grows_old_too() -> None:
    now = [0.0]
    store = MemoryUploadedFileManager("/upload")
    unread = Unread(store, lambda: now[0])
    store.add_file("ann", UploadedFileRec("1", "n" * 5000, "", b""))
    assert unread.bytes_by_session() == {"ann": 5000 + RECORD_BYTES}
    now[0] = PATIENCE + 1
    assert unread.bytes_by_session() == {}
