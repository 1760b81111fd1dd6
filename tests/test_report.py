"""The report of a run, as a page and on paper."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import nnlab
from nnlab import printout, report
from nnlab.charts import CHARTS, draw
from nnlab.metrics import METRICS
from nnlab.presets import STORED_RUN
from nnlab.run import StepRecord

MOST_BYTES = 3_000_000
TINY = nnlab.ExperimentConfig(dataset="iris", depth=2, width=4, steps=10)
SOME = ("loss", "delta_heatmap", "activation_histograms")  # one chart of every kind, two pages on paper


@pytest.fixture
def some_charts(monkeypatch):
    """Drawing all charts takes most of a report's time; tests of its words do with some."""
    for module in (report, printout):
        monkeypatch.setattr(module, "CHARTS", {name: CHARTS[name] for name in SOME})


without_most_charts = pytest.mark.usefixtures("some_charts")


@pytest.fixture(scope="module")
def stored():
    return nnlab.load_run(STORED_RUN)


class Reader(HTMLParser):
    """Reads words, and checks that every element is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def page(stored):
    return report.to_html(stored, 300).decode()


def test_a_report_holds_verdict_charts_table_choices_versions_and_definitions(page, stored):
    read = Reader(page)
    assert not read.open
    words = " ".join(read.words)
    assert stored.findings[0].explanation in words
    assert "Try: tanh" in words
    drawn = sum(not draw(name, stored, 300, "light").is_empty for name in CHARTS)
    assert read.tags.count("svg") == drawn
    assert read.tags.count("figure") == len(CHARTS)
    assert all(layer.name in words for layer in stored.layers)
    assert "xavier_uniform" in words
    assert stored.environment["torch"] in words
    assert METRICS["gradient_ratio"].meaning in words
    assert read.tags.count("math") >= 10


def test_a_report_is_small_and_asks_no_network(page):
    assert len(page.encode()) < MOST_BYTES
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page


def test_pictures_on_one_page_do_not_share_the_names_of_their_parts(page):
    names = re.findall(r' id="([^"]+)"', page)
    assert len(names) == len(set(names)) > 1
    used = re.findall(r"url\(#([^)]+)\)", page)
    assert set(used) <= set(names)


def test_the_table_shows_the_numbers_of_the_step(stored, page):
    record = stored.record_at(300)
    assert f"{record.layers['delta_norm'][0]:.1e}" in page


@without_most_charts
def test_another_step_shows_other_numbers(stored):
    early = report.to_html(stored, 0).decode()
    assert "<h2>Step 0</h2>" in early
    assert f"{stored.record_at(0).layers['delta_norm'][0]:.1e}" in early


def all_nan(run):
    records = tuple(
        StepRecord(
            record.step,
            {name: np.full_like(values, np.nan) for name, values in record.layers.items()},
            dict.fromkeys(record.network, np.nan),
            record.histograms,
        )
        for record in run.records
    )
    return replace(run, records=records)


SHAPES = {
    "diverged": lambda: nnlab.train(TINY.replace(activation="identity", learning_rate=1e10)),
    "one layer, stopped": lambda: replace(nnlab.train(TINY.replace(depth=1, width=1)), status="stopped"),
    "100 layers": lambda: nnlab.train(TINY.replace(depth=100, width=2, steps=30)),
    "NaN everywhere": lambda: all_nan(nnlab.train(TINY)),
    "no records": lambda: replace(nnlab.train(TINY), records=(), status="interrupted"),
    "regression-like": lambda: nnlab.train(TINY.replace(loss="mse", normalization="batch")),
    # Balanced labels, a full batch and weights of 0: every gradient is exactly 0.
    "stalled": lambda: nnlab.train(
        TINY.replace(dataset="xor", samples=80, noise=0.0, initializer="zeros", batch_size=64, steps=40)
    ),
}


# These have no layer, number or record that the others lack; some charts show how they ended.
LIKE_OTHERS = ("regression-like", "stalled")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_of_any_shape_has_a_report_that_says_how_it_ended(shape, request):
    if shape in LIKE_OTHERS:
        request.getfixturevalue("some_charts")
    shaped = SHAPES[shape]()
    page = report.to_html(shaped).decode()
    assert not Reader(page).open
    assert len(page.encode()) < MOST_BYTES
    assert shaped.ending in page


@without_most_charts
@pytest.mark.parametrize("shape", ["diverged", "NaN everywhere", "no records"])
def test_a_run_of_any_shape_has_a_report_on_paper(shape):
    from pypdf import PdfReader

    shaped = SHAPES[shape]()
    pages = PdfReader(io.BytesIO(printout.to_printout(shaped))).pages
    words = "".join(page.extract_text() for page in pages)
    assert all(word in words for word in shaped.ending.split())
    assert "What the numbers mean" in words


@without_most_charts
def test_the_same_run_is_the_same_paper():
    run = nnlab.train(TINY)
    assert printout.to_printout(run, 10) == printout.to_printout(run, 10)


def test_paper_holds_the_words_and_every_chart(stored):
    from pypdf import PdfReader

    data = printout.to_printout(stored, 300)
    assert len(data) < MOST_BYTES
    words = "".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)
    for name in CHARTS:
        chart = draw(name, stored, 300, "light")
        assert chart.is_empty or chart.title in words
    assert "gets 1 / 480,000 of the error signal" in words.replace("\n", " ")


def test_user_text_reaches_no_markup(stored):
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    run = replace(stored, config=None, notes=(evil,), environment={"model": evil, "torch": evil})
    page = report.to_html(run, mode="dark").decode()
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
