"""Before and after: what a remedy changed, what it did, and what theory had expected of it."""

from __future__ import annotations

import streamlit as st

from nnlab.healing import MOST_EARLIER
from nnlab.run import Run
from pages.parts import treatment
from pages.parts.choice import without_path
from pages.parts.figure import picture
from pages.parts.plain import plain
from pages.parts.treatment import Stage
from pages.parts.view import seen_step

TICK_SECONDS = 0.9
CARD_WIDTH = 230  # pixels


def before_and_after(run: Run) -> None:
    """Show what a remedy did, the way there, and a way back to every experiment on it."""
    if not treatment.before(run):
        return
    treatment.show_cheap()
    stages = treatment.before(run)
    earlier = stages[-1].run
    with st.container(border=True, key="before_after"):
        st.markdown("**Before and after**, same data, seed and steps")
        _chain(stages, run)
        if any(stage.run is None for stage in stages):
            _missing()
        if earlier is not None:
            _comparison(earlier, run)


def _chain(stages: tuple[Stage, ...], run: Run) -> None:
    """Draw the experiments in a row, each with what was changed for it and what came of it."""
    from nnlab.comparison import differences  # loads pandas, which the first paint does without

    with st.container(horizontal=True, key="chain"):
        for number, stage in enumerate(stages):
            earlier = stages[number - 1].config if number else None
            words = stage.config.words if earlier is None else differences(earlier, stage.config)
            with _card(number, words, stage.run):
                is_last = number == len(stages) - 1
                st.button(
                    "Back to before" if is_last else f"Back to {_name(number).lower()}",
                    icon=":material/undo:",
                    on_click=treatment.go_back,
                    args=(number,),
                    key="back" if is_last else f"back_{number}",
                )
        if run.config is not None:
            with _card(len(stages), differences(stages[-1].config, without_path(run.config)), run):
                st.caption("Shown here.")
    if len(stages) == MOST_EARLIER:
        st.caption(f"The latest {MOST_EARLIER} experiments before this one are kept.")


def _name(number: int) -> str:
    return f"Remedy {number}" if number else "Start"


def _card(number: int, words: str, run: Run | None) -> st.delta_generator.DeltaGenerator:
    from nnlab.comparison import last_ratio, verdict_words

    card = st.container(border=True, width=CARD_WIDTH, key=f"stage_{number}")
    with card:
        st.markdown(f"**{_name(number)}**: {plain(words)}")
        if run is None:
            st.caption("Not in memory here.")
        else:
            st.caption(f"R = {last_ratio(run)} · {plain(verdict_words(run))}")
    return card


def _missing() -> None:
    """Offer to train the earlier experiments again, or say that they are on their way."""
    if treatment.is_waiting():
        st.fragment(_wait, run_every=TICK_SECONDS)()
    else:
        st.button(
            "Show before",
            icon=":material/replay:",
            on_click=treatment.show_earlier,
            key="show_before",
            help="Trains the earlier experiments of this link again: they give the same numbers.",
        )


def _wait() -> None:
    if not treatment.is_waiting():
        st.rerun()
    st.caption("The earlier experiments are being trained again.")


def _comparison(earlier: Run, run: Run) -> None:
    from nnlab.comparison import compare, differences, fates
    from nnlab.forecast import in_words
    from nnlab.healing_charts import healed_loss, healed_ratio, healed_signal

    if earlier.config is None or run.config is None:
        return
    changed = differences(without_path(earlier.config), without_path(run.config))
    st.markdown(
        f"Changed: **{plain(changed)}**. {plain(fates(earlier, run))} {plain(in_words(earlier, run))}"
    )
    both = (earlier.serial, run.serial)
    caption, label = f"before: {earlier.caption}; after: {run.caption}", f"{run.label}-before-after"
    left, right = st.columns(2, gap="medium")
    with left:
        # A plain table breaks long words of the verdict over lines where a phone is too narrow for them.
        st.table(compare(earlier, run), hide_index=True)
    with right:
        step = seen_step(run)
        picture(
            lambda mode: healed_signal(earlier, run, step, mode),
            caption,
            label,
            same=("healed_signal", *both, step),
        )
    left, right = st.columns(2, gap="medium")
    with left:
        picture(lambda mode: healed_ratio(earlier, run, mode), caption, label, same=("healed_ratio", *both))
    with right:
        picture(lambda mode: healed_loss(earlier, run, mode), caption, label, same=("healed_loss", *both))
    _theory(earlier, run)


def _theory(earlier: Run, run: Run) -> None:
    """Show what theory had expected at the initial weights beside what was measured there."""
    from nnlab.forecast import CAVEAT, beside, limits

    st.markdown("**What theory expected before the first update, and what was measured**")
    st.table(beside(earlier, run), hide_index=True)
    said = [words for side in (earlier, run) if side.config is not None for words in limits(side.config)]
    st.caption(plain(" ".join(dict.fromkeys([*said, CAVEAT]))))
