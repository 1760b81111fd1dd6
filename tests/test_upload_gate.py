"""The gate for uploads: what it lets in, what it answers, and that it counts right when things go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nnlab.upload_gate import FILE_BYTES, FRAME_BYTES, Budget, UploadGate, announced_size

ALLOWED, PASSED = 204, 200
Handler = Callable[[], Awaitable[None]]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Server:
    """Stands in for Streamlit's: keeps what it is given, and answers 204."""

    def __init__(self, handle: Handler | None = None, **budget: Any) -> None:
        self.held: dict[str, int] = {}
        self.seen = 0
        self._handle = handle
        self.gate = UploadGate(self._app, lambda: self.held, Budget(**budget))

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen += 1
        if self._handle is not None:
            await self._handle()
        status = ALLOWED if scope["method"] == "PUT" else PASSED
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def put(self, session: str, size: int | None, path: str = "", method: str = "PUT") -> int:
        headers = [] if size is None else [(b"content-length", b"%d" % size)]
        path = path or f"/_stcore/upload_file/{session}/some-id"
        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        await self.gate(scope, receive, send)
        return int(sent[0]["status"])


def test_a_file_within_the_budget_comes_in_and_one_above_it_does_not() -> None:
    server = Server(visitor=1000, everyone=1500)
    assert asyncio.run(server.put("ann", 900)) == ALLOWED
    server.held["ann"] = 900
    assert asyncio.run(server.put("ann", 101)) == 429
    assert asyncio.run(server.put("bob", 600)) == ALLOWED
    server.held["bob"] = 600
    assert asyncio.run(server.put("cid", 1)) == 503
    assert server.seen == 2  # what is refused is never read
    server.held.clear()  # the pages have read the files
    assert asyncio.run(server.put("ann", 900)) == ALLOWED


def test_no_file_is_larger_than_one_may_be() -> None:
    server = Server(visitor=10**9, everyone=10**9)
    assert asyncio.run(server.put("ann", FILE_BYTES + FRAME_BYTES)) == ALLOWED
    assert asyncio.run(server.put("ann", FILE_BYTES + FRAME_BYTES + 1)) == 413


def test_one_that_does_not_say_its_size_counts_as_the_largest() -> None:
    server = Server(visitor=FILE_BYTES)
    assert asyncio.run(server.put("ann", None)) == 429


@pytest.mark.parametrize("said", [b"", b"-1", b"1e3", b" 5", "٣".encode(), b"9" * 40])
def test_a_size_that_is_no_number_counts_as_the_largest(said: bytes) -> None:
    assert announced_size({"headers": [(b"content-length", said)]}) == FILE_BYTES + FRAME_BYTES
    assert announced_size({"headers": [(b"content-length", b"5")] * 2}) == FILE_BYTES + FRAME_BYTES


def test_what_is_on_its_way_counts_until_it_is_there_or_fails() -> None:
    async def scene() -> None:
        go = asyncio.Event()

        async def wait() -> None:
            await go.wait()
            raise ConnectionError("the browser went away")

        server = Server(wait, visitor=1000)
        first = asyncio.create_task(server.put("ann", 600))
        await settle()
        assert await server.put("ann", 600) == 429
        go.set()
        with pytest.raises(ConnectionError):
            await first
        with pytest.raises(ConnectionError):  # let in
            await server.put("ann", 600)

    asyncio.run(scene())


def test_too_many_at_once_wait_and_then_give_up() -> None:
    async def scene() -> None:
        go = asyncio.Event()

        async def wait() -> None:
            await go.wait()

        server = Server(wait, at_once=2, waiting=1, patience=0.2)
        running = [asyncio.create_task(server.put("ann", 1)) for _ in range(2)]
        await settle()
        waiting = asyncio.create_task(server.put("bob", 1))
        await settle()
        assert await server.put("cid", 1) == 503  # no more may even wait
        assert await waiting == 503
        assert server.seen == 2
        go.set()
        assert await asyncio.gather(*running) == [ALLOWED, ALLOWED]
        assert await server.put("bob", 1) == ALLOWED

    asyncio.run(scene())


def test_one_that_waits_comes_in_when_another_ends() -> None:
    async def scene() -> None:
        go = asyncio.Event()

        async def wait() -> None:
            await go.wait()

        server = Server(wait, at_once=1)
        both = [asyncio.create_task(server.put(name, 1)) for name in ("ann", "bob")]
        await settle()
        assert server.seen == 1
        go.set()
        assert await asyncio.gather(*both) == [ALLOWED, ALLOWED]

    asyncio.run(scene())


def test_a_slow_upload_is_ended_and_its_place_is_free() -> None:
    async def scene() -> None:
        async def forever() -> None:
            await asyncio.Event().wait()

        server = Server(forever, at_once=1, duration=0.01)
        assert [await server.put("ann", 1), await server.put("ann", 1)] == [408, 408]

    asyncio.run(scene())


@pytest.mark.parametrize(("path", "method"), [("/", "PUT"), ("/_stcore/upload_file/a/b", "DELETE")])
def test_all_other_requests_pass(path: str, method: str) -> None:
    server = Server(visitor=0, everyone=0)
    assert asyncio.run(server.put("ann", 10, path, method)) in (ALLOWED, PASSED)
