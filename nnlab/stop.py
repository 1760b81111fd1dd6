"""Stop: something that long work asks whether it shall end."""

from __future__ import annotations

from typing import Protocol


class Stop(Protocol):
    """Something that can be asked whether to stop: a threading.Event, or a job with a lease."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...
