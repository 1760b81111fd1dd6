"""CSV files: a dataset, or one sentence that names the field and says what is wrong."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nnlab
from nnlab.csvdata import usual_choice
from nnlab.csvfile import MAX_BYTES, MAX_CELLS, MAX_COLUMNS, MAX_ROWS
from nnlab.csvtable import DECIMAL_COMMAS, plain_name, table_from_csv
from nnlab.datasets import TARGET_SCALED, Data

ROWS = 40
GOOD = "a,b,y\n" + "".join(f"{i},{i * i % 7},{'no' if i % 2 else 'yes'}\n" for i in range(ROWS))
NUMERIC = "a,b,y\n" + "".join(f"{i},{i * i % 7},{i / 8}\n" for i in range(ROWS))

Load = Callable[..., Data]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a file and load it."""

    def load(content: str | bytes, **fields: object) -> Data:
        path = tmp_path / "table.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        named = {"target": "y"} | fields
        return nnlab.load_dataset(nnlab.ExperimentConfig(dataset="csv", csv_path=str(path), **named))

    return load


def _values(data: Data) -> np.ndarray:
    return np.concatenate([data.x_train, data.x_test])


def test_text_labels_make_a_classification(load: Load) -> None:
    data = load(GOOD)
    assert (data.task, data.classes, data.feature_names) == ("classification", ("no", "yes"), ("a", "b"))
    assert (data.x_train.shape, data.x_test.shape) == ((32, 2), (8, 2))
    assert (data.x_train.dtype, data.y_train.dtype, data.notes) == (np.float32, np.int64, ())


