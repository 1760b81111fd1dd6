"""A visitor who says whatever it likes to a running server: no traceback, no crash, no way to fill it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import browsing
import pytest
from raw_visitor import RawVisitor, upload, visit
from streamlit.proto.Common_pb2 import (
    DoubleArray,
    FileUploaderState,
    FileURLs,
    SInt64Array,
    StringArray,
    UploadedFileInfo,
)
from websockets.exceptions import ConnectionClosed

from nnlab.hosting import HOSTED_VARIABLE

FILE = b"x" * 5_000_000
SCRIPT = "<img src=x onerror=alert(1)> [a](javascript:alert(1)) $x$ :material/home:"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Start the dashboard as a public one; a visit that has ended is forgotten after a second."""
    settings = {HOSTED_VARIABLE: "1", "STREAMLIT_SERVER_DISCONNECTED_SESSION_TTL": "1"}
    with browsing.serve(browsing.ROOT, {**os.environ, **settings}) as (address, server):
        yield address
        assert server.poll() is None, "the server has ended"


def doubles(*values: float) -> tuple[str, Any]:
    return "double_array_value", DoubleArray(data=values)


def texts(*values: str) -> tuple[str, Any]:
    return "string_array_value", StringArray(data=values)


def a_file(file_id: str, name: str = "table.csv", size: int = 5) -> tuple[str, Any]:
    info = UploadedFileInfo(file_id=file_id, name=name, size=size, file_urls=FileURLs(file_id=file_id))
    return "file_uploader_state_value", FileUploaderState(uploaded_file_info=[info])


def identity(visitor: RawVisitor, key: str) -> str:
    return next(name for name, (_, found) in visitor.widgets.items() if found == key)


# What a browser never says: by page, widget and value. Values of the right kind must not even be an error.
RIGHT = {
    ("dataset=csv", "", "field_depth"): [texts(SCRIPT), texts(), texts("٣"), texts("5", "6")],
    ("dataset=csv", "", "field_gain"): [("double_value", math.nan), ("double_value", -math.inf)],
    ("dataset=csv", "", "field_activation"): [("string_value", SCRIPT), ("string_value", "9" * 300_000)],
    ("dataset=csv", "", "field_normalization"): [texts(SCRIPT), texts("layer", "layer", "batch"), texts()],
    ("dataset=csv", "", "own_upload"): [a_file("never-there"), a_file("../../etc/passwd")],
    ("dataset=csv", "", "tabs"): [("string_value", SCRIPT)],
    ("", "Sweep", "sweep_seeds"): [doubles(math.nan), doubles(math.inf), doubles(-3.5)],
    ("", "Sweep", "sweep_values_activation"): [texts(*["x"] * 3000), texts("relu", "relu")],
    ("", "Sweep", "sweep_learning_rate"): [("double_value", math.nan), ("double_value", -1e300)],
    ("", "Your_model", "model_file"): [a_file("never-there", "run.jsonl")],
}
WRONG = [
    ("int_value", 2**62),
    ("bool_value", True),
    ("double_value", math.nan),
    ("string_value", SCRIPT),
    ("bytes_value", b"\0\xff"),
    ("json_value", "[" * 5000),
    ("trigger_value", True),
    doubles(math.nan),
    ("int_array_value", SInt64Array(data=[-1] * 1000)),
    texts("constructor"),
    a_file("never-there"),
]


@pytest.mark.parametrize(("query", "page"), dict.fromkeys((query, page) for query, page, _ in RIGHT))
def test_values_that_no_browser_sends_are_no_error(address: str, query: str, page: str) -> None:
    wanted = {key: states for (q, p, key), states in RIGHT.items() if (q, p) == (query, page)}
    with visit(address) as visitor:
        assert visitor.run(query, page)
        known = {key: identity(visitor, key) for key in wanted}
        for states in zip_longest(*wanted.values()):
            said = {known[key]: state for key, state in zip(wanted, states, strict=True) if state}
            assert visitor.run(**said)
            assert not visitor.trouble


