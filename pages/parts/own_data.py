"""A visitor's own table: uploaded as CSV, its target and features chosen, kept for this visit alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from nnlab.config import ExperimentConfig
from pages.parts import uploaded
from pages.parts.choice import LINKED, choose, current, widget_key
from pages.parts.complaint import complain

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from nnlab.csvtable import Table
    from nnlab.datasets import Data

TABLE, REFUSAL, DATA = "own_table", "own_refusal", "own_table_data"
NO_FEATURES = "own_no_features"  # said by an experiment, no features are all of them
UPLOAD, TARGET, FEATURES, TASK = "own_upload", "own_target", "own_features", "own_task"
MEGABYTES = 5  # as .streamlit/config.toml
TASKS = {"cross_entropy": "A class", "mse": "A number"}
ALLOWED = "A header line with column names, then a row an example; up to 5 MB, 100,000 rows and 256 columns."
PRIVATE = "The file stays in this visit: no other visitor sees it, and a reload forgets it."
NEEDED = "This link needs the file it was made with: upload it."


def table() -> Table | None:
    """Give the visitor's table, None where there is none."""
    found: Table | None = st.session_state.get(TABLE)
    return found


def data(config: ExperimentConfig) -> Data | None:
    """Give the visitor's table as an experiment uses it, None where there is none.

    Raises:
        ValueError: the experiment's columns cannot be used.
    """
    own = table()
    if own is None:
        return None
    # Loaded with the first table: the first paint does without pandas.
    from nnlab.csvdata import to_data

    key = (own.sha256, config.target, config.features, config.loss)
    if st.session_state.get(DATA, (None, None))[0] != key:
        st.session_state[DATA] = (key, to_data(own, config))
    made: Data = st.session_state[DATA][1]
    return made


def _change(**values: Any) -> None:
    st.session_state[LINKED] = st.session_state[NO_FEATURES] = False
    choose(current().replace(**values))


def _take_file() -> None:
    """Read what was uploaded; another file's columns are chosen anew, but for those that a link asks for."""
    from nnlab.csvdata import missing_columns, usual_choice
    from nnlab.csvtable import plain_name, table_from_csv

    file = uploaded.here(st.session_state.get(UPLOAD))
    for key in (TABLE, DATA, REFUSAL):
        st.session_state.pop(key, None)
    if file is None:
        return
    try:
        with uploaded.reading(file) as content:
            own = table_from_csv(content, plain_name(file.name))
            uploaded.OPEN.take(own, own.nbytes + uploaded.BYTES_A_CELL * own.rows * len(own.columns))
    except ValueError as error:
        st.session_state[REFUSAL] = str(error).replace("csv_path", "file", 1)
        return
    st.session_state[TABLE] = own
    fits = current().target != "" and not missing_columns(own, current())
    if fits:
        st.session_state[LINKED] = st.session_state[NO_FEATURES] = False
    elif not (st.session_state.get(LINKED) and current().target):
        _change(**usual_choice(own))


def _take_target() -> None:
    from nnlab.csvdata import usual_choice

    own, target = table(), st.session_state[TARGET]
    if own is not None and target:
        _change(**usual_choice(own, target))


def _take_features() -> None:
    own, chosen = table(), st.session_state[FEATURES]
    if own is None:
        return
    others = [name for name in own.names if name != current().target]
    names = tuple(name for name in others if name in chosen)
    _change(features=() if len(names) == len(others) else names)
    st.session_state[NO_FEATURES] = not names


def _take_task() -> None:
    _change(loss=st.session_state[TASK])


def begin() -> None:
    """Choose columns of the table where none are chosen; before the widgets that show the choice."""
    own = table()
    if own is not None and st.session_state.get(widget_key("dataset")) == "csv" and not current().target:
        from nnlab.csvdata import usual_choice

        _change(**usual_choice(own))


def choose_data(place: DeltaGenerator) -> str:
    """Let the visitor upload a table and choose columns; give why nothing can be trained on it, or ""."""
    if current().dataset != "csv":
        return ""
    with place, st.container(border=True, key="own_data"):
        left, right = st.columns(2, gap="medium")
        with left:
            st.file_uploader(
                "Your data: a CSV file",
                type=["csv", "tsv", "txt"],
                key=UPLOAD,
                on_change=_take_file,
                max_upload_size=MEGABYTES,
                help=f"{ALLOWED} {PRIVATE}",
            )
        own = table()
        with right:
            if own is None:
                _what_is_needed()
            else:
                _columns(own)
        if own is not None:
            return _outcome(own)
        if st.session_state.get(REFUSAL):
            complain(st.session_state[REFUSAL], UPLOAD)
        return "no file"


def _what_is_needed() -> None:
    """Say what a file must be, or what the link asks for."""
    config = current()
    if not st.session_state.get(LINKED) or not config.target:
        st.caption(f"{ALLOWED} {PRIVATE}")
        return
    st.info(f"{NEEDED} {PRIVATE}", icon=":material/upload_file:")
    st.text(f"Target: {config.target}\nFeatures: {', '.join(config.features) or 'all other columns'}")


def _columns(own: Table) -> None:
    """Let the visitor choose target and features; the widgets show what the experiment says."""
    config = current()
    others = [name for name in own.names if name != config.target]
    st.session_state[TARGET] = config.target if config.target in own.names else None
    # A link may name a column twice.
    named = [name for name in dict.fromkeys(config.features) if name in others] or (
        [] if config.features else others
    )
    st.session_state[FEATURES] = [] if st.session_state.get(NO_FEATURES) else named
    column = own.columns.get(config.target)
    first, second = st.columns(2, gap="small")
    first.selectbox(
        "Target: the column to predict",
        own.names,
        key=TARGET,
        on_change=_take_target,
        placeholder="choose a column",
    )
    if column is not None and column.numbers is not None:
        st.session_state[TASK] = config.loss
        second.segmented_control(
            "What is predicted",
            list(TASKS),
            format_func=TASKS.__getitem__,
            key=TASK,
            on_change=_take_task,
            required=True,
            help="A class: each value of the target is one (loss: cross-entropy). A number: regression "
            "(loss: mean squared error).",
        )
    st.multiselect(
        f"Features: the columns to learn from ({len(others)} to choose from)",
        others,
        key=FEATURES,
        on_change=_take_features,
    )


def _outcome(own: Table) -> str:
    """Say what the data are, or why they cannot be used."""
    from nnlab.csvdata import in_words, missing_columns, names_in_words

    config = current()
    missing = missing_columns(own, config)
    try:
        if missing:
            raise ValueError(
                f"the file {own.name} has no column {names_in_words(missing)}, which the link names; choose "
                "others, or upload the file that the link was made with"
            )
        if st.session_state.get(NO_FEATURES):
            raise ValueError("no features; choose at least one column")
        chosen = data(config)
        assert chosen is not None
        config.check_work(chosen.ends)
    except ValueError as error:
        sentence = str(error).replace("csv_path", "file", 1)
        complain(sentence, TARGET)
        return sentence
    st.text("\n".join((f"{own.name}. {in_words(chosen)}", *(f"Note: {note}." for note in chosen.notes))))
    return ""
