"""The section on XOR: linear layers, the closed form, and a network that learns it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.field import Field
from nnlab.lessons import LINEAR_DEPTH, XOR, xor_plans
from nnlab.network import Network
from nnlab.numerals import scientific
from nnlab.trajectory import Plan, Trajectory
from nnlab.xor import CLOSED_FORM, CORNERS, TARGETS, corner_data, separable_words, truth_table, xor_verdict
from pages.parts import pair, training
from pages.parts.address import Address, Choice
from pages.parts.figure import Same, picture
from pages.parts.guess import answer, ask
from pages.parts.save import save_table

BENT = tuple(name for name in ACTIVATIONS if name != "identity")
CHOICES = (
    Choice(
        Field("linear_layers", "integer", "Hidden layers without activation", "", low=1, high=10),
        LINEAR_DEPTH,
    ),
    Choice(Field("loss", "choice", "Loss", "What training makes small.", ("mse", "cross_entropy")), "mse"),
    Choice(Field("xor_phi", "choice", "Activation of the other network", "", BENT), XOR.activation),
    Choice(Field("xor_width", "integer", "Its hidden units", "", low=1, high=8), XOR.width),
    Choice(Field("xor_seed", "integer", "Seed", "Another seed, another start.", low=0, high=999), XOR.seed),
    training.job_choice("xor"),
    pair.step_choice("xor"),
)
LOSSES = {"mse": "mean squared error", "cross_entropy": "cross-entropy"}
LABELS = {name: ACTIVATIONS[name].label for name in BENT}
TRUTH = ("x1", "x2", "target", "output", "probability_1", "class", "right")
ASKED = {"linear_layers": 6, "loss": "mse"}


def _config(address: Address) -> ExperimentConfig:
    return XOR.replace(
        loss=address["loss"],
        activation=address["xor_phi"],
        width=address["xor_width"],
        seed=address["xor_seed"],
    )


def _plans(address: Address) -> tuple[Plan, ...]:
    return xor_plans(_config(address), address["linear_layers"], corner_data())


def _asked(address: Address) -> None:
    address.change(**ASKED)
    training.start(address, "xor", lambda: _plans(address))


def xor(address: Address) -> None:
    """Draw the section."""
    live = training.is_live(address, "xor")
    st.subheader("What can no linear network do?", anchor="xor")
    ask("xor", lambda: _asked(address), disabled=live)
    _controls(address)
    training.train_or_stop(address, "xor", lambda: _plans(address))
    training.messages(address, "xor")
    shown = pair.shown(address, "xor")
    if not shown:
        st.skeleton(height=420)
        return
    if not live:
        linear = xor_plans(_config(address), address["linear_layers"], corner_data())[0].config
        pair.say_difference(shown, 0, linear, "The pictures without activation")
        pair.say_difference(shown, 1, _config(address), "The pictures with activation")
        _answer(shown)
    _pictures(shown, pair.step(address, shown, "xor", live=live), live=live)
    st.caption(separable_words())


def _controls(address: Address) -> None:
    columns = st.columns(5, gap="medium")
    with columns[0]:
        address.slider("linear_layers")
    with columns[1]:
        address.select("loss", LOSSES)
    with columns[2]:
        address.select("xor_phi", LABELS)
    with columns[3]:
        address.slider("xor_width")
    with columns[4]:
        address.slider("xor_seed")


def _answer(shown: tuple[Trajectory, ...]) -> None:
    run = shown[0].run
    if run.status != "completed" or run.config is None:
        return  # stopped before the end that the question asks for
    if run.config.depth == ASKED["linear_layers"] and run.config.loss == "mse":
        loss = float(run.records[-1].network["loss"])
        answer("xor", loss, scientific(loss))


def _pictures(shown: tuple[Trajectory, ...], step: int, *, live: bool) -> None:
    linear, bent = shown
    loss = bent.run.config.loss if bent.run.config is not None else "mse"

    def at_step(trajectory: Trajectory, title: str, name: str) -> None:
        _network(trajectory.at(step), title, name, loss, (trajectory.run.serial, step), live=live)

    pair.side_by_side(
        lambda: at_step(linear, f"Without activation, step {step}", "xor_linear"),
        lambda: _network(CLOSED_FORM, "By hand: 2-2-1 ReLU", "xor_closed", "mse", (), live=live),
        lambda: at_step(bent, f"With activation, step {step}", "xor_bent"),
    )
    from nnlab.xor_charts import LossCurve, loss_floor

    one = LossCurve("without activation", *linear.run.series("loss"))
    other = LossCurve("with activation", *bent.run.series("loss"))
    picture(
        lambda mode: loss_floor(one, other, loss, mode),
        f"{linear.run.title} | {bent.run.title}",
        "xor",
        live=live,
        same=("xor_loss_floor", linear.run.serial, bent.run.serial),
    )


def _network(network: Network, title: str, name: str, loss: str, drawn: Same, *, live: bool) -> None:
    from nnlab.surface import window_of
    from nnlab.surface_charts import decision_surface
    from nnlab.xor_charts import hidden_space

    words = f"{'-'.join(str(width) for width in network.widths)} {network.layers[0].activation}"

    window = window_of(CORNERS)
    picture(
        lambda mode: decision_surface(network, CORNERS, TARGETS, window, mode, title, f"{name}_surface"),
        words,
        "xor",
        live=live,
        same=(f"{name}_surface", *drawn),
    )
    st.caption(xor_verdict(network, loss))
    st.dataframe(truth_table(network), hide_index=True, column_order=TRUTH, key=f"{name}_table")
    if not live:
        save_table(lambda: truth_table(network), f"{name}_truth_table")
    picture(
        lambda mode: replace(hidden_space(network, mode), name=f"{name}_hidden"),
        words,
        "xor",
        live=live,
        same=(f"{name}_hidden", *drawn),
    )
