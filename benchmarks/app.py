"""The lab in headless Chromium: memory, first paint, widget change, live updates, Stop, cost of an open page.

Streamlit's own floor, a page of one line and one chart, is measured in turn with the lab on the same
machine, since absolute times say little on a shared one.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.ratios import save, show

ROOT = Path(__file__).parent.parent
ARGUMENTS = [
    f"--{name}"
    for name in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
    )
]  # fmt: skip
CHART = "[data-testid=stVegaLiteChart] :is(svg.marks, canvas)"
FLOOR = """
import pandas as pd, streamlit as st
st.markdown("Verdict")
st.markdown("chosen " + st.selectbox("Choose", ["Sick", "Healthy"]))
frame = pd.DataFrame({"a": [1, 2], "b": [1, 2]})
encoding = {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b", "type": "quantitative"}}
st.vega_lite_chart(frame, {"mark": "line", "encoding": encoding})
"""
LIVE_LINK = "?v=1&depth=10&width=64&activation=tanh&steps=20000&record_every=20&seed=1"
Note = Callable[[str, float], None]
SETTLE_SECONDS = 6  # torch takes one or two to load, and a page as long to draw what it shows of a run
LIVE_SECONDS = 8
STORED_STEP = 300  # the last one of the run that the lab shows first
SHOWN_TITLE = "document.querySelector('.st-key-chart_layer_norms strong')?.textContent"
SHOWN_STEP = f"Number(({SHOWN_TITLE} ?? '0').split(' ').pop())"
# The page watches itself: a driver that asks it twenty times a second takes half a core from the training.
WATCH = """(milliseconds) => new Promise((done) => {
  const seen = [], begin = performance.now();
  const look = () => {
    const now = performance.now(), step = SHOWN_STEP;
    if (step && step !== seen.at(-1)?.step) seen.push({now, step});
    if (now - begin < milliseconds) return setTimeout(look, 50);
    // From one change to another: the page is as far behind the run at both.
    const first = seen[1], last = seen.at(-1), seconds = (last.now - first.now) / 1000;
    done({"updates/s": (seen.length - 2) / seconds, "steps/s": (last.step - first.step) / seconds});
  };
  look();
})""".replace("SHOWN_STEP", SHOWN_STEP)


@contextlib.contextmanager
def server(script: Path) -> Iterator[str]:
    """Serve a script on a free port and give its address."""
    with process(script) as (address, _):
        yield address


@contextlib.contextmanager
def process(script: Path) -> Iterator[tuple[str, int]]:
    """Serve a script on a free port and give its address and the server's process number."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless", "true"]
    options = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    served = subprocess.Popen([*command, "--server.port", str(port)], **options)  # type: ignore[call-overload]
    address = f"http://localhost:{port}/"
    try:
        wait(lambda: urllib.request.urlopen(f"{address}_stcore/health").read() == b"ok")
        yield address, served.pid
    finally:
        served.terminate()
        served.wait()


def wait(is_done: Callable[[], Any], limit: float = 60.0) -> float:
    """Wait for a condition and give the seconds it took."""
    start = time.perf_counter()
    while time.perf_counter() - start < limit:
        with contextlib.suppress(OSError):
            if is_done():
                return time.perf_counter() - start
        time.sleep(0.01)
    raise TimeoutError("the page did not get there")


def first_paint(browser: Any, address: str, words: str) -> tuple[float, float]:
    """Give the seconds from opening a page to its words, and to its first chart, without a cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    start = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.get_by_text(words).first.wait_for()
    text = time.perf_counter() - start
    page.locator(CHART).first.wait_for()
    chart = time.perf_counter() - start
    context.close()
    return text, chart


def resident(pid: int) -> float:
    """Give the megabytes of memory that a process holds (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def fresh(browser: Any, note: Note) -> None:
    """Open the lab on a server of its own; note the first paint, and the memory with torch loaded at rest."""
    with process(ROOT / "dashboard.py") as (address, pid):
        text, chart = first_paint(browser, address, "Vanishing")
        note("lab: first visit on a fresh server, verdict s", text)
        note("lab: first visit on a fresh server, first chart s", chart)
        wait(lambda: "libtorch_cpu" in Path(f"/proc/{pid}/maps").read_text())
        time.sleep(SETTLE_SECONDS)
        note("lab: memory at rest, torch loaded, MB", resident(pid))
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.goto(address)
        train = page.get_by_test_id("stMain").get_by_role("button", name="Train", exact=True)
        train.click()
        # A look at the page makes the driver take notice of its new address.
        wait(lambda: train.count() and "run=" in page.url)
        time.sleep(SETTLE_SECONDS)
        note("lab: memory at rest after one run, MB", resident(pid))
        page.close()


def widget_change(browser: Any, address: str, charts: int, words: str) -> float:
    """Give the seconds from choosing "Healthy" in the page's first selection to the words it brings."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(address)
    page.locator(CHART).nth(charts - 1).wait_for()
    main = page.get_by_test_id("stMain")
    main.get_by_role("combobox").first.click()
    option = page.get_by_role("option", name="Healthy")
    option.wait_for()
    start = time.perf_counter()
    option.click()
    page.get_by_text(words).first.wait_for()
    seconds = time.perf_counter() - start
    page.close()
    return seconds


def live(browser: Any, address: str) -> dict[str, float]:
    """Train with the page open: updates a second, steps a second, seconds from Stop to Train."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(address + LIVE_LINK)
    main = page.get_by_test_id("stMain")
    main.get_by_role("button", name="Train", exact=True).click()
    main.get_by_role("button", name="Stop", exact=True).wait_for()
    # The page shows a stored run before, then nothing, then step 0.
    page.wait_for_function(f"() => ![0, {STORED_STEP}].includes({SHOWN_STEP})")
    figures = page.evaluate(WATCH, LIVE_SECONDS * 1000)
    start = time.perf_counter()
    main.get_by_role("button", name="Stop", exact=True).click()
    main.get_by_role("button", name="Train", exact=True).wait_for()
    stop = time.perf_counter() - start
    page.close()
    return figures | {"stop s": stop}


def without_page() -> float:
    """Give the steps a second of the same run when nobody looks."""
    code = (
        "import nnlab, time, threading; from nnlab.job_board import BOARD; from nnlab.jobs import RunJob;"
        f"c = nnlab.ExperimentConfig.from_query(dict(p.split('=') for p in '{LIVE_LINK[1:]}'.split('&')))[0];"
        "j = BOARD.submit(RunJob(config=c)); d = time.monotonic() + 60\n"
        "while j.progress.step < 200 and time.monotonic() < d: time.sleep(.01)\n"
        f"s = j.progress.step; t = time.perf_counter(); time.sleep({LIVE_SECONDS})\n"
        "print((j.progress.step - s) / (time.perf_counter() - t)); j.stop(); j.wait(5)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout)


def compare(name: str, measure: Callable[[Any, str, str, Note], None], floor_words: str = FLOOR) -> None:
    """Serve the floor and the app, let `measure(browser, floor, app, note)` note figures, keep medians."""
    from playwright.sync_api import sync_playwright

    chromium = next(path for name in ("chromium", "google-chrome") if (path := shutil.which(name)))
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        floor_script = Path(folder) / "floor.py"
        floor_script.write_text(floor_words)
        with (
            sync_playwright() as playwright,
            server(floor_script) as floor,
            server(ROOT / "dashboard.py") as app,
        ):
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            measure(browser, floor, app, lambda name, value: figures.setdefault(name, []).append(value))
            browser.close()
    rows = [{"figure": f, "median": round(statistics.median(v), 2)} for f, v in figures.items()]
    show(rows)
    save(name, rows)


def main(rounds: int) -> None:
    """Print and write medians of interleaved rounds."""

    def measure(browser: Any, floor: str, lab: str, note: Note) -> None:
        note("floor: first visit on a fresh server, words s", first_paint(browser, floor, "Verdict")[0])
        for _ in range(min(rounds, 3)):
            fresh(browser, note)
        first_paint(browser, lab, "Vanishing")
        for _ in range(rounds):
            for name, address, words in (("floor", floor, "Verdict"), ("lab", lab, "Vanishing")):
                text, chart = first_paint(browser, address, words)
                note(f"{name}: opened to words s", text)
                note(f"{name}: opened to first chart s", chart)
            note("floor: option chosen to repaint s", widget_change(browser, floor, 1, "chosen Healthy"))
            note("lab: preset chosen to repaint s", widget_change(browser, lab, 6, "10 x 64 tanh"))
        for _ in range(max(1, rounds // 2)):
            for name, value in live(browser, lab).items():
                note(f"lab: training with the page open, {name}", value)
            note("training without a page, steps/s", without_page())

    compare("app", measure)
