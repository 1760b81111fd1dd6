"""A visitor without a browser: a websocket that speaks Streamlit's messages and remembers what a tab would.

A tab parses, draws and waits; this one only parses, so that fifty of them fit beside the server on two cores.
What it sends is what a tab sends: widget values, page changes, the timers of fragments, uploads, downloads.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import websockets
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileURLs
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets import Subprotocol

from benchmarks import http

PATIENCE = 60.0  # seconds; who waits longer has met an error, not a slow server
LOOK_SECONDS = 0.5  # how often one who waits looks whether what was clicked is still there
ENDED_WELL = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
# A canary is a word that one visitor brings and that no other may ever be sent.
CANARY = re.compile(rb"canary[0-9a-f]{12}")
VALUES = {
    "slider": "double_array_value",
    "selectbox": "string_value",
    "number_input": "double_value",
    "button_group": "string_array_value",
    "multiselect": "string_array_value",
    "checkbox": "bool_value",
    "text_input": "string_value",
    "button": "trigger_value",
    "popover": "bool_value",
    "expandable": "bool_value",
    "tab_container": "string_value",
}


class _Replaced(Exception):
    """The page was drawn anew while a click was on its way; Streamlit drops such a click."""


class Broken(Exception):
    """What a visitor must never see: an exception on the page, a closed connection, no answer."""


@dataclass
class Widget:
    """A widget on the page: its id for the server, its kind, its message, the fragment it belongs to."""

    id: str
    kind: str
    message: Any
    fragment: str


@dataclass
class _Waiting:
    """An interaction that waits for the script run it caused."""

    fragment: str
    done: asyncio.Future[float]
    run: str = ""
    early: float = 0.0  # when the run ended "early", if it did

    def is_for(self, fragments: tuple[str, ...]) -> bool:
        """Whether a run of fragments, or with none of the whole page, may be what it waits for."""
        return not fragments or self.fragment in fragments

    def has_ended(self, next_run: tuple[str, ...]) -> bool:
        """Whether its run came to its end, as told by the fragments of the next one.

        A run whose end is still to be sent when the next one begins is said to have ended early. But runs
        of fragments break off no run: only one that draws it all, or itself again, may stand in its place.
        """
        return bool(self.early and self.fragment) and not self.done.done() and not self.is_for(next_run)


@dataclass
class Seen:
    """What all visitors of a crowd were sent and asked: shared by them."""

    seconds: list[tuple[str, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # what pages said in red
    foreign: list[str] = field(default_factory=list)
    dropped: int = 0  # clicks that came while the page was drawn anew, and were made again
    canaries: int = 0
    bytes: int = 0
    frames: int = 0


class Visitor:
    """One tab. Use it as an async context manager; every interaction gives its seconds and notes them."""

    def __init__(self, address: str, seen: Seen, name: str = "", canary: str = "") -> None:
        self.address, self.seen, self.name = address.rstrip("/"), seen, name
        self.canary = canary or f"canary{uuid.uuid4().hex[:12]}"
        self.query = ""
        self.pages: dict[str, str] = {}
        self.session = ""
        self.page = ""
        self._elements: dict[tuple[int, ...], Widget | Any] = {}
        self._of_run: dict[tuple[int, ...], str] = {}
        self._roots: dict[str, tuple[str, tuple[int, ...]]] = {}  # of fragments: the run, and the first path
        self._states: dict[str, WidgetState] = {}
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._running: tuple[str, tuple[str, ...]] = ("", ())
        self._waiting: list[_Waiting] = []
        self._answers: dict[str, asyncio.Future[Any]] = {}
        self._cookie = ""

    async def __aenter__(self) -> Visitor:
        url = f"ws{self.address.removeprefix('http')}/_stcore/stream"
        self._socket = await websockets.connect(
            url, subprotocols=[Subprotocol("streamlit")], max_size=None, ping_interval=None, compression=None
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Close the tab."""
        for timer in self._timers.values():
            timer.cancel()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._reader
        await self._socket.close()

    def kill(self) -> None:
        """End as a killed tab does: no closing words, the line just goes dead."""
        for timer in self._timers.values():
            timer.cancel()
        self._reader.cancel()
        self._socket.transport.abort()

    # What the visitor does

    async def open(self, page: str = "", **query: Any) -> float:
        """Open a page by its address; give the seconds until it is drawn."""
        self.query, self.page = urlencode(query), ""
        self._states.clear()
        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.page_name = page
        return self._note("open", await self._act("open", message))

    async def go(self, page: str) -> float:
        """Go to a page by the menu: "Your_model", or "" for the lab."""
        self.query = ""
        message = BackMsg()
        message.rerun_script.page_script_hash = self.pages[page]
        return self._note("page", await self._act("page", message))

    async def set(self, key: str, value: Any, label: str = "change") -> float:
        """Change the widget with a key as a visitor does; give the seconds until the script has finished."""
        start = time.perf_counter()
        while True:
            try:
                end = time.perf_counter() + await self._set(key, value, label)
                return self._note(label, end - start)
            except _Replaced:
                self.seen.dropped += 1
                if not self.has(key):
                    return time.perf_counter() - start  # what was clicked is gone for good

    async def _set(self, key: str, value: Any, label: str) -> float:
        widget = self.widget(key)
        state = WidgetState(id=widget.id)
        name = "string_array_value" if _has_words(widget) else VALUES[widget.kind]
        if name.endswith("array_value"):
            getattr(state, name).data.extend(value if isinstance(value, (list, tuple)) else [value])
        else:
            setattr(state, name, value)
        return await self._send_state(widget, state, label)

    async def press(self, key: str, label: str = "press") -> float:
        """Press a button."""
        return await self.set(key, True, label)

    async def upload(self, key: str, name: str, content: bytes) -> float:
        """Choose a file in an uploader; the seconds are those of the script run after its last byte."""
        widget = self.widget(key)
        urls = await self._upload_place(name)
        status = await self.put(urls.upload_url, name, content)
        if status >= 300:
            raise Refusal(f"the upload was answered with {status}")
        state = WidgetState(id=widget.id)
        info = state.file_uploader_state_value.uploaded_file_info.add()
        info.name, info.size, info.file_id = name, len(content), urls.file_id
        info.file_urls.CopyFrom(urls)
        return self._note("upload", await self._send_state(widget, state, "upload"))

    async def put(self, path: str, name: str, content: bytes) -> int:
        """Send a file to an upload address of this session; give the status of the answer."""
        if not self._cookie:
            self._cookie = await http.xsrf_cookie(self.address)
        return await http.put_file(self.address, path, self._cookie, name, content)

    async def download(self, key: str) -> bytes:
        """Press a download button whose file is made when it is asked for; give the file."""
        widget = self.widget(key)
        message, request = BackMsg(), uuid.uuid4().hex
        message.backend_operation_request.request_id = request
        message.backend_operation_request.session_id = self.session
        message.backend_operation_request.deferred_file.file_id = widget.message.deferred_file_id
        answer = await self._ask(request, message)
        if answer.error_msg:
            raise Broken(f"download of {key}: {answer.error_msg}")
        return await http.get(self.address, answer.deferred_file.url)

    # What the visitor sees

    def has(self, key: str) -> bool:
        """Whether a widget with a key is on the page."""
        return any(True for _ in self._with_key(key))

    async def until(self, key: str, patience: float = PATIENCE) -> None:
        """Wait until a widget with a key is on the page."""
        end = time.monotonic() + patience
        while not self.has(key):
            if time.monotonic() > end:
                raise Broken(f"{self.name}: no widget {key} came within {patience:.0f} s")
            await asyncio.sleep(0.05)

    def widget(self, key: str) -> Widget:
        """Give the widget with a key."""
        for widget in self._with_key(key):
            return widget
        raise Broken(f"{self.name}: no widget {key} on page {self.page or 'lab'}")

    @property
    def where(self) -> str:
        """The page's name in the address, "lab" for the first one."""
        return next((name for name, page in self.pages.items() if name and page == self.page), "lab")

    def shown(self) -> list[str]:
        """List the keys of the widgets on the page."""
        return [w.id.split("-", 2)[2] for w in self._elements.values() if isinstance(w, Widget)]

    def texts(self) -> str:
        """Give all words on the page, one element a line."""
        found = (self._text(element) for element in list(self._elements.values()))
        return "\n".join(text for text in found if text)

    # How it works

    def _note(self, label: str, seconds: float) -> float:
        self.seen.seconds.append((label, seconds))
        return seconds

    def _with_key(self, key: str) -> Iterator[Widget]:
        for found in self._elements.values():
            if isinstance(found, Widget) and found.id.endswith(f"-{key}"):
                yield found

    @staticmethod
    def _text(element: Any) -> str:
        message = element.message if isinstance(element, Widget) else element
        return " ".join(str(getattr(message, name, "")) for name in ("label", "body", "text")).strip()

    async def _send_state(self, widget: Widget, state: WidgetState, label: str) -> float:
        message = BackMsg()
        if widget.kind == "button":
            states = {**self._states, widget.id: state}
        else:
            self._states[widget.id] = state
            states = self._states
        message.rerun_script.widget_states.widgets.extend(states.values())
        message.rerun_script.fragment_id = widget.fragment
        return await self._act(label, message, widget.fragment)

    def _fill(self, message: BackMsg) -> None:
        rerun = message.rerun_script
        rerun.query_string = self.query
        if not rerun.page_script_hash and not rerun.page_name:
            rerun.page_script_hash = self.page
        rerun.context_info.timezone = "UTC"
        rerun.context_info.locale = "en-US"
        rerun.context_info.color_scheme = "light"
        rerun.context_info.url = f"{self.address}/"

    async def _act(self, label: str, message: BackMsg, fragment: str = "") -> float:
        """Send what an interaction sends, and wait until the script run that it causes has finished."""
        self._fill(message)
        waiting = _Waiting(fragment, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        start = time.perf_counter()
        await self._send(message)
        try:
            while not waiting.done.done():
                await asyncio.wait([waiting.done], timeout=LOOK_SECONDS)
                if time.perf_counter() - start > PATIENCE:
                    raise Broken(f"{self.name}: no end of {label} within {PATIENCE:.0f} s")
                if not waiting.run and fragment and not self._has_fragment(fragment):
                    raise _Replaced
        finally:
            self._waiting.remove(waiting)
        return waiting.done.result() - start

    def _has_fragment(self, fragment: str) -> bool:
        return any(isinstance(e, Widget) and e.fragment == fragment for e in self._elements.values())

    async def _send(self, message: BackMsg) -> None:
        try:
            await self._socket.send(message.SerializeToString())
        except websockets.ConnectionClosed as closed:
            raise Broken(f"{self.name}: connection closed ({closed.code})") from None

    async def _ask(self, request: str, message: BackMsg) -> Any:
        self._answers[request] = asyncio.get_running_loop().create_future()
        await self._send(message)
        try:
            return await asyncio.wait_for(self._answers[request], PATIENCE)
        finally:
            del self._answers[request]

    async def _upload_place(self, name: str) -> FileURLs:
        message, request = BackMsg(), uuid.uuid4().hex
        message.file_urls_request.request_id = request
        message.file_urls_request.session_id = self.session
        message.file_urls_request.file_names.append(name)
        answer = await self._ask(request, message)
        if answer.error_msg:
            raise Refusal(answer.error_msg)
        return answer.file_urls[0]

    async def _read(self) -> None:
        """Take in what the server sends until the connection ends."""
        try:
            async for data in self._socket:
                at = time.perf_counter()
                assert isinstance(data, bytes)
                self._look_for_canaries(data)
                message = ForwardMsg()
                message.ParseFromString(data)
                getattr(self, f"_on_{message.WhichOneof('type')}", self._on_other)(message, at)
        except websockets.ConnectionClosed as closed:
            self._fail(Broken(f"{self.name}: connection closed ({closed.code})"))
        except Broken as broken:
            self._fail(broken)

    def _fail(self, broken: Broken) -> None:
        waiting = [w.done for w in self._waiting] + list(self._answers.values())
        self.seen.errors.append(str(broken))
        for future in waiting:
            if not future.done():
                future.set_exception(broken)

    def _look_for_canaries(self, data: bytes) -> None:
        self.seen.bytes += len(data)
        self.seen.frames += 1
        for found in CANARY.findall(data):
            self.seen.canaries += 1
            if found.decode() != self.canary:
                self.seen.foreign.append(f"{self.name} was sent {found.decode()}")

    # What the server says

    def _on_other(self, message: ForwardMsg, at: float) -> None:
        """Pass over messages that a tab only shows."""

    def _on_new_session(self, message: ForwardMsg, at: float) -> None:
        new, run = message.new_session, message.metadata.run
        self._running = (run.script_run_id, tuple(run.fragment_ids))
        self.session = new.initialize.session_id or self.session
        if not run.fragment_ids:
            self.page = new.page_script_hash or self.page
            self._stop_timers(list(self._timers))
        for waiting in self._waiting:
            if waiting.has_ended(tuple(run.fragment_ids)):
                waiting.done.set_result(waiting.early)
            # The run before may have been broken off for this one: of that, Streamlit says nothing.
            elif waiting.run or waiting.is_for(tuple(run.fragment_ids)):
                waiting.run = run.script_run_id

    def _on_script_finished(self, message: ForwardMsg, at: float) -> None:
        status = message.script_finished
        run, fragments = self._running
        self._drop_stale(run, fragments)
        for waiting in self._waiting:
            if not waiting.run or waiting.done.done():
                continue
            if status in ENDED_WELL and waiting.run == run:
                waiting.done.set_result(at)
            elif waiting.run == run:
                waiting.run, waiting.early = "", at  # ended early for the run that comes now
        if status == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            self._fail(Broken(f"{self.name}: a script that cannot be compiled"))

    def _drop_stale(self, run: str, fragments: tuple[str, ...]) -> None:
        """Forget what a finished run has not drawn again."""
        for path, of_run in list(self._of_run.items()):
            if of_run == run:
                continue
            # What a fragment holds is below its first block, the fragments within it too.
            if not fragments or any(self._is_below(path, fragment) for fragment in fragments):
                del self._elements[path], self._of_run[path]
        present = {element.id for element in self._elements.values() if isinstance(element, Widget)}
        self._states = {name: state for name, state in self._states.items() if name in present}

    def _is_below(self, path: tuple[int, ...], fragment: str) -> bool:
        root = self._roots[fragment][1] if fragment in self._roots else None
        return root is not None and path[: len(root)] == root

    def _on_delta(self, message: ForwardMsg, at: float) -> None:
        path, delta = tuple(message.metadata.delta_path), message.delta
        run = self._running[0]
        if delta.fragment_id and self._roots.get(delta.fragment_id, ("",))[0] != run:
            self._roots[delta.fragment_id] = (run, path)
        kind = delta.WhichOneof("type")
        if kind == "new_element":
            name: str | None = delta.new_element.WhichOneof("type")
            content: Any = getattr(delta.new_element, name) if name else None
        else:
            name = delta.add_block.WhichOneof("type") if kind == "add_block" else None
            content = getattr(delta.add_block, name) if name else None
        if name == "exception":
            self._fail(Broken(f"{self.name}: exception on the page: {content.type} {content.message}"))
        if name == "alert" and content.format == Alert.ERROR:
            self.seen.failures.append(content.body)
        found = getattr(content, "id", "")
        key = (*path, -1) if kind == "add_block" else path
        self._elements[key] = (
            Widget(found, name or "", content, delta.fragment_id) if found.startswith("$$ID") else content
        )
        self._of_run[key] = run

    def _on_navigation(self, message: ForwardMsg, at: float) -> None:
        self.pages = {page.url_pathname: page.page_script_hash for page in message.navigation.app_pages}
        self.page = message.navigation.page_script_hash

    def _on_page_info_changed(self, message: ForwardMsg, at: float) -> None:
        self.query = message.page_info_changed.query_string

    def _on_auto_rerun(self, message: ForwardMsg, at: float) -> None:
        rerun = message.auto_rerun
        self._stop_timers([rerun.fragment_id])
        self._timers[rerun.fragment_id] = asyncio.create_task(self._tick(rerun.fragment_id, rerun.interval))

    def _on_stop_auto_rerun(self, message: ForwardMsg, at: float) -> None:
        self._stop_timers(list(message.stop_auto_rerun.fragment_ids))

    def _on_session_event(self, message: ForwardMsg, at: float) -> None:
        if message.session_event.WhichOneof("type") == "script_compilation_exception":
            self._fail(Broken(f"{self.name}: {message.session_event.script_compilation_exception.message}"))

    def _on_file_urls_response(self, message: ForwardMsg, at: float) -> None:
        self._answer(message.file_urls_response.response_id, message.file_urls_response)

    def _on_backend_operation_response(self, message: ForwardMsg, at: float) -> None:
        self._answer(message.backend_operation_response.request_id, message.backend_operation_response)

    def _answer(self, request: str, content: Any) -> None:
        waiting = self._answers.get(request)
        if waiting is not None and not waiting.done():
            waiting.set_result(content)

    def _stop_timers(self, fragments: list[str]) -> None:
        for fragment in fragments:
            if fragment in self._timers:
                self._timers.pop(fragment).cancel()

    async def _tick(self, fragment: str, seconds: float) -> None:
        """Ask for a fragment again and again, as a tab's timer does, whether or not it was answered."""
        while True:
            await asyncio.sleep(seconds)
            message = BackMsg()
            message.rerun_script.fragment_id = fragment
            message.rerun_script.is_auto_rerun = True
            message.rerun_script.widget_states.widgets.extend(self._states.values())
            self._fill(message)
            with contextlib.suppress(Broken):
                await self._send(message)


class Refusal(Exception):
    """The server did not take what a visitor sent, as it may."""


def _has_words(widget: Widget) -> bool:
    """Whether a slider runs over words instead of numbers."""
    return widget.kind == "slider" and len(widget.message.options) > 0
