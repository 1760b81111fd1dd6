"""Every explanation and every choice of files of a page, opened at once: none is in another's way."""

from __future__ import annotations

import os
from pathlib import Path

import browsing
import pytest
from raw_visitor import visit
from streamlit.testing.v1 import AppTest
from test_lesson_pages import charts, components

from pages.parts import first_sight

CHART = "vega_lite_chart"
SCRIPT = Path(__file__).parent.parent / "dashboard.py"


@pytest.mark.parametrize("page", ["4_Initialization", "5_Compare", "6_Sweep", "8_Paper_figures"])
def test_all_files_and_explanations_can_be_open_together(page, monkeypatch):
    monkeypatch.setattr(first_sight, "PAINT_SECONDS", 0.0)
    shown = AppTest.from_file(SCRIPT, default_timeout=60)
    shown._bidi_component_manager = components()
    shown.query_params.update({"width": "16", "depth": "3"} if page == "4_Initialization" else {})
    shown = shown.switch_page(f"pages/{page}.py").run()
    names = list(charts(shown))
    assert names
    closed = len(shown.get("download_button"))
    for name in names:
        shown.session_state[f"help_{name}"] = shown.session_state[f"download_{name}"] = True
    shown = shown.run()
    assert not shown.exception
    assert len(shown.get("download_button")) >= closed + 5 * len(names)


def test_a_popover_that_opens_draws_no_chart_anew():
    with browsing.serve(browsing.ROOT, dict(os.environ)) as (address, _), visit(address) as visitor:
        assert visitor.run(page="Compare")
        assert visitor.kinds.count(CHART) == 10
        for key in ("help_overlay_loss", "download_overlay_loss", "share"):
            (popover,) = [found for found in visitor.widgets if found.endswith(f"-{key}")]
            fragment = visitor.fragments[popover]
            with_this = {popover: ("bool_value", True)}
            assert visitor.run(fragment=fragment, **with_this)
            assert not visitor.trouble
            assert popover in visitor.widgets
            assert CHART not in visitor.kinds
            assert visitor.run(page="Compare")
