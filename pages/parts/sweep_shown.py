"""What a sweep found: in words, as a heat map or dots, each run to open in the lab, the table to save."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from nnlab.config import FIELDS
from nnlab.grid import Grid
from nnlab.palette import Mode
from nnlab.sweep_presets import FIRST_SWEEP, SWEEP_PRESETS, SweepPreset, load_sweep
from nnlab.sweep_summary import (
    SWEPT,
    SweptRuns,
    config_of,
    fixed_words,
    lab_query,
    run_at,
    run_words,
    sizes_words,
    spots,
    value_words,
)
from nnlab.sweep_words import findings
from pages.parts import sweep_run
from pages.parts.address import Address
from pages.parts.click import Place
from pages.parts.figure import map_to_click, picture
from pages.parts.plain import plain
from pages.parts.save import lean
from pages.parts.sweep_choice import NOTHING

if TYPE_CHECKING:
    from nnlab.chart import Chart

METRIC_WORDS = {name: metric.label for name, metric in SWEPT.items()}


@st.cache_resource(show_spinner=False)
def stored(question: str) -> SweptRuns:
    """Read the kept answer to a question; it is shared, and nobody changes it."""
    return load_sweep(SWEEP_PRESETS[question])


def shown(address: Address, grid: Grid | None) -> None:
    """Draw what is finished of the visitor's sweep, or what is kept of the question chosen."""
    live = sweep_run.is_live(address)
    found = None if live else _asked(address, grid)
    job = sweep_run.job(address)
    if found is None and job is not None:
        swept, of = job.swept, job.grid
    else:
        preset = found or FIRST_SWEEP
        swept, of = stored(preset.question), preset.grid
    _heading(swept, of, grid, live=live)
    if not swept.rows:
        return
    if not live:
        first, *others = findings(swept)
        with st.container(border=True, key="sweep_findings"):
            st.markdown(f":material/gavel: {first}")
            for sentence in others:
                st.markdown(f"- {sentence}")
    axes = _view(address, swept)
    _picture(address, swept, axes, live=live)
    if not live:
        _one_run(swept, address["metric"])
        _table(swept)


def _asked(address: Address, grid: Grid | None) -> SweepPreset | None:
    """Give the question chosen whose answer is kept; None where the visitor has trained it."""
    job = sweep_run.job(address)
    if job is not None and job.grid == grid and job.rows:
        return None
    return next((preset for preset in SWEEP_PRESETS.values() if preset.grid == grid), None)


def _heading(swept: SweptRuns, of: Grid, chosen: Grid | None, *, live: bool) -> None:
    st.subheader("What was found" if not live else "As it comes in", anchor="found")
    st.caption(plain(f"{sizes_words(of.axes)}. All with {fixed_words(of.cells[0], of.axes)}."))
    if not live and chosen is not None and chosen != of:
        st.info("Below is an earlier sweep. Start trains the one chosen above.", icon=":material/history:")
    if not live and 0 < len(swept.rows) < len(of.cells):
        st.caption(f"{len(swept.rows):,} of {len(of.cells):,} runs have finished.")


def _view(address: Address, swept: SweptRuns) -> tuple[str, ...]:
    """Draw the choice of the number and of the fields to see it over; give these fields."""
    names = tuple(swept.axes)
    columns = st.columns(3, gap="medium")
    with columns[0]:
        address.select("metric", METRIC_WORDS)
    with columns[1]:
        across = _field(address, "across", names)
    others = (*(name for name in names if name != across), NOTHING)
    with columns[2]:
        down = _field(address, "down", others)
    return (across,) if down == NOTHING else (across, down)


def _field(address: Address, name: str, options: tuple[str, ...]) -> str:
    """Draw a choice among the fields of this sweep; what it does not vary is not among them."""
    settings = address.widget(name)
    if st.session_state[settings["key"]] not in options:
        st.session_state[settings["key"]] = options[0]
    words = {option: FIELDS[option].label if option in FIELDS else "nothing: dots" for option in options}
    return str(address.take(name, st.selectbox(options=options, format_func=words.__getitem__, **settings)))


def _picture(address: Address, swept: SweptRuns, axes: tuple[str, ...], *, live: bool) -> None:
    """Draw the picture; a click on a spot chooses the run below it."""
    from nnlab.sweep_charts import are_movable, sweep_chart

    metric = address["metric"]
    about = f"{sizes_words(swept.axes)}; {fixed_words(config_of(swept.rows[0]), swept.axes)}"

    def draw(mode: Mode) -> Chart:
        return sweep_chart(swept, metric, axes, mode)

    def choose(place: Place) -> None:
        found = spots(swept, metric, axes)
        number = int(place.get("spot", len(found)))
        if number < len(found):
            for name, value in zip(axes, found[number].values, strict=True):
                st.session_state[_key(name)] = value

    if live:
        picture(draw, about, "sweep", live=True)
        return
    said = f"Click a {'dot' if len(axes) == 1 else 'cell'} to open one of its runs below."
    if len(axes) > 1 and are_movable([len(swept.axes[name]) for name in axes]):
        said += " Ctrl and the mouse wheel zoom, dragging moves, a double click shows all again."
    st.caption(said)
    map_to_click(draw, about, "sweep", choose)


def _key(field: str) -> str:
    return f"sweep_at_{field}"


def _one_run(swept: SweptRuns, metric: str) -> None:
    """Offer one run to open in the lab: a click in the picture chooses it, or the lists."""
    st.subheader("Open one run in the lab", anchor="run")
    values: dict[str, Any] = {}
    columns = st.columns(len(swept.axes), gap="medium")
    for (name, options), column in zip(swept.axes.items(), columns, strict=True):
        if st.session_state.get(_key(name), options[0]) not in options:
            st.session_state[_key(name)] = options[0]
        with column:
            values[name] = st.selectbox(
                FIELDS[name].label, options, key=_key(name), format_func=partial(value_words, name)
            )
    row = run_at(swept, values)
    st.text("This run has not finished." if row is None else f"{run_words(row, metric)}.")
    st.page_link(
        "dashboard.py",
        label="Open this run in the lab",
        icon=":material/open_in_new:",
        query_params=lab_query(config_of(swept.rows[0]).replace(**values)),
        help="It is trained again, to the same numbers, with every layer recorded.",
    )


def _table(swept: SweptRuns) -> None:
    from nnlab.sweep_row import MEANINGS, to_frame
    from nnlab.tables import to_csv, to_parquet

    st.subheader("All runs", anchor="runs")
    frame = to_frame(swept.ordered)
    shown = {name: st.column_config.NumberColumn(help=MEANINGS[name], format="%.3g") for name in SWEPT}
    columns = [*swept.axes, "status", *SWEPT]
    st.dataframe(frame[columns], hide_index=True, height=320, column_config=shown)
    with st.container(horizontal=True, gap="small"):
        _file("csv", "CSV", "text/csv", lambda: to_csv(frame))
        about = sizes_words(swept.axes)
        mime = "application/vnd.apache.parquet"
        _file("parquet", "Parquet", mime, lambda: to_parquet(frame, about, MEANINGS))


def _file(ending: str, label: str, mime: str, make: Callable[[], bytes]) -> None:
    st.download_button(
        f"Table ({label})",
        data=partial(lean, make),
        file_name=f"sweep.{ending}",
        mime=mime,
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        key=f"sweep_{ending}",
    )
