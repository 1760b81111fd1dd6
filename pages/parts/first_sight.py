"""The first sight of a page: what stands at its top is painted before the rest is sent."""

from __future__ import annotations

import time

import streamlit as st

from nnlab import courtesy
from pages.parts.address import Address

# A browser that gets a dozen pictures and a table at once paints none of them for two seconds: their
# programs load side by side. The rest comes while the visitor reads the first lines.
PAINT_SECONDS = 1.0


def let_paint(address: Address) -> None:
    """On a visitor's first sight of a page, wait until the browser has painted what stands above."""
    if not st.session_state.get(f"painted_{address.page}"):
        st.session_state[f"painted_{address.page}"] = True
        with courtesy.waiting():
            time.sleep(PAINT_SECONDS)
