"""Lighter sevens: does an activation make a digit classifier robust to brightness?"""

from __future__ import annotations

import streamlit as st

from nnlab.warm_up import warm_up
from pages.parts import follow, sevens, training
from pages.parts.address import Address
from pages.parts.menu import menu
from pages.parts.page import page
from pages.parts.rescue import rescue
from pages.parts.section import live_section, still_section

page("Lighter sevens · nnlab")
address = Address("sevens", *sevens.CHOICES, *follow.CHOICES, training.MADE)
st.title("Lighter sevens", anchor=False)
st.markdown(
    "Somebody says: *a sigmoid squashes a lighter and a darker image of the same 7 to nearly the same "
    "number, 0.992 and 0.994, so the network becomes robust to brightness. Without an activation it cannot.* "
    "True or false? Digit classifiers of six kinds, trained on scanned digits at normal brightness, answer."
    "\n\n[Brightness](#sevens) · [Follow one image](#follow) · [The believer's neuron](#believer)"
)
address.show_notes()
live_section(address, "sevens", sevens.sevens)
still_section(address, follow.following)
still_section(address, follow.believer)
menu()
address.write()
warm_up()
rescue()
