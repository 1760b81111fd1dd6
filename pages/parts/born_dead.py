"""The section on ReLU networks that are born dead: how likely that is, over depth and over width."""

from __future__ import annotations

import streamlit as st

from nnlab.born_dead_curves import (
    WIDEST,
    Place,
    curve_over_width,
    curves_over_depth,
    shown_depth,
    shown_widths,
)
from nnlab.born_dead_words import born_dead_words, chosen_words
from nnlab.field import Field
from pages.parts.address import Address, Choice
from pages.parts.figure import picture
from pages.parts.in_turn import in_turn
from pages.parts.pair import side_by_side
from pages.parts.plain import plain

CHOICES = (
    Choice(Field("dead_depth", "integer", "Hidden layers", "", low=1, high=100), 10),
    Choice(Field("dead_width", "integer", "Units in each layer", "", low=1, high=WIDEST), 2),
)


@st.cache_resource(max_entries=64, show_spinner=False)
@in_turn
def _over_depth(widths: tuple[int, ...], deepest: int) -> tuple[Place, ...]:
    """Draw once for all visitors; nobody changes it."""
    return curves_over_depth(widths, deepest)


@st.cache_resource(max_entries=64, show_spinner=False)
@in_turn
def _over_width(depth: int) -> tuple[Place, ...]:
    """Draw once for all visitors; nobody changes it."""
    return curve_over_width(depth, WIDEST)


def section(address: Address) -> None:
    """Draw the section."""
    st.subheader("Can a ReLU network be dead before it learns?", anchor="born-dead")
    st.markdown(
        "Each ReLU unit is off for about half of all inputs. In a narrow layer all may be off at once, "
        "and every layer is a new chance for that."
    )
    columns = st.columns(2, gap="medium")
    with columns[0]:
        depth = address.slider("dead_depth")
    with columns[1]:
        width = address.slider("dead_width")
    places = _over_width(depth)
    sentences = [*born_dead_words(places[width - 1]), chosen_words(address["depth"], address["width"])]
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in sentences))
    _pictures(address, places, shown_widths(width), shown_depth(depth, address["depth"]))


def _pictures(address: Address, places: tuple[Place, ...], widths: tuple[int, ...], deepest: int) -> None:
    from nnlab.born_dead_charts import born_dead_over_depth, born_dead_over_width  # loads Altair

    curves = _over_depth(widths, deepest)
    chosen = (address["depth"], address["width"])
    caption = "ReLU without biases"
    side_by_side(
        lambda: picture(
            lambda mode: born_dead_over_depth(curves, chosen, mode),
            caption,
            "born_dead",
            same=("born_dead_over_depth", widths, deepest, chosen),
        ),
        lambda: picture(
            lambda mode: born_dead_over_width(places, chosen, mode),
            caption,
            "born_dead",
            same=("born_dead_over_width", address["dead_depth"], chosen),
        ),
    )
