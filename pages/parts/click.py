"""A chart that can be clicked: which of its places the visitor chose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

Place = dict[str, float]  # what a chart's selection tells of a place, by the names of its fields


def newest(before: list[Place], now: list[Place]) -> Place | None:
    """Give the place that a click has added, or taken away by a second click on it; None if neither."""
    added = [place for place in now if place not in before]
    gone = [place for place in before if place not in now]
    return next(iter([*added[::-1], *gone[::-1]]), None)


def clickable(spec: dict[str, Any], alt: str, key: str, go: Callable[[Place], None]) -> None:
    """Draw a chart whose spec holds one selection of points; `go` is told each place clicked, once.

    A selection stays in the browser while other widgets change: only what is new in it is a click.
    """
    seen = f"{key}_seen"

    def told() -> None:
        now = _places(st.session_state[key])
        place = newest(st.session_state.get(seen, []), now)
        st.session_state[seen] = now
        if place is not None:
            go(place)

    points = [param["name"] for param in spec["params"] if param["select"]["type"] == "point"]
    state = st.vega_lite_chart(
        spec=spec, theme=None, width="stretch", alt=alt, key=key, on_select=told, selection_mode=points
    )
    # Of a page that is opened again, the browser has forgotten the selection.
    st.session_state[seen] = _places(state)


def _places(state: Any) -> list[Place]:
    (chosen,) = state["selection"].values()
    return list(chosen) if isinstance(chosen, list) else []
