"""What a page waits for without holding anybody up: a line says how far it is, until it is there."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import streamlit as st

from nnlab.errands import ERRANDS, Told
from nnlab.hosting import is_hosted
from pages.parts.visitor import visitor

TICK_SECONDS = 0.25
HOSTED_TICK_SECONDS = 0.8  # fifty who look four times a second would slow down what they look at


def found(key: Hashable) -> Any:
    """Give what an errand brought, None where it is not done; what it failed with is raised, once."""
    errand = ERRANDS.done(key)
    if errand is not None and errand.error is not None:
        raise errand.error
    return None if errand is None else errand.found


def await_errand(place: str, key: Hashable, do: Callable[[Told], object], say: Callable[[int], str]) -> None:
    """Have something done, and say how far it is until the page is drawn anew with it.

    `place` names where on the page that is: there, a visitor waits for one thing at a time.
    """
    asker = f"{visitor()} {place}"

    def watched() -> None:
        errand = ERRANDS.ask(key, do, asker)
        if errand.is_done:
            st.rerun()
        st.caption(say(errand.progress))

    st.fragment(watched, run_every=HOSTED_TICK_SECONDS if is_hosted() else TICK_SECONDS)()
