"""The lessons in a real browser: screens, charts, sliders, training, own dots, files, keyboard, links."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import browsing
import numpy as np
import pytest
from browsing import (
    CHART,
    DESK,
    PATIENCE,
    PHONE,
    Visit,
    is_whole_png,
    is_whole_svg,
    leave,
    open_page,
    page_background,
    picture,
    png_size,
    save_files,
    wait_for_another_picture,
    wait_for_charts,
    wait_until_calm,
)
from downloads import endings_of, save_chart
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, FloatRect, Locator, Page

ACTIVATIONS, NONLINEARITY, SEVENS = "Activation_functions", "Why_nonlinearity", "Lighter_sevens"
CHARTS = {
    ACTIVATIONS: (
        "activation_curves", "neuron_flow", "neuron_response", "error_signal", "reached_weights",
        "softmax_bars", "softmax_over_temperature",
    ),
    NONLINEARITY: (
        "collapse_agreement", "layer_widths", "composed_matrix", "bottleneck",
        "xor_linear_surface", "xor_linear_hidden", "xor_closed_surface", "xor_closed_hidden",
        "xor_bent_surface", "xor_bent_hidden", "xor_loss_floor",
        "dots_bent_surface", "dots_bent_gradients", "dots_bent_neurons",
        "dots_linear_surface", "dots_linear_gradients", "dots_linear_neurons",
    ),
    SEVENS: (
        "brightness_accuracy", "brightness_saturation", "brightness_homogeneity", "brightness_accuracy_bars",
        "brightness_images", "brightness_difference", "brightness_units", "believer_images", "believer_units",
    ),
}  # fmt: skip
FIRST_QUESTION = {ACTIVATIONS: "slope", NONLINEARITY: "collapse", SEVENS: "sevens"}
SCREENS: dict[str, dict[str, Any]] = {
    "light desk": {"viewport": DESK, "color_scheme": "light"},
    "dark phone": {"viewport": PHONE, "color_scheme": "dark"},
}
# Share of a chart's pixels that are colored. Axes, grids and words are gray; the thinnest marks, four dots
# and a line, color two in a thousand.
COLORED = 0.001
# What is filled with color. Dots alone reach 0.08.
FILLED = {
    "xor_closed_surface": 0.2,
    "dots_bent_surface": 0.4,
    "dots_bent_neurons": 0.15,
    "dots_linear_neurons": 0.15,
    "composed_matrix": 0.15,
    "layer_widths": 0.1,
}
GRAY_IMAGES = ("brightness_images", "believer_images")
HREF = "i => i.getAttribute('href') || i.getAttribute('xlink:href')"
LONG = "steps=20000&depth=6&width=8"  # the longest training the dots offer

browser, address = browsing.browser, browsing.address


def open_lesson(page: Page, address: str, lesson: str, query: str = "") -> None:
    page.goto(f"{address}/{lesson}?{query}")
    wait_for_charts(page, len(CHARTS[lesson]))


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    """Give a function that opens a lesson by a link and waits for its charts."""
    pages = []

    def go(lesson: str, query: str = "", **options: Any) -> Page:
        page = open_page(browser, **{"viewport": DESK, **options})
        pages.append(page)
        open_lesson(page, address, lesson, query)
        return page

    yield go
    for page in pages:
        leave(page)


def expect_text(locator: Locator, text: str | re.Pattern[str]) -> None:
    from playwright.sync_api import expect

    expect(locator).to_contain_text(text, timeout=1000 * PATIENCE)


def train(page: Page, section: str) -> Locator:
    return page.locator(f".st-key-train_{section} button")


def stop(page: Page, section: str) -> Locator:
    return page.locator(f".st-key-stop_{section} button")


def start_to_train(page: Page, section: str) -> None:
    """Press Train and wait until the address names the new run."""
    wait_until_calm(page)
    earlier = query_of(page).get(f"{section}_run")
    train(page, section).click()
    page.wait_for_function(
        "([name, earlier]) => ![null, earlier].includes(new URLSearchParams(location.search).get(name))",
        arg=[f"{section}_run", earlier],
    )


def train_to_the_end(page: Page, section: str) -> None:
    from playwright.sync_api import expect

    start_to_train(page, section)
    wait_until_calm(page)  # the button to stop may come after the new address
    train(page, section).wait_for()
    expect(stop(page, section)).to_have_count(0, timeout=1000 * PATIENCE)


def query_of(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def answer_to(page: Page, question: str) -> Locator:
    return page.locator(f".st-key-question_{question}")


# Each page from a bare link


@dataclass(frozen=True)
class Sight:
    """What a visitor saw of a page from a bare link."""

    charts: dict[str, np.ndarray]  # (height, width, 3) by name, as on the screen
    errors: list[tuple[str, str]]  # text and address
    question: FloatRect | None
    button: FloatRect | None
    width: tuple[int, int, int]  # of the document, and of what the page scrolls: content and frame
    background: str
    path: str


Bare = Callable[..., tuple[Sight, "Page"]]


def _pixels(picture: Locator) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("RGB")).astype(int)


def _look(browser: Browser, address: str, lesson: str, screen: str) -> tuple[Sight, Page]:
    page = open_page(browser, **SCREENS[screen])
    errors: list[tuple[str, str]] = []

    def hear(said: ConsoleMessage) -> None:
        if said.type == "error":
            errors.append((said.text, urlsplit(said.location["url"]).path))

    page.on("console", hear)
    page.on("pageerror", lambda error: errors.append((str(error), "")))
    open_lesson(page, address, lesson)
    page.wait_for_function(f"[...document.querySelectorAll('{CHART} svg image')].every({HREF})")
    box = answer_to(page, FIRST_QUESTION[lesson])
    question, button = box.locator("p").first.bounding_box(), box.get_by_role("button").last.bounding_box()
    width = page.evaluate(
        "(() => { const main = document.querySelector('[data-testid=stMain]');"
        " return [document.documentElement.scrollWidth, main.scrollWidth, main.clientWidth]; })()"
    )
    background = page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).backgroundColor")
    path = urlsplit(page.url).path
    names = page.locator("[class*=st-key-chart_]").evaluate_all(
        "l => l.map(e => e.className.match(/st-key-chart_(\\w+)/)[1])"
    )
    charts = {name: _pixels(picture(page, name)) for name in names}
    return Sight(charts, list(errors), question, button, tuple(width), background, path), page


@pytest.fixture(scope="module")
def bare(browser: Browser, address: str) -> Iterator[Bare]:
    """Give a function that opens a lesson by a bare link, once, and gives what was seen and the page."""
    visited: dict[tuple[str, str], tuple[Sight, Page]] = {}

    def look(lesson: str, screen: str = "light desk") -> tuple[Sight, Page]:
        if (lesson, screen) not in visited:
            visited[lesson, screen] = _look(browser, address, lesson, screen)
        return visited[lesson, screen]

    yield look
    for _, page in visited.values():
        page.context.close()


@pytest.fixture(scope="module", params=[(lesson, screen) for lesson in CHARTS for screen in SCREENS], ids=str)
def seen(request: pytest.FixtureRequest, bare: Bare) -> Iterator[tuple[str, str, Sight]]:
    lesson, screen = request.param
    sight, page = bare(lesson, screen)
    yield lesson, screen, sight
    if screen == "dark phone":  # nobody comes back to it
        page.context.close()


def test_a_bare_link_shows_every_chart_painted_on_the_color_of_the_page(
    seen: tuple[str, str, Sight],
) -> None:
    lesson, screen, sight = seen
    assert tuple(sight.charts) == CHARTS[lesson]
    for name, pixels in sight.charts.items():
        assert tuple(pixels[0, 0]) == page_background(screen.split()[0]), name
        if name in GRAY_IMAGES:
            inked = np.abs(pixels - pixels[0, 0]).max(axis=2) > 48
            assert inked.mean() > 0.2, name
        else:
            colored = pixels.max(axis=2) - pixels.min(axis=2) > 40
            assert colored.mean() > FILLED.get(name, COLORED), name


def test_a_bare_link_causes_no_error_in_the_browser(seen: tuple[str, str, Sight]) -> None:
    # On a page below the first, Streamlit's own code looks for its server there too and gets a 404.
    lesson, _, sight = seen
    probes = [f"/{lesson}/_stcore/health", f"/{lesson}/_stcore/host-config"]
    assert [(text, path) for text, path in sight.errors if "404" not in text or path not in probes] == []
    assert sight.path == f"/{lesson}"


def test_a_bare_link_shows_the_question_and_its_button_on_the_first_screen(
    seen: tuple[str, str, Sight],
) -> None:
    _, screen, sight = seen
    size = SCREENS[screen]["viewport"]
    for box in (sight.question, sight.button):
        assert box is not None
        assert 0 <= box["x"] < box["x"] + box["width"] <= size["width"]
        assert 0 <= box["y"] < box["y"] + box["height"] <= size["height"]


def test_a_bare_link_shows_a_page_as_wide_as_the_screen_in_the_color_of_the_theme(
    seen: tuple[str, str, Sight],
) -> None:
    _, screen, sight = seen
    document, content, frame = sight.width
    assert document == SCREENS[screen]["viewport"]["width"]
    assert content == frame
    assert sight.background == "rgb({}, {}, {})".format(*page_background(screen.split()[0]))


# Files, keyboard, sliders: on the pages that are open already


@pytest.mark.parametrize(
    ("path", "name", "first"),
    [
        (NONLINEARITY, "worked_example", "description,formula,value"),
        (NONLINEARITY, "xor_closed_truth_table", "x1,x2,target,h1,h2,output,class,right"),
        (SEVENS, "brightness_table", "network,"),
    ],
)
def test_a_table_is_a_file_at_a_press(bare: Bare, path: str, name: str, first: str) -> None:
    _, page = bare(path)
    wait_until_calm(page)
    with page.expect_download() as download:
        page.locator(f".st-key-table_{name} button").click()
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(first)
    assert len(lines) > 2


def _tab_to(page: Page, words: str) -> None:
    """Press Tab until the button that has the focus says some words."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(
            "words => document.activeElement.matches('button') &&"
            " document.activeElement.innerText.includes(words)",
            words,
        ):
            return
    pytest.fail(f"40 times Tab do not reach {words!r}")


