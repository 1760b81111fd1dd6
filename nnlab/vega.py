"""vega: a Vega-Lite spec as SVG, PDF, PNG or a page of its own, drawn by vl-convert in this process.

All give texts, bytes as base64, so that another process can answer with them (nnlab.painter).
"""

from __future__ import annotations

import base64
from typing import Any

from nnlab import fonts


def svg(spec: dict[str, Any]) -> str:
    """Draw a spec as SVG."""
    import vl_convert

    fonts.register()
    return vl_convert.vegalite_to_svg(spec)


def pdf(spec: dict[str, Any]) -> str:
    """Draw a spec as PDF in base64."""
    import vl_convert

    fonts.register()
    return base64.b64encode(vl_convert.vegalite_to_pdf(spec)).decode()


def png(spec: dict[str, Any], scale: float) -> str:
    """Draw a spec as PNG in base64."""
    import vl_convert

    fonts.register()
    return base64.b64encode(vl_convert.vegalite_to_png(spec, scale=scale)).decode()


def html(spec: dict[str, Any]) -> str:
    """Make a page of a spec."""
    import vl_convert

    # Drawn as SVG: a canvas would be painted before the typeface is there.
    return vl_convert.vegalite_to_html(spec, bundle=True, renderer="svg")
