"""The slider over the steps of a section's networks; the address holds its place."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from nnlab.trajectory import nearest
from pages.parts.address import Address


def step_slider(address: Address, name: str, steps: Sequence[int], key: str, label: str, help: str) -> int:
    """Let the visitor choose one of several steps; the last one is no choice, and follows longer runs."""
    choice = f"{name}_step"
    chosen = st.select_slider(label, options=steps, value=nearest(steps, address[choice]), key=key, help=help)
    address.take(choice, None if chosen == steps[-1] else chosen)
    return int(chosen)
