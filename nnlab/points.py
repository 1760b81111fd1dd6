"""Points: red and blue points in the plane that a visitor draws or uploads."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from nnlab.datasets import Data, prepare

if TYPE_CHECKING:
    import pandas as pd

MAX_POINTS = 2_000  # as many as the lab's generated data; a page trains on them while one waits
MAX_BYTES = 500_000  # 2,000 rows of three numbers in full precision take 120 kB
MIN_POINTS = 10  # as many as csvfile.py asks for: 8 to learn from and 2 to test
MIN_PER_CLASS = 2  # one for the training split, one for the test split
COLUMNS = 3
# What a column of classes is called, the clearest name first.
CLASS_NAMES = ("class", "label", "target", "color", "colour", "y")
CLASS_WORDS = "the class is the last column, or the one called class, label, target, color or y"
ALLOWED_COLUMNS = f"allowed: exactly {COLUMNS} separated by commas, two of numbers and one of two classes"


@dataclass(frozen=True)
class Points:
    """Labeled points: x has shape (points, 2), float64; labels has shape (points,), 0 or 1.

    `classes` are the source's own words for 0 and 1, `columns` those for the two coordinates.
    """

    x: np.ndarray
    labels: np.ndarray
    name: str
    notes: tuple[str, ...] = ()
    classes: tuple[str, str] = ("0", "1")
    columns: tuple[str, str] = ("x1", "x2")


def _check_amounts(labels: np.ndarray, start: str, nouns: tuple[str, str]) -> None:
    """Refuse too few points, in all or of one class; `start` begins the sentence."""
    if len(labels) < MIN_POINTS:
        raise ValueError(f"{start}{len(labels)} points; at least {MIN_POINTS} are needed")
    for code, noun in enumerate(nouns):
        count = int((labels == code).sum())
        if count < MIN_PER_CLASS:
            amount = "1 point is" if count == 1 else f"{count} points are"
            raise ValueError(f"{start}{amount} {noun}; at least {MIN_PER_CLASS} of each class are needed")


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _check_header(header: list[str], start: str) -> None:
    if not any(cell.strip() for cell in header):
        raise ValueError(f"{start}the first line is empty; {ALLOWED_COLUMNS}, with a header line")
    if len(header) != COLUMNS:
        noun = "column" if len(header) == 1 else "columns"
        raise ValueError(f"{start}{len(header):,} {noun}; {ALLOWED_COLUMNS}")
    if sum(_is_number(cell) for cell in header) >= COLUMNS - 1:
        raise ValueError(
            f"{start}the first line holds numbers; a header line with the columns' names is needed, "
            "such as x1,x2,class"
        )


def _class_column(names: list[str]) -> str:
    """Find the column of classes; `y` beside an `x` is a coordinate."""
    known = {name.strip().lower(): name for name in names}
    for wanted in CLASS_NAMES:
        if wanted in known and not (wanted == "y" and "x" in known):
            return known[wanted]
    return names[-1]


def _codes(cells: np.ndarray, start: str) -> tuple[np.ndarray, tuple[str, str]]:
    """Number two classes, in numerical order where both are numbers; 1 and 1.0 are one class."""
    words = sorted(set(cells))
    if all(_is_number(word) for word in words):
        keys = [float(cell) for cell in cells]
        distinct = sorted(set(keys))
        words = [next(word for word in words if float(word) == key) for key in distinct]
        codes = np.searchsorted(distinct, keys)
    else:
        codes = np.searchsorted(words, list(cells))
    if len(words) != 2:
        noun = "class" if len(words) == 1 else "classes"
        raise ValueError(f"{start}{len(words):,} {noun}; allowed: exactly 2 ({CLASS_WORDS})")
    return codes.astype(np.int64), (words[0], words[1])


def points_from_csv(content: bytes, name: str) -> Points:
    """Read points from a CSV file with a header: two columns of numbers, one of two classes.

    The class is the last column unless another is called one of `CLASS_NAMES`. Rows without a value, or
    with one that is not finite, are left out, and a note says how many.

    Raises:
        ValueError: the file cannot be used; one sentence says why and what is allowed.
    """
    from nnlab.csvfile import LARGEST, Limits, decode, number_columns, parse_table, shown_name

    limits = Limits("file", MAX_BYTES, MAX_POINTS)
    start = f"{limits.field}: {shown_name(name)}: "
    text = decode(content, name, limits)
    _check_header(_first_line(text, start), start)
    frame = parse_table(text, name, limits)
    target = _class_column(list(frame.columns))
    columns = [column for column in frame.columns if column != target]
    x = number_columns(frame, columns, start[:-2], CLASS_WORDS)
    usable = (np.abs(x) <= LARGEST).all(axis=1) & frame[target].notna().to_numpy()
    if not usable.any():
        raise ValueError(f"{start}none of {len(frame)} rows is complete; at least {MIN_POINTS} are needed")
    labels, classes = _codes(frame[target].to_numpy(object)[usable], start)
    _check_amounts(labels, start, (repr(classes[0][:60]), repr(classes[1][:60])))
    dropped = int((~usable).sum())
    notes = (f"{dropped} of {len(frame)} rows with missing or infinite values were left out.",)
    return Points(x[usable], labels, name, notes if dropped else (), classes, (columns[0], columns[1]))


def _first_line(text: str, start: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text), strict=True), [])
    except csv.Error as error:
        raise ValueError(f"{start}not a table: {error}") from None


def _number_from(value: object) -> float:
    """Give a finite number as float; NaN for anything else, so that one check refuses all."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def points_from_drawing(value: object) -> Points:
    """Read what a drawing pad sent: a list of [x, y, label], x and y from 0 to 1, y upward, label 0 or 1.

    Raises:
        ValueError: it is anything else, too much or too little; a browser may send whatever it likes.
    """
    if not isinstance(value, list):
        raise ValueError(f"drawing: {type(value).__name__} is not allowed; allowed: a list of points")
    if len(value) > MAX_POINTS:
        raise ValueError(f"drawing: {len(value):,} points; at most {MAX_POINTS:,} are allowed")
    rows = []
    for number, item in enumerate(value, start=1):
        row = [_number_from(part) for part in item] if isinstance(item, list) and len(item) == 3 else []
        if not (row and 0 <= row[0] <= 1 and 0 <= row[1] <= 1 and row[2] in (0, 1)):
            raise ValueError(
                f"drawing: point {number} is not usable; allowed: [x, y, label] with x and y from 0 to 1 "
                "and label 0 or 1"
            )
        rows.append(row)
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    labels = table[:, 2].astype(np.int64)
    _check_amounts(labels, "drawing: ", ("blue", "red"))
    return Points(table[:, :2], labels, "drawing", classes=("blue", "red"))


def to_data(points: Points) -> Data:
    """Split and standardize points as every other dataset; the split is the same for all seeds."""
    return prepare(points.x, points.labels, "classification", points.classes, points.columns, points.notes)


def to_frame(points: Points) -> pd.DataFrame:
    """Give points as a table that `points_from_csv` reads back, classes in their own words."""
    import pandas as pd

    words = np.array(points.classes, dtype=object)
    if all(_is_number(word) for word in points.classes):
        words = words.astype(np.float64)  # a spreadsheet may take the text -1 for a formula
    return pd.DataFrame({"x1": points.x[:, 0], "x2": points.x[:, 1], "class": words[points.labels]})
