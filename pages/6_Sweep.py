"""Sweep: many networks that differ in one or two choices, over several seeds: what still trains?"""

from __future__ import annotations

import streamlit as st

from nnlab.grid import Grid
from nnlab.warm_up import warm_up
from pages.parts import sweep_choice, sweep_run, sweep_shown
from pages.parts.address import Address
from pages.parts.menu import menu
from pages.parts.page import page
from pages.parts.rescue import rescue

TICKING = "ticking_sweep"


def watch(address: Address, grid: Grid | None, problem: str) -> None:
    """Draw the sweep, again every second while it runs."""
    ticking = st.session_state[TICKING] = sweep_run.pace_of(address)

    def watched() -> None:
        has_changed = sweep_run.pace_of(address) != st.session_state[TICKING]
        sweep_run.start_or_stop(address, grid, problem)
        sweep_shown.shown(address, grid)
        address.write()
        if has_changed:
            # It began or ended since the page was drawn; the timer belongs to the page.
            st.rerun()

    st.fragment(watched, run_every=ticking)()


page("Sweep · nnlab")
address = Address("sweep", *sweep_choice.CHOICES, sweep_run.JOB)
st.title("Sweep", anchor=False)
st.markdown(
    "One run of one seed proves little. Here every combination of one or two choices is trained over several "
    "seeds: which depth still trains, which start, which learning rate?"
)
address.show_notes()
watch(address, *sweep_choice.choose(address))
menu()
address.write()
warm_up()
rescue()
