"""Plain text inside of Markdown: what stands in somebody's file must not become markup."""

from __future__ import annotations

import re

WORD_JOINER = "\u2060"  # has no width; Streamlit makes icons, emoji and links even of escaped text
_MARKUP = re.compile(r"([\\`*_\[\]<>$~|&#{}])")
_COLON = re.compile(r":(?=\S)")
_LINK = re.compile(r"(?i)\bwww(?=\.)|(?=@)")


def plain(text: str) -> str:
    """Give text in one line that Markdown shows as it is: no markup, links, icons or formulas."""
    line = " ".join(text.split())
    escaped = _MARKUP.sub(r"\\\1", line)
    escaped = _COLON.sub(f":{WORD_JOINER}", escaped)
    return _LINK.sub(lambda found: found[0] + WORD_JOINER, escaped)
