"""Training in a lesson: the group of networks a section trains, its buttons and its progress."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from nnlab.field import Field
from nnlab.job_board import BOARD
from nnlab.jobs import GroupJob, Refused, is_job_id
from nnlab.provenance import difference, made_with
from nnlab.trajectory import Plan
from pages.parts import begun
from pages.parts.address import Address, Choice
from pages.parts.complaint import complain
from pages.parts.progress import progress, say_notice
from pages.parts.runs import STOP_PATIENCE
from pages.parts.visitor import visitor

REPLAYED = "The link's run is not in memory here: trained again, it gives the same numbers."


def job_choice(name: str) -> Choice:
    """Give the choice that keeps a section's job in the address, so that a reload finds it."""
    return Choice(Field(f"{name}_run", "text", "Run", ""), "")


# With what the latest trained networks of the page were computed, so that a link says it.
MADE = Choice(Field("made", "text", "Made with", ""), "")


def _say_what_made(address: Address, name: str, found: GroupJob) -> None:
    """Put into the address with what a job's networks were computed; say where the link had it otherwise."""
    if not found.trajectories:
        return
    environment = found.trajectories[0].run.environment
    said = difference(address["made"], environment) if _is_replayed(name, found) else ""
    if said:
        st.warning(said, icon=":material/memory:")
    else:
        address.take("made", made_with(environment))


def _is_replayed(name: str, found: GroupJob) -> bool:
    return bool(st.session_state.get(f"replayed_{name}") == found.id)


def job(address: Address, name: str) -> GroupJob | None:
    """Give a section's latest job, None where there is none or it is forgotten."""
    _take_over(address, name)
    found = BOARD.get(address[f"{name}_run"])
    if not isinstance(found, GroupJob):
        return None
    found.renew(visitor())
    return found


def _take_over(address: Address, name: str) -> None:
    # Others are looked at from their end.
    begun.take_over(
        name,
        lambda job_id: address.change(**{f"{name}_run": job_id} | dict.fromkeys(_step_name(address, name))),
    )


def _step_name(address: Address, name: str) -> tuple[str, ...]:
    """Give the name of the choice of a step, where the section has one."""
    return tuple(choice for choice in (f"{name}_step",) if choice in address.choices)


def _replay(
    address: Address, name: str, make_plans: Callable[[], tuple[Plan, ...]], kind: type[GroupJob]
) -> None:
    """Train again what the link says was trained, where that job is not in memory."""
    lost = address[f"{name}_run"]
    if not is_job_id(lost) or BOARD.get(lost) is not None or st.session_state.get(f"replayed_{name}") == lost:
        return
    st.session_state[f"replayed_{name}"] = lost  # where it is refused, not again and again
    seen = {n: address[n] for n in _step_name(address, name)}
    start(address, name, make_plans, kind)
    address.change(**seen)
    st.session_state[f"replayed_{name}"] = address[f"{name}_run"]


def is_live(address: Address, name: str) -> bool:
    """Whether a section's networks wait or are trained."""
    found = job(address, name)
    return found is not None and found.is_active


def start(
    address: Address,
    name: str,
    make_plans: Callable[[], tuple[Plan, ...]],
    kind: type[GroupJob] = GroupJob,
) -> None:
    """Submit a section's networks; for callbacks. `kind` is how they are trained."""
    seen = begun.count(name)
    if is_live(address, name):
        return  # a double click
    st.session_state[f"error_{name}"] = ""
    try:
        wanted, owner = kind(plans=make_plans()), visitor()
        begun.begin(name, seen, lambda: BOARD.submit(wanted, owner))
    except (Refused, ValueError) as error:
        st.session_state[f"error_{name}"] = str(error)
        return
    _take_over(address, name)


def _stop(address: Address, name: str) -> None:
    found = job(address, name)
    if found is not None:
        kept = BOARD.leave(found, visitor())
        address.change(**{f"{name}_run": kept.id})
        # The networks end within a layer's work: this very repaint can then offer Train again.
        kept.wait(STOP_PATIENCE)


def train_or_stop(
    address: Address,
    name: str,
    make_plans: Callable[[], tuple[Plan, ...]],
    *,
    problem: str = "",
    kind: type[GroupJob] = GroupJob,
) -> None:
    """Draw a section's one primary button; a link's training that is not in memory is begun again."""
    if not problem:
        _replay(address, name, make_plans, kind)
    if is_live(address, name):
        st.button(
            "Stop",
            icon=":material/stop:",
            type="primary",
            key=f"stop_{name}",
            on_click=_stop,
            args=(address, name),
        )
    else:
        st.button(
            "Train",
            icon=":material/play_arrow:",
            type="primary",
            key=f"train_{name}",
            on_click=start,
            args=(address, name, make_plans, kind),
            disabled=bool(problem),
        )


def messages(address: Address, name: str, problem: str = "") -> None:
    """Say how far a section's job is, or why there is none."""
    found = job(address, name)
    if found is not None and found.is_active:
        progress(found)
    say_notice(found)
    if found is not None:
        if _is_replayed(name, found):
            st.info(REPLAYED, icon=":material/replay:")
        _say_what_made(address, name, found)
    elif address[f"{name}_run"] and found is None:
        # What cannot be trained now, a visitor's own dots above all, does not come again.
        promise = "" if problem else " Press Train to train anew."
        st.info(f"That run is no longer in memory.{promise}")
    wrong = problem or st.session_state.get(f"error_{name}") or (found.error if found else "")
    if wrong:
        complain(wrong, name)
