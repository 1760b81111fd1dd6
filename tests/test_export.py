"""Exports: real SVG and PNG, full precision CSV, safe cells and names."""

from __future__ import annotations

import io
import math
import struct

import numpy as np
import pandas as pd
import pytest

import nnlab
from nnlab import export
from nnlab.charts import CHARTS, draw
from nnlab.presets import STORED_RUN


@pytest.fixture(scope="module")
def stored():
    return nnlab.load_run(STORED_RUN)


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_becomes_svg_with_title_and_configuration(stored, name):
    chart = draw(name, stored, 300, "light")
    svg = export.to_svg(chart, stored.title).decode()
    assert svg.startswith("<svg")
    assert chart.title.split(",")[0] in svg
    assert "10 x 64 sigmoid" in svg
    assert "http://" not in svg.replace("http://www.w3.org", "")


def test_png_is_twice_as_wide_for_slides(stored):
    png = export.to_png(draw("loss", stored, 300, "dark"), stored.title)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width = struct.unpack(">I", png[16:20])[0]
    assert width >= 2 * export.WIDTH


def test_csv_keeps_full_precision_nan_and_inf():
    frame = pd.DataFrame({"value": [0.1 + 0.2, 2.0**-1074, math.nan, math.inf, -1.5], "layer": list("abcde")})
    back = pd.read_csv(io.BytesIO(export.to_csv(frame)))
    assert np.array_equal(back["value"], frame["value"], equal_nan=True)


def test_text_cells_cannot_become_formulas_and_numbers_are_left_alone():
    frame = pd.DataFrame({"layer": ["=1+1", "+x", "-x", "@x", "\tx", "hidden_1"], "value": [-1.0] * 6})
    lines = export.to_csv(frame).decode().splitlines()
    assert [line.split(",")[0].strip('"') for line in lines[1:]] == [
        "'=1+1", "'+x", "'-x", "'@x", "'\tx", "hidden_1",
    ]  # fmt: skip
    assert all(line.endswith("-1.0") for line in lines[1:])


def test_file_names_tell_what_is_inside_and_hold_no_path(stored):
    assert export.file_stem(stored.label, "delta_norm") == "digits-10x64-sigmoid-seed0-delta_norm"
    hostile = nnlab.Run(None, "completed", stored.layers, stored.records, {"model": "../../etc/passwd\0"})
    assert "/" not in export.file_stem(hostile.label, "loss")
    assert not export.file_stem(hostile.label, "loss").startswith(".")
