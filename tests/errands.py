"""What tests of pages do that ask for errands."""

from __future__ import annotations

import time

from streamlit.testing.v1 import AppTest

from nnlab.errands import ERRANDS


def settle(seconds: float = 60.0) -> None:
    """Wait until nothing is to be done."""
    give_up_at = time.monotonic() + seconds
    while not ERRANDS.is_idle:
        assert time.monotonic() < give_up_at, "errands do not end"
        time.sleep(0.005)


def run_and_settle(page: AppTest) -> AppTest:
    """Draw a page, wait for what it asks for, draw it again with that, as a browser's timer would."""
    page.run()
    settle()
    return page.run()
