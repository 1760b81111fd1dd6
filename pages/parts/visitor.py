"""Who is asking: a name for this browser tab's session, which no other knows or can guess."""

from __future__ import annotations

import secrets

import streamlit as st

NAME = "visitor"


def visitor() -> str:
    """Give this session's name; it is made here, and never comes from a browser."""
    if NAME not in st.session_state:
        st.session_state[NAME] = secrets.token_urlsafe(16)
    name: str = st.session_state[NAME]
    return name
