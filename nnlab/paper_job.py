"""Paper job: a paper's small measurement in the background, as its page runs it."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass

from nnlab.courtesy import Courteous
from nnlab.jobs import Job
from nnlab.paper import Interrupted, Paper
from nnlab.paper_result import PaperResult, reproduce

# The small runs, measured as `python -m benchmarks footprint` measures: 1 to 41 MB, up to 4 s of one core.
SMALL_BYTES = 48_000_000
SMALL_SECONDS = 4.0


@dataclass(kw_only=True)
class PaperJob(Job):
    """One paper's small measurement; `result` is there once it has come to its end."""

    paper: Paper
    result: PaperResult | None = None
    _done: int = 0
    _steps: int = 1
    _give_up_at: float = float("inf")

    @property
    def steps(self) -> int:
        """All steps, as the measurement counts them."""
        return self._steps

    @property
    def steps_done(self) -> int:
        """The steps that are done."""
        return self._done

    @property
    def needs_file(self) -> bool:
        """It reads what nnlab ships."""
        return False

    @property
    def estimated_bytes(self) -> int:
        """The memory it will take."""
        return SMALL_BYTES

    @property
    def estimated_seconds(self) -> float:
        """The time it will take."""
        return SMALL_SECONDS

    @property
    def key(self) -> Hashable:
        """The paper: its small settings never change."""
        return self.paper.name

    def is_set(self) -> bool:
        """Whether it must stop: asked to, nobody watches, or its time is over."""
        return super().is_set() or time.monotonic() > self._give_up_at

    def _report(self, done: int, steps: int) -> None:
        self._mark_first_record()
        self._done, self._steps = done, max(1, steps)

    def _train(self, time_limit: float | None) -> str:
        if time_limit is not None:
            self._give_up_at = time.monotonic() + time_limit
        try:
            self.result = reproduce(self.paper, self.paper.small, self._report, Courteous(self))
        except Interrupted:
            return "stopped" if super().is_set() else "timed_out"
        return "completed"
