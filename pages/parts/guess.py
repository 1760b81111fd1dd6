"""A guess before the experiment: question, answers to choose from, a button, and what was measured."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from nnlab.questions import QUESTIONS


def ask(name: str, press: Callable[[], None], *, disabled: bool = False) -> None:
    """Ask a question; its button runs `press`, which sets up the experiment that answers it."""
    question = QUESTIONS[name]

    def pressed() -> None:
        st.session_state[f"asked_{name}"] = True
        press()

    with st.container(border=True, key=f"question_{name}"):
        st.markdown(f":material/help: {question.text}")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.pills(
                "Your guess",
                [option.words for option in question.options],
                key=f"guess_{name}",
                persist_state="session",
                width="content",
                wrap=True,
            )
            st.button(
                question.button,
                key=f"ask_{name}",
                icon=":material/science:",
                on_click=pressed,
                disabled=disabled,
            )
        st.session_state[f"answer_{name}"] = st.empty()


def was_asked(name: str) -> bool:
    """Whether the visitor has pressed a question's button."""
    return bool(st.session_state.get(f"asked_{name}"))


def answer(name: str, measured: float, shown: str) -> None:
    """Say, below the question, what was measured; call it only where the asked experiment is shown."""
    if was_asked(name):
        text = QUESTIONS[name].answer(st.session_state.get(f"guess_{name}"), measured, shown)
        st.session_state[f"answer_{name}"].markdown(text)
