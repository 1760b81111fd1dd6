"""ExperimentConfig: every choice of an experiment, validated once for Python, flags, links and pages."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnlab.activations import ACTIVATIONS
from nnlab.datasets import DATASETS
from nnlab.field import Field
from nnlab.initializers import INITIALIZERS

LINK_VERSION = "1"
# Names in a link that are not fields: the version, the run, what computed it and on what file, what it was
# healed from, what is looked at, what is kept for comparison, Streamlit's.
RESERVED_NAMES = frozenset(
    {"v", "run", "made", "data", "healed", "step", "tab", "pinned", "embed", "embed_options"}
)

SINGLE_NAMES = ("run", "made", "data", "pinned")  # others' readers say it themselves

MAX_RECORDS = 300  # more points than this cannot be told apart on a screen
# One step must leave Stop its half second even on a slow core (design.md, section 6).
MAX_STEP_FLOP = 20e9
FLOP_PER_WEIGHT_AND_EXAMPLE = 6  # forward 2, backward 4 (one multiply and one add each)

_FIELDS = (
    Field("dataset", "choice", "Data", "What the network learns.", tuple(DATASETS)),
    Field("samples", "integer", "Samples", "Generated data only.", low=10, high=100_000),
    Field("noise", "number", "Noise", "Standard deviation; generated data only.", low=0, high=10),
    Field("depth", "integer", "Depth", "Number of hidden layers.", low=1, high=100),
    Field("width", "integer", "Width", "Units in every hidden layer.", low=1, high=1024),
    Field("activation", "choice", "Activation", "Applied by every unit.", tuple(ACTIVATIONS)),
    Field(
        "initializer", "choice", "Initializer", "How the weights start.", tuple(INITIALIZERS)
    ),
    Field("gain", "number", "Gain", "Multiplies the starting weights.", above=0),
    Field(
        "normalization",
        "choice",
        "Normalization",
        "Rescales z before the activation.",
        ("none", "batch", "layer"),
    ),
    Field("residual", "switch", "Residual", "Adds each block's input to its output."),
    Field(
        "optimizer",
        "choice",
        "Optimizer",
        "How gradients become steps.",
        ("sgd", "momentum", "adam", "adamw", "rmsprop"),
    ),
    Field("learning_rate", "number", "Learning rate", "Size of a step.", above=0),
    Field("weight_decay", "number", "Weight decay", "Pulls the weights toward 0.", low=0),
    Field("batch_size", "integer", "Batch size", "Examples a step.", low=1, high=4096),
    Field("steps", "integer", "Steps", "Updates of the weights.", low=1, high=20_000),
    Field(
        "clip_norm", "number", "Clip norm", "Largest gradient norm let through.",
        above=0, nothing="none",
    ),
    Field("loss", "choice", "Loss", "What is made small.", ("cross_entropy", "mse")),
    Field("seed", "integer", "Seed", "Number that fixes all randomness.", low=0, high=2**32 - 1),
    Field(
        "record_every",
        "integer",
        "Record every",
        f"Steps between records; auto keeps at most {MAX_RECORDS}.",
        low=1,
        high=20_000,
        nothing="auto",
    ),
    Field("csv_path", "text", "CSV file", "Path of the file, for the dataset csv."),
    Field("target", "text", "Target", "Column to predict, for the dataset csv."),
    Field("features", "names", "Features", "Columns to use, for the dataset csv; empty: all."),
)  # fmt: skip

FIELDS: dict[str, Field] = {field.name: field for field in _FIELDS}
CSV_FIELDS = ("csv_path", "target", "features")

OPTIMIZER_WORDS = {
    "sgd": "SGD",
    "momentum": "momentum",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
}


@dataclass(frozen=True)
class ExperimentConfig:
    """Every choice of one experiment; equal configurations give equal runs.

    Raises:
        ValueError: a value is not allowed; the message names field, value and what is allowed.
    """

    dataset: str = "digits"
    samples: int = 1000
    noise: float = 0.1
    depth: int = 6
    width: int = 64
    activation: str = "tanh"
    initializer: str = "xavier_uniform"
    gain: float = 1.0
    normalization: str = "none"
    residual: bool = False
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    weight_decay: float = 0.0
    batch_size: int = 128
    steps: int = 300
    clip_norm: float | None = None
    loss: str = "cross_entropy"
    seed: int = 0
    record_every: int | None = None
    csv_path: str = ""
    target: str = ""
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, field in FIELDS.items():
            object.__setattr__(self, name, field.check(getattr(self, name)))
        if self.normalization == "batch" and self.batch_size == 1:
            raise ValueError(
                "batch_size: 1 is not allowed with normalization batch, which compares examples; "
                "allowed: 2 to 4,096"
            )
        self.check_work()

    @property
    def weight_count(self) -> int:
        """Weights of all layers; a CSV file's columns are not counted before it is read."""
        return self.count_weights()

    def count_weights(self, file_ends: int = 0) -> int:
        """Count the weights of all layers, for a CSV file with so many inputs and outputs together."""
        entry = DATASETS[self.dataset]
        ends = (entry.n_features or 0) + (entry.n_classes or 0) + (file_ends if entry.needs_file else 0)
        return self.width * ends + (self.depth - 1) * self.width**2

    @property
    def step_flop(self) -> float:
        """Estimated floating point operations of one step."""
        return float(FLOP_PER_WEIGHT_AND_EXAMPLE * self.weight_count * self.batch_size)

    def check_work(self, file_ends: int = 0) -> None:
        """Raise ValueError where a step takes too long, for a CSV file with so many inputs and outputs."""
        flop = FLOP_PER_WEIGHT_AND_EXAMPLE * self.count_weights(file_ends) * self.batch_size
        if flop > MAX_STEP_FLOP:
            raise ValueError(
                f"width: {self.width} with depth {self.depth} and batch_size {self.batch_size} "
                f"needs {flop / 1e9:.0f} GFLOP a step; allowed: at most "
                f"{MAX_STEP_FLOP / 1e9:.0f} (make one of the three smaller)"
            )

    @property
    def recorded_steps(self) -> tuple[int, ...]:
        """The steps at which a record is taken: every k-th, and the last."""
        every = self.record_every or self._automatic_interval()
        steps = list(range(0, self.steps + 1, every))
        return tuple(steps if steps[-1] == self.steps else [*steps, self.steps])

    def _automatic_interval(self) -> int:
        def count(every: int) -> int:
            return self.steps // every + 1 + bool(self.steps % every)

        every = 1
        while count(every) > MAX_RECORDS:
            every += 1
        return every

    @property
    def words(self) -> str:
        """The experiment in one line, for titles and captions."""
        extras = [
            f"gain {self.gain:g}" if self.gain != 1 else "",
            f"{self.normalization} norm" if self.normalization != "none" else "",
            "residual" if self.residual else "",
            f"clip {self.clip_norm:g}" if self.clip_norm else "",
            "mse" if self.loss == "mse" else "",
        ]
        parts = [
            self.dataset,
            f"{self.depth} x {self.width} {self.activation}",
            self.initializer,
            *[extra for extra in extras if extra],
            f"{OPTIMIZER_WORDS[self.optimizer]} {self.learning_rate:g}",
            f"seed {self.seed}",
        ]
        return " · ".join(parts)

    def differences(self, other: ExperimentConfig) -> dict[str, str]:
        """Give the fields that differ from another experiment, with this one's values as text."""
        return {
            name: field.format(getattr(self, name))
            for name, field in FIELDS.items()
            if getattr(self, name) != getattr(other, name)
        }

    def replace(self, **changes: Any) -> ExperimentConfig:
        """Give a copy with some fields changed; raises ValueError as the constructor does."""
        unknown = sorted(set(changes) - set(FIELDS))
        if unknown:
            raise _unknown_field(unknown[0])
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Give all fields as plain JSON values."""
        values = dataclasses.asdict(self)
        values["features"] = list(self.features)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExperimentConfig:
        """Read back what `to_dict` gives; an unknown name raises ValueError."""
        unknown = sorted(set(values) - set(FIELDS))
        if unknown:
            raise _unknown_field(unknown[0])
        return cls(**values)

    def to_query(self) -> dict[str, str]:
        """Give the link parameters: every field, defaults included, and the link version."""
        hidden = {"csv_path"} if self.dataset == "csv" else set(CSV_FIELDS)
        shown = {
            name: field.format(getattr(self, name)) for name, field in FIELDS.items() if name not in hidden
        }
        return {"v": LINK_VERSION, **shown}

    @classmethod
    def from_query(
        cls, query: Mapping[str, str | list[str]], default: ExperimentConfig | None = None
    ) -> tuple[ExperimentConfig, tuple[str, ...]]:
        """Read a link: what cannot be used is left at the default and named in a note."""
        default = default or cls()
        values, notes = _read_query(query)
        if values.get("dataset", default.dataset) != "csv":
            for name in CSV_FIELDS:
                if name in values:
                    del values[name]
                    notes.append(f"Ignored {name}: it belongs to the dataset csv.")
        try:
            return default.replace(**values), tuple(notes)
        except ValueError as error:
            return default, (*notes, f"Ignored the link's settings: {error}")


def _unknown_field(name: str) -> ValueError:
    shown = name if name.isprintable() and len(name) <= 60 else repr(name[:60])
    return ValueError(f"{shown}: no such field; allowed: {', '.join(FIELDS)}")


def _read_query(query: Mapping[str, str | list[str]]) -> tuple[dict[str, Any], list[str]]:
    """Give the usable values of a link, and a note for every one that is not."""
    values: dict[str, Any] = {}
    notes: list[str] = []
    for name, given in query.items():
        texts = [given] if isinstance(given, str) else list(given)
        if name == "v" and texts != [LINK_VERSION]:
            version = ", ".join(text[:20] if text.isprintable() else repr(text[:20]) for text in texts[:3])
            notes.append(f"The link is of version v={version}; this nnlab reads {LINK_VERSION}.")
        if name in SINGLE_NAMES and len(texts) != 1:
            notes.append(f"Of {name}, which the link says {len(texts)} times, the last counts.")
        if name in RESERVED_NAMES:
            continue
        if name not in FIELDS or name == "csv_path":
            notes.append(f"Ignored {name[:40]!r}: the link names no such field.")
        elif len(texts) != 1:
            notes.append(f"Ignored {name}: the link says it {len(texts)} times.")
        else:
            try:
                values[name] = FIELDS[name].parse(texts[0])
            except ValueError as error:
                notes.append(f"Ignored {error}.")
    return values, notes
