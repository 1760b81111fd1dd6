"""A visitor's own dots: drawn on a pad or uploaded as CSV, checked, kept for the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from nnlab.datasets import Data
from nnlab.points import Points, points_from_csv, points_from_drawing, to_data, to_frame
from pages.parts import uploaded
from pages.parts.pad import pad

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

POINTS = "own_points"
FILE, READ = "own_file", "own_file_read"
ALLOWED = "A header line, then a row a dot: two columns of numbers and one of two classes."


def data() -> Data | None:
    """Give the visitor's dots, split and standardized as all data; None where there are none."""
    points: Points | None = st.session_state.get(POINTS)
    return None if points is None else to_data(points)


def choose() -> str:
    """Let the visitor draw or upload; give the sentence that says why there is nothing to train on, or ""."""
    how = st.segmented_control(
        "Your dots", ["Draw", "Upload a CSV file"], key="own_how", default="Draw", required=True
    )
    try:
        st.session_state[POINTS] = _drawn() if how == "Draw" else _uploaded()
    except ValueError as error:
        st.session_state[POINTS] = None
        return str(error)
    points: Points | None = st.session_state[POINTS]
    if points is None:
        return "No dots yet: draw some of both colors." if how == "Draw" else "No file yet."
    _describe(points)
    return ""


def _drawn() -> Points | None:
    st.caption("Choose a color and move over the field with mouse, finger or pen.")
    value = pad("own_pad")
    return points_from_drawing(value) if value else None


def _uploaded() -> Points | None:
    file = uploaded.here(
        st.file_uploader("CSV file", type=["csv", "txt"], key=FILE, help=ALLOWED, max_upload_size=1)
    )
    st.caption(ALLOWED)
    if file is None:
        return None
    if st.session_state.get(READ, ("", None))[0] != file.file_id:
        st.session_state[READ] = (file.file_id, _read(file))
    read: Points | ValueError = st.session_state[READ][1]
    if isinstance(read, ValueError):
        raise read
    return read


def _read(file: UploadedFile) -> Points | ValueError:
    """Read the dots of a file, or give why there are none: the file is read once only."""
    try:
        with uploaded.reading(file) as content:
            return points_from_csv(content, file.name)
    except ValueError as error:
        return error


def _describe(points: Points) -> None:
    for note in points.notes:
        st.text(note)
    from nnlab import tables

    st.download_button(
        f"These {len(points.labels)} dots (CSV)",
        data=lambda: tables.to_csv(to_frame(points)),
        file_name="dots.csv",
        mime="text/csv",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        key="csv_own",
    )
