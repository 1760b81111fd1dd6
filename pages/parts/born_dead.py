"""The section on ReLU networks that are born dead: how likely that is, over depth and over width."""

from __future__ import annotations

from functools import partial

import streamlit as st

from nnlab.born_dead_curves import (
    WIDEST,
    Place,
    curve_over_width,
    curves_over_depth,
    draw_curves,
    shown_depth,
    shown_widths,
)
from nnlab.born_dead_words import born_dead_words, chosen_words
from nnlab.field import Field
from pages.parts.address import Address, Choice
from pages.parts.awaited import await_errand, found
from pages.parts.figure import picture
from pages.parts.pair import side_by_side
from pages.parts.plain import plain

CHOICES = (
    Choice(Field("dead_depth", "integer", "Hidden layers", "", low=1, high=100), 10),
    Choice(Field("dead_width", "integer", "Units in each layer", "", low=1, high=WIDEST), 2),
)


@st.cache_resource(max_entries=64, show_spinner=False)
def _over_depth(widths: tuple[int, ...], deepest: int, is_drawn: bool) -> tuple[Place, ...]:
    """Compute once for all visitors; nobody changes it."""
    return curves_over_depth(widths, deepest, is_drawn=is_drawn)


@st.cache_resource(max_entries=64, show_spinner=False)
def _over_width(depth: int, is_drawn: bool) -> tuple[Place, ...]:
    """Compute once for all visitors; nobody changes it."""
    return curve_over_width(depth, WIDEST, is_drawn=is_drawn)


def section(address: Address) -> None:
    """Draw the section: theory at once, drawn networks as soon as there are any."""
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
    deepest = shown_depth(depth, address["depth"])
    # What is drawn up to a depth is drawn for all places of the sliders.
    ends = tuple(sorted({shown_depth(depth), deepest}))
    key = ("born dead", ends)
    is_drawn = found(key) is not None
    places = _over_width(depth, is_drawn)
    sentences = [*born_dead_words(places[width - 1]), chosen_words(address["depth"], address["width"])]
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in sentences))
    _pictures(address, places, _over_depth(shown_widths(width), deepest, is_drawn), is_drawn=is_drawn)
    if not is_drawn:
        most = len(ends) * WIDEST
        await_errand(
            "born dead",
            key,
            partial(draw_curves, ends),
            lambda done: f"Drawing networks ... {done} of {most}",
        )


def _pictures(
    address: Address, over_width: tuple[Place, ...], over_depth: tuple[Place, ...], *, is_drawn: bool
) -> None:
    from nnlab.born_dead_charts import born_dead_over_depth, born_dead_over_width  # loads Altair

    chosen = (address["depth"], address["width"])
    widths, deepest = tuple(dict.fromkeys(place.width for place in over_depth)), over_depth[-1].depth
    caption = "ReLU without biases"
    side_by_side(
        lambda: picture(
            lambda mode: born_dead_over_depth(over_depth, chosen, mode),
            caption,
            "born_dead",
            same=("born_dead_over_depth", widths, deepest, chosen, is_drawn),
        ),
        lambda: picture(
            lambda mode: born_dead_over_width(over_width, chosen, mode),
            caption,
            "born_dead",
            same=("born_dead_over_width", over_width[0].depth, chosen, is_drawn),
        ),
    )
