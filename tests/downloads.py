"""What a page offers to save: the buttons of its charts, and whether the files they give can be opened."""

from __future__ import annotations

import ast
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from browsing import is_whole_png, is_whole_svg, wait_until_calm
from PIL import Image
from safetensors.numpy import load

from nnlab.export import CHART_FORMATS
from nnlab.runfile import parse_run
from nnlab.tables import TABLE_FORMATS

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PICTURES = {form.ending: form.key for form in CHART_FORMATS.values()}
BUTTONS = [*PICTURES.values(), *TABLE_FORMATS]


def opens_pdf(data: bytes) -> bool:
    from pypdf import PdfReader

    return bool(PdfReader(io.BytesIO(data)).pages[0].extract_text())


def opens_html(data: bytes) -> bool:
    return data.startswith(b"<!DOCTYPE html>") and data.rstrip().endswith(b"</html>")


def opens_png(data: bytes) -> bool:
    image = Image.open(io.BytesIO(data)).convert("L")
    low, high = image.getextrema()
    return is_whole_png(data) and high - low > 30


# By the ending of a file: whether what it holds can be opened.
OPENS: dict[str, Callable[[bytes], Any]] = {
    ".svg": is_whole_svg,
    ".pdf": opens_pdf,
    ".png": opens_png,
    ".html": opens_html,
    ".vl.json": lambda data: json.loads(data)["datasets"],
    ".csv": lambda data: len(pd.read_csv(io.BytesIO(data)).columns),
    ".json": lambda data: json.loads(data)["columns"],
    ".parquet": lambda data: len(pd.read_parquet(io.BytesIO(data)).columns),
    ".py": lambda data: ast.parse(data.decode()),
    ".jsonl": lambda data: parse_run(data, "run.jsonl").records,
    ".safetensors": lambda data: load(data)["output.weight"].size,
    ".zip": lambda data: zipfile.ZipFile(io.BytesIO(data)).testzip() is None,
}


def save(page: Page, button: Locator) -> tuple[str, bytes]:
    """Click a download button, check that its file opens, and give the file's name and bytes."""
    with page.expect_download() as waiting:
        button.click()
    name, data = waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()
    ending = max((ending for ending in OPENS if name.endswith(ending)), key=len)
    assert OPENS[ending](data), name
    return name, data


def menu_of(page: Page, chart: str) -> Locator:
    return page.locator(f".st-key-download_{chart} button").locator("visible=true").first


def endings_of(number: int) -> tuple[str, str]:
    """Give what is clicked of the chart of a number: a picture and a table, others for the next chart.

    Five charts in a row have every picture, three every table. That every chart can be written in every
    format holds without a browser: tests/test_export.py, test_run_files.py and test_lesson_pages.py.
    """
    return list(PICTURES)[number % len(PICTURES)], list(TABLE_FORMATS)[number % len(TABLE_FORMATS)]


def save_chart(page: Page, chart: str, number: int) -> list[str]:
    """See that a chart offers every format, save it in those of its turn, and give the files' names."""
    wait_until_calm(page)
    menu_of(page, chart).click()
    buttons = {key: page.locator(f".st-key-{key}_{chart} button").first for key in BUTTONS}
    for button in buttons.values():
        button.wait_for()
    picture, table = endings_of(number)
    names = [save(page, buttons[key])[0] for key in (PICTURES[picture], table)]
    menu_of(page, chart).click()
    return names
