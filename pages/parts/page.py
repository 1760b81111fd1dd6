"""The frame of every page: its title, and its shape where another site shows it."""

from __future__ import annotations

import threading

import streamlit as st

from nnlab import courtesy, joblog
from nnlab.hosting import is_hosted
from nnlab.memory import keep_little
from pages.parts import caches
from pages.parts.first_sight import note_page
from pages.parts.gate import guard
from pages.parts.haste import slow_down
from pages.parts.query import check_length

# Streamlit's log of an error in a page quotes the error, which may quote the visitor.
PAGE_LOG = "streamlit.error_util"
SCRIPT_THREAD = "ScriptRunner.scriptThread"  # the name Streamlit gives to a thread that draws a page


def _is_drawn() -> bool:
    """Whether a page of any visitor is being drawn."""
    return any(
        thread.name == SCRIPT_THREAD and not courtesy.waits(thread) for thread in threading.enumerate()
    )


def page(title: str) -> None:
    """Begin a page; inside of another site its sidebar starts closed, to leave the charts the width."""
    guard()
    st.set_page_config(
        title, "📉", layout="wide", initial_sidebar_state="collapsed" if st.context.is_embedded else "auto"
    )
    if is_hosted():
        joblog.take_over(PAGE_LOG)
        keep_little()
        courtesy.let_first(_is_drawn)
        slow_down()
    note_page(title)
    caches.offer()
    check_length()
