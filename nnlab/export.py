"""export: charts as bytes that leave the page: SVG, PDF, PNG, a page of their own, the Vega-Lite spec."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

from nnlab import fonts, painter
from nnlab.chart import Chart, records_of

WIDTH = 720  # points; a text column of a paper or half a slide
PNG_SCALE = 2.0
LONGEST_STEM = 64  # characters of a file name; all file systems and attachments take that
# vl-convert lists a page's resources in another order every time, and counts the parts of all pictures that a
# process draws. In order, and counted anew, the same chart is the same file.
_RESOURCES = re.compile(rb"(?:[ ]+/(?:xo|gs|fo|cs|pt|sh)\d+ \d+ 0 R\n)+")
_PARTS = re.compile(r"\b(gradient_|clip)(\d+)(?=[\")])")


def standalone_spec(chart: Chart, caption: str) -> dict[str, Any]:
    """Give the chart with data, title, caption and a fixed width: what is exported."""
    return {
        **chart.spec,
        "title": {"text": chart.title, "subtitle": [caption, *chart.notes]},
        "width": WIDTH,
        "padding": 16,
        "datasets": records_of(chart.frames),
    }


def to_svg(chart: Chart, caption: str) -> bytes:
    """Draw a chart as SVG with its typeface inside; the caption says what it was made from."""
    svg = svg_text(chart, caption)
    start = svg.index(">") + 1
    return f"{svg[:start]}<style>{fonts.font_face()}</style>{svg[start:]}".encode()


def svg_text(chart: Chart, caption: str) -> str:
    """Draw a chart as SVG for a page that brings the typeface."""
    return _counted_anew(painter.to_svg(standalone_spec(chart, caption)))


def _counted_anew(svg: str) -> str:
    numbers = {name: str(count) for count, name in enumerate(dict.fromkeys(_PARTS.findall(svg)), start=1)}
    return _PARTS.sub(lambda found: found[1] + numbers[found.groups()], svg)


def to_pdf(chart: Chart, caption: str) -> bytes:
    """Draw a chart as a PDF page of its own size."""
    return _in_order(painter.to_pdf(standalone_spec(chart, caption)), chart.title)


def _in_order(pdf: bytes, title: str) -> bytes:
    """Write a PDF's parts in the order in which its page names them."""
    from pypdf import PdfReader, PdfWriter

    named = _RESOURCES.sub(lambda found: b"".join(sorted(found[0].splitlines(keepends=True))), pdf)
    writer = PdfWriter()
    writer.add_page(PdfReader(io.BytesIO(named)).pages[0])
    writer.add_metadata({"/Title": title, "/Producer": "nnlab"})
    content = io.BytesIO()
    writer.write(content)
    return content.getvalue()


def to_png(chart: Chart, caption: str) -> bytes:
    """Draw a chart as PNG at twice the size, for slides."""
    return painter.to_png(standalone_spec(chart, caption), PNG_SCALE)


def to_html(chart: Chart, caption: str) -> bytes:
    """Make a page that draws the chart, answers the mouse and needs no network."""
    page = painter.to_html(standalone_spec(chart, caption))
    style = f"{fonts.font_face()}body{{margin:0;background:{chart.spec['config']['background']}}}"
    head = f"<title>{escape(chart.title)}</title><style>{style}</style>"
    return page.replace("<head>", f"<head>{head}", 1).encode()  # the scripts speak of heads too


def to_spec(chart: Chart, caption: str) -> bytes:
    """Write the Vega-Lite spec with its data, for the Vega editor or a notebook."""
    return json.dumps(standalone_spec(chart, caption), ensure_ascii=False, indent=1, allow_nan=False).encode()


@dataclass(frozen=True)
class ChartFormat:
    """One way to write a chart: `write(chart, caption)` gives its bytes."""

    ending: str
    label: str
    use: str
    mime: str
    write: Callable[[Chart, str], bytes]

    @property
    def key(self) -> str:
        """The ending as a word."""
        return self.ending.replace(".", "_")


_FORMATS = (
    ChartFormat("svg", "SVG", "For papers and the web; sharp at any size.", "image/svg+xml", to_svg),
    ChartFormat("pdf", "PDF", "For papers: a page of the picture's own size.", "application/pdf", to_pdf),
    ChartFormat("png", "PNG", "For slides: twice the size of the screen.", "image/png", to_png),
    ChartFormat("html", "HTML", "A page that answers the mouse and needs no network.", "text/html", to_html),
    ChartFormat("vl.json", "Vega-Lite", "The drawing itself, to change it.", "application/json", to_spec),
)
CHART_FORMATS = {form.ending: form for form in _FORMATS}


def file_stem(label: str, name: str) -> str:
    """Give a file name that tells what is inside: digits-10x64-sigmoid-seed0-delta_norm."""
    kept = label[: max(1, LONGEST_STEM - len(name) - 1)]  # a long label must not cost the name
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{kept}-{name}").strip(".")[:LONGEST_STEM]
