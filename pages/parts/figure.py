"""A chart on a page: title, picture, how to read it, downloads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from nnlab.palette import Mode
from nnlab.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from nnlab.chart import Chart


def mode() -> Mode:
    """Give the theme the visitor sees."""
    return "dark" if st.context.theme.type == "dark" else "light"


def figure(name: str, run: Run, step: int, *, live: bool = False) -> None:
    """Draw one chart of a run; downloads are offered once the run has ended."""
    # Altair takes a third of a second to load: on a fresh server the verdict need not wait for it.
    from nnlab.charts import draw

    picture(draw(name, run, step, mode()), run.title, run.label, live=live)


def picture(chart: Chart, subtitle: str, label: str, *, live: bool = False) -> None:
    """Draw a chart; in its files, `subtitle` says what it was made from, `label` begins their names."""
    with st.container(key=f"chart_{chart.name}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(f"**{chart.title}**", width="stretch")
            # One container, so that on a phone both buttons go to the next line together.
            with st.container(horizontal=True, width="content", gap="xsmall"):
                _explanation(chart)
                if not live:
                    _downloads(chart, subtitle, label)
        if not chart.is_empty:
            st.vega_lite_chart(
                spec=chart.drawable, theme=None, width="stretch", alt=chart.alt_text, key=f"vega_{chart.name}"
            )
        for note in chart.notes:
            st.caption(note)


# The contents of a popover are drawn once it is opened: twenty hidden buttons and formulas would
# cost the first paint a second.


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


def _downloads(chart: Chart, subtitle: str, label: str) -> None:
    popover = st.popover(
        "Save",
        icon=":material/download:",
        type="tertiary",
        help="Download this chart",
        key=f"download_{chart.name}",
        on_change="rerun",
    )
    if not popover.open:
        return
    from nnlab import export

    files: dict[str, tuple[str, str, Callable[[], bytes]]] = {
        "SVG, for papers": ("svg", "image/svg+xml", lambda: export.to_svg(chart, subtitle)),
        "PNG, for slides": ("png", "image/png", lambda: export.to_png(chart, subtitle)),
        "CSV, the numbers": ("csv", "text/csv", lambda: export.to_csv(chart.make_table())),
    }
    stem = export.file_stem(label, chart.name)
    for words, (ending, mime, data) in files.items():
        popover.download_button(
            words,
            data=data,
            file_name=f"{stem}.{ending}",
            mime=mime,
            key=f"{ending}_{chart.name}",
            on_click="ignore",
        )


def save_table(make_table: Callable[[], pd.DataFrame], name: str) -> None:
    """Offer a table as CSV, in full precision; it is made when it is asked for."""

    def content() -> bytes:
        from nnlab import export

        return export.to_csv(make_table())

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
