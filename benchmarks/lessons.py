"""The lessons in headless Chromium: first paint, a slider moved, live pictures, Stop.

Streamlit's own floor, a page of one line and one chart, is measured in turn with every page on the same
machine, since absolute times say little on a shared one.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.app import Note, compare, first_paint, wait

# By page: its first words, and the widgets to move with what the page says before and after.
PAGES = {
    "Activation_functions": "What shapes are there",
    "Why_nonlinearity": "Multiplied out, they are one matrix",
    "Lighter_sevens": "Is a network with sigmoid",
    "Initialization": "Vanishing, severe",
}
SLIDERS = {
    "Activation_functions": (
        ("activations_x1", "1.5 · 1 + 2 · 1"),
        ("activations_layers", "4 layers of Sigmoid"),
        ("activations_temperature", "Softmax at temperature 1.05"),
    ),
    "Why_nonlinearity": (("nonlinearity_E", "Both ways give 118"),),
    "Lighter_sevens": (("sevens_light", "The lighter image (× 0.85)"),),
    "Initialization": (),
}
MAPS = ("phase_map", "depth_map")  # on which a slider of Initialization moves the network's point
MOVES = 5
LIVE = "Why_nonlinearity?dots=spiral&depth=6&width=8&steps=20000"

# Milliseconds from a press on Stop until Train is offered, as the page itself sees it.
STOP = """() => new Promise((done) => {
  const find = (name) => document.querySelector(`.st-key-${name}_dots button`), start = performance.now();
  const look = () => find("train") ? done(performance.now() - start) : requestAnimationFrame(look);
  find("stop").click();
  look();
})"""


# Milliseconds from the next key press until each picture has been drawn anew, as the page itself sees it.
REDRAWN = """(names) => {
  const canvas = (name) => document.querySelector(`.st-key-chart_${name} canvas`);
  const before = names.map(canvas), seen = {};
  let start = Infinity;
  document.addEventListener("keydown", () => start = performance.now(), {once: true, capture: true});
  window.redrawn = new Promise((done) => {
    const look = () => {
      names.forEach((name, n) => {
        const now = canvas(name);
        if (now && now !== before[n]) seen[name] ??= performance.now() - start;
      });
      Object.keys(seen).length < names.length ? requestAnimationFrame(look) : done(seen);
    };
    look();
  });
}"""


def by_menu(browser: Any, address: str, note: Note) -> None:
    """Go to Initialization by the menu and move the network's point on its maps."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(address + "Why_nonlinearity")
    link = page.get_by_test_id("stSidebarNav").get_by_role("link", name="Initialization")
    link.wait_for()
    page.wait_for_timeout(4000)
    start = time.perf_counter()
    link.click()
    page.locator(".st-key-chart_initial_gradient :is(svg.marks, canvas)").first.wait_for()
    note("Initialization: chosen in the menu to first chart s", time.perf_counter() - start)
    for _ in range(MOVES):
        page.wait_for_timeout(3000)
        page.locator(".st-key-phases_sigma_w input[type=range]").focus()
        page.evaluate(REDRAWN, MAPS)
        page.keyboard.press("ArrowRight")
        for name, milliseconds in page.evaluate("window.redrawn").items():
            note(f"Initialization: sigma_w moved to {name} s", milliseconds / 1000)
    page.close()


def slider(browser: Any, address: str, key: str, words: str) -> float:
    """Give the seconds from a key press on a slider to the words it brings."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(address)
    thumb = page.locator(f".st-key-{key} input[type=range]")
    thumb.wait_for(state="attached")
    page.wait_for_timeout(3000)
    thumb.focus()
    start = time.perf_counter()
    page.keyboard.press("ArrowRight")
    page.get_by_text(words).first.wait_for()
    seconds = time.perf_counter() - start
    page.close()
    return seconds


def live(browser: Any, address: str) -> dict[str, float]:
    """Train the red and blue dots: pictures a second, and seconds from Stop to Train."""
    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.goto(address + LIVE)
    button = page.locator(".st-key-train_dots button")
    button.wait_for()
    page.wait_for_timeout(3000)
    button.click()
    title = page.locator(".st-key-chart_dots_bent_surface strong").first
    wait(lambda: "step 0" not in title.inner_text() and page.locator(".st-key-stop_dots").count())
    begin, seen = time.perf_counter(), set()
    while time.perf_counter() - begin < 4:
        seen.add(title.inner_text())
        time.sleep(0.05)
    elapsed = time.perf_counter() - begin
    stop = page.evaluate(STOP) / 1000
    page.close()
    return {"pictures/s": (len(seen) - 1) / elapsed, "stop s": stop}


def main(rounds: int) -> None:
    """Print medians of interleaved rounds as JSON."""

    def measure(browser: Any, floor: str, app: str, note: Note) -> None:
        for _ in range(rounds):
            text, chart = first_paint(browser, floor, "Verdict")
            note("floor: opened to words s", text)
            note("floor: opened to first chart s", chart)
            for name, words in PAGES.items():
                text, chart = first_paint(browser, app + name, words)
                note(f"{name}: opened to words s", text)
                note(f"{name}: opened to first chart s", chart)
                for key, after in SLIDERS[name]:
                    note(f"{name}: {key} moved to repaint s", slider(browser, app + name, key, after))
            by_menu(browser, app, note)
        for _ in range(max(1, rounds // 2)):
            for name, value in live(browser, app).items():
                note(f"dots in training: {name}", value)

    compare("lessons", measure)
