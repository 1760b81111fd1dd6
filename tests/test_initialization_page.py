"""The section on drawn networks of the initialization page, without a browser."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from errands import run_and_settle, settle
from streamlit.testing.v1 import AppTest
from test_lesson_pages import charts, complaints, components, frames, texts

from nnlab.drawn import draw
from nnlab.ensemble import HOSTED_MAX_WORK, Ensemble, networks_allowed
from nnlab.errands import Told
from nnlab.hosting import HOSTED_MEMORY_LIMIT, HOSTED_VARIABLE
from nnlab.random_network import RandomNetwork
from pages.parts import first_sight, measured
from pages.parts.drawing import DEFAULT

SCRIPT = Path(__file__).parent.parent / "dashboard.py"
PAGE = "pages/4_Initialization.py"
NAMES = ("initial_gradient", "initial_spread", "initial_saturation", "initial_likeness")
SMALL = {"width": "20", "depth": "3", "networks": "2"}


def begun(**query: str) -> AppTest:
    """Open the page; what it has drawn in the background may not be there yet."""
    page = AppTest.from_file(SCRIPT, default_timeout=60)
    page._bidi_component_manager = components()
    page.query_params.update(query)
    page = page.switch_page(PAGE).run()
    assert not page.exception
    return page


def visit(**query: str) -> AppTest:
    page = begun(**query)
    settle()
    page.run()
    assert not page.exception
    return page


@cache
def small() -> AppTest:
    return visit(**SMALL)


def test_it_opens_with_verdict_facts_pictures_and_the_comparison():
    page = small()
    assert not complaints(page)
    words = texts(page)
    assert "Vanishing" in words
    assert "layer 1 gets" in words
    assert [metric.label for metric in page.metric][:2] == ["Forward gain", "Backward gain"]
    assert set(NAMES) <= set(charts(page))
    rows = frames(charts(page)["initial_gradient"])["rows"]
    assert rows["networks"].tolist() == [2.0] * 3
    assert measured.AWAITED not in words
    assert "All 2 networks are drawn." in words
    table = page.dataframe[0].value
    assert len(table) == 5
    assert "agree" in table.loc[0, "Verdict"] or "close" in table.loc[0, "Verdict"]
    assert page.query_params["networks"] == "2"


def test_trying_the_cure_sets_the_gain_of_the_widgets_and_heals():
    page = visit(activation="tanh", initializer="xavier_uniform", gain="0.3", **SMALL | {"depth": "5"})
    assert "Vanishing" in texts(page)
    assert len([button for button in page.button if button.key == "try_initial"]) == 1
    page = page.button(key="try_initial").click().run()
    assert not page.exception
    # sigma_w of Xavier in equal layers is 1, and so is tanh's edge of chaos without biases
    assert page.number_input(key="initialization_gain").value == 1.0
    assert page.query_params["gain"] == "1.0"
    assert "Healthy" in texts(page)
    assert "try_initial" not in {button.key for button in page.button}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"activation": "step"}, "slope of Step is 0"),
        ({"initializer": "zeros"}, "all are 0"),
        ({"activation": "relu", "initializer": "kaiming_normal", "gain": "1e19"}, "Not finite"),
        ({"initializer": "lsuv", "activation": "gelu", "depth": "1"}, "One hidden layer"),
        ({"normalization": "batch", "activation": "relu", "residual": "true", "width": "1"}, "layer 1 gets"),
    ],
)
def test_nothing_too_much_and_no_rule_are_said_not_raised(query, words):
    page = visit(**SMALL | query)
    assert words in texts(page)
    assert set(NAMES) <= set(charts(page))


def test_theory_stands_while_networks_are_drawn(monkeypatch):
    is_open = threading.Event()
    monkeypatch.setattr("nnlab.drawn.draw", lambda *given: [is_open.wait(60), draw(*given)][1])
    page = begun(seed="31", **SMALL)
    is_open.set()
    words, found = texts(page), charts(page)
    assert "Drawing networks ... 0 of 2" in words
    assert words.count(measured.AWAITED) == len(NAMES)
    assert set(NAMES) <= set(found)
    assert frames(found["initial_gradient"])["rows"].empty
    assert len(frames(found["initial_gradient"])["theory"]) == 3
    assert not [table for table in page.dataframe if table.key == "agreement"]
    settle()
    page.run()
    assert frames(charts(page)["initial_gradient"])["rows"]["networks"].tolist() == [2.0] * 3
    assert "Drawing networks" not in texts(page)


def test_what_takes_long_is_drawn_less_often_and_what_needs_memory_on_a_server_not_at_all(monkeypatch):
    drawn = []

    def noted(network: RandomNetwork, count: int, told: Told) -> Ensemble:
        drawn.append((network.config.width, count))
        return draw(network, count, told)

    monkeypatch.setattr("nnlab.drawn.draw", noted)
    monkeypatch.setattr(measured, "MAX_WORK", 60e9)
    page = begun(width="1024", depth="12", networks="5")
    assert "Networks of this size take long: 1 of 5 are drawn. Drawing networks ... 0 of 1" in texts(page)
    settle()
    assert drawn == [(1024, 1)]
    page.run()
    assert "Networks of this size take long: 1 of 5 are drawn.\n" in texts(page)
    monkeypatch.setenv(HOSTED_VARIABLE, "1")
    page = page.run()
    assert not page.exception
    assert len(drawn) == 1
    (said,) = complaints(page)
    assert said.startswith("Width: 1024 with depth 12 needs")
    assert "at most 64 MB" in said
    assert frames(charts(page)["initial_gradient"])["rows"].empty
    assert not [table for table in page.dataframe if table.key == "agreement"]


def test_what_a_drawing_fails_with_is_said_and_the_next_one_is_tried_anew(monkeypatch):
    is_open = threading.Event()

    def fail(*given: object) -> None:
        assert is_open.wait(60)
        raise MemoryError("no room for the weights")

    with monkeypatch.context() as patched:
        patched.setattr("nnlab.drawn.draw", fail)
        page = begun(seed="32", **SMALL)
        is_open.set()
        settle()
        page.run()
    assert len(page.exception) == 1
    page = run_and_settle(page)
    assert not page.exception
    assert "All 2 networks are drawn." in texts(page)


def test_the_default_network_is_drawn_twenty_times():
    assert (DEFAULT.activation, DEFAULT.depth, DEFAULT.width) == ("sigmoid", 10, 100)
    (choice,) = measured.CHOICES
    assert (choice.field.name, choice.default) == ("networks", 20)


def test_all_networks_of_the_default_are_drawn_on_a_public_server_too():
    (choice,) = measured.CHOICES
    config = DEFAULT
    allowed = networks_allowed(config, choice.default, memory=HOSTED_MEMORY_LIMIT, work=HOSTED_MAX_WORK)
    assert allowed == choice.default


def test_a_new_tab_paints_two_charts_then_two_and_a_page_from_the_menu_all_four(monkeypatch):
    waited: list[int] = []
    sleep = SimpleNamespace(sleep=lambda seconds: waited.append(len(charts_drawn)))
    charts_drawn: list[str] = []
    monkeypatch.setattr(first_sight, "time", sleep)
    show = measured.picture

    def count(*given: object, **others: object) -> None:
        charts_drawn.append("")
        show(*given, **others)

    monkeypatch.setattr(measured, "picture", count)
    page = begun(**SMALL)
    assert waited == [2, 4]
    page.run()
    assert waited == [2, 4]
    waited.clear(), charts_drawn.clear()
    page = AppTest.from_file(SCRIPT, default_timeout=60)
    page._bidi_component_manager = components()
    page.run()
    page.query_params.update(SMALL)
    page.switch_page(PAGE).run()
    assert waited == [4]


def test_networks_are_drawn_once_for_all_visitors(monkeypatch):
    visit(**SMALL)
    monkeypatch.delattr("nnlab.drawn.draw")
    page = begun(**SMALL)
    assert frames(charts(page)["initial_gradient"])["rows"]["networks"].tolist() == [2.0] * 3
    assert measured.AWAITED not in texts(page)
