"""The page of one's own model in a real browser: a file that grows, an upload, names that are attacks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import browsing
import pytest
from browsing import CHART, DESK, PHONE, ROOT, open_page, serve, wait_for_charts, wait_until_calm
from test_your_model import HOSTILE, named

from nnlab.hosting import HOSTED_VARIABLE
from nnlab.presets import EXAMPLE_RUN
from nnlab.run import Run
from nnlab.runfile import load_run
from nnlab.runwriter import RunWriter

if TYPE_CHECKING:
    from playwright.sync_api import Browser

browser = browsing.browser
ALWAYS_DRAWN = 3


@pytest.fixture(scope="module")
def example() -> Run:
    return load_run(EXAMPLE_RUN)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("followed") / "run.jsonl"


@pytest.fixture(scope="module")
def address(browser: Browser, followed: Path) -> Iterator[str]:
    environment = {name: value for name, value in os.environ.items() if name != HOSTED_VARIABLE}
    with serve(ROOT, environment, ("--run", str(followed))) as (address, _):
        yield address


def test_a_training_script_is_followed_from_its_first_record_to_its_end(browser, address, followed, example):
    page = open_page(browser, viewport=DESK)
    page.goto(address)
    page.get_by_text("Waiting.").wait_for()
    assert page.url.endswith("/Your_model")
    writer = RunWriter(followed)
    for record in example.records[:3]:
        writer.append(example, record)
    page.get_by_text("3 records up to step 20").wait_for()
    page.locator(CHART).nth(ALWAYS_DRAWN - 1).wait_for()
    for record in example.records[3:]:
        writer.append(example, record)
    page.get_by_text("31 records up to step 300").wait_for()
    assert page.get_by_text("Live.").count() == 1
    writer.finish(example, "completed")
    page.get_by_text("Step shown in every chart below").wait_for()
    assert page.get_by_text("Live.").count() == 0
    assert page.locator(".st-key-verdict").get_by_text("Dead layer").count() == 1
    page.context.close()


def test_an_uploaded_file_shows_its_verdict_and_its_names_are_only_words(browser, address, example, tmp_path):
    path = tmp_path / "theirs.jsonl"
    named(example, (*HOSTILE, "output")).save(path)
    page = open_page(browser, viewport=PHONE, color_scheme="dark")
    outside, dialogs = [], []
    page.on("request", lambda asked: outside.append(asked.url) if "evil" in asked.url else None)
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(f"{address}/Your_model")
    page.get_by_text("Run file", exact=True).click()
    page.locator("input[type=file]").wait_for(state="attached")
    wait_until_calm(page)
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_text("theirs.jsonl").wait_for()
    page.get_by_text("31 records up to step 300").wait_for()
    wait_for_charts(page, ALWAYS_DRAWN)
    verdict = page.locator(".st-key-verdict").first
    assert "All units of ![x](http" in verdict.inner_text().replace("\u2060", "")
    assert page.locator("[data-testid=stMain] a[href*=evil]").count() == 0
    assert page.locator("[data-testid=stMain] img").count() == 0
    names = page.locator(f".st-key-chart_delta_heatmap {CHART} svg").text_content()
    assert "output" in names
    assert (outside, dialogs) == ([], [])
    # Nothing is wider than a phone.
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.context.close()
