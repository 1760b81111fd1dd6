"""The verdict: what is wrong, by which number, why, and a button that tries the remedy."""

from __future__ import annotations

from typing import Any

import streamlit as st

from nnlab.advice import ADVICE
from nnlab.diagnosis import Finding
from nnlab.explanations import why_healthy
from nnlab.gaps import general_notes
from nnlab.healing import leads_back
from nnlab.remedies import describe
from nnlab.run import Run
from pages.parts.choice import without_path
from pages.parts.plain import plain
from pages.parts.treatment import apply_remedy, before

STATUS_WORDS = {
    "stopped": "Stopped",
    "timed_out": "Out of time: stopped",
    "interrupted": "Interrupted",
    "failed": "Failed",
}
ICONS = {"severe": ":material/error:", "warn": ":material/warning:"}


def verdict(run: Run, *, live: bool, is_of_lab: bool = True) -> None:
    """Say what the run's numbers mean; while it runs, of what is recorded so far.

    Only the lab can train what a remedy proposes.
    """
    with st.container(border=True, key="verdict"):
        if not run.findings:
            st.markdown(f":material/check_circle: **Healthy.** {plain(why_healthy(run))}")
        for number, finding in enumerate(run.findings[:1]):
            _finding(finding)
            _remedy(run, finding, number, live=live, is_of_lab=is_of_lab)
        if len(run.findings) > 1:
            with st.expander(f"{len(run.findings) - 1} more in its wake"):
                for number, finding in enumerate(run.findings[1:], start=1):
                    _finding(finding)
                    _remedy(run, finding, number, live=live, is_of_lab=is_of_lab)
        if run.status in STATUS_WORDS:
            st.caption(f"{STATUS_WORDS[run.status]} at step {run.records[-1].step:,}; all records are kept.")
        said = " ".join(finding.explanation for finding in run.findings)
        # What could not be measured of a layer has its own place.
        for note in general_notes(run):
            if note not in said:
                st.caption(plain(note))


def _finding(finding: Finding) -> None:
    icon = ICONS[finding.severity]
    st.markdown(f"{icon} **{finding.title}, {finding.severity}.** {plain(finding.headline)}")
    st.caption(f"{plain(finding.evidence)} *{plain(finding.measure)}.*")


def _remedy(run: Run, finding: Finding, number: int, *, live: bool, is_of_lab: bool) -> None:
    if run.config is None:
        st.markdown(f":material/build: **What to change.** {ADVICE[finding.kind]}")
    elif finding.remedy and not is_of_lab:
        st.page_link(
            "dashboard.py",
            label=f"Try this in the lab: {describe(finding.remedy)}",
            icon=":material/healing:",
            query_params=run.config.replace(**finding.remedy).to_query(),
        )
    elif finding.remedy and not live:
        st.button(
            f"Try this: {describe(finding.remedy)}",
            icon=":material/healing:",
            key=f"try_{number}",
            on_click=apply_remedy,
            args=(run, finding.remedy),
            help="Changes the experiment, trains it with the same data, seed and steps, and shows "
            "before and after.",
        )
        _expectation(run, finding.remedy)


def _expectation(run: Run, change: dict[str, Any]) -> None:
    """Say what theory expects of a remedy before it is tried, and whether it was tried already."""
    from nnlab.forecast import expectation, limits  # loads SciPy, which a verdict does without

    if run.config is None:
        return
    said = [expectation(run, change), *limits(run.config.replace(**change))]
    number = leads_back(change, [stage.config for stage in before(run)], without_path(run.config))
    if number is not None:
        said.append("This was tried already: it leads back to an earlier experiment of the chain below.")
    st.caption(plain(" ".join(said)))