def test_a_question_is_guessed_and_answered_with_the_keyboard_alone(bare: Bare) -> None:
    _, page = bare(ACTIVATIONS)
    _tab_to(page, "1, like a straight line")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    _tab_to(page, "Show the sigmoid")
    page.keyboard.press("Enter")
    expect_text(answer_to(page, "slope"), "You guessed right. Measured: the sigmoid's largest slope is 0.25")
    page.wait_for_url("**show=sigmoid&**")


@dataclass(frozen=True)
class Try:
    """A slider of a page, the chart it moves and what the address then says."""

    lesson: str
    slider: str
    chart: str
    said: dict[str, str]


TRIES = (
    Try(ACTIVATIONS, "activations_temperature", "softmax_bars", {"temperature": "1.05"}),
    Try(NONLINEARITY, "nonlinearity_draw", "collapse_agreement", {"draw": "1"}),
    Try(SEVENS, "sevens_image", "brightness_images", {"image": "1"}),
)


@pytest.mark.parametrize("tried", TRIES, ids=lambda tried: tried.lesson)
def test_a_slider_moved_by_keyboard_repaints_its_chart(tried: Try, bare: Bare) -> None:
    _, page = bare(tried.lesson)
    wait_until_calm(page)
    before, drawn = query_of(page), picture(page, tried.chart).inner_html()
    page.locator(f".st-key-{tried.slider}").get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    wait_for_another_picture(page, tried.chart, drawn)
    name, text = next(iter(tried.said.items()))
    page.wait_for_url(re.compile(rf"[?&]{name}={re.escape(text)}(&|$)"))
    assert query_of(page) == before | tried.said  # and nothing else


