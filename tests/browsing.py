"""A real browser, a dashboard to visit, and readers of what both give: shared by the browser tests.

A test module takes the fixtures over by name: `browser, address = browsing.browser, browsing.address`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from nnlab.hosting import HOSTED_VARIABLE
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
CHART = "[data-testid=stVegaLiteChart]"
PICTURE = f"{CHART} > svg, {CHART} > canvas"
# The lab's; a lesson's have the name of their section behind.
TRAIN, STOP = ".st-key-train button", ".st-key-stop button"
ANY_STOP = f"{STOP}, [class*=st-key-stop_] button"

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


@contextlib.contextmanager
def serve(
    folder: Path, environment: Mapping[str, str], arguments: Sequence[str] = ()
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start the dashboard of a folder and give its address and process; it ends with the block."""
    port = _free_port()
    address = f"http://localhost:{port}"
    command = [sys.executable, "-m", "streamlit", "run", "dashboard.py"]
    command += ["--server.headless", "true", "--server.port", str(port), "--", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            end = time.monotonic() + PATIENCE
            while not _answers(f"{address}/_stcore/health"):
                if server.poll() is not None:
                    pytest.fail("the dashboard ended by itself")
                if time.monotonic() > end:
                    pytest.fail("the dashboard does not answer")
                time.sleep(0.05)
            yield address, server
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


@pytest.fixture(scope="module")
def address(browser: Browser) -> Iterator[str]:
    """Start the dashboard and give its address."""
    environment = {name: value for name, value in os.environ.items() if name != HOSTED_VARIABLE}
    with serve(ROOT, environment) as (address, _):
        yield address


def open_page(browser: Browser, **options: Any) -> Page:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(1000 * PATIENCE)
    return page


def wait_until_calm(page: Page) -> None:
    """Wait until the page has been drawn for a while.

    A click while pieces arrive can cost the whole page (pages/parts/rescue.py), and what a click sets going
    begins a moment after it.
    """
    page.wait_for_function(
        """([calm, milliseconds]) => {
          if (!document.querySelector(calm)) window.nnlabCalmSince = undefined;
          else window.nnlabCalmSince ??= performance.now();
          return performance.now() - window.nnlabCalmSince > milliseconds;
        }""",
        arg=["[data-testid=stApp][data-test-script-state=notRunning]", 250],
    )
    page.evaluate("window.nnlabCalmSince = undefined")


def wait_for_charts(page: Page, count: int) -> None:
    page.locator(PICTURE).nth(count - 1).wait_for()
    wait_until_calm(page)


def link_of(page: Page) -> str:
    """Give the address but for what computed the run, which is known once there is a record."""
    return page.url.partition("&made=")[0]


def leave(page: Page) -> None:
    """Stop what a page still trains, so that the next test has the machine for itself, and close it."""
    from playwright.sync_api import TimeoutError

    stop = page.locator(ANY_STOP).first
    if stop.count():
        # The training may end by itself between the look and the click.
        with contextlib.suppress(TimeoutError):
            stop.click(timeout=3000)
            stop.wait_for(state="detached")
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


def page_background(mode: str) -> tuple[int, int, int]:
    """Give the color a page should have in a theme, "light" or "dark"."""
    red, green, blue = bytes.fromhex(THEMES[mode].background.removeprefix("#"))
    return red, green, blue


# Files


def save_files(page: Page, chart: str) -> dict[str, tuple[str, bytes]]:
    """Give name and bytes of every file that a chart offers: by "svg", "png" and "csv"."""
    page.locator(f".st-key-download_{chart} button").first.click()
    files = {}
    for kind in ("svg", "png", "csv"):
        with page.expect_download() as waiting:
            page.locator(f".st-key-{kind}_{chart} button").first.click()
        files[kind] = (waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes())
    return files


def is_whole_svg(data: bytes) -> bool:
    return data.startswith(b"<svg") and data.rstrip().endswith(b"</svg>")


def is_whole_png(data: bytes) -> bool:
    return data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB`\x82")


def png_size(data: bytes) -> tuple[int, int]:
    """Give width and height in pixels."""
    width, height = struct.unpack(">II", data[16:24])
    return width, height
