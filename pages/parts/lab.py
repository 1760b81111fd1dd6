"""The panels of a run: progress, verdict, tiles, strip, charts over the steps, files."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from nnlab.run import Run
from nnlab.spreadsheet import as_text
from nnlab.summary import tiles
from pages.parts import drawing, runs
from pages.parts.before_after import before_and_after
from pages.parts.choice import current
from pages.parts.complaint import complain
from pages.parts.figure import figure
from pages.parts.files import files
from pages.parts.plain import plain
from pages.parts.progress import WAITING_SECONDS, progress, say_notice, waits
from pages.parts.sent import await_sent
from pages.parts.source import Source
from pages.parts.verdict import verdict
from pages.parts.view import TABS, open_tabs, step_of

TICKING = "ticking"  # whether the page has given the parts below their timers
WAITING = "waiting"  # whether it is the slow timer of one that stands in the queue
TICKED = "ticked"  # whether they had timers when they were drawn before
# What moves is drawn anew about once a second. The rest may lag a second behind: a browser on the machine
# that trains takes more of it for one curve or sparkline than a step of training does.
TICK_SECONDS = 0.9
SLOW_TICK_SECONDS = 1.8
MOST_ROWS = 101  # the deepest network that the lab trains; a longer table scrolls by itself
TABLE_HEIGHT = 720  # pixels


def _lab_is_live() -> bool:
    job = runs.job()
    return job is not None and job.is_active


def _lab_head() -> None:
    job = runs.job()
    if job is not None and job.is_active:
        progress(job)
    say_notice(job)
    if job is not None and job.status == "failed":
        complain(job.error, "run")


LAB = Source(
    "lab",
    runs.shown,
    runs.job_id,
    _lab_is_live,
    _lab_head,
    before_and_after,
    waits=lambda: waits(runs.job()),
)


def panels(source: Source = LAB) -> None:
    """Draw everything that belongs to the shown run; while it runs, its parts redraw themselves."""
    source.begin()
    st.session_state[WAITING] = source.waits()
    live = _is_live(source)
    _part(_verdict, TICK_SECONDS, source)
    run = source.run()
    # The slider's place is there in training too: the parts below it keep theirs, and their charts stay.
    with st.container():
        step = None if run is None or live else step_of(run, source.page)
    _part(_numbers, SLOW_TICK_SECONDS, source, step)
    if run is not None:
        source.choose(run, int(run.steps[-1]) if step is None else step)
    _part(_signal, TICK_SECONDS, source, step)
    _part(_tabs, SLOW_TICK_SECONDS, source, step)
    _let_arrive()


def _let_arrive() -> None:
    """Where the timers have just ended, wait until all that is drawn has been sent.

    A timer that has rung already draws its part once more. What of that part is still to be sent is dropped
    for it, but not the heads of its charts, which are parts of their own: without a place they fail the
    browser.
    """
    before, now = st.session_state.get(TICKED, False), st.session_state[TICKING]
    st.session_state[TICKED] = now
    if before and not now:
        await_sent()


def _is_live(source: Source) -> bool:
    """Whether the run is under way; where the page was drawn for another state of things, draw it anew."""
    live = source.is_live()
    is_otherwise = live != st.session_state[TICKING] or source.waits() != st.session_state[WAITING]
    if is_otherwise or source.is_other:
        # A run began, ended, or both at once: header, timers and the other parts belong to the page.
        st.rerun()
    return live


def _part(draw: Callable[..., None], seconds: float, source: Source, *arguments: int | None) -> None:
    """Draw a part as a fragment of its own; only what it shows is sent when it redraws itself."""
    if st.session_state[WAITING]:
        # Its place in the queue stands in the head.
        pace = WAITING_SECONDS if draw is _verdict else None
    else:
        pace = seconds if st.session_state[TICKING] else None
    with st.container():
        st.fragment(draw, run_every=pace)(source, *arguments)


def _shown(source: Source, step: int | None) -> tuple[Run, int] | None:
    """Give the run with the chosen step, or with its latest one; None while there is no record."""
    run = source.run()
    if run is None:
        return None
    return run, int(run.steps[-1]) if step is None else step


def _verdict(source: Source) -> None:
    live = _is_live(source)
    source.head()
    run = source.run()
    if run is None:
        if st.session_state[WAITING]:
            _meanwhile()
        else:
            st.skeleton(height=420)
        return
    verdict(run, live=live, is_of_lab=source.page == LAB.page)
    if not live:
        source.foot(run)


def _meanwhile() -> None:
    """Say to somebody who waits what happens next, and what is known of the network already."""
    st.markdown("It begins by itself and is drawn here. Before it is trained, theory already knows a lot:")
    st.page_link(
        "pages/4_Initialization.py",
        label="How much of the signal gets through this network?",
        icon=":material/query_stats:",
        query_params=drawing.link(current()),
    )


def _numbers(source: Source, step: int | None) -> None:
    shown = _shown(source, step)
    if shown is None:
        return
    with st.grid(4, min_column_width=165, key="tiles"):
        for tile in tiles(*shown):
            st.metric(
                tile.label,
                tile.value,
                delta=plain(tile.detail),
                delta_color="off",
                delta_arrow="off",
                help=plain(tile.help),
                border=True,
                chart_data=list(tile.course),
                height="stretch",
            )


def _signal(source: Source, step: int | None) -> None:
    shown = _shown(source, step)
    if shown is None:
        return
    live = st.session_state[TICKING]
    source.about(*shown)
    run, at = source.drawn(*shown), shown[1]
    figure("delta_strip", run, at, live=live)
    left, right = st.columns(2, gap="medium")
    with left:
        figure("delta_heatmap", run, at, live=live)
    with right:
        figure("layer_norms", run, at, live=live)


def _tabs(source: Source, step: int | None) -> None:
    shown = _shown(source, step)
    if shown is None:
        return
    live = st.session_state[TICKING]
    for label, tab in open_tabs(source.page).items():
        with tab:
            if label in TABS:
                # Where numbers are predicted there is no accuracy; the tiles say the test loss.
                without = ("accuracy",) if shown[0].predicts_numbers else ()
                names = tuple(name for name in TABS[label] if name not in without)
                _pair(names, source.drawn(*shown), shown[1], live=live)
            else:
                _table(source, *shown, live=live)


def _pair(names: tuple[str, ...], run: Run, step: int, *, live: bool) -> None:
    for start in range(0, len(names), 2):
        columns = st.columns(2, gap="medium")
        for column, name in zip(columns, names[start : start + 2], strict=False):
            with column:
                figure(name, run, step, live=live)


def _table(source: Source, run: Run, step: int, *, live: bool) -> None:
    # It loads pandas, which the first paint does without.
    from nnlab.layer_table import column_words, layer_table

    places = source.places(run, step)
    table = layer_table(run, step, places)
    table["layer"] = table["layer"].map(as_text)  # Streamlit offers every table as CSV
    columns = {
        name: st.column_config.NumberColumn(label, help=meaning, format=form)
        for name, (label, meaning, form) in column_words().items()
    }
    which = "All layers" if len(table) == len(run.layers) else "The layers found"
    st.markdown(f"**{which} at step {run.record_at(step).step}**; click a column to sort")
    st.dataframe(
        table,
        hide_index=places is None,
        column_config=columns,
        height="content" if len(table) <= MOST_ROWS else TABLE_HEIGHT,
        placeholder="n/a",
    )
    if live:
        return
    files(run, step)
