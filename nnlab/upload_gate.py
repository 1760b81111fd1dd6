"""The gate for uploads: lets a file's bytes into the server only within a budget, before they are read.

Streamlit 1.67 takes any number of files of any name from anybody who has opened a page, up to
`server.maxUploadSize` each, and keeps them until the session ends: eight of 50 MB grew a process by 400 MB.
The gate is an ASGI application in front of the server's own. It counts what is kept, which the server
tells, and what is on its way, which only the gate knows.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

ROUTE = "/_stcore/upload_file/"
FILE_BYTES = 5 * 2**20  # as server.maxUploadSize in .streamlit/config.toml says
FRAME_BYTES = 2**20  # what Streamlit allows around a file: its name, and the lines that divide a form
TIMED_OUT, TOO_LARGE, TOO_MANY, BUSY = 408, 413, 429, 503


@dataclass(frozen=True)
class Budget:
    """How many bytes of files the server holds that no page has read yet; a page lets go what it has read.

    `visitor` is for one session, `everyone` for all. `at_once` uploads are on their way, `waiting` more wait
    for one of these to end, no longer than `patience` seconds. An upload takes at most `duration` seconds.
    """

    visitor: int = 12_000_000  # two files of the largest size
    everyone: int = 36_000_000  # of the 690 MB of a small host, 330 are taken at rest and 128 by two runs
    at_once: int = 4  # each may take a file's size in memory twice while it is read
    waiting: int = 60  # two for each of a class
    patience: float = 20.0
    duration: float = 60.0  # 5 MB over a slow mobile line


class _NotLetIn(Exception):
    """Why an upload is not let in: a status of HTTP, and a sentence."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class UploadGate:
    """An ASGI application that answers for `app` where an upload is over the budget.

    `held()` tells the bytes that the server keeps by session.
    """

    def __init__(self, app: App, held: Callable[[], Mapping[str, int]], budget: Budget | None = None) -> None:
        self._app = app
        self._held = held
        self._budget = budget or Budget()
        self._free = asyncio.Semaphore(self._budget.at_once)
        self._waiting = 0
        self._coming: Counter[str] = Counter()  # bytes on their way by session

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Let a request through, or answer an upload that is over the budget."""
        if scope["type"] != "http" or scope["method"] != "PUT" or ROUTE not in scope["path"]:
            await self._app(scope, receive, send)
            return
        try:
            await self._wait_for_a_place()
        except _NotLetIn as refusal:
            await _answer(refusal, send)
            return
        try:
            await self._upload(scope, receive, send)
        except _NotLetIn as refusal:
            await _answer(refusal, send)
        finally:
            self._free.release()

    async def _wait_for_a_place(self) -> None:
        """Wait until few enough uploads are on their way."""
        if not self._free.locked():
            await self._free.acquire()  # at once
            return
        if self._waiting >= self._budget.waiting:
            raise _busy()
        self._waiting += 1
        try:
            await asyncio.wait_for(self._free.acquire(), self._budget.patience)
        except TimeoutError:
            raise _busy() from None
        finally:
            self._waiting -= 1

    async def _upload(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Let an upload through that is within the budget and ends in time."""
        session = scope["path"].split(ROUTE, 1)[1].split("/", 1)[0]
        size = announced_size(scope)
        self._judge(session, size)
        self._coming[session] += size
        try:
            await asyncio.wait_for(self._app(scope, receive, send), self._budget.duration)
        except TimeoutError:
            raise _NotLetIn(TIMED_OUT, f"The upload took over {self._budget.duration:g} seconds.") from None
        finally:
            self._coming[session] -= size
            self._coming += Counter()  # sessions with nothing on its way are forgotten

    def _judge(self, session: str, size: int) -> None:
        budget, held = self._budget, self._held()
        if size > FILE_BYTES + FRAME_BYTES:
            raise _NotLetIn(TOO_LARGE, f"The file is larger than {FILE_BYTES:,} bytes.")
        if held.get(session, 0) + self._coming[session] + size > budget.visitor:
            most = f"{budget.visitor:,} bytes"
            raise _NotLetIn(TOO_MANY, f"All files of a visit that wait to be read take at most {most}.")
        if sum(held.values()) + self._coming.total() + size > budget.everyone:
            raise _busy()


def _busy() -> _NotLetIn:
    return _NotLetIn(BUSY, "Too many files are being uploaded. Try again in a minute.")


def announced_size(scope: Mapping[str, Any]) -> int:
    """Give the bytes that a request will bring; the most that there may be where it does not say so."""
    said = [value for name, value in scope["headers"] if name == b"content-length"]
    if len(said) == 1 and said[0].isdigit() and len(said[0]) <= 18:
        return int(said[0])
    return FILE_BYTES + FRAME_BYTES


async def _answer(refusal: _NotLetIn, send: Send) -> None:
    body = str(refusal).encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    # What is still on its way is not read: the connection ends.
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
