"""The run that a visitor opened: a followed file, an uploaded one, weights, or else the example."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

import streamlit as st

from nnlab.presets import EXAMPLE_RUN
from nnlab.run import Run
from nnlab.runfile import RunFileError, load_run, parse_run
from pages.parts import followed_file, uploaded, view
from pages.parts.complaint import complain

PAGE = "model"  # begins the keys of this page
WAY, FILE, TROUBLE = "model_way", "model_file", "model_trouble"
FOLLOW, UPLOAD, WEIGHTS = "Follow a file", "Run file", "Weights"


@dataclass(frozen=True)
class Opened:
    """A run, and what tells it from all others of the session."""

    id: str
    run: Run


@st.cache_resource(show_spinner=False)
def _example() -> Run:
    """Read the stored run of a network with a fault; it is shared, and nobody changes it."""
    return load_run(EXAMPLE_RUN)


def way() -> str:
    """Give where the run comes from."""
    usual = UPLOAD if followed_file.path() is None else FOLLOW
    return str(st.session_state.get(WAY) or usual)


def keep(run: Run | None, *, of: str) -> None:
    """Make a run the one that is shown for a way; None for no run."""
    st.session_state[f"{PAGE}_{of}"] = None if run is None else Opened(uuid4().hex, run)
    view.begin_anew(PAGE)


def _kept() -> Opened | None:
    found: Opened | None = st.session_state.get(f"{PAGE}_{way()}")
    return found


def is_example() -> bool:
    """Whether the visitor has nothing open yet."""
    return way() == UPLOAD and _kept() is None


def run() -> Run | None:
    """Give the run to show, None where there is none yet."""
    if way() == FOLLOW:
        return followed_file.read()[0]
    kept = _kept()
    if kept is not None:
        return kept.run
    return _example() if is_example() else None


def is_live() -> bool:
    """Whether a training script writes the shown run now."""
    found = followed_file.read()[0] if way() == FOLLOW else None
    return found is not None and found.status == "running"


def id_of_shown() -> str | None:
    """Name what is shown: a run that goes on has one name, a finished one another."""
    found = run()
    if found is None:
        return None
    if way() != FOLLOW:
        kept = _kept()
        return "example" if kept is None else kept.id
    return "live" if found.status == "running" else f"ended {found.status} {found.serial}"


def choose() -> None:
    """Let the visitor choose where the run comes from."""
    ways = [FOLLOW, UPLOAD, WEIGHTS] if followed_file.path() is not None else [UPLOAD, WEIGHTS]
    st.session_state.setdefault(WAY, way())
    st.segmented_control("What to look at", ways, key=WAY, required=True, label_visibility="collapsed")
    if followed_file.refusal():
        complain(followed_file.refusal(), "followed")
    if way() == UPLOAD:
        st.file_uploader(
            "Open a run file (.jsonl)",
            type=["jsonl"],
            key=FILE,
            on_change=_take,
            help="What nnlab.watch, nnlab.diagnose(...).save or `python -m nnlab train --out` wrote. "
            "A larger file: start the app on your machine with `-- --run run.jsonl`.",
        )
        if st.session_state.get(TROUBLE):
            complain(st.session_state[TROUBLE], "run_file")


def _take() -> None:
    """Open what was uploaded, or close what was taken away."""
    st.session_state[TROUBLE] = ""
    keep(None, of=UPLOAD)
    file = uploaded.here(st.session_state[FILE])
    if file is None:
        return
    try:
        with uploaded.reading(file) as content:
            found = parse_run(content, file.name)
            uploaded.OPEN.take(found, uploaded.RUN_SHARE * len(content))
        if not found.records:
            raise RunFileError("; ".join((f"{file.name}: the file holds no record", *found.notes)))
        keep(found, of=UPLOAD)
    except ValueError as error:
        st.session_state[TROUBLE] = f"Not opened: {error}"
