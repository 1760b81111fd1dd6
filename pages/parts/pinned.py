"""Configurations that a visitor pinned in the lab for a comparison: in the session and in the address."""

from __future__ import annotations

import streamlit as st

from nnlab.config import ExperimentConfig
from nnlab.overlay import MOST, same_but_seed
from nnlab.overlay_text import from_text, to_text
from nnlab.run import Run
from pages.parts.complaint import complain

PINS, NOTES = "pinned", "pinned_notes"
PAGE = "pages/5_Compare.py"
NO_FILE = "A comparison is trained again from its link, so it takes no file of your own."


def pins() -> tuple[ExperimentConfig, ...]:
    """Give what is pinned, oldest first; on a visitor's first page, what the link says."""
    if PINS not in st.session_state:
        found, notes = from_text(st.query_params.get(PINS, ""))
        st.session_state[PINS], st.session_state[NOTES] = found, notes
    kept: tuple[ExperimentConfig, ...] = st.session_state[PINS]
    return kept


def text() -> str:
    """Give what the address says of the pins."""
    return to_text(pins())


def pin(config: ExperimentConfig) -> None:
    """Pin a configuration; the oldest one makes room for it. For callbacks."""
    others = [other for other in pins() if not same_but_seed(other, config)]
    st.session_state[PINS] = (*others, config)[-MOST:]


def show_notes() -> None:
    """Say what of the link's pins could not be used."""
    pins()
    for number, note in enumerate(st.session_state[NOTES]):
        complain(f"Pinned: {note}", f"pinned_{number}")


def offer(run: Run | None) -> None:
    """Draw the button that pins the shown run, and the way to the comparison once something is pinned."""
    show_notes()
    config = None if run is None else run.config
    if config is None:
        return
    is_file = config.dataset == "csv"
    st.button(
        "Compare",
        icon=":material/push_pin:",
        key="pin",
        on_click=pin,
        args=(config,),
        disabled=is_file,
        help=NO_FILE if is_file else "Pin the run below, to lay it over others on the page Compare.",
    )
    if pins():
        st.page_link(
            PAGE, label=f"See the comparison ({len(pins())} pinned)", icon=":material/stacked_line_chart:"
        )