def test_values_of_the_wrong_kind_show_nothing_of_the_inside_and_spoil_no_other_visit(address: str) -> None:
    """Streamlit reads them, and says so in its own words, for the rest of the visit; others go on."""
    with visit(address) as visitor, visit(address) as other:
        assert visitor.run()
        assert other.run()
        known = {found: name for name, (_, found) in visitor.widgets.items()}
        for state in WRONG:
            keys = ("field_depth", "field_gain", "field_dataset", "field_residual", "share", "rescue")
            visitor.run(**{known[key]: state for key in keys})
            assert "File " not in "".join(visitor.trouble)
            assert str(browsing.ROOT) not in "".join(visitor.trouble)
        assert other.run(**{identity(other, "field_depth"): texts("4")})
        assert (other.trouble, "depth=4" in other.query) == ([], True)


@pytest.mark.parametrize("size", [100, 1_100_000, 11_000_000])
def test_frames_that_are_no_message_end_the_connection_and_nothing_else(address: str, size: int) -> None:
    with visit(address) as visitor, visit(address) as other:
        with pytest.raises(ConnectionClosed):
            visitor.send_and_wait_for_the_end(b"\xff" * size)
        assert other.run()


def test_a_link_of_any_length_is_answered_in_few_words(address: str) -> None:
    for page in ("", "Sweep"):
        with visit(address) as visitor:
            assert visitor.run("&".join(f"a{number}={'x' * 100}" for number in range(900)), page)
            assert not visitor.trouble
            assert len(visitor.query) < 1000
            (said,) = [text for text in visitor.texts if "The link has" in text]
            assert said.endswith("is not read; allowed: at most 16,000.")
        with visit(address) as visitor:
            assert visitor.run("&".join(f"a{number}=1" for number in range(900)) + "&seed=1&seed=2", page)
            (said,) = [text for text in visitor.texts if "names no such" in text]
            assert said.splitlines()[-1] == "And 889 more like these."


def test_uploads_of_a_visit_are_limited_and_freed_when_it_ends(address: str) -> None:
    with visit(address) as visitor:
        visitor.run()
        assert upload(address, "nobody", "a.csv", b"x") == 400
        assert upload(address, visitor.session, "evil.exe", FILE, "an-id-of-my-own") == 204
        assert upload(address, visitor.session, "a.csv", FILE) == 204
        refused = [upload(address, visitor.session, "a.csv", FILE) for _ in range(3)]
        assert set(refused) <= {0, 429}  # 0: the connection ended before all was sent
        with visit(address) as other:
            other.run()
            assert [upload(address, other.session, "a.csv", FILE) for _ in range(2)] == [204, 204]
            with visit(address) as third:
                third.run()
                statuses = [upload(address, third.session, "a.csv", FILE) for _ in range(4)]
                assert statuses.count(204) <= 3  # 36 MB for everybody
    deadline = time.monotonic() + 20
    statuses = []
    while statuses[-2:] != [204, 204] and time.monotonic() < deadline:
        time.sleep(1.1)
        with visit(address) as fourth:  # a server looks after what has ended when somebody comes
            fourth.run()
            statuses += [upload(address, fourth.session, "a.csv", FILE) for _ in range(2)]
    assert statuses[-2:] == [204, 204]


def test_a_file_that_was_read_takes_none_of_the_budget_any_more(address: str) -> None:
    rows = [b"%d,%d,%s,%d\n" % (i % 7, i % 5, b"x" * 120_000, i % 3) for i in range(40)]
    table = b"a,b,note,y\n" + b"".join(rows)  # 4.8 MB
    with visit(address) as visitor:
        visitor.run("dataset=csv")
        key = identity(visitor, "own_upload")
        for number in range(4):  # two would fill it
            name = f"table-{number}"
            assert upload(address, visitor.session, f"{name}.csv", table, name) == 204
            assert visitor.run(**{key: a_file(name, f"{name}.csv", len(table))})
            assert not visitor.trouble
            assert [text for text in visitor.texts if text.startswith(f"{name}.csv. Classification")]
        assert visitor.run(**{key: a_file(name, f"{name}.csv", len(table))})  # it is still there
        assert [text for text in visitor.texts if text.startswith(f"{name}.csv. Classification")]
