"""A page's end: the way on to the lab and the lessons, since a phone's sidebar is closed, and its link."""

from __future__ import annotations

import streamlit as st

from pages.parts.share import share

PAGES = {
    "dashboard.py": "The lab",
    "pages/1_Activation_functions.py": "Activation functions",
    "pages/2_Why_nonlinearity.py": "Why nonlinearity",
    "pages/3_Lighter_sevens.py": "Lighter sevens",
    "pages/4_Initialization.py": "Initialization",
    "pages/5_Compare.py": "Compare",
    "pages/6_Sweep.py": "Sweep",
    "pages/7_Your_model.py": "Your model",
    "pages/8_Paper_figures.py": "Paper figures",
}

QUESTIONS = {
    "pages/1_Activation_functions.py": "What does an activation do to the error signal?",
    "pages/2_Why_nonlinearity.py": "Why an activation at all?",
    "pages/3_Lighter_sevens.py": "Does it make a network robust to brightness?",
    "pages/4_Initialization.py": "Will this depth train?",
    "pages/5_Compare.py": "What does one change do, over many seeds?",
    "pages/6_Sweep.py": "Which choice still trains?",
    "pages/7_Your_model.py": "And your own PyTorch model?",
    "pages/8_Paper_figures.py": "Does the lab find what papers found?",
}


def questions() -> None:
    """Draw a link to every page but the lab, with the question that it answers."""
    for page, question in QUESTIONS.items():
        st.page_link(page, label=question, icon=":material/science:")


def menu(*, is_shared: bool = True) -> None:
    """Draw a row of links to all pages, and the way to share this one, where a link can say it all."""
    st.divider()
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="menu"):
        for page, label in PAGES.items():
            st.page_link(page, label=label, width="content")
        if is_shared:
            share()
