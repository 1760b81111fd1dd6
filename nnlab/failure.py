"""failure: what a visitor is told where work failed, and under which number the log has why."""

from __future__ import annotations

import dis
import sys
from pathlib import Path
from types import TracebackType

from nnlab import joblog

NO_MEMORY = "There was not enough memory for this; take a smaller network, or try again in a minute"
# What is said where even finding better words fails.
UNKNOWN = "Something went wrong in nnlab itself; what was recorded before it is kept"
# As torch says that memory is out, in a RuntimeError.
_TORCH_NO_MEMORY = ("not enough memory", "can't allocate memory", "bad_alloc", "out of memory")
_LIBRARIES = {"site-packages", "dist-packages"}


def words(error: BaseException, where: str) -> str:
    """Say in one sentence why work failed, and tell the log.

    What nnlab says of bad input stands as it is; of everything else a visitor gets no type, path or message,
    but the number under which the log has them. `where` says to the log what was at work.
    """
    if isinstance(error, ValueError) and _is_said_on_purpose(error.__traceback__):
        return str(error)
    plain = NO_MEMORY if is_of_memory(error) else UNKNOWN
    return f"{plain} (error {joblog.failed(where, error)})"


def is_of_memory(error: BaseException) -> bool:
    """Whether memory was out, as Python or as torch says it."""
    is_torch = isinstance(error, RuntimeError) and any(sign in str(error) for sign in _TORCH_NO_MEMORY)
    return isinstance(error, MemoryError) or is_torch


def _is_said_on_purpose(trace: TracebackType | None) -> bool:
    """Tell whether an error comes from a `raise` outside of libraries, as all that nnlab says of input does.

    What a library says is written for programmers, and C code says it in the name of its caller.
    """
    if trace is None:
        return True
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    root = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
    is_library = root in sys.stdlib_module_names or bool(_LIBRARIES & {*Path(code.co_filename).parts})
    is_raised = dis.opname[code.co_code[trace.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")
    return is_raised and (root == "nnlab" or not is_library)
