"""The page of sweeps, without a browser: first sight, links, start, stop, what is found, the lab."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from boards import fresh_board
from streamlit.testing.v1 import AppTest

from nnlab import hosting, sweep_job
from nnlab.job_board import JobBoard
from nnlab.sweep_job import SweepJob
from nnlab.sweep_presets import SWEEP_PRESETS

SCRIPT = Path(__file__).parent.parent / "dashboard.py"
PAGE = "pages/6_Sweep.py"
PATIENCE = 60.0
SMALL = {
    "dataset": "iris", "width": "8", "depth": "2", "batch_size": "16", "steps": "20", "vary": "activation",
    "values": "relu,tanh", "vary_too": "nothing", "values_too": "", "seeds": "2",
}  # fmt: skip


@pytest.fixture(autouse=True)
def board(monkeypatch):
    fresh = fresh_board(monkeypatch)
    monkeypatch.setattr(sweep_job, "pace", lambda: 1.0)
    monkeypatch.delenv(hosting.HOSTED_VARIABLE, raising=False)
    yield fresh
    for job in fresh.jobs():
        job.stop()
        assert job.wait(PATIENCE)


def visit(query: dict[str, str] | None = None) -> AppTest:
    page = AppTest.from_file(SCRIPT, default_timeout=60)
    page.query_params.update(query or {})
    return page.switch_page(PAGE).run()


def said(page: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "text")
    return "\n".join(element.value for kind in kinds for element in getattr(page, kind))


def until_done(page: AppTest, board: JobBoard) -> AppTest:
    (job,) = board.jobs()
    assert job.wait(PATIENCE)
    return page.run()


def test_first_sight_has_a_finding_a_picture_a_table_and_a_way_to_the_lab():
    page = visit()
    assert not page.exception
    assert "Tanh **up to 20**" in said(page)
    assert len(page.get("vega_lite_chart")) == 1
    assert len(page.dataframe[0].value) == 75
    assert "75 runs: about" in said(page)
    assert page.selectbox(key="sweep_preset").value == next(iter(SWEEP_PRESETS))
    link = page.get("page_link")[0].proto
    assert "depth=2" in link.query_string
    assert "run=" in link.query_string


def test_a_sweep_is_trained_shown_and_not_trained_twice(board):
    page = visit(SMALL)
    assert "4 runs: about 1 s." in said(page)
    page.button(key="start_sweep").click().run()
    page = until_done(page, board)
    assert not page.exception
    assert "4 runs, all finished already." in said(page)
    assert "2 values of activation, 2 seeds" in said(page)
    assert sorted(page.dataframe[0].value["activation"]) == ["relu", "relu", "tanh", "tanh"]
    # Two more seeds: the first ones are kept.
    page.slider(key="sweep_seeds").set_value(4).run()
    assert "8 runs, 4 of them finished already" in said(page)
    assert "Below is an earlier sweep" in said(page)


@pytest.mark.parametrize("seeds", ["1", "3"])
def test_a_grid_of_a_single_value_is_a_sweep_too(board, seeds):
    page = visit({**SMALL, "values": "relu", "seeds": seeds})
    page.button(key="start_sweep").click().run()
    page = until_done(page, board)
    assert not page.exception
    assert len(page.dataframe[0].value) == int(seeds)
    assert "over seed**" in said(page)


def test_a_reload_finds_the_sweep_by_its_address(board):
    page = visit(SMALL)
    page.button(key="start_sweep").click().run()
    page = until_done(page, board)
    name = page.query_params["sweep_run"]
    again = visit({**SMALL, "sweep_run": name[0] if isinstance(name, list) else name})
    assert "4 runs, all finished already." in said(again)
    lost = visit({**SMALL, "sweep_run": "a" * 12})
    assert "no longer in memory" in said(lost)


def test_stop_ends_a_long_sweep_and_offers_to_go_on(board):
    page = visit({**SMALL, "dataset": "digits", "depth": "60", "width": "64", "steps": "5000"})
    page.button(key="start_sweep").click().run()
    (job,) = board.jobs()
    assert isinstance(job, SweepJob)
    end = time.monotonic() + PATIENCE
    while job.status != "running":
        assert time.monotonic() < end
        time.sleep(0.01)
    page.run()
    page.button(key="stop_sweep").click().run()
    assert job.wait(PATIENCE)
    assert job.status == "stopped"
    page.run()
    assert "Start goes on with the others" in said(page)
    assert page.button(key="start_sweep")


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"vary": "depth", "values": "2,x"}, "Grid: depth: 'x' is not allowed; allowed: a whole number"),
        ({"vary": "depth", "values": "2,2"}, "Grid: depth 2 is there twice; name it once."),
        ({"vary": "depth", "values": ""}, "a field without values, so no cells"),
        ({"vary_too": "activation", "values_too": "gelu"}, "Grid: activation is there twice"),
        ({"vary": "depth", "values": ",".join(map(str, range(1, 101))), "vary_too": "width", "seeds": "10",
          "values_too": "1,2,3"}, "3,000 cells; allowed on this page: at most 2,000"),
        ({"steps": "20000", "depth": "100", "width": "512", "seeds": "10"}, "at most 60 min"),
    ],
)  # fmt: skip
def test_a_wrong_grid_is_refused_in_one_sentence_and_cannot_be_started(changed, complaint):
    page = visit({**SMALL, **changed})
    assert not page.exception
    assert complaint in said(page)
    assert page.button(key="start_sweep").disabled


def test_a_link_cannot_make_it_read_a_file_or_say_markup():
    page = visit({"dataset": "csv", "csv_path": "/etc/passwd", "values": "relu,<b>x</b>"})
    assert not page.exception
    assert "Ignored dataset: 'csv' is not allowed" in said(page)
    assert "no such choice" in said(page)
    hostile = [element.value for element in (*page.markdown, *page.caption, *page.info)]
    assert not [text for text in hostile if "<b>" in text]


def test_a_question_sets_everything_and_a_field_brings_values_along():
    page = visit()
    question = list(SWEEP_PRESETS)[2]
    page.selectbox(key="sweep_preset").set_value(question).run()
    assert page.selectbox(key="sweep_vary").value == "optimizer"
    # Its answer is kept, so that nobody waits for it.
    assert "**Which learning rate trains**" in said(page)
    assert len(page.dataframe[0].value) == 72
    assert "72 runs: about" in said(page)
    page.selectbox(key="sweep_vary_too").set_value("width").run()
    assert page.text_input(key="sweep_values_too").value == "8,16,32,64"
    assert page.selectbox(key="sweep_preset").value is None
    assert "36 runs: about" in said(page)


def test_the_lab_s_network_is_taken_over():
    page = AppTest.from_file(SCRIPT, default_timeout=60)
    page.query_params.update({"depth": "7", "width": "24", "activation": "elu", "steps": "40"})
    page.run()
    page.query_params.clear()
    page.switch_page(PAGE).run()
    page.button(key="sweep_from_lab").click().run()
    page.selectbox(key="sweep_vary_too").set_value("nothing").run()
    assert not page.exception
    assert (page.number_input(key="sweep_width").value, page.number_input(key="sweep_depth").value) == (24, 7)
    assert page.number_input(key="sweep_steps").value == 40


def test_one_field_is_drawn_as_dots_and_any_number_can_be_shown():
    page = visit()
    page.selectbox(key="sweep_metric").set_value("steps_to_90").run()
    page.selectbox(key="sweep_down").set_value("nothing").run()
    assert not page.exception
    assert "**Steps to 90% over depth**" in said(page)
    page.selectbox(key="sweep_at_depth").set_value(40).run()
    assert "depth=40" in page.get("page_link")[0].proto.query_string
