"""The files of a run to take away: report, script, run file, weights, tables, all of them in one."""

from __future__ import annotations

from functools import partial

import streamlit as st

from nnlab.run import Run
from pages.parts.figure import mode
from pages.parts.save import lean


def files(run: Run, step: int) -> None:
    """Offer the files; each is made when it is asked for."""
    # These load pandas and Altair, which the first paint does without.
    from nnlab.export import file_stem
    from nnlab.folder import to_zip
    from nnlab.run_files import View, files_of, offered

    view = View(run, step, mode())
    with st.container(key="run_files", gap="xsmall"):
        for title, group in offered(view).items():
            with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
                st.caption(title, width=130)
                for file in group:
                    st.download_button(
                        file.name,
                        data=partial(lean, file.make),
                        file_name=file_stem(run.label, file.name),
                        mime=file.mime,
                        help=file.about,
                        on_click="ignore",
                        key=f"file_{file.name}",
                    )
        if run.config is None:
            st.caption("No reproduce.py: nnlab did not build this model, so it cannot write a script for it.")
        st.download_button(
            "All of it (ZIP)",
            data=partial(lean, lambda: to_zip(files_of(view))),
            file_name=file_stem(run.label, "all.zip"),
            mime="application/zip",
            icon=":material/folder_zip:",
            help="Report, script, run file, every chart as SVG and PNG, every table as CSV and Parquet: "
            "it takes some ten seconds to make. The same as `python -m nnlab export`.",
            on_click="ignore",
            key="file_all",
        )
