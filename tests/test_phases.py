"""The section on order and chaos, without a browser: clicks, sliders, the way to criticality."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from errands import settle
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest

from pages.parts.click import newest

SCRIPT = Path(__file__).parent.parent / "dashboard.py"
A, B, C = ({"x": float(n), "y": 0.5} for n in range(3))


def visit(**query: str) -> AppTest:
    page = AppTest.from_file(SCRIPT, default_timeout=60)
    page.query_params.update({"width": "16", "initializer": "lecun_normal", **query})
    return page.switch_page("pages/4_Initialization.py").run()


def said(page: AppTest, name: str) -> Any:
    (text,) = (
        page.query_params[name] if isinstance(page.query_params[name], list) else [page.query_params[name]]
    )
    return text


def texts(page: AppTest) -> str:
    return "\n".join(element.value for element in (*page.markdown, *page.caption, *page.text))


def click(page: AppTest, chart: str, *places: dict[str, float]) -> AppTest:
    """Let the browser say what is selected in a chart, as it does with every later change too."""
    drawn = next(block for block in page.get("vega_lite_chart") if block.proto.id.endswith(f"vega_{chart}"))
    states = page._tree.get_widget_states()
    value = json.dumps({"selection": {"click": list(places)}})
    states.widgets.append(WidgetState(id=drawn.proto.id, string_value=value))
    return page._run(states)


@pytest.mark.parametrize(
    ("before", "now", "place"),
    [
        ([], [A], A),
        ([A], [A, B], B),
        ([A, B], [A], B),
        ([A, B], [A, B], None),
        ([A], [B], B),
        ([A, B, C], [], C),
        ([], [], None),
    ],
)
def test_a_click_adds_a_place_or_takes_it_away(before, now, place):
    assert newest(before, now) == place


def test_the_button_makes_the_network_critical():
    page = visit(activation="tanh", sigma_b="0.2")
    assert not page.exception
    page.button(key="phases_critical").click().run()
    assert float(said(page, "gain")) == pytest.approx(1.30415, abs=5e-6)  # definitions, critical points
    assert said(page, "sigma_b") == "0.2"
    assert "on the edge of chaos" in texts(page)
    assert page.button(key="phases_critical").disabled


def test_a_click_moves_the_network_once_and_other_widgets_keep_it_where_they_put_it():
    page = click(visit(activation="tanh"), "phase_map", {"x": 1.5, "y": 0.25})
    assert (said(page, "gain"), said(page, "sigma_b")) == ("1.5", "0.25")
    assert page.number_input(key="initialization_gain").value == 1.5
    assert page.slider(key="phases_sigma_w").value == 1.5
    page.slider(key="phases_sigma_w").set_value(2.0)
    click(page, "phase_map", {"x": 1.5, "y": 0.25})
    assert (said(page, "gain"), said(page, "sigma_b")) == ("2.0", "0.25")
    click(page, "phase_map")  # a second click on the same place
    assert (said(page, "gain"), said(page, "sigma_b")) == ("1.5", "0.25")
    click(page, "depth_map", {"x": 0.5, "y": 40})
    assert (said(page, "gain"), said(page, "sigma_b"), said(page, "depth")) == ("0.5", "0.25", "40")
    assert not page.exception


def test_sliders_move_one_number_each_and_what_cannot_be_is_refused():
    page = visit(activation="relu", gain="1.2", sigma_b="0.3")
    page.slider(key="phases_sigma_b").set_value(0.5).run()
    assert (said(page, "gain"), said(page, "sigma_b")) == ("1.2", "0.5")
    page.slider(key="phases_sigma_w").set_value(0.0).run()
    assert said(page, "gain") == "1.2"
    assert "Sigma_w: 0.0 is not allowed; allowed: a number above 0" in texts(page)
    page.run()
    assert "not allowed" not in texts(page)
    assert page.button(key="phases_critical").disabled
    page.button(key="phases_nearest").click().run()
    assert said(page, "sigma_b") == "0.0"
    assert float(said(page, "gain")) ** 2 == pytest.approx(2)


def test_where_there_is_no_point_or_no_criticality_it_is_said():
    page = visit(activation="step", initializer="lsuv", residual="true")
    for activation, initializer, words in (
        ("step", "lsuv", "no point of the map"),
        ("softplus", "zeros", "all weights are 0"),
        ("step", "pytorch_default", "Nothing passes"),
        ("softplus", "pytorch_default", "has no sigma\\_w with chi = 1"),
    ):
        page.selectbox(key="initialization_activation").set_value(activation)
        page.selectbox(key="initialization_initializer").set_value(initializer).run()
        assert not page.exception
        assert words in texts(page)
        assert "leaves out residual connections" in texts(page)
        assert page.button(key="phases_critical").disabled
        drawn = {chart.key for chart in page.get("vega_lite_chart")}
        assert drawn >= {"vega_phase_map", "vega_depth_map"}


def test_a_gain_beyond_all_maps_has_a_way_back():
    page = visit(activation="tanh", gain="1e30")
    assert not page.exception
    assert "too large for the map" in texts(page)
    page.button(key="phases_critical").click().run()
    assert said(page, "gain") == "1.0"


def test_the_maps_are_drawn_after_theory_and_first_where_the_point_was_moved(monkeypatch):
    order: list[str] = []

    def noted(name: str, of: str) -> None:
        draw = getattr(importlib.import_module(of), name)
        monkeypatch.setattr(f"{of}.{name}", lambda *given: [order.append(name), draw(*given)][1])

    page = visit(depth="3", networks="1", activation="tanh", seed="77")
    settle()
    noted("phase_chart", "nnlab.phase_charts")
    noted("facts", "nnlab.theory_facts")
    noted("await_errand", "pages.parts.ensembles")
    page.slider(key="phases_sigma_w").set_value(1.25).run()
    assert order == ["phase_chart", "facts", "await_errand"]
    page.slider(key="initialization_depth").set_value(4).run()
    assert order[3:] == ["facts", "phase_chart", "await_errand"]
    settle()
