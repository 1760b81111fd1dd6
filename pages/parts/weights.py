"""The weights of an MLP: uploaded, put onto a dataset, diagnosed."""

from __future__ import annotations

import streamlit as st

from nnlab.activations import ACTIVATIONS
from nnlab.checkpoint import Checkpoint, read_checkpoint
from nnlab.config import ExperimentConfig
from nnlab.job_board import BOARD
from nnlab.snippets import CONVERT
from pages.parts import opened, uploaded
from pages.parts.complaint import complain

FILE, CHECKPOINT, TROUBLE = "weights_file", "weights_checkpoint", "weights_trouble"
DATASET, ACTIVATION, LOSS = "weights_dataset", "weights_activation", "weights_loss"
LOSSES = {"cross_entropy": "cross-entropy", "mse": "mean squared error"}


def weights() -> None:
    """Let the visitor upload weights, say what a file of weights does not, and diagnose them."""
    st.file_uploader("Open weights (.safetensors)", type=["safetensors"], key=FILE, on_change=_take)
    checkpoint: Checkpoint | None = st.session_state.get(CHECKPOINT)
    if checkpoint is None:
        st.caption(
            "The weights of a plain network of linear layers, with or without normalization. A .pt file can "
            "run code when it is opened, so convert it on your own machine first:"
        )
        st.code(CONVERT, language="sh")
    else:
        _choose(checkpoint)
    if st.session_state.get(TROUBLE):
        complain(st.session_state[TROUBLE], "weights")


def _choose(checkpoint: Checkpoint) -> None:
    widths = " → ".join(str(width) for width in checkpoint.widths)
    st.text(f"{checkpoint.name}: layers of {widths} units. {' '.join(checkpoint.notes)}")
    fitting = checkpoint.fitting_datasets
    if not fitting:
        inputs, outputs = checkpoint.inputs, checkpoint.outputs
        complain(f"No dataset here has {inputs} inputs and {outputs} classes, as these weights have", "fit")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox("On the dataset", fitting, key=DATASET, width=180)
        st.selectbox(
            "Activation",
            list(ACTIVATIONS),
            key=ACTIVATION,
            format_func=lambda name: ACTIVATIONS[name].label,
            width=180,
            help="A file of weights does not say it, but for files that nnlab wrote.",
        )
        st.selectbox("Loss", list(LOSSES), key=LOSS, format_func=lambda name: LOSSES[name], width=200)
        st.button(
            "Diagnose",
            type="primary",
            icon=":material/stethoscope:",
            on_click=_diagnose,
            key="weights_diagnose",
        )


def _take() -> None:
    """Read what was uploaded, or forget what was taken away."""
    st.session_state[TROUBLE], st.session_state[CHECKPOINT] = "", None
    opened.keep(None, of=opened.WEIGHTS)
    file = uploaded.here(st.session_state[FILE])
    if file is None:
        return
    try:
        with uploaded.reading(file) as content:
            checkpoint = read_checkpoint(content, file.name)
            uploaded.OPEN.take(checkpoint, uploaded.WEIGHTS_SHARE * len(content))
    except ValueError as error:
        st.session_state[TROUBLE] = f"Not opened: {error}"
        return
    st.session_state[CHECKPOINT] = checkpoint
    st.session_state[ACTIVATION] = checkpoint.activation or "relu"
    if checkpoint.config is not None:
        st.session_state[LOSS] = checkpoint.config.loss
        if checkpoint.config.dataset in checkpoint.fitting_datasets:
            st.session_state[DATASET] = checkpoint.config.dataset


def _diagnose() -> None:
    """Run one forward and backward pass, and show its record."""
    # torch takes a second to load on a fresh server, and the page is there without it.
    from nnlab.datasets import load_dataset
    from nnlab.rebuilt import diagnose_checkpoint

    st.session_state[TROUBLE] = ""
    checkpoint: Checkpoint = st.session_state[CHECKPOINT]
    name = st.session_state[DATASET]
    usual = ExperimentConfig(dataset=name)
    config = checkpoint.config if checkpoint.config and checkpoint.config.dataset == name else usual
    try:
        BOARD.check_memory()
        run = diagnose_checkpoint(
            checkpoint,
            st.session_state[ACTIVATION],
            load_dataset(config),
            st.session_state[LOSS],
            dataset=name,
        )
    except ValueError as error:
        st.session_state[TROUBLE] = f"Not diagnosed: {error}"
        return
    opened.keep(run, of=opened.WEIGHTS)
