"""The page Paper figures, without a browser: every card, a run of its own, a link."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from boards import fresh_board
from small_papers import counting
from streamlit.testing.v1 import AppTest

from nnlab.job_board import JobBoard
from nnlab.paper import digits
from nnlab.paper_job import PaperJob
from nnlab.paper_result import stored_result
from nnlab.papers import PAPERS

SCRIPT = Path(__file__).parent.parent / "dashboard.py"
PAGE = "pages/8_Paper_figures.py"
PATIENCE = 60.0
QUICK = "glorot_weight_gradients"


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> JobBoard:
    return fresh_board(monkeypatch)


def opened(**query: str) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=PATIENCE)
    app.switch_page(PAGE)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def texts(app: AppTest) -> str:
    return "\n".join(element.value for element in (*app.markdown, *app.caption, *app.info, *app.text))


@pytest.fixture(scope="module")
def app() -> AppTest:
    return opened()


def chosen(app: AppTest) -> AppTest:
    return app.selectbox(key="papers_paper")


@pytest.mark.parametrize("name", PAPERS)
def test_every_card_says_claim_setup_notes_numbers_and_how_to_make_them_again(app, name):
    paper, result = PAPERS[name], stored_result(name)
    chosen(app).select(name).run()
    assert not app.exception
    said = texts(app).replace("\\", "").replace("\u2060", "")
    for words in (paper.claim, paper.setup, *paper.notes):
        assert words in said
    for check in paper.check(result.columns, result.settings):
        assert f"**{digits(check.measured)}**, published **{digits(check.published)}**" in said
        assert check.origin in said
    assert app.code[0].value == f"python -m nnlab papers --only {name}"
    charts = [chart.proto.id for chart in app.get("vega_lite_chart")]
    assert len(charts) == len(paper.charts(result.columns, "light"))
    assert app.query_params["paper"] == name


def test_the_list_names_every_paper_and_whether_it_came_out(app):
    table = next(frame.value for frame in app.dataframe if "reproduced" in frame.value)
    assert table["paper"].tolist() == [paper.source for paper in PAPERS.values()]
    assert set(table["reproduced"]) == {"✓ yes"}


def test_a_run_here_stands_beside_the_stored_one(app, board):
    chosen(app).select(QUICK).run()
    app.button(key="run_paper").click().run()
    job = board.get(app.query_params["papers_run"])
    assert isinstance(job, PaperJob)
    assert job.wait(PATIENCE)
    assert job.status == "completed", job.error
    app.run()
    assert not app.exception
    fresh = PAPERS[QUICK].check(job.result.columns, PAPERS[QUICK].small)
    said = texts(app)
    for check in fresh:
        assert f"run here **{digits(check.measured)}**" in said
    assert len(app.get("vega_lite_chart")) == 2
    chosen(app).select("makemore").run()
    assert "run here **" not in texts(app)


def test_a_run_can_be_stopped_and_says_so(monkeypatch, board):
    endless = counting(QUICK, steps=0)
    for field in ("check", "charts"):
        object.__setattr__(endless, field, getattr(PAPERS[QUICK], field))
    monkeypatch.setitem(PAPERS, QUICK, endless)
    app = opened(paper=QUICK)
    app.button(key="run_paper").click().run()
    give_up_at = time.monotonic() + PATIENCE
    job = board.get(app.query_params["papers_run"])
    while job.status != "running" and time.monotonic() < give_up_at:
        time.sleep(0.01)
    app.run()
    app.button(key="stop_paper").click().run()
    assert job.wait(PATIENCE)
    app.run()
    assert not app.exception
    assert "Stopped before the end" in texts(app)
    assert app.button(key="run_paper")


def test_a_link_to_a_lost_run_or_an_unknown_paper_is_said_and_nothing_breaks():
    app = opened(paper="hacked<b>", papers_run="AAAAAAAAAAAA")
    assert not app.exception
    assert chosen(app).value == next(iter(PAPERS))
    assert "no longer in memory" in texts(app)
    assert "Ignored paper: 'hacked<b>'" in texts(app)
