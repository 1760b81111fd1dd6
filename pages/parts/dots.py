"""The section on red and blue dots: one network with and without its activation, boundary and gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.datasets import DATASETS, Data, load_dataset
from nnlab.field import Field
from nnlab.lessons import DOTS, all_points, dots_plans, dots_words, score_at
from nnlab.numerals import percent
from nnlab.surface import window_of
from nnlab.trajectory import Plan, Trajectory
from pages.parts import own_points, pair, training
from pages.parts.address import Address, Choice
from pages.parts.figure import picture
from pages.parts.guess import answer, ask

if TYPE_CHECKING:
    from pages.parts.save import Draw

SHAPES = ("circles", "moons", "spiral", "xor", "blobs")
OWN = "own"
BENT = tuple(name for name in ACTIVATIONS if name != "identity")
CHOICES = (
    Choice(Field("dots", "choice", "Dots", "", (*SHAPES, OWN)), DOTS.dataset),
    Choice(Field("noise", "number", "Noise", "How far dots stray.", low=0, high=1), DOTS.noise),
    Choice(Field("depth", "integer", "Depth: hidden layers", "", low=1, high=6), DOTS.depth),
    Choice(Field("width", "integer", "Width: units a layer", "", low=1, high=8), DOTS.width),
    Choice(Field("phi", "choice", "Activation", "", BENT), DOTS.activation),
    Choice(Field("rate", "number", "Learning rate", "Adam's.", low=0.001, high=0.3), DOTS.learning_rate),
    Choice(Field("steps", "integer", "Steps", "", low=50, high=20_000), DOTS.steps),
    Choice(
        Field("seed", "integer", "Seed", "Another seed, other dots and another start.", low=0, high=999), 0
    ),
    training.job_choice("dots"),
    pair.step_choice("dots"),
)
LABELS = {name: DATASETS[name].label for name in SHAPES} | {OWN: "Your own: draw or upload"}
PHI_LABELS = {name: ACTIVATIONS[name].label for name in BENT}
ASKED = {"dots": "circles", "noise": 0.1, "depth": 2, "width": 6, "phi": "tanh", "steps": 400, "seed": 0}


def _config(address: Address) -> ExperimentConfig:
    return DOTS.replace(
        dataset="csv" if address["dots"] == OWN else address["dots"],
        noise=address["noise"],
        depth=address["depth"],
        width=address["width"],
        activation=address["phi"],
        learning_rate=address["rate"],
        steps=address["steps"],
        seed=address["seed"],
        record_every=None if address["steps"] != DOTS.steps else DOTS.record_every,
    )


def _plans(address: Address) -> tuple[Plan, ...]:
    own = own_points.data() if address["dots"] == OWN else None
    return dots_plans(_config(address), own)


def _asked(address: Address) -> None:
    address.change(**ASKED, rate=DOTS.learning_rate)
    training.start(address, "dots", lambda: _plans(address))


@st.cache_resource(show_spinner=False, max_entries=20)
def _data(config: ExperimentConfig) -> Data:
    return load_dataset(config)


def _data_of(address: Address, shown: tuple[Trajectory, ...]) -> Data:
    """Give the dots that the shown networks learned."""
    job = training.job(address, "dots")
    # Not `job.trajectories is shown`: a job that runs has replaced them since.
    if job is not None and shown is not pair.stored("dots") and job.plans[0].data is not None:
        return job.plans[0].data
    config = shown[0].run.config
    assert config is not None
    return _data(config)


def dots(address: Address) -> None:
    """Draw the section."""
    live = training.is_live(address, "dots")
    st.subheader("Red and blue dots", anchor="dots")
    ask("dots", lambda: _asked(address), disabled=live)
    _controls(address)
    problem = own_points.choose() if address["dots"] == OWN else ""
    training.train_or_stop(address, "dots", lambda: _plans(address), problem=problem)
    training.messages(address, "dots", problem)
    shown = pair.shown(address, "dots")
    if not shown:
        st.skeleton(height=420)
        return
    if not live:
        if not problem:
            pair.say_difference(shown, 0, _config(address))
        _answer(shown)
    _pictures(shown, _data_of(address, shown), pair.step(address, shown, "dots", live=live), live=live)


def _controls(address: Address) -> None:
    first, second = st.columns(4, gap="medium"), st.columns(4, gap="medium")
    with first[0]:
        address.select("dots", LABELS)
    with first[1]:
        address.select("phi", PHI_LABELS)
    for name, step, column in (
        ("depth", 1, first[2]),
        ("width", 1, first[3]),
        ("noise", 0.01, second[0]),
        ("rate", 0.001, second[1]),
        ("steps", 50, second[2]),
        ("seed", 1, second[3]),
    ):
        with column:
            address.slider(name, step=step)


def _answer(shown: tuple[Trajectory, ...]) -> None:
    if (
        shown[0].run.config == DOTS.replace(dataset="circles")
        and shown[0].run.status == shown[1].run.status == "completed"
    ):
        score = score_at(shown[1], DOTS.steps)
        answer("dots", score, percent(score))


def _pictures(shown: tuple[Trajectory, ...], data: Data, step: int, *, live: bool) -> None:
    from nnlab.neuron_map_charts import neuron_heatmaps
    from nnlab.signal_charts import layer_gradients
    from nnlab.surface_charts import decision_surface

    bent, linear = shown
    points, labels = all_points(data)
    window = window_of(points)

    def one(trajectory: Trajectory, words: str, name: str) -> None:
        network, run = trajectory.at(step), trajectory.run
        right = f"{words}, step {step}: {percent(score_at(trajectory, step))} of test dots right"
        steps, norms = run.series("delta_norm")
        names = [layer.name for layer in run.layers]
        end = None if run.config is None else run.config.steps
        of_layers = f"{words}: error signal of each layer"
        charts: dict[str, Draw] = {
            "surface": lambda mode: decision_surface(
                network, points, labels, window, mode, right, f"{name}_surface", live=live
            ),
            "gradients": lambda mode: layer_gradients(
                steps, norms, names, mode, end=end, title=of_layers, name=f"{name}_gradients"
            ),
            "neurons": lambda mode: replace(neuron_heatmaps(network, window, mode), name=f"{name}_neurons"),
        }
        for what, chart in charts.items():
            picture(chart, run.caption, "dots", live=live, same=(f"{name}_{what}", run.serial, step))

    phi = bent.run.config.activation if bent.run.config is not None else ""
    st.markdown(dots_words(shown, step))
    pair.side_by_side(
        lambda: one(bent, f"With {ACTIVATIONS[phi].label}", "dots_bent"),
        lambda: one(linear, "Without activation", "dots_linear"),
    )
