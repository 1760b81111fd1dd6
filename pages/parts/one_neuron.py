"""The section on one neuron: inputs, weights and bias in, one number out."""

from __future__ import annotations

import streamlit as st

from nnlab.activations import ACTIVATIONS
from nnlab.field import Field
from nnlab.neuron import (
    BIAS_LIMIT,
    INPUT_LIMIT,
    INPUTS,
    NEURON_PRESETS,
    Neuron,
    in_words,
    threshold,
    threshold_in_words,
)
from nnlab.numerals import scientific
from pages.parts.address import Address, Choice
from pages.parts.figure import picture
from pages.parts.guess import answer, ask

PLACES = range(1, INPUTS + 1)
FIRST = NEURON_PRESETS["sigmoid_3"].neuron


def _number(name: str, label: str, limit: float, default: float) -> Choice:
    return Choice(Field(name, "number", label, "", low=-limit, high=limit), default)


CHOICES = (
    *[_number(f"x{i}", f"Input x{i}", INPUT_LIMIT, FIRST.inputs[i - 1]) for i in PLACES],
    *[_number(f"w{i}", f"Weight w{i}", INPUT_LIMIT, FIRST.weights[i - 1]) for i in PLACES],
    _number("bias", "Bias b", BIAS_LIMIT, FIRST.bias),
    Choice(Field("phi", "choice", "Activation", "", tuple(ACTIVATIONS)), FIRST.activation),
)


def _take(address: Address, neuron: Neuron) -> None:
    values = {f"x{i}": neuron.inputs[i - 1] for i in PLACES} | {
        f"w{i}": neuron.weights[i - 1] for i in PLACES
    }
    address.change(**values, bias=neuron.bias, phi=neuron.activation)


def _chosen(address: Address) -> Neuron:
    return Neuron(
        tuple(address[f"x{i}"] for i in PLACES),
        tuple(address[f"w{i}"] for i in PLACES),
        address["bias"],
        address["phi"],
    )


def one_neuron(address: Address) -> None:
    """Draw the section."""
    asked = NEURON_PRESETS["threshold"].neuron
    st.subheader("What does one neuron do?", anchor="neuron")
    ask("threshold", lambda: _take(address, asked))
    with st.container(horizontal=True, gap="xsmall"):
        for name, preset in NEURON_PRESETS.items():
            st.button(preset.label, key=f"neuron_{name}", on_click=_take, args=(address, preset.neuron))
    _sliders(address)
    neuron = _chosen(address)
    edge = threshold(neuron, 0)
    if neuron == asked and edge is not None:
        answer("threshold", edge, f"x₁ = {scientific(edge)}")
    shown = [preset.shows for preset in NEURON_PRESETS.values() if preset.neuron == neuron]
    st.markdown("  \n".join([in_words(neuron), *shown]))
    _pictures(neuron)


def _sliders(address: Address) -> None:
    columns = st.columns(INPUTS + 1, gap="medium")
    for i, column in zip(PLACES, columns, strict=False):
        with column:
            address.slider(f"x{i}", step=0.5)
            address.slider(f"w{i}", step=0.5)
    with columns[-1]:
        address.slider("bias", step=0.5)
        address.select("phi", {name: entry.label for name, entry in ACTIVATIONS.items()})


def _pictures(neuron: Neuron) -> None:
    from nnlab.neuron_charts import flow, response  # loads Altair

    words = in_words(neuron)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        picture(lambda mode: flow(neuron, mode), words, "neuron", same=("neuron_flow", neuron))
    with right:
        picture(lambda mode: response(neuron, 0, mode), words, "neuron", same=("neuron_response", neuron))
        st.caption(threshold_in_words(neuron, 0))
