"""A chart on a page: title, picture, how to read it, files to save."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from nnlab.palette import Mode
from nnlab.run import Run
from pages.parts.click import Place, clickable
from pages.parts.plain import plain
from pages.parts.save import save_chart

if TYPE_CHECKING:
    from nnlab.chart import Chart

    Draw = Callable[[Mode], Chart]  # a chart in the colors of a mode


def mode() -> Mode:
    """Give the theme the visitor sees."""
    return "dark" if st.context.theme.type == "dark" else "light"


def figure(name: str, run: Run, step: int, *, live: bool = False) -> None:
    """Draw one chart of a run; downloads are offered once the run has ended."""
    # Altair takes a third of a second to load: on a fresh server the verdict need not wait for it.
    from nnlab.charts import draw

    picture(lambda mode: draw(name, run, step, mode), run.caption, run.label, live=live)


def picture(
    draw: Draw,
    caption: str,
    label: str,
    *,
    live: bool = False,
    on_click: Callable[[Place], None] | None = None,
) -> None:
    """Draw a chart in the visitor's colors; its files can have other ones.

    In them, `caption` says what it was made from, and `label` begins their names. `on_click` is told each
    place of the chart that the visitor clicks; the chart's spec holds a selection then.
    """
    chart = draw(mode())
    with st.container(key=f"chart_{chart.name}"):
        if live:
            # Not on its own: a part with a timer may be sent after what is within it, and the browser fails.
            _head(chart.name, chart.title, lambda mode: chart)
        else:
            # Else every chart of the section would be drawn anew for a popover that is opened.
            st.fragment(_head)(chart.name, chart.title, draw, (caption, label))
        if on_click is not None and not chart.is_empty:
            clickable(chart.drawable, chart.alt_text, _key(chart), on_click)
        else:
            _show(chart)
        _notes(chart.notes)


def _key(chart: Chart) -> str:
    return f"vega_{chart.name}"


def _show(chart: Chart) -> None:
    if chart.is_empty:
        st.empty()
    else:
        st.vega_lite_chart(
            spec=chart.drawable, theme=None, width="stretch", alt=chart.alt_text, key=_key(chart)
        )


def _notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        st.caption(plain(note))


# The contents of a popover are drawn once it is opened: hundreds of hidden buttons and formulas would
# cost the first paint seconds. The chart is drawn again for them: kept, it would be so for every visitor.


def _head(name: str, title: str, draw: Draw, files: tuple[str, str] | None = None) -> None:
    """Draw a chart's title, how to read it, and its files, for which `files` are caption and label."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(f"**{title}**", width="stretch")
        # One container, so that on a phone both buttons go to the next line together.
        with st.container(horizontal=True, width="content", gap="xsmall"):
            _explanation(name, draw)
            if files is not None:
                save_chart(name, draw, mode(), *files)


def _explanation(name: str, draw: Draw) -> None:
    popover = st.popover(
        "How to read",
        icon=":material/help:",
        type="tertiary",
        key=f"help_{name}",
        on_change="rerun",
    )
    if popover.open:
        popover.markdown(draw(mode()).how_to_read)