def test_every_label_stays_with_its_row(load: Load) -> None:
    data = load(GOOD, features=("a",))
    order = np.argsort(_values(data)[:, 0])
    labels = np.concatenate([data.y_train, data.y_test])[order]
    assert labels.tolist() == [1, 0] * (ROWS // 2)  # "yes" is class 1


def test_inputs_are_standardized_by_the_training_split(load: Load) -> None:
    x = load(GOOD).x_train.astype(float)
    assert x.mean(axis=0) == pytest.approx(0, abs=1e-6)
    assert x.std(axis=0) == pytest.approx(1, abs=1e-6)


def test_a_numeric_target_with_mse_makes_a_regression(load: Load) -> None:
    data = load(NUMERIC, loss="mse")
    assert (data.task, data.classes, data.n_outputs) == ("regression", (), 1)
    assert data.y_train.dtype == np.float32
    assert (data.y_train.mean(), data.y_train.std()) == pytest.approx((0, 1), abs=1e-6)
    found = np.sort(np.concatenate([data.y_train, data.y_test]))
    assert np.corrcoef(found, np.arange(ROWS) / 8)[0, 1] == pytest.approx(1)
    assert any(note.startswith(TARGET_SCALED) for note in data.notes)


def test_text_labels_with_mse_make_a_classification(load: Load) -> None:
    assert load(GOOD, loss="mse").task == "classification"


def test_a_numeric_target_with_cross_entropy_makes_a_classification(load: Load) -> None:
    assert load(GOOD.replace("yes", "1").replace("no", "0")).classes == ("0", "1")


def test_features_are_taken_as_named_and_in_that_order(load: Load) -> None:
    data = load(GOOD, features=("b", "a"))
    assert data.feature_names == ("b", "a")
    assert (data.x_train == load(GOOD).x_train[:, ::-1]).all()


@pytest.mark.parametrize(
    "content",
    ["\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD.rstrip("\n")],
    ids=["byte order mark", "Windows lines", "no last newline"],
)
def test_other_ways_to_write_a_text_file_are_read(load: Load, content: str) -> None:
    data = load(content)
    assert data.feature_names == ("a", "b")
    assert (data.x_train == load(GOOD).x_train).all()


@pytest.mark.parametrize(
    "row", ["1,,no", "nan,2,no", "1,2,", "1,2", "1", "1e999,2,no", "1,-1e999,no", "inf,2,yes", "NA,2,yes"]
)
def test_rows_with_missing_or_infinite_numbers_are_left_out_and_counted(load: Load, row: str) -> None:
    data = load(f"{GOOD}{row}\n{row}\n")
    assert (_values(data) == _values(load(GOOD))).all()
    (note,) = data.notes
    assert "2 rows" in note


@pytest.mark.parametrize("target", ["inf", "1e999", "nan", ""])
def test_rows_without_a_finite_number_to_predict_are_left_out_and_counted(load: Load, target: str) -> None:
    data = load(f"{NUMERIC}1,2,{target}\n", loss="mse")
    assert (data.task, len(_values(data))) == ("regression", ROWS)
    assert "1 row " in data.notes[0]


@pytest.mark.parametrize("number", ["0.1", "7", "1e-300", "123456.789"])
def test_a_constant_input_becomes_zero_and_is_told(load: Load, number: str) -> None:
    data = load("a,b,y\n" + "".join(f"{i},{number},{i % 2}\n" for i in range(ROWS)))
    assert (_values(data)[:, 1] == 0).all()
    assert any("constant" in note for note in data.notes)


def test_old_mac_lines_are_read_or_refused(load: Load) -> None:
    outcome = _try(load, GOOD.replace("\n", "\r"))
    if isinstance(outcome, ValueError):
        _assert_one_line(outcome, "csv_path")
    else:
        assert (outcome.x_train == load(GOOD).x_train).all()


@pytest.mark.parametrize("size", ["1e-30", "1e30", "1e200", "1.7e308"])
def test_numbers_of_any_size_are_standardized_or_refused(load: Load, size: str) -> None:
    rows = "".join(f"{i},{'-' * (i % 3 > 0)}{size},{i % 2}\n" for i in range(ROWS))
    outcome = _try(load, f"a,b,y\n{rows}")
    if isinstance(outcome, ValueError):
        _assert_one_line(outcome, "features")
    else:
        assert outcome.x_train.std(axis=0) == pytest.approx(1, abs=1e-5)


def test_a_target_beyond_float32_is_refused_or_left_out(load: Load) -> None:
    outcome = _try(load, f"{NUMERIC}1,2,1e200\n", loss="mse")
    if isinstance(outcome, ValueError):
        _assert_one_line(outcome, "target")
    else:
        assert np.isfinite(outcome.y_train).all()
        assert np.isfinite(outcome.y_test).all()


def _try(load: Load, content: str | bytes, **fields: object) -> Data | ValueError:
    try:
        return load(content, **fields)
    except ValueError as error:
        return error


def _assert_one_line(error: ValueError, field: str) -> None:
    assert type(error) is ValueError
    assert str(error).startswith(f"{field}: ")
    assert len(str(error).splitlines()) == 1
    assert len(str(error)) < 1000


def _wide(columns: int) -> str:
    return ",".join(f"c{i}" for i in range(columns)) + "\n" + ",".join("1" * columns) + "\n"


LONGER = "".join(f"{i},{i * i % 7},{i % 3},{i % 2}\n" for i in range(ROWS))
BAD_FILES = {
    "empty": ("", "at least one more column"),
    "only blank lines": ("\n\n\n", "at least one more column"),
    "one column": ("y\n" + "1\n2\n" * 20, "at least one more column"),
    "no rows": ("a,b,y\n", "0 complete rows"),
    "few rows": ("a,y\n" + "1,2\n" * 9, "9 complete rows; at least 10"),
    "all rows broken": ("a,y\n" + ",2\n" * 20, "0 complete rows"),
    "two columns of one name": ("a,a,y\n" + "1,2,3\n" * 20, "'a'"),
    "UTF-16": (GOOD.encode("utf-16"), "UTF-8"),
    "Latin-1": ("größe,y\n1,2\n".encode("latin-1"), "UTF-8"),
    "a zip archive": (b"PK\x03\x04\x14\x00\x00\x00\x08\x00\xff\xfe", "UTF-8"),
    "a row too long": (f"{GOOD}1,2,no,4\n", "line 42"),
    "all rows too long": ("a,b,y\n" + LONGER, ""),
    "a quote that never ends": (f'{GOOD}"1,2,no\n', "not a table"),
    "a name too long": ("a" * 200_000 + ",y\n" + "1,2\n" * 20, ""),
    "too many columns": (_wide(MAX_COLUMNS + 1), "257 columns; at most 256"),
    "too many rows": ("a,y\n" + "1,2\n" * (MAX_ROWS + 1), "100,000 rows"),
    "too many bytes": ("a,y\n" + "1,2\n" * (MAX_BYTES // 4), "5,000,000 bytes"),
}


@pytest.mark.parametrize(("content", "why"), BAD_FILES.values(), ids=BAD_FILES)
def test_an_odd_file_is_refused_in_one_line(load: Load, content: str | bytes, why: str) -> None:
    with pytest.raises(ValueError, match=r"^csv_path: ") as caught:
        load(content)
    _assert_one_line(caught.value, "csv_path")
    assert "table.csv" in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize("path", ["", "missing.csv", ".", "no/such/folder.csv", "\0", "x" * 300, "a\nb.csv"])
def test_a_path_that_is_no_file_is_refused_in_one_line(path: str) -> None:
    with pytest.raises(ValueError, match=r"^csv_path: ") as caught:
        nnlab.load_dataset(nnlab.ExperimentConfig(dataset="csv", csv_path=path, target="y"))
    _assert_one_line(caught.value, "csv_path")


@pytest.mark.parametrize("cell", ["five", "1_000", "٣", "True", "0x10", "1;2", "2024-01-01", "a\nb"])
def test_text_in_a_feature_is_refused_with_its_column(load: Load, cell: str) -> None:
    with pytest.raises(ValueError, match="'b'") as caught:
        load(f'{GOOD}1,"{cell}",no\n')
    _assert_one_line(caught.value, "features")
    assert repr(cell) in str(caught.value)


@pytest.mark.parametrize("target", ["z", "", "Y", " y"])
def test_an_unknown_target_is_refused_with_the_columns_there_are(load: Load, target: str) -> None:
    with pytest.raises(ValueError, match="a, b, y") as caught:
        load(GOOD, target=target)
    _assert_one_line(caught.value, "target")
    assert repr(target) in str(caught.value)


def test_an_unknown_feature_is_refused_with_the_columns_there_are(load: Load) -> None:
    with pytest.raises(ValueError, match=r"'z' .*a, b, y") as caught:
        load(GOOD, features=("a", "z"))
    _assert_one_line(caught.value, "features")


def test_the_target_is_refused_as_a_feature(load: Load) -> None:
    with pytest.raises(ValueError, match="'y' is the target") as caught:
        load(NUMERIC, features=("a", "y"))
    _assert_one_line(caught.value, "features")


def test_a_column_name_of_two_lines_is_answered_in_one(load: Load) -> None:
    with pytest.raises(ValueError, match=r"^target: ") as caught:
        load('"a\nb",y\n' + "1,2\n" * 20, target="z")
    _assert_one_line(caught.value, "target")


@pytest.mark.parametrize("count", [1, 101])
def test_a_target_with_too_few_or_too_many_classes_is_refused(load: Load, count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} .*2 to 100") as caught:
        load("a,y\n" + "".join(f"{i},c{i % count}\n" for i in range(202)))
    _assert_one_line(caught.value, "target")


def test_a_hundred_classes_are_accepted(load: Load) -> None:
    assert load("a,y\n" + "".join(f"{i},c{i % 100}\n" for i in range(500))).n_outputs == 100


def test_as_many_rows_and_columns_as_allowed_are_accepted(load: Load) -> None:
    head, row, _ = _wide(MAX_COLUMNS).split("\n")
    assert load(f"{head}\n" + f"{row[:-1]}0\n{row}\n" * 10, target="c255").n_features == 255
    assert len(_values(load("a,y\n" + "1,2\n1,3\n" * (MAX_ROWS // 2)))) == MAX_ROWS


def _rows(columns: str, row: Callable[[int], str], count: int = ROWS, end: str = "\n") -> str:
    return end.join([columns, *(row(i) for i in range(count))]) + end


def _classes(i: int) -> str:
    return "no" if i % 2 else "yes"


READ = "a dataset"
HOSTILE_NAMES = (
    "__proto__", "=cmd()", "<script>alert(1)</script>", "$x$", "constructor", "a.b[0]", "x:Q", "n" * 300,
)  # fmt: skip
# What people upload: the file, the fields of the experiment, and what comes out: a dataset of so many rows
# and features, or a sentence of the field that says what to do.
ODD: dict[str, tuple[str | bytes, dict[str, object], object]] = {
    "plain": (GOOD, {}, (40, 2)),
    "byte order mark": ("\ufeff" + GOOD, {}, (40, 2)),
    "Windows lines": (GOOD.replace("\n", "\r\n"), {}, (40, 2)),
    "old Mac lines": (GOOD.replace("\n", "\r"), {}, (40, 2)),
    "blank lines before and between": ("\n\n" + GOOD.replace("\n", "\n\n"), {}, (40, 2)),
    "blanks after commas": (GOOD.replace(",", ", "), {}, (40, 2)),
    "semicolons": (GOOD.replace(",", ";"), {}, (40, 2)),
    "semicolons and decimal commas": (_rows("a;y", lambda i: f"{i},5;{_classes(i)}"), {}, (40, 1)),
    "decimal commas to predict": (_rows("a;y", lambda i: f"{i};{i},5"), {"loss": "mse"}, (40, 1)),
    "decimal commas and points": (_rows("a;b;y", lambda i: f"{i},5;{i}.5;{i % 2}"), {}, "use one"),
    "tabs": (GOOD.replace(",", "\t"), {}, (40, 2)),
    "row numbers as pandas writes them": (_rows(",a,y", lambda i: f"{i},{i % 7},{_classes(i)}"), {}, (40, 1)),
    "commas at every end": (_rows("a,y,,", lambda i: f"{i},{_classes(i)},,"), {}, (40, 1)),
    "duplicate rows": (_rows("a,y", lambda i: f"1,{_classes(i)}"), {}, (40, 1)),
    "rows of commas": (GOOD + ",,\n" * 3, {}, (40, 2)),
    "a constant feature": (_rows("a,b,y", lambda i: f"{i},7,{i % 2}"), {}, (40, 2)),
    "1e999 and -1e999": (GOOD + "1e999,2,no\n-1e999,2,no\n", {}, (40, 2)),
    "1e-400": (GOOD + "1e-400,2,no\n", {}, (41, 2)),
    "a class with one row": (GOOD + "1,2,rare\n", {}, (41, 2)),
    "100 classes of one row": (_rows("a,y", lambda i: f"{i},c{i}", 100), {}, (100, 1)),
    "a missing target": (GOOD + "1,2,\n1,2,NaN\n1,2,n/a\n", {}, (40, 2)),
    "numbers as names": (_rows("0,1,2,y", lambda i: f"{i},2,{i % 3},{i % 2}"), {}, (40, 3)),
    "a whole column missing": (_rows("a,b,y", lambda i: f"{i},,{i % 2}"), {}, "'b' has no value in 40"),
    "no header line": (_rows("5.1,3.5,1.4,yes", lambda i: f"{i},2,3,{i % 2}"), {}, "header"),
    "Excel's first line": ("sep=;\n" + GOOD.replace(",", ";"), {}, "remove the line"),
    "duplicate headers": ("a,a,y\n" + "1,2,3\n" * 20, {}, "rename one"),
    "headers that differ by a blank": ("a, a,y\n" + "1,2,3\n" * 20, {}, "rename one"),
    "1_000": (GOOD + "1_000,2,no\n", {}, "'1_000', which is no number"),
    "decimal commas in quotes": (_rows("a,y", lambda i: f'"{i},5",{i % 2}'), {}, "write 1.5"),
    "decimal commas that separate": (_rows("a,y", lambda i: f"{i},5,{i % 2}"), {}, "write 1.5 for 1,5 where"),
    "a date": (_rows("day,y", lambda i: f"2026-01-{i:02d},{i % 2}"), {}, "leave the column out"),
    "gzip": (gzip.compress(GOOD.encode()), {}, "unpack it"),
    "an Excel workbook": (b"PK\x03\x04" + GOOD.encode(), {}, "save the table as CSV UTF-8"),
    "Parquet": (b"PAR1" + GOOD.encode(), {}, "save the table as CSV UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), {}, "save it as CSV UTF-8"),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), {}, "save it as CSV UTF-8"),
    "Latin-1": ("größe,y\n1,2\n".encode("latin-1"), {}, "save it as CSV UTF-8"),
    "NUL bytes": (GOOD + "1,\0,no\n", {}, "NUL"),
    "a quote never closed": (GOOD + '"1,2,no\n', {}, "never closed"),
    "a quote in a quote": (GOOD + '"1"2",2,no\n', {}, "double the marks"),
    "a cell too long": (GOOD + "1" * 140_000 + ",2,no\n", {}, "131,072"),
    "one column": ("y\n" + "1\n" * 20, {}, "at least one more column"),
    "200,000 columns": (_wide(200_000), {}, "at most 256"),
    "empty": ("", {}, "needs a header line"),
    "a header only": ("a,y\n", {}, "at least 10"),
    "one row": ("a,y\n1,2\n", {}, "1 complete row; at least 10"),
    "a single class": (_rows("a,y", lambda i: f"{i},yes"), {}, "has 1 distinct value; allowed: 2 to 100"),
    "one class left": (_rows("a,y", lambda i: f"{'' if i % 2 else i},{_classes(i)}"), {}, "1 distinct value"),
    "101 classes": (_rows("a,y", lambda i: f"{i},c{i}", 101), {}, "choose another column"),
    "many numbers as classes": (_rows("a,y", lambda i: f"{i},{i}", 200), {}, "choose loss mse"),
    "a constant to predict": (_rows("a,y", lambda i: f"{i},7"), {"loss": "mse"}, "changes"),
    "text among many numbers": (_rows("a,y", lambda i: f"{i},{i or 'x'}", 200), {"loss": "mse"}, "another"),
    "a feature named twice": (GOOD, {"features": ("a", "a")}, "name it once"),
    "a page of a web site": ("<!DOCTYPE html>\n<html>\n", {}, "at least one more column"),
}  # fmt: skip
ODD |= {
    f"a column called {name[:20]}": (_rows(f"{name},y", lambda i: f"{i},{i % 2}"), {}, (40, 1))
    for name in HOSTILE_NAMES
}


@pytest.mark.parametrize(("content", "fields", "outcome"), ODD.values(), ids=ODD)
def test_an_odd_file_is_a_dataset_or_one_sentence_that_says_what_to_do(
    load: Load, content: str | bytes, fields: dict[str, object], outcome: object
) -> None:
    found = _try(load, content, **fields)
    if isinstance(outcome, tuple):
        assert isinstance(found, Data), found
        assert (len(_values(found)), found.n_features) == outcome
        assert np.isfinite(_values(found)).all()
    else:
        assert isinstance(found, ValueError)
        _assert_one_line(found, str(found).partition(":")[0])
        assert str(found).partition(":")[0] in ("csv_path", "target", "features")
        assert str(outcome) in str(found)


def test_numbers_with_decimal_commas_are_those_with_points(load: Load) -> None:
    points = load(_rows("a,b,y", lambda i: f"{i}.25,-1.5e{i % 3},{_classes(i)}"))
    commas = load(_rows("a;b;y", lambda i: f"{i},25;-1,5e{i % 3};{_classes(i)}"))
    assert (commas.x_train == points.x_train).all()
    assert "semicolons" in commas.notes[0]
    assert DECIMAL_COMMAS in commas.notes[0]
    assert points.notes == ()


def test_a_column_without_a_name_and_numbers_that_vanish_are_told(load: Load) -> None:
    notes = load(_rows(",a,y", lambda i: f"{i},{i or '1e-400'},{_classes(i)}")).notes
    assert notes == ("1 column without a name left out", "1 numbers too small for float64 are 0")


def test_what_is_chosen_unasked_suits_the_table() -> None:
    table = table_from_csv(_rows("id,a,note,y", lambda i: f"{i},{i / 8},t{i},{i % 3}").encode(), "t.csv")
    assert usual_choice(table) == {
        "dataset": "csv", "target": "y", "features": ("id", "a"), "loss": "cross_entropy",
    }  # fmt: skip
    assert usual_choice(table, "a")["loss"] == "mse"
    assert usual_choice(table, "note") == usual_choice(table) | {"target": "note", "features": ()}
    numbers = table_from_csv(_rows("a,b", lambda i: f"{i},{i}", 200).encode(), "t.csv")
    assert usual_choice(numbers) == {"dataset": "csv", "target": "b", "features": (), "loss": "mse"}


def test_a_table_takes_little_more_memory_than_its_numbers() -> None:
    content = _rows("a,b,y", lambda i: f"{i},{i * 7 % 1000},{i % 2}", 2000).encode()
    table = table_from_csv(content, "t.csv")
    assert table.nbytes <= 2000 * 3 * 10
    assert table.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("a.csv", "a.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.csv", "y.csv"),
        ("/", "table.csv"),
        ("x" * 999, "x" * 100),
    ],
)
def test_of_a_files_name_no_folder_is_kept(name: str, plain: str) -> None:
    assert plain_name(name) == plain


def test_any_file_is_a_dataset_or_one_sentence(load: Load) -> None:
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st

    cells = st.sampled_from(["1", "2.5", "-1e5", "1e300", "", "nan", "x", '"', "'", " ", "\0", "\r", "é"])
    rows = st.lists(st.lists(cells, max_size=4).map(",".join), max_size=25).map("\n".join)
    heads = st.sampled_from(["a,b,y", "a,y", "y", "a,,y", '"a,y', "a,a,y", "y,\r"])

    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(head=heads, body=st.text(max_size=60) | rows, loss=st.sampled_from(["mse", "cross_entropy"]))
    def check(head: str, body: str, loss: str) -> None:
        outcome = _try(load, f"{head}\n{body}".encode("utf-8", "replace"), loss=loss)
        if isinstance(outcome, ValueError):
            assert type(outcome) is ValueError
            assert str(outcome).partition(":")[0] in ("csv_path", "target", "features")
        else:
            assert np.isfinite(_values(outcome)).all()

    check()


def test_a_column_name_that_no_link_could_say_is_refused(load: Load) -> None:
    assert load(GOOD.replace("a,", "n" * 1000 + ",", 1)).feature_names[0] == "n" * 1000
    with pytest.raises(ValueError, match=r"a column's name has 1,001 characters; at most 1,000$"):
        load(GOOD.replace("a,", "n" * 1001 + ",", 1))


def test_rows_that_end_early_do_not_multiply_a_small_file() -> None:
    """200 kB of short rows under a wide header were 25 million cells."""
    header = ",".join(f"c{number}" for number in range(MAX_COLUMNS))
    most = MAX_CELLS // MAX_COLUMNS
    assert table_from_csv(f"{header}\n".encode() + b"1\n" * most, "t.csv").rows == most
    with pytest.raises(ValueError, match=r"^csv_path: t\.csv: more than 2,500,000 cells") as caught:
        table_from_csv(f"{header}\n".encode() + b"1\n" * (MAX_ROWS - 1), "t.csv")
    assert "\n" not in str(caught.value)


def test_what_a_column_holds_is_as_if_every_cell_were_asked() -> None:
    """Against a plain reading, cell by cell: text, blanks and vanished numbers too."""
    cells = ["0", " 1e-999", "x", "", "1e-999", "0.0", "nan", "3", "3 ", "-0"]
    column = table_from_csv(("a,b\n" + "".join(f"{c},1\n" for c in cells)).encode(), "t.csv").columns["a"]
    kept = [c.strip() for c in cells if c.strip() not in ("", "nan")]
    assert (column.text, column.numbers, column.missing) == ("x", None, 2)
    assert (column.words, column.distinct) == (tuple(sorted(set(kept))), len(set(kept)))
    assert column.codes is not None
    assert [column.words[code] for code in column.codes if code >= 0] == kept
    numeric = [c for c in cells if c != "x"]
    column = table_from_csv(("a,b\n" + "".join(f"{c},1\n" for c in numeric)).encode(), "t.csv").columns["a"]
    assert column.numbers is not None
    assert np.isnan(column.numbers).tolist() == [c in ("", "nan") for c in numeric]
    assert np.nan_to_num(column.numbers).tolist() == [0.0 if c in ("", "nan") else float(c) for c in numeric]
    assert column.vanished == 2
