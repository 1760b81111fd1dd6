"""The frame of every page: its title, and its shape where another site shows it."""

from __future__ import annotations

import streamlit as st


def page(title: str) -> None:
    """Begin a page; inside of another site its sidebar starts closed, to leave the charts the width."""
    st.set_page_config(
        title, "📉", layout="wide", initial_sidebar_state="collapsed" if st.context.is_embedded else "auto"
    )
