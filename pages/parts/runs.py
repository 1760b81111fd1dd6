"""The runs of a visitor: the one being trained or shown, and the one before it."""

from __future__ import annotations

import streamlit as st

from nnlab.config import ExperimentConfig
from nnlab.jobs import BOARD, Job, Refused
from nnlab.presets import STORED_RUN
from nnlab.run import Run
from nnlab.runfile import load_run
from pages.parts.choice import choose, current

STOP_PATIENCE = 0.4  # seconds
JOB, BEFORE, ERROR = "job_id", "before", "submit_error"


@st.cache_resource(show_spinner=False)
def stored_run() -> Run:
    """Read the run that is shown on first paint; it is shared, and nobody changes it."""
    return load_run(STORED_RUN)


def job() -> Job | None:
    """Give this visitor's latest job; a reload finds it by the address."""
    if JOB not in st.session_state:
        st.session_state[JOB] = st.query_params.get("run")
    found = BOARD.get(st.session_state[JOB]) if st.session_state[JOB] else None
    if found is not None:
        found.renew()
    return found


def is_lost() -> bool:
    """Whether the address names a run that is no longer in memory."""
    return bool(st.session_state.get(JOB)) and BOARD.get(st.session_state[JOB]) is None


def shown() -> Run | None:
    """Give the run to draw: the latest job's, else the stored one; None while a job has no record."""
    latest = job()
    if latest is None:
        return stored_run()
    if latest.run is not None and latest.run.records:
        return latest.run
    return None if latest.is_active else stored_run()


def train(config: ExperimentConfig | None = None) -> None:
    """Submit a run of the chosen or the given experiment; for callbacks."""
    latest = job()
    if latest is not None and latest.is_active:
        return  # a double click
    st.session_state[ERROR] = ""
    try:
        st.session_state[JOB] = BOARD.submit(config or current()).id
    except Refused as error:
        st.session_state[ERROR] = str(error)


def stop() -> None:
    """Stop the running job; for callbacks."""
    latest = job()
    if latest is not None:
        latest.stop()
        # The run ends within a layer's work: this very repaint can then offer Train again.
        latest.wait(STOP_PATIENCE)


def retrain() -> None:
    """Train the chosen experiment anew, without a comparison; for callbacks."""
    st.session_state.pop(BEFORE, None)
    train()


def apply_remedy(run: Run, change: dict[str, object]) -> None:
    """Keep a run as "before", change the experiment and train it; for callbacks."""
    if run.config is None:
        return
    st.session_state[BEFORE] = run
    choose(run.config.replace(**change))
    train()


def go_back() -> None:
    """Return to the run before the remedy; for callbacks."""
    before = st.session_state.pop(BEFORE, None)
    if before is None:
        return
    choose(before.config)
    same = [job for job in BOARD.jobs() if job.run is not None and job.run is before]
    st.session_state[JOB] = same[0].id if same else None


def before() -> Run | None:
    """Give the run that a remedy was applied to."""
    return st.session_state.get(BEFORE)
