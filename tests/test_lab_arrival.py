"""The lab's page waits once, where timers have just ended, until what it drew has been sent."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from streamlit import runtime
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

from pages.parts import lab, sent


def test_it_waits_once_where_timers_have_just_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[bool] = []
    state: dict[str, bool] = {}
    monkeypatch.setattr(lab, "await_sent", lambda: waits.append(True))
    monkeypatch.setattr(lab, "st", SimpleNamespace(session_state=state))
    counts = []
    for ticking in (False, True, True, False, False, True, False):
        state[lab.TICKING] = ticking
        lab._let_arrive()
        counts.append(len(waits))
    assert counts == [0, 0, 0, 1, 1, 1, 2]


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> ForwardMsgQueue:
    """Give the queue of a session whose messages are handed on when the test says so."""
    loop = asyncio.new_event_loop()
    session = create_autospec(AppSession, instance=True)
    session._event_loop, session._browser_queue = loop, ForwardMsgQueue()
    session._browser_queue.enqueue(ForwardMsg(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY))
    monkeypatch.setattr(sent, "get_script_run_ctx", lambda: SimpleNamespace(session_id="one"))
    monkeypatch.setattr(
        runtime, "get_instance", lambda: SimpleNamespace(get_app_session=lambda name: session)
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield session._browser_queue
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_what_is_to_be_sent_is_waited_for(queue: ForwardMsgQueue) -> None:
    threading.Timer(0.1, queue.flush).start()
    begin = time.monotonic()
    sent.await_sent()
    assert 0.1 <= time.monotonic() - begin < sent.MOST_SECONDS


def test_a_page_that_was_sent_waits_no_longer(queue: ForwardMsgQueue) -> None:
    queue.flush()
    begin = time.monotonic()
    sent.await_sent()
    assert time.monotonic() - begin < 0.1


def test_nobody_waits_for_a_line_that_is_broken(
    queue: ForwardMsgQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sent, "MOST_SECONDS", 0.05)
    begin = time.monotonic()
    sent.await_sent()
    assert 0.05 <= time.monotonic() - begin < 5


def test_where_there_is_no_server_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sent, "get_script_run_ctx", lambda: None)
    sent.await_sent()
