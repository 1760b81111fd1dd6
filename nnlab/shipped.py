"""The real datasets, read from the files that scikit-learn ships, without loading scikit-learn.

Importing scikit-learn brings all of SciPy's statistics along: 90 to 150 MB and a second, for a table of
300 kB. A public server has 690 MB for all its visitors.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

WINE = (
    "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
    "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines",
    "proline",
)  # fmt: skip
CELL_NUCLEUS = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points",
    "symmetry", "fractal dimension",
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """x (examples, features) float64, y (examples,) class numbers, and what both are called."""

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]
    feature_names: tuple[str, ...]


def _file(name: str) -> Path:
    # Finding a package does not import it.
    found = find_spec("sklearn")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    return Path(found.origin).parent / "datasets" / "data" / name


def _read_digits() -> Table:
    with gzip.open(_file("digits.csv.gz"), "rt", encoding="utf-8") as lines:
        cells = np.loadtxt(lines, delimiter=",")
    pixels = tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8))
    return Table(cells[:, :-1], cells[:, -1].astype(int), tuple("0123456789"), pixels)


def _read_csv(name: str, feature_names: tuple[str, ...]) -> Table:
    """Read a table whose first line holds the numbers of rows and columns, then the classes' names."""
    with _file(name).open(encoding="utf-8", newline="") as lines:
        _, _, *classes = next(csv.reader(lines))
        cells = np.loadtxt(lines, delimiter=",")
    return Table(cells[:, :-1], cells[:, -1].astype(int), tuple(classes), feature_names)


def _iris_names() -> tuple[str, ...]:
    return tuple(f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width"))


def _cell_names() -> tuple[str, ...]:
    means = tuple(f"mean {name}" for name in CELL_NUCLEUS)
    errors = tuple(f"{name} error" for name in CELL_NUCLEUS)
    return means + errors + tuple(f"worst {name}" for name in CELL_NUCLEUS)


_READERS: dict[str, Callable[[], Table]] = {
    "digits": _read_digits,
    "iris": partial(_read_csv, "iris.csv", _iris_names()),
    "wine": partial(_read_csv, "wine_data.csv", WINE),
    "breast_cancer": partial(_read_csv, "breast_cancer.csv", _cell_names()),
}


def _from_scikit_learn(name: str) -> Table:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    classes = tuple(str(word) for word in bunch.target_names)
    return Table(bunch.data, bunch.target, classes, tuple(str(word) for word in bunch.feature_names))


def load_shipped(name: str) -> Table:
    """Load digits, iris, wine or breast_cancer, bit for bit as scikit-learn's own loader gives it."""
    try:
        return _READERS[name]()
    except FileNotFoundError:
        # A scikit-learn that keeps its files elsewhere still knows where they are.
        return _from_scikit_learn(name)
