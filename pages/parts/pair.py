"""A pair of networks in a lesson, with and without an activation: which one is shown, and at which step."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.field import Field
from nnlab.lessons import stored_pair
from nnlab.trajectory import Trajectory
from pages.parts import training
from pages.parts.address import Address, Choice
from pages.parts.step_slider import step_slider

MOST_STEPS = FIELDS["steps"].high


@st.cache_resource(show_spinner=False)
def stored(name: str) -> tuple[Trajectory, ...]:
    """Read the pair that is shown on a first visit; it is shared, and nobody changes it."""
    return stored_pair(name)


def shown(address: Address, name: str) -> tuple[Trajectory, ...]:
    """Give the pair to draw: the latest job's, else the stored one; () while a job has no record yet."""
    job = training.job(address, name)
    if job is not None and len(job.trajectories) and all(t.steps for t in job.trajectories):
        return job.trajectories
    return () if job is not None and job.is_active else stored(name)


def step_choice(name: str) -> Choice:
    """Give the choice that keeps the step that a section shows in the address; nothing chosen is the last."""
    field = Field(f"{name}_step", "integer", "Step", "", low=0, high=MOST_STEPS, nothing="last")
    return Choice(field, None)


def step(address: Address, shown: tuple[Trajectory, ...], name: str, *, live: bool) -> int:
    """Let the visitor choose a step; a pair in training is followed at its latest one."""
    steps = sorted({step for trajectory in shown for step in trajectory.steps})
    if live or len(steps) == 1:
        return steps[-1]
    return step_slider(
        address,
        name,
        steps,
        key=f"step_{name}_{shown[0].run.serial}",
        label="Step of training shown below",
        help="Weights are kept at about 40 steps, close together at the start.",
    )


def say_difference(
    pair: tuple[Trajectory, ...], number: int, wanted: ExperimentConfig, subject: str = "The pictures below"
) -> None:
    """Say how the network that is shown differs from the choice."""
    config = pair[number].run.config
    if config is not None and config != wanted:
        st.info(differences(config, wanted, subject), icon=":material/history:")


def differences(
    shown: ExperimentConfig, wanted: ExperimentConfig, subject: str = "The pictures below"
) -> str:
    """Say by which choices two experiments differ, and what to do; record_every is no visitor's choice."""
    found = shown.differences(wanted)
    said = [
        f"{FIELDS[name].label.lower()} {value}" for name, value in found.items() if name != "record_every"
    ]
    return f"{subject} have {', '.join(said)}. Press Train to see your choice."


def side_by_side(*drawings: Callable[[], None]) -> None:
    """Draw next to each other; on a phone below each other."""
    for column, draw in zip(st.columns(len(drawings), gap="medium"), drawings, strict=True):
        with column:
            draw()
