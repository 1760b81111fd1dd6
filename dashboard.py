"""The lab: choose a network, train it live, read where its gradients die."""

from __future__ import annotations

import streamlit as st

from nnlab.presets import PRESETS
from nnlab.provenance import in_words
from nnlab.warm_up import warm_up
from pages.parts import followed_file, own_data, pinned, replay, runs, treatment
from pages.parts.choice import choose, current, show_notes, write_address
from pages.parts.controls import sidebar
from pages.parts.lab import TICKING, panels
from pages.parts.menu import questions
from pages.parts.page import page
from pages.parts.rescue import rescue
from pages.parts.share import share

PRESET = "preset"
INTRODUCTION = """
A network learns from its mistakes: the **error signal** starts at the output and travels back through
all layers to the input. Every layer multiplies it by the slope of its activation and by its weights.
If these factors are small, the signal shrinks at every layer until the first ones hear nothing and
learn nothing: a **vanishing gradient**.

1. Read the verdict below: which layer, which number, why.
2. Press **Try this** and watch the same network heal.
3. Then change depth, width or activation in the sidebar (**»** at the top left on a phone), and press
   **Train**.
"""


def _take_preset() -> None:
    name = st.session_state[PRESET]
    if name in PRESETS:
        choose(PRESETS[name].config)


def header(problem: str) -> None:
    """Say what is chosen, and offer the one primary action."""
    config = current()
    matching = [p.name for p in PRESETS.values() if p.config == config and not problem]
    st.session_state[PRESET] = matching[0] if matching else None
    job = runs.job()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("**nnlab** · see where gradients die", width="content")
        with st.popover("New here?", icon=":material/school:"):
            st.markdown(INTRODUCTION)
            questions()
        run = runs.shown()
        share("" if run is None else in_words(run.environment), needs_file=config.dataset == "csv")
        pinned.offer(run)
    st.markdown(f"#### {config.words}")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Start from a preset",
            list(PRESETS),
            key=PRESET,
            on_change=_take_preset,
            placeholder="your own network",
            width=260,
        )
        if job is not None and job.is_active:
            st.button("Stop", icon=":material/stop:", type="primary", on_click=runs.stop, key="stop")
        else:
            st.button(
                "Train",
                icon=":material/play_arrow:",
                type="primary",
                on_click=treatment.train_anew,
                key="train",
                disabled=bool(problem),
            )
    shows = PRESETS[matching[0]].shows if matching else "Your own network."
    st.caption(
        f"{shows} Depth, width, activation, data (also your own) and the rest: in the sidebar (» on a phone)."
    )


def messages(problem: str) -> None:
    """Say what is wrong with the choice, the link or the queue, and what the page shows instead."""
    show_notes()
    if problem:
        st.error(f"This cannot be trained. {problem}.", icon=":material/block:")
    if st.session_state.get(runs.ERROR):
        st.error(st.session_state[runs.ERROR], icon=":material/hourglass_disabled:")
    if replay.is_replayed() and not replay.is_of_another_file():
        st.info(
            "The link's run is not in memory here: trained again, it gives the same numbers.",
            icon=":material/replay:",
        )
    if replay.otherwise():
        st.warning(replay.otherwise(), icon=":material/memory:")
    run = runs.shown()
    if run is not None and (difference := runs.unlike(run, current())):
        st.info(difference, icon=":material/history:")


page("nnlab: see where gradients die")
followed_file.lead()
own_data.begin()
problem = sidebar()
top, own = st.container(), st.container()
lack = own_data.choose_data(own)
if not problem and not lack:
    replay.train_again()
with top:
    header(problem or lack)
messages(problem)
job = runs.job()
st.session_state[TICKING] = job is not None and job.is_active
st.fragment(panels)()
of_page = treatment.of_address() | {pinned.PINS: pinned.text()}
write_address(current(), replay.of_address() | of_page)
warm_up()
rescue()
