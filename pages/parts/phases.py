"""The section on order and chaos: where the network stands, and how it is moved to the edge between them."""

from __future__ import annotations

from typing import Any

import streamlit as st

from nnlab.criticality import Criticality, criticality
from nnlab.phase_map import b_top, is_critical, least_sigma_b, moved, nowhere, w_top
from nnlab.phase_words import caption_words, depth_words, layer_words, place_words
from nnlab.random_network import RandomNetwork
from pages.parts import drawing
from pages.parts.address import Address
from pages.parts.complaint import complain
from pages.parts.figure import map_to_click
from pages.parts.plain import plain

REFUSED = "phases_refused"  # why the last move was none
MOVED = "phases_moved"  # whether the page is drawn because the point was moved
ACROSS, UPWARD = "phases_sigma_w", "phases_sigma_b"  # the sliders that move the point
STEP = 0.01


def is_moved() -> bool:
    """Whether the page is drawn because the visitor has moved the point; true once."""
    return bool(st.session_state.pop(MOVED, False))


def section(address: Address) -> None:
    """Draw the section."""
    st.subheader("Order or chaos: on which side is this network?", anchor="phases")
    st.markdown(
        "Two numbers decide what a layer does to the gradient: the spread of its weights, **sigma_w**, and "
        "that of its biases, **sigma_b**. Too little, and gradients vanish; too much, and they explode. "
        "**Click a place on a map to move the network there.**"
    )
    try:
        network = drawing.network_of(address)
    except ValueError:
        st.info("There is no map of a network that cannot be drawn.", icon=":material/block:")
        return
    map_column, words_column = st.columns([3, 2], gap="large")
    with map_column:
        _phase_map(address, network)
    with words_column:
        _place(address, network)
        _facts(layer_words(network))
    map_column, words_column = st.columns([3, 2], gap="large")
    with map_column:
        _depth_map(address, network)
    with words_column:
        _facts(depth_words(network))


def _phase_map(address: Address, network: RandomNetwork) -> None:
    from nnlab.phase_charts import phase_chart  # loads Altair

    map_to_click(
        lambda mode: phase_chart(network, mode),
        caption_words(network),
        "initialization",
        lambda place: _move(address, sigma_w=place["x"], sigma_b=place["y"]),
    )


def _depth_map(address: Address, network: RandomNetwork) -> None:
    from nnlab.depth_charts import depth_chart  # loads Altair

    map_to_click(
        lambda mode: depth_chart(network, mode),
        caption_words(network),
        "initialization",
        lambda place: _move(address, sigma_w=place["x"], depth=int(place["y"])),
    )


def _facts(sentences: tuple[str, ...]) -> None:
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in sentences))


def _move(
    address: Address, sigma_w: float | None = None, sigma_b: float | None = None, **others: Any
) -> None:
    """Move the network to a point, in a callback; the whole page follows."""
    try:
        there = moved(drawing.network_of(address), sigma_w, sigma_b)
        values = {"gain": there.config.gain, "sigma_b": there.sigma_b, **others}
        address.change(**{name: address.choices[name].field.check(value) for name, value in values.items()})
    except ValueError as error:
        st.session_state[REFUSED] = str(error)
    st.session_state[MOVED] = True
    st.rerun()


def _place(address: Address, network: RandomNetwork) -> None:
    """Draw what is said of the point, and the widgets that move it."""
    st.markdown(f"**{plain(place_words(network))}**")
    if refused := st.session_state.pop(REFUSED, None):
        complain(refused, "phases")
    if not nowhere(network):
        _sliders(address, network)
    _to_criticality(address, criticality(network), network)


def _sliders(address: Address, network: RandomNetwork) -> None:
    # The point follows the page's other widgets too, so the sliders are set to it every time.
    # A message that comes after the visitor has left the page finds no slider any more, and moves nothing.
    st.session_state[ACROSS], st.session_state[UPWARD] = network.sigma_w, network.total_sigma_b
    st.slider(
        "sigma_w, spread of the weights",
        min_value=0.0,
        max_value=w_top(network),
        step=STEP,
        format="%.4g",
        key=ACROSS,
        help="Moves the gain: sigma_w is the gain times what the initializer gives.",
        on_change=lambda: _move(address, sigma_w=st.session_state.get(ACROSS)),
    )
    st.slider(
        "sigma_b, spread of the biases",
        min_value=least_sigma_b(network),
        max_value=b_top(network),
        step=STEP,
        format="%.4g",
        key=UPWARD,
        help="Moves the bias scale.",
        on_change=lambda: _move(address, sigma_b=st.session_state.get(UPWARD)),
    )


def _to_criticality(address: Address, found: Criticality, network: RandomNetwork) -> None:
    is_there = not nowhere(network) and is_critical(
        network.config.activation, network.sigma_w, network.total_sigma_b
    )
    st.button(
        "Move to criticality",
        icon=":material/my_location:",
        type="primary",
        disabled=bool(found.reason) or is_there,
        key="phases_critical",
        on_click=lambda: _move(address, sigma_w=found.sigma_w),
    )
    if found.reason and not nowhere(network):
        st.caption(plain(found.reason))
    elif not found.reason and not is_there:
        st.caption(plain(f"The gain that makes sigma_w {found.sigma_w:.4g}: there chi = 1."))
    other = found.other
    if other is not None:
        st.button(
            "Move to the nearest critical network",
            icon=":material/near_me:",
            key="phases_nearest",
            on_click=lambda: _move(address, *other),
        )
