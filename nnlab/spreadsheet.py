"""Text that a spreadsheet would take for a formula, and how it stays text."""

from __future__ import annotations

from typing import Any

# A spreadsheet takes text that starts so for a formula (OWASP ASVS 1.2.10).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\0", "＝", "＋", "－", "＠")


def as_text(cell: Any) -> Any:
    """Give a cell or a column's name as it is, text that would be a formula with an apostrophe before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
