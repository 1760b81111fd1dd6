"""Faults while a page is drawn: memory runs out at the k-th call of nnlab; drawn again, the page is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import streamlit as st
from streamlit.testing.v1 import AppTest

from benchmarks import invariants
from benchmarks.calls import Calls
from benchmarks.invariants import Outcome
from benchmarks.job_faults import spread

ROOT = Path(__file__).parent.parent
LAB = "dashboard.py"
PATIENCE = 120.0  # seconds
KINDS = ("markdown", "caption", "text", "info", "warning", "error")


def pages() -> list[str]:
    return [LAB, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "pages").glob("*.py"))]


def _visitor(page: str) -> AppTest:
    visitor = AppTest.from_file(str(ROOT / LAB), default_timeout=PATIENCE)
    return visitor if page == LAB else visitor.switch_page(page)


def _texts(visitor: AppTest) -> list[str]:
    return [element.value for kind in KINDS for element in getattr(visitor, kind)]


def _strike() -> None:
    raise MemoryError


def page_faults(times: int, names: list[str]) -> Iterator[Outcome]:
    """Let memory run out so many times on each of these pages, at calls spread over the drawing of it."""
    for name in names:
        _forget()
        calls = Calls()
        with calls:
            whole = _texts(_visitor(name).run())
        for at in spread(calls.count, times):
            _forget()
            visitor = _visitor(name)
            with Calls(at, _strike):
                visitor.run()
            # Of what nobody caught, Streamlit shows one sentence of its own (client.showErrorDetails).
            problems = [said for text in _texts(visitor) for said in invariants.of_words(text)]
            visitor.run()
            problems += [f"drawn again, it fails: {error.message}" for error in visitor.exception]
            if not visitor.exception and _texts(visitor) != whole:
                problems.append("drawn again, it says something else")
            yield Outcome(f"page {name}: memory out while it is drawn", f"at call {at}", tuple(problems))


def _forget() -> None:
    """Let every page be drawn as on a fresh server."""
    st.cache_data.clear()
    st.cache_resource.clear()
