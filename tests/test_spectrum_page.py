"""The sections on directions and on dead networks, without a browser."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from errands import run_and_settle, settle
from streamlit.testing.v1 import AppTest
from waiting import wait_until

from nnlab.born_dead_curves import draw_curves
from nnlab.errands import ERRANDS
from nnlab.jacobian import draw_spectra
from pages.parts import born_dead, first_sight

SCRIPT = Path(__file__).parent.parent / "dashboard.py"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(first_sight, "PAINT_SECONDS", 0.0)


def both_sections():
    from pages.parts import born_dead, drawing, spectrum
    from pages.parts.address import Address

    address = Address("initialization", *drawing.CHOICES, *born_dead.CHOICES)
    spectrum.section(address)
    born_dead.section(address)


def visit(**query):
    page = AppTest.from_function(both_sections, default_timeout=60)
    page.query_params.update({name: str(value) for name, value in query.items()})
    return run_and_settle(page)


def texts(page):
    return " ".join(element.value for element in (*page.markdown, *page.caption))


def test_the_page_holds_both_sections():
    page = AppTest.from_file(SCRIPT, default_timeout=60).switch_page("pages/4_Initialization.py").run()
    assert not page.exception
    anchors = [header.anchor for header in page.subheader]
    assert [anchor for anchor in anchors if anchor in ("spectrum", "born-dead")] == ["spectrum", "born-dead"]
    assert "probability 0.94" in texts(page)
    assert page.query_params["dead_depth"] == "10"


def test_other_shapes_of_dead_networks():
    page = visit(depth=3, width=4)
    assert len(page.get("vega_lite_chart")) == 3
    page.slider(key="initialization_dead_width").set_value(5).run()
    page.slider(key="initialization_dead_depth").set_value(40).run()
    assert not page.exception
    assert "40 layers deep and 5 wide is born dead with probability 0.72" in texts(page)  # 1 - (31/32)^40
    assert "chosen above, 3 layers deep and 4 wide, would be born dead with probability 0.18" in texts(page)


def test_what_is_awaited_has_its_place(monkeypatch):
    is_open = threading.Event()
    monkeypatch.setattr(
        "nnlab.jacobian.draw_spectra", lambda *given: [is_open.wait(60), draw_spectra(*given)][1]
    )
    page = AppTest.from_function(both_sections, default_timeout=60)
    page.query_params.update({"depth": "2", "seed": "5"})
    page.run()
    assert "Drawing networks ..." in texts(page)
    assert len(page.get("skeleton")) == 1
    assert len(page.get("vega_lite_chart")) == 2
    is_open.set()
    settle()
    page.run()
    assert "Drawing networks" not in texts(page)
    assert not page.get("skeleton")
    assert len(page.get("vega_lite_chart")) == 3


def test_nobody_waits_for_dead_networks_to_be_drawn(monkeypatch):
    is_open = threading.Event()
    monkeypatch.setattr(
        born_dead, "draw_curves", lambda ends, told: [told(7), is_open.wait(60), draw_curves(ends, told)][2]
    )
    ERRANDS.forget()
    page = AppTest.from_function(both_sections, default_timeout=60)
    page.query_params.update({"depth": "2", "dead_depth": "30"})
    page.run()
    assert "by the published bounds." in texts(page)
    assert "Dots follow once drawn" in texts(page)
    assert len(page.get("vega_lite_chart")) == 2
    wait_until(lambda: ERRANDS._to_do["born dead", (50,)].progress == 7)
    page.run()
    assert "Drawing networks ... 7 of 16" in texts(page)  # two depths are below 50: one end of the pictures
    is_open.set()
    settle()
    page.run()
    assert "of 1,000 drawn ones it is" in texts(page)
    assert "Dots follow" not in texts(page)
    assert "Drawing networks" not in texts(page)


@pytest.mark.parametrize(
    ("query", "word", "charts"),
    [
        ({"initializer": "zeros"}, "weights are 0", 2),
        ({"activation": "step", "residual": "true"}, "slope is 0 everywhere", 2),
        ({"activation": "relu", "gain": "1e200", "depth": 3}, "float64", 2),
        ({"initializer": "lsuv", "activation": "softplus", "depth": 3}, "LSUV is drawn", 3),
        ({"width": 1, "depth": 1, "normalization": "batch", "activation": "identity"}, "one hidden layer", 3),
        ({"width": 1024, "depth": 100}, "needs", 3),
    ],
)  # fmt: skip
def test_no_choice_leaves_a_blank(query, word, charts):
    page = visit(**query)
    assert not page.exception
    assert len(page.get("vega_lite_chart")) == charts
    if word != "needs":  # the widgets above say what is not allowed; the default is drawn
        assert word in texts(page)
