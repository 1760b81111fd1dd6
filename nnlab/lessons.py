"""lessons: which networks the lessons train, and those that are trained already and kept in files.

`python -m nnlab.lessons` trains the kept ones anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.datasets import GRAY_LEVELS, Data, load_dataset
from nnlab.network import Network, draw_network
from nnlab.numerals import percent
from nnlab.streams import numpy_stream
from nnlab.trajectory import Plan, Trajectory, load_trajectory, save_trajectory
from nnlab.weights import load_networks, save_networks

STORED = Path(__file__).parent / "stored"

XOR = ExperimentConfig(
    dataset="xor",
    noise=0.0,
    depth=1,
    width=8,
    activation="relu",
    optimizer="adam",
    learning_rate=0.05,
    batch_size=4,
    steps=300,
    loss="mse",
    record_every=3,
)
LINEAR_DEPTH = 1
DOTS = ExperimentConfig(
    dataset="moons",
    samples=400,
    noise=0.1,
    depth=2,
    width=6,
    activation="tanh",
    optimizer="adam",
    learning_rate=0.03,
    batch_size=32,
    steps=400,
    record_every=4,
)
SEVENS = ExperimentConfig(
    dataset="digits",
    depth=2,
    width=32,
    activation="sigmoid",
    optimizer="adam",
    learning_rate=0.005,
    batch_size=64,
    steps=400,
    record_every=50,
)
COLLAPSE_DATA = {
    "normal": "random (8 inputs)",
    "iris": "iris (4 inputs)",
    "digits": "digits (64 inputs)",
}
COLLAPSE_INPUTS, COLLAPSE_OUTPUTS, COLLAPSE_EXAMPLES = 8, 4, 500  # of the random numbers
CLEAR_GAP = 0.05  # of the test dots; of 80 dots, 4
SEEDS = 3  # as many as a band over seeds needs, and as few as a minute on a public server allows
# What the lesson on brightness compares: by key, the activation and whether there are biases.
KINDS: dict[str, tuple[str, bool]] = {
    "identity": ("identity", True),
    "identity_bare": ("identity", False),
    "sigmoid": ("sigmoid", True),
    "tanh": ("tanh", True),
    "relu": ("relu", True),
    "relu_bare": ("relu", False),
}
KIND_WORDS = {
    "identity": "no activation",
    "identity_bare": "no activation or bias",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "ReLU",
    "relu_bare": "ReLU without bias",
}


def collapse_problem(
    data: str, widths: tuple[int, ...], activation: str, seed: int
) -> tuple[Network, np.ndarray]:
    """Draw a network of the given hidden widths for some data, and give both: x is (examples, inputs)."""
    if data == "normal":
        x = numpy_stream(seed, "collapse").standard_normal((COLLAPSE_EXAMPLES, COLLAPSE_INPUTS))
        return draw_network((COLLAPSE_INPUTS, *widths, COLLAPSE_OUTPUTS), activation, seed), x
    loaded = load_dataset(ExperimentConfig(dataset=data))
    return draw_network((loaded.n_features, *widths, loaded.n_outputs), activation, seed), loaded.x_train


def xor_plans(config: ExperimentConfig, linear_depth: int, data: Data) -> tuple[Plan, Plan]:
    """Plan a linear network of some depth and the given one, on the four corners."""
    linear = config.replace(activation="identity", depth=linear_depth)
    return Plan(linear, data), Plan(config, data)


def dots_plans(config: ExperimentConfig, data: Data | None = None) -> tuple[Plan, Plan]:
    """Plan the same network with its activation and without any."""
    return Plan(config, data), Plan(config.replace(activation="identity"), data)


def all_points(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Give the points of both splits (points, 2) with their class numbers."""
    return np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])


def score_at(trajectory: Trajectory, step: int) -> float:
    """Give the test accuracy at the probe record nearest to a step."""
    steps, scores = trajectory.run.series("test_accuracy")
    return float(scores[np.abs(steps - step).argmin()])


