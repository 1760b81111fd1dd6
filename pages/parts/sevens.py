"""The section on brightness: digit classifiers of six kinds, and test images made lighter and darker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from nnlab.brightness import BRIGHTNESSES, Sweep, brightness_table, gap
from nnlab.brightness_words import verdict
from nnlab.config import ExperimentConfig
from nnlab.field import Field
from nnlab.lessons import KIND_WORDS, SEEDS, SEVENS, sevens_plans
from nnlab.numerals import signed_percent
from nnlab.palette import Mode
from nnlab.trajectory import Plan
from pages.parts import classifiers, training
from pages.parts.address import Address, Choice
from pages.parts.figure import Same, picture
from pages.parts.first_sight import let_paint
from pages.parts.guess import answer, ask
from pages.parts.pair import differences
from pages.parts.save import save_table

if TYPE_CHECKING:
    from nnlab.chart import Chart

CHOICES = (
    Choice(Field("depth", "integer", "Depth: hidden layers", "", low=1, high=6), SEVENS.depth),
    Choice(Field("width", "integer", "Width: units a layer", "", low=4, high=128), SEVENS.width),
    Choice(Field("steps", "integer", "Steps", "", low=50, high=1000), SEVENS.steps),
    Choice(Field("seed", "integer", "First seed", f"{SEEDS} seeds are trained.", low=0, high=999), 0),
    Choice(Field("kinds", "names", "Networks shown", "Any of the six.", tuple(KIND_WORDS)), ("tanh", "relu")),
    Choice(Field("at", "choice", "Read at brightness", "", tuple(f"{b:g}" for b in BRIGHTNESSES)), "1"),
    training.job_choice("sevens"),
)
ASKED = 0.1


def _config(address: Address) -> ExperimentConfig:
    names = ("depth", "width", "steps", "seed")
    return SEVENS.replace(**{name: address[name] for name in names})


def _plans(address: Address) -> tuple[Plan, ...]:
    return sevens_plans(_config(address), classifiers.pixels())


def sevens(address: Address) -> None:
    """Draw the section."""
    live = training.is_live(address, "sevens")
    st.subheader("Is a network with sigmoid more robust to brightness?", anchor="sevens")
    ask("sevens", lambda: address.change(at=f"{ASKED:g}", kinds=tuple(KIND_WORDS)))
    columns = st.columns(4, gap="medium")
    for name, step, column in zip(("depth", "width", "steps", "seed"), (1, 4, 50, 1), columns, strict=True):
        with column:
            address.slider(name, step=step)
    training.train_or_stop(address, "sevens", lambda: _plans(address))
    training.messages(address, "sevens")
    shown = classifiers.shown(address)
    config = shown.config
    if not live and config != _config(address):
        st.info(differences(config, _config(address)), icon=":material/history:")
    st.caption("Brightness × 0.1 leaves a tenth of the ink, a lighter digit; × 10 is ten times the ink.")
    kinds = _kinds(address)
    if not kinds:
        st.info("Choose at least one kind of network; allowed: any of the six.")
        return
    found = classifiers.measured(shown.networks).only(kinds)
    label = f"digits, {config.depth} x {config.width}, {SEEDS} seeds from {config.seed}"
    drawn = (kinds, *shown.serials)
    _curves(address, found, drawn, label, live=live)
    if not live:
        headline, *evidence = verdict(found)
        with st.container(border=True, key="verdict"):
            st.markdown(f":material/gavel: **The verdict, measured.** {headline}")
        st.markdown("\n".join(f"- {sentence}" for sentence in evidence))
    _why(found, drawn, label, live=live)


def _kinds(address: Address) -> tuple[str, ...]:
    chosen = st.pills(
        options=list(KIND_WORDS),
        format_func=KIND_WORDS.__getitem__,
        selection_mode="multi",
        wrap=True,
        **address.widget("kinds"),
    )
    return tuple(address.take("kinds", tuple(kind for kind in KIND_WORDS if kind in chosen)))


def _curves(address: Address, found: Sweep, drawn: Same, label: str, *, live: bool) -> None:
    from nnlab.brightness_charts import accuracy_curves

    same = ("brightness_accuracy", *drawn)
    picture(lambda mode: accuracy_curves(found, mode), label, "sevens", live=live, same=same)
    let_paint(address)
    shown_at = address.take(
        "at", st.select_slider(options=[f"{b:g}" for b in BRIGHTNESSES], **address.widget("at"))
    )
    at = float(shown_at)
    if at == ASKED and len(found.kinds) == len(KIND_WORDS):
        lost = gap(found, "sigmoid", "identity", at)
        answer("sevens", lost, signed_percent(lost))
    st.dataframe(brightness_table(found, at), hide_index=True)
    if not live:
        save_table(lambda: brightness_table(found, at), "brightness_table")


def _why(found: Sweep, drawn: Same, label: str, *, live: bool) -> None:
    from nnlab.brightness_charts import accuracy_bars, homogeneity, saturation_curves

    def one(draw: Callable[[Sweep, Mode], Chart], name: str) -> None:
        picture(lambda mode: draw(found, mode), label, "sevens", live=live, same=(name, *drawn))

    left, right = st.columns(2, gap="medium")
    with left:
        one(saturation_curves, "brightness_saturation")
    with right:
        one(homogeneity, "brightness_homogeneity")
    one(accuracy_bars, "brightness_accuracy_bars")
