"""The typeface of screen and exports: Source Sans (Adobe, SIL Open Font License), as Streamlit shows it."""

from __future__ import annotations

import base64
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent / "fonts"
REGULAR, BOLD = FOLDER / "SourceSans3-Regular.ttf", FOLDER / "SourceSans3-Bold.ttf"
# The Latin letters alone, by CSS weight: small enough to travel inside of every SVG.
_WEB = {400: "latin-regular.woff2", 700: "latin-bold.woff2"}


@lru_cache(maxsize=1)
def register() -> None:
    """Let vl-convert find the typeface; once a process is enough."""
    import vl_convert

    vl_convert.register_font_directory(str(FOLDER))


@lru_cache(maxsize=1)
def font_face() -> str:
    """Give CSS that holds the typeface itself, so that a file looks alike on a machine without it."""
    rules = []
    for weight, name in _WEB.items():
        data = base64.b64encode((FOLDER / name).read_bytes()).decode()
        source = f"url(data:font/woff2;base64,{data}) format('woff2')"
        rules.append(f"@font-face{{font-family:'Source Sans';font-weight:{weight};src:{source}}}")
    return "".join(rules)
