"""A class on the dashboard: fifty visitors on a host of 690 MB see only their own and wait at most a second.

One server is driven through all phases: idle sessions, a class of readers and of ten that train, a killed
tab, one visitor who means harm. Then runs are stopped outside of the server, timed to the moment they end.

Visitors are websocket clients and a few Chromium tabs on the same machine. Nothing is pinned, but where the
server wants both cores the tabs get a tenth of one. How much each side took, and how late the clients' own
clock was, stands among the figures.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import crowd, tabs
from benchmarks.host import Host, cpu_seconds, serve
from benchmarks.verdicts import Target, pronounce, quantile
from benchmarks.visitor import Broken, Refusal, Seen, Visitor
from nnlab.jobs import LEASE_SECONDS

LATE_SECONDS = 0.05  # how often the clients' clock is looked at
WARM_SECONDS = 8.0  # until torch is loaded
EXPECTED = (
    "This cannot be trained",
    "here at most",
    "are waiting already",
    "at most",
    "Theory is drawn alone",
)


@dataclass(frozen=True)
class Size:
    """How much of everything is done."""

    sessions: int = 50
    training: int = 10
    tabs: int = 3
    seconds: float = 600.0
    idle: int = 200
    others: int = 15
    harm_seconds: float = 90.0
    stops: int = 200


SMALL = Size(sessions=8, training=2, tabs=0, seconds=6.0, idle=10, others=3, harm_seconds=3.0, stops=5)


@dataclass
class Outcome:
    """All that was found."""

    targets: list[Target] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)

    def require(self, name: str, measured: float, limit: float, unit: str = "") -> None:
        """Note a target."""
        self.targets.append(Target(name, measured, limit, unit))

    def note(self, name: str, value: Any) -> None:
        """Note a figure that has no limit."""
        self.figures.append({"figure": name, "value": round(value, 3) if isinstance(value, float) else value})


def main(*, small: bool = False) -> None:
    """Print a verdict line a target; write them, unless small."""
    outcome = measure(SMALL if small else Size())
    pronounce("load", outcome.targets, outcome.figures, keep=not small)


def measure(size: Size) -> Outcome:
    """Do all of it and give what was found."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder, "server.log")) as host:
        asyncio.run(_phases(host, size, outcome))
        outcome.require("server processes ended by the system", host.kills + (not host.is_alive), 0)
    _stops(size.stops, outcome)
    return outcome


async def _phases(host: Host, size: Size, outcome: Outcome) -> None:
    await warm(host)
    outcome.note("memory limit, held by", host.limited_by)
    await _idle(host, size.idle, outcome)
    await _class(host, size, outcome)
    await _killed_tab(host, outcome)
    await _harm(host, size, outcome)


async def warm(host: Host) -> None:
    """Load all that is loaded once: torch, every page."""
    async with Visitor(host.address, Seen(), "warm") as visitor:
        await visitor.open()
        await asyncio.sleep(WARM_SECONDS)
        await visitor.press("train")
        await visitor.until("train")
        for page in visitor.pages:
            await visitor.go(page)


async def _idle(host: Host, count: int, outcome: Outcome) -> None:
    before = await asyncio.to_thread(host.settled)
    outcome.note("memory of the server when every page was open once, MB", before / 1e6)
    seen = Seen()
    async with AsyncExitStack() as stack:
        for number in range(count):
            visitor = await stack.enter_async_context(Visitor(host.address, seen, f"idle {number}"))
            await visitor.open()
        grown = await asyncio.to_thread(host.settled) - before
    outcome.require(f"growth with {count} idle sessions", grown / 1e6, 60, "MB")


async def visit(host: Host, seen: Seen, name: str, behave: crowd.Behavior, end: float) -> None:
    """Be one visitor until the end; what goes wrong is noted once."""
    try:
        async with Visitor(host.address, seen, name) as visitor:
            await behave(visitor, random.Random(name), end)
    except Broken as broken:
        if str(broken) not in seen.errors:
            seen.errors.append(str(broken))
    except (Refusal, OSError) as error:
        seen.errors.append(f"{name}: {error}")


