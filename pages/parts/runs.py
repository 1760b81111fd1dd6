"""The runs of a visitor: the one being trained or shown, and the one before it."""

from __future__ import annotations

import streamlit as st

from nnlab.config import ExperimentConfig
from nnlab.job_board import BOARD
from nnlab.jobs import NoPlace, Refused, RunJob, is_job_id
from nnlab.presets import STORED_RUN
from nnlab.run import Run
from nnlab.runfile import load_run
from pages.parts import begun, fingerprint, own_data, view
from pages.parts.choice import ARRIVED, current, without_path
from pages.parts.visitor import visitor

STOP_PATIENCE = 0.4  # seconds
# A run that ends within half a second is shown whole by the very repaint that Train causes.
TRAIN_PATIENCE = 0.5
JOB, ERROR = "job_id", "submit_error"
MADE = "made"  # with what the numbers of the link were computed
FILE = "data"  # the fingerprint of the link's file
COLUMNS = {"target": "another target", "features": "other features"}
KEPT = "kept"  # a run to show that no job stands for


@st.cache_resource(show_spinner=False)
def stored_run() -> Run:
    """Read the run that is shown on first paint; it is shared, and nobody changes it."""
    return load_run(STORED_RUN)


def job() -> RunJob | None:
    """Give this visitor's latest job; a reload finds it by the address."""
    is_first = JOB not in st.session_state
    if st.session_state.pop(ARRIVED, False) or is_first:
        _take_from_link(is_first=is_first)
    begun.take_over(JOB, _make_latest)
    found = BOARD.get(st.session_state[JOB]) if st.session_state[JOB] else None
    if not isinstance(found, RunJob):
        return None  # never here, forgotten, or a lesson's
    found.renew(visitor())
    return found


def _take_from_link(*, is_first: bool) -> None:
    """Take over the run that a link names; one that names none leaves a visitor's latest run on the page."""
    named = st.query_params.get("run", "")
    if is_first:
        st.session_state[JOB] = named if is_job_id(named) else None
    elif not is_job_id(named) or named == st.session_state[JOB]:
        return
    else:
        st.session_state[JOB] = named
        view.begin_anew()
    st.session_state[MADE] = st.query_params.get("made", "")
    st.session_state[FILE] = st.query_params.get("data", "")[: fingerprint.CHARACTERS]


def job_id() -> str | None:
    """Give the id of this visitor's latest job, None where there is none in memory."""
    latest = job()
    return None if latest is None else latest.id


def new_job(config: ExperimentConfig) -> RunJob:
    """Give a job for an experiment; on the visitor's own table with its name, and without a path."""
    own = own_data.table()
    if config.dataset != "csv" or own is None:
        return RunJob(config=without_path(config))
    return RunJob(config=config.replace(csv_path=own.name), data=own_data.data(config))


def _is_same(found: RunJob, wanted: RunJob) -> bool:
    """Whether a job trains the same on the same: two files may have the same columns."""
    return found.config == wanted.config and found.data_sha256 == wanted.data_sha256


def completed(wanted: RunJob) -> RunJob | None:
    """Give the latest job in memory that trained the same, where it came to its end."""
    same = [found for found in BOARD.jobs() if isinstance(found, RunJob) and _is_same(found, wanted)]
    return same[-1] if same and same[-1].status == "completed" else None


def shown() -> Run | None:
    """Give the run to draw: the latest job's, else the stored one; None while a job has no record."""
    latest = job()
    if latest is not None and latest.run is not None and latest.run.records:
        return latest.run
    if latest is not None and latest.is_active:
        return None
    return st.session_state.get(KEPT) or stored_run()


def train(config: ExperimentConfig | None = None) -> None:
    """Train the chosen or the given experiment; for callbacks."""
    seen, latest = begun.count(JOB), job()
    if latest is not None and latest.is_active:
        return  # a double click
    st.session_state.pop(KEPT, None)
    view.begin_anew()
    submit(config or current(), seen)


def submit(config: ExperimentConfig, seen: int) -> None:
    """Queue a run and make it the visitor's, or say why it cannot be queued.

    `seen` is how many were begun when it was decided to begin this one.
    """
    st.session_state[ERROR] = ""
    wanted, owner = new_job(config), visitor()
    try:
        submitted = begun.begin(JOB, seen, lambda: BOARD.submit(wanted, owner))
    except Refused as error:
        st.session_state[ERROR] = str(error)
        return
    begun.take_over(JOB, _make_latest)
    if submitted is not None:
        submitted.wait_if_quick(TRAIN_PATIENCE)


def _make_latest(job_id: str) -> None:
    st.session_state[JOB] = job_id


def beside(config: ExperimentConfig) -> RunJob | None:
    """Train an experiment beside the visitor's run; None where it cannot be queued, which is said.

    Raises:
        NoPlace: not now, since the visitor has one waiting.
    """
    st.session_state[ERROR] = ""
    try:
        wanted = new_job(config)
        same = completed(wanted)
        if same is not None:
            return same
        submitted = BOARD.submit(wanted, visitor())
    except NoPlace:
        raise
    except Refused as error:
        st.session_state[ERROR] = str(error)
        return None
    submitted.wait_if_quick(TRAIN_PATIENCE)
    return submitted


def find(job_id: str) -> RunJob | None:
    """Give a job by its id, None where it is no longer in memory; it is watched from now on."""
    found = BOARD.get(job_id)
    if not isinstance(found, RunJob):
        return None
    found.renew(visitor())
    return found


def show(run: Run) -> None:
    """Make a run that was shown before the visitor's again; for callbacks."""
    same = [job for job in BOARD.jobs() if isinstance(job, RunJob) and job.run is run]
    st.session_state[JOB] = same[0].id if same else None
    st.session_state[KEPT] = run  # the board may have forgotten its job


def stop() -> None:
    """Stop the running job; for callbacks."""
    latest = job()
    if latest is not None:
        kept = BOARD.leave(latest, visitor())
        st.session_state[JOB] = kept.id
        # The run ends within a layer's work: this very repaint can then offer Train again.
        kept.wait(STOP_PATIENCE)


def unlike(run: Run, config: ExperimentConfig) -> str:
    """Say how the run that is shown differs from the choice, and what to do; "" where it does not."""
    if run.config is None:
        return "The run below is of another model. Press Train to see your choice."
    fields = [_in_words(name, value) for name, value in without_path(run.config).differences(config).items()]
    if run.config.dataset != config.dataset:
        fields = [words for words in fields if words not in COLUMNS.values()]
    elif not fields and fingerprint.of_own(config) not in ("", fingerprint.of_run(run)):
        fields = ["another file"]
    if not fields:
        return ""
    latest = job()
    is_running = latest is not None and latest.is_active
    action = "Stop it and press Train" if is_running else "Press Train"
    if config.dataset == "csv" and own_data.table() is None:
        action = "Upload a file and press Train"
    return f"The run below has {', '.join(fields)}. {action} to see your choice."


def _in_words(name: str, value: str) -> str:
    # What a column is called may be anything, and this becomes Markdown.
    return COLUMNS.get(name, f"{name} {value}")
