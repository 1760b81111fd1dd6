"""Points: a drawing or a CSV file becomes points in the plane, or one sentence that says why not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nnlab.points import (
    MAX_BYTES,
    MAX_POINTS,
    Points,
    points_from_csv,
    points_from_drawing,
    to_data,
    to_frame,
)
from nnlab.tables import to_csv

ROWS = 12
GOOD = "a,b,kind\n" + "".join(f"{i},{i * i / 8},{'red' if i % 3 else 'blue'}\n" for i in range(ROWS))
DRAWING = [[i / 20, 1 - i / 20, i % 2] for i in range(ROWS)]


def read(text: str | bytes, name: str = "mine.csv") -> Points:
    return points_from_csv(text if isinstance(text, bytes) else text.encode(), name)


def refused(text: str | bytes) -> str:
    with pytest.raises(ValueError, match=r"^file: ") as caught:
        read(text)
    assert type(caught.value) is ValueError
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500
    return str(caught.value)


def attempt(text: str) -> Points | ValueError:
    try:
        return read(text)
    except ValueError as error:
        return error


def table(header: str, cells: list[str]) -> str:
    """A good table whose class cells are given."""
    return f"{header}\n" + "".join(f"{i},{-i / 4},{cell}\n" for i, cell in enumerate(cells))


def test_a_file_gives_its_numbers_and_its_two_classes_in_order():
    points = read(GOOD)
    assert points.x.tolist() == [[float(i), i * i / 8] for i in range(ROWS)]
    assert points.labels.tolist() == [int(i % 3 > 0) for i in range(ROWS)]
    assert (points.classes, points.columns) == (("blue", "red"), ("a", "b"))
    assert (points.name, points.notes) == ("mine.csv", ())
    assert (points.x.dtype, points.labels.dtype) == (np.float64, np.int64)


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ("a,b,c", 2), ("class,a,b", 0), ("a,Label,b", 1), ("a, TARGET ,b", 1), ("color,a,b", 0),
        ("y,x1,x2", 0), ("x1,x2,y", 2), ("x,y,class", 2), ("x,y,kind", 2), ("label,x,y", 0), ("y,x,kind", 2),
        ("class,label,a", 0), ("y,class,a", 1),
    ],
)  # fmt: skip
def test_the_column_of_classes_is_found_by_its_name_or_is_the_last(header, target):
    rows = []
    for i in range(ROWS):
        row = [str(i), str(i * i)]
        row.insert(target, "ab"[i % 2])
        rows.append(",".join(row))
    points = read("\n".join([header, *rows]))
    assert points.labels.tolist() == [i % 2 for i in range(ROWS)]
    assert points.x.tolist() == [[float(i), float(i * i)] for i in range(ROWS)]


def test_classes_that_are_numbers_are_ordered_and_compared_as_numbers():
    points = read(table("a,b,c", ["10", "2", "2.0", "10.0"] * 3))
    assert points.labels.tolist() == [1, 0, 0, 1] * 3
    assert [float(word) for word in points.classes] == [2.0, 10.0]
    assert read(table("a,b,c", ["1", "-1"] * 6)).labels.tolist() == [1, 0] * 6


@pytest.mark.parametrize("row", ["nan,1,red", "1,,red", "1,inf,blue", "-inf,1,red", "1,1,", "1e999,1,red"])
def test_rows_that_are_not_finite_or_complete_are_left_out_and_counted(row):
    points = read(f"{GOOD}{row}\n{row}\n")
    assert points.x.tolist() == read(GOOD).x.tolist()
    assert points.notes == (f"2 of {ROWS + 2} rows with missing or infinite values were left out.",)


@pytest.mark.parametrize(
    "content",
    ["\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD.rstrip("\n"), GOOD.replace("\n", "\n\n")],
    ids=["byte order mark", "Windows lines", "no last newline", "blank lines"],
)
def test_other_ways_to_write_a_text_file_are_read(content):
    assert read(content).x.tolist() == read(GOOD).x.tolist()


MANY = "a,b,c\n" + "1,2,x\n1,3,y\n" * (MAX_POINTS // 2)
BAD = {
    "empty": ("", "the first line is empty; allowed: exactly 3 separated by commas"),
    "blank": ("\n\n\n", "the first line is empty"),
    "empty names": (",,\n" + "1,2,x\n" * 20, "the first line is empty"),
    "not UTF-8": ("größe,b,c\n".encode("latin-1"), "not UTF-8 text; save it as CSV UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n\xff\xfe", "not UTF-8"),
    "one column": ("a\n1\n2\n", "1 column; allowed: exactly 3"),
    "semicolons": (GOOD.replace(",", ";"), "1 column; allowed: exactly 3 separated by commas"),
    "two columns": ("a,c\n1,x\n", "2 columns; allowed: exactly 3"),
    "four columns": ("a,b,d,c\n1,2,3,x\n", "4 columns; allowed: exactly 3"),
    "very many columns": (",".join(f"c{i}" for i in range(50_000)), "50,000 columns; allowed: exactly 3"),
    "no header, numbers": ("1.5,2,0\n" * 20, "the first line holds numbers; a header line"),
    "no header, words": (GOOD.partition("\n")[2], "the first line holds numbers; a header line"),
    "two of one name": ("a,a,c\n1,2,x\n", "two columns are called 'a'"),
    "text in a number column": (
        f"{GOOD}1,five,red\n",
        "column 'b' holds 'five', which is no number; the class",
    ),
    "class not last": (table("k,b,c", ["1"] * 20).replace("0,", "zero,", 1), "the class is the last column"),
    "beyond float32": (f"{GOOD}1,1e300,red\n", "3.4e+38"),
    "one class": (table("a,b,c", ["x"] * 20), "1 class; allowed: exactly 2"),
    "three classes": (table("a,b,c", ["x", "y", "z"] * 20), "3 classes; allowed: exactly 2"),
    "numbers as class": (table("a,b,c", [str(i) for i in range(20)]), "20 classes; allowed: exactly 2"),
    "few rows": (table("a,b,c", ["x", "y"] * 4 + ["x"]), "9 points; at least 10 are needed"),
    "one of a class": (table("a,b,c", ["x"] * 20 + ["y"]), "1 point is 'y'; at least 2 of each class"),
    "no rows": ("a,b,c\n", "none of 0 rows is complete; at least 10"),
    "all broken": ("a,b,c\n" + "nan,1,x\n" * 20, "none of 20 rows is complete"),
    "too many rows": (MANY + "1,2,x\n", "more than 2,000 rows"),
    "too large": ("a,b,c\n" + "1,2,x\n" * (MAX_BYTES // 6), "larger than 500,000 bytes"),
    "a row too long": (f"{GOOD}1,2,red,4\n", f"line {ROWS + 2} has 4 cells, the header has 3"),
    "an open quote": (f'{GOOD}"1,2,red\n', "not a table"),
    "an open quote first": ('"a,b,c\n1,2,x\n', "not a table"),
    "a cell too long": ("a,b," + "c" * 200_000 + "\n1,2,x\n", "not a table"),
}


@pytest.mark.parametrize(("content", "why"), BAD.values(), ids=BAD)
def test_an_odd_file_is_refused_in_one_sentence(content, why):
    message = refused(content)
    assert why in message
    assert message.startswith("file: mine.csv: ") or message.startswith("file: mine.csv")


def test_as_many_rows_as_allowed_are_accepted():
    assert len(read(MANY).labels) == MAX_POINTS


def test_hostile_file_names_stay_on_one_line():
    with pytest.raises(ValueError, match=r"^file: 'a\\nb': ") as caught:
        read("", "a\nb")
    assert "\n" not in str(caught.value)


def test_any_bytes_are_points_or_one_sentence():
    generator = np.random.default_rng(0)
    cells = ["1", "2.5", "-1e5", "1e300", "", "nan", "-nan", "x", '"', " ", "\0", "\r", "é", "1_0", "٣"]
    heads = ["a,b,y", "x,y,class", "1,2,3", '"a,b,y', "a,,y", "y,\r,b", ""]
    for _ in range(300):
        body = "\n".join(",".join(generator.choice(cells, 3)) for _ in range(generator.integers(0, 30)))
        outcome = attempt(f"{generator.choice(heads)}\n{body}")
        if isinstance(outcome, Points):
            assert np.isfinite(outcome.x).all()
        else:
            assert type(outcome) is ValueError
            assert str(outcome).startswith("file: ")
            assert len(str(outcome).splitlines()) == 1


def test_a_table_written_and_read_back_is_the_same_to_the_last_bit():
    generator = np.random.default_rng(1)
    x = generator.standard_normal((50, 2)) * 10.0 ** generator.integers(-12, 12, (50, 2))
    for classes in (("0", "1"), ("-1", "1"), ("blue", "red")):
        points = Points(x, generator.permutation(50) % 2, "p", classes=classes)
        again = read(to_csv(to_frame(points)))
        assert again.x.tolist() == x.tolist()
        assert again.labels.tolist() == points.labels.tolist()


def test_a_drawing_gives_its_points():
    points = points_from_drawing(json.loads(json.dumps(DRAWING)))
    assert points.x.tolist() == [[i / 20, 1 - i / 20] for i in range(ROWS)]
    assert points.labels.tolist() == [i % 2 for i in range(ROWS)]
    assert points.classes == ("blue", "red")
    corners = points_from_drawing([[0, 0, 0], [1, 1, 1], [0.0, 1.0, 1.0], [1.0, 0.0, 0.0]] * 3)
    assert corners.labels.tolist() == [0, 1, 1, 0] * 3


@pytest.mark.parametrize(
    "point",
    [
        None, 3, "abc", {}, (0.5, 0.5, 1), [], [0.5, 0.5], [0.5, 0.5, 1, 0], [0.5, float("nan"), 1],
        [0.5, 1.001, 1], [1.001, 0.5, 1], [-0.001, 0.5, 1], [0.5, -0.001, 1],
        [float("inf"), 0.5, 0], ["0.5", 0.5, 0], [None, 0.5, 0],
        [True, 0.5, 0], [0.5, 0.5, True], [0.5, 0.5, 2], [0.5, 0.5, 0.5], [0.5, 0.5, "1"],
        [0.5, 0.5, float("nan")], [[0.5], 0.5, 1], [10**400, 0.5, 1],
    ],
    ids=repr,
)  # fmt: skip
def test_a_point_that_is_none_is_refused_by_its_number(point):
    with pytest.raises(ValueError, match=r"^drawing: point 13 is not usable; allowed: \[x, y, label\]"):
        points_from_drawing([*DRAWING, point])


@pytest.mark.parametrize("value", [None, 5, "points", {"points": DRAWING}, ((0.5, 0.5, 1),)], ids=repr)
def test_what_is_no_list_is_refused(value):
    with pytest.raises(ValueError, match=r"^drawing: \w+ is not allowed; allowed: a list of points$"):
        points_from_drawing(value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], "0 points; at least 10 are needed"),
        (DRAWING[:9], "9 points; at least 10 are needed"),
        ([[0.5, 0.5, 0]] * 12, "0 points are red; at least 2 of each class are needed"),
        ([[0.5, 0.5, 1]] * 12 + [[0.5, 0.5, 0]], "1 point is blue; at least 2 of each class are needed"),
        ([[0.5, 0.5, 0]] * (MAX_POINTS + 1), "2,001 points; at most 2,000 are allowed"),
    ],
)
def test_too_few_and_too_many_points_are_refused(value, why):
    with pytest.raises(ValueError, match=r"^drawing: ") as caught:
        points_from_drawing(value)
    assert why in str(caught.value)


def test_data_are_split_and_standardized_as_every_other_dataset():
    points = read(GOOD)
    data = to_data(points)
    assert (len(data.y_train), len(data.y_test)) == (9, 3)  # 80/20 of 12, the test share rounded up
    assert (data.task, data.classes, data.feature_names) == ("classification", ("blue", "red"), ("a", "b"))
    assert data.x_train.astype(float).mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert data.x_train.astype(float).std(axis=0) == pytest.approx(1, abs=1e-6)
    # Column a is 0..11 in order, so its order finds every row's label again.
    values = np.concatenate([data.x_train, data.x_test])[:, 0]
    labels = np.concatenate([data.y_train, data.y_test])[np.argsort(values)]
    assert labels.tolist() == points.labels.tolist()


def test_the_smallest_allowed_points_can_be_split_by_class():
    data = to_data(points_from_drawing([[0.1, 0.1, 0]] * 2 + [[0.9, 0.2, 1]] * 8))
    assert set(data.y_train) == {0, 1}
    assert len(data.y_test) == 2
    notes = " ".join(to_data(points_from_drawing([[0.5, i / 20, i % 2] for i in range(12)])).notes)
    assert "constant" in notes


def test_notes_of_the_points_go_on_with_the_data():
    points = read(GOOD + "nan,1,red\n")
    assert points.notes[0] in to_data(points).notes
