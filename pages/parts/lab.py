"""The lab's panels below the header: progress, verdict, tiles, strip, charts over the steps."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from nnlab.run import Run
from nnlab.summary import tiles
from pages.parts import runs
from pages.parts.figure import figure
from pages.parts.files import files
from pages.parts.progress import progress
from pages.parts.verdict import before_and_after, verdict
from pages.parts.view import TABS, open_tabs, step_of

DRAWN = "drawn_job"  # the job that the panels were drawn for
TICKING = "ticking"  # whether the page has given the parts below their timers
# What moves is drawn anew about once a second. The rest may lag a second behind: a browser on the machine
# that trains takes more of it for one curve or sparkline than a step of training does.
TICK_SECONDS = 0.9
SLOW_TICK_SECONDS = 1.8


def panels() -> None:
    """Draw everything that belongs to the shown run; while it runs, its parts redraw themselves."""
    st.session_state[DRAWN] = runs.job_id()
    live = _is_live()
    _part(_verdict, TICK_SECONDS)
    run = runs.shown()
    # The slider's place is there in training too: the parts below it keep theirs, and their charts stay.
    with st.container():
        step = None if run is None or live else step_of(run)
    _part(_numbers, SLOW_TICK_SECONDS, step)
    _part(_signal, TICK_SECONDS, step)
    _part(_tabs, SLOW_TICK_SECONDS, step)


def _is_live() -> bool:
    """Whether the job is under way; where the page was drawn for another state of things, draw it anew."""
    job = runs.job()
    live = job is not None and job.is_active
    if live != st.session_state[TICKING] or runs.job_id() != st.session_state[DRAWN]:
        # A run began, ended, or both at once: header, timers and the other parts belong to the page.
        st.rerun()
    return live


def _part(draw: Callable[..., None], seconds: float, *arguments: int | None) -> None:
    """Draw a part as a fragment of its own; only what it shows is sent when it redraws itself."""
    with st.container():
        st.fragment(draw, run_every=seconds if st.session_state[TICKING] else None)(*arguments)


def _shown(step: int | None) -> tuple[Run, int] | None:
    """Give the run with the chosen step, or with its latest one; None while a job has no record."""
    run = runs.shown()
    if run is None:
        return None
    return run, int(run.steps[-1]) if step is None else step


def _verdict() -> None:
    live = _is_live()
    job, run = runs.job(), runs.shown()
    if job is not None and live:
        progress(job)
    if job is not None and job.status == "failed":
        st.error(job.error, icon=":material/error:")
    if run is None:
        st.skeleton(height=420)
        return
    verdict(run, live=live)
    if not live:
        before_and_after(run)


def _numbers(step: int | None) -> None:
    shown = _shown(step)
    if shown is None:
        return
    with st.grid(4, min_column_width=165, key="tiles"):
        for tile in tiles(*shown):
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


def _signal(step: int | None) -> None:
    shown = _shown(step)
    if shown is None:
        return
    live = st.session_state[TICKING]
    figure("delta_strip", *shown, live=live)
    left, right = st.columns(2, gap="medium")
    with left:
        figure("delta_heatmap", *shown, live=live)
    with right:
        figure("layer_norms", *shown, live=live)


def _tabs(step: int | None) -> None:
    shown = _shown(step)
    if shown is None:
        return
    live = st.session_state[TICKING]
    for label, tab in open_tabs().items():
        with tab:
            if label in TABS:
                # Where numbers are predicted there is no accuracy; the tiles say the test loss.
                without = ("accuracy",) if shown[0].predicts_numbers else ()
                names = tuple(name for name in TABS[label] if name not in without)
                _pair(names, *shown, live=live)
            else:
                _table(*shown, live=live)


def _pair(names: tuple[str, ...], run: Run, step: int, *, live: bool) -> None:
    for start in range(0, len(names), 2):
        columns = st.columns(2, gap="medium")
        for column, name in zip(columns, names[start : start + 2], strict=False):
            with column:
                figure(name, run, step, live=live)


def _table(run: Run, step: int, *, live: bool) -> None:
    # It loads pandas, which the first paint does without.
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
    files(run, step)
