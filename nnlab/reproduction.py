"""reproduction: a run as a script of plain PyTorch, for whoever does not have nnlab, or does not trust it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from nnlab.activations import ACTIVATIONS
from nnlab.datasets import DATASETS
from nnlab.initializers import INITIALIZERS
from nnlab.reproduction_data import batches_part, data_part, streams_part
from nnlab.reproduction_facts import Facts
from nnlab.reproduction_network import (
    diagnostics_part,
    layers_part,
    network_part,
    training_part,
    weights_part,
)
from nnlab.reproduction_text import TEXT_WIDTH
from nnlab.run import Run

MAX_TEXT = 300  # of what a run file may hold in any length

ABOUT = """\
Trains this network in plain PyTorch and prints what nnlab recorded of it: a line for
every recorded step, "step loss", and then a table of the layers at the last of them."""
ONE_THREAD = """\
# As the run was made: several threads add up in another order, and round differently.
torch.set_num_threads(1)"""
TO_THE_LAST = "to the last bit"
# Where nnlab's engine rounds otherwise than PyTorch's backward pass (tests/test_engine.py).
BITS = {"softsign": "but for rounding: nnlab multiplies by softsign's slope in one piece"}
# Why the last record is where it is; a completed run needs no words.
ENDS = {
    "stopped": "then the run was stopped",
    "timed_out": "then the run's time was up",
    "diverged": "here the run diverged",
    "stalled": "soon after, the run stalled",
    "failed": "then the run failed",
    "interrupted": "then the run was interrupted",
    "running": "the run was still going on",
}


def script(run: Run) -> str:
    """Give the text of a script of plain torch, NumPy and scikit-learn that reprints a run's numbers.

    It prints the losses of all records, and the error signals and some more of every layer at the last.

    Raises:
        ValueError: nnlab did not build the run's model, or the run has no records.
    """
    facts = Facts.of(run)
    parts = (
        _head(run, facts),
        _section("The experiment", "\n".join(_constants(facts))),
        _section("Random numbers", streams_part()),
        _section("Data", data_part(facts)),
        _section("Network", network_part(facts)),
        _section("Initial weights", weights_part(facts)),
        _section("Batches", batches_part(facts)),
        _section("Diagnostics", diagnostics_part()),
        _section("Training", training_part(facts)),
        _section("The layers at the last step", layers_part(facts)),
    )
    return "\n\n\n".join(parts) + "\n"


def _section(title: str, text: str) -> str:
    code = next(line for line in text.splitlines() if not line.startswith("#"))
    gap = "\n\n\n" if code.startswith(("def ", "class ")) else "\n\n"  # as formatters want it
    return f"# --- {title} ".ljust(TEXT_WIDTH, "-") + gap + text


def _plain(text: object) -> str:
    """Make a run file's text harmless in a docstring: one line, without quotes and escapes."""
    kept = "".join(sign if sign.isprintable() else " " for sign in str(text)[:MAX_TEXT])
    return kept.replace("\\", "/").replace('"', "'")


def _head(run: Run, facts: Facts) -> str:
    docstring = "\n\n".join(_paragraphs(run, facts))
    return f'"""{docstring}\n"""\n\n{_imports(facts)}\n\n{ONE_THREAD}'


def _paragraphs(run: Run, facts: Facts) -> Iterator[str]:
    """Give what the docstring says: the experiment, the output, the command, the run."""

    def fill(text: str) -> str:
        return textwrap.fill(text, TEXT_WIDTH)

    yield textwrap.fill(_plain(facts.config.words), TEXT_WIDTH - len('"""'))
    yield ABOUT
    yield "    python reproduce.py" + (" [FILE.csv]" if facts.config.dataset == "csv" else "")
    known = {name: _plain(value) for name, value in run.environment.items()}
    made = [f"{name} {known[name]}" for name in ("nnlab", "torch", "python") if name in known]
    made += [f"{known['cpu_capability']} instructions"] if "cpu_capability" in known else []
    made += [f"threads: {known['threads']}"] if "threads" in known else []
    is_engine = facts.config.normalization == "none"
    bits = BITS.get(facts.config.activation, TO_THE_LAST) if is_engine else TO_THE_LAST
    yield fill(
        f"The run was made with {', '.join(made) or 'unknown versions'}. With the same ones the losses come "
        f"out the same, {bits}. Others round differently, which training can magnify."
    )
    status = _plain(run.status).replace("_", " ")
    yield fill(f"Its status is {status}, its last record that of step {facts.last_step}.")
    if run.notes:
        yield "\n".join(fill(f"Note: {_plain(note)}.") for note in run.notes)


