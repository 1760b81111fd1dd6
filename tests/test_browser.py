"""The lab's page in a real browser: first visit, training, reload, phone, dark theme, files, keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import browsing
import pytest
from browsing import (
    CHART,
    DESK,
    PATIENCE,
    PHONE,
    PICTURE,
    STOP,
    TRAIN,
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
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHARTS_ON_FIRST_PAINT = 6
LONG = 20_000  # steps; still on its way when the test is done with it, on any machine
VERDICT = ".st-key-verdict"
STRIP = ".st-key-chart_delta_strip"

browser, address = browsing.browser, browsing.address


def wait_for_charts(page: Page) -> None:
    browsing.wait_for_charts(page, CHARTS_ON_FIRST_PAINT)


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    """Give a function that opens the page by a link and waits for its charts."""
    pages = []

    def go(query: str = "", **options: Any) -> Page:
        page = open_page(browser, **{"viewport": DESK, **options})
        pages.append(page)
        page.goto(f"{address}/?{query}")
        wait_for_charts(page)
        return page

    yield go
    for page in pages:
        leave(page)


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
def first(browser: Browser, address: str) -> Iterator[tuple[FirstVisit, Page]]:
    """Give what was seen of the page from a bare link, and the page itself."""
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
    yield FirstVisit(page.locator(VERDICT).inner_text(), len(shown), list(errors), set(hosts)), page
    page.context.close()


@pytest.fixture(scope="module")
def first_visit(first: tuple[FirstVisit, Page]) -> FirstVisit:
    return first[0]


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


@pytest.fixture(scope="module")
def training(browser: Browser, address: str) -> Iterator[Page]:
    """Give the page with a run on its way, which three tests look at one after another."""
    from playwright.sync_api import expect

    page = open_page(browser, viewport=DESK)
    page.goto(f"{address}/?steps={LONG}")
    wait_for_charts(page)
    page.locator(TRAIN).click()
    expect(page.get_by_test_id("stProgress")).to_contain_text("Step ", timeout=1000 * PATIENCE)
    yield page
    leave(page)


def test_training_moves_the_progress_and_redraws_the_charts(training: Page) -> None:
    progress = training.get_by_test_id("stProgress")
    words, drawn = [progress.inner_text()], [picture(training, "delta_strip").inner_html()]
    # The first new picture may only replace that of the stored run.
    for _ in range(3):
        drawn.append(wait_for_another_picture(training, "delta_strip", drawn[-1]))
        words.append(progress.inner_text())
        if len(words) == 2:
            picture(training, "loss").evaluate("picture => { picture.isTheFirst = true }")
    assert len(set(words)) > 2
    # New data do for it; set up anew, it would cost the browser a multiple of that every second.
    assert picture(training, "loss").evaluate("picture => picture.isTheFirst")


def test_a_reload_during_a_run_finds_the_run_again(training: Page) -> None:
    training.locator(STOP).wait_for()
    training.wait_for_url("**run=**")
    link = browsing.link_of(training)
    training.reload()
    training.locator(STOP).wait_for()
    training.get_by_test_id("stProgress").wait_for()
    assert browsing.link_of(training) == link


def test_stop_offers_train_again_and_keeps_the_records(training: Page) -> None:
    from playwright.sync_api import expect

    expect(training.get_by_test_id("stProgress")).to_contain_text("Step ", timeout=1000 * PATIENCE)
    training.locator(STOP).click()
    expect(training.locator(TRAIN)).to_be_visible(timeout=10_000)  # how fast: benchmarks
    expect(step_slider(training)).to_have_attribute("aria-valuetext", re.compile(r"[1-9]\d*"))
    expect(training.get_by_test_id("stProgress")).to_have_count(0)


# Screens


@dataclass(frozen=True)
class Phone:
    """Where things were on a dark phone, in which colors, and how wide the page was with each tab open."""

    train: dict[str, float] | None
    verdict: dict[str, float] | None
    widths: list[int]
    background: str
    chart_backgrounds: set[str]


@pytest.fixture(scope="module")
def phone(browser: Browser, address: str) -> Phone:
    page = open_page(browser, viewport=PHONE, color_scheme="dark")
    page.goto(address)
    wait_for_charts(page)
    color = "e => getComputedStyle(e).backgroundColor"
    background = page.get_by_test_id("stApp").evaluate(color)
    chart_backgrounds = set(page.locator(f"{CHART} > svg").evaluate_all(f"l => l.map({color})"))
    train, verdict = page.locator(TRAIN).bounding_box(), page.locator(f"{VERDICT} p").first.bounding_box()
    widths = []
    for name in ("Learning", "Activations", "Units", "Gradients", "Table and files"):
        page.get_by_role("tab", name=name).click()
        page.get_by_role("tabpanel", name=name).locator(f"{PICTURE}, canvas").first.wait_for()
        widths.append(page.evaluate("document.documentElement.scrollWidth"))
    page.context.close()
    return Phone(train, verdict, widths, background, chart_backgrounds)


@pytest.mark.parametrize("part", ["train", "verdict"])
def test_train_and_verdict_are_on_the_first_screen_of_a_phone(part: str, phone: Phone) -> None:
    box = getattr(phone, part)
    assert 0 <= box["x"] < box["x"] + box["width"] <= PHONE["width"]
    assert 0 <= box["y"] < box["y"] + box["height"] <= PHONE["height"]


def test_a_phone_never_scrolls_sideways(phone: Phone) -> None:
    assert phone.widths == [PHONE["width"]] * 5


def test_page_and_charts_are_dark_where_the_visitor_likes_it_dark(phone: Phone) -> None:
    dark = "rgb({}, {}, {})".format(*page_background("dark"))
    assert phone.background == dark
    assert phone.chart_backgrounds == {dark}


# Files


@pytest.fixture(scope="module")
def downloads(first: tuple[FirstVisit, Page]) -> dict[str, tuple[str, bytes]]:
    """Give name and bytes of every file that the heat map offers."""
    _, page = first
    files = save_files(page, "delta_heatmap")
    page.locator(".st-key-download_delta_heatmap button").first.click()
    return files


def test_a_chart_is_downloaded_as_svg(downloads: dict[str, tuple[str, bytes]]) -> None:
    name, data = downloads["svg"]
    assert name == "digits-10x64-sigmoid-seed0-delta_heatmap.svg"
    assert is_whole_svg(data)
    assert b"Error signal over layers and steps" in data


def test_a_chart_is_downloaded_as_png(downloads: dict[str, tuple[str, bytes]]) -> None:
    name, data = downloads["png"]
    width, height = png_size(data)
    assert name == "digits-10x64-sigmoid-seed0-delta_heatmap.png"
    assert is_whole_png(data)
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


def test_the_arrow_keys_on_the_step_slider_change_the_step_of_the_charts(
    first: tuple[FirstVisit, Page],
) -> None:
    from playwright.sync_api import expect

    _, page = first
    browsing.wait_until_calm(page)
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


def test_a_table_is_uploaded_trained_on_and_shows_its_verdict_and_none_of_its_names_is_markup(
    browser: Browser, address: str
) -> None:
    page = open_page(browser, viewport=PHONE)
    hosts: set[str | None] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto(f"{address}/?dataset=csv&depth=2&width=8&steps=20&batch_size=16")
    page.locator("input[type=file]").wait_for(state="attached")
    browsing.wait_until_calm(page)
    assert page.locator(TRAIN).is_disabled()
    names = [
        "![x](http://example.org/x.png)",
        "<img src=http://example.org/y onerror=alert(1)>",
        "n" * 300,
        "y",
    ]
    rows = "".join(f"{i},{i % 7},{i % 5},{names[i % 2]}\n" for i in range(40))
    table = {
        "name": f"{names[1]}.csv",
        "mimeType": "text/csv",
        "buffer": f"{','.join(names)}\n{rows}".encode(),
    }
    page.locator("input[type=file]").set_input_files([table])  # type: ignore[list-item]
    own = page.locator(".st-key-own_data")
    own.get_by_text("40 rows (32 to learn from, 8 to test), 3 features").wait_for()
    assert names[0] in own.inner_text()
    page.locator(TRAIN).click()
    page.wait_for_url("**data=**")
    page.locator(VERDICT).get_by_text("error signal").first.wait_for()
    browsing.wait_until_calm(page)
    assert page.locator("img[src*=example], a[href*=example]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert hosts - {None} == {"localhost"}
    page.context.close()


def test_a_remedy_that_is_trained_at_once_redraws_the_whole_page_and_so_does_the_way_back(visit):
    page = visit("dataset=iris&depth=10&width=4&activation=sigmoid&steps=20&batch_size=16")
    heading = page.locator("h4").first
    before = heading.inner_text()
    page.locator(TRAIN).click()
    page.wait_for_function("location.search.includes('run=')", timeout=PATIENCE * 1000)
    page.get_by_role("button", name="Try this").first.click(timeout=PATIENCE * 1000)
    back = page.get_by_role("button", name="Back to before")
    back.wait_for(timeout=PATIENCE * 1000)
    # On a phone the two verdicts are there in full, over several lines.
    page.set_viewport_size(PHONE)
    row = page.locator(".st-key-before_after tr").filter(has_text="Verdict")
    row.wait_for(timeout=PATIENCE * 1000)
    cells = row.locator("td").all()
    assert len(cells) == 3
    for cell in cells:
        assert cell.evaluate("e => e.scrollWidth <= e.clientWidth")
        box = cell.bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= PHONE["width"]
    page.wait_for_function(
        "words => document.querySelector('h4').innerText !== words", arg=before, timeout=PATIENCE * 1000
    )
    page.locator(TRAIN).wait_for(timeout=PATIENCE * 1000)
    back.click()
    page.wait_for_function(
        "words => document.querySelector('h4').innerText === words", arg=before, timeout=PATIENCE * 1000
    )


# A run of a sweep


def test_a_cell_of_a_sweep_is_clicked_and_its_run_opened_in_a_lab_that_had_another_one(visit: Visit) -> None:
    from playwright.sync_api import expect

    page = visit("dataset=iris&depth=2&width=4&steps=5&batch_size=16")
    page.locator(TRAIN).click()
    page.wait_for_url("**run=**")
    before = page.url
    browsing.wait_until_calm(page)
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Sweep").click()
    cells = page.locator(
        f".st-key-chart_sweep_map {CHART} > svg path[aria-label^='depth 5, activation Tanh']"
    )
    cells.wait_for()
    browsing.wait_until_calm(page)
    cells.click()
    run = page.get_by_role("link", name="Open this run in the lab")
    expect(run).to_have_attribute("href", re.compile("depth=5&.*activation=tanh"))
    browsing.wait_until_calm(page)
    run.click()
    page.wait_for_url(lambda url: "run=" in url and url != before and "Sweep" not in url)
    expect(page.locator("h4").first).to_contain_text("5 x 32 tanh")
    expect(page.locator(VERDICT)).to_contain_text("Healthy.", timeout=1000 * PATIENCE)
