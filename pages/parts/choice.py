"""The visitor's choice of an experiment: in the session, in the address, in the widgets."""

from __future__ import annotations

from typing import Any

import streamlit as st

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.presets import FIRST_PRESET, PRESETS
from pages.parts import view

CONFIG, NOTES = "config", "link_notes"


def widget_key(name: str) -> str:
    """Give the session key of a field's widget."""
    return f"field_{name}"


def _comes_by_link() -> bool:
    """Whether the visitor comes from another page by a link that says what to choose.

    Streamlit forgets the widgets of a page that is left; the address of a page that is not left only
    repeats the choice, or is a moment behind it.
    """
    return widget_key("depth") not in st.session_state and any(name in FIELDS for name in st.query_params)


def current() -> ExperimentConfig:
    """Give the chosen experiment: at first, and after a link, from the address, else the first preset."""
    if CONFIG not in st.session_state or _comes_by_link():
        query = {name: st.query_params.get_all(name) for name in st.query_params}
        default = PRESETS[FIRST_PRESET].config
        config, notes = ExperimentConfig.from_query(query, default)
        if config.dataset == "csv":
            config, notes = default, (*notes, "Ignored dataset csv: this page has no file for it.")
        st.session_state[CONFIG] = config
        st.session_state[NOTES] = (*notes, *view.read())
    return st.session_state[CONFIG]


def choose(config: ExperimentConfig) -> None:
    """Make an experiment the chosen one, widgets included; for callbacks."""
    st.session_state[CONFIG] = config
    st.session_state[NOTES] = ()
    for name in FIELDS:
        st.session_state[widget_key(name)] = getattr(config, name)


def change(values: dict[str, Any]) -> str:
    """Take over what the widgets say; give the sentence that says why they cannot be used together."""
    try:
        config = current().replace(**values)
    except ValueError as error:
        return str(error)
    if config != current():
        st.session_state[CONFIG] = config
        st.session_state[NOTES] = ()
    return ""


def show_notes() -> None:
    """Say what of the link could not be used; as plain text, since anybody may have written it."""
    notes = st.session_state.get(NOTES, ())
    if notes:
        with st.container(border=True, key="link_notes"):
            st.markdown(":material/link_off: **Not all of the link could be used:**")
            st.text("\n".join(notes))


def write_address(config: ExperimentConfig, run_id: str | None, made: str) -> None:
    """Write the whole experiment into the address, with the run, what computed it, and what is looked at."""
    wanted = config.to_query() | {n: v for n, v in (("run", run_id), ("made", made)) if v} | view.said()
    present = {name: st.query_params.get_all(name) for name in st.query_params}
    if present != {name: [value] for name, value in wanted.items()}:
        kept = {n: v for n, v in st.query_params.to_dict().items() if n.startswith("embed")}
        st.query_params.from_dict(wanted | kept)
