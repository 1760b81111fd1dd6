"""A visitor without a browser: speaks Streamlit's websocket protocol, and can say in it whatever it likes."""

from __future__ import annotations

import contextlib
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

PATIENCE = 30.0  # seconds; far more than any page takes


class RawVisitor:
    """One session of a running dashboard.

    `widgets` are the ids of the page's widgets by key (by kind where there is none), with their kinds;
    `fragments` is what each of them draws anew; `kinds` is what was drawn, in order; `texts` is what the
    page says as plain text; `trouble` is what it shows of exceptions.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.session = ""
        self.script = ""
        self.widgets: dict[str, tuple[str, str]] = {}
        self.fragments: dict[str, str] = {}
        self.kinds: list[str] = []
        self.trouble: list[str] = []
        self.texts: list[str] = []
        self.query = ""

    def run(self, query: str = "", page: str = "", fragment: str = "", **states: Any) -> bool:
        """Ask for a run of the page with these states of widgets; tell whether it ended as it should."""
        message = BackMsg()
        message.rerun_script.fragment_id = fragment
        message.rerun_script.query_string = query
        message.rerun_script.page_name = page
        message.rerun_script.page_script_hash = self.script if not page else ""
        for identity, state in states.items():
            widget = message.rerun_script.widget_states.widgets.add(id=identity)
            kind, value = state
            if hasattr(value, "CopyFrom") or kind.endswith("array_value"):
                getattr(widget, kind).MergeFrom(value)
            else:
                setattr(widget, kind, value)
        self._connection.send(message.SerializeToString())
        return self._listen()

    def send_and_wait_for_the_end(self, content: bytes) -> None:
        """Send bytes as they are, and read until the server ends the connection: raises ConnectionClosed."""
        self._connection.send(content)
        while True:
            self._connection.recv(timeout=PATIENCE)

    def _listen(self) -> bool:
        self.trouble, self.texts, self.widgets, self.fragments, self.kinds = [], [], {}, {}, []
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            message = ForwardMsg()
            message.ParseFromString(self._connection.recv(timeout=end - time.monotonic()))
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.session = message.new_session.initialize.session_id
                self.script = message.new_session.page_script_hash
            elif kind == "delta":
                self._see(message.delta)
            elif kind == "page_info_changed":
                self.query = message.page_info_changed.query_string
            elif kind == "session_event" and message.session_event.HasField("script_compilation_exception"):
                self.trouble.append(str(message.session_event.script_compilation_exception))
            elif kind == "script_finished":
                done = ForwardMsg.ScriptFinishedStatus
                if message.script_finished != done.FINISHED_EARLY_FOR_RERUN:
                    well = (done.FINISHED_SUCCESSFULLY, done.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
                    return message.script_finished in well
        return False

    def _see(self, delta: Any) -> None:
        if delta.WhichOneof("type") != "new_element":
            part = getattr(delta, "add_block", None)
            kind = part.WhichOneof("type") if part is not None else None
            inner = getattr(part, kind) if kind else None
        else:
            kind = delta.new_element.WhichOneof("type")
            inner = getattr(delta.new_element, kind)
        self.kinds.append(kind or "")
        if kind == "exception":
            self.trouble.append(f"{inner.type}: {inner.message} {' '.join(inner.stack_trace)}")
        if kind in ("text", "markdown", "alert"):
            self.texts.append(inner.body)
        identity = getattr(inner, "id", "")
        if isinstance(identity, str) and identity.startswith("$$"):
            key = identity.rsplit("-", 1)[-1]
            self.widgets[identity] = (kind or "", key)
            self.fragments[identity] = delta.fragment_id


@contextlib.contextmanager
def visit(address: str) -> Iterator[RawVisitor]:
    """Connect to a running dashboard."""
    url = address.replace("http://", "ws://") + "/_stcore/stream"
    with connect(url, max_size=None, subprotocols=["streamlit"], compression=None) as connection:
        yield RawVisitor(connection)


def token(address: str) -> str:
    """Give what the server wants to see with an upload; every visitor gets one."""
    with urllib.request.urlopen(f"{address}/_stcore/health", timeout=PATIENCE) as response:
        cookies = SimpleCookie(response.headers["Set-Cookie"])
    return cookies["_streamlit_xsrf"].value


def upload(address: str, session: str, name: str, content: bytes, file_id: str = "") -> int:
    """Send a file as a browser does, or with an id of one's own; give the answer's status."""
    sign = token(address)
    line = "nnlab-visitor"
    head = f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{line}--\r\n".encode()
    request = urllib.request.Request(
        f"{address}/_stcore/upload_file/{session}/{file_id or uuid.uuid4()}",
        body,
        {
            "Cookie": f"_streamlit_xsrf={sign}",
            "X-Xsrftoken": sign,
            "Content-Type": f"multipart/form-data; boundary={line}",
        },
        method="PUT",
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return int(error.code)
    except (urllib.error.URLError, ConnectionError):  # refused before all of it was sent
        return 0
