"""What of a run could not be measured, layer by layer, and why."""

from __future__ import annotations

import streamlit as st

from nnlab.gaps import gaps
from nnlab.run import Run
from nnlab.spreadsheet import as_text


def unmeasured(run: Run) -> None:
    """List it, if there is anything."""
    found = gaps(run, int(run.steps[-1]))
    if not found:
        return
    with st.expander(f"What could not be measured ({len(found)})", icon=":material/visibility_off:"):
        st.dataframe(
            [{"layer": as_text(gap.layer), "why": gap.why} for gap in found],
            hide_index=True,
            height="content" if len(found) <= 20 else 600,
            key="unmeasured",
        )