def dots_words(pair: Sequence[Trajectory], step: int) -> str:
    """Say what the network with an activation and the same one without make of dots they never saw."""
    bent, linear = (score_at(trajectory, step) for trajectory in pair)
    gap = bent - linear
    config = pair[0].run.config
    label = ACTIVATIONS[config.activation].label if config is not None else "its activation"
    scores = (
        f"At step {step}, the network with {label} has **{percent(bent)}** of the test dots right, the same "
        f"network without any activation **{percent(linear)}**"
    )
    if not math.isfinite(gap):
        return f"{scores}: where a network's answers are not numbers, there is nothing to compare."
    if gap >= CLEAR_GAP:
        return f"{scores}: these dots need a boundary that bends, and without activation there is none."
    if gap <= -CLEAR_GAP:
        return f"{scores}: here the activation is in the way, or needs more steps."
    return f"{scores}: hardly a difference. A straight line does for these dots, or neither has found more."


def sevens_plans(config: ExperimentConfig, data: Data, seeds: int = SEEDS) -> tuple[Plan, ...]:
    """Plan the networks of every kind, `seeds` of each."""
    return tuple(
        Plan(config.replace(activation=activation, seed=config.seed + number), data, bias)
        for activation, bias in KINDS.values()
        for number in range(seeds)
    )


def by_kind(networks: Sequence[Network]) -> dict[str, tuple[Network, ...]]:
    """Sort the networks of `sevens_plans`, in its order, by kind."""
    seeds = len(networks) // len(KINDS)
    return {kind: tuple(networks[number * seeds : (number + 1) * seeds]) for number, kind in enumerate(KINDS)}


def stored_pair(name: str) -> tuple[Trajectory, Trajectory]:
    """Read the kept pair of a lesson, "xor" (linear first) or "dots" (linear last)."""
    return load_trajectory(STORED / f"{name}_0"), load_trajectory(STORED / f"{name}_1")


def stored_sevens() -> dict[str, tuple[Network, ...]]:
    """Read the kept digit classifiers by kind."""
    networks = load_networks(STORED / "sevens.safetensors")
    return by_kind(list(networks.values()))


@dataclass(frozen=True)
class Images:
    """The digits that no network learned from: x (images, 64) gray values from 0 to 1, y class numbers."""

    x: np.ndarray
    y: np.ndarray


def stored_images() -> Images:
    """Read the test split of `load_pixels`, kept so that a page need not load scikit-learn."""
    tensors = load_file(STORED / "digits_test.safetensors")
    return Images((tensors["pixels"] / GRAY_LEVELS).astype(np.float32), tensors["labels"].astype(np.int64))


def _store_pair(name: str, plans: Sequence[Plan]) -> None:
    from nnlab.trainer import train_together

    for number, trajectory in enumerate(train_together(plans)):
        save_trajectory(_without_histograms(trajectory), STORED / f"{name}_{number}")


def _without_histograms(trajectory: Trajectory) -> Trajectory:
    """Drop what a lesson does not draw: it would be nine tenths of the file."""
    records = tuple(replace(record, histograms={}) for record in trajectory.run.records)
    return replace(trajectory, run=replace(trajectory.run, records=records))


def store() -> None:
    """Train the kept networks anew and write their files."""
    from nnlab.datasets import load_pixels
    from nnlab.trainer import train_together
    from nnlab.xor import corner_data

    _store_pair("xor", xor_plans(XOR, LINEAR_DEPTH, corner_data()))
    _store_pair("dots", dots_plans(DOTS))
    pixels = load_pixels()
    kept = {
        "pixels": (pixels.x_test * GRAY_LEVELS).astype(np.uint8),
        "labels": pixels.y_test.astype(np.uint8),
    }
    save_file(kept, STORED / "digits_test.safetensors")
    sevens = train_together(sevens_plans(SEVENS, pixels))
    networks: Mapping[str, Network] = {f"{i:03d}": trajectory.last for i, trajectory in enumerate(sevens)}
    save_networks(networks, STORED / "sevens.safetensors")


if __name__ == "__main__":
    store()
