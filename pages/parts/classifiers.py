"""The digit classifiers a visitor sees: the latest job's or the stored ones, and what is measured of them."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from nnlab.brightness import Group, Sweep, sweep
from nnlab.config import ExperimentConfig
from nnlab.datasets import Data, load_pixels
from nnlab.lessons import KIND_WORDS, SEVENS, Images, by_kind, stored_images, stored_sevens
from nnlab.network import Network
from pages.parts import training
from pages.parts.address import Address

Networks = dict[str, tuple[Network, ...]]


@st.cache_resource(show_spinner=False)
def images() -> Images:
    """Read the test images; they are shared, and nobody changes them."""
    return stored_images()


@st.cache_resource(show_spinner=False)
def _stored() -> Networks:
    return stored_sevens()


@st.cache_resource(show_spinner=False)
def pixels() -> Data:
    """Load what the classifiers learn from; it is shared, and nobody changes it."""
    return load_pixels()


@dataclass(frozen=True)
class Shown:
    """The networks to draw, by kind, and their experiment; `serials` are those of their runs."""

    networks: Networks
    config: ExperimentConfig
    serials: tuple[int, ...] = ()


def shown(address: Address) -> Shown:
    """Give the latest job's networks, else the stored ones."""
    job = training.job(address, "sevens")
    found = () if job is None else tuple(job.trajectories)
    if job is None or not found or not all(trajectory.steps for trajectory in found):
        return Shown(_stored(), SEVENS)
    config = job.plans[0].config.replace(activation=SEVENS.activation)
    networks = by_kind([trajectory.last for trajectory in found])
    return Shown(networks, config, tuple(trajectory.run.serial for trajectory in found))


def _measure(networks: Networks) -> Sweep:
    groups = [Group(kind, KIND_WORDS[kind], found) for kind, found in networks.items()]
    return sweep(groups, images().x, images().y)


@st.cache_resource(show_spinner=False)
def _stored_sweep() -> Sweep:
    return _measure(_stored())


def measured(networks: Networks) -> Sweep:
    """Measure all kinds at all brightnesses, once for the same networks."""
    if networks is _stored():
        return _stored_sweep()
    first = networks["sigmoid"][0]
    kept = st.session_state.get("sevens_measured")
    if kept is None or kept[0] is not first:
        kept = (first, _measure(networks))
        st.session_state["sevens_measured"] = kept
    return kept[1]
