"""The datasets: one registry entry makes one more choice everywhere. Real ones come with scikit-learn.

Inputs are standardised by the training split; the split is 80/20, stratified and the same for every
seed. Generated data are drawn from the experiment's seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from nnlab.shipped import Table, load_shipped
from nnlab.split import TEST_SHARE, at_random, stratified
from nnlab.streams import numpy_stream, stream_seed

if TYPE_CHECKING:
    from nnlab.config import ExperimentConfig

Points = tuple[np.ndarray, np.ndarray]

GAUSSIAN_FEATURES = 64  # as many as digits has, so that both networks have the same shape
GAUSSIAN_CLASSES = 10
GRAY_LEVELS = 16  # the digits' pixels are whole numbers from 0 to 16
INNER_RADIUS = 0.5  # of the two circles; the labels change at 3/4
SPIRAL_TURNS = 1.75  # as TensorFlow Playground draws it
# What happened to the data on the way, in the words of a run's notes.
AT_RANDOM = "too few examples of a class to split by class: split at random"
CONSTANT = "inputs are constant and carry no information"
TARGET_SCALED = "the target is standardized: a loss of 1 is as good as always guessing its mean"
PIXELS = "the inputs are gray values from 0 to 1, not standardised"


@dataclass(frozen=True)
class Data:
    """One dataset, split and standardised.

    `x_*` have shape (examples, features), float32; `y_*` shape (examples,), int64 class numbers, or
    float32 values, standardized too, for the task "regression". `classes` names the classes, () for
    regression. `notes` says in words what happened to the data on the way (constant features, dropped rows).
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    task: str
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def n_features(self) -> int:
        """Width of the input layer."""
        return int(self.x_train.shape[1])

    @property
    def n_outputs(self) -> int:
        """Width of the output layer: one per class, or 1 for regression."""
        return len(self.classes) or 1

    @property
    def ends(self) -> int:
        """Widths of input and output layer together."""
        return self.n_features + self.n_outputs

    @property
    def nbytes(self) -> int:
        """The memory that all numbers of the dataset take."""
        return sum(part.nbytes for part in (self.x_train, self.y_train, self.x_test, self.y_test))

    @property
    def sha256(self) -> str:
        """Fingerprint of all numbers of the dataset, for the run file."""
        digest = hashlib.sha256()
        for part in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A source of points: a `load` callable for real data, a `generate` callable for drawn data.

    `load()` gives the whole table; `generate(samples, noise, seed)` gives x (samples, features)
    and y (samples,). Both are None for `csv`, whose points come from a file. `code` makes the same x and y
    by scikit-learn's `datasets` and NumPy from SAMPLES, NOISE and `stream_seed`, for scripts that are to run
    without nnlab.
    """

    name: str
    label: str
    formula: str
    source: str
    description: str
    n_features: int | None
    n_classes: int | None
    load: Callable[[], Table] | None = None
    generate: Callable[[int, float, int], Points] | None = None
    code: str = ""

    @property
    def is_generated(self) -> bool:
        """Whether `samples` and `noise` have a say."""
        return self.generate is not None

    @property
    def needs_file(self) -> bool:
        """Whether a file must be named."""
        return self.load is None and self.generate is None


def _random_state(seed: int) -> int:
    return stream_seed(seed, "data") % 2**32


def _xor(samples: int, noise: float, seed: int) -> Points:
    generator = numpy_stream(seed, "data")
    corner = np.arange(samples) % 4
    corners = np.stack([corner // 2, corner % 2], axis=1).astype(float)
    labels = (corner // 2) ^ (corner % 2)
    return corners + noise * generator.standard_normal(corners.shape), labels


def _two_curves(curves: tuple[np.ndarray, np.ndarray], samples: int, noise: float, seed: int) -> Points:
    """Shuffle the points of two curves, (2, points) each, and add noise.

    Draw by draw what scikit-learn's make_moons and make_circles do, whose import costs 90 MB.
    """
    draws = np.random.RandomState(_random_state(seed))
    order = np.arange(samples)
    draws.shuffle(order)
    points = np.concatenate(curves, axis=1).T[order]
    labels = (order >= curves[0].shape[1]).astype(np.intp)
    return points + draws.normal(scale=noise, size=points.shape), labels


def _moons(samples: int, noise: float, seed: int) -> Points:
    upper, lower = (np.linspace(0, np.pi, count) for count in (samples // 2, samples - samples // 2))
    outer = np.stack([np.cos(upper), np.sin(upper)])
    inner = np.stack([1 - np.cos(lower), 1 - np.sin(lower) - 0.5])
    return _two_curves((outer, inner), samples, noise, seed)


def _circles(samples: int, noise: float, seed: int) -> Points:
    rings = []
    for count, radius in ((samples // 2, 1.0), (samples - samples // 2, INNER_RADIUS)):
        angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
        rings.append(radius * np.stack([np.cos(angle), np.sin(angle)]))
    return _two_curves((rings[0], rings[1]), samples, noise, seed)


def _blobs(samples: int, noise: float, seed: int) -> Points:
    generator = numpy_stream(seed, "data")
    labels = np.arange(samples) % 2
    centers = np.array([[-1.0, -1.0], [1.0, 1.0]])
    return centers[labels] + noise * generator.standard_normal((samples, 2)), labels


def _spiral(samples: int, noise: float, seed: int) -> Points:
    generator = numpy_stream(seed, "data")
    labels = np.arange(samples) % 2
    radius = (np.arange(samples) // 2 + 1) / max(1, samples // 2)
    angle = 2 * np.pi * SPIRAL_TURNS * radius + np.pi * labels
    points = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    return points + noise * generator.standard_normal(points.shape), labels


def _gaussian(samples: int, noise: float, seed: int) -> Points:
    generator = numpy_stream(seed, "data")
    points = generator.standard_normal((samples, GAUSSIAN_FEATURES))
    return points, generator.integers(0, GAUSSIAN_CLASSES, samples)


_ENTRIES = (
    Dataset(
        name="digits",
        label="Handwritten digits (8 x 8)",
        formula=r"x \in \{0..16\}^{64},\ y \in \{0..9\}",
        source="Alpaydin & Kaynak 1998, UCI; scikit-learn's load_digits",
        description="1,797 scanned digits of 8 x 8 gray pixels, 10 classes.",
        n_features=64,
        n_classes=10,
        load=partial(load_shipped, "digits"),
        code="x, y = datasets.load_digits(return_X_y=True)",
    ),
    Dataset(
        name="iris",
        label="Iris flowers",
        formula=r"x \in \mathbb{R}^{4},\ y \in \{0, 1, 2\}",
        source="Fisher 1936; scikit-learn's load_iris",
        description="150 flowers, 4 measurements, 3 species.",
        n_features=4,
        n_classes=3,
        load=partial(load_shipped, "iris"),
        code="x, y = datasets.load_iris(return_X_y=True)",
    ),
    Dataset(
        name="wine",
        label="Wine",
        formula=r"x \in \mathbb{R}^{13},\ y \in \{0, 1, 2\}",
        source="Aeberhard & Forina 1991, UCI; scikit-learn's load_wine",
        description="178 wines, 13 chemical measurements, 3 growers.",
        n_features=13,
        n_classes=3,
        load=partial(load_shipped, "wine"),
        code="x, y = datasets.load_wine(return_X_y=True)",
    ),
    Dataset(
        name="breast_cancer",
        label="Breast cancer",
        formula=r"x \in \mathbb{R}^{30},\ y \in \{0, 1\}",
        source="Street, Wolberg & Mangasarian 1993; scikit-learn's load_breast_cancer",
        description="569 tumours, 30 measurements of cell nuclei, 2 classes.",
        n_features=30,
        n_classes=2,
        load=partial(load_shipped, "breast_cancer"),
        code="x, y = datasets.load_breast_cancer(return_X_y=True)",
    ),
    Dataset(
        name="xor",
        label="XOR",
        formula=r"y = x_1 \oplus x_2",
        source="Minsky & Papert 1969",
        description="Four corners of a square, equal labels across the diagonal, with noise.",
        n_features=2,
        n_classes=2,
        generate=_xor,
        code="""
            random = np.random.default_rng(stream_seed("data"))
            corner = np.arange(SAMPLES) % 4
            corners = np.stack([corner // 2, corner % 2], axis=1).astype(float)
            x = corners + NOISE * random.standard_normal(corners.shape)
            y = (corner // 2) ^ (corner % 2)
        """,
    ),
    Dataset(
        name="moons",
        label="Two moons",
        formula=r"x \in \mathbb{R}^{2},\ y \in \{0, 1\}",
        source="scikit-learn's make_moons",
        description="Two half circles that reach into each other.",
        n_features=2,
        n_classes=2,
        generate=_moons,
        code="""
            state = stream_seed("data") % 2**32
            x, y = datasets.make_moons(SAMPLES, noise=NOISE, random_state=state)
        """,
    ),
    Dataset(
        name="circles",
        label="Two circles",
        formula=r"y = [\,|x| < 3/4\,]",
        source="scikit-learn's make_circles, factor 0.5",
        description="A ring around a ring.",
        n_features=2,
        n_classes=2,
        generate=_circles,
        code="""
            state = stream_seed("data") % 2**32
            x, y = datasets.make_circles(SAMPLES, noise=NOISE, random_state=state, factor=0.5)
        """,
    ),
    Dataset(
        name="spiral",
        label="Spiral",
        formula=r"x = r\,(\sin(3.5\pi r + \pi y), \cos(3.5\pi r + \pi y))",
        source="Lang & Witbrock 1988; the turns of TensorFlow Playground",
        description="Two arms of a spiral, the hardest of the flat ones.",
        n_features=2,
        n_classes=2,
        generate=_spiral,
        code="""
            random = np.random.default_rng(stream_seed("data"))
            y = np.arange(SAMPLES) % 2
            radius = (np.arange(SAMPLES) // 2 + 1) / (SAMPLES // 2)
            angle = 2 * np.pi * 1.75 * radius + np.pi * y
            points = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
            x = points + NOISE * random.standard_normal(points.shape)
        """,
    ),
    Dataset(
        name="blobs",
        label="Two blobs",
        formula=r"x \sim N(\pm(1, 1), \mathrm{noise}^2)",
        source="Two Gaussians; the linear one",
        description="Two round clouds that a straight line separates.",
        n_features=2,
        n_classes=2,
        generate=_blobs,
        code="""
            random = np.random.default_rng(stream_seed("data"))
            y = np.arange(SAMPLES) % 2
            centers = np.array([[-1.0, -1.0], [1.0, 1.0]])
            x = centers[y] + NOISE * random.standard_normal((SAMPLES, 2))
        """,
    ),
    Dataset(
        name="gaussian",
        label="Gaussian noise (theory's input)",
        formula=r"x \sim N(0, I_{64}),\ y \sim U\{0..9\}",
        source="The input that mean-field theory assumes; Schoenholz et al. 2017",
        description="64 standard normal inputs with random labels: nothing to learn, only signals.",
        n_features=GAUSSIAN_FEATURES,
        n_classes=GAUSSIAN_CLASSES,
        generate=_gaussian,
        code="""
            random = np.random.default_rng(stream_seed("data"))
            x = random.standard_normal((SAMPLES, INPUTS))
            y = random.integers(0, OUTPUTS, SAMPLES)
        """,
    ),
    Dataset(
        name="csv",
        label="A CSV file",
        formula=r"(x, y) \in \text{file}",
        source="Your own file",
        description="A table with a header line, one row per example.",
        n_features=None,
        n_classes=None,
    ),
)

DATASETS: dict[str, Dataset] = {entry.name: entry for entry in _ENTRIES}


def _split(y: np.ndarray, task: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Give the training rows, the test rows, and a note where stratifying was impossible."""
    counts = np.unique(y, return_counts=True)[1]
    n_test = int(np.ceil(len(y) * TEST_SHARE))
    if task == "classification" and counts.min() >= 2 and n_test >= len(counts):
        return *stratified(y), ()
    if task == "regression":
        return *at_random(len(y)), ()
    return *at_random(len(y)), (AT_RANDOM,)


def _standardize(x: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    mean, std = x[train].mean(axis=0), x[train].std(axis=0)
    # By the values, not by std == 0: rounding gives a column of 0.1 a std of 1e-17.
    is_constant = x[train].min(axis=0) == x[train].max(axis=0)
    mean, std = np.where(is_constant, x[train[0]], mean), np.where(is_constant, 1.0, std)
    scaled = ((x - mean) / std).astype(np.float32)
    constant = int(is_constant.sum())
    if not constant:
        return scaled, ()
    return scaled, (f"{constant} of {x.shape[1]} {CONSTANT}",)


def _standardize_target(y: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Scale numbers to predict: of prices in the thousands even a small step would overshoot."""
    mean, std = y[train].mean(), y[train].std()
    if y[train].min() == y[train].max():
        raise ValueError("target: the same in all training rows; choose a column that changes")
    return (y - mean) / std, (f"{TARGET_SCALED} ({mean:.3g}, standard deviation {std:.3g})",)


def prepare(
    x: np.ndarray,
    y: np.ndarray,
    task: str,
    classes: tuple[str, ...],
    feature_names: tuple[str, ...],
    notes: tuple[str, ...] = (),
) -> Data:
    """Split and standardise x of shape (examples, features) and y of shape (examples,)."""
    train, test, split_notes = _split(y, task)
    scaled, scale_notes = _standardize(np.asarray(x, dtype=np.float64), train)
    if task == "regression":
        y, target_notes = _standardize_target(np.asarray(y, dtype=np.float64), train)
        scale_notes += target_notes
    labels = y.astype(np.int64 if task == "classification" else np.float32)
    return Data(
        x_train=scaled[train],
        y_train=labels[train],
        x_test=scaled[test],
        y_test=labels[test],
        task=task,
        classes=classes,
        feature_names=feature_names,
        notes=notes + split_notes + scale_notes,
    )


def _load_real(entry: Dataset) -> Data:
    assert entry.load is not None
    table = entry.load()
    return prepare(table.x, table.y, "classification", table.classes, table.feature_names)


def load_pixels() -> Data:
    """Load the digits as gray values from 0 to 1, not standardised, with the usual split.

    Standardising subtracts the training split's mean, and a lighter image would no longer be a multiple
    of the image: the lesson on brightness needs x, and a x, as they are.
    """
    data = _load_real(DATASETS["digits"])
    table = load_shipped("digits")
    pixels = (table.x / GRAY_LEVELS).astype(np.float32)
    train, test, _ = _split(table.y, "classification")
    return replace(data, x_train=pixels[train], x_test=pixels[test], notes=(PIXELS,))


def _generate(entry: Dataset, config: ExperimentConfig) -> Data:
    assert entry.generate is not None
    assert entry.n_classes is not None
    x, y = entry.generate(config.samples, config.noise, config.seed)
    classes = tuple(str(number) for number in range(entry.n_classes))
    names = tuple(f"x{number + 1}" for number in range(x.shape[1]))
    return prepare(x, y, "classification", classes, names)


def load_dataset(config: ExperimentConfig) -> Data:
    """Load, split and standardise the dataset of an experiment.

    Raises:
        ValueError: a CSV file is missing, unreadable or unusable; the message names the field.
    """
    entry = DATASETS[config.dataset]
    if entry.needs_file:
        from nnlab.csvdata import load_csv

        return load_csv(config)
    if entry.is_generated:
        return _generate(entry, config)
    return _load_real(entry)
