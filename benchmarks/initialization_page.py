"""The page Initialization in headless Chromium: a slider moved to a place nobody has asked for before.

Theory's charts follow first, the dots of drawn networks when they are drawn. Streamlit's own floor, a page of
one choice and one chart, is measured in turn with it on the same machine.
"""

from __future__ import annotations

from typing import Any

from benchmarks.app import Note, compare
from benchmarks.sweep_page import CHANGING_FLOOR, calm, opened, repaint

CHARTS = ("initial_gradient", "initial_spread", "initial_saturation", "initial_likeness")
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
  new MutationObserver((changes) => {
    if (!pressed) return;
    const now = performance.now() - pressed;
    for (const {target} of changes) {
      const element = target.nodeType === 1 ? target : target.parentElement;
      const name = element?.closest(chart) && names.find((name) => element.closest(`.st-key-chart_${name}`));
      if (name) seen[name].push(now);
    }
  }).observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
  document.addEventListener("keydown", () => { pressed ||= performance.now(); }, {capture: true});
  const app = document.querySelector("[data-testid=stApp]");
  const watch = () => {
    const now = performance.now();
    if (app.dataset.testScriptState !== "notRunning") running = now;
    if (running && now - running > 1500) {
      const bursts = (times) => [
        times.find((time, place) => !(times[place + 1] - time < 100)) ?? null, times.at(-1) ?? null];
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
            measure(browser, app, seed, note)

    compare("initialization_page", measured, CHANGING_FLOOR)