async def _class(host: Host, size: Size, outcome: Outcome) -> None:
    seen, end = Seen(), time.monotonic() + size.seconds
    third = max(1, size.training // 3)
    training = size.training - size.tabs
    others = size.sessions - size.tabs - training - third
    counts = {crowd.train_own: third, crowd.train: training - third, crowd.bring: third, crowd.read: others}
    kinds: list[crowd.Behavior] = [kind for kind, count in counts.items() for _ in range(count)]
    host.forget_peak()
    late: list[float] = []
    clock = asyncio.create_task(_look_at_clock(late))
    start, server, clients = time.monotonic(), host.cpu_seconds, cpu_seconds(os.getpid(), host.pid)
    async with AsyncExitStack() as stack:
        tasks = [visit(host, seen, f"v{n}", kind, end) for n, kind in enumerate(kinds)]
        if size.tabs:
            browser = await stack.enter_async_context(tabs.chromium())
            tasks += [tabs.visit(browser, host.address, seen, f"tab{n}", end) for n in range(size.tabs)]
        await asyncio.gather(*tasks)
        clients = cpu_seconds(os.getpid(), host.pid) - clients
    clock.cancel()
    seconds = time.monotonic() - start
    outcome.note(
        "processor shares: server, clients",
        f"{(host.cpu_seconds - server) / seconds:.2f}, {clients / seconds:.2f} of a core",
    )
    outcome.note("clients' clock late, 95th percentile, s", quantile(late, 0.95))
    _say_class(seen, host, size, outcome)


def _say_class(seen: Seen, host: Host, size: Size, outcome: Outcome) -> None:
    acted = _acted(seen)
    for label in sorted({label for label, _ in seen.seconds}):
        times = [seconds for name, seconds in seen.seconds if name == label]
        median, most = quantile(times, 0.5), quantile(times, 0.95)
        words = f"{len(times)}; median {median:.2f}, 95 % {most:.2f}, worst {max(times):.2f}"
        outcome.note(f"interactions, {label}, s", words)
    outcome.note("interactions of all kinds", len(acted))
    outcome.note("sent to all, MB", seen.bytes / 1e6)
    outcome.note("canaries seen by their owners", seen.canaries)
    unexpected = [text for text in seen.failures if not any(word in text for word in EXPECTED)]
    for text, count in Counter([*seen.errors, *unexpected]).most_common(5):
        outcome.note("error", f"{count} x {text[:160]}")
    who = f"{size.sessions} sessions, {size.training} of them train, {size.seconds:.0f} s"
    outcome.require(f"{who}: errors", len(seen.errors) + len(unexpected), 0)
    # Where no canary was sent at all, nothing was looked at.
    outcome.require("foreign data seen", len(seen.foreign) if seen.canaries else float("nan"), 0)
    outcome.require("interaction, 95th percentile", quantile(acted, 0.95), 1.0, "s")
    outcome.require("memory at the peak, with child processes", host.peak / 1e6, 600, "MB")
    outcome.note("memory of the server alone at the peak, MB", host.own_peak / 1e6)


def _acted(seen: Seen) -> list[float]:
    """Give the seconds of what was done with a widget; pages that are opened are said beside."""
    return [seconds for label, seconds in seen.seconds if label not in ("open", "page", tabs.LABEL)]


async def _look_at_clock(late: list[float]) -> None:
    while True:
        start = time.perf_counter()
        await asyncio.sleep(LATE_SECONDS)
        late.append(time.perf_counter() - start - LATE_SECONDS)


async def _killed_tab(host: Host, outcome: Outcome) -> None:
    """Kill a tab that trains as long as one may, and wait until the server has nothing to do."""
    await asyncio.to_thread(host.idle_after, LEASE_SECONDS)
    visitor = await Visitor(host.address, Seen(), "killed").__aenter__()
    await visitor.open(v=1, depth=20, width=64, steps=20_000, record_every=100, seed=99)
    await visitor.press("train")
    if not visitor.has("stop"):
        raise Broken("nothing was trained whose tab could be killed")
    visitor.kill()
    idle = await asyncio.to_thread(host.idle_after, LEASE_SECONDS + 30)
    outcome.require("tab killed to idle processor", idle, LEASE_SECONDS + 5, "s")


async def _harm(host: Host, size: Size, outcome: Outcome) -> None:
    """Compare what others wait without and with a visitor who means harm."""
    waits = []
    for does_harm in (False, True):
        seen, harmed, end = Seen(), Seen(), time.monotonic() + size.harm_seconds
        host.forget_peak()
        kinds: Sequence[crowd.Behavior] = [crowd.read] * size.others
        tasks = [visit(host, seen, f"other {n}", kind, end) for n, kind in enumerate(kinds)]
        if does_harm:
            tasks.append(visit(host, harmed, "harm", crowd.harm, end))
        await asyncio.gather(*tasks)
        waits.append(quantile(_acted(seen), 0.95))
    outcome.note("what others wait, 95 %: without and with harm, s", f"{waits[0]:.2f}, {waits[1]:.2f}")
    outcome.note("what the harmful one was answered", _answers(harmed))
    outcome.require("a hostile visitor slows others, times", waits[1] / waits[0], 2.0)
    outcome.require("errors of the others meanwhile", len(seen.errors), 0)
    outcome.require("memory at the peak meanwhile", host.peak / 1e6, 600, "MB")


def _answers(seen: Seen) -> str:
    counts = Counter(label for label, _ in seen.seconds)
    return ", ".join(f"{count} {label}" for label, count in counts.items()) or "nothing"


def _stops(count: int, outcome: Outcome) -> None:
    """Stop runs at random moments, two at a time as a host runs them, and note until they have halted."""
    from nnlab.config import ExperimentConfig
    from nnlab.job_board import BOARD
    from nnlab.jobs import RunJob

    chance, seconds = random.Random(0), []
    base = ExperimentConfig(steps=20_000, record_every=100)
    beside = BOARD.submit(RunJob(config=base.replace(depth=20, width=128)))
    for number in range(count):
        if not beside.is_active:
            beside = BOARD.submit(RunJob(config=base.replace(depth=20, width=128, seed=count + number)))
        depth, width = chance.choice(((2, 16), (10, 64), (30, 128), (100, 64), (50, 256)))
        kind = chance.choice(crowd.ACTIVATIONS)
        job = BOARD.submit(
            RunJob(config=base.replace(depth=depth, width=width, activation=kind, seed=number))
        )
        while not job.first_record and job.is_active:
            time.sleep(0.01)
        beside.renew()
        time.sleep(chance.random() / 4)
        start = time.perf_counter()
        job.stop()
        job.wait(30)
        seconds.append(time.perf_counter() - start)
    beside.stop()
    beside.wait(30)
    outcome.require(f"Stop to halted, 99th percentile of {count}", quantile(seconds, 0.99), 0.5, "s")
