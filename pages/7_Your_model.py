"""Your model: a run recorded in somebody's own training script, read as the lab reads its own."""

from __future__ import annotations

import streamlit as st

from nnlab.run import Run
from pages.parts import followed_file, layers, opened, recording, view, weights
from pages.parts.complaint import complain
from pages.parts.lab import TICKING, panels
from pages.parts.menu import menu
from pages.parts.page import page
from pages.parts.plain import plain
from pages.parts.rescue import rescue
from pages.parts.source import Source
from pages.parts.unmeasured import unmeasured

WATCH_SECONDS = 2.0


def head() -> None:
    """Say how far the training script is."""
    run = opened.run()
    if run is None:
        return
    at = f"{len(run.records):,} records up to step {run.records[-1].step:,}"
    if len(run.records) == 1:
        at = f"One record, at step {run.records[0].step:,}"
    if opened.is_live():
        st.markdown(f":material/sensors: **Live.** {at}")
    else:
        st.caption(at)


def watch() -> None:
    """Look whether the followed file has changed since the page was drawn."""
    if SOURCE.is_other:
        st.rerun()


def heading(run: Run) -> None:
    """Say whose run is shown."""
    if opened.is_example():
        st.markdown("#### Example: what you will see")
        st.caption(
            "A small convolutional network learns digits, until a faulty schedule multiplies the learning "
            "rate by 50 for one step, at step 120."
        )
    else:
        st.markdown(f"#### {plain(run.title)}")


SOURCE = Source(
    opened.PAGE,
    opened.run,
    opened.id_of_shown,
    opened.is_live,
    head,
    unmeasured,
    layers.choose,
    layers.about,
    layers.drawn,
    layers.places,
)

page("Your model · nnlab")
for note in view.read(opened.PAGE):
    complain(note, "view")
st.title("Your model", anchor=False)
st.markdown(
    "Your own PyTorch network does not learn? Record it with two lines, open the file here, and read **which "
    "layer, which number, why, and what to change**."
)
opened.choose()
if opened.way() == opened.WEIGHTS:
    weights.weights()
elif opened.is_example():
    recording.steps()
run = opened.run()
st.session_state[TICKING] = opened.is_live()
if run is None:
    SOURCE.begin()
    if opened.way() == opened.FOLLOW:
        st.info(plain(f"Waiting. {followed_file.read()[1]}."), icon=":material/hourglass_empty:")
else:
    heading(run)
    st.fragment(panels)(SOURCE)
if opened.way() == opened.FOLLOW and not st.session_state[TICKING]:
    st.fragment(watch, run_every=WATCH_SECONDS)()
if not opened.is_example():
    recording.again()
menu(is_shared=False)
rescue()
