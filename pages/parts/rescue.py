"""A rescue from Streamlit's blank page: what the browser has lost is loaded again from the address.

Streamlit 1.67 sends a page in hundreds of small pieces. A click in the very moment in which one arrives can
make React take it before earlier ones ("Cannot set a node at a delta path"), and the whole page goes blank:
seen in a few of a hundred clicks on a machine under full load. All choices and the run stand in the address,
so a reload brings back what was there.
"""

from __future__ import annotations

import streamlit as st

# Not twice within so many seconds: a page that cannot be drawn at all must not reload for ever.
_JS = """
const PAUSE_SECONDS = 10;
const PATIENCE_MS = 500;

function reload() {
  if (document.querySelector("[data-testid=stApp]")) return;
  const last = Number(sessionStorage.getItem("nnlab_rescue") ?? 0);
  if (Date.now() - last < 1000 * PAUSE_SECONDS) return;
  sessionStorage.setItem("nnlab_rescue", String(Date.now()));
  location.reload();
}

export default function () {
  if (window.nnlabRescue) return;
  window.nnlabRescue = true;
  window.addEventListener("error", () => setTimeout(reload, PATIENCE_MS));
}
"""

_RESCUE = st.components.v2.component("nnlab_rescue", js=_JS)


def rescue() -> None:
    """Watch over the page from now on; shows nothing."""
    _RESCUE(key="rescue", height=1)
