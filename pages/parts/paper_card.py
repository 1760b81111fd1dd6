"""One paper's card: what it claims, what is measured here, by how much the two differ, the picture."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from nnlab.field import Field
from nnlab.numerals import scientific
from nnlab.palette import Mode
from nnlab.paper import Check, Paper, Settings, digits, passes
from nnlab.paper_result import PaperResult, stored_result
from nnlab.papers import PAPERS
from nnlab.provenance import in_words
from pages.parts import paper_run
from pages.parts.address import Address, Choice
from pages.parts.figure import mode, picture
from pages.parts.plain import plain
from pages.parts.save import save_table

if TYPE_CHECKING:
    from nnlab.chart import Chart

CHOICES = (
    Choice(Field("paper", "choice", "Figure", "", tuple(PAPERS)), next(iter(PAPERS))),
    paper_run.CHOICE,
)
LABELS = {name: f"{paper.source}: {paper.title}" for name, paper in PAPERS.items()}


@st.cache_resource(show_spinner=False)
def _stored(name: str) -> PaperResult:
    return stored_result(name)


@st.cache_resource(show_spinner=False)
def stored_checks(name: str) -> tuple[Check, ...]:
    """Compare a paper's stored result, once; it is shared, and nobody changes it."""
    result = _stored(name)
    return PAPERS[name].check(result.columns, result.settings)


def choose(address: Address) -> None:
    """Draw the choice of a paper.

    Not in the card: a list that is drawn again a moment after a reload, as the card is while a run goes on,
    can reach the browser before its first value has, and then falls back to its first option.
    """
    address.select("paper", LABELS)


def card(address: Address) -> None:
    """Draw the card of the chosen paper."""
    paper = PAPERS[address["paper"]]
    stored, fresh = _stored(paper.name), paper_run.result(address, paper)
    st.subheader(paper.title, anchor="card")
    st.caption(plain(paper.source))
    left, right = st.columns(2, gap="medium")
    left.markdown(f"**The claim.** {plain(paper.claim)}")
    right.markdown(f"**Our setup.** {plain(paper.setup)}")
    _numbers(paper, fresh)
    _charts(paper, stored, "full")
    for note in paper.notes:
        st.caption(f":material/info: {plain(note)}")
    st.markdown("#### Run it here")
    st.caption(f"Small settings: {_settings(paper.small)}. Stored above: {_settings(paper.full)}.")
    paper_run.run_or_stop(address, paper)
    if fresh is not None:
        st.caption("What the run here gave, with the small settings:")
        _charts(paper, fresh, "small")
    _regenerate(paper, stored)


def _settings(settings: Settings) -> str:
    words = [f"{name.replace('_', ' ')} {_value(value)}" for name, value in settings.items() if value != 0]
    return plain(", ".join(words))


def _value(value: object) -> str:
    return " and ".join(str(part) for part in value) if isinstance(value, tuple) else f"{value}"


def _numbers(paper: Paper, fresh: PaperResult | None) -> None:
    from nnlab.paper_table import check_table, summary

    checks = stored_checks(paper.name)
    found = paper.check(fresh.columns, fresh.settings) if fresh is not None else ()
    icon = ":material/check_circle:" if passes(checks) else ":material/error:"
    here = f" Run here: {summary(found)}." if found else ""
    st.markdown(f"{icon} **{summary(checks)}.**{here}")
    by_quantity = {check.quantity: check for check in found}
    with st.grid(min_column_width=270):
        for number, check in enumerate(checks):
            with st.container(border=True, height="stretch", gap="xxsmall", key=f"check_{number}"):
                st.markdown(plain(check.quantity))
                _comparison("measured", check)
                if check.quantity in by_quantity:
                    _comparison("run here", by_quantity[check.quantity])
                st.caption(f"Published: {plain(check.origin)}")
    save_table(lambda: check_table(checks, found), f"{paper.name}_checks")


def _comparison(word: str, check: Check) -> None:
    mark = ":green[:material/check:]" if check.passes else ":red[:material/close:] outside:"
    st.markdown(
        f"{word} **{digits(check.measured)}**, published **{digits(check.published)}**  \n"
        f"{mark} {check.deviation_words}, allowed {check.tolerance_words}"
    )


def _charts(paper: Paper, result: PaperResult, size: str) -> None:
    seen = mode()
    shown = paper.charts(result.columns, seen)
    caption = f"{paper.source} · measured with nnlab, {size} settings"

    def draw(place: int, wanted: Mode) -> Chart:
        charts = shown if wanted == seen else paper.charts(result.columns, wanted)
        return replace(charts[place], name=f"{charts[place].name}_{size}")

    for place, column in enumerate(st.columns(len(shown), gap="medium")):
        with column:
            picture(partial(draw, place), caption, paper.name)


def _regenerate(paper: Paper, stored: PaperResult) -> None:
    st.markdown("#### Regenerate the stored result")
    st.code(f"python -m nnlab papers --only {paper.name}", language="bash")
    took = f"{scientific(stored.seconds)} s" if stored.seconds >= 1 else "less than a second"
    st.caption(plain(f"It took {took} with {in_words(stored.environment)}."))
