"""The section on drawn networks: the verdict before training, theory's numbers, and both compared."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from nnlab.config import ExperimentConfig
from nnlab.ensemble import HOSTED_MAX_WORK, MAX_WORK, MOST_NETWORKS, Ensemble, networks_allowed
from nnlab.field import Field
from nnlab.hosting import HOSTED_MEMORY_LIMIT, is_hosted
from nnlab.job_board import BOARD
from nnlab.random_network import RandomNetwork
from nnlab.remedies import describe
from pages.parts.address import Address, Choice
from pages.parts.complaint import complain
from pages.parts.drawing import DEFAULT, network_of, number
from pages.parts.ensembles import drawn, kept
from pages.parts.figure import picture, sketched
from pages.parts.first_sight import let_load, let_paint
from pages.parts.plain import plain
from pages.parts.save import save_table

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from nnlab.agreement import Agreement
    from nnlab.chart import Chart
    from nnlab.cure import Cure
    from nnlab.palette import Mode
    from nnlab.prediction import Prediction
    from nnlab.signal_words import InitialVerdict

    Progress = Callable[[int], None]  # says how many networks are drawn
    DrawInitial = Callable[[Prediction, Ensemble | None, Mode], Chart]

CHOICES = (
    Choice(
        Field(
            "networks",
            "integer",
            "Networks drawn",
            "How many seeds to draw, from the seed above on. More of them tell theory from chance.",
            low=1,
            high=MOST_NETWORKS,
        ),
        20,
    ),
)
AWAITED = "Lines: theory. Dots follow as soon as the networks are drawn."
ICONS = {"": ":material/check_circle:", "warn": ":material/warning:", "severe": ":material/error:"}
COLUMN_HELP = {
    "Theory": "Mean field, exact for layers of infinite width.",
    "Measured": "Geometric mean over the drawn networks.",
    "Deviation": "Measured over theory, less 1.",
    "Chance": "By how much the mean would move with other seeds: two standard errors.",
}


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={RandomNetwork: repr})
def _predicted(network: RandomNetwork) -> Prediction:
    """Predict once for all visitors; nobody changes it."""
    from nnlab.prediction import predict

    return predict(network)


def section(address: Address) -> Callable[[], None]:
    """Draw the section with theory alone; what is given back draws networks, and them beside theory.

    That takes a second or more, in which the visitor reads what theory says. Nothing moves on the page then.
    """
    from nnlab.signal_words import verdict

    st.subheader("Does the signal get through?", anchor="measured")
    network = _allowed(address)
    prediction = _predicted(network)
    expected = verdict(prediction, None)
    with st.container(border=True, key="initial_verdict"):
        sentences, actions = st.empty(), st.empty()
    _verdict(sentences, expected)
    _actions(actions, address, network, expected.cure)
    _facts(prediction)
    count, progress = _count(address, network)
    finish_pictures = _pictures(address, prediction, count)
    table = st.container()

    def finish() -> None:
        ensemble = _drawn(network, count, progress)
        found = _compared(prediction, ensemble)
        # The first number compared is what reaches layer 1, where there is more than one layer.
        said = verdict(prediction, found[0] if found and network.config.depth > 1 else None)
        _verdict(sentences, said)
        if said.cure != expected.cure:
            _actions(actions, address, network, said.cure)
        for finish_picture in finish_pictures:
            finish_picture()
        if ensemble is not None:
            with table:
                _table(prediction, ensemble, found)

    return finish


def _allowed(address: Address) -> RandomNetwork:
    try:
        return network_of(address)
    except ValueError:  # said above, beside the widgets
        return RandomNetwork(DEFAULT)


def _count(address: Address, network: RandomNetwork) -> tuple[int, Progress]:
    """Give how many networks are drawn, and the line that says so; 0 where there is no memory for one."""
    left, right = st.columns([3, 1], gap="medium")
    with left:
        wanted = address.slider("networks")
    with right:
        number(address, "seed", 1)
    try:
        BOARD.check_memory()
        memory, work = (HOSTED_MEMORY_LIMIT, HOSTED_MAX_WORK) if is_hosted() else (None, MAX_WORK)
        count = networks_allowed(network.config, wanted, memory=memory, work=work)
    except ValueError as error:
        complain(f"{error}. Theory is drawn alone", "networks")
        return 0, lambda done: None
    place = st.empty()
    fewer = f"Networks of this size take long: {count} of {wanted} are drawn. " if count < wanted else ""
    all_drawn = fewer or (f"All {count} networks are drawn." if count > 1 else "The network is drawn.")

    def say(done: int) -> None:
        place.caption(all_drawn if done == count else f"{fewer}Drawing networks ... {done} of {count}")

    say(count if kept(network, count) else 0)
    return count, say


def _drawn(network: RandomNetwork, count: int, progress: Progress) -> Ensemble | None:
    """Draw the networks and say how many are drawn; a visitor who chooses anew meanwhile breaks it off."""
    if not count:
        return None
    ensemble = drawn(network, count, progress)
    progress(count)
    return ensemble


def _compared(prediction: Prediction, ensemble: Ensemble | None) -> tuple[Agreement, ...]:
    if ensemble is None:
        return ()
    from nnlab.agreement import agreements

    return agreements(prediction, ensemble)


def _verdict(place: DeltaGenerator, said: InitialVerdict) -> None:
    severity = f", {said.severity}" if said.severity else ""
    with place.container():
        st.markdown(f"{ICONS[said.severity]} **{said.title}{severity}.** {plain(said.headline)}")
        st.markdown(plain(said.reach))
        if said.advice:
            st.markdown(f":material/build: **What to change.** {plain(said.advice)}")


def _actions(place: DeltaGenerator, address: Address, network: RandomNetwork, cure: Cure | None) -> None:
    with place.container(horizontal=True, vertical_alignment="center", gap="small"):
        if cure is not None:
            st.button(
                f"Try this: {describe(cure.change)}",
                icon=":material/healing:",
                key="try_initial",
                on_click=_change,
                args=(address, cure.change),
            )
        if network.sigma_b == 0:  # the lab knows no biases but the initializer's
            in_lab = network.config.replace(dataset="digits", batch_size=ExperimentConfig.batch_size)
            st.page_link(
                "dashboard.py",
                label="Train this network in the lab, on digits",
                icon=":material/biotech:",
                query_params=in_lab.to_query(),
            )


def _change(address: Address, change: dict[str, Any]) -> None:
    address.change(**change)


def _facts(prediction: Prediction) -> None:
    from nnlab.theory_facts import facts

    st.markdown("**What theory says**, for layers of infinite width")
    with st.grid(6, min_column_width=150, key="initial_facts"):
        for fact in facts(prediction):
            st.metric(
                fact.label,
                fact.value,
                delta=plain(fact.detail),
                delta_color="off",
                delta_arrow="off",
                help=plain(fact.help),
                border=True,
                height="stretch",
            )


def _pictures(address: Address, prediction: Prediction, count: int) -> list[Callable[[], None]]:
    """Draw the charts; what is given back draws dots into them, where there are none yet."""
    # Altair takes a third of a second to load: the verdict need not wait for it.
    from nnlab.initialization_charts import CHARTS

    finish = []
    for pair, wait in ((CHARTS[:2], let_load), (CHARTS[2:], partial(let_paint, address))):
        for column, draw in zip(st.columns(2, gap="medium"), pair, strict=True):
            with column:
                finish += _picture(draw, prediction, count)
        wait()
    return finish


def _picture(draw: DrawInitial, prediction: Prediction, count: int) -> list[Callable[[], None]]:
    network = prediction.network
    config = network.config
    caption = f"{config.words} · sigma_b {network.sigma_b:g}"
    label = f"drawn-{config.depth}x{config.width}-{config.activation}"

    def whole(mode: Mode) -> Chart:
        return draw(prediction, drawn(network, count) if count else None, mode)

    if not count or kept(network, count):
        picture(whole, caption, label)
        return []
    return [sketched(partial(draw, prediction, None), whole, caption, label, AWAITED)]


def _table(prediction: Prediction, ensemble: Ensemble, found: tuple[Agreement, ...]) -> None:
    from nnlab.agreement import agreement_table
    from nnlab.caveats import caveats

    st.markdown("**Measured against theory**")
    st.dataframe(
        agreement_table(found),
        hide_index=True,
        width="stretch",
        column_config={name: st.column_config.TextColumn(help=text) for name, text in COLUMN_HELP.items()},
        key="agreement",
    )
    for sentence in caveats(prediction, found):
        st.caption(plain(sentence))
    save_table(ensemble.frame, "drawn_networks")
