"""A page's end: the way on to the lab and the lessons, since a phone's sidebar is closed, and its link."""

from __future__ import annotations

import streamlit as st

from pages.parts.share import share

PAGES = {
    "dashboard.py": "The lab",
    "pages/1_Activation_functions.py": "Activation functions",
    "pages/2_Why_nonlinearity.py": "Why nonlinearity",
    "pages/3_Lighter_sevens.py": "Lighter sevens",
}


def menu() -> None:
    """Draw a row of links to all pages, and the way to share this one."""
    st.divider()
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="menu"):
        for page, label in PAGES.items():
            st.page_link(page, label=label, width="content")
        share()
