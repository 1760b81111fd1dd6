"""Pictures are drawn once for all who see the same: what is called the same must look the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

import pytest
import streamlit as st
from boards import fresh_board
from errands import settle
from streamlit.testing.v1 import AppTest
from test_lesson_pages import charts, contents, new_session

from nnlab.chart import Chart, records_of
from nnlab.charts import draw
from nnlab.config import ExperimentConfig
from nnlab.job_board import JobBoard
from nnlab.jobs import RunJob
from nnlab.presets import STORED_RUN
from nnlab.runfile import load_run
from pages.parts import (
    born_dead,
    chain_rule,
    collapse,
    drawing,
    figure,
    follow,
    measured,
    one_neuron,
    output_softmax,
    sevens,
    shapes,
)
from pages.parts.address import Choice

SMALL = {"width": "20", "depth": "3", "networks": "2", "dead_depth": "2", "dead_width": "3"}
# A page, what its link always says, and the modules of its sections: each draws from its own choices alone.
PAGES: dict[str, tuple[str, dict[str, str], tuple[Any, ...]]] = {
    "activations": (
        "pages/1_Activation_functions.py",
        {},
        (shapes, one_neuron, chain_rule, output_softmax),
    ),
    "nonlinearity": ("pages/2_Why_nonlinearity.py", {}, (collapse,)),
    "sevens": ("pages/3_Lighter_sevens.py", {}, (sevens, follow)),
    "initialization": ("pages/4_Initialization.py", SMALL, (drawing, measured, born_dead)),
}
TEXTS = {"widths": "8, 4"}


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobBoard]:
    """Give every test a board of its own, and keep nothing between them."""
    st.cache_resource.clear()
    yield fresh_board(monkeypatch)
    st.cache_resource.clear()


def another(choice: Choice, said: str | None) -> str | None:
    """Give another value than what the page would draw from, None where there is none to try."""
    field = choice.field
    now = field.parse(said) if said is not None else choice.default
    if field.kind == "integer":
        return str(now + 1 if field.high is None or now < field.high else now - 1)
    if field.kind == "number" and field.low is not None and field.high is not None:
        return str(now + (field.high - now) / 4 if now < field.high else (field.low + now) / 2)
    if field.kind == "choice":
        return next((option for option in field.options if option != now), None)
    if field.kind == "names":
        return str(field.options[0])
    if field.kind == "boolean":
        return "false" if now else "true"
    return TEXTS.get(field.name)


def links(page: str) -> Iterator[dict[str, str]]:
    """Give links that say each choice of a page differently once, one of every section at a time."""
    _, said, modules = PAGES[page]
    yield said
    for choices in zip_longest(*(module.CHOICES for module in modules)):
        values = {c.field.name: another(c, said.get(c.field.name)) for c in choices if c is not None}
        yield said | {name: value for name, value in values.items() if value is not None}


def visit(path: str, query: dict[str, str]) -> AppTest:
    page = new_session()
    page.query_params.update(query)
    page.switch_page(path).run()
    settle()
    page.run()
    assert not page.exception
    return page


def looks(chart: Chart) -> str:
    return repr((chart.spec, records_of(chart.frames), chart.title, chart.alt_text, chart.notes))


@pytest.mark.parametrize("page", PAGES)
def test_what_is_called_the_same_looks_the_same(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[tuple[str, str, str], str] = {}
    times = 0

    def title(name: str, same: str, mode: Any, make: Callable[[Any], Chart]) -> str:
        nonlocal times
        times += 1
        chart = make(mode)
        assert chart.name == name
        assert seen.setdefault((name, same, mode), looks(chart)) == looks(chart), (name, same)
        return chart.title

    monkeypatch.setattr(figure, "_title", title)
    for link in links(page):
        visit(PAGES[page][0], link)
    names = {name for name, _, _ in seen}
    assert times > len(seen) > len(names) > 1  # much was the same, and all choices together changed much


def test_the_second_visitor_of_a_page_gets_what_was_drawn_for_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for path in ("pages/1_Activation_functions.py", "pages/5_Compare.py", "dashboard.py"):
        first = contents(visit(path, {}))
        with monkeypatch.context() as patch:
            patch.setattr(figure, "_show", None)  # nothing can be drawn any more
            assert contents(visit(path, {})) == first
        assert len(first) > 4


def test_another_run_of_the_same_experiment_is_drawn_from_its_own_numbers() -> None:
    one, other = load_run(STORED_RUN), load_run(STORED_RUN)
    assert one.serial == one.serial != other.serial


def test_a_chart_is_not_shown_under_anothers_name() -> None:
    run = load_run(STORED_RUN)
    with pytest.raises(ValueError, match="'accuracy' is not the chart's name"):
        figure.picture(lambda mode: draw("loss", run, 0, mode), "", "", same=("accuracy", 1))


def test_what_is_kept_is_given_up_with_the_other_caches() -> None:
    visit("dashboard.py", {})
    st.cache_resource.clear()
    page = visit("dashboard.py", {})
    assert all(drawn is not None for drawn in charts(page).values())


def test_an_own_run_is_kept_too_and_none_of_it_is_seen_by_another_run(board: JobBoard) -> None:
    config = ExperimentConfig(depth=2, width=8, steps=20)
    jobs = [board.submit(RunJob(config=config.replace(seed=seed))) for seed in (1, 2)]
    assert all(job.wait(60) for job in jobs)
    one, other, again = (visit("dashboard.py", {"run": job.id}) for job in (jobs[0], jobs[1], jobs[0]))
    assert contents(one) == contents(again)
    mine, others = contents(one), contents(other)
    assert all(mine[name] != others[name] for name in ("delta_strip", "layer_norms", "loss"))
