"""A paper's small measurement run from its page: the button, how far it is, what it gave."""

from __future__ import annotations

import streamlit as st

from nnlab.field import Field
from nnlab.job_board import BOARD
from nnlab.jobs import Refused
from nnlab.paper import Paper
from nnlab.paper_job import PaperJob
from nnlab.paper_result import PaperResult
from pages.parts import begun
from pages.parts.address import Address, Choice
from pages.parts.complaint import complain
from pages.parts.progress import progress, say_notice
from pages.parts.runs import STOP_PATIENCE
from pages.parts.visitor import visitor

RUN = "papers_run"  # a live section finds its job by its name
CHOICE = Choice(Field(RUN, "text", "Run", ""), "")
ERROR = "error_papers_run"
ENDINGS = {
    "stopped": "Stopped before the end: there is no result.",
    "timed_out": "It took longer than a public server allows. Run it on your own machine.",
}


def _job(address: Address) -> PaperJob | None:
    begun.take_over(RUN, lambda job_id: address.change(**{RUN: job_id}))
    found = BOARD.get(address[RUN])
    if not isinstance(found, PaperJob):
        return None
    found.renew(visitor())
    return found


def is_live(address: Address, name: str) -> bool:
    """Whether the page's latest run waits or runs."""
    found = _job(address)
    return found is not None and found.is_active


def result(address: Address, paper: Paper) -> PaperResult | None:
    """Give what the latest run measured, if it was of this paper."""
    found = _job(address)
    return found.result if found is not None and found.paper.name == paper.name else None


def _start(address: Address, paper: Paper) -> None:
    seen = begun.count(RUN)
    if is_live(address, RUN):
        return  # a double click
    st.session_state[ERROR] = ""
    try:
        owner = visitor()
        begun.begin(RUN, seen, lambda: BOARD.submit(PaperJob(paper=paper), owner))
    except Refused as error:
        st.session_state[ERROR] = str(error)
        return
    _job(address)  # which notes it


def _stop(address: Address) -> None:
    found = _job(address)
    if found is not None:
        kept = BOARD.leave(found, visitor())
        address.change(**{RUN: kept.id})
        kept.wait(STOP_PATIENCE)


def run_or_stop(address: Address, paper: Paper) -> None:
    """Draw the button, and say how far the run is or how it ended."""
    found = _job(address)
    if found is not None and found.is_active:
        st.button(
            "Stop", icon=":material/stop:", type="primary", key="stop_paper", on_click=_stop, args=(address,)
        )
        progress(found)
    else:
        st.button(
            "Run it here",
            icon=":material/play_arrow:",
            type="primary",
            key="run_paper",
            on_click=_start,
            args=(address, paper),
        )
    _say_ending(address, paper, found)


def _say_ending(address: Address, paper: Paper, found: PaperJob | None) -> None:
    if found is None and address[RUN]:
        st.info("That run is no longer in memory. Run it again.")
    say_notice(found)
    error = st.session_state.get(ERROR) or (found.error if found is not None else "")
    if error:
        complain(error, "paper_run")
    elif found is not None and found.paper.name == paper.name and found.status in ENDINGS:
        st.info(ENDINGS[found.status])
