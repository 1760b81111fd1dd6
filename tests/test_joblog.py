"""joblog: what becomes of jobs is in the log, one line an event, and nothing that a visitor wrote is."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

import nnlab.trainer
from nnlab import hosting, job_board, joblog
from nnlab.config import ExperimentConfig
from nnlab.csvdata import to_data
from nnlab.csvtable import table_from_csv
from nnlab.job_board import JobBoard
from nnlab.jobs import Refused, RunJob

PATIENCE = 30.0  # seconds; far more than anything here takes
SHORT = ExperimentConfig(dataset="iris", depth=2, width=4, batch_size=16, steps=5)
# None of these may be in the log, in whole or in part.
CANARY = "canary7f3"
HOSTILE = (
    f"{CANARY}\nevent=ended id=forged status=completed",
    f"{CANARY}\r\x1b[2J",
    f"<script>{CANARY}</script>",
    f"{CANARY}.csv",
    f"{CANARY} $(id) %s {{0}}",
    f"\N{RIGHT-TO-LEFT OVERRIDE}{CANARY}\0",
)
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING|ERROR) event=\w+( \w+=[!-~]+)*")


@pytest.fixture(autouse=True)
def _anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the log up anew, as a process does."""
    monkeypatch.delenv(joblog.LEVEL_VARIABLE, raising=False)
    monkeypatch.delenv(hosting.HOSTED_VARIABLE, raising=False)
    logger = logging.getLogger(joblog.__name__)
    before, logger.handlers = logger.handlers, []
    yield
    logger.handlers = before


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[object]:
    def read() -> list[dict[str, str]]:
        out, err = capsys.readouterr()
        assert not out
        assert CANARY not in err
        for line in err.splitlines():
            assert LINE.fullmatch(line), line
        return [dict(word.split("=", 1) for word in line.split()[2:]) for line in err.splitlines()]

    return read


def finished(job: RunJob) -> RunJob:
    JobBoard().submit(job)
    assert job.wait(PATIENCE)
    return job


def test_a_job_leaves_three_lines(lines):
    job = finished(RunJob(config=SHORT))
    taken, begun, ended = lines()
    assert taken == {
        "event": "submitted",
        "id": job.id[:6],
        "kind": "RunJob",
        "bytes": str(job.estimated_bytes),
        "steps": "5",
    }
    assert (begun["event"], begun["id"]) == ("started", job.id[:6])
    assert float(begun["waited"]) >= 0
    assert (ended["event"], ended["status"], ended["steps"]) == ("ended", "completed", "5")
    assert float(ended["seconds"]) >= 0


def test_the_log_opens_nobodys_run(lines, capsys):
    job = finished(RunJob(config=SHORT))
    assert job.id not in capsys.readouterr().err


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_visitor_wrote_is_in_the_log(lines, text):
    column = re.sub(r"[\0\r\n\x1b]", "", text)
    rows = "".join(f"{i},{i * i % 7},{CANARY}{i % 2}\n" for i in range(40))
    table = table_from_csv(f'"{column}",{CANARY} b,y\n{rows}'.encode(), text)
    config = SHORT.replace(dataset="csv", csv_path=table.name, target="y", features=(column, f"{CANARY} b"))
    job = finished(RunJob(config=config, data=to_data(table, config)))
    assert job.status == "completed", job.error
    assert len(lines()) == 3


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", [RuntimeError, ValueError, KeyError])
def test_an_error_that_quotes_a_visitor_is_told_without_the_quote(lines, monkeypatch, text, kind):
    def train(config: ExperimentConfig, **options: object) -> nnlab.Run:
        try:
            raise LookupError(text)
        except LookupError as error:
            raise kind(text) from error

    monkeypatch.setattr(nnlab.trainer, "train", train)
    job = finished(RunJob(config=SHORT.replace(csv_path=text)))
    told = lines()
    assert (job.status, told[-1]["status"]) == ("failed", "failed")
    if kind is not ValueError:  # which is how bad input is told, and no error of nnlab's
        assert re.fullmatch(r"[0-9a-f]{8}", told[-2]["error_id"])
        assert told[-2]["trace"].startswith(f"{kind.__name__}@nnlab/jobs.py:")
        assert "|LookupError@tests/test_joblog.py:" in told[-2]["trace"]
        assert told[-2]["trace"].endswith(":train")


