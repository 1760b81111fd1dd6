"""The caches of all pages, which are emptied where a public server is short of memory."""

from __future__ import annotations

import streamlit as st

from nnlab.errands import ERRANDS
from nnlab.job_board import BOARD


def offer() -> None:
    """Let the board empty them when it needs their memory: all that they hold can be computed again."""
    BOARD.add_cache("resources", st.cache_resource.clear)
    BOARD.add_cache("data", st.cache_data.clear)
    BOARD.add_cache("errands", ERRANDS.forget)
