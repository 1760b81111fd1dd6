"""The visitor's choice of an experiment: in the session, in the address, in the widgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.healing import from_link
from nnlab.presets import FIRST_PRESET, PRESETS
from pages.parts import view
from pages.parts.query import in_short

CONFIG, NOTES = "config", "link_notes"
LINKED = "linked_columns"  # whether a link asks for the columns of a file
ARRIVED = "arrived"  # whether a link came that `runs` has not looked at
HEALED = "healed"  # of a link: the experiments that were healed, and the one that they led to


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
        st.session_state[CONFIG] = config
        st.session_state[LINKED] = config.dataset == "csv"
        st.session_state[ARRIVED] = True
        st.session_state[NOTES] = (*notes, *_read_chain(config), *view.read())
    return st.session_state[CONFIG]


def _read_chain(config: ExperimentConfig) -> list[str]:
    """Take over the experiments before a link's; give the sentence on what it says of them in vain."""
    texts = st.query_params.get_all("healed")
    st.session_state[HEALED] = ((), config)
    if len(texts) > 1:
        return [f"Ignored healed: the link says it {len(texts)} times."]
    try:
        st.session_state[HEALED] = (from_link("".join(texts), config), config)
    except ValueError as error:
        return [f"Ignored {error}."]
    return []


def without_path(config: ExperimentConfig) -> ExperimentConfig:
    """Give an experiment without the name of its file, which a choice does not say: the file is uploaded."""
    return config.replace(csv_path="")


def choose(config: ExperimentConfig) -> None:
    """Make an experiment the chosen one, widgets included; for callbacks."""
    config = without_path(config)
    st.session_state[CONFIG] = config
    st.session_state[NOTES] = ()
    for name in FIELDS:
        st.session_state[widget_key(name)] = getattr(config, name)


def change(values: dict[str, Any]) -> str:
    """Take over what the widgets say; give the sentence that says why they cannot be used together."""
    if values["dataset"] != "csv":
        values = {**values, "target": "", "features": ()}
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
            st.text(in_short(notes))


def write_address(config: ExperimentConfig, of_run: Mapping[str, str]) -> None:
    """Write the whole experiment into the address, with the run, what made it, and what is looked at."""
    wanted = config.to_query() | {name: word for name, word in of_run.items() if word} | view.said()
    present = {name: st.query_params.get_all(name) for name in st.query_params}
    if present != {name: [value] for name, value in wanted.items()}:
        kept = {n: v for n, v in st.query_params.to_dict().items() if n.startswith("embed")}
        st.query_params.from_dict(wanted | kept)
