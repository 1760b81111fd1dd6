"""Initialization: what theory says of a network before training, and what drawn networks do."""

from __future__ import annotations

import streamlit as st

from nnlab.warm_up import warm_up
from pages.parts import born_dead, drawing, measured, phases, spectrum
from pages.parts.address import Address
from pages.parts.menu import menu
from pages.parts.page import page
from pages.parts.rescue import rescue
from pages.parts.section import still_section

page("Initialization · nnlab")
address = Address("initialization", *drawing.CHOICES, *measured.CHOICES, *born_dead.CHOICES)
st.title("Initialization", anchor=False)
st.markdown(
    "Will this depth train? Before the first step, the size of the random weights has already decided how "
    "much of the signal arrives at the other end. Theory says it in one formula; drawn networks check it.\n\n"
    "[Drawn networks](#measured) · [Order and chaos](#phases) · [Singular values](#spectrum) · "
    "[Born dead](#born-dead)"
)
address.show_notes()
network = drawing.choose(address)
networks, maps = st.container(), st.container()
# Who moves the point on a map looks at the maps.
is_moved = phases.is_moved()
if is_moved:
    with maps:
        still_section(address, phases.section)
with networks:
    have_networks_drawn = measured.section(address)
if not is_moved:
    with maps:
        still_section(address, phases.section)
have_networks_drawn()  # which would take time from what stands above
still_section(address, spectrum.section)
still_section(address, born_dead.section)
menu()
address.write()
warm_up()
rescue()
