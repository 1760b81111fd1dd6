"""The sweep of a visitor on its way: its job, its finished cells, Start, Stop, how far it is."""

from __future__ import annotations

import streamlit as st

from nnlab.field import Field
from nnlab.grid import Grid
from nnlab.job_board import BOARD
from nnlab.jobs import Refused
from nnlab.sweep_cost import spoken_seconds
from nnlab.sweep_job import SweepJob, cost_of
from nnlab.sweep_memory import SweepMemory
from nnlab.sweep_summary import first_view
from pages.parts import begun
from pages.parts.address import Address, Choice
from pages.parts.complaint import complain
from pages.parts.progress import pace, say_notice
from pages.parts.runs import STOP_PATIENCE
from pages.parts.section import TICK_SECONDS
from pages.parts.sweep_choice import NOTHING
from pages.parts.visitor import visitor

NAME = "sweep"
MEMORY, ERROR = "sweep_memory", "sweep_error"
JOB = Choice(Field("sweep_run", "text", "Run", ""), "")
ENDINGS = {
    "stopped": "Stopped. The finished runs are kept: Start goes on with the others.",
    "timed_out": "Out of time for this server. The finished runs are kept: Start goes on with the others.",
}


def job(address: Address) -> SweepJob | None:
    """Give the visitor's latest sweep, None where there is none or it is forgotten."""
    begun.take_over(NAME, lambda job_id: address.change(sweep_run=job_id))
    found = BOARD.get(address["sweep_run"])
    if not isinstance(found, SweepJob):
        return None
    found.renew(visitor())
    _take_over(found)
    return found


def _take_over(found: SweepJob) -> None:
    """Keep the cells of a finished sweep that another visitor had begun."""
    own: SweepMemory | None = st.session_state.get(MEMORY)
    if own is not None and found.memory is not own and not found.is_active:
        own.take(found.memory, found.keys)


def is_live(address: Address) -> bool:
    """Whether a sweep waits or runs."""
    found = job(address)
    return found is not None and found.is_active


def pace_of(address: Address) -> float | None:
    """Give how often the sweep is drawn anew, in seconds; None where it is not under way."""
    return pace(address["sweep_run"], TICK_SECONDS) if is_live(address) else None


def _memory(address: Address) -> SweepMemory:
    """Give the finished cells of this visitor; after a reload, those of the sweep in the address."""
    if MEMORY not in st.session_state:
        found = job(address)
        st.session_state[MEMORY] = SweepMemory() if found is None else found.memory
    memory: SweepMemory = st.session_state[MEMORY]
    return memory


def _start(address: Address, grid: Grid) -> None:
    seen = begun.count(NAME)
    if is_live(address):
        return  # a double click
    st.session_state[ERROR] = ""
    across, down = (*first_view(grid.axes), NOTHING)[:2]
    try:
        cost_of(grid, _memory(address))
        wanted, owner = SweepJob(grid=grid, memory=_memory(address)), visitor()
        address.change(across=across, down=down)
        begun.begin(NAME, seen, lambda: BOARD.submit(wanted, owner))
    except (Refused, ValueError) as error:
        st.session_state[ERROR] = str(error)
        return
    job(address)  # which notes it


def _stop(address: Address) -> None:
    found = job(address)
    if found is not None:
        kept = BOARD.leave(found, visitor())
        address.change(sweep_run=kept.id)
        kept.wait(STOP_PATIENCE)


def start_or_stop(address: Address, grid: Grid | None, problem: str) -> None:
    """Draw the one primary button, beside it what the sweep costs, or why it cannot be started."""
    live, said = is_live(address), ""
    if grid is not None and not live:
        try:
            said = cost_of(grid, _memory(address)).words
        except (Refused, ValueError) as error:
            problem = str(error)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if live:
            st.button(
                "Stop",
                icon=":material/stop:",
                type="primary",
                key="stop_sweep",
                on_click=_stop,
                args=(address,),
            )
        else:
            st.button(
                "Start",
                icon=":material/play_arrow:",
                type="primary",
                key="start_sweep",
                on_click=_start,
                args=(address, grid),
                disabled=bool(problem),
            )
            if said:
                st.markdown(said, width="stretch")
        if live:
            _progress(address)
    _messages(address, problem)


def _progress(address: Address) -> None:
    found = job(address)
    if found is None:
        return
    place = BOARD.place(found)
    if place is not None:
        st.progress(0.0, text=place.words)
        return
    far = found.sweep_progress
    left = "" if far is None else f" · about {spoken_seconds(far.seconds_left)} left"
    said = f"{found.steps_done:,} of {found.steps:,} runs{left}"
    st.progress(found.progress.share, text=said if far else f"{said} · loading PyTorch and the data ...")


def _messages(address: Address, problem: str) -> None:
    found = job(address)
    if found is None and address["sweep_run"]:
        st.info("That sweep is no longer in memory. Start trains it anew, to the same numbers.")
    say_notice(found)
    if found is not None and found.status in ENDINGS and not found.notice:
        st.info(ENDINGS[found.status], icon=":material/stop_circle:")
    wrong = problem or st.session_state.get(ERROR) or (found.error if found else "")
    if wrong:
        complain(wrong, "sweep")
