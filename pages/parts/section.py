"""A section of a lesson: redrawn alone when one of its widgets changes, or every second while it trains."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.parts.address import Address
from pages.parts.training import is_live

# A little under a second, so that drawing included the pictures move once a second.
TICK_SECONDS = 0.7

Draw = Callable[[Address], None]


def still_section(address: Address, section: Draw) -> None:
    """Draw a section that redraws itself alone when one of its widgets changes."""

    def watched() -> None:
        section(address)
        address.write()

    st.fragment(watched)()


def live_section(address: Address, name: str, section: Draw) -> None:
    """Draw a section that also redraws itself every second while its networks are trained."""
    live = is_live(address, name)
    st.session_state[f"ticking_{name}"] = live

    def watched() -> None:
        has_changed = is_live(address, name) != st.session_state[f"ticking_{name}"]
        section(address)
        address.write()
        if has_changed:
            # Training began or ended since the page was drawn. The visitor sees it above already; the
            # timer belongs to the page.
            st.rerun()

    st.fragment(watched, run_every=TICK_SECONDS if live else None)()
