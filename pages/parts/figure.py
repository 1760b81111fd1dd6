"""A chart on a page: title, picture, how to read it, files to save."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import streamlit as st

from nnlab.palette import Mode
from nnlab.run import Run
from pages.parts.alone import alone
from pages.parts.click import Place, clickable
from pages.parts.plain import plain
from pages.parts.save import save_chart

if TYPE_CHECKING:
    from nnlab.chart import Chart

    Draw = Callable[[Mode], Chart]  # a chart in the colors of a mode

Same = tuple[Any, ...]  # the name of a chart, and what it is drawn from
MOST_KEPT = 300  # charts, of 22 kB on average; the pages as they open have 57


def mode() -> Mode:
    """Give the theme the visitor sees."""
    return "dark" if st.context.theme.type == "dark" else "light"


def figure(name: str, run: Run, step: int, *, live: bool = False) -> None:
    """Draw one chart of a run; downloads are offered once the run has ended."""

    def of_run(mode: Mode) -> Chart:
        # Altair takes a third of a second to load: on a fresh server the verdict need not wait for it.
        from nnlab.charts import draw

        return draw(name, run, step, mode)

    picture(of_run, run.caption, run.label, live=live, same=(name, run.serial, step))


def picture(draw: Draw, caption: str, label: str, *, live: bool = False, same: Same | None = None) -> None:
    """Draw a chart in the visitor's colors; its files can have other ones.

    In them, `caption` says what it was made from, and `label` begins their names. `same` is the chart's name
    and all that it is drawn from, as plain values: whoever sees what is equal gets what was drawn before.
    """
    if live or same is None:
        chart = draw(mode())
        with st.container(key=f"chart_{chart.name}"):
            if live:
                # Not on its own: a part with a timer may be sent after what is within it, and the browser
                # fails.
                _head(chart.name, chart.title, lambda mode: chart)
            else:
                _own_head(chart.name, chart.title, draw, caption, label)
            _show(chart, live=live)
        return
    name, drawn = same[0], cache(draw)
    with st.container(key=f"chart_{name}"):
        _own_head(name, _title(name, repr(same), mode(), drawn), draw, caption, label)
        _drawn_once(repr(same), mode(), drawn)


def map_to_click(draw: Draw, caption: str, label: str, on_click: Callable[[Place], None]) -> None:
    """Draw a chart as `picture` does whose spec holds a selection; told is each place that is clicked."""
    chart = draw(mode())
    with st.container(key=f"chart_{chart.name}"):
        _own_head(chart.name, chart.title, draw, caption, label)
        if chart.is_empty:
            _show(chart)
        else:
            clickable(chart.drawable, chart.steady_text or chart.alt_text, _key(chart), on_click)
            _notes(chart.notes)


# A class opens the same pages, most of whose time goes into their charts; and whoever changes something
# beside a chart has the page drawn again. What the browser was sent is kept.
@st.cache_resource(max_entries=MOST_KEPT, show_spinner=False)
def _title(name: str, same: str, mode: Mode, _draw: Draw) -> str:
    """Give a chart's title.

    Raises:
        ValueError: the chart has another name.
    """
    chart = _draw(mode)
    if chart.name != name:
        raise ValueError(f"same: {name!r} is not the chart's name; allowed: {chart.name!r}")
    return chart.title


@st.cache_resource(max_entries=MOST_KEPT, show_spinner=False)
def _drawn_once(same: str, mode: Mode, _draw: Draw) -> None:
    """Draw a chart without its head."""
    _show(_draw(mode))


def _key(chart: Chart) -> str:
    return f"vega_{chart.name}"


def _show(chart: Chart, *, live: bool = False) -> None:
    # A picture that changes every second would be set up anew as often, were its numbers among these words.
    words = f"{chart.name.replace('_', ' ')}, during training" if live else chart.steady_text
    if chart.is_empty:
        st.empty()
    else:
        st.vega_lite_chart(
            spec=chart.drawable, theme=None, width="stretch", alt=words or chart.alt_text, key=_key(chart)
        )
    _notes(chart.notes)


def _notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        st.caption(plain(note))


def _own_head(name: str, title: str, draw: Draw, caption: str, label: str) -> None:
    # Else every chart of the section would be drawn anew for a popover that is opened.
    alone(_head, name, title, draw, (caption, label))


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
