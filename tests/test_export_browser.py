"""The export buttons in a real browser: what they give is opened. Links and embedding."""

from __future__ import annotations

import ast
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import browsing
import pandas as pd
import pytest
from browsing import (
    DESK,
    PHONE,
    is_whole_png,
    is_whole_svg,
    leave,
    open_page,
    wait_for_charts,
    wait_until_calm,
)
from PIL import Image
from safetensors.numpy import load

from nnlab.export import CHART_FORMATS
from nnlab.runfile import parse_run
from nnlab.tables import TABLE_FORMATS
from pages.parts.view import TABS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

browser, address = browsing.browser, browsing.address

ALWAYS_DRAWN, LEARNING = 3, 3  # charts above the tabs, and in the tab that is open first
LABEL = "iris-2x8-relu-seed0"
LINK = "dataset=iris&depth=2&width=8&activation=relu&steps=20"
PICTURES = {form.ending: form.key for form in CHART_FORMATS.values()}
BUTTONS = [*PICTURES.values(), *TABLE_FORMATS]
LESSON_CHARTS = {"Activation_functions": 7, "Why_nonlinearity": 17, "Lighter_sevens": 9}


def opens_pdf(data: bytes) -> bool:
    from pypdf import PdfReader

    return bool(PdfReader(io.BytesIO(data)).pages[0].extract_text())


def opens_html(data: bytes) -> bool:
    return data.startswith(b"<!DOCTYPE html>") and data.rstrip().endswith(b"</html>")


def opens_png(data: bytes) -> bool:
    image = Image.open(io.BytesIO(data)).convert("L")
    low, high = image.getextrema()
    return is_whole_png(data) and high - low > 30


# By the ending of a file: whether what it holds can be opened.
OPENS: dict[str, Callable[[bytes], Any]] = {
    ".svg": is_whole_svg,
    ".pdf": opens_pdf,
    ".png": opens_png,
    ".html": opens_html,
    ".vl.json": lambda data: json.loads(data)["datasets"],
    ".csv": lambda data: len(pd.read_csv(io.BytesIO(data)).columns),
    ".json": lambda data: json.loads(data)["columns"],
    ".parquet": lambda data: len(pd.read_parquet(io.BytesIO(data)).columns),
    ".py": lambda data: ast.parse(data.decode()),
    ".jsonl": lambda data: parse_run(data, "run.jsonl").records,
    ".safetensors": lambda data: load(data)["output.weight"].size,
    ".zip": lambda data: zipfile.ZipFile(io.BytesIO(data)).testzip() is None,
}


def save(page: Page, button: Locator) -> tuple[str, bytes]:
    """Click a download button, check that its file opens, and give the file's name and bytes."""
    with page.expect_download() as waiting:
        button.click()
    name, data = waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()
    ending = max((ending for ending in OPENS if name.endswith(ending)), key=len)
    assert OPENS[ending](data), name
    return name, data


def menu_of(page: Page, chart: str) -> Locator:
    return page.locator(f".st-key-download_{chart} button").locator("visible=true").first


def endings_of(number: int) -> tuple[str, str]:
    """Give what is clicked of the chart of a number: a picture and a table, others for the next chart.

    Five charts in a row have every picture, three every table. That every chart can be written in every
    format holds without a browser: tests/test_export.py, test_run_files.py and test_lesson_pages.py.
    """
    return list(PICTURES)[number % len(PICTURES)], list(TABLE_FORMATS)[number % len(TABLE_FORMATS)]


def save_chart(page: Page, chart: str, number: int) -> list[str]:
    """See that a chart offers every format, save it in those of its turn, and give the files' names."""
    wait_until_calm(page)
    menu_of(page, chart).click()
    buttons = {key: page.locator(f".st-key-{key}_{chart} button").first for key in BUTTONS}
    for button in buttons.values():
        button.wait_for()
    picture, table = endings_of(number)
    names = [save(page, buttons[key])[0] for key in (PICTURES[picture], table)]
    menu_of(page, chart).click()
    return names


def file_buttons(page: Page) -> Locator:
    return page.locator(".st-key-run_files [data-testid=stDownloadButton] button").locator("visible=true")


def charts_on(page: Page) -> list[str]:
    keys = page.evaluate(
        "[...document.querySelectorAll('[class*=st-key-chart_]')].filter(e => e.offsetParent)"
        ".map(e => [...e.classList].find(c => c.startsWith('st-key-chart_')).slice(13))"
    )
    return list(dict.fromkeys(keys))


@pytest.fixture(scope="module")
def trained(browser: Browser, address: str) -> Iterator[Page]:
    """Give the lab with a small network that was trained there."""
    page = open_page(browser, viewport=DESK, accept_downloads=True)
    page.goto(f"{address}/?{LINK}")
    wait_for_charts(page, ALWAYS_DRAWN + LEARNING)
    page.locator(browsing.TRAIN).click()
    page.wait_for_url("**made=**")
    page.locator(browsing.TRAIN).wait_for()
    yield page
    leave(page)


CHARTS_OF_LAB = {
    tab: (*(("delta_strip", "delta_heatmap", "layer_norms") if tab == "Learning" else ()), *charts)
    for tab, charts in TABS.items()
}
NUMBERS = {chart: number for number, chart in enumerate(sum(CHARTS_OF_LAB.values(), ()))}


