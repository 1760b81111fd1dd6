"""The first sight of a page: what stands at its top is painted before the rest is sent."""

from __future__ import annotations

import time

import streamlit as st

from nnlab import courtesy
from pages.parts.address import Address

# A browser that gets a dozen pictures and a table at once paints none of them for two seconds: their
# programs load side by side. The rest comes while the visitor reads the first lines. With half a second the
# first pictures come later now and then; with a whole one all others do.
PAINT_SECONDS = 0.8

LOADED = "is_painter_loaded"


def let_paint(address: Address) -> None:
    """On a visitor's first sight of a page, wait until the browser has painted what stands above."""
    _pause(f"painted_{address.page}")


def let_load() -> None:
    """On the first sight of a tab, wait until the browser has loaded what draws the pictures above."""
    _pause(LOADED)


def note_page(title: str) -> None:
    """Remember the first page that a tab shows; from the second on, what draws pictures is loaded."""
    if st.session_state.setdefault("first_page", title) != title:
        st.session_state[LOADED] = True


def _pause(name: str) -> None:
    """Wait, once in a session."""
    if not st.session_state.get(name):
        st.session_state[name] = True
        with courtesy.waiting():
            time.sleep(PAINT_SECONDS)
