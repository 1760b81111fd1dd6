"""sweep_presets: questions that a sweep answers, each with its answer kept in a file.

`python -m nnlab.sweep_presets` trains all of them anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.grid import Grid, make_grid, parse_axis
from nnlab.sweep_row import RESULT_COLUMNS, Row
from nnlab.sweep_summary import SweptRuns, swept_runs

STORED = Path(__file__).parent / "stored"


@dataclass(frozen=True)
class SweepPreset:
    """A question, the experiment it is about, and what is varied: fields with their values as text.

    `metric` is what to look at first. `name` is in the name of the file of its answer.
    """

    name: str
    question: str
    why: str
    base: ExperimentConfig
    values: Mapping[str, str]
    seeds: int
    metric: str

    @cached_property
    def grid(self) -> Grid:
        """The cells."""
        axes = dict(parse_axis(f"{name}={text}") for name, text in self.values.items())
        return make_grid(self.base, axes, self.seeds)


_ENTRIES = (
    SweepPreset(
        "depth",
        "Which depth still trains?",
        "Five activations, each with two to forty hidden layers, on scanned digits.",
        ExperimentConfig(width=32, steps=200),
        {"activation": "sigmoid,tanh,relu,gelu,silu", "depth": "2,5,10,20,40"},
        3,
        "test_accuracy",
    ),
    SweepPreset(
        "gelu",
        "Which initializer for GELU at depth 50?",
        "Fifty GELU layers with seven starts, each without and with skip connections.",
        ExperimentConfig(
            depth=50,
            width=32,
            activation="gelu",
            optimizer="adam",
            learning_rate=0.001,
            batch_size=64,
            steps=200,
        ),
        {
            "initializer": "pytorch_default,xavier_uniform,kaiming_uniform,kaiming_normal,lecun_normal,"
            "orthogonal,lsuv",
            "residual": "false,true",
        },
        3,
        "test_accuracy",
    ),
    SweepPreset(
        "learning_rate",
        "Which learning rate?",
        "The same network with three optimizers at eight learning rates.",
        ExperimentConfig(width=32, steps=200),
        {"optimizer": "sgd,momentum,adam", "learning_rate": "0.001,0.003,0.01,0.03,0.1,0.3,1,3"},
        3,
        "test_accuracy",
    ),
    SweepPreset(
        "gain",
        "Which gain keeps the signal alive?",
        "Ten layers of four activations, the starting weights made smaller and larger.",
        ExperimentConfig(depth=10, width=32, optimizer="adam", learning_rate=0.003, steps=200),
        {"activation": "sigmoid,tanh,relu,gelu", "gain": "0.5,0.7,1,1.4,2,2.8,4"},
        3,
        "gradient_ratio",
    ),
    SweepPreset(
        "rescue",
        "What rescues twenty sigmoid layers?",
        "Normalization and skip connections, each alone and together, where the signal vanishes.",
        ExperimentConfig(depth=20, width=32, activation="sigmoid", batch_size=64, steps=200),
        {"normalization": "none,batch,layer", "residual": "false,true"},
        3,
        "test_accuracy",
    ),
    SweepPreset(
        "width",
        "Does more width help a deep network?",
        "ReLU with He's start, from four to sixty-four units a layer and from two to forty layers.",
        ExperimentConfig(
            activation="relu",
            initializer="kaiming_normal",
            optimizer="adam",
            learning_rate=0.003,
            batch_size=64,
            steps=200,
        ),
        {"width": "4,8,16,32,64", "depth": "2,5,10,20,40"},
        3,
        "test_accuracy",
    ),
)
SWEEP_PRESETS: dict[str, SweepPreset] = {entry.question: entry for entry in _ENTRIES}
FIRST_SWEEP = _ENTRIES[0]

# Values worth a first look, by field.
SUGGESTED_VALUES: dict[str, str] = {
    "dataset": "digits,wine",
    "samples": "100,300,1000",
    "noise": "0.0,0.1,0.3",
    "depth": "2,5,10,20",
    "width": "8,16,32,64",
    "activation": "sigmoid,tanh,relu,gelu",
    "initializer": "pytorch_default,xavier_uniform,kaiming_normal,orthogonal",
    "gain": "0.5,1,1.5,2",
    "normalization": "none,batch,layer",
    "residual": "false,true",
    "optimizer": "sgd,momentum,adam",
    "learning_rate": "0.001,0.01,0.1,1",
    "weight_decay": "0,0.0001,0.01",
    "batch_size": "16,64,256",
    "steps": "50,100,200",
    "clip_norm": "none,1,0.1",
    "loss": "cross_entropy,mse",
}


def stored_path(preset: SweepPreset) -> Path:
    """Give where the answer to a question is kept."""
    return STORED / f"sweep_{preset.name}.parquet"


def load_sweep(preset: SweepPreset = FIRST_SWEEP) -> SweptRuns:
    """Read the kept answer to a question; raises OSError where the file is not there."""
    from pyarrow import parquet

    rows = parquet.read_table(stored_path(preset)).to_pylist()
    return swept_runs(preset.grid, list(map(_row, rows)))


def _row(said: Mapping[str, object]) -> Row:
    """Give a table's row in the fields' own types: the table says None of a number as NaN."""
    row = dict(said)
    row["features"] = FIELDS["features"].parse(str(row["features"]))
    if row["clip_norm"] != row["clip_norm"]:
        row["clip_norm"] = None
    return row | {name: float(str(row[name])) for name in RESULT_COLUMNS}


def store() -> None:
    """Train all questions anew and write their files."""
    from nnlab.sweep import run_sweep
    from nnlab.sweep_row import MEANINGS
    from nnlab.tables import to_parquet

    for preset in SWEEP_PRESETS.values():
        sweep = run_sweep(preset.grid)
        stored_path(preset).write_bytes(to_parquet(sweep.frame, preset.question, MEANINGS))


if __name__ == "__main__":
    store()
