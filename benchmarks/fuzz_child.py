"""python -m benchmarks.fuzz_child TARGET FIRST LAST SEED FOLDER: cases of one target, under limits.

Address space and processor time are limited, so that a case that wants too much ends this process or says so.
The number of the case that is being read stands in FOLDER/now, for the parent to read when this ends early.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.fuzz_cases import TARGETS

ADDRESS_SPACE = 2**30  # bytes beyond what is mapped when all modules are there
WARM_UP = 30  # cases
CASE_SECONDS = 2.0  # of processor time
PAGE = os.sysconf("SC_PAGE_SIZE")


class Hang(BaseException):
    """A case took too long; nothing that reads it may catch this."""


def _ring(*_: object) -> None:
    raise Hang


def case(target: str, number: int, seed: int) -> bytes:
    """Give one case; the same for the same three."""
    return TARGETS[target].make(random.Random(f"{seed}/{target}/{number}"))


def _memory() -> tuple[int, int]:
    """Give the bytes that are mapped, and those that are resident."""
    mapped, resident = Path("/proc/self/statm").read_text().split()[:2]
    return int(mapped) * PAGE, int(resident) * PAGE


def _read(target: str, content: bytes) -> tuple[str, bool]:
    """Read one case; give what was found, "" for nothing, and whether the parser took it."""
    signal.setitimer(signal.ITIMER_VIRTUAL, CASE_SECONDS)
    try:
        return "", TARGETS[target].read(content)
    except Hang:
        return f"takes over {CASE_SECONDS:g} s", False
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}", False
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def run(target: str, numbers: range, seed: int, folder: Path) -> dict[str, Any]:
    """Read all cases; give what was found, the growth of memory a case, and the time."""
    finds: list[dict[str, Any]] = []
    growth, slowest, taken = [], 0.0, 0
    now = os.open(folder / "now", os.O_RDWR | os.O_CREAT)
    for number in numbers:
        os.pwrite(now, b"%012d" % number, 0)
        content = case(target, number, seed)
        before, start = _memory()[1], time.process_time()
        found, was_taken = _read(target, content)
        taken += was_taken
        slowest = max(slowest, time.process_time() - start)
        growth.append(_memory()[1] - before)
        if found:
            path = folder / f"{target.replace(' ', '_')}-{hashlib.sha256(content).hexdigest()[:12]}"
            path.write_bytes(content)
            finds.append({"case": number, "found": found, "file": str(path)})
    return {"finds": finds, "growth": growth, "slowest": slowest, "taken": taken}


def main() -> None:
    target, first, last, seed, folder = sys.argv[1:6]
    signal.signal(signal.SIGVTALRM, _ring)
    for number in range(-WARM_UP, 0):  # what is loaded and reserved at first use
        _read(target, case(target, number, int(seed)))
    limit = _memory()[0] + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    result = run(target, range(int(first), int(last)), int(seed), Path(folder))
    Path(folder, "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
