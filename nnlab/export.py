"""export: charts and frames as bytes that leave the page: SVG, PNG, CSV."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import vl_convert

from nnlab.chart import Chart, records_of

WIDTH = 720  # points; a text column of a paper or half a slide
PNG_SCALE = 2.0
# A spreadsheet takes text that starts so for a formula (OWASP ASVS 1.2.10).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\0", "＝", "＋", "－", "＠")


def standalone_spec(chart: Chart, subtitle: str) -> dict[str, Any]:
    """Give the chart with data, titles, configuration and a fixed width: what is exported."""
    return {
        **chart.spec,
        "title": {"text": chart.title, "subtitle": subtitle},
        "width": WIDTH,
        "padding": 16,
        "datasets": records_of(chart.frames),
    }


def to_svg(chart: Chart, subtitle: str) -> bytes:
    """Draw a chart as SVG; the subtitle says what it was made from."""
    return vl_convert.vegalite_to_svg(standalone_spec(chart, subtitle)).encode()


def to_png(chart: Chart, subtitle: str) -> bytes:
    """Draw a chart as PNG at twice the size, for slides."""
    return vl_convert.vegalite_to_png(standalone_spec(chart, subtitle), scale=PNG_SCALE)


def to_csv(frame: pd.DataFrame) -> bytes:
    """Write a frame in full precision; NaN and inf stay, text cells are safe for spreadsheets."""
    safe = frame.copy()
    for name in safe.columns:
        if safe[name].dtype.kind in "OTU" or str(safe[name].dtype) in ("str", "string"):
            safe[name] = safe[name].map(_safe_text)
    return safe.to_csv(index=False, na_rep="nan").encode()


def _safe_text(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def file_stem(label: str, name: str) -> str:
    """Give a file name that tells what is inside: digits-10x64-sigmoid-seed0-delta_norm."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{label}-{name}").strip(".")[:64]
