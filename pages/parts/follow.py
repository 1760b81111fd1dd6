"""The sections that follow one image through a network, and that look for the believer's neuron."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from nnlab.brightness_words import example_words, follow_words
from nnlab.field import Field
from nnlab.followed import Followed, believers_neuron, follow
from nnlab.lessons import KIND_WORDS, SEEDS
from nnlab.numerals import percent
from nnlab.palette import Mode
from pages.parts import classifiers
from pages.parts.address import Address, Choice
from pages.parts.figure import Same, picture
from pages.parts.guess import answer, ask

if TYPE_CHECKING:
    from nnlab.chart import Chart
    from pages.parts.save import Draw

IMAGES = 360
CHOICES = (
    Choice(
        Field(
            "image", "integer", "Test image", "Number of a test image; 0 is a seven.", low=0, high=IMAGES - 1
        ),
        0,
    ),
    Choice(Field("light", "number", "Light: brightness ×", "", low=0.05, high=0.95), 0.8),
    Choice(Field("dark", "number", "Dark: brightness ×", "", low=1.05, high=10), 2.0),
    Choice(Field("kind", "choice", "Network", "", tuple(KIND_WORDS)), "sigmoid"),
    Choice(Field("which", "integer", "Seed number", "", low=1, high=SEEDS), 1),
    Choice(Field("layer", "integer", "Layer", "", low=1, high=7), 1),
    Choice(Field("claim", "number", "Lighter image: brightness ×", "", low=0.05, high=0.95), 0.8),
)


def following(address: Address) -> None:
    """Draw the section that follows one image."""
    st.subheader("Where does the difference go?", anchor="follow")
    ask("survives", lambda: address.change(light=0.5, kind="sigmoid", which=1))
    _controls(address)
    shown = classifiers.shown(address)
    network = shown.networks[address["kind"]][address["which"] - 1]
    factors = (address["light"], 1.0, address["dark"])
    followed = follow(network, classifiers.images().x[address["image"]], factors)
    if (address["light"], address["kind"], address["which"]) == (0.5, "sigmoid", 1):
        left = float(followed.layers[-1].h_difference[0])
        answer("survives", left, percent(left))
    label = f"image {address['image']}, {KIND_WORDS[address['kind']]}, seed {address['which']}"
    st.markdown(f"Test image {address['image']} shows a **{classifiers.images().y[address['image']]}**.")
    st.markdown("\n".join(f"- {sentence}" for sentence in follow_words(followed)))
    drawn = (address["image"], factors, address["kind"], address["which"], *shown.serials)
    _pictures(address, followed, drawn, label)


def _controls(address: Address) -> None:
    columns = st.columns(5, gap="medium")
    with columns[0]:
        address.slider("image")
    with columns[1]:
        address.slider("light", step=0.05)
    with columns[2]:
        address.slider("dark", step=0.05)
    with columns[3]:
        address.select("kind", KIND_WORDS)
    with columns[4]:
        address.slider("which")


def _pictures(address: Address, followed: Followed, drawn: Same, label: str) -> None:
    from nnlab.followed_charts import difference_survives, images, unit_values

    left, right = st.columns(2, gap="medium")
    with left:
        picture(
            lambda mode: images(followed.image, followed.brightnesses, mode),
            label,
            "follow",
            same=("brightness_images", *drawn),
        )
    with right:
        picture(
            lambda mode: difference_survives(followed, mode),
            label,
            "follow",
            same=("brightness_difference", *drawn),
        )
    names = [layer.name for layer in followed.layers]
    widget = address.widget("layer")
    if st.session_state[widget["key"]] not in range(1, len(names) + 1):
        st.caption(f"There is no layer {st.session_state[widget['key']]} here; the output is shown.")
        st.session_state[widget["key"]] = len(names)
    chosen = st.segmented_control(
        options=range(1, len(names) + 1),
        format_func=lambda number: names[number - 1],
        required=True,
        **widget,
    )
    layer = address.take("layer", chosen)  # now: files are made in another thread, without the session
    same = ("brightness_units", layer, *drawn)
    picture(lambda mode: unit_values(followed, layer, mode), label, "follow", same=same)


def believer(address: Address) -> None:
    """Draw the section on the believer's neuron."""
    st.subheader("But I have seen 0.992 and 0.994", anchor="believer")
    ask("believer", lambda: address.change(claim=0.5))
    address.slider("claim", step=0.05)
    found = classifiers.shown(address)
    networks, serials = found.networks, found.serials
    example = believers_neuron(networks["sigmoid"], classifiers.images().x, address["claim"])
    if address["claim"] == 0.5:
        moved = float(example.followed.layers[-1].h_difference[0])
        answer("believer", moved, percent(moved))
    st.markdown("\n".join(f"- {sentence}" for sentence in example_words(example)))
    from nnlab.followed_charts import images, unit_values

    label = f"image {example.image}, sigmoid, network {example.network + 1}"
    shown = example.followed
    charts: dict[str, Draw] = {
        "believer_images": lambda mode: images(shown.image, shown.brightnesses, mode),
        "believer_units": lambda mode: unit_values(shown, example.layer, mode),
    }
    for (name, draw), column in zip(charts.items(), st.columns([1, 2], gap="medium"), strict=True):
        with column:
            picture(partial(_named, draw, name), label, "believer", same=(name, address["claim"], *serials))


def _named(draw: Draw, name: str, mode: Mode) -> Chart:
    return replace(draw(mode), name=name)
