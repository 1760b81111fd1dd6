"""What every chart of a lesson owes its reader, checked in one place."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import vl_convert

from nnlab.chart import Chart
from nnlab.export import standalone_spec
from nnlab.palette import THEMES, Mode


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
