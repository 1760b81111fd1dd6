"""Text of code: what templates are made of."""

from __future__ import annotations

import textwrap

TEXT_WIDTH = 88  # what most style checkers allow


def block(text: str) -> str:
    """Take the indentation off an indented piece of code."""
    return textwrap.dedent(text).strip("\n").rstrip()


def lines(*parts: str) -> str:
    """Join the parts that are there."""
    return "\n".join(part for part in parts if part)
