"""How to record one's own model: three steps, and the lines to copy."""

from __future__ import annotations

import streamlit as st

from nnlab.snippets import FOLLOW, SNIPPETS


def steps() -> None:
    """Say what to do, for a visitor who has no file yet."""
    with st.container(border=True, key="recording"):
        st.markdown("**1. Record.** Put these lines into your training script.")
        _snippets()
        st.markdown(
            "**2. Train.** The file grows while your script runs. A stopped script leaves a file that can be "
            "read.\n\n"
            "**3. Open the file**, above. On your own machine this page also follows it live:"
        )
        st.code(FOLLOW, language="sh")


def again() -> None:
    """Keep the lines at hand for a visitor who has a file."""
    with st.expander("How to record a run", icon=":material/code:"):
        _snippets()
        st.caption("Follow the file live while your script trains:")
        st.code(FOLLOW, language="sh")


def _snippets() -> None:
    chosen = st.pills(
        "Your way to train",
        list(SNIPPETS),
        default=next(iter(SNIPPETS)),
        key="model_snippet",
        required=True,
        label_visibility="collapsed",
    )
    snippet = SNIPPETS[chosen]
    st.caption(snippet.about)
    st.code(snippet.code, language="python")
