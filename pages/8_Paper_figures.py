"""Paper figures: what papers found, measured again with the tools of this lab."""

from __future__ import annotations

import streamlit as st

from nnlab.warm_up import warm_up
from pages.parts import paper_card, paper_list, paper_run
from pages.parts.address import Address
from pages.parts.menu import menu
from pages.parts.page import page
from pages.parts.rescue import rescue
from pages.parts.section import live_section

page("Paper figures · nnlab")
address = Address("papers", *paper_card.CHOICES)
st.title("Paper figures", anchor=False)
st.markdown(
    "Can the numbers of this lab be trusted? Here they are held against what papers found. Choose a figure: "
    "what the paper claims, what is measured here, and by how much the two differ."
)
address.show_notes()
paper_card.choose(address)
live_section(address, "papers", paper_card.card, paper_run.is_live)
paper_list.all_papers()
menu()
address.write()
warm_up()
rescue()
