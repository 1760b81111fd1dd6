"""The section on collapse: layers without activation are one matrix, and what an activation changes."""

from __future__ import annotations

import streamlit as st

from nnlab.activations import ACTIVATIONS
from nnlab.collapse import (
    INPUT_NAMES,
    collapse,
    collapse_words,
    example_distance,
    example_words,
    parse_widths,
    worked_steps,
    worked_table,
)
from nnlab.field import Field
from nnlab.lessons import COLLAPSE_DATA, collapse_problem
from nnlab.numerals import percent, scientific
from pages.parts import pair
from pages.parts.address import Address, Choice
from pages.parts.complaint import complain
from pages.parts.figure import picture
from pages.parts.first_sight import let_paint
from pages.parts.guess import answer, ask
from pages.parts.save import save_table

LABELS = {name: entry.label for name, entry in ACTIVATIONS.items()} | {"identity": "none (identity)"}
ALL = tuple(ACTIVATIONS)
ASKED = {"E": 1.0, "H": -3.0, "G": 0.0, "wrap": "relu"}
CHOICES = (
    Choice(
        Field(
            "widths",
            "text",
            "Widths of the hidden layers",
            "1 to 10 numbers from 1 to 64, separated by commas.",
        ),
        "16, 8, 3, 8, 16",
    ),
    Choice(Field("on", "choice", "Data", "What both are computed on.", tuple(COLLAPSE_DATA)), "normal"),
    Choice(Field("bend", "choice", "Activation of the hidden layers", "", ALL), "identity"),
    Choice(Field("draw", "integer", "Seed", "Another seed, another network.", low=0, high=999), 0),
    *[
        Choice(Field(name, "number", name, "", low=-10, high=10), value)
        for name, value in zip(INPUT_NAMES, (1.0, 2.0, 3.0))
    ],
    Choice(Field("wrap", "choice", "Wrap a and b in", "", ALL), "identity"),
)


def collapsing(address: Address) -> None:
    """Draw the section on drawn networks."""
    st.subheader("Can many layers do more than one?", anchor="collapse")
    ask("collapse", lambda: address.change(bend="relu"))
    columns = st.columns([3, 2, 2, 2], gap="medium", vertical_alignment="bottom")
    with columns[0]:
        text = address.take("widths", st.text_input(max_chars=60, **address.widget("widths")))
    with columns[1]:
        address.select("on", COLLAPSE_DATA)
    with columns[2]:
        address.select("bend", LABELS)
    with columns[3]:
        address.slider("draw")
    try:
        widths = parse_widths(text)
    except ValueError as error:
        complain(str(error), "widths")
        return
    network, x = collapse_problem(address["on"], widths, address["bend"], address["draw"])
    found = collapse(network, x)
    if address["bend"] == "relu":
        answer("collapse", found.miss, percent(found.miss))
    st.markdown("\n".join(f"- {sentence}" for sentence in collapse_words(found)))
    from nnlab.collapse_charts import agreement, bottleneck, composed_matrix, layer_widths  # loads Altair

    drawn = (address["on"], tuple(widths), address["bend"], address["draw"])
    label = f"{'-'.join(str(width) for width in network.widths)} {address['bend']}, seed {address['draw']}"
    pair.side_by_side(
        lambda: picture(
            lambda mode: agreement(network, x, mode), label, "collapse", same=("collapse_agreement", *drawn)
        ),
        lambda: picture(
            lambda mode: layer_widths(network, mode), label, "collapse", same=("layer_widths", *drawn)
        ),
    )
    let_paint(address)
    pair.side_by_side(
        lambda: picture(
            lambda mode: composed_matrix(network, mode), label, "collapse", same=("composed_matrix", *drawn)
        ),
        lambda: picture(
            lambda mode: bottleneck(network, mode), label, "collapse", same=("bottleneck", *drawn)
        ),
    )


def worked_example(address: Address) -> None:
    """Draw the worked example."""
    st.subheader("The same by hand: two hidden nodes", anchor="example")
    ask("example", lambda: address.change(**ASKED))
    st.markdown(
        "Three inputs E, H, G; hidden nodes a = 0.5E + 3H + 4G + 0.5 and b = 4E + H + 2G + 1; the output is "
        "2a + 5b + 5."
    )
    for name, column in zip((*INPUT_NAMES, "wrap"), st.columns(4, gap="medium"), strict=True):
        with column:
            if name == "wrap":
                address.select("wrap", LABELS)
            else:
                address.slider(name, step=0.5)
    e, h, g = (address[name] for name in INPUT_NAMES)
    if all(address[name] == value for name, value in ASKED.items()):
        off = example_distance(e, h, g, address["wrap"])
        answer("example", off, scientific(off))
    st.markdown(f"**{example_words(e, h, g, address['wrap'])}**")
    st.table(
        [
            {"": step.description, "computed as": f"${step.formula}$", "gives": step.value}
            for step in worked_steps(e, h, g, address["wrap"])
        ]
    )
    wrap = address["wrap"]  # a download is made in another thread, which has no session to ask
    save_table(lambda: worked_table(e, h, g, wrap), "worked_example")