def test_a_repainted_chart_is_saved_as_it_is(bare: Bare) -> None:
    _, page = bare(SEVENS)
    chart = "brightness_images"
    page.locator(".st-key-sevens_image").get_by_role("slider").focus()
    drawn = picture(page, chart).inner_html()
    page.keyboard.press("ArrowRight")
    wait_for_another_picture(page, chart, drawn)
    files = save_files(page, chart)
    assert {name for name, _ in files.values()} == {f"follow-{chart}.{kind}" for kind in files}
    assert is_whole_svg(files["svg"][1])
    assert is_whole_png(files["png"][1])
    assert png_size(files["png"][1])[0] >= 600
    assert np.asarray(Image.open(io.BytesIO(files["png"][1])).convert("L")).std() > 3  # not one color
    header, *rows = files["csv"][1].decode().splitlines()
    assert header.startswith("brightness,")
    assert rows


@pytest.mark.parametrize("lesson", CHARTS)
def test_charts_of_a_lesson_offer_every_format_and_give_files_that_open(bare: Bare, lesson: str) -> None:
    _, page = bare(lesson)
    # Some are enough here: tests/test_lesson_pages.py writes every chart of every lesson.
    some = CHARTS[lesson][:: -(-len(CHARTS[lesson]) // 3)]
    for number, chart in enumerate(some, start=3 * list(CHARTS).index(lesson)):
        names = save_chart(page, chart, number)
        assert [name.partition(f"-{chart}.")[2] for name in names] == [*endings_of(number)]


# Training


@pytest.fixture(scope="module")
def lesson_page(browser: Browser, address: str) -> Iterator[Page]:
    """Give the page on nonlinearity with choices in its link, on which one test trains after another."""
    page = open_page(browser, viewport=DESK)
    open_lesson(page, address, NONLINEARITY, f"dots=moons&{LONG}&linear_layers=1&xor_seed=3")
    yield page
    leave(page)


def test_the_question_on_xor_trains_and_answers(lesson_page: Page) -> None:
    page = lesson_page
    answer_to(page, "xor").get_by_text("no further than one half everywhere").click()
    wait_until_calm(page)
    page.get_by_role("button", name="Train six linear layers").click()
    expect_text(
        answer_to(page, "xor"),
        re.compile(r"You guessed right\. Measured: its mean squared error at the end is 0\.25\b"),
    )
    # A browser under full load may send the slider's old place along, so that the six layers that the address
    # says are held without one.
    page.wait_for_url(re.compile(r"[?&]xor_run=[\w-]"))


def test_dots_in_training_move_until_stop(lesson_page: Page) -> None:
    from playwright.sync_api import expect

    page = lesson_page
    wait_until_calm(page)
    train(page, "dots").click()
    stop(page, "dots").wait_for()
    pictures: set[str] = set()
    surface = f".st-key-chart_dots_bent_surface {CHART} svg image"
    for _ in range(2):  # one surface after another, while it trains; all 20,000 steps take five seconds
        found = page.wait_for_function(
            f"([selector, known]) => {{ const i = document.querySelector(selector);"
            f" const drawn = i && ({HREF})(i); return drawn && !known.includes(drawn) && drawn; }}",
            arg=[surface, sorted(pictures)],
        )
        pictures.add(found.json_value())
        assert stop(page, "dots").is_visible()
    assert all(drawn.startswith("data:image/png;base64,") for drawn in pictures)

    stop(page, "dots").click()
    expect(train(page, "dots")).to_be_visible(timeout=10_000)  # how fast: benchmarks
    expect(page.get_by_test_id("stProgress")).to_have_count(0)
    # What it had learned by then is shown, not the pair of the first visit.
    title = page.locator(".st-key-chart_dots_bent_surface p").first
    expect_text(title, re.compile(r"step [1-9]\d*:"))
    assert "step 400:" not in title.inner_text()
    assert "step 20000:" not in title.inner_text()


def test_a_page_that_streamlit_lost_comes_back_with_its_choices(lesson_page: Page) -> None:
    page = lesson_page
    wait_until_calm(page)
    page.wait_for_function("window.nnlabRescue")
    page.evaluate(
        "document.getElementById('root').remove();"
        "setTimeout(() => { throw new Error('Cannot set a node at a delta path') })"
    )
    page.locator("[data-testid=stApp]").wait_for(state="detached")
    wait_for_charts(page, len(CHARTS[NONLINEARITY]))
    assert query_of(page)["dots"] == "moons"


def test_a_reload_finds_dots_in_training_again(lesson_page: Page) -> None:
    page = lesson_page
    start_to_train(page, "dots")
    stop(page, "dots").wait_for()
    link = browsing.link_of(page)
    page.reload()
    stop(page, "dots").wait_for()
    expect_text(page.get_by_test_id("stProgress"), "Step ")
    assert browsing.link_of(page) == link


# The visitor's own dots


def _choose_own(page: Page) -> None:
    box = page.get_by_role("combobox", name="Dots")
    end = time.monotonic() + PATIENCE
    marked = ""
    while marked != "Your own: draw or upload":
        assert time.monotonic() < end, "the list offers no own dots"
        box.press("ArrowDown")  # opens the list, goes down in it, stays at its end
        marked = box.evaluate(
            "e => document.getElementById(e.getAttribute('aria-activedescendant'))?.innerText ?? ''"
        )
    box.press("Enter")
    page.wait_for_url("**dots=own**")


def _draw(page: Page, color: str, count: int, left: float, top: float) -> None:
    """Draw one stroke of at least so many points around a place, given in shares of the pad."""
    pad = page.locator(".st-key-own_pad")
    pad.get_by_role("button", name=color).click()
    canvas, counted = pad.locator("canvas"), pad.locator("#count")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + left * box["width"], box["y"] + top * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    end = time.monotonic() + PATIENCE
    for move in range(100_000):
        blue, red = (int(number) for number in re.findall(r"\d+", counted.inner_text())[:2])
        if {"Blue": blue, "Red": red}[color] >= count:
            break
        assert time.monotonic() < end, "the pad takes no points"
        page.mouse.move(x + move % 60, y + move % 45)
    page.mouse.up()


@pytest.fixture(scope="module")
def own_page(lesson_page: Page) -> Page:
    """Give the page with the visitor's own dots, none yet, and the shortest training."""
    if stop(lesson_page, "dots").count():
        stop(lesson_page, "dots").click()
        train(lesson_page, "dots").wait_for()
    wait_until_calm(lesson_page)
    lesson_page.locator(".st-key-nonlinearity_steps").get_by_role("slider").focus()
    lesson_page.keyboard.press("Home")
    lesson_page.wait_for_url("**steps=50&**")
    wait_until_calm(lesson_page)
    _choose_own(lesson_page)
    return lesson_page


def test_own_dots_are_drawn_with_the_mouse_and_learned(own_page: Page) -> None:
    from playwright.sync_api import expect

    page = own_page
    expect_text(page.locator(".st-key-complaint_dots"), "No dots yet: draw some of both colors.")
    expect(train(page, "dots")).to_be_disabled()
    _draw(page, "Red", 12, 0.15, 0.15)
    expect_text(page.locator(".st-key-complaint_dots"), "0 points are blue")
    _draw(page, "Blue", 6, 0.7, 0.7)
    expect(page.locator(".st-key-complaint_dots")).to_have_count(0)
    count = re.findall(r"\d+", page.locator(".st-key-own_pad #count").inner_text())
    expect_text(page.locator(".st-key-csv_own"), f"These {int(count[0]) + int(count[1])} dots (CSV)")
    wait_until_calm(page)  # a page that is drawn anew calls off its downloads
    with page.expect_download() as waiting:
        page.locator(".st-key-csv_own button").click()
    header, *rows = waiting.value.path().read_text().splitlines()
    assert len(header.split(",")) == 3
    assert len(rows) == int(count[0]) + int(count[1])

    train_to_the_end(page, "dots")
    expect_text(page.locator(".st-key-chart_dots_bent_surface p").first, "step 50:")


GOOD = "x,y,class\n" + "".join(f"{n % 7},{n % 5},{'left' if n % 7 < 3 else 'right'}\n" for n in range(40))
BAD = GOOD.replace("\n3,3,right\n", "\nthree,3,right\n")


def test_a_bad_file_gives_one_sentence_and_a_good_one_trains(own_page: Page) -> None:
    from playwright.sync_api import expect

    page = own_page
    wait_until_calm(page)
    page.get_by_text("Upload a CSV file").click()
    wait_until_calm(page)
    chosen = page.locator(".st-key-own_file input[type=file]")
    complaint = page.locator(".st-key-complaint_dots")
    chosen.set_input_files({"name": "bad.csv", "mimeType": "text/csv", "buffer": BAD.encode()})
    expect_text(complaint, "column 'x' holds 'three', which is no number")
    assert complaint.locator("[data-testid=stText]").inner_text().count(".") - "bad.csv".count(".") == 1
    expect(train(page, "dots")).to_be_disabled()
    assert page.locator(browsing.PICTURE).count() == len(CHARTS[NONLINEARITY])

    wait_until_calm(page)
    chosen.set_input_files({"name": "good.csv", "mimeType": "text/csv", "buffer": GOOD.encode()})
    expect(complaint).to_have_count(0)
    expect_text(page.locator(".st-key-csv_own"), "These 40 dots (CSV)")
    drawn = picture(page, "dots_bent_surface").inner_html()
    train_to_the_end(page, "dots")
    wait_for_another_picture(page, "dots_bent_surface", drawn)
    expect_text(page.locator(".st-key-chart_dots_bent_surface p").first, "step 50:")
    wait_for_charts(page, len(CHARTS[NONLINEARITY]))
    assert page.locator(browsing.PICTURE).count() == len(CHARTS[NONLINEARITY])


# Between the lab and the lessons


def test_a_network_goes_from_a_lesson_to_the_lab_and_the_lab_leads_to_every_lesson(
    visit: Visit, address: str
) -> None:
    page = visit(ACTIVATIONS, "layers=7&units=32&chain_phi=tanh")
    page.get_by_role("link", name="Train such a network in the lab").click()
    expect_text(page.locator("h4"), "7 x 32 tanh")

    page.get_by_role("button", name="New here?").click()
    links = page.get_by_test_id("stPopoverBody").get_by_role("link")
    links.nth(3).wait_for()
    assert [link.evaluate("a => a.href") for link in links.all()] == [
        f"{address}/{page}"
        for page in (*CHARTS, "Initialization", "Compare", "Sweep", "Your_model", "Paper_figures")
    ]
    links.first.click()
    picture(page, "softmax_over_temperature").wait_for()

    # The lab has a choice by now; a link with another one wins.
    page.locator(".st-key-activations_layers").get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**layers=8&**")
    page.get_by_role("link", name="Train such a network in the lab").click()
    expect_text(page.locator("h4"), "8 x 32 tanh")
    page.wait_for_url("**/?v=1&**")
    said = query_of(page)
    assert (said["depth"], said["width"], said["activation"]) == ("8", "32", "tanh")
