"""A chart on a page: title, picture, how to read it, downloads."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from nnlab.jobs import give_memory_back
from nnlab.palette import Mode
from nnlab.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from nnlab.chart import Chart

    Draw = Callable[[Mode], Chart]  # a chart in the colors of a mode

MODES: dict[str, Mode] = {"Light": "light", "Dark": "dark"}


def mode() -> Mode:
    """Give the theme the visitor sees."""
    return "dark" if st.context.theme.type == "dark" else "light"


def lean(make: Callable[[], bytes]) -> bytes:
    """Make a file, and give the memory that it took back to the host, which has little."""
    try:
        return make()
    finally:
        gc.collect()  # PDF's parts refer to each other in circles
        give_memory_back()


def figure(name: str, run: Run, step: int, *, live: bool = False) -> None:
    """Draw one chart of a run; downloads are offered once the run has ended."""
    # Altair takes a third of a second to load: on a fresh server the verdict need not wait for it.
    from nnlab.charts import draw

    picture(lambda mode: draw(name, run, step, mode), run.caption, run.label, live=live)


def picture(draw: Draw, caption: str, label: str, *, live: bool = False) -> None:
    """Draw a chart in the visitor's colors; its files can have other ones.

    In them, `caption` says what it was made from, and `label` begins their names.
    """
    chart = draw(mode())
    with st.container(key=f"chart_{chart.name}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(f"**{chart.title}**", width="stretch")
            # One container, so that on a phone both buttons go to the next line together.
            with st.container(horizontal=True, width="content", gap="xsmall"):
                _explanation(chart)
                if not live:
                    _downloads(chart, draw, caption, label)
        if not chart.is_empty:
            st.vega_lite_chart(
                spec=chart.drawable, theme=None, width="stretch", alt=chart.alt_text, key=f"vega_{chart.name}"
            )
        for note in chart.notes:
            st.caption(note)


# The contents of a popover are drawn once it is opened: hundreds of hidden buttons and formulas would
# cost the first paint seconds.


def _explanation(chart: Chart) -> None:
    popover = st.popover(
        "How to read",
        icon=":material/help:",
        type="tertiary",
        key=f"help_{chart.name}",
        on_change="rerun",
    )
    if popover.open:
        popover.markdown(chart.how_to_read)


def _downloads(chart: Chart, draw: Draw, caption: str, label: str) -> None:
    popover = st.popover(
        "Save",
        icon=":material/download:",
        type="tertiary",
        help="Download this chart",
        key=f"download_{chart.name}",
        on_change="rerun",
    )
    if popover.open:
        with popover:
            _chart_files(chart, draw, caption, label)
            _number_files(chart, caption, label)


def _chart_files(chart: Chart, draw: Draw, caption: str, label: str) -> None:
    from nnlab.export import CHART_FORMATS, file_stem

    seen = next(words for words, name in MODES.items() if name == mode())
    chosen = MODES[
        st.segmented_control("Colors", list(MODES), default=seen, required=True, key=f"colors_{chart.name}")
    ]
    with st.container(horizontal=True, gap="xsmall", width=330):
        for form in CHART_FORMATS.values():
            st.download_button(
                form.label,
                data=partial(_written, form.write, draw, chosen, caption),
                file_name=f"{file_stem(label, chart.name)}.{form.ending}",
                mime=form.mime,
                help=form.use,
                key=f"{form.key}_{chart.name}",
                on_click="ignore",
            )


def _written(write: Callable[[Chart, str], bytes], draw: Draw, chosen: Mode, caption: str) -> bytes:
    return lean(lambda: write(draw(chosen), caption))


def _number_files(chart: Chart, caption: str, label: str) -> None:
    from nnlab.export import file_stem
    from nnlab.tables import TABLE_FORMATS

    st.caption("The numbers, in full precision")
    with st.container(horizontal=True, gap="xsmall", width=330):
        for form in TABLE_FORMATS.values():
            st.download_button(
                form.label,
                data=partial(_tabled, form.write, chart.make_table, caption),
                file_name=f"{file_stem(label, chart.name)}.{form.ending}",
                mime=form.mime,
                key=f"{form.ending}_{chart.name}",
                on_click="ignore",
            )


def _tabled(
    write: Callable[[pd.DataFrame, str], bytes], make_table: Callable[[], pd.DataFrame], caption: str
) -> bytes:
    return lean(lambda: write(make_table(), caption))


def save_table(make_table: Callable[[], pd.DataFrame], name: str) -> None:
    """Offer a table as CSV, in full precision; it is made when it is asked for."""

    def content() -> bytes:
        from nnlab import tables

        return tables.to_csv(make_table())

    st.download_button(
        "Table (CSV)",
        data=content,
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        key=f"csv_{name}",
    )
