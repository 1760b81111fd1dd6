"""presets: networks worth seeing, each with what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnlab.config import ExperimentConfig


@dataclass(frozen=True)
class Preset:
    """A named experiment and one sentence on what to look for."""

    name: str
    shows: str
    config: ExperimentConfig


_ENTRIES = (
    Preset(
        "Sigmoid tower",
        "Ten sigmoid layers: each passes back less than a quarter of the error signal.",
        ExperimentConfig(depth=10, activation="sigmoid"),
    ),
    Preset(
        "Healthy",
        "The same ten layers with tanh: the signal arrives, the digits are learned.",
        ExperimentConfig(depth=10, activation="tanh"),
    ),
    Preset(
        "Dying ReLU",
        "Large steps push ReLU units below zero for every input; they never come back.",
        ExperimentConfig(
            depth=10,
            activation="relu",
            initializer="kaiming_normal",
            optimizer="adam",
            # Of seeds 0 to 9 every one dies; at 0.05 a whole layer does with some, and the signal vanishes.
            learning_rate=0.04,
        ),
    ),
    Preset(
        "Exploding",
        "Starting weights 2.5 times too large: the error signal grows at every layer.",
        ExperimentConfig(
            depth=10,
            activation="relu",
            initializer="kaiming_normal",
            gain=2.5,
            optimizer="adam",
            learning_rate=0.001,
        ),
    ),
    Preset(
        "PyTorch default",
        "What nn.Linear does when nobody asks: even ten GELU layers vanish.",
        ExperimentConfig(depth=10, activation="gelu", initializer="pytorch_default"),
    ),
    Preset(
        "Saturated tanh",
        "Weights four times too large push tanh onto its flat ends.",
        ExperimentConfig(depth=10, activation="tanh", gain=4.0),
    ),
    Preset(
        "Step",
        "The oldest activation has slope 0 everywhere: no gradient at all.",
        ExperimentConfig(depth=6, activation="step"),
    ),
    Preset(
        "Deep, rescued",
        "Thirty ReLU layers that train, thanks to residual connections and batch normalization.",
        ExperimentConfig(
            depth=30,
            activation="relu",
            initializer="kaiming_normal",
            normalization="batch",
            residual=True,
            learning_rate=0.03,
        ),
    ),
)

PRESETS: dict[str, Preset] = {entry.name: entry for entry in _ENTRIES}
FIRST_PRESET = "Sigmoid tower"

# The run a visitor sees first, made by `python -m nnlab train` with the first preset's configuration;
# a test trains it anew and compares.
STORED_RUN = Path(__file__).parent / "stored" / "sigmoid_tower.jsonl"
EXAMPLE_RUN = Path(__file__).parent / "stored" / "your_model_example.jsonl"
