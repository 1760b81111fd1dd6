"""Haste: on a public server, who asks for page after page without a pause waits a moment for each."""

from __future__ import annotations

import time

import streamlit as st

from nnlab import courtesy

# Nobody reads two pages a second. A dozen at once is a slider moved along with the keyboard.
SECONDS_EACH = 0.5
AT_ONCE = 12
LONGEST_WAIT = 1.0

DUE = "next_page_due"


def slow_down() -> None:
    """Wait until the next page of this visit is due."""
    now = time.monotonic()
    earned = max(st.session_state.get(DUE, 0.0), now - AT_ONCE * SECONDS_EACH)
    due = st.session_state[DUE] = min(earned + SECONDS_EACH, now + LONGEST_WAIT)
    if due > now:
        with courtesy.waiting():
            time.sleep(due - now)
