"""The section on the Jacobian: whether all directions of the input are treated alike."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from nnlab.errands import Told
from nnlab.isometry import linear_ranking, predict_isometry
from nnlab.random_network import RandomNetwork
from pages.parts.address import Address
from pages.parts.awaited import await_errand, found
from pages.parts.drawing import DEFAULT, network_of
from pages.parts.figure import picture
from pages.parts.plain import plain
from pages.parts.save import save_table

if TYPE_CHECKING:
    from nnlab.jacobian import Spectra

HEIGHT = 1000  # pixels that what is awaited takes, about


def _draw(network: RandomNetwork, told: Told) -> Spectra:
    from nnlab.jacobian import draw_spectra

    return draw_spectra(network, told)


def section(address: Address) -> None:
    """Draw the section."""
    st.subheader("Are all directions treated alike?", anchor="spectrum")
    st.markdown(
        "An average can hide much: gradients may keep their size while almost all of it sits in a few "
        "directions. Every direction of a small change is stretched by its own factor. Best are factors "
        "that are all the same, and 1."
    )
    try:
        network = network_of(address)
    except ValueError:  # said above, beside the widgets
        network = RandomNetwork(DEFAULT)
    key = ("spectra", network)
    spectra: Spectra | None = found(key)
    if spectra is None:
        await_errand("spectra", key, partial(_draw, network), lambda done: "Drawing networks ...")
        st.skeleton(height=HEIGHT)  # else what stands below would jump
    else:
        _pictures(spectra)
        _numbers(spectra)


def _pictures(spectra: Spectra) -> None:
    from nnlab.spectrum_charts import spectrum  # loads Altair
    from nnlab.spectrum_words import drawn_words, spectrum_words

    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in spectrum_words(spectra)))
    config, law = spectra.network.config, linear_ranking(spectra.network)
    caption = f"{config.depth} x {spectra.width} {config.activation} · {config.initializer}"
    picture(
        lambda mode: spectrum(spectra, law, mode),
        caption,
        "initialization",
        same=("spectrum", spectra.network),
    )
    st.caption(plain(drawn_words(spectra)))


def _numbers(spectra: Spectra) -> None:
    from nnlab.spectrum_words import TABLE_HELP, in_words, spectrum_table

    told = predict_isometry(spectra.network)
    st.markdown("**The stretches s in numbers**, and what theory says of wide layers")
    st.dataframe(
        in_words(spectra, told),
        hide_index=True,
        width="stretch",
        column_config={name: st.column_config.TextColumn(help=text) for name, text in TABLE_HELP.items()},
        key="spectrum_table",
    )
    save_table(lambda: spectrum_table(spectra, told), "spectrum")
