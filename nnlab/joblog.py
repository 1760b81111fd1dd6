"""joblog: what becomes of the jobs, one line an event, and no word of any visitor in it."""

from __future__ import annotations

import logging
import os
import re
import secrets
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from itertools import islice
from pathlib import PurePath

LEVEL_VARIABLE = "NNLAB_LOG"
LEVELS = {
    "off": logging.CRITICAL + 1,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
DEFAULT_LEVEL = "info"
# Innermost frames of an error, and latest errors of a chain: collectors of logs cut long lines.
MAX_FRAMES, MAX_CHAIN = 12, 4
# What a value may look like: ids, kinds and states of ours do. A line can so not be broken or forged.
_WORD = re.compile(r"[A-Za-z0-9_.:/<>@|-]+", re.ASCII)
_UNFIT = "?"
# The whole id opens a visitor's run, so the log has its beginning only: enough to follow a job by.
ID_CHARACTERS = 6
_ODD = re.compile(r"[^A-Za-z0-9_.<>/-]", re.ASCII)  # in names of files, a blank for instance

_log = logging.getLogger(__name__)
_begin_lock = threading.Lock()


class _Stderr(logging.Handler):
    """Writes to what stderr is at that moment, as one line with the time in UTC."""

    def emit(self, record: logging.LogRecord) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line = f"{at} {record.levelname} {record.getMessage()}\n"
        if record.exc_info:
            line += "".join(traceback.format_exception(*record.exc_info))
        try:
            sys.stderr.write(line)
            sys.stderr.flush()
        except (OSError, ValueError):
            return  # stderr is gone or full: no job may end for that


def _logger() -> logging.Logger:
    """Give the logger, set up on its first use: whoever only imports nnlab keeps logging as it was."""
    with _begin_lock:
        if not any(isinstance(handler, _Stderr) for handler in _log.handlers):
            _log.addHandler(_Stderr())
            _log.propagate = False
            wanted = os.environ.get(LEVEL_VARIABLE) or DEFAULT_LEVEL
            _log.setLevel(LEVELS.get(wanted, LEVELS[DEFAULT_LEVEL]))
            if wanted not in LEVELS:
                _log.warning(
                    "event=log_level_unknown variable=%s allowed=%s", LEVEL_VARIABLE, "|".join(LEVELS)
                )
    return _log


def _text(value: float | str) -> str:
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) else _UNFIT
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _write(level: int, event: str, **fields: float | str) -> None:
    line = " ".join(f"{name}={_text(value)}" for name, value in {"event": event, **fields}.items())
    _logger().log(level, "%s", line)


def submitted(job_id: str, kind: str, size: int, steps: int) -> None:
    """Say that a job was taken; size in bytes, as estimated."""
    _write(logging.INFO, "submitted", id=job_id[:ID_CHARACTERS], kind=kind, bytes=size, steps=steps)


def refused(kind: str, reason: str) -> None:
    """Say that a job was not taken; the reason in one word of ours."""
    _write(logging.WARNING, "refused", kind=kind, reason=reason)


def sacrificed(job_id: str, kind: str) -> None:
    """Say that memory was short, and that the newest job is stopped so that the others can go on."""
    _write(logging.WARNING, "memory_short", id=job_id[:ID_CHARACTERS], kind=kind)


def started(job_id: str, kind: str, waited: float) -> None:
    """Say that a job runs, and how many seconds it had waited."""
    _write(logging.INFO, "started", id=job_id[:ID_CHARACTERS], kind=kind, waited=waited)


def ended(job_id: str, kind: str, status: str, seconds: float, steps: int) -> None:
    """Say how a job ended, after how many seconds and steps."""
    _write(
        logging.INFO,
        "ended",
        id=job_id[:ID_CHARACTERS],
        kind=kind,
        status=status,
        seconds=seconds,
        steps=steps,
    )


def failed(where: str, error: BaseException) -> str:
    """Say that nnlab itself went wrong, and give the id under which the log has it.

    The line holds the kinds of errors and where in the code they arose, and not their messages: these quote
    what they stumbled over. The level "debug" adds them.
    """
    error_id = secrets.token_hex(4)
    trace = "|".join(f"{type(link).__name__}@{_frames(link)}" for link in islice(_chain(error), MAX_CHAIN))
    _write(logging.ERROR, "error", error_id=error_id, where=where, trace=trace)
    _logger().debug("event=error_text error_id=%s", error_id, exc_info=error)
    return error_id


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error and what led to it, each once: a chain can be closed to a ring."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _frames(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__, limit=-MAX_FRAMES)
    return ">".join(
        f"{_place(frame.filename)}:{frame.lineno}:{_ODD.sub('_', frame.name)}" for frame in frames
    )


def _place(filename: str) -> str:
    """Name a file by its folder and name: the path before them says who runs the server."""
    return _ODD.sub("_", "/".join(PurePath(filename).parts[-2:]))


class PageErrors(logging.Filter):
    """Puts a line of ours in the place of a logged error and its message."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record goes out as it is: it does where it holds no error."""
        if not record.exc_info or record.exc_info[1] is None:
            return True
        failed("page", record.exc_info[1])
        return False


def take_over(logger: str) -> None:
    """Let the errors that a logger is given go out as lines of ours, however often this is asked."""
    found = logging.getLogger(logger)
    with _begin_lock:
        if not any(isinstance(each, PageErrors) for each in found.filters):
            found.addFilter(PageErrors())
