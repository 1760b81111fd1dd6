"""A section of a lesson: redrawn alone when one of its widgets changes, or every second while it trains."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.parts import training
from pages.parts.address import Address
from pages.parts.progress import pace

# A little under a second, so that drawing included the pictures move once a second.
TICK_SECONDS = 0.7

Draw = Callable[[Address], None]


def still_section(address: Address, section: Draw) -> None:
    """Draw a section that redraws itself alone when one of its widgets changes."""

    def watched() -> None:
        section(address)
        address.write()

    st.fragment(watched)()


def live_section(
    address: Address, name: str, section: Draw, is_live: Callable[[Address, str], bool] = training.is_live
) -> None:
    """Draw a section that also redraws itself every second while its networks are trained."""

    def seconds() -> float | None:
        return pace(address[f"{name}_run"], TICK_SECONDS) if is_live(address, name) else None

    ticking = st.session_state[f"ticking_{name}"] = seconds()

    def watched() -> None:
        before, job = seconds(), address[f"{name}_run"]
        section(address)
        address.write()
        # A link's run that is trained again begins while the section is drawn.
        is_new = address[f"{name}_run"] != job
        if is_new or before != st.session_state[f"ticking_{name}"]:
            # Training began or ended since the page was drawn. The visitor sees it above already; the
            # timer belongs to the page.
            st.rerun()

    st.fragment(watched, run_every=ticking)()
