"""The network that the initialization page draws: its choices, and what they make."""

from __future__ import annotations

import streamlit as st

from nnlab.activations import ACTIVATIONS
from nnlab.config import FIELDS, ExperimentConfig
from nnlab.field import Field
from nnlab.initializers import INITIALIZERS
from nnlab.random_network import RandomNetwork
from pages.parts.address import Address, Choice
from pages.parts.complaint import complain

DEFAULT = ExperimentConfig(dataset="gaussian", depth=10, width=100, activation="sigmoid", batch_size=256)
# The fields of an experiment that matter before training.
NAMES = ("activation", "initializer", "gain", "depth", "width", "normalization", "residual", "seed")
SIGMA_B = Field(
    "sigma_b",
    "number",
    "Bias scale sigma_b",
    "Standard deviation of normal biases, added to those that the initializer draws itself.",
    low=0,
    high=10,
)
CHOICES = (
    *[Choice(FIELDS[name], getattr(DEFAULT, name)) for name in NAMES],
    Choice(SIGMA_B, 0.0),
)
LABELS = {
    "activation": {name: entry.label for name, entry in ACTIVATIONS.items()},
    "initializer": {name: entry.label for name, entry in INITIALIZERS.items()},
}


def network_of(address: Address) -> RandomNetwork:
    """Give the network that the choices say."""
    chosen = {name: address[name] for name in NAMES}
    return RandomNetwork(DEFAULT.replace(**chosen), address["sigma_b"])


def link(config: ExperimentConfig) -> dict[str, str]:
    """Give the link parameters with which the page draws an experiment's network."""
    return {name: FIELDS[name].format(getattr(config, name)) for name in NAMES}


def choose(address: Address) -> RandomNetwork:
    """Draw the widgets and give the network chosen."""
    # Two beside each other on a phone, so that the verdict below is not a screen away.
    with st.grid(4, min_column_width=150, key="initial_choices"):
        address.select("activation", LABELS["activation"])
        address.select("initializer", LABELS["initializer"])
        number(address, "gain", 0.1)
        address.select("normalization")
        address.slider("depth")
        address.slider("width")
        number(address, "sigma_b", 0.05)
        address.take("residual", st.checkbox(**address.widget("residual")))
    try:
        return network_of(address)
    except ValueError as error:
        complain(str(error), "drawing")
        return RandomNetwork(DEFAULT)


def number(address: Address, name: str, step: float) -> None:
    """Draw a box for a number that has no upper end a slider could show."""
    kind = int if address.choices[name].field.kind == "integer" else float
    value = st.number_input(step=kind(step), **address.widget(name))
    address.take(name, value)
