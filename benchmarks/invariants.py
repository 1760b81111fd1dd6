"""What must hold after any fault, said once: a function gives the sentences that do not hold."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnlab.run import STATUSES, Run, StepRecord
from nnlab.runfile import RunFileError, load_run
from nnlab.runline import to_line
from nnlab.runrecord import record_content
from nnlab.sweep_store import SweepStore

SETTLE_SECONDS = 10.0  # that what ends has to end within
_FOR_PROGRAMMERS = re.compile(r"Traceback|\b\w+(Error|Exception)\b|0x[0-9a-f]{4}|File \"|/\w+/\w+|\.py\b")


@dataclass(frozen=True)
class Outcome:
    """One injected fault: of which kind, which one, and what did not hold afterwards."""

    kind: str
    fault: str
    problems: tuple[str, ...]


def of_run_file(
    path: Path, acknowledged: Sequence[StepRecord], *, is_ended: bool | None, is_made: bool = True
) -> list[str]:
    """Every acknowledged record is in the file, which parses, and its status is true.

    Args:
        path: the run file.
        acknowledged: what the writer has taken without complaint.
        is_ended: whether the run came to its end and the file was told so; None where either may be.
        is_made: whether a file must be there.
    """
    try:
        run = load_run(path)
    except (RunFileError, FileNotFoundError) as error:
        return [f"the file does not parse: {error}"] if acknowledged or (is_made and is_ended) else []
    problems = of_records(run.records, acknowledged)
    allowed = (
        ("completed", "interrupted") if is_ended is None else ("completed",) if is_ended else ("interrupted",)
    )
    if run.status not in allowed:
        problems.append(f"the file's status is {run.status}, true would be {' or '.join(allowed)}")
    return problems


def of_records(records: Sequence[StepRecord], acknowledged: Sequence[StepRecord]) -> list[str]:
    """Every acknowledged record is there, with every number as it was."""
    found = {record.step: record for record in records}
    lost = [record.step for record in acknowledged if record.step not in found]
    problems = [f"acknowledged records are lost: steps {lost[:5]}"] if lost else []
    changed = [r.step for r in acknowledged if r.step in found and not is_same(found[r.step], r)]
    return problems + ([f"acknowledged records are changed: steps {changed[:5]}"] if changed else [])


def is_same(one: StepRecord, other: StepRecord) -> bool:
    """Whether two records say the same, bit for bit, of the layers that the second one has."""
    if len(one.layers["delta_norm"]) != len(other.layers["delta_norm"]):  # layers came in later
        return dict(one.network) == dict(other.network)
    return to_line(record_content(one)) == to_line(record_content(other))


def of_cells(path: Path, acknowledged: Mapping[str, Any]) -> list[str]:
    """Every acknowledged cell of a sweep is in its file, which parses."""
    try:
        with SweepStore(path) as store:
            # As text: a number that is not one differs from itself.
            lost = [
                key for key, row in acknowledged.items() if key not in store or repr(store[key]) != repr(row)
            ]
            damaged = store.damaged
    except (ValueError, OSError) as error:
        return [f"the file of cells does not open: {error}"]
    problems = [f"{len(lost)} acknowledged cells are lost or changed"] if lost else []
    return problems + ([f"{damaged} lines of the file of cells are damaged"] if damaged else [])


def of_replaced(path: Path, old: bytes, new: bytes, *, is_acknowledged: bool) -> list[str]:
    """Under a name lies the old content or the new one, whole; the new one, if that was acknowledged."""
    found = path.read_bytes() if path.exists() else b""
    if found == new or (found == old and not is_acknowledged):
        return []
    return [f"{path.name} holds {len(found)} bytes, which are neither the old nor the new content"]


def of_words(text: str) -> list[str]:
    """What a visitor reads names no type, no path and no line of code."""
    found = _FOR_PROGRAMMERS.search(text)
    return [f"the visitor is told {found[0]!r}: {text[:120]!r}"] if found else []


def of_ended_runs(runs: Sequence[Run], status: str, ended: Collection[str]) -> list[str]:
    """A job that has ended says so, and so does every run of it, in words that are known."""
    problems = [] if status in ended else [f"the job's status is {status}, true would be {'/'.join(ended)}"]
    untrue = {run.status for run in runs} & {"running", "queued"} | {run.status for run in runs} - {*STATUSES}
    return problems + ([f"a run of an ended job says {'/'.join(untrue)}"] if untrue else [])


def of_threads(before: Collection[threading.Thread]) -> list[str]:
    """No thread is left behind."""
    give_up_at = time.monotonic() + SETTLE_SECONDS
    while left := [t.name for t in threading.enumerate() if t not in before and t.is_alive()]:
        if time.monotonic() > give_up_at:
            return [f"threads are left behind: {', '.join(left[:5])}"]
        time.sleep(0.01)
    return []


def of_processes(pids: Collection[int]) -> list[str]:
    """Processes have ended; one that nobody has asked about yet, a zombie, has."""
    give_up_at = time.monotonic() + SETTLE_SECONDS
    while left := [pid for pid in pids if _runs(pid)]:
        if time.monotonic() > give_up_at:
            return [f"processes are left behind: {left[:5]}"]
        time.sleep(0.01)
    return []


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
