"""Compare: several configurations in the same charts, each trained from several seeds."""

from __future__ import annotations

import streamlit as st

from nnlab.warm_up import warm_up
from pages.parts import brought, compared
from pages.parts.address import Address
from pages.parts.menu import menu
from pages.parts.overlaid import overlaid
from pages.parts.page import page
from pages.parts.rescue import rescue
from pages.parts.section import live_section

page("Compare · nnlab")
address = Address("compare", *compared.CHOICES)
compared.begin(address)
st.title("Compare", anchor=False)
st.markdown(
    "Change one thing and see what it did: 2 to 6 configurations, trained on the same data from the same "
    "seeds, in the same charts. One run proves little: **the shade shows how far seeds alone differ**."
)
address.show_notes()
compared.choose(address)
brought.bring()
live_section(address, compared.NAME, overlaid)
menu()
address.write()
warm_up()
rescue()
