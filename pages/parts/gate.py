"""The gate in front of the server: put there by the first page that is drawn."""

from __future__ import annotations

import threading

from starlette.applications import Starlette
from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

from nnlab.unread import Unread
from nnlab.upload_gate import UploadGate

_lock = threading.Lock()


def guard() -> None:
    """Let uploads in only within a budget from now on, whoever sends them; does nothing the second time.

    `streamlit run` gives a script no say in its server, so the gate is put in front of the running one. An
    upload names a session, and a session's name is told by its first page: nothing comes before it.
    """
    context = get_script_run_ctx()
    if context is None or not runtime.exists():
        return
    manager = runtime.get_instance().uploaded_file_mgr
    client = runtime.get_instance().get_client(context.session_id)
    app = getattr(getattr(client, "_websocket", None), "app", None)
    if not isinstance(manager, MemoryUploadedFileManager) or not isinstance(app, Starlette):
        return
    with _lock:
        if app.middleware_stack is not None and not isinstance(app.middleware_stack, UploadGate):
            app.middleware_stack = UploadGate(app.middleware_stack, Unread(manager).bytes_by_session)
