"""How far a job is: its place in the queue, its steps, its speed."""

from __future__ import annotations

import streamlit as st

from nnlab.job_board import BOARD
from nnlab.jobs import Job

# Nothing moves in a queue: a class that waits must not take the processor from the two who train.
WAITING_SECONDS = 2.0


def waits(job: Job | None) -> bool:
    """Whether a job stands in the queue."""
    return job is not None and job.status == "queued"


def pace(job_id: str, seconds: float) -> float:
    """Give how often what shows a job is drawn anew: every so many seconds, less often while it waits."""
    return max(seconds, WAITING_SECONDS) if waits(BOARD.get(job_id)) else seconds


def say_notice(job: Job | None) -> None:
    """Say why a job was stopped, where nobody asked for it."""
    if job is not None and job.notice and not job.is_active:
        st.warning(job.notice, icon=":material/memory_alt:")


def progress(job: Job) -> None:
    """Show how far a waiting or running job is."""
    now = job.progress
    place = BOARD.place(job)
    if place is not None:
        st.progress(0.0, text=place.words)
    elif not job.first_record:
        st.progress(0.0, text="Loading PyTorch and the data ...")
    else:
        left = "" if now.seconds_left is None else f" · {now.seconds_left:.0f} s left"
        speed = f"{now.steps_per_second:.0f} steps/s"
        st.progress(now.share, text=f"Step {now.step:,} of {now.steps:,} · {speed}{left}")
