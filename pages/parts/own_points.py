"""A visitor's own dots: drawn on a pad or uploaded as CSV, checked, kept for the session."""

from __future__ import annotations

import streamlit as st

from nnlab.datasets import Data
from nnlab.points import Points, points_from_csv, points_from_drawing, to_data, to_frame
from pages.parts.pad import pad

POINTS = "own_points"
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
    file = st.file_uploader("CSV file", type=["csv", "txt"], key="own_file", help=ALLOWED)
    st.caption(ALLOWED)
    return points_from_csv(file.getvalue(), file.name) if file is not None else None


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
