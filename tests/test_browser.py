"""The lab's page in a real browser: first visit, training, reload, phone, dark theme, files, keyboard."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import pytest

from nnlab.jobs import HOSTED_VARIABLE
from nnlab.palette import THEMES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

ROOT = Path(__file__).parent.parent
PATIENCE = 30.0  # seconds; far more than anything here takes
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHARTS_ON_FIRST_PAINT = 6
LONG = 20_000  # steps; still on its way when the test is done with it, on any machine
CHART = "[data-testid=stVegaLiteChart]"
PICTURE = f"{CHART} > svg, {CHART} > canvas"
VERDICT = ".st-key-verdict"
TRAIN, STOP = ".st-key-train button", ".st-key-stop button"
STRIP = ".st-key-chart_delta_strip"

Visit = Callable[..., "Page"]


def _do_without(reason: str) -> NoReturn:
    """Skip on a machine that has no browser; where every check must run, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        _do_without(f"no browser: none of {', '.join(NAMES)} is on the PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _do_without("no playwright: install requirements-dev.txt")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@pytest.fixture(scope="module")
def address(browser: Browser) -> Iterator[str]:
    """Start the dashboard and give its address."""
    port = _free_port()
    address = f"http://localhost:{port}"
    command = [sys.executable, "-m", "streamlit", "run", "dashboard.py"]
    command += ["--server.headless", "true", "--server.port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != HOSTED_VARIABLE}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            end = time.monotonic() + PATIENCE
            while not _answers(f"{address}/_stcore/health"):
                assert server.poll() is None, "the dashboard ended by itself"
                assert time.monotonic() < end, "the dashboard does not answer"
                time.sleep(0.05)
            yield address
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def open_page(browser: Browser, **options: Any) -> Page:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(1000 * PATIENCE)
    return page


def wait_for_charts(page: Page) -> None:
    page.locator(PICTURE).nth(CHARTS_ON_FIRST_PAINT - 1).wait_for()


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    """Give a function that opens the page by a link and waits for its charts."""
    from playwright.sync_api import TimeoutError

    pages = []

    def go(query: str = "", **options: Any) -> Page:
        page = open_page(browser, **{"viewport": DESK, **options})
        pages.append(page)
        page.goto(f"{address}/?{query}")
        wait_for_charts(page)
        return page

    yield go
    for page in pages:
        stop = page.locator(STOP)
        if stop.count():
            # The run may end by itself between the look and the click.
            with contextlib.suppress(TimeoutError):
                stop.click(timeout=3000)
                page.locator(TRAIN).wait_for()
        page.context.close()


def picture(page: Page, chart: str) -> Locator:
    return page.locator(f".st-key-chart_{chart} {CHART} > svg")


def wait_for_another_picture(page: Page, chart: str, seen: str) -> str:
    """Wait until a chart is drawn differently, and give what is drawn."""
    page.wait_for_function(
        "([selector, seen]) => (document.querySelector(selector) ?? {innerHTML: seen}).innerHTML != seen",
        arg=[f".st-key-chart_{chart} {CHART} > svg", seen],
    )
    return picture(page, chart).inner_html()


def step_slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="Step shown in every chart below")


# The first visit


@dataclass(frozen=True)
class FirstVisit:
    """What a visitor of a fresh server saw, and what the browser had to say and to fetch."""

    verdict: str
    charts: int
    errors: list[str]
    hosts: set[str | None]


@pytest.fixture(scope="module")
def first_visit(browser: Browser, address: str) -> FirstVisit:
    page = open_page(browser, viewport=DESK)
    errors: list[str] = []
    hosts: set[str | None] = set()
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.on("websocket", lambda websocket: hosts.add(urlsplit(websocket.url).hostname))
    page.goto(address)
    wait_for_charts(page)
    shown = [picture for picture in page.locator(PICTURE).all() if picture.is_visible()]
    result = FirstVisit(page.locator(VERDICT).inner_text(), len(shown), errors, hosts)
    page.context.close()
    return result


def test_the_first_visit_shows_the_verdict(first_visit: FirstVisit) -> None:
    assert "Vanishing gradient, severe. Layer 1 gets 1 / 480,000 of the error signal" in first_visit.verdict


def test_the_first_visit_shows_charts(first_visit: FirstVisit) -> None:
    assert first_visit.charts == CHARTS_ON_FIRST_PAINT


def test_the_first_visit_causes_no_error_in_the_browser(first_visit: FirstVisit) -> None:
    assert first_visit.errors == []


def test_the_first_visit_asks_no_other_host_for_anything(first_visit: FirstVisit) -> None:
    # Pictures that are part of the page (data:) have no host.
    assert first_visit.hosts - {None} == {"localhost"}


# Training


def test_training_moves_the_progress_and_redraws_the_charts(visit: Visit) -> None:
    from playwright.sync_api import expect

    page = visit(f"steps={LONG}")
    page.locator(TRAIN).click()
    progress = page.get_by_test_id("stProgress")
    expect(progress).to_contain_text("Step ", timeout=1000 * PATIENCE)
    words, drawn = [progress.inner_text()], [picture(page, "delta_strip").inner_html()]
    # The first new picture may only replace that of the stored run.
    for _ in range(3):
        drawn.append(wait_for_another_picture(page, "delta_strip", drawn[-1]))
        words.append(progress.inner_text())
    assert len(set(words)) > 2


def test_stop_offers_train_again_and_keeps_the_records(visit: Visit) -> None:
    from playwright.sync_api import expect

    page = visit(f"steps={LONG}")
    page.locator(TRAIN).click()
    expect(page.get_by_test_id("stProgress")).to_contain_text("Step ", timeout=1000 * PATIENCE)
    page.locator(STOP).click()
    expect(page.locator(TRAIN)).to_be_visible(timeout=10_000)  # how fast: benchmarks
    expect(step_slider(page)).to_have_attribute("aria-valuetext", re.compile(r"[1-9]\d*"))
    expect(page.get_by_test_id("stProgress")).to_have_count(0)


def test_a_reload_during_a_run_finds_the_run_again(visit: Visit) -> None:
    page = visit(f"steps={LONG}")
    page.locator(TRAIN).click()
    page.locator(STOP).wait_for()
    page.wait_for_url("**run=**")
    address = page.url
    page.reload()
    page.locator(STOP).wait_for()
    page.get_by_test_id("stProgress").wait_for()
    assert page.url == address


# Screens


@dataclass(frozen=True)
class Phone:
    """Where things were on a phone, and how wide the page was with each tab open."""

    train: dict[str, float] | None
    verdict: dict[str, float] | None
    widths: list[int]


@pytest.fixture(scope="module")
def phone(browser: Browser, address: str) -> Phone:
    page = open_page(browser, viewport=PHONE)
    page.goto(address)
    wait_for_charts(page)
    train, verdict = page.locator(TRAIN).bounding_box(), page.locator(f"{VERDICT} p").first.bounding_box()
    widths = []
    for name in ("Learning", "Activations", "Units", "Gradients", "Table and files"):
        page.get_by_role("tab", name=name).click()
        page.get_by_role("tabpanel", name=name).locator(f"{PICTURE}, canvas").first.wait_for()
        widths.append(page.evaluate("document.documentElement.scrollWidth"))
    page.context.close()
    return Phone(train, verdict, widths)


@pytest.mark.parametrize("part", ["train", "verdict"])
def test_train_and_verdict_are_on_the_first_screen_of_a_phone(part: str, phone: Phone) -> None:
    box = getattr(phone, part)
    assert 0 <= box["x"] < box["x"] + box["width"] <= PHONE["width"]
    assert 0 <= box["y"] < box["y"] + box["height"] <= PHONE["height"]


def test_a_phone_never_scrolls_sideways(phone: Phone) -> None:
    assert phone.widths == [PHONE["width"]] * 5


def test_page_and_charts_are_dark_where_the_visitor_likes_it_dark(visit: Visit) -> None:
    page = visit(color_scheme="dark")
    red, green, blue = bytes.fromhex(THEMES["dark"].background.removeprefix("#"))
    color = "e => getComputedStyle(e).backgroundColor"
    assert page.get_by_test_id("stApp").evaluate(color) == f"rgb({red}, {green}, {blue})"
    backgrounds = page.locator(f"{CHART} > svg").evaluate_all(f"l => l.map({color})")
    assert set(backgrounds) == {f"rgb({red}, {green}, {blue})"}


# Files


@pytest.fixture(scope="module")
def downloads(browser: Browser, address: str) -> dict[str, tuple[str, bytes]]:
    """Give name and bytes of every file that the heat map offers."""
    page = open_page(browser, viewport=DESK)
    page.goto(address)
    wait_for_charts(page)
    page.locator(".st-key-download_delta_heatmap button").first.click()
    files = {}
    for kind in ("svg", "png", "csv"):
        with page.expect_download() as waiting:
            page.locator(f".st-key-{kind}_delta_heatmap button").first.click()
        files[kind] = (waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes())
    page.context.close()
    return files


def test_a_chart_is_downloaded_as_svg(downloads: dict[str, tuple[str, bytes]]) -> None:
    name, data = downloads["svg"]
    assert name == "digits-10x64-sigmoid-seed0-delta_heatmap.svg"
    assert data.startswith(b"<svg")
    assert data.rstrip().endswith(b"</svg>")
    assert b"Error signal over layers and steps" in data


def test_a_chart_is_downloaded_as_png(downloads: dict[str, tuple[str, bytes]]) -> None:
    name, data = downloads["png"]
    width, height = struct.unpack(">II", data[16:24])
    assert name == "digits-10x64-sigmoid-seed0-delta_heatmap.png"
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data.endswith(b"IEND\xaeB`\x82")
    assert width >= 1440
    assert height >= 600


def test_the_numbers_of_a_chart_are_downloaded_as_csv(downloads: dict[str, tuple[str, bytes]]) -> None:
    name, data = downloads["csv"]
    lines = data.decode().splitlines()
    assert name == "digits-10x64-sigmoid-seed0-delta_heatmap.csv"
    assert lines[0] == "step,layer,layer_index,delta_norm"
    assert lines[1].startswith("0,hidden_1,1,")
    assert len(lines) == 1 + 151 * 11  # every record and layer, also those that are not drawn


# Keyboard and text


def test_the_arrow_keys_on_the_step_slider_change_the_step_of_the_charts(visit: Visit) -> None:
    from playwright.sync_api import expect

    page = visit()
    expect(page.locator(STRIP)).to_contain_text("step 300")
    step_slider(page).focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(STRIP)).to_contain_text("step 298")
    expect(page.locator(".st-key-chart_layer_norms")).to_contain_text("step 298")


def test_no_text_of_a_link_becomes_a_link_on_the_page(visit: Visit) -> None:
    texts = {"activation": "https://example.org/x", "loss": "www.example.org", "optimizer": "me@example.org"}
    page = visit("&".join(f"{name}={text}" for name, text in texts.items()))
    notes = page.locator(".st-key-link_notes")
    assert all(text in "\n".join(notes.all_inner_texts()) for text in texts.values())
    assert notes.locator("a").all_inner_texts() == []
