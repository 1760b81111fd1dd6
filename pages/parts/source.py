"""A source: where the panels take their run from, and what a page draws of its own among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from nnlab.run import Run


def _whole(run: Run, step: int) -> Run:
    return run


def _nothing(run: Run, step: int) -> None:
    return


@dataclass(frozen=True)
class Source:
    """A run for the panels.

    `id` names what is drawn: where it changes, the whole page is drawn anew. `head` stands over the verdict,
    in training and after; `foot` below it, once training has ended. `waits` tells whether it stands in a
    queue and nothing moves yet. `choose` draws widgets between tiles and
    charts, `drawn` gives the layers that the charts show, and `about` says in words what they leave out;
    `places` gives the rows of the table, in order.
    """

    page: str
    run: Callable[[], Run | None]
    id: Callable[[], str | None]
    is_live: Callable[[], bool]
    head: Callable[[], None]
    foot: Callable[[Run], None]
    choose: Callable[[Run, int], None] = _nothing
    about: Callable[[Run, int], None] = _nothing
    drawn: Callable[[Run, int], Run] = _whole
    places: Callable[[Run, int], list[int] | None] = lambda run, step: None
    waits: Callable[[], bool] = lambda: False

    @property
    def _drawn_key(self) -> str:
        return f"drawn_{self.page}"

    def begin(self) -> None:
        """Remember what the panels are drawn for."""
        st.session_state[self._drawn_key] = self.id()

    @property
    def is_other(self) -> bool:
        """Whether there is another run by now than the panels were drawn for."""
        return bool(self.id() != st.session_state[self._drawn_key])
