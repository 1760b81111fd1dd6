"""The section on softmax: scores become probabilities, sharper or flatter with a temperature."""

from __future__ import annotations

import streamlit as st

from nnlab.field import Field
from nnlab.numerals import scientific
from nnlab.softmax import largest_change, shift_in_words, temperature_in_words
from pages.parts.address import Address, Choice
from pages.parts.figure import picture
from pages.parts.guess import answer, ask

SCORES = {"s1": 2.0, "s2": 1.0, "s3": 0.1}
SHIFT = 100.0
ASKED = 5.0
CHOICES = (
    *[
        Choice(Field(name, "number", f"Score of class {name[1:]}", "", low=-10, high=10), value)
        for name, value in SCORES.items()
    ],
    Choice(
        Field("temperature", "number", "Temperature", "All scores are divided by it.", low=0.05, high=20), 1.0
    ),
)


def softmax(address: Address) -> None:
    """Draw the section."""
    st.subheader("Which activation for the output?", anchor="softmax")
    ask("softmax", lambda: address.change(**SCORES, temperature=ASKED))
    for name, column in zip((*SCORES, "temperature"), st.columns(4, gap="medium"), strict=True):
        with column:
            address.slider(name, step=0.05)
    scores = tuple(address[name] for name in SCORES)
    temperature = address["temperature"]
    if temperature == ASKED and scores == tuple(SCORES.values()):
        change = largest_change(scores, temperature)
        answer("softmax", change, f"{'+' if change > 0 else '-'}{scientific(abs(change))}")
    from nnlab.softmax_charts import bars, over_temperature  # loads Altair

    words = f"scores {', '.join(f'{score:g}' for score in scores)}"
    left, right = st.columns(2, gap="medium")
    with left:
        picture(
            lambda mode: bars(scores, temperature, mode),
            f"{words}, temperature {temperature:g}",
            "softmax",
            same=("softmax_bars", scores, temperature),
        )
    with right:
        picture(
            lambda mode: over_temperature(scores, temperature, mode),
            words,
            "softmax",
            same=("softmax_over_temperature", scores, temperature),
        )
    st.markdown(temperature_in_words(scores, temperature))
    st.markdown(shift_in_words(scores, SHIFT, temperature))