def _imports(facts: Facts) -> str:
    config = facts.config
    is_csv, code = config.dataset == "csv", DATASETS[config.dataset].code
    weights = INITIALIZERS[config.initializer]
    standard = {
        "csv": is_csv,
        "hashlib": True,
        "math": "math." in weights.code + weights.bias_code,
        "sys": is_csv or facts.sha256 is not None,
    }
    lines = [f"import {name}" for name, is_needed in standard.items() if is_needed]
    lines += ["", "import numpy as np", "import torch"]
    lines += ["from sklearn import datasets"] if "datasets." in code else []
    lines += ["from sklearn.model_selection import train_test_split", "from torch import nn"]
    return "\n".join([*lines, "from torch.nn import functional as F"])


def _constants(facts: Facts) -> Iterator[str]:
    """Give the choices of the experiment, a line each; user text only as Python writes it."""
    config, code = facts.config, DATASETS[facts.config.dataset].code
    yield f"SEED = {config.seed}"
    if "SAMPLES" in code:
        yield f"SAMPLES = {config.samples}"
    if "NOISE" in code:
        yield f"NOISE = {config.noise!r}  # standard deviation"
    if config.dataset == "csv":
        yield from _csv_constants(facts)
    yield f"INPUTS, OUTPUTS = {facts.inputs}, {facts.outputs}"
    yield f"DEPTH = {config.depth}  # hidden layers"
    yield f"WIDTH = {config.width}  # units of a hidden layer"
    if config.gain != 1:
        yield f"GAIN = {config.gain!r}  # of the initial weights"
    yield f"BATCH_SIZE = {config.batch_size}"
    yield f"LEARNING_RATE = {config.learning_rate!r}"
    if facts.has_weight_decay:
        yield f"WEIGHT_DECAY = {config.weight_decay!r}"
    if config.clip_norm is not None:
        yield f"CLIP_NORM = {config.clip_norm!r}"
    yield from _step_constants(facts)
    yield from _slope_constants(facts)
    if facts.sha256 is not None:
        yield "# SHA-256 of the training and test data"
        yield f'DATA_SHA256 = "{facts.sha256}"'


def _csv_constants(facts: Facts) -> Iterator[str]:
    config = facts.config
    yield f"CSV_PATH = {config.csv_path!r}"
    yield f"TARGET = {config.target!r}  # the column to predict"
    if config.features:
        yield "\n".join(["FEATURES = [", *(f"    {name!r}," for name in config.features), "]"])


def _step_constants(facts: Facts) -> Iterator[str]:
    planned = facts.config.steps
    end = f"  # of {planned}; {ENDS[facts.status]}" if facts.status in ENDS else "  # updates of the weights"
    yield f"STEPS = {facts.last_step}{end}"
    if facts.every is not None:
        yield f"RECORD_EVERY = {facts.every}{'  # and at the last step' if facts.every > 1 else ''}"
    else:
        steps = textwrap.fill(", ".join(map(str, facts.steps)), TEXT_WIDTH - 4)
        yield f"RECORDED_STEPS = {{\n{textwrap.indent(steps, '    ')}\n}}"


def _slope_constants(facts: Facts) -> Iterator[str]:
    slope_sup = ACTIVATIONS[facts.config.activation].slope_sup
    if slope_sup > 0:
        yield f"STEEPEST = {slope_sup!r}  # the largest slope that the activation has anywhere"
        yield "# Below this share of it an activation is saturated; for tanh that is |tanh z| > 0.97."
        yield "SATURATED = 1 - 0.97**2"
