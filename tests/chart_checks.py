"""What every chart owes its reader, checked in one place."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import vl_convert
from altair.vegalite.v6.schema.core import load_schema
from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for

from nnlab.chart import Chart, records_of
from nnlab.export import standalone_spec
from nnlab.palette import THEMES, Mode


@cache
def _vega_lite() -> Any:
    """Give the schema that Altair checks by, made ready once: Altair makes it ready for every check."""
    schema = load_schema()
    return validator_for(schema)(schema)


def with_few_rows(chart: Chart) -> Chart:
    """Leave out data: Vega-Lite allows any record, and it takes long to find that out of all of them."""
    return replace(chart, frames={name: frame.head(2) for name, frame in chart.frames.items()})


def assert_is_drawable(chart: Chart) -> None:
    """See that the picture is valid Vega-Lite and all its data are JSON."""
    json.dumps(records_of(chart.frames), allow_nan=False)
    drawn = {**chart.spec, "datasets": records_of(with_few_rows(chart).frames)}
    json.dumps(drawn, allow_nan=False)
    assert best_match(_vega_lite().iter_errors(drawn)) is None, chart.name


def assert_charts_explain_themselves(charts: Sequence[Chart], mode: Mode) -> None:
    assert len({chart.name for chart in charts}) == len(charts)
    for chart in charts:
        assert chart.spec["config"]["background"] == THEMES[mode].background
        assert chart.spec["width"] == "container"
        assert chart.title
        assert len(chart.how_to_read) > 100
        assert re.search(r"\d", chart.alt_text)
        assert len(chart.make_table())
        assert sum(map(len, chart.frames.values())) < 1000
        drawn = standalone_spec(chart, "")
        json.dumps(drawn, allow_nan=False)
        assert vl_convert.vegalite_to_svg(drawn).count("<path") > 3
