"""A chart on a page: title, picture, how to read it, downloads."""

from __future__ import annotations

from typing import cast

import streamlit as st

from nnlab import export
from nnlab.chart import Chart
from nnlab.charts import draw
from nnlab.palette import Mode
from nnlab.run import Run


def mode() -> Mode:
    """Give the theme the visitor sees."""
    return cast(Mode, "dark" if st.context.theme.type == "dark" else "light")


def figure(name: str, run: Run, step: int, *, live: bool = False) -> None:
    """Draw one chart of a run; downloads are offered once the run has ended."""
    chart = draw(name, run, step, mode())
    with st.container(key=f"chart_{name}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(f"**{chart.title}**", width="stretch")
            with st.popover("", icon=":material/help:", type="tertiary", help="How to read this"):
                st.markdown(chart.how_to_read)
            if not live:
                _downloads(chart, run)
        if not chart.is_empty:
            st.vega_lite_chart(
                spec=chart.drawable, theme=None, width="stretch", alt=chart.alt, key=f"vega_{name}"
            )
        for note in chart.notes:
            st.caption(note)


def _downloads(chart: Chart, run: Run) -> None:
    stem = export.file_stem(run, chart.name)
    with st.popover("", icon=":material/download:", type="tertiary", help="Download this chart"):
        st.download_button(
            "SVG, for papers",
            data=lambda: export.to_svg(chart, run),
            file_name=f"{stem}.svg",
            mime="image/svg+xml",
            key=f"svg_{chart.name}",
            on_click="ignore",
        )
        st.download_button(
            "PNG, for slides",
            data=lambda: export.to_png(chart, run),
            file_name=f"{stem}.png",
            mime="image/png",
            key=f"png_{chart.name}",
            on_click="ignore",
        )
        st.download_button(
            "CSV, the numbers",
            data=lambda: export.to_csv(chart.table),
            file_name=f"{stem}.csv",
            mime="text/csv",
            key=f"csv_{chart.name}",
            on_click="ignore",
        )
