"""hosting: whether this is a public server, and what one visitor may ask of it."""

from __future__ import annotations

import os

HOSTED_VARIABLE = "NNLAB_HOSTED"
HOSTED_TIME_LIMIT = 60.0  # seconds a run may take on a public server
HOSTED_MEMORY_LIMIT = 64_000_000  # bytes a run may take there
# Seconds that a run may take on a core of its own, as it is guessed: five times what the clock allows, and so
# less than a fifth of it would ever be trained.
HOSTED_WORK_LIMIT = 5 * HOSTED_TIME_LIMIT


def is_hosted() -> bool:
    """Whether the limits of a public server apply (environment variable NNLAB_HOSTED)."""
    return os.environ.get(HOSTED_VARIABLE, "") not in ("", "0", "false")
