"""The page Initialization in headless Chromium: opened, and a slider moved to where nobody has been before.

Theory's charts follow first, the dots of drawn networks when they are drawn. Streamlit's own floor, a page of
one choice and one chart, is measured in turn with it on the same machine.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.app import CHART, Note, compare, first_paint
from benchmarks.sweep_page import CHANGING_FLOOR, calm, opened, repaint

CHARTS = ("initial_gradient", "initial_spread", "initial_saturation", "initial_likeness")
SIZE = {"width": 1440, "height": 1000}
PICTURE = ":is(svg.marks, canvas)"
MAPS = ("phase_map", "depth_map")
CHANGES = (
    ("first new depth", "initialization_depth", "ArrowRight"),
    ("next new depth", "initialization_depth", "ArrowRight"),
    ("depth seen before", "initialization_depth", "ArrowLeft"),
    ("new width", "initialization_width", "ArrowRight"),
    ("point moved", "phases_sigma_w", "ArrowRight"),
)
# Milliseconds from the key's press: when each picture has changed (a picture that does not change for a
# tenth of a second is finished for now), and when the page is done.
WATCH = """(names) => new Promise((done) => {
  let pressed = 0, running = 0;
  const seen = Object.fromEntries(names.map((name) => [name, []]));
  const chart = "[data-testid=stVegaLiteChart]";
  const changed = (element) => {
    const name = element?.closest(chart) && names.find((name) => element.closest(`.st-key-chart_${name}`));
    if (pressed && name) seen[name].push(performance.now() - pressed);
  };
  const {clearRect} = CanvasRenderingContext2D.prototype;  // with which a canvas is drawn anew
  CanvasRenderingContext2D.prototype.clearRect = function (...place) {
    changed(this.canvas);
    return clearRect.apply(this, place);
  };
  new MutationObserver((changes) => {
    for (const {target} of changes) changed(target.nodeType === 1 ? target : target.parentElement);
  }).observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
  document.addEventListener("keydown", () => { pressed ||= performance.now(); }, {capture: true});
  const app = document.querySelector("[data-testid=stApp]");
  const watch = () => {
    const now = performance.now();
    if (app.dataset.testScriptState !== "notRunning") running = now;
    if (running && now - running > 1500) {
      const bursts = (times) => [
        times.find((time, place) => !(times[place + 1] - time < 100)) ?? null, times.at(-1) ?? null];
      CanvasRenderingContext2D.prototype.clearRect = clearRect;
      return done({page: running - pressed,
        ...Object.fromEntries(names.map((name) => [name, bursts(seen[name])]))});
    }
    setTimeout(watch, 10);
  };
  watch();
})"""


def moved(page: Any, slider: str, key: str = "ArrowRight") -> dict[str, Any]:
    """Move a slider by one step with a key; give the milliseconds after which each picture had changed."""
    calm(page)
    thumb = page.locator(f".st-key-{slider}").get_by_role("slider")
    thumb.focus()
    names = [*CHARTS, *MAPS]
    watching = page.evaluate_handle(f"(names) => ({{promise: ({WATCH})(names)}})", names)
    page.keyboard.press(key)
    return dict(page.evaluate("(handle) => handle.promise", watching))


def from_address(browser: Any, address: str) -> list[float]:
    """Open the page in a new tab, without a cache; give the seconds until each of the four charts stands."""
    page = browser.new_context(viewport=SIZE).new_page()
    start = time.perf_counter()
    page.goto(f"{address}Initialization", wait_until="commit")
    times = _charts(page, start)
    page.context.close()
    return times


def from_menu(browser: Any, address: str) -> list[float]:
    """Choose the page in the menu of the lab; give the seconds until each of the four charts stands."""
    page = browser.new_context(viewport=SIZE).new_page()
    page.goto(address)
    page.locator(CHART).first.wait_for()
    calm(page)
    start = time.perf_counter()
    page.get_by_test_id("stSidebarNav").get_by_text("Initialization").click()
    times = _charts(page, start)
    page.context.close()
    return times


def _charts(page: Any, start: float) -> list[float]:
    times = []
    for name in CHARTS:
        page.locator(f".st-key-chart_{name} {PICTURE}").first.wait_for()
        times.append(time.perf_counter() - start)
    return times


def measure(browser: Any, address: str, seed: int, note: Note) -> None:
    """Take one round, with networks that nobody has drawn before."""
    page, _ = opened(browser, f"{address}Initialization?seed={seed}", (1440, 1000))
    for name, slider, key in CHANGES:
        found = moved(page, slider, key)
        note(f"{name}: page done s", found.pop("page") / 1000)
        first = {chart: times[0] for chart, times in found.items() if times[0] is not None}
        theory, maps = ([first[chart] for chart in names if chart in first] for names in (CHARTS, MAPS))
        dots = [found[chart][1] for chart in CHARTS if chart in first]
        note(f"{name}: first picture s", min(theory + maps) / 1000)
        for what, times in (("maps", maps), ("four charts", theory), ("their dots", dots)):
            if times:
                note(f"{name}: {what} s", max(times) / 1000)
    page.context.close()


def main(rounds: int) -> None:
    """Print and write medians of interleaved rounds."""

    def measured(browser: Any, floor: str, app: str, note: Note) -> None:
        for seed in range(rounds):
            page, _ = opened(browser, floor, (1440, 1000))
            note("floor: option chosen to repaint s", repaint(page, "[data-testid=stMain]", "Healthy"))
            page.context.close()
            note("floor: opened to its chart s", first_paint(browser, floor, "Verdict")[1])
            for name, times in (
                ("opened by its address", from_address(browser, app)),
                ("chosen in the menu", from_menu(browser, app)),
            ):
                note(f"{name}: first chart s", times[0])
                note(f"{name}: all four charts s", times[-1])
            measure(browser, app, seed, note)

    compare("initialization_page", measured, CHANGING_FLOOR)
