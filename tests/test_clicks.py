"""A click that comes while a job is being begun: the job is seen, can be stopped, and is begun once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.runtime.scriptrunner_utils.exceptions import RerunException
from streamlit.runtime.scriptrunner_utils.script_requests import RerunData
from streamlit.runtime.scriptrunner_utils.script_run_context import get_script_run_ctx
from streamlit.runtime.state.safe_session_state import SafeSessionState
from streamlit.testing.v1 import AppTest

from nnlab import hosting
from nnlab.jobs import Job
from pages.parts import runs

SCRIPT = Path(__file__).parent.parent / "dashboard.py"
PATIENCE = 60.0
BOARD = runs.BOARD
# Page, link, button, and the name under which the address keeps the job.
BEGINNINGS = {
    "lab": ("", {"steps": "20000", "dataset": "iris"}, "train", "run"),
    "lesson": ("pages/2_Why_nonlinearity.py", {"steps": "2000"}, "train_dots", "dots_run"),
    "sweep": (
        "pages/6_Sweep.py",
        {"dataset": "iris", "width": "8", "depth": "2", "steps": "5000", "seeds": "9"},
        "start_sweep",
        "sweep_run",
    ),
    "paper": ("pages/8_Paper_figures.py", {}, "run_paper", "papers_run"),
}


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Job]]:
    """What is begun from now on; each time, the visitor clicks on before the page could note it."""
    monkeypatch.delenv(hosting.HOSTED_VARIABLE, raising=False)
    submitted: list[Job] = []
    clicks: list[str] = []
    submit, write = type(BOARD).submit, SafeSessionState.__setitem__

    def submit_and_click(*arguments: Any, **named: Any) -> Job:
        job = submit(*arguments, **named)
        submitted.append(job)
        clicks.append("on something else")
        return job

    def look_up_clicks(state: SafeSessionState, key: str, value: object) -> None:
        if clicks:
            clicks.clear()
            context = get_script_run_ctx()
            assert context is not None
            raise RerunException(
                RerunData(
                    query_string=context.query_string,
                    widget_states=WidgetStates(widgets=context.session_state.get_widget_states()),
                    page_script_hash=context.page_script_hash,
                )
            )
        write(state, key, value)

    monkeypatch.setattr(type(BOARD), "submit", submit_and_click)
    monkeypatch.setattr(SafeSessionState, "__setitem__", look_up_clicks)
    yield submitted
    for job in submitted:
        job.stop()
        assert job.wait(PATIENCE)


@pytest.mark.parametrize("where", BEGINNINGS)
def test_a_click_while_a_job_is_begun_loses_nothing(where: str, begun: list[Job]) -> None:
    script, link, button, name = BEGINNINGS[where]
    page = AppTest.from_file(SCRIPT, default_timeout=PATIENCE)
    page.query_params.update(link)
    page = page.switch_page(script).run() if script else page.run()
    page.button(key=button).click().run()
    assert not page.exception
    assert len(begun) == 1
    assert page.query_params[name] in (begun[0].id, [begun[0].id])
