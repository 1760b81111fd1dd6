"""What was sent: waiting until the browser has been given all that a page has drawn so far."""

from __future__ import annotations

import threading

from streamlit import runtime
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.scriptrunner import get_script_run_ctx

from nnlab import courtesy

LOOK_SECONDS = 0.01
# On a busy server; whoever reads slowly over a bad line is not waited for longer.
MOST_SECONDS = 0.5


def await_sent() -> None:
    """Wait until nothing that this thread has drawn is still to be sent.

    Streamlit has no word for it: what is drawn goes to the server's loop, which puts it into the session's
    queue and hands that on some dozens of times a second. What comes after it there sees the queue.
    """
    context = get_script_run_ctx()
    session = runtime.get_instance().get_app_session(context.session_id) if context else None
    if not isinstance(session, AppSession):
        return
    done, loop = threading.Event(), session._event_loop

    def look() -> None:
        if session._browser_queue.is_empty():
            done.set()
        elif not done.is_set():
            loop.call_later(LOOK_SECONDS, look)

    loop.call_soon_threadsafe(look)
    with courtesy.waiting():
        done.wait(MOST_SECONDS)
    done.set()  # nobody looks any more
