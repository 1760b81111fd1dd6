"""Run files that a visitor brings to a comparison: shown as they are, each as one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from nnlab.overlay import MOST, Group
from nnlab.overlay_job import without_bulk
from nnlab.runfile import RunFileError, parse_run
from pages.parts import uploaded
from pages.parts.complaint import complain

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

FILES, GROUPS, TROUBLE = "compare_files", "compare_groups", "compare_trouble"


def groups() -> tuple[Group, ...]:
    """Give what was brought, for as long as the visit lasts."""
    found = [group for group in _kept().values() if isinstance(group, Group)]
    return tuple(found[:MOST])


def _kept() -> dict[str, Group | str]:
    """Give what became of every file by its id: a run, or why it was not opened."""
    kept: dict[str, Group | str] = st.session_state.get(GROUPS, {})
    return kept


def _take() -> None:
    """Read what was uploaded, each file once, or forget what was taken away."""
    files = [file for given in st.session_state[FILES] or () if (file := uploaded.here(given)) is not None]
    kept = {file.file_id: _kept().get(file.file_id) or _open(file) for file in files}
    st.session_state[GROUPS] = kept
    trouble = [entry for entry in kept.values() if isinstance(entry, str)]
    count = len(kept) - len(trouble)
    if count > MOST:
        trouble.append(f"{count} run files are too many; the first {MOST} are shown")
    st.session_state[TROUBLE] = tuple(trouble)


def _open(file: UploadedFile) -> Group | str:
    try:
        with uploaded.reading(file) as content:
            run = parse_run(content, file.name)
            if not run.records:
                raise RunFileError(f"{file.name}: the file holds no record")
            run = without_bulk(run)
            uploaded.OPEN.take(run, len(content))
        return Group((run,), file.name)
    except ValueError as error:
        return f"Not opened: {error}"


def _forget() -> None:
    st.session_state[GROUPS], st.session_state[TROUBLE] = {}, ()


def bring() -> None:
    """Let the visitor add run files."""
    with st.expander("Add run files", icon=":material/upload_file:"):
        st.file_uploader(
            "Run files (.jsonl)",
            type=["jsonl"],
            key=FILES,
            on_change=_take,
            accept_multiple_files=True,
            help="What nnlab.watch or `python -m nnlab train --out` wrote. They are shown as recorded, one "
            "seed each; a link to this page does not hold them. Up to 5 MB a file, and 12 MB at once.",
        )
        if groups() and not st.session_state.get(FILES):
            st.button("Take the run files away", key="compare_forget", on_click=_forget)
    for number, sentence in enumerate(st.session_state.get(TROUBLE, ())):
        complain(sentence, f"brought_{number}")
