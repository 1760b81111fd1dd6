"""Sharing a page: its link, which says all choices, and the lines that show it on a course site."""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode, urlsplit

import streamlit as st

# A page that is shown inside of another one may not be allowed to write to the clipboard: then the link is
# marked, ready to be copied by hand.
_JS = """
export default function ({ parentElement, data }) {
  const button = parentElement.querySelector("button"), said = parentElement.querySelector("output");
  button.onclick = async () => {
    const link = location.href;
    try {
      await navigator.clipboard.writeText(link);
      said.textContent = data.done;
    } catch {
      said.textContent = link;
      getSelection().selectAllChildren(said);
    }
  };
}
"""
_HTML = '<button type="button">Copy link</button><output aria-live="polite"></output>'
_CSS = """
:host { font-family: var(--st-font); font-size: 0.875rem; color: var(--st-text-color); }
button { min-height: 2.5rem; padding: 0 0.75rem; margin-right: 0.75rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--st-border-color); border-radius: 0.5rem; cursor: pointer; }
button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 2px; }
output { overflow-wrap: anywhere; }
"""
_COPY = st.components.v2.component("nnlab_copy_link", html=_HTML, css=_CSS, js=_JS)
WITH_ALL = "This link says every choice: whoever opens it sees the same numbers."
WITHOUT_FILE = (
    "This link says every choice, and not your file: whoever opens it sees the run while it is in memory, "
    "and needs the same file to train it."
)
EMBEDDED_HEIGHT = 900  # pixels


def _address() -> str:
    """Give the page's link as the browser shows it."""
    said = st.query_params.to_dict().items()
    pairs = urlencode({name: value for name, value in said if not name.startswith("embed")})
    parts = urlsplit(st.context.url or "")
    return parts._replace(path=parts.path or "/", query=pairs).geturl()


def share(made: str = "", *, needs_file: bool = False) -> None:
    """Offer the page's link; `made` says with what its numbers were computed."""
    st.fragment(_share)(made, needs_file)  # the page need not be drawn anew for it


def _share(made: str, needs_file: bool) -> None:
    popover = st.popover("Share", icon=":material/link:", key="share", on_change="rerun")
    if not popover.open:
        return
    with popover:
        st.markdown(WITHOUT_FILE if needs_file else WITH_ALL)
        _COPY(key="copy_link", data={"done": "Copied."})
        source = escape(f"{_address()}&embed=true", quote=True)
        st.caption("On a course site:")
        st.code(
            f'<iframe src="{source}" width="100%" height="{EMBEDDED_HEIGHT}" style="border:0"></iframe>',
            language=None,
            wrap_lines=True,
        )
        if made:
            st.caption(f"Computed with {made}. Same torch, same kind of processor: same digits.")
