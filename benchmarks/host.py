"""The dashboard as a public host runs it: a process of its own under a memory limit, read from outside.

Where control groups can be written (Linux, as root) the kernel enforces the limit on the server and all its
children, as a container does; elsewhere it is watched, and to go over it fails the benchmark alike.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nnlab.hosting import HOSTED_VARIABLE

ROOT = Path(__file__).parent.parent
MEMORY_LIMIT = 690_000_000  # bytes, what Community Cloud guarantees
PATIENCE = 60.0
LOOK_SECONDS = 0.1
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Host:
    """A running server: its address, its process, and what a watcher saw of its memory.

    Memory is in bytes: `resident` of the server alone, `peak` of it with the processes it started.
    """

    address: str
    pid: int
    process: subprocess.Popen[bytes]
    group: Path | None
    log: Path
    peak: int = 0
    own_peak: int = 0
    peaks: list[tuple[float, int]] = field(default_factory=list)

    @property
    def resident(self) -> int:
        """The memory of the server itself now."""
        return _resident(self.pid)

    @property
    def family(self) -> int:
        """The memory of the server and of the processes it started."""
        return sum(map(_resident, [self.pid, *_children(self.pid)]))

    @property
    def threads(self) -> int:
        """How many threads the server has."""
        return len(_listed(f"/proc/{self.pid}/task"))

    @property
    def cpu_seconds(self) -> float:
        """Processor time that the server and its ended or running children took."""
        return cpu_seconds(self.pid)

    @property
    def is_alive(self) -> bool:
        """Whether the process is still there."""
        return self.process.poll() is None

    @property
    def limited_by(self) -> str:
        """Who holds the limit."""
        return "control group" if self.group is not None else "watched only"

    @property
    def kills(self) -> int:
        """How often the kernel ended a process of the group for its memory."""
        if self.group is None:
            return 0
        for name in ("memory.oom_control", "memory.events"):
            with contextlib.suppress(OSError):
                lines = (self.group / name).read_text().splitlines()
                return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))
        return 0

    def forget_peak(self) -> None:
        """Begin to look for the highest memory anew."""
        self.peak = self.own_peak = 0

    def settled(self, seconds: float = 5.0, limit: float = 60.0) -> int:
        """Wait until the memory has not moved by a megabyte for some seconds, and give it."""
        start = still_since = time.monotonic()
        seen = self.resident
        while time.monotonic() - still_since < seconds and time.monotonic() - start < limit:
            time.sleep(0.5)
            if abs(self.resident - seen) > 1e6:
                seen, still_since = self.resident, time.monotonic()
        return self.resident

    def idle_after(self, limit: float, share: float = 0.05, window: float = 2.0) -> float:
        """Wait until the server takes less than a share of a core; give the seconds until that window."""
        start = time.monotonic()
        while True:
            begin, taken = time.monotonic(), self.cpu_seconds
            time.sleep(window)
            if (self.cpu_seconds - taken) / (time.monotonic() - begin) < share:
                return begin - start
            if time.monotonic() - start > limit:
                return time.monotonic() - start

    def watch(self, end: threading.Event) -> None:
        """Note the highest memory until told to end; for a thread."""
        start = time.monotonic()
        while not end.wait(LOOK_SECONDS):
            own = self.resident
            whole = max(own, self.family)
            self.own_peak = max(self.own_peak, own)
            if whole > self.peak:
                self.peak = whole
                self.peaks.append((time.monotonic() - start, whole))


@contextlib.contextmanager
def serve(log: Path, memory_limit: int = MEMORY_LIMIT) -> Iterator[Host]:
    """Start the dashboard with a host's limits; it ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    group = _make_group(memory_limit)
    command = [sys.executable, "-m", "streamlit", "run", "dashboard.py", "--server.headless", "true"]
    command += ["--server.port", str(port)]
    if group is not None:
        command = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"), *command]
    environment = {**os.environ, HOSTED_VARIABLE: "1"}
    end = threading.Event()
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT)
        host = Host(f"http://localhost:{port}", process.pid, process, group, log)
        watcher = threading.Thread(target=host.watch, args=(end,), daemon=True)
        try:
            _wait_for(host)
            watcher.start()
            yield host
        finally:
            end.set()
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _drop_group(group)


def _wait_for(host: Host) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and host.is_alive:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{host.address}/_stcore/health") as answer:
            if answer.read() == b"ok":
                return
        time.sleep(0.05)
    raise TimeoutError(f"the dashboard does not answer; see {host.log}")


def _make_group(limit: int) -> Path | None:
    """Make a control group with a memory limit, of either kind; None where that is not allowed."""
    name = f"nnlab-{os.getpid()}-{time.monotonic_ns()}"
    for root, limits in (
        ("/sys/fs/cgroup/memory", ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")),
        ("/sys/fs/cgroup", ("memory.max", "memory.swap.max")),
    ):
        group = Path(root) / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limits[0]).write_text(str(limit))
        except OSError:
            group.rmdir()
            continue
        with contextlib.suppress(OSError):  # not every kernel counts swap
            (group / limits[1]).write_text("0" if limits[1] == "memory.swap.max" else str(limit))
        return group
    return None


def _drop_group(group: Path | None) -> None:
    if group is None:
        return
    for _ in range(50):  # its last process may still be on its way out
        with contextlib.suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.1)


def cpu_seconds(pid: int, without: int = 0) -> float:
    """Give the processor time of a process and of those it started, without one of them and its own."""
    return _cpu_seconds(pid) + sum(cpu_seconds(child, without) for child in _own(pid) if child != without)


def _own(pid: int) -> list[int]:
    """Give the processes that a process started."""
    found: list[int] = []
    for thread in _listed(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _children(pid: int) -> list[int]:
    """Give the processes that a process started, and theirs."""
    return [found for child in _own(pid) for found in (child, *_children(child))]


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS
