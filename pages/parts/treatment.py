"""The treatment of a network: the experiments before the shown one, each a remedy away from the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from nnlab.config import ExperimentConfig
from nnlab.healing import MOST_EARLIER, is_cheap, to_link
from nnlab.jobs import NoPlace
from nnlab.run import Run
from pages.parts import fingerprint, runs
from pages.parts.choice import HEALED, choose, current, without_path

EARLIER, LAST = "earlier", "healed_last"  # the experiments that were healed, and the one that they led to
ASKED = "earlier_asked"  # whether those of a link were trained again unasked
OTHER_FILE = "The run below was made with a file that is not here. Upload it to try the remedy on it."


@dataclass(frozen=True)
class Stage:
    """An experiment, with its run where it is in memory, else with the job that trains it again, if any.

    `is_wanted` says that it is to be trained again as soon as the visitor has a place in the queue.
    """

    config: ExperimentConfig
    run: Run | None = None
    job: str = ""
    is_wanted: bool = False


def _keep(stages: tuple[Stage, ...], last: ExperimentConfig) -> None:
    st.session_state[EARLIER], st.session_state[LAST] = stages, without_path(last)


def _all() -> tuple[Stage, ...]:
    """Give all experiments before the last one; those of a link are taken over here."""
    if HEALED in st.session_state:
        configs, last = st.session_state.pop(HEALED)
        _keep(tuple(Stage(config) for config in configs), last)
        st.session_state[ASKED] = False
    found = st.session_state.get(EARLIER, ())
    settled = tuple(_settled(stage) for stage in found)
    if settled != found:
        st.session_state[EARLIER] = settled
    return settled


def _settled(stage: Stage) -> Stage:
    """Give a stage with what its job has come to."""
    if stage.is_wanted:
        return _again(stage)
    job = runs.find(stage.job) if stage.job and stage.run is None else None
    if not stage.job or stage.run is not None or (job is not None and job.is_active):
        return stage
    if job is not None and job.run is not None and job.run.records:
        return replace(stage, run=job.run)
    if job is not None and job.error:
        st.session_state[runs.ERROR] = job.error
    return replace(stage, job="")


def before(run: Run) -> tuple[Stage, ...]:
    """Give the experiments that led to a run, the oldest first; () where it is of none of them."""
    stages = _all()
    if run.config is None or not stages:
        return ()
    config = without_path(run.config)
    if config == st.session_state[LAST]:
        return stages
    # A remedy that was refused leaves the run that it was meant for on the page.
    same = [number for number, stage in enumerate(stages) if stage.config == config]
    return stages[: same[-1]] if same else ()


def earlier() -> tuple[ExperimentConfig, ...]:
    """Give the experiments that led to the latest healed one, the oldest first."""
    return tuple(stage.config for stage in _all())


def of_address() -> dict[str, str]:
    """Give what the address says of the treatment: nothing where another experiment is chosen."""
    stages = _all()
    last = without_path(current())
    if not stages or last != st.session_state[LAST]:
        return {}
    return {"healed": to_link([stage.config for stage in stages], last)}


def train_anew() -> None:
    """Train the chosen experiment, without a comparison but with that of a link; for callbacks."""
    run = runs.shown()
    is_shown = run is not None and run.config is not None and without_path(run.config) == current()
    if is_shown or without_path(current()) != st.session_state.get(LAST):
        _keep((), current())
    runs.train()


def apply_remedy(run: Run, change: dict[str, object]) -> None:
    """Keep a run as the latest stage, change its experiment and train that; for callbacks."""
    if run.config is None:
        return
    if not fingerprint.has_file_of(run):
        st.session_state[runs.ERROR] = OTHER_FILE
        return
    stages = (*before(run), Stage(without_path(run.config), run))
    changed = run.config.replace(**change)
    _keep(stages[-MOST_EARLIER:], changed)
    choose(changed)
    runs.train()


def go_back(number: int) -> None:
    """Return to one of the earlier experiments, to its run where it is in memory; for callbacks."""
    stages = _all()
    if number >= len(stages):
        return  # a double click
    stage = stages[number]
    _keep(stages[:number], stage.config)
    choose(stage.config)
    if stage.run is None:
        runs.train()
    else:
        runs.show(stage.run)


def show_earlier() -> None:
    """Train the earlier experiments that are not in memory again; for callbacks."""
    stages = [stage if stage.run is not None or stage.job else _again(stage) for stage in _all()]
    st.session_state[EARLIER] = tuple(stages)


def _again(stage: Stage) -> Stage:
    try:
        job = runs.beside(stage.config)
    except NoPlace:
        return replace(stage, is_wanted=True)
    return replace(stage, job="" if job is None else job.id, is_wanted=False)


def show_cheap() -> None:
    """Train the experiments before a link's again unasked, once, where that takes a moment only."""
    if st.session_state.get(ASKED, True):
        return
    st.session_state[ASKED] = True
    if is_cheap([stage.config for stage in _all()]):
        show_earlier()


def is_waiting() -> bool:
    """Whether one of the earlier experiments is on its way."""
    return any(stage.is_wanted or (stage.job and stage.run is None) for stage in _all())
