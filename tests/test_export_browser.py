"""The export buttons in a real browser: what they give is opened. Links and embedding."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import browsing
import pytest
from browsing import (
    DESK,
    PHONE,
    leave,
    open_page,
    wait_for_charts,
    wait_until_calm,
)
from downloads import endings_of, menu_of, save, save_chart

from nnlab.tables import TABLE_FORMATS
from pages.parts.view import TABS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

browser, address = browsing.browser, browsing.address

ALWAYS_DRAWN, LEARNING = 3, 3  # charts above the tabs, and in the tab that is open first
LABEL = "iris-2x8-relu-seed0"
LINK = "dataset=iris&depth=2&width=8&activation=relu&steps=20"


def file_buttons(page: Page) -> Locator:
    return page.locator(".st-key-run_files [data-testid=stDownloadButton] button").locator("visible=true")


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
