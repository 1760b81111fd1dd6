"""A part of a page that is drawn alone whenever one of its widgets changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit.delta_generator_singletons import context_dg_stack


def alone(draw: Callable[..., None], *arguments: Any) -> None:
    """Draw a part, and draw it alone when one of its widgets changes.

    For that Streamlit copies all blocks that are open, each with all around it: of ten blocks 55, a sixth of
    the memory of a visit. Only the innermost is drawn in; the first stands for the page.
    """
    blocks = context_dg_stack.get()
    token = context_dg_stack.set((blocks[0], blocks[-1]) if len(blocks) > 1 else blocks)
    try:
        st.fragment(draw)(*arguments)
    finally:
        context_dg_stack.reset(token)
