"""The run file that the command line names, followed while a training script writes it.

`streamlit run dashboard.py -- --run run.jsonl`. A path never comes from a browser.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

from nnlab.hosting import is_hosted
from nnlab.live_file import LiveFile
from nnlab.run import Run
from nnlab.runfile import RunFileError
from pages.parts.plain import plain

FLAG = "--run"
PAGE = "pages/7_Your_model.py"
LED = "led_to_followed_file"


def _argument() -> str | None:
    """Give what stands behind the flag, "" where nothing does, None where there is no flag."""
    arguments = sys.argv[1:]
    for number, word in enumerate(arguments):
        if word == FLAG:
            return "".join(arguments[number + 1 : number + 2])
        if word.startswith(f"{FLAG}="):
            return word.removeprefix(f"{FLAG}=")
    return None


def path() -> Path | None:
    """Give the file to follow, None where there is none or where it may not be followed."""
    named = _argument()
    return Path(named) if named and not is_hosted() else None


def refusal() -> str:
    """Say why a file that was asked for is not followed; "" where it is, or none was asked for."""
    named = _argument()
    if named is None:
        return ""
    if is_hosted():
        return f"{FLAG}: a public server follows no file of its own; upload the run file instead"
    return "" if named else f"{FLAG}: names no file; write `{FLAG} run.jsonl`"


@st.cache_resource(show_spinner=False)
def _file(named: str) -> LiveFile:
    """Keep what was read of a file for all sessions of the one person whose file it is."""
    return LiveFile(named)


def read() -> tuple[Run | None, str]:
    """Give the run as far as it is written, or why there is none yet."""
    named = path()
    if named is None:
        return None, refusal()
    try:
        run = _file(str(named)).run()
    except RunFileError as error:
        return None, str(error)
    return (run, "") if run.records else (None, f"{named.name}: it has no record yet")


def lead() -> None:
    """Go to the page of the followed file on the first visit to the lab; later offer the way there."""
    named = path()
    if named is None:
        return
    if not st.session_state.get(LED) and not st.query_params:
        st.session_state[LED] = True
        st.switch_page(PAGE)
    st.page_link(
        PAGE, label=f"Follow {plain(named.name)} on the page Your model", icon=":material/visibility:"
    )
