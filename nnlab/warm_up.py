"""warm_up: imports torch and the trainer in the background, so that the first Train finds them loaded."""

from __future__ import annotations

import gc
import logging
import threading

from nnlab.hosting import is_hosted
from nnlab.memory import give_memory_back, let_code_go

log = logging.getLogger(__name__)

# Importing torch holds the interpreter for a second: not while the first page is being drawn.
WARM_UP_DELAY = 3.0

_warm_lock = threading.Lock()
_warming: list[threading.Timer] = []


def warm_up() -> None:
    """Import torch and the trainer in the background, once: the first Train then starts at once."""
    with _warm_lock:
        if _warming:
            return
        timer = threading.Timer(WARM_UP_DELAY, _import_trainer)
        timer.daemon = True
        _warming.append(timer)
        timer.start()


def _import_trainer() -> None:
    import nnlab.trainer

    log.debug("loaded %s", nnlab.trainer.__name__)
    # What is imported stays: full collections, which hold up training and pages for a fifth of a second
    # while they walk all of torch, pass over it from now on.
    gc.freeze()
    give_memory_back()
    if is_hosted():
        let_code_go()
