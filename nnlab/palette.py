"""palette: the colors and fonts that screen, exports and .streamlit/config.toml share.

All scales are safe for color-blind readers: viridis and magma (Smith & van der Walt 2015) are
perceptually uniform, categories are Okabe & Ito 2008.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Mode = Literal["light", "dark"]

# Okabe & Ito 2008 without yellow and black, which a white or a dark page swallows.
CATEGORIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
VIRIDIS = (
    "#440154", "#482878", "#3e4989", "#31688e", "#26828e",
    "#1f9e89", "#35b779", "#6ece58", "#b5de2b",
)  # fmt: skip
# Magma without its black and white ends: a cell must differ from either page.
MAGMA = (
    "#180f3d", "#440f76", "#721f81", "#9e2f7f", "#cd4071", "#f1605d", "#fd9668", "#feca8d",
)  # fmt: skip
UNDEFINED_COLOR = "#D55E00"  # NaN and inf; vermilion, with a word beside it
ZERO_COLOR = "#8f8f8f"  # exact zeros; gray is on no scale
FONT = "Source Sans, 'Source Sans 3', Source Sans Pro, Helvetica Neue, Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """Colors of one mode. `depth` runs from the first layer to the last."""

    background: str
    panel: str
    text: str
    muted: str
    grid: str
    primary: str
    depth: tuple[str, ...]


THEMES: dict[str, Theme] = {
    "light": Theme(
        background="#ffffff",
        panel="#f6f6f4",
        text="#262625",
        muted="#62615d",
        grid="#e3e2de",
        primary="#3b528b",
        depth=VIRIDIS[:8],
    ),
    "dark": Theme(
        background="#171614",
        panel="#22211e",
        text="#ecebe6",
        muted="#a9a79f",
        grid="#3a3935",
        primary="#4a78d6",
        depth=VIRIDIS[2:],
    ),
}


def blue(mode: Mode) -> str:
    """Give the blue of the categories that stands out from the page."""
    return CATEGORIES[0] if mode == "light" else CATEGORIES[4]


def chart_config(mode: Mode) -> dict[str, Any]:
    """Give the Vega-Lite config of one mode; pages and exports use the same."""
    theme = THEMES[mode]
    return {
        "background": theme.background,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            "labelColor": theme.muted,
            "titleColor": theme.text,
            "gridColor": theme.grid,
            "domainColor": theme.grid,
            "tickColor": theme.grid,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
        },
        "legend": {
            "labelColor": theme.text,
            "titleColor": theme.text,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelLimit": 320,
        },
        "title": {
            "color": theme.text,
            "subtitleColor": theme.muted,
            "fontSize": 15,
            "subtitleFontSize": 12,
            "anchor": "start",
            "offset": 14,
        },
        "text": {"color": theme.text},
        "rule": {"color": theme.muted},
        "range": {"category": list(CATEGORIES)},
    }


def _channels(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def interpolate(stops: tuple[str, ...], position: float) -> str:
    """Give the color at `position` from 0 to 1 along equally spaced stops."""
    place = min(max(position, 0.0), 1.0) * (len(stops) - 1)
    below = min(int(place), len(stops) - 2)
    mixed = (
        round(a + (b - a) * (place - below))
        for a, b in zip(_channels(stops[below]), _channels(stops[below + 1]), strict=True)
    )
    return "#{:02x}{:02x}{:02x}".format(*mixed)


def luminance(color: str) -> float:
    """Relative luminance of a color (WCAG 2)."""
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in _channels(color))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def text_on(color: str) -> str:
    """Give black or white, whichever has more contrast on a color (WCAG 2)."""
    return "#000000" if (luminance(color) + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"
