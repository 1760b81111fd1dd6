"""What an address says, as far as it is read at all: a link that is longer than any of ours is not."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.parts.complaint import complain

# Six configurations beside each other take 900 characters, twenty columns of a file 400. Servers and browsers
# take 16,000 or less of an address.
MOST_CHARACTERS = 16_000
MOST_NOTES = 12  # said one by one; a link may name a thousand things in vain


def check_length() -> None:
    """Forget a link that is too long, and say so; before anything reads the link."""
    length = sum(len(name) + len(text) for name in st.query_params for text in st.query_params.get_all(name))
    if length > MOST_CHARACTERS:
        st.query_params.clear()
        complain(
            f"The link has {length:,} characters and is not read; allowed: at most {MOST_CHARACTERS:,}",
            "link",
        )


def in_short(notes: Sequence[str]) -> str:
    """Give notes a line each, and count those that are too many to read."""
    more = len(notes) - MOST_NOTES
    return "\n".join([*notes[:MOST_NOTES], *([f"And {more} more like these."] if more > 0 else [])])
