"""A complaint: one sentence that says what cannot be used and what is allowed."""

from __future__ import annotations

import streamlit as st


def complain(sentence: str, key: str) -> None:
    """Show a sentence as plain text: it may quote what anybody wrote into a link or a file."""
    with st.container(border=True, key=f"complaint_{key}"), st.container(horizontal=True, gap="small"):
        st.markdown(":red[:material/block:]", width="content")
        st.text(f"{sentence[:1].upper()}{sentence[1:].rstrip('.')}.", width="stretch")
