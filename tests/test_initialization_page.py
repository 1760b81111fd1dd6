"""The section on drawn networks of the initialization page, without a browser."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest
from test_lesson_pages import charts, complaints, components, frames, texts

from nnlab.ensemble import Told
from nnlab.hosting import HOSTED_VARIABLE
from nnlab.random_network import RandomNetwork
from pages.parts import ensembles, first_sight, measured
from pages.parts.drawing import DEFAULT

SCRIPT = Path(__file__).parent.parent / "dashboard.py"
PAGE = "pages/4_Initialization.py"
NAMES = ("initial_gradient", "initial_spread", "initial_saturation", "initial_likeness")
SMALL = {"width": "20", "depth": "3", "networks": "2"}


def visit(**query: str) -> AppTest:
    page = AppTest.from_file(SCRIPT, default_timeout=60)
    page._bidi_component_manager = components()
    page.query_params.update(query)
    page = page.switch_page(PAGE).run()
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


def test_what_takes_long_is_drawn_less_often_and_what_needs_memory_on_a_server_not_at_all(monkeypatch):
    drawn = []

    def draw(network: RandomNetwork, count: int, told: Told) -> None:
        told(0)
        drawn.append((network.config.width, count))
        raise InterruptedError

    monkeypatch.setattr("nnlab.drawn.draw", draw)
    page = AppTest.from_file(SCRIPT, default_timeout=60)
    page._bidi_component_manager = components()
    page.query_params.update({"width": "1024", "depth": "12", "networks": "5"})
    page = page.switch_page(PAGE).run()
    assert drawn == [(1024, 1)]
    assert "Networks of this size take long: 1 of 5 are drawn. Drawing networks ... 0 of 1" in texts(page)
    # What theory says stands before.
    found = charts(page)
    assert set(NAMES) <= set(found)
    assert frames(found["initial_gradient"])["rows"].empty
    assert len(frames(found["initial_gradient"])["theory"]) == 12
    assert texts(page).count(measured.AWAITED) == len(NAMES)
    monkeypatch.setenv(HOSTED_VARIABLE, "1")
    page = page.run()
    assert not page.exception
    assert len(drawn) == 1
    (said,) = complaints(page)
    assert said.startswith("Width: 1024 with depth 12 needs")
    assert "at most 64 MB" in said
    assert frames(charts(page)["initial_gradient"])["rows"].empty
    assert not [table for table in page.dataframe if table.key == "agreement"]


def test_the_default_network_is_drawn_twenty_times():
    assert (DEFAULT.activation, DEFAULT.depth, DEFAULT.width) == ("sigmoid", 10, 100)
    (choice,) = measured.CHOICES
    assert (choice.field.name, choice.default) == ("networks", 20)


def test_a_new_tab_paints_two_charts_then_two_and_a_page_from_the_menu_all_four(monkeypatch):
    waited: list[int] = []
    sleep = SimpleNamespace(sleep=lambda seconds: waited.append(len(charts_drawn)))
    charts_drawn: list[str] = []
    monkeypatch.setattr(first_sight, "time", sleep)
    show = measured.picture
    monkeypatch.setattr(measured, "picture", lambda *given: [charts_drawn.append(""), show(*given)][1])
    ensembles.drawn(network_of_small(), 2)  # what is not drawn yet comes in two steps
    page = visit(**SMALL)
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
    ensembles.drawn(network_of_small(), 2)
    monkeypatch.delattr("nnlab.drawn.draw")
    page = visit(**SMALL)
    assert frames(charts(page)["initial_gradient"])["rows"]["networks"].tolist() == [2.0] * 3
    ensembles.forget()
    with pytest.raises(ImportError):
        ensembles.drawn(network_of_small(), 2)


def test_who_breaks_off_a_drawing_leaves_nothing_and_ends_the_turn():
    heard: list[int] = []

    def told(number: int) -> None:
        heard.append(number)
        if number == 1:
            raise InterruptedError

    ensembles.forget()
    with pytest.raises(InterruptedError):
        ensembles.drawn(network_of_small(), 3, told)
    assert heard == [0, 1]
    assert ensembles.kept(network_of_small(), 3) is None
    ensemble = ensembles.drawn(network_of_small(), 3)
    assert len(ensemble.seeds) == 3
    assert ensembles.drawn(network_of_small(), 3) is ensemble


def test_the_ensembles_asked_for_last_are_kept():
    ensembles.forget()
    first = ensembles.drawn(network_of_small(0), 1)
    for seed in range(1, ensembles.MOST_KEPT):
        ensembles.drawn(network_of_small(seed), 1)
    assert ensembles.drawn(network_of_small(0), 1) is first
    ensembles.drawn(network_of_small(ensembles.MOST_KEPT), 1)
    assert ensembles.kept(network_of_small(0), 1) is first
    assert ensembles.kept(network_of_small(1), 1) is None


def network_of_small(seed: int = 0) -> RandomNetwork:
    return RandomNetwork(DEFAULT.replace(width=20, depth=3, seed=seed))