@pytest.mark.parametrize("tab", TABS)
def test_every_chart_of_the_lab_offers_every_format_and_gives_files_that_open(
    trained: Page, tab: str
) -> None:
    wait_until_calm(trained)
    trained.get_by_role("tab", name=tab).click()
    wait_until_calm(trained)
    for chart in CHARTS_OF_LAB[tab]:
        names = save_chart(trained, chart, NUMBERS[chart])
        assert names == [f"{LABEL}-{chart}.{ending}" for ending in endings_of(NUMBERS[chart])]


@pytest.fixture(scope="module")
def run_files(trained: Page) -> dict[str, bytes]:
    """Give every file of the run by its name, in the order of the buttons."""
    wait_until_calm(trained)
    trained.get_by_role("tab", name="Table and files").click()
    buttons = file_buttons(trained)
    buttons.nth(14).wait_for()
    wait_until_calm(trained)
    return dict(save(trained, buttons.nth(number)) for number in range(buttons.count()))


def test_every_file_of_a_run_opens(run_files: dict[str, bytes]) -> None:
    tables = [
        f"{table}.{ending}" for table in ("metrics", "histograms", "layers") for ending in TABLE_FORMATS
    ]
    rest = ["report.html", "report.pdf", "reproduce.py", "run.jsonl", "weights.safetensors"]
    assert list(run_files) == [f"{LABEL}-{name}" for name in (*rest, *tables, "all.zip")]


def test_dark_files_come_from_a_light_page(trained: Page) -> None:
    wait_until_calm(trained)
    menu_of(trained, "delta_strip").click()
    trained.get_by_test_id("stPopoverBody").get_by_text("Dark", exact=True).click()
    wait_until_calm(trained)
    with trained.expect_download() as waiting:
        trained.locator(".st-key-svg_delta_strip button").first.click()
    assert 'fill="#171614"' in Path(waiting.value.path()).read_text()
    menu_of(trained, "delta_strip").click()


@pytest.mark.parametrize("lesson", LESSON_CHARTS)
def test_every_chart_of_a_lesson_offers_every_format_and_gives_files_that_open(
    browser: Browser, address: str, lesson: str
) -> None:
    page = open_page(browser, viewport=DESK, accept_downloads=True)
    page.goto(f"{address}/{lesson}")
    wait_for_charts(page, LESSON_CHARTS[lesson])
    charts = charts_on(page)
    assert len(charts) == LESSON_CHARTS[lesson]
    for number, chart in enumerate(charts):
        names = save_chart(page, chart, number)
        assert [name.partition(f"-{chart}.")[2] for name in names] == [*endings_of(number)]
    leave(page)


def assert_draws_itself_without_network(browser: Browser, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    page = open_page(browser, offline=True)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    page.locator("svg").first.wait_for()
    assert not errors
    assert page.evaluate("document.fonts.ready.then(f => [...f].some(face => face.status == 'loaded'))")
    page.context.close()


def test_a_chart_as_a_page_of_its_own_draws_itself_without_network(
    browser: Browser, trained: Page, tmp_path: Path
) -> None:
    wait_until_calm(trained)
    menu_of(trained, "layer_norms").click()
    _, content = save(trained, trained.locator(".st-key-html_layer_norms button").first)
    assert_draws_itself_without_network(browser, tmp_path / "page.html", content)
    menu_of(trained, "layer_norms").click()


def test_a_report_draws_itself_without_network(
    browser: Browser, run_files: dict[str, bytes], tmp_path: Path
) -> None:
    content = run_files[f"{LABEL}-report.html"]
    assert_draws_itself_without_network(browser, tmp_path / "page.html", content)


# Sharing


def test_the_link_is_copied_and_shows_others_the_same_run(
    browser: Browser, address: str, trained: Page
) -> None:
    trained.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    wait_until_calm(trained)
    trained.locator(".st-key-share button").first.click()
    body = trained.get_by_test_id("stPopoverBody")
    body.get_by_role("button", name="Copy link").click()
    body.get_by_text("Copied.").wait_for()
    link = trained.evaluate("navigator.clipboard.readText()")
    assert link == trained.url
    frame = body.locator("code").inner_text()
    assert frame.startswith(f'<iframe src="{address}/?v=1&amp;dataset=iris')
    assert "embed=true" in frame
    trained.locator(".st-key-share button").first.click()
    page = open_page(browser, viewport=DESK)
    page.goto(link)
    wait_for_charts(page, ALWAYS_DRAWN)  # and those of the tab that was open
    verdict = trained.locator(".st-key-verdict").inner_text()
    assert page.locator(".st-key-verdict").inner_text() == verdict
    leave(page)


def test_inside_of_another_site_the_charts_have_the_width(browser: Browser, address: str) -> None:
    page = open_page(browser, viewport=DESK)
    page.set_content(f'<iframe src="{address}/?embed=true" width="100%" height="900"></iframe>')
    frame = page.frame_locator("iframe")
    frame.locator(browsing.PICTURE).nth(2).wait_for()
    for size in (DESK, PHONE):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        page.frames[1].wait_for_function(
            """screen => {
              const chart = document.querySelector('.st-key-chart_delta_strip').getBoundingClientRect();
              return 0.7 * screen < chart.width && chart.right <= screen;
            }""",
            arg=size["width"],
        )
    leave(page)


def test_an_embedded_page_keeps_to_its_link(browser: Browser, address: str) -> None:
    page = open_page(browser, viewport=DESK)
    page.goto(f"{address}/?embed=true&depth=4")
    page.wait_for_url("**depth=4**")
    page.get_by_text("digits · 4 x 64 sigmoid").first.wait_for()
    assert "embed=true" in urlsplit(page.url).query
    leave(page)
