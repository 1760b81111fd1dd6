"""Tables as files: full precision, NaN and inf kept, cells safe for spreadsheets, columns documented."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnlab
from nnlab import tables
from nnlab.charts import CHARTS, draw
from nnlab.columns import meaning, meanings
from nnlab.layer_table import layer_table
from nnlab.presets import STORED_RUN

NUMBERS = [0.1 + 0.2, 2.0**-1074, math.nan, math.inf, -math.inf, -1.5, -0.0]


@pytest.fixture
def frame():
    return pd.DataFrame({"value": NUMBERS, "layer": list("abcdefg"), "step": range(7)})


def test_csv_keeps_full_precision_nan_and_inf(frame):
    back = pd.read_csv(io.BytesIO(tables.to_csv(frame)))
    assert np.array_equal(back["value"], frame["value"], equal_nan=True)


def test_json_keeps_full_precision_nan_and_inf_and_says_what_columns_mean(frame):
    content = json.loads(tables.to_json(frame, "what it is"))
    assert content["about"] == "what it is"
    assert content["columns"] == meanings(frame.columns)
    values = [float(row["value"]) for row in content["rows"]]
    assert np.array_equal(values, NUMBERS, equal_nan=True)
    assert [row["value"] for row in content["rows"]][2:5] == ["nan", "inf", "-inf"]
    assert [row["step"] for row in content["rows"]] == list(range(7))


def test_parquet_keeps_nan_as_a_number_and_says_what_columns_mean(frame):
    from pyarrow import parquet

    table = parquet.read_table(io.BytesIO(tables.to_parquet(frame, "what it is")))
    column = table.column("value")
    assert column.null_count == 0
    assert np.array_equal(column.to_numpy(), NUMBERS, equal_nan=True)
    assert table.schema.metadata[b"about"] == b"what it is"
    assert table.schema.field("step").metadata[b"meaning"].decode() == meaning("step")


@pytest.mark.parametrize("form", tables.TABLE_FORMATS.values(), ids=lambda form: form.ending)
def test_an_empty_table_is_written_too(form):
    assert form.write(pd.DataFrame({"step": [], "value": []}), "")


def test_text_cells_and_names_cannot_become_formulas_and_numbers_are_left_alone():
    frame = pd.DataFrame({"=a": ["=1+1", "+x", "-x", "@x", "\tx", "hidden_1"], "value": [-1.0] * 6})
    lines = tables.to_csv(frame).decode().splitlines()
    assert [line.split(",")[0].strip('"') for line in lines] == [
        "'=a", "'=1+1", "'+x", "'-x", "'@x", "'\tx", "hidden_1",
    ]  # fmt: skip
    assert all(line.endswith("-1.0") for line in lines[1:])


@settings(deadline=None)  # how fast the machine is, is no matter of this
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20))
def test_any_numbers_come_back_to_the_last_bit(numbers):
    frame = pd.DataFrame({"value": np.array(numbers, dtype=float)})
    from_csv = [float(line) for line in tables.to_csv(frame).decode().split()[1:]]
    from_json = [float(row["value"]) for row in json.loads(tables.to_json(frame))["rows"]]
    from_parquet = pd.read_parquet(io.BytesIO(tables.to_parquet(frame)))["value"]
    for back in (from_csv, from_json, from_parquet):
        assert np.array_equal(np.asarray(back, dtype=float), frame["value"], equal_nan=True)


def test_every_column_of_every_table_of_a_run_is_documented():
    run = nnlab.load_run(STORED_RUN)
    frames = [run.metrics, run.histograms, layer_table(run, 300)]
    frames += [draw(name, run, 300, "light").make_table() for name in CHARTS]
    columns = {str(column) for frame in frames for column in frame.columns}
    assert {name for name in columns if not meaning(name)} == set()
