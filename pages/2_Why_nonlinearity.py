"""Why nonlinearity: layers that collapse, XOR, red and blue dots."""

from __future__ import annotations

import streamlit as st

from nnlab.warm_up import warm_up
from pages.parts import collapse, dots, training, xor
from pages.parts.address import Address
from pages.parts.menu import menu
from pages.parts.page import page
from pages.parts.rescue import rescue
from pages.parts.section import live_section, still_section

page("Why nonlinearity · nnlab")
address = Address("nonlinearity", *collapse.CHOICES, *xor.CHOICES, *dots.CHOICES, training.MADE)
st.title("Why nonlinearity", anchor=False)
st.markdown(
    "A network without activations multiplies and adds, layer after layer. How far does that go? Guess "
    "first, then look.\n\n"
    "[Collapse](#collapse) · [By hand](#example) · [XOR](#xor) · [Red and blue dots](#dots)"
)
address.show_notes()
still_section(address, collapse.collapsing)
still_section(address, collapse.worked_example)
live_section(address, "xor", xor.xor)
live_section(address, "dots", dots.dots)
menu()
address.write()
warm_up()
rescue()
