"""Activation functions: their shapes, one neuron, the chain rule, the step, softmax."""

from __future__ import annotations

import streamlit as st

from nnlab.warm_up import warm_up
from pages.parts import chain_rule, one_neuron, output_softmax, shapes
from pages.parts.address import Address
from pages.parts.menu import menu
from pages.parts.page import page
from pages.parts.rescue import rescue
from pages.parts.section import still_section

page("Activation functions · nnlab")
address = Address(
    "activations",
    *shapes.CHOICES,
    *one_neuron.CHOICES,
    *chain_rule.CHOICES,
    *output_softmax.CHOICES,
)
st.title("Activation functions", anchor=False)
st.markdown(
    "Every unit of a network bends what it gets. The bend decides what the network can learn, and its "
    "**slope** decides whether the error signal gets back through it. Guess first, then look.\n\n"
    "[Shapes](#shapes) · [One neuron](#neuron) · [Chain rule](#chain) · [Step](#step) · [Softmax](#softmax)"
)
address.show_notes()
still_section(address, shapes.shapes)
still_section(address, one_neuron.one_neuron)
still_section(address, chain_rule.chain)
still_section(address, chain_rule.step)
still_section(address, output_softmax.softmax)
menu()
address.write()
warm_up()
rescue()
