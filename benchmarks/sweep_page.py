"""The page Sweep with a sweep of 2,000 cells in headless Chromium: opened, redrawn, moved.

Streamlit's own floor, a page of one choice and one chart, is measured in turn with it on the same machine.
`python -m benchmarks.sweep_page PORT` serves the dashboard with that sweep in memory.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.app import ARGUMENTS, CHART, FLOOR, ROOT, server, wait
from benchmarks.ratios import save, show
from nnlab.config import ExperimentConfig
from nnlab.grid import Grid, make_grid
from nnlab.job_board import BOARD
from nnlab.sweep import cell_keys
from nnlab.sweep_job import SweepJob
from nnlab.sweep_memory import SweepMemory
from nnlab.sweep_row import RESULT_COLUMNS, Row, failed_row

DEPTHS = ",".join(str(number) for number in range(1, 51))
GAINS = ",".join(f"{0.1 * number:.1f}" for number in range(1, 41))
JOB_ID = "benchmark000"
# Its chart follows the choice.
CHANGING_FLOOR = (
    FLOOR.replace("st.selectbox(", "(chosen := st.selectbox(")
    .replace('"Healthy"]))', '"Healthy"])))')
    .replace('"b": [1, 2]', '"b": [1, len(chosen)]')
)
CHART_BOX = "[data-testid=stVegaLiteChart]"
QUIET_MS = 500.0  # a picture that has not changed for so long is finished

# Milliseconds from the press of the mouse until the chart's elements have changed for the last time. To read
# them again and again would take longer than to draw them.
REPAINT = """([chart, quiet]) => new Promise((done) => {
  let pressed = 0, changed = 0;
  new MutationObserver((changes) => {
    const isChart = ({target}) => target.nodeType === 1 && target.closest(chart);
    if (pressed && changes.some(isChart)) changed = performance.now();
  }).observe(document.body, {subtree: true, childList: true, attributes: true});
  document.addEventListener("mousedown", () => { pressed = performance.now(); }, {capture: true});
  const watch = () => {
    if (changed && performance.now() - changed > quiet) return done(changed - pressed);
    setTimeout(watch, 50);
  };
  watch();
})"""
# Milliseconds of the frames, in order of length, between the two.
BEGIN_FRAMES = """() => {
  const times = window.nnlabFrames = [];
  const tick = (now) => { times.push(now); if (times === window.nnlabFrames) requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
}"""
END_FRAMES = """() => {
  const times = window.nnlabFrames;
  window.nnlabFrames = [];
  return times.slice(1).map((now, number) => now - times[number]).sort((a, b) => a - b);
}"""


def grid() -> Grid:
    """Give the cells: one network at many depths and gains."""
    base = ExperimentConfig(width=8, steps=1)
    return make_grid(base, {"depth": map_values(DEPTHS), "gain": map_values(GAINS)})


def map_values(text: str) -> list[float]:
    """Give the numbers of a list."""
    return [int(word) if word.isdigit() else float(word) for word in text.split(",")]


def row_of(cell: ExperimentConfig) -> Row:
    """Make numbers up that differ from cell to cell."""
    number = cell.depth * cell.gain
    values = {name: number / (number + place + 1) for place, name in enumerate(RESULT_COLUMNS)}
    return {**failed_row(cell, ""), **values, "status": "completed", "last_step": 1}


def keep_sweep() -> None:
    """Put the finished sweep into the memory of this process."""
    cells = grid()
    memory = SweepMemory()
    for key, cell in zip(cell_keys(cells), cells.cells, strict=True):
        memory.add(key, row_of(cell))
    BOARD.submit(SweepJob(id=JOB_ID, grid=cells, memory=memory)).wait(60)


def serve(port: str) -> None:
    """Serve the dashboard from this process."""
    from streamlit.web import cli

    keep_sweep()
    sys.argv = ["streamlit", "run", str(ROOT / "dashboard.py"), "--server.headless", "true"]
    cli.main([*sys.argv[1:], "--server.port", port], prog_name="streamlit")


@contextlib.contextmanager
def kept_sweep() -> Iterator[str]:
    """Serve the dashboard with the sweep in a process of its own; give the link to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    served = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sweep_page", str(port)],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://localhost:{port}/"
    try:
        wait(lambda: urllib.request.urlopen(f"{address}_stcore/health").read() == b"ok")
        chosen = {
            "sweep_run": JOB_ID, "across": "depth", "down": "gain", "seeds": 1, "width": 8, "steps": 1,
            "vary": "depth", "values": DEPTHS, "vary_too": "gain", "values_too": GAINS,
        }  # fmt: skip
        yield f"{address}Sweep?{urlencode(chosen)}"
    finally:
        served.terminate()
        served.wait()


def opened(browser: Any, address: str, size: tuple[int, int]) -> tuple[Any, float]:
    """Open a page, and give it with the seconds until its chart was drawn."""
    page = browser.new_context(viewport=dict(zip(("width", "height"), size, strict=True))).new_page()
    start = time.perf_counter()
    page.set_default_timeout(120_000)
    page.goto(address, wait_until="commit")
    page.locator(CHART).first.wait_for()
    seconds = time.perf_counter() - start
    page.wait_for_timeout(2000)
    return page, seconds


def calm(page: Any) -> None:
    """Wait until the page is drawn, and a moment more: a click while it is may be lost."""
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    page.wait_for_timeout(1500)


def repaint(page: Any, choice: str, option: str) -> float:
    """Choose an option; give the seconds until the chart's picture is the new one."""
    calm(page)
    # The list holds what is in sight only, and what is typed narrows it down.
    page.locator(choice).get_by_role("combobox").first.click()
    page.keyboard.type(option)
    wanted = page.get_by_role("option", name=option, exact=True)
    wanted.wait_for()
    watching = page.evaluate_handle(f"(given) => ({{promise: ({REPAINT})(given)}})", [CHART_BOX, QUIET_MS])
    wanted.click()
    return float(page.evaluate("(handle) => handle.promise", watching)) / 1000


def move(page: Any) -> tuple[float, float]:
    """Zoom into the map and drag it; give the median and the longest seconds of a frame on the way."""
    calm(page)
    chart = page.locator(CHART).first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    page.wait_for_timeout(500)
    page.evaluate(BEGIN_FRAMES)
    page.mouse.down()
    for number in range(60):
        page.mouse.move(x + 4 * number, y + 2 * number)
    page.mouse.up()
    frames = page.evaluate(END_FRAMES)
    return statistics.median(frames) / 1000, max(frames) / 1000


def measure(browser: Any, floor: str, sweep: str, figures: dict[str, list[float]]) -> None:
    """Take one round."""

    def note(name: str, value: float) -> None:
        figures.setdefault(name, []).append(value)
        print(name, round(value, 3), flush=True)

    page, seconds = opened(browser, floor, (1440, 1000))
    note("floor: opened to its chart s", seconds)
    note("floor: option chosen to repaint s", repaint(page, "[data-testid=stMain]", "Healthy"))
    page.context.close()
    for name, size in {"1440 px": (1440, 1000), "390 px": (390, 844)}.items():
        page, seconds = opened(browser, sweep, size)
        note(f"{name}: opened to its map s", seconds)
        note(f"{name}: metric chosen to repaint s", repaint(page, ".st-key-sweep_metric", "Training loss"))
        note(f"{name}: axis chosen to repaint s", repaint(page, ".st-key-sweep_across", "Gain"))
        usual, longest = move(page)
        note(f"{name}: moved, median frame s", usual)
        note(f"{name}: moved, longest frame s", longest)
        page.context.close()


def main(rounds: int) -> None:
    """Print and write medians of interleaved rounds."""
    from playwright.sync_api import sync_playwright

    chromium = next(path for name in ("chromium", "google-chrome") if (path := shutil.which(name)))
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        floor_script = Path(folder) / "floor.py"
        floor_script.write_text(CHANGING_FLOOR)
        with sync_playwright() as playwright, server(floor_script) as floor, kept_sweep() as sweep:
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            for _ in range(rounds):
                measure(browser, floor, sweep, figures)
            browser.close()
    rows = [{"figure": f, "median": round(statistics.median(v), 3)} for f, v in figures.items()]
    show(rows)
    save("sweep_page", rows)


if __name__ == "__main__":
    serve(sys.argv[1])