def test_a_refusal_names_its_reason(lines, monkeypatch):
    monkeypatch.setenv(hosting.HOSTED_VARIABLE, "1")
    board = JobBoard()
    for config in (
        SHORT.replace(depth=100, width=1024),
        SHORT.replace(dataset="csv", csv_path=HOSTILE[0], target="y"),
    ):
        with pytest.raises(Refused):
            board.submit(RunJob(config=config))
    monkeypatch.setattr(job_board, "MAX_QUEUED", 0)
    with pytest.raises(Refused):
        board.submit(RunJob(config=SHORT))
    told = [(line["event"], line["kind"], line["reason"]) for line in lines()]
    assert told == [("refused", "RunJob", reason) for reason in ("too_large", "no_file", "queue_full")]


def test_a_word_that_is_not_ours_is_left_out(lines):
    joblog.refused("RunJob", f"{CANARY} wrote this")
    assert lines() == [{"event": "refused", "kind": "RunJob", "reason": "?"}]


def test_an_error_of_a_page_loses_its_message(lines):
    logger = logging.getLogger("nnlab_test_of_pages")
    joblog.take_over(logger.name)
    joblog.take_over(logger.name)
    assert len(logger.filters) == 1
    try:
        raise KeyError(CANARY)
    except KeyError as error:
        logger.error("Uncaught %s", CANARY, exc_info=error)
    (told,) = lines()
    assert (told["event"], told["where"]) == ("error", "page")
    assert told["trace"].startswith("KeyError@tests/test_joblog.py:")


def test_a_public_server_takes_over_the_log_of_pages(lines, monkeypatch):
    monkeypatch.setenv(hosting.HOSTED_VARIABLE, "1")
    pages = logging.getLogger("streamlit.error_util")
    before, pages.filters = pages.filters, []
    try:
        at = AppTest.from_string(
            f"from pages.parts.page import page\npage('a page')\nraise KeyError('{CANARY}')",
            default_timeout=PATIENCE,
        ).run()
        assert at.exception
        (told,) = lines()
    finally:
        pages.filters = before
    assert (told["event"], told["where"]) == ("error", "page")


def test_errors_in_a_ring_are_told_once(lines):
    first, second = RuntimeError(CANARY), ValueError(CANARY)
    first.__cause__, second.__cause__ = second, first
    assert re.fullmatch(r"[0-9a-f]{8}", joblog.failed("job", first))
    assert lines()[0]["trace"] == "RuntimeError@|ValueError@"


def test_a_line_stays_short_however_deep_and_long_the_error_is(lines):
    def deep(left: int) -> None:
        if left:
            deep(left - 1)
        raise RuntimeError(CANARY)

    error: RuntimeError | None = None
    for _ in range(30):
        try:
            deep(200)
        except RuntimeError as raised:
            raised.__cause__, error = error, raised
    assert error is not None
    joblog.failed("job", error)
    (told,) = lines()
    assert 2 < told["trace"].count("RuntimeError@") <= joblog.MAX_CHAIN
    assert len(told["trace"]) < 4_000


@pytest.mark.parametrize(
    ("level", "events"),
    [
        ("off", []),
        ("error", ["error"]),
        ("warning", ["refused", "error"]),
        ("info", ["started", "refused", "error"]),
        ("loud", ["log_level_unknown", "started", "refused", "error"]),
    ],
)
def test_the_level_says_how_much(lines, monkeypatch, level, events):
    monkeypatch.setenv(joblog.LEVEL_VARIABLE, level)
    joblog.started("abcdefghijkl", "RunJob", 0.0)
    joblog.refused("RunJob", "queue_full")
    joblog.failed("job", RuntimeError())
    assert [line["event"] for line in lines()] == events


def test_debug_adds_what_an_error_says(monkeypatch, capsys):
    monkeypatch.setenv(joblog.LEVEL_VARIABLE, "debug")
    joblog.failed("job", RuntimeError("the message"))
    assert "RuntimeError: the message" in capsys.readouterr().err


def test_a_log_that_nobody_takes_ends_no_job(monkeypatch):
    class Closed:
        def write(self, text: str) -> int:
            raise OSError("No space left on device")

    monkeypatch.setattr("sys.stderr", Closed())
    assert finished(RunJob(config=SHORT)).status == "completed"
