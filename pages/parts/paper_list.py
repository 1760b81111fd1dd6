"""All papers at a glance: which of their figures come out again."""

from __future__ import annotations

import streamlit as st

from nnlab.papers import PAPERS
from pages.parts.paper_card import stored_checks


def all_papers() -> None:
    """Draw a row a paper."""
    from nnlab.paper_table import overview

    st.subheader("All figures", anchor="all")
    checks = {name: stored_checks(name) for name in PAPERS}
    st.dataframe(overview(PAPERS, checks), hide_index=True, key="all_papers")
