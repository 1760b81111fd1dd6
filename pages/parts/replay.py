"""The run of a link, trained again where it is no longer in memory: whether it is, and what it differs by."""

from __future__ import annotations

import streamlit as st

from nnlab.provenance import difference, made_with
from pages.parts import begun, fingerprint, runs
from pages.parts.choice import current
from pages.parts.runs import FILE, JOB, MADE

REPLAYED = "replayed"  # the job that stands in for a run that is no longer in memory


def train_again() -> None:
    """Train again what the address says was trained, where that run is not in memory."""
    seen, found, lost = begun.count(JOB), runs.job(), st.session_state[JOB]
    if found is not None or not lost or lost == st.session_state.get(REPLAYED):
        return
    st.session_state[REPLAYED] = lost  # where it is refused, not again and again
    same = runs.completed(runs.new_job(current()))
    if same is not None:
        st.session_state[JOB] = same.id  # somebody opened the same link before
    else:
        runs.submit(current(), seen)
    st.session_state[REPLAYED] = st.session_state[JOB]


def is_replayed() -> bool:
    """Whether the run that is shown stands in for one that is no longer in memory."""
    return runs.job() is not None and st.session_state.get(REPLAYED) == st.session_state[JOB]


def otherwise() -> str:
    """Say how the numbers of the link were computed otherwise than those shown; "" where they were not."""
    run = runs.shown()
    if run is None or not is_replayed():
        return ""
    if is_of_another_file():
        return "The link's run was made with another file: its numbers were others."
    return difference(st.session_state.get(MADE, ""), run.environment)


def is_of_another_file() -> bool:
    """Whether the run that stands in for the link's was made with another file."""
    run = runs.shown()
    linked: str = st.session_state.get(FILE, "")
    return run is not None and is_replayed() and bool(linked) and linked != fingerprint.of_run(run)


def of_address() -> dict[str, str]:
    """Give what the address says of the latest job's run: its id, what computed it, on what file."""
    latest = runs.job()
    if latest is None:
        return {}
    of_run = "" if latest.run is None else fingerprint.of_run(latest.run)
    return {"run": latest.id, "made": made(), "data": of_run}


def made() -> str:
    """Give the word for the address that says with what the latest job's run was computed."""
    latest = runs.job()
    linked: str = st.session_state.get(MADE, "") if is_replayed() else ""
    if latest is None or latest.run is None:
        return linked
    return linked or made_with(latest.run.environment)
