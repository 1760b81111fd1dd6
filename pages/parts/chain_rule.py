"""The sections on the chain rule: what slopes do to the error signal, and what a slope of 0 does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from nnlab.activations import ACTIVATIONS
from nnlab.chain import ChainRule, chain_rule, chain_words, draw_problem, layers_reached, zero_words
from nnlab.field import Field
from nnlab.numerals import scientific
from pages.parts.address import Address, Choice
from pages.parts.figure import picture
from pages.parts.guess import answer, ask

if TYPE_CHECKING:
    import numpy as np

CHOICES = (
    Choice(Field("layers", "integer", "Depth: hidden layers", "", low=1, high=50), 3),
    Choice(Field("chain_phi", "choice", "Activation", "", tuple(ACTIVATIONS)), "sigmoid"),
    Choice(Field("units", "integer", "Width: units in every layer", "", low=1, high=128), 64),
    Choice(
        Field(
            "gain",
            "number",
            "Gain",
            "Weights are N(0, gain²/fan_in): 1 is LeCun's, 1.41 He's.",
            low=0.5,
            high=5,
        ),
        1.0,
    ),
    Choice(Field("chain_seed", "integer", "Seed", "Another seed, another network.", low=0, high=999), 0),
    Choice(Field("beside", "choice", "Beside the sigmoid", "", tuple(ACTIVATIONS)), "relu"),
)
ASKED = {"layers": 10, "chain_phi": "sigmoid", "units": 64, "gain": 1.0}
STEP_DEPTH = 4
LABELS = {name: entry.label for name, entry in ACTIVATIONS.items()}


@st.cache_resource(max_entries=64, show_spinner=False)
def _judged(phi: str, depth: int, width: int, gain: float, seed: int) -> tuple[ChainRule, np.ndarray]:
    """Give what the chain rule says of a network, and autograd's error signal, once for all visitors."""
    # torch takes a second to load on a fresh server; what stands above is drawn by then.
    from nnlab.autograd import gradients

    problem = draw_problem(phi, depth, width, gain, seed)
    return chain_rule(problem), gradients(problem).signal


@st.cache_resource(max_entries=len(ACTIVATIONS), show_spinner=False)
def _reached(phi: str) -> np.ndarray:
    """Give the norm of every layer's weight gradient, once for all visitors."""
    from nnlab.autograd import gradients

    return gradients(draw_problem(phi, STEP_DEPTH, 64, 1.0, 0)).weight


def chain(address: Address) -> None:
    """Draw the section on the chain rule."""
    st.subheader("What does the slope do to the error signal?", anchor="chain")
    ask("chain", lambda: address.change(**ASKED))
    left, right = st.columns([1, 2], gap="large")
    with left:
        address.slider("layers")
        address.select("chain_phi", LABELS)
        address.slider("gain", step=0.01)
        address.slider("units")
        address.slider("chain_seed")
    drawn = tuple(address[name] for name in ("chain_phi", "layers", "units", "gain", "chain_seed"))
    rule, judge = _judged(*drawn)
    from nnlab.chain_charts import error_signal

    if all(address[name] == value for name, value in ASKED.items()):
        answer("chain", rule.signal[0], scientific(rule.signal[0]))
    with right:
        size, seed = f"{address['layers']} x {address['units']}", address["chain_seed"]
        words = f"{size}, gain {address['gain']:g}, seed {seed}"
        picture(
            lambda mode: error_signal(rule, judge, mode), words, "chain_rule", same=("error_signal", *drawn)
        )
        st.markdown(chain_words(rule, judge))
        st.page_link(
            "dashboard.py",
            label="Train such a network in the lab, and see what heals it",
            icon=":material/biotech:",
            query_params={
                "depth": str(address["layers"]),
                "width": str(address["units"]),
                "activation": address["chain_phi"],
            },
        )


def step(address: Address) -> None:
    """Draw the section on the step function."""
    st.subheader("Why does nobody train the step function?", anchor="step")
    ask("step", lambda: address.change(beside="step"))
    other = address.select("beside", LABELS)
    norms = {name: _reached(name) for name in dict.fromkeys(("sigmoid", other))}
    from nnlab.chain_charts import reached_weights

    if other == "step":
        reached = layers_reached(norms["step"])
        answer("step", reached, str(reached))
    words = f"{STEP_DEPTH} x 64, one batch, before training"
    picture(lambda mode: reached_weights(norms, mode), words, "step", same=("reached_weights", *norms))
    for name, values in norms.items():
        st.markdown(zero_words(ACTIVATIONS[name].label, values))
