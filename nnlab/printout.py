"""printout: the report of a run as PDF: its words on the first pages, then its charts, two on a page."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from fpdf import FPDF
from fpdf.fonts import FontFace
from pypdf import PageObject, PdfReader, PdfWriter, Transformation

from nnlab import fonts
from nnlab.charts import CHARTS, draw
from nnlab.export import to_pdf
from nnlab.palette import Mode
from nnlab.report import Pair, choices, definitions, shown_table, verdict, versions
from nnlab.run import Run
from nnlab.summary import tiles

FONT = "Source Sans 3"
MUTED = (98, 97, 93)
# A date of its own would make the same run another file every time.
WRITTEN = datetime(2000, 1, 1, tzinfo=UTC)
POINTS_PER_MM = 72 / 25.4
PAGE = (210 * POINTS_PER_MM, 297 * POINTS_PER_MM)  # A4
MARGIN = 15 * POINTS_PER_MM
ON_A_PAGE = 2


def _document() -> FPDF:
    document = FPDF(format="A4")
    document.set_creation_date(WRITTEN)
    document.add_font(FONT, "", fonts.REGULAR)
    document.add_font(FONT, "B", fonts.BOLD)
    document.set_margin(15)
    document.set_auto_page_break(auto=True, margin=15)
    document.add_page()
    return document


def _write(document: FPDF, text: str, size: float, *, bold: bool = False, muted: bool = False) -> None:
    document.set_font(FONT, "B" if bold else "", size)
    document.set_text_color(*(MUTED if muted else (0, 0, 0)))
    document.multi_cell(0, size * 0.5, text, new_x="LMARGIN", new_y="NEXT")
    document.ln(size * 0.12)


def _table(document: FPDF, head: Sequence[str], body: Iterable[Sequence[Any]], size: float) -> None:
    document.set_font(FONT, "", size)
    document.set_text_color(0, 0, 0)
    with document.table(
        borders_layout="HORIZONTAL_LINES",
        line_height=size * 0.5,
        headings_style=FontFace(emphasis="BOLD"),
        text_align="RIGHT",
        padding=0.3,
    ) as table:
        for cells in (head, *body):
            row = table.row()
            for cell in cells:
                row.cell(str(cell))


def _list(document: FPDF, title: str, pairs: Iterable[Pair]) -> None:
    _write(document, title, 13, bold=True)
    _write(document, " · ".join(f"{name}: {value}" for name, value in pairs), 9)


def _words(run: Run, step: int | None) -> bytes:
    """Write the pages of words and numbers."""
    document = _document()
    _write(document, "nnlab: see where gradients die", 9, muted=True)
    _write(document, run.title, 17, bold=True)
    for sentence in verdict(run):
        _write(document, sentence, 10)
    for note in (run.ending, *run.notes):
        if note:
            _write(document, note, 9, muted=True)
    if step is not None:
        _write(document, f"Step {step}", 13, bold=True)
        _write(document, " · ".join(f"{t.label}: {t.value} ({t.detail})" for t in tiles(run, step)), 10)
        table = shown_table(run, step)
        _table(document, [str(name) for name in table.columns], table.itertuples(index=False), 6)
        document.ln(4)
    _list(document, "Choices", choices(run))
    _list(document, "Versions", versions(run))
    _write(document, "What the numbers mean", 13, bold=True)
    for metric in definitions():
        _write(document, f"{metric.label} ({metric.name}): {metric.meaning} {metric.source}", 8.5)
    return bytes(document.output())


def _charts(run: Run, step: int, mode: Mode) -> list[PageObject]:
    drawn = [draw(name, run, step, mode) for name in CHARTS]
    pictures = [to_pdf(chart, run.caption) for chart in drawn if not chart.is_empty]
    return [PdfReader(io.BytesIO(picture)).pages[0] for picture in pictures]


def _place(page: PageObject, chart: PageObject, slot: int) -> None:
    """Put a chart into the upper or lower half of a page, as large as it fits."""
    height = (PAGE[1] - 2 * MARGIN) / ON_A_PAGE
    width, tall = float(chart.mediabox.width), float(chart.mediabox.height)
    scale = min((PAGE[0] - 2 * MARGIN) / width, (height - MARGIN / 2) / tall)
    top = PAGE[1] - MARGIN - slot * height
    page.merge_transformed_page(chart, Transformation().scale(scale).translate(MARGIN, top - scale * tall))


def to_printout(run: Run, step: int | None = None, mode: Mode = "light") -> bytes:
    """Write the report of a run at a step, else at its last one, as PDF (A4)."""
    shown = None
    if run.records:
        shown = run.record_at(int(run.records[-1].step) if step is None else step).step
    writer = PdfWriter()
    for page in PdfReader(io.BytesIO(_words(run, shown))).pages:
        writer.add_page(page)
    charts = [] if shown is None else _charts(run, shown, mode)
    for first in range(0, len(charts), ON_A_PAGE):
        page = writer.add_blank_page(*PAGE)
        for slot, chart in enumerate(charts[first : first + ON_A_PAGE]):
            _place(page, chart, slot)
        page.compress_content_streams()
    writer.add_metadata({"/Title": run.caption, "/Producer": "nnlab"})
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()
