"""The visitor of the load benchmark: when it holds an interaction for ended."""

from __future__ import annotations

import asyncio

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks.visitor import Seen, Visitor, _Waiting

EARLY = ForwardMsg.FINISHED_EARLY_FOR_RERUN
OWN, OTHER = ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY, ("other",)


def begun(run: str, *fragments: str) -> ForwardMsg:
    message = ForwardMsg()
    message.new_session.page_script_hash = "page"
    message.metadata.run.script_run_id = run
    message.metadata.run.fragment_ids.extend(fragments)
    return message


def ended(status: int) -> ForwardMsg:
    message = ForwardMsg()
    message.script_finished = status  # type: ignore[assignment]
    return message


async def waited(*messages: ForwardMsg, fragment: str = "own") -> float | None:
    """Give at which message, from 1 on, a click in a fragment is held for answered."""
    visitor = Visitor("http://nowhere", Seen())
    waiting = _Waiting(fragment, asyncio.get_running_loop().create_future())
    visitor._waiting.append(waiting)
    for number, message in enumerate(messages, 1):
        kind = message.WhichOneof("type")
        getattr(visitor, f"_on_{kind}")(message, float(number))
    return waiting.done.result() if waiting.done.done() else None


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ((begun("a", "own"), ended(OWN)), 2),
        ((begun("a", *OTHER), ended(OWN)), None),
        # Its end was still to be sent when another fragment's timer came: it had ended.
        ((begun("a", "own"), ended(EARLY), begun("b", *OTHER), ended(OWN)), 2),
        # Broken off for the whole page, or for itself once more: that one is waited for.
        ((begun("a", "own"), ended(EARLY), begun("b"), ended(ForwardMsg.FINISHED_SUCCESSFULLY)), 4),
        ((begun("a", "own"), ended(EARLY), begun("b", "own", *OTHER), ended(OWN)), 4),
        ((begun("a", "own"), begun("b"), ended(ForwardMsg.FINISHED_SUCCESSFULLY)), 3),
        ((begun("a", "own"), ended(EARLY)), None),
    ],
)
def test_a_click_in_a_fragment_is_answered_by_the_run_that_draws_it(messages, expected):
    assert asyncio.run(waited(*messages)) == expected


def test_a_click_on_the_page_waits_for_a_run_of_the_page():
    whole = ended(ForwardMsg.FINISHED_SUCCESSFULLY)
    assert asyncio.run(waited(begun("a", *OTHER), ended(OWN), begun("b"), whole, fragment="")) == 4
    assert asyncio.run(waited(begun("a"), ended(EARLY), begun("b"), whole, fragment="")) == 4
