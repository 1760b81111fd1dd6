"""The layers of a deep network: search, fold by block, the worst ones first."""

from __future__ import annotations

from typing import Any

import streamlit as st

from nnlab.measures import MEASURES, by_badness, ranked, telling
from nnlab.run import Run
from nnlab.selection import NO_FOLD, Fold, folded, folds, matching, searched, usual_fold
from nnlab.spreadsheet import as_text
from pages.parts.complaint import complain

SEARCH, FOLD, MEASURE = "layers_search", "layers_fold", "layers_measure"
USUAL, DRAWN = "layers_usual_measure", "layers_drawn"
SHALLOW = 12  # hidden layers that are all seen at a glance
SHOWN = 5  # of the worst layers


def _text() -> str:
    return str(st.session_state.get(SEARCH) or "")


def _fold(run: Run) -> Fold:
    """Give the chosen way to fold; another run's way is none of this one's."""
    chosen: Fold | None = st.session_state.get(FOLD)
    known = folds(run)
    return chosen if chosen in known else usual_fold(run)


def _measure(run: Run) -> str:
    return str(st.session_state.get(MEASURE) or telling("".join(f.kind for f in run.findings[:1])))


def _words(fold: Fold) -> str:
    if fold.levels == NO_FOLD:
        return f"every layer ({fold.rows})"
    return f"{fold.rows} blocks, like {fold.example}"


def choose(run: Run, step: int) -> None:
    """Draw the widgets: what to search, how to fold, by which number the layers are put in order."""
    if not run.hidden:
        return
    usual = telling("".join(finding.kind for finding in run.findings[:1]))
    if st.session_state.get(USUAL) != usual:
        # Another verdict, as that of another run: another number tells it best.
        st.session_state[USUAL] = st.session_state[MEASURE] = usual
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="layers"):
        if run.depth > SHALLOW:
            st.text_input("Search layers", key=SEARCH, placeholder="part of a name", width=220)
            st.session_state[FOLD] = _fold(run)
            st.selectbox(
                "Fold",
                folds(run),
                format_func=_words,
                key=FOLD,
                width=280,
                help="A block is shown by its layer with the worst error signal at the chosen step.",
            )
        st.selectbox(
            "Worst first by",
            list(MEASURES),
            format_func=lambda name: MEASURES[name].label,
            key=MEASURE,
            width=320,
            help="Orders the list below and the table in the last tab.",
        )
    if _text().strip() and not matching(run.hidden, _text()):
        complain(f"No layer's name contains {_text().strip()[:60]!r}, so all are shown", "search")


def drawn(run: Run, step: int) -> Run:
    """Give the run with the layers that the charts show."""
    wanted = (_text(), _fold(run).levels if run.depth > SHALLOW else NO_FOLD, step)
    kept: Any = st.session_state.get(DRAWN)
    if kept is None or kept[0] is not run or kept[1] != wanted:
        found = folded(searched(run, _text()), wanted[1], step)
        kept = st.session_state[DRAWN] = (run, wanted, found)  # several parts of the page draw it
    shown: Run = kept[2]
    return shown


def about(run: Run, step: int) -> None:
    """List the worst layers, and say how many layers the charts below show."""
    if not run.hidden:
        return
    measure = MEASURES[_measure(run)]
    worst = [entry for entry in ranked(run, step, _measure(run)) if entry.place in _found(run)]
    beyond = sum(entry.is_beyond for entry in worst)
    st.markdown(
        f"**Worst layers**: {measure.label.lower()}, usual {measure.limits}; {beyond} of {run.depth} layers "
        "beyond"
    )
    rows = [
        {
            "#": entry.place + 1,
            "layer": as_text(entry.layer),  # Streamlit offers every table as CSV
            "number": measure.word(entry.value),
            "verdict": "beyond" if entry.is_beyond else "usual",
        }
        for entry in worst[:SHOWN]
    ]
    if rows:
        st.dataframe(rows, hide_index=True, height="content", key="worst_layers")
    else:
        st.caption("This number was measured at no layer.")
    shown = drawn(run, step)
    if shown is not run:
        st.caption(
            f"The charts show {shown.depth} of {run.depth} hidden layers or blocks; verdict, tiles and "
            "the files are of all."
        )


def _found(run: Run) -> list[int]:
    return matching(run.hidden, _text()) or list(range(run.depth))


def places(run: Run, step: int) -> list[int]:
    """Give the rows of the table: the layers that were searched, worst first, and the output."""
    kept = {*_found(run), run.depth}
    return [place for place in by_badness(run, step, _measure(run)) if place in kept]
