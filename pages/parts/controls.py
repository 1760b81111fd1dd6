"""The sidebar: every field of an experiment as a widget, the three that matter most first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from nnlab.activations import ACTIVATIONS
from nnlab.config import FIELDS, ExperimentConfig
from nnlab.datasets import DATASETS
from nnlab.initializers import INITIALIZERS
from pages.parts.choice import change, current, widget_key

DEPTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100)
WIDTHS = (1, 2, 4, 8, 16, 32, 64, 100, 128, 200, 256, 512, 1024)
LABELS: dict[str, Callable[[str], str]] = {
    "activation": lambda name: ACTIVATIONS[name].label,
    "initializer": lambda name: INITIALIZERS[name].label,
    "dataset": lambda name: DATASETS[name].label,
    "optimizer": {
        "sgd": "SGD",
        "momentum": "SGD with momentum 0.9",
        "adam": "Adam",
        "adamw": "AdamW",
        "rmsprop": "RMSprop",
    }.__getitem__,
    "loss": {"cross_entropy": "cross-entropy", "mse": "mean squared error"}.__getitem__,
}


def _prepare(config: ExperimentConfig, name: str) -> dict[str, Any]:
    """Give what all widgets of a field share, with the session holding its present value."""
    key = widget_key(name)
    if key not in st.session_state:
        st.session_state[key] = getattr(config, name)
    field = FIELDS[name]
    return {"label": field.label, "key": key, "help": f"{field.help} Allowed: {field.allowed}."}


def _slider(config: ExperimentConfig, name: str, stops: tuple[int, ...]) -> int:
    """A slider over round numbers; one that a link asked for is added to them."""
    shared = _prepare(config, name)
    options = sorted({*stops, st.session_state[shared["key"]]})
    return int(st.select_slider(options=options, **shared))


def _select(config: ExperimentConfig, name: str, help_text: str = "") -> str:
    shared = _prepare(config, name)
    options = FIELDS[name].options
    shared["help"] = help_text or FIELDS[name].help
    return str(st.selectbox(options=options, format_func=LABELS.get(name, str), **shared))


def _number(config: ExperimentConfig, name: str, step: float | int) -> Any:
    shared = _prepare(config, name)
    field = FIELDS[name]
    whole = field.kind == "integer"
    kind: Callable[[float], Any] = int if whole else float
    return st.number_input(
        # An open lower end (> 0) is left to the config, which says so; a cleared field is None.
        value=None,
        min_value=None if field.low is None else kind(field.low),
        max_value=None if field.high is None else kind(field.high),
        step=kind(step),
        format="%d" if whole else "%g",
        placeholder=field.nothing,
        **shared,
    )


def _network(config: ExperimentConfig) -> dict[str, Any]:
    return {
        "depth": _slider(config, "depth", DEPTHS),
        "width": _slider(config, "width", WIDTHS),
        "activation": _select(config, "activation", f"{ACTIVATIONS[config.activation].made_for}"),
    }


def _data(config: ExperimentConfig) -> dict[str, Any]:
    values: dict[str, Any] = {"dataset": _select(config, "dataset")}
    st.caption(DATASETS[values["dataset"]].description)
    if DATASETS[values["dataset"]].is_generated:
        values["samples"] = _number(config, "samples", 100)
        values["noise"] = _number(config, "noise", 0.05)
    return values


def _initialization(config: ExperimentConfig) -> dict[str, Any]:
    normalization = _prepare(config, "normalization")
    return {
        "initializer": _select(config, "initializer", INITIALIZERS[config.initializer].made_for),
        "gain": _number(config, "gain", 0.1),
        "normalization": st.segmented_control(
            options=FIELDS["normalization"].options, required=True, **normalization
        ),
        "residual": st.toggle(**_prepare(config, "residual")),
    }


def _training(config: ExperimentConfig) -> dict[str, Any]:
    return {
        "optimizer": _select(config, "optimizer"),
        "learning_rate": _number(config, "learning_rate", 0.01),
        "batch_size": _number(config, "batch_size", 16),
        "steps": _number(config, "steps", 100),
        "seed": _number(config, "seed", 1),
        "loss": _select(config, "loss"),
        "weight_decay": _number(config, "weight_decay", 0.001),
        "clip_norm": _number(config, "clip_norm", 0.5),
        "record_every": _number(config, "record_every", 1),
    }


def sidebar() -> str:
    """Draw all controls; give the sentence that says why the choice cannot be trained, or ""."""
    config = current()
    with st.sidebar:
        values = _network(config)
        with st.expander("Data", icon=":material/database:"):
            values |= _data(config)
        with st.expander("Initialization and shape", icon=":material/casino:"):
            values |= _initialization(config)
        with st.expander("Training", icon=":material/fitness_center:"):
            values |= _training(config)
    return change(values)
