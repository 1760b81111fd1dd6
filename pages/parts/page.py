"""The frame of every page: its title, and its shape where another site shows it."""

from __future__ import annotations

import streamlit as st


def page(title: str) -> None:
    """Begin a page; inside of another site its sidebar starts closed, which leaves the width to the charts."""
    is_embedded = bool(st.context.is_embedded)
    sidebar = "collapsed" if is_embedded else "auto"
    st.set_page_config(title, "📉", layout="wide", initial_sidebar_state=sidebar)
