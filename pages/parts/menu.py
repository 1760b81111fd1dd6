"""The way on to the lab and the other lessons, at a page's end: on a phone the sidebar is closed."""

from __future__ import annotations

import streamlit as st

PAGES = {
    "dashboard.py": "The lab",
    "pages/1_Activation_functions.py": "Activation functions",
    "pages/2_Why_nonlinearity.py": "Why nonlinearity",
    "pages/3_Lighter_sevens.py": "Lighter sevens",
}


def menu() -> None:
    """Draw a row of links to all pages."""
    st.divider()
    with st.container(horizontal=True, gap="small", key="menu"):
        for page, label in PAGES.items():
            st.page_link(page, label=label, width="content")
