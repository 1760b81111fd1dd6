"""The runs of a visitor: the one being trained or shown, and the one before it."""

from __future__ import annotations

import streamlit as st

from nnlab.config import ExperimentConfig
from nnlab.jobs import BOARD, Refused, RunJob, is_job_id
from nnlab.presets import STORED_RUN
from nnlab.provenance import difference, made_with
from nnlab.run import Run
from nnlab.runfile import load_run
from pages.parts import own_data, view
from pages.parts.choice import choose, current, without_path

STOP_PATIENCE = 0.4  # seconds
# A run that ends within half a second is shown whole by the very repaint that Train causes.
TRAIN_PATIENCE = 0.5
JOB, BEFORE, ERROR = "job_id", "before", "submit_error"
MADE = "made"  # with what the numbers of the link were computed
FILE = "data"  # the fingerprint of the link's file
REPLAYED = "replayed"  # the job that stands in for a run that is no longer in memory
FINGERPRINT = 12  # characters; enough to tell files apart, and short in a link
COLUMNS = {"target": "another target", "features": "other features"}
OTHER_FILE = "The run below was made with a file that is not here. Upload it to try the remedy on it."
KEPT = "kept"  # a run to show that no job stands for


@st.cache_resource(show_spinner=False)
def stored_run() -> Run:
    """Read the run that is shown on first paint; it is shared, and nobody changes it."""
    return load_run(STORED_RUN)


def job() -> RunJob | None:
    """Give this visitor's latest job; a reload finds it by the address."""
    if JOB not in st.session_state:
        named = st.query_params.get("run", "")
        st.session_state[JOB] = named if is_job_id(named) else None
        st.session_state[MADE] = st.query_params.get("made", "")
        st.session_state[FILE] = st.query_params.get("data", "")[:FINGERPRINT]
    found = BOARD.get(st.session_state[JOB]) if st.session_state[JOB] else None
    if not isinstance(found, RunJob):
        return None  # never here, forgotten, or a lesson's
    found.renew()
    return found


def job_id() -> str | None:
    """Give the id of this visitor's latest job, None where there is none in memory."""
    latest = job()
    return None if latest is None else latest.id


def replay() -> None:
    """Train again what the address says was trained, where that run is not in memory."""
    found, lost = job(), st.session_state[JOB]
    if found is not None or not lost or lost == st.session_state.get(REPLAYED):
        return
    st.session_state[REPLAYED] = lost  # where it is refused, not again and again
    wanted = _new_job(current())
    same = [found for found in BOARD.jobs() if isinstance(found, RunJob) and _is_same(found, wanted)]
    if same and same[-1].status == "completed":
        st.session_state[JOB] = same[-1].id  # somebody opened the same link before
    else:
        submit(current())
    st.session_state[REPLAYED] = st.session_state[JOB]


def _new_job(config: ExperimentConfig) -> RunJob:
    """Give a job for an experiment; on the visitor's own table with its name, and without a path."""
    own = own_data.table()
    if config.dataset != "csv" or own is None:
        return RunJob(config=without_path(config))
    return RunJob(config=config.replace(csv_path=own.name), data=own_data.data(config))


def _is_same(found: RunJob, wanted: RunJob) -> bool:
    """Whether a job trains the same on the same: two files may have the same columns."""
    return found.config == wanted.config and found.data_sha256 == wanted.data_sha256


def _fingerprint(run: Run) -> str:
    """Give the short fingerprint of the file that a run was made with, "" where there was none."""
    if run.config is None or run.config.dataset != "csv":
        return ""
    return str(run.environment.get("dataset_sha256", ""))[:FINGERPRINT]


def is_replayed() -> bool:
    """Whether the run that is shown stands in for one that is no longer in memory."""
    return job() is not None and st.session_state.get(REPLAYED) == st.session_state[JOB]


def otherwise() -> str:
    """Say how the numbers of the link were computed otherwise than those shown; "" where they were not."""
    run = shown()
    if run is None or not is_replayed():
        return ""
    if is_of_another_file():
        return "The link's run was made with another file: its numbers were others."
    return difference(st.session_state.get(MADE, ""), run.environment)


def is_of_another_file() -> bool:
    """Whether the run that stands in for the link's was made with another file."""
    run = shown()
    linked: str = st.session_state.get(FILE, "")
    return run is not None and is_replayed() and bool(linked) and linked != _fingerprint(run)


def of_address() -> dict[str, str]:
    """Give what the address says of the latest job's run: its id, what computed it, on what file."""
    latest = job()
    if latest is None:
        return {}
    of_run = "" if latest.run is None else _fingerprint(latest.run)
    return {"run": latest.id, "made": made(), "data": of_run}


def made() -> str:
    """Give the word for the address that says with what the latest job's run was computed."""
    latest = job()
    linked: str = st.session_state.get(MADE, "") if is_replayed() else ""
    if latest is None or latest.run is None:
        return linked
    return linked or made_with(latest.run.environment)


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
    latest = job()
    if latest is not None and latest.is_active:
        return  # a double click
    st.session_state.pop(KEPT, None)
    view.begin_anew()
    submit(config or current())


def submit(config: ExperimentConfig) -> None:
    """Queue a run and make it the visitor's, or say why it cannot be queued."""
    st.session_state[ERROR] = ""
    try:
        submitted = BOARD.submit(_new_job(config))
        st.session_state[JOB] = submitted.id
        submitted.wait_if_quick(TRAIN_PATIENCE)
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
    if _fingerprint(run) != _own_fingerprint(run.config):
        st.session_state[ERROR] = OTHER_FILE
        return
    st.session_state[BEFORE] = run
    choose(run.config.replace(**change))
    train()


def go_back() -> None:
    """Return to the run before the remedy; for callbacks."""
    earlier = st.session_state.pop(BEFORE, None)
    if earlier is None:
        return
    choose(earlier.config)
    same = [job for job in BOARD.jobs() if isinstance(job, RunJob) and job.run is earlier]
    st.session_state[JOB] = same[0].id if same else None
    st.session_state[KEPT] = earlier  # the board may have forgotten its job


def _own_fingerprint(config: ExperimentConfig) -> str:
    """Give the short fingerprint of the visitor's table as an experiment uses it, "" where there is none."""
    if config.dataset != "csv":
        return ""
    try:
        own = own_data.data(config)
    except ValueError:
        return ""
    return "" if own is None else own.sha256[:FINGERPRINT]


def unlike(run: Run, config: ExperimentConfig) -> str:
    """Say how the run that is shown differs from the choice, and what to do; "" where it does not."""
    if run.config is None:
        return "The run below is of another model. Press Train to see your choice."
    fields = [_in_words(name, value) for name, value in without_path(run.config).differences(config).items()]
    if run.config.dataset != config.dataset:
        fields = [words for words in fields if words not in COLUMNS.values()]
    elif not fields and _own_fingerprint(config) not in ("", _fingerprint(run)):
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


def before() -> Run | None:
    """Give the run that a remedy was applied to."""
    return st.session_state.get(BEFORE)
