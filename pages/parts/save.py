"""Files of charts and tables to save: pictures, numbers, each made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from nnlab.memory import give_memory_back
from nnlab.palette import Mode

if TYPE_CHECKING:
    import pandas as pd

    from nnlab.chart import Chart

    Draw = Callable[[Mode], Chart]  # a chart in the colors of a mode

MODES: dict[str, Mode] = {"Light": "light", "Dark": "dark"}


def lean(make: Callable[[], bytes]) -> bytes:
    """Make a file, and give the memory that it took back to the host, which has little."""
    try:
        return make()
    finally:
        give_memory_back()


def save_chart(name: str, draw: Draw, seen: Mode, caption: str, label: str) -> None:
    """Offer a chart's picture and numbers; `draw` draws it in other colors than the `seen` ones too."""
    popover = st.popover(
        "Save",
        icon=":material/download:",
        type="tertiary",
        help="Download this chart",
        key=f"download_{name}",
        on_change="rerun",
    )
    if popover.open:
        chart = draw(seen)
        with popover:
            _chart_files(chart, draw, seen, caption, label)
            _number_files(chart, caption, label)


def _chart_files(chart: Chart, draw: Draw, seen: Mode, caption: str, label: str) -> None:
    from nnlab.export import CHART_FORMATS, file_stem

    first = next(words for words, name in MODES.items() if name == seen)
    chosen = MODES[
        st.segmented_control("Colors", list(MODES), default=first, required=True, key=f"colors_{chart.name}")
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
        key=f"table_{name}",
    )
