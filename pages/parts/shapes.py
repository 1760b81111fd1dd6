"""The section on shapes: any activations side by side, with their slopes and what each costs."""

from __future__ import annotations

import streamlit as st

from nnlab.activation_facts import COLUMN_HELP, COLUMN_WORDS, DEFAULT_TAU, facts, facts_table, in_words
from nnlab.activations import ACTIVATIONS
from nnlab.field import Field
from nnlab.numerals import scientific
from pages.parts.address import Address, Choice
from pages.parts.figure import picture
from pages.parts.first_sight import let_paint
from pages.parts.guess import answer, ask
from pages.parts.save import save_table

CHOICES = (
    Choice(
        Field("show", "names", "Activations", "Any of the sixteen.", tuple(ACTIVATIONS)),
        ("tanh", "relu", "gelu"),
    ),
    Choice(
        Field(
            "tau",
            "number",
            "Saturated below this share of the largest slope (τ)",
            "0.0591 is where |tanh| passes 0.97.",
            low=0.01,
            high=0.5,
        ),
        round(DEFAULT_TAU, 4),
    ),
)
TABLE = (
    "label",
    "made_for",
    "range",
    "zero_centered",
    "mean_output",
    "slope_sup",
    "saturates",
    "can_die",
    "differentiable",
    "source",
)


def shapes(address: Address) -> None:
    """Draw the section."""
    st.subheader("What shapes are there, and what is each good for?", anchor="shapes")
    ask("slope", lambda: address.change(show=("sigmoid",)))
    chosen, tau = _choose(address)
    if not chosen:
        st.info("Choose at least one activation; allowed: any of the sixteen.")
        return
    if chosen == ("sigmoid",):
        slope = facts("sigmoid", tau).slope_sup
        answer("slope", slope, scientific(slope))
    from nnlab.activation_charts import curves  # loads Altair

    picture(
        lambda mode: curves(chosen, tau, mode),
        f"τ = {tau:g}",
        "activations",
        same=("activation_curves", chosen, tau),
    )
    for name in chosen:
        st.caption(in_words(name, tau))
    let_paint(address)
    _table(tau)
    _formulas(chosen)


def _formulas(chosen: tuple[str, ...]) -> None:
    formulas = st.expander(
        "Formulas of the chosen ones", icon=":material/function:", key="formulas", on_change="rerun"
    )
    if not formulas.open:
        return  # drawn once it is opened: the browser's typesetting takes a tenth of a second
    for name in chosen:
        entry = ACTIVATIONS[name]
        formulas.markdown(f"**{entry.label}** · {entry.source}")
        formulas.latex(rf"{entry.formula} \qquad {entry.derivative_formula}")


def _choose(address: Address) -> tuple[tuple[str, ...], float]:
    labels = {name: entry.label for name, entry in ACTIVATIONS.items()}
    widget = address.widget("show")
    chosen = st.pills(options=list(labels), format_func=labels.__getitem__, selection_mode="multi", **widget)
    tau = address.slider("tau", step=0.0001)
    return address.take("show", tuple(name for name in ACTIVATIONS if name in chosen)), tau


def _table(tau: float) -> None:
    table = facts_table(tau)
    st.markdown("**What each was made for, and what it costs**; click a column to sort")
    st.dataframe(
        table,
        hide_index=True,
        column_order=TABLE,
        column_config={
            name: st.column_config.Column(
                COLUMN_WORDS[name], help=COLUMN_HELP.get(name), pinned=name == "label"
            )
            for name in TABLE
        },
    )
    save_table(lambda: table, "activations")
