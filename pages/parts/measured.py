"""The section on drawn networks: theory's numbers and pictures, and what networks drawn by chance do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from nnlab.ensemble import HOSTED_MAX_WORK, MAX_WORK, MOST_NETWORKS, Ensemble, networks_allowed
from nnlab.field import Field
from nnlab.hosting import HOSTED_MEMORY_LIMIT, is_hosted
from nnlab.job_board import BOARD
from nnlab.random_network import RandomNetwork
from pages.parts.address import Address, Choice
from pages.parts.complaint import complain
from pages.parts.drawing import DEFAULT, network_of, number
from pages.parts.ensembles import awaiting, kept
from pages.parts.figure import picture
from pages.parts.first_sight import let_load, let_paint
from pages.parts.initial_verdict import initial_verdict
from pages.parts.plain import plain
from pages.parts.save import save_table

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

    from nnlab.agreement import Agreement
    from nnlab.chart import Chart
    from nnlab.palette import Mode
    from nnlab.prediction import Prediction

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
AWAITED = "Theory alone. Dots follow as soon as the networks are drawn."
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
    """Draw the section; what is given back has the networks drawn, where they are not yet.

    That takes a second or more, for which nobody waits: theory stands here, and dots follow.
    """
    from nnlab.signal_words import verdict

    st.subheader("Does the signal get through?", anchor="measured")
    network = _allowed(address)
    prediction = _predicted(network)
    verdict_place, facts_place = st.container(border=True, key="initial_verdict"), st.container()
    count, fewer, progress = _count(address, network)
    ensemble = kept(network, count) if count else None
    found = _compared(prediction, ensemble)
    with verdict_place:
        # The first number compared is what reaches layer 1, where there is more than one layer.
        said = verdict(prediction, found[0] if found and network.config.depth > 1 else None)
        initial_verdict(address, network, said)
    with facts_place:
        _facts(prediction)
    _pictures(address, prediction, ensemble, is_awaited=count > 0 and ensemble is None)
    if ensemble is not None:
        progress.caption(
            fewer or (f"All {count} networks are drawn." if count > 1 else "The network is drawn.")
        )
        _table(prediction, ensemble, found)
    return partial(_draw, network, count, fewer, progress) if count and ensemble is None else lambda: None


def _allowed(address: Address) -> RandomNetwork:
    try:
        return network_of(address)
    except ValueError:  # said above, beside the widgets
        return RandomNetwork(DEFAULT)


def _count(address: Address, network: RandomNetwork) -> tuple[int, str, DeltaGenerator]:
    """Give how many networks are drawn, why not as many as wanted, and the place for a line that says so."""
    left, right = st.columns([3, 1], gap="medium")
    with left:
        wanted = address.slider("networks")
    with right:
        number(address, "seed", 1)
    place = st.container()
    try:
        BOARD.check_memory()
        memory, work = (HOSTED_MEMORY_LIMIT, HOSTED_MAX_WORK) if is_hosted() else (None, MAX_WORK)
        count = networks_allowed(network.config, wanted, memory=memory, work=work)
    except ValueError as error:
        complain(f"{error}. Theory is drawn alone", "networks")
        return 0, "", place
    fewer = f"Networks of this size take long: {count} of {wanted} are drawn."
    return count, fewer if count < wanted else "", place


def _draw(network: RandomNetwork, count: int, fewer: str, place: DeltaGenerator) -> None:
    """Have the networks drawn, and say how many are."""
    with place:
        awaiting(network, count, lambda done: f"{fewer} Drawing networks ... {done} of {count}".strip())


def _compared(prediction: Prediction, ensemble: Ensemble | None) -> tuple[Agreement, ...]:
    if ensemble is None:
        return ()
    from nnlab.agreement import agreements

    return agreements(prediction, ensemble)


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


def _pictures(
    address: Address, prediction: Prediction, ensemble: Ensemble | None, *, is_awaited: bool
) -> None:
    # Altair takes a third of a second to load: the verdict need not wait for it.
    from nnlab.initialization_charts import CHARTS

    pairs = list(CHARTS.items())
    for pair, wait in ((pairs[:2], let_load), (pairs[2:], partial(let_paint, address))):
        for column, (name, draw) in zip(st.columns(2, gap="medium"), pair, strict=True):
            with column:
                _picture(name, draw, prediction, ensemble, is_awaited=is_awaited)
        wait()


def _picture(
    name: str, draw: DrawInitial, prediction: Prediction, ensemble: Ensemble | None, *, is_awaited: bool
) -> None:
    network = prediction.network
    config = network.config

    def whole(mode: Mode) -> Chart:
        chart = draw(prediction, ensemble, mode)
        return replace(chart, notes=(AWAITED,)) if is_awaited else chart

    picture(
        whole,
        f"{config.words} · sigma_b {network.sigma_b:g}",
        f"drawn-{config.depth}x{config.width}-{config.activation}",
        same=(name, network, is_awaited, None if ensemble is None else len(ensemble.seeds)),
    )


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
