"""The lab's panels below the header: progress, verdict, tiles, strip, charts over the steps."""

from __future__ import annotations

import streamlit as st

from nnlab.run import Run
from nnlab.runfile import to_bytes
from nnlab.summary import tiles
from pages.parts import runs
from pages.parts.figure import figure
from pages.parts.progress import progress
from pages.parts.verdict import before_and_after, verdict

TABS = {
    "Learning": ("loss", "accuracy", "update_ratio"),
    "Activations": ("pre_activation_histograms", "activation_histograms"),
    "Units": ("saturation", "idle_units"),
    "Gradients": ("delta_histograms", "weight_grad_histograms"),
}
TICKING = "ticking"  # whether the page has given this fragment a timer
TABLE_TAB = "Table and files"


def panels() -> None:
    """Draw everything that belongs to the shown run; a fragment, redrawn alone while it runs."""
    job = runs.job()
    live = job is not None and job.is_active
    if live != st.session_state[TICKING]:
        # A run began or ended since the whole page was drawn: the header's button and the timer of
        # this fragment belong to the page.
        st.rerun()
    if job is not None and live:
        progress(job)
    if job is not None and job.status == "failed":
        st.error(job.error, icon=":material/error:")
    run = runs.shown()
    if run is None:
        st.skeleton(height=420)
        return
    _report(run, live=live)


def _report(run: Run, *, live: bool) -> None:
    verdict(run, live=live)
    if not live:
        before_and_after(run)
    step = _step(run, live=live)
    with st.grid(4, min_column_width=165, key="tiles"):
        for tile in tiles(run, step):
            st.metric(
                tile.label,
                tile.value,
                delta=tile.detail,
                delta_color="off",
                delta_arrow="off",
                help=tile.help,
                border=True,
                chart_data=list(tile.course),
                height="stretch",
            )
    figure("delta_strip", run, step, live=live)
    left, right = st.columns(2, gap="medium")
    with left:
        figure("delta_heatmap", run, step, live=live)
    with right:
        figure("layer_norms", run, step, live=live)
    _tabs(run, step, live=live)


def _step(run: Run, *, live: bool) -> int:
    """Let the visitor choose a recorded step; a running job is followed at its latest one."""
    steps = [int(step) for step in run.steps]
    if live or len(steps) == 1:
        return steps[-1]
    return int(
        st.select_slider(
            "Step shown in every chart below",
            options=steps,
            value=steps[-1],
            key=f"step_{id(run)}",
            help="Histograms and unit counts are taken at about 50 steps; the nearest one is shown "
            "and named.",
        )
    )


def _tabs(run: Run, step: int, *, live: bool) -> None:
    opened = st.tabs([*TABS, TABLE_TAB], on_change="rerun", key="tabs")
    for tab, (_, names) in zip(opened, TABS.items(), strict=False):
        if tab.open:
            with tab:
                _pair(names, run, step, live=live)
    if opened[-1].open:
        with opened[-1]:
            _table(run, step, live=live)


def _pair(names: tuple[str, ...], run: Run, step: int, *, live: bool) -> None:
    for start in range(0, len(names), 2):
        columns = st.columns(2, gap="medium")
        for column, name in zip(columns, names[start : start + 2], strict=False):
            with column:
                figure(name, run, step, live=live)


def _table(run: Run, step: int, *, live: bool) -> None:
    # These load pandas and Altair, which the first paint does without.
    from nnlab import export
    from nnlab.layer_table import column_words, layer_table

    table = layer_table(run, step)
    columns = {
        name: st.column_config.NumberColumn(label, help=meaning, format=form)
        for name, (label, meaning, form) in column_words().items()
    }
    st.markdown(f"**All layers at step {run.record_at(step).step}**; click a column to sort")
    st.dataframe(table, hide_index=True, column_config=columns, height="content", placeholder="n/a")
    if live:
        return
    files = {
        "Layer table (CSV)": (lambda: export.to_csv(table), "layers.csv", "text/csv"),
        "All metrics (CSV)": (lambda: export.to_csv(run.metrics), "metrics.csv", "text/csv"),
        "Run file (JSON Lines)": (lambda: to_bytes(run), "run.jsonl", "application/jsonl"),
    }
    with st.container(horizontal=True):
        for label, (data, ending, mime) in files.items():
            name = export.file_stem(run.label, ending)
            st.download_button(
                label, data=data, file_name=name, mime=mime, on_click="ignore", key=f"file_{ending}"
            )
