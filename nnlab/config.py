"""ExperimentConfig: every choice of an experiment, validated once for Python, flags, links and pages."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.datasets import DATASETS
from nnlab.initializers import INITIALIZERS

LINK_VERSION = "1"
# Names in a link that are not fields: the version, the run to show, and Streamlit's own.
RESERVED_NAMES = frozenset({"v", "run", "embed", "embed_options"})

MAX_RECORDS = 300  # more points than this cannot be told apart on a screen
# One step must leave Stop its half second even on a slow core (design.md, section 6).
MAX_STEP_FLOP = 20e9
FLOP_PER_WEIGHT_AND_EXAMPLE = 6  # forward 2, backward 4 (one multiply and one add each)

# ASCII only: Python's int() and float() also take other scripts' digits, 1_000 and blanks.
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


@dataclass(frozen=True)
class Field:
    """What one field of an experiment may hold, and what it is called.

    `kind` is choice, integer, number, switch, text or names. `nothing` is the word for None
    ("none", "auto") where None is allowed. `above` is an open lower end.
    """

    name: str
    kind: str
    label: str
    help: str
    options: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    above: float | None = None
    nothing: str | None = None

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.kind == "choice":
            return ", ".join(self.options)
        if self.kind == "switch":
            return "true, false"
        if self.kind in ("text", "names"):
            return "text"
        noun = "a whole number" if self.kind == "integer" else "a finite number"
        if self.above is not None:
            span = f"{noun} > {self.above:g}"
        elif self.high is not None:
            span = f"{noun} from {self.low:,g} to {self.high:,.0f}"
        else:
            span = f"{noun} >= {self.low:g}"
        return f"{span}, or {self.nothing}" if self.nothing else span

    def refuse(self, value: object) -> ValueError:
        """Give the error that names field, value and what is allowed."""
        try:
            text = repr(value)
        except ValueError:  # Python does not print integers of more than 4,300 digits
            text = "a number of thousands of digits"
        shown = text if len(text) <= 80 else text[:77] + "..."
        return ValueError(f"{self.name}: {shown} is not allowed; allowed: {self.allowed}")

    def check(self, value: object) -> Any:
        """Give the value in the field's own type.

        Raises:
            ValueError: the value is of another type, not finite, or outside the range.
        """
        if self.nothing is not None and (value is None or (isinstance(value, str) and value == self.nothing)):
            return None
        if self.kind == "choice":
            return self._check_choice(value)
        if self.kind in ("integer", "number"):
            return self._check_number(value)
        if self.kind == "switch":
            if not isinstance(value, bool):
                raise self.refuse(value)
            return value
        if self.kind == "names":
            return self._check_names(value)
        if not isinstance(value, str):
            raise self.refuse(value)
        return value

    def _check_choice(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.options:
            raise self.refuse(value)
        return value

    def _check_names(self, value: object) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, (tuple, list)):
            raise self.refuse(value)
        if not all(isinstance(name, str) for name in value):
            raise self.refuse(value)
        return tuple(value)

    def _check_number(self, value: object) -> int | float:
        if isinstance(value, (bool, np.bool_, str)) or not hasattr(value, "__float__"):
            raise self.refuse(value)
        try:
            number = float(value)
        except (OverflowError, TypeError, ValueError):
            raise self.refuse(value) from None
        if not math.isfinite(number) or (self.kind == "integer" and number != int(number)):
            raise self.refuse(value)
        too_low = self.low is not None and number < self.low
        too_high = self.high is not None and number > self.high
        if too_low or too_high or (self.above is not None and number <= self.above):
            raise self.refuse(value)
        return int(value) if self.kind == "integer" else number  # type: ignore[call-overload]

    def parse(self, text: str) -> Any:
        """Read a value from a flag or a link.

        Raises:
            ValueError: the text is no value of this field.
        """
        if self.nothing is not None and text == self.nothing:
            return None
        if self.kind in ("integer", "number"):
            return self._parse_number(text)
        if self.kind == "switch" and text.lower() in _TRUE + _FALSE:
            return text.lower() in _TRUE
        if self.kind == "names":
            return self._parse_names(text)
        if self.kind in ("choice", "text"):
            return self.check(text)
        raise self.refuse(text)

    def _parse_names(self, text: str) -> tuple[str, ...]:
        try:
            lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except csv.Error:
            raise self.refuse(text) from None
        if len(lines) > 1 or (text and not any(lines)):
            raise self.refuse(text)
        return tuple(lines[0]) if lines else ()

    def _parse_number(self, text: str) -> int | float:
        pattern, read = (_INTEGER, int) if self.kind == "integer" else (_DECIMAL, float)
        if not pattern.fullmatch(text):
            raise self.refuse(text)
        try:
            return self._check_number(read(text))
        except ValueError:
            raise self.refuse(text) from None  # as it was written: -1e5, not -100000.0

    def format(self, value: Any) -> str:
        """Write a value so that `parse` reads it back."""
        if value is None:
            return str(self.nothing)
        if self.kind == "switch":
            return "true" if value else "false"
        if self.kind == "names":
            return _join_names(value)
        return repr(value) if self.kind == "number" else str(value)


def _join_names(names: tuple[str, ...]) -> str:
    """Write names separated by commas, quoted where a name holds one."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(names)  # quotes names that hold a line end
    return line.getvalue().removesuffix("\r\n")


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

_OPTIMIZER_WORDS = {
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
        if self.step_flop > MAX_STEP_FLOP:
            raise ValueError(
                f"width: {self.width} with depth {self.depth} and batch_size {self.batch_size} "
                f"needs {self.step_flop / 1e9:.0f} GFLOP a step; allowed: at most "
                f"{MAX_STEP_FLOP / 1e9:.0f} (make one of the three smaller)"
            )

    @property
    def weight_count(self) -> int:
        """Weights of all layers; a CSV file's columns are not counted before it is read."""
        entry = DATASETS[self.dataset]
        ends = (entry.n_features or 0) + (entry.n_classes or 0)
        return self.width * ends + (self.depth - 1) * self.width**2

    @property
    def step_flop(self) -> float:
        """Estimated floating point operations of one step."""
        return float(FLOP_PER_WEIGHT_AND_EXAMPLE * self.weight_count * self.batch_size)

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
            f"{_OPTIMIZER_WORDS[self.optimizer]} {self.learning_rate:g}",
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
    return ValueError(f"{name}: no such field; allowed: {', '.join(FIELDS)}")


def _read_query(query: Mapping[str, str | list[str]]) -> tuple[dict[str, Any], list[str]]:
    """Give the usable values of a link, and a note for every one that is not."""
    values: dict[str, Any] = {}
    notes: list[str] = []
    for name, given in query.items():
        texts = [given] if isinstance(given, str) else list(given)
        if name == "v" and texts != [LINK_VERSION]:
            version = ", ".join(text[:20] for text in texts)
            notes.append(f"The link is of version v={version}; this nnlab reads {LINK_VERSION}.")
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
