"""What a visitor looks at of a run, the step and the open tab: in the session and in the address."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import streamlit as st

from nnlab.config import FIELDS
from nnlab.field import Field
from nnlab.run import Run

TABS = {
    "Learning": ("loss", "accuracy", "update_ratio"),
    "Activations": ("pre_activation_histograms", "activation_histograms"),
    "Units": ("saturation", "idle_units"),
    "Gradients": ("delta_histograms", "weight_grad_histograms"),
}
TABLE_TAB = "Table and files"
LABELS = (*TABS, TABLE_TAB)
_WORDS = {label.split()[0].lower(): label for label in LABELS}
_FIELDS = {
    "step": Field("step", "integer", "Step", "", low=0, high=FIELDS["steps"].high),
    "tab": Field("tab", "choice", "Tab", "", tuple(_WORDS)),
}
LAB = "lab"


def _home(page: str) -> str:
    return f"view_{page}"


def read(page: str = LAB) -> list[str]:
    """Take over what the link says, on the first visit; give the sentences on what it says in vain."""
    if _home(page) in st.session_state:
        return []
    said: dict[str, str] = {}
    notes = []
    for name, field in _FIELDS.items():
        texts = st.query_params.get_all(name)
        if len(texts) > 1:
            notes.append(f"Ignored {name}: the link says it {len(texts)} times.")
        elif texts:
            try:
                said[name] = str(field.parse(texts[0]))
            except ValueError as error:
                notes.append(f"Ignored {error}.")
    st.session_state[_home(page)] = said
    return notes


def said(page: str = LAB) -> dict[str, str]:
    """Give what the address says of the view: nothing of what is shown without it."""
    return dict(st.session_state.get(_home(page), {}))


def _say(page: str, name: str, value: str, *, usual: bool) -> None:
    """Keep a choice, and write it into the address, where it is not the usual one."""
    kept = {n: v for n, v in said(page).items() if n != name} | ({} if usual else {name: value})
    if kept == said(page):
        return
    st.session_state[_home(page)] = kept
    if usual:
        st.query_params.pop(name, None)
    else:
        st.query_params[name] = value


def begin_anew(page: str = LAB) -> None:
    """Forget the step: another run is looked at from its end."""
    st.session_state[_home(page)] = {name: value for name, value in said(page).items() if name != "step"}


def step_of(run: Run, page: str) -> int:
    """Let the visitor choose a recorded step."""
    steps = [int(step) for step in run.steps]
    if len(steps) == 1:
        return steps[0]
    wanted = run.record_at(int(said(page).get("step", steps[-1]))).step
    chosen = st.select_slider(
        "Step shown in every chart below",
        options=steps,
        value=wanted,
        key=f"step_{run.serial}",
        help="Histograms and unit counts are taken at about 50 steps; the nearest one is shown and named.",
    )
    _say(page, "step", str(chosen), usual=chosen == steps[-1])
    return int(chosen)


def seen_step(run: Run, page: str = LAB) -> int:
    """Give the step that the visitor has chosen, above the slider too; the last one without a choice."""
    last = int(run.steps[-1])
    return int(st.session_state.get(f"step_{run.serial}", said(page).get("step", last)))


def open_tabs(page: str) -> Mapping[str, AbstractContextManager[object]]:
    """Draw the tabs and give those that are open by their labels."""
    # The same all through a visit: with another one to begin with, Streamlit would open that.
    first = st.session_state.setdefault(
        f"{_home(page)}_tab", _WORDS.get(said(page).get("tab", ""), LABELS[0])
    )
    key = "tabs" if page == LAB else f"tabs_{page}"
    tabs = dict(zip(LABELS, st.tabs(LABELS, default=first, on_change="rerun", key=key), strict=True))
    opened = {label: tab for label, tab in tabs.items() if tab.open}
    for word, label in _WORDS.items():
        if label in opened:
            _say(page, "tab", word, usual=label == LABELS[0])
    return opened
