"""How far a job is: its place in the queue, its steps, its speed."""

from __future__ import annotations

import streamlit as st

from nnlab.jobs import BOARD, Job


def progress(job: Job) -> None:
    """Show how far a waiting or running job is."""
    now = job.progress
    if job.status == "queued":
        place = BOARD.position(job)
        st.progress(0.0, text=f"Waiting for a free place: number {place} in the queue")
    elif not job.first_record:
        st.progress(0.0, text="Loading PyTorch and the data ...")
    else:
        left = "" if now.seconds_left is None else f" · {now.seconds_left:.0f} s left"
        speed = f"{now.steps_per_second:.0f} steps/s"
        st.progress(now.share, text=f"Step {now.step:,} of {now.steps:,} · {speed}{left}")
