"""The jobs that a visitor has begun: none is begun twice, and none is lost to the next click.

At the next click Streamlit stops a script at its next look at the session and runs the page in another
thread, without waiting for the first: also between a job's submission and the note of its id, and between a
look for a running job and the submission. So both happen here, under a lock, without a look at it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import streamlit as st

from nnlab.jobs import Job

KEY = "begun"
AnyJob = TypeVar("AnyJob", bound=Job)


@dataclass
class _Begun:
    """How many jobs were begun under each name, and the id of the latest.

    Two who train the same share a job: its id alone would not tell that it was begun anew.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    counts: dict[str, int] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)


def _box() -> _Begun:
    if KEY not in st.session_state:
        st.session_state[KEY] = _Begun()
    box: _Begun = st.session_state[KEY]
    return box


def count(name: str) -> int:
    """Count the jobs that were begun under a name."""
    return _box().counts.get(name, 0)


def begin(name: str, seen: int, submit: Callable[[], AnyJob]) -> AnyJob | None:
    """Begin a job; None where another click has begun one since there were `seen`.

    `submit` must not look at the session.

    Raises:
        Refused: the job cannot be taken.
    """
    box = _box()
    with box.lock:
        if box.counts.get(name, 0) != seen:
            return None
        job = submit()
        box.counts[name], box.ids[name] = seen + 1, job.id
    return job


def take_over(name: str, note: Callable[[str], object]) -> None:
    """Have the latest job noted, where the click that began it came to no note."""
    box = _box()
    begun = box.counts.get(name, 0)
    if begun != st.session_state.get(f"noted_{name}", 0):
        note(box.ids[name])
        st.session_state[f"noted_{name}"] = begun
