"""The verdict before training: whether the signal gets through, what to change, and the button that does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from nnlab.config import ExperimentConfig
from nnlab.random_network import RandomNetwork
from nnlab.remedies import describe
from pages.parts.address import Address
from pages.parts.plain import plain

if TYPE_CHECKING:
    from nnlab.cure import Cure
    from nnlab.signal_words import InitialVerdict

ICONS = {"": ":material/check_circle:", "warn": ":material/warning:", "severe": ":material/error:"}


def initial_verdict(address: Address, network: RandomNetwork, said: InitialVerdict) -> None:
    """Draw the verdict on a network, and what can be done about it."""
    severity = f", {said.severity}" if said.severity else ""
    st.markdown(f"{ICONS[said.severity]} **{said.title}{severity}.** {plain(said.headline)}")
    st.markdown(plain(said.reach))
    if said.advice:
        st.markdown(f":material/build: **What to change.** {plain(said.advice)}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        _actions(address, network, said.cure)


def _actions(address: Address, network: RandomNetwork, cure: Cure | None) -> None:
    if cure is not None:
        st.button(
            f"Try this: {describe(cure.change)}",
            icon=":material/healing:",
            key="try_initial",
            on_click=_change,
            args=(address, cure.change),
        )
    if network.sigma_b == 0:  # the lab knows no biases but the initializer's
        in_lab = network.config.replace(dataset="digits", batch_size=ExperimentConfig.batch_size)
        st.page_link(
            "dashboard.py",
            label="Train this network in the lab, on digits",
            icon=":material/biotech:",
            query_params=in_lab.to_query(),
        )


def _change(address: Address, change: dict[str, Any]) -> None:
    address.change(**change)
