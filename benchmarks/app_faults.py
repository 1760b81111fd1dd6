"""Faults around a running dashboard: lines cut, Stop and Train at any moment, storms, signals, no disk.

Visitors are those of `visitor`; what the server did is read off its log, which has a line for every job.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg

from benchmarks import invariants
from benchmarks.host import Host, serve
from benchmarks.invariants import Outcome
from benchmarks.visitor import Broken, Seen, Visitor
from nnlab.config import ExperimentConfig

CONFIG = ExperimentConfig(dataset="iris", depth=6, width=16, batch_size=16, steps=500, record_every=10)
LONG = CONFIG.replace(steps=20_000, depth=30, record_every=100)
PATIENCE = 120.0  # seconds; far more than anything here takes
EXIT_SECONDS = 3.0
STEPS_A_CUT = 100  # so that the run is still under way at most of them, and ends in time
STORM_A_SECOND = 100
STORM_GROWTH = 60e6  # bytes; what a burst of pages takes before the collector has been by
THREADS_MORE = 4  # the server's own pool grows with what was asked at once


class Returning(Visitor):
    """A visitor whose line can be cut, and who comes back to the same session, as a tab does."""

    async def __aenter__(self) -> Returning:
        await self._connect("streamlit")
        return self

    async def _connect(self, *words: str) -> None:
        self._socket = await websockets.connect(
            f"ws{self.address.removeprefix('http')}/_stcore/stream",
            subprotocols=words,  # type: ignore[arg-type]
            max_size=None,
            open_timeout=PATIENCE,  # a busy machine is no fault
            ping_interval=None,
            compression=None,
        )
        self._reader = asyncio.create_task(self._read())

    async def come_back(self) -> None:
        """Connect anew, and say which session it was."""
        await self._connect("streamlit", "PLACEHOLDER_AUTH_TOKEN", self.session)
        message = BackMsg()
        message.rerun_script.page_script_hash = self.page
        message.rerun_script.widget_states.widgets.extend(self._states.values())
        await self._act("come back", message)

    async def shout(self, key: str, value: Any) -> None:
        """Send a change of a widget, and do not wait."""
        task = asyncio.ensure_future(self.set(key, value))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.sleep(0)

    def shown_steps(self) -> list[int]:
        """The recorded steps that the page lets one choose from."""
        for widget in self._with_slider():
            return [int(option) for option in widget.message.options]
        return []

    def _with_slider(self) -> Iterator[Any]:
        for found in list(self._elements.values()):
            is_slider = getattr(found, "kind", "") == "slider" and "-step_" in found.id
            if is_slider and len(found.message.options) > 0:
                yield found


async def until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Broken(f"waited in vain for {what}")
        await asyncio.sleep(0.02)


class Log:
    """What the server's log says of jobs, from some moment on."""

    def __init__(self, path: Path) -> None:
        self._path, self._begin = path, path.stat().st_size

    def events(self, event: str) -> list[str]:
        text = self._path.read_bytes()[self._begin :].decode(errors="replace")
        return [line for line in text.splitlines() if f"event={event} " in line]

    def problems(self) -> list[str]:
        text = self._path.read_bytes()[self._begin :].decode(errors="replace")
        found = re.findall(r"^.*(?:Traceback|event=error).*$", text, re.MULTILINE)
        return [f"the log has {found[0][:200]}"] if found else []


@contextlib.asynccontextmanager
async def visiting(host: Host, seen: Seen, config: ExperimentConfig) -> AsyncIterator[Returning]:
    async with Returning(host.address, seen, "visitor") as visitor:
        await visitor.open(**config.to_query())
        yield visitor


async def begin(visitor: Returning) -> None:
    """Press Train, and wait until the address has the run."""
    await visitor.press("train")
    await until(lambda: "run=" in visitor.query, "the training")


async def lines_cut(host: Host, cuts: int, draw: random.Random) -> list[str]:
    """Cut the line in a run, come back to the session or by the address; every recorded step is there."""
    seen, log = Seen(), Log(host.log)
    visitor = Returning(host.address, seen, "visitor")
    await visitor.__aenter__()
    config = CONFIG.replace(seed=draw.randrange(10**6), steps=STEPS_A_CUT * cuts)
    await visitor.open(**config.to_query())
    await begin(visitor)
    for number in range(cuts):
        await asyncio.sleep(draw.random() * 0.5)
        visitor.kill()
        await asyncio.sleep(draw.random() * 0.3)
        if number % 2:
            await visitor.come_back()
        else:
            query = dict(part.split("=", 1) for part in visitor.query.split("&"))
            visitor = Returning(host.address, seen, "visitor")
            await visitor.__aenter__()
            await visitor.open(**query)
    await until(lambda: visitor.shown_steps() == list(config.recorded_steps), "every recorded step")
    problems = _of_pages(visitor, seen, log)
    if len(log.events("submitted")) != 1:
        problems.append(f"one Train made {len(log.events('submitted'))} jobs")
    await visitor.leave()
    return problems


def _of_pages(visitor: Returning, seen: Seen, log: Log) -> list[str]:
    errors = [error for error in seen.errors if "connection closed" not in error]
    words = [said for text in visitor.texts().splitlines() for said in invariants.of_words(text)]
    return errors + words + log.problems()


async def double_click(host: Host, draw: random.Random) -> list[str]:
    """Send two clicks on Train at once, as a double click does; it is one run."""
    seen, log = Seen(), Log(host.log)
    async with visiting(host, seen, LONG.replace(seed=draw.randrange(10**6))) as visitor:
        for _ in range(2):
            await visitor.shout("train", True)
            await asyncio.sleep(draw.choice((0, 0.005, 0.05)))
        await until(lambda: "run=" in visitor.query, "the training")
        query = dict(part.split("=", 1) for part in visitor.query.split("&"))
    # In another session, where no click on Train can still be on its way.
    async with Returning(host.address, seen, "visitor") as visitor:
        await visitor.open(**query)
        await until(lambda: visitor.has("stop"), "Stop")
        await visitor.press("stop")
        await until(lambda: log.events("ended"), "the end")
        problems = _of_pages(visitor, seen, log)
    if len(log.events("submitted")) != 1:
        problems.append(f"a double click made {len(log.events('submitted'))} runs")
    return problems


async def stop_midway(host: Host, draw: random.Random) -> list[str]:
    """Stop a run at any moment; it says so, and keeps its records."""
    seen, log = Seen(), Log(host.log)
    async with visiting(host, seen, LONG.replace(seed=draw.randrange(10**6))) as visitor:
        await begin(visitor)
        await until(lambda: visitor.has("stop"), "Stop")
        await asyncio.sleep(draw.random())
        await visitor.press("stop")
        await until(lambda: log.events("ended"), "the end")
        await until(lambda: visitor.has("train"), "Train")
        problems = _of_pages(visitor, seen, log)
        said = visitor.texts()
    if "status=stopped" not in log.events("ended")[0]:
        problems.append(f"a stopped run ended otherwise: {log.events('ended')[0]}")
    if visitor.shown_steps() and "Stopped at step" not in said:
        problems.append("the page does not say that the run was stopped")
    return problems


async def storm(host: Host, seconds: float, draw: random.Random) -> list[str]:
    """Change widgets a hundred times a second; the server lives, keeps its memory, and answers afterwards."""
    seen, log = Seen(), Log(host.log)
    async with visiting(host, seen, CONFIG) as visitor:
        before, sent = host.resident, 0
        end = time.monotonic() + seconds
        keys = ("field_depth", "field_width", "field_seed")
        while time.monotonic() < end:
            await visitor.shout(keys[sent % len(keys)], _value(visitor, keys[sent % len(keys)], draw))
            sent += 1
            await asyncio.sleep(1 / STORM_A_SECOND)
        waiting = list(visitor._waiting)
        for each in waiting:
            each.done.cancel()
        async with visiting(host, seen, CONFIG) as other:
            problems = _of_pages(other, seen, log)
        grown = host.settled(1.0, 20.0) - before
    if grown > STORM_GROWTH:
        problems.append(f"memory grew by {grown / 1e6:.0f} MB in a storm of {sent} changes")
    if not host.is_alive:
        problems.append("the server has ended")
    return problems


def _value(visitor: Returning, key: str, draw: random.Random) -> Any:
    is_slider = visitor.widget(key).kind == "slider"
    return [float(draw.randint(1, 20))] if is_slider else float(draw.randint(1, 20))


async def vanish(host: Host, draw: random.Random) -> list[str]:
    """Go away in the midst of a page that is being drawn; the next visitor notices nothing."""
    seen, log = Seen(), Log(host.log)
    gone = Returning(host.address, seen, "gone")
    await gone.__aenter__()
    opening = asyncio.ensure_future(gone.open(**CONFIG.to_query()))
    await asyncio.sleep(draw.random() * 0.3)
    gone.kill()
    opening.cancel()
    with contextlib.suppress(asyncio.CancelledError, Broken):
        await opening
    async with visiting(host, seen, CONFIG) as visitor:
        return _of_pages(visitor, seen, log)


async def ended(host: Host, number: signal.Signals) -> tuple[list[str], str]:
    """End the server in the midst of a run; give what was wrong, and the run's address."""
    seen, log = Seen(), Log(host.log)
    visitor = Returning(host.address, seen, "visitor")
    await visitor.__aenter__()
    await visitor.open(**CONFIG.replace(steps=20_000).to_query())
    await begin(visitor)
    query = visitor.query
    start = time.monotonic()
    host.process.send_signal(number)
    problems = []
    try:
        await asyncio.to_thread(host.process.wait, PATIENCE)
    except subprocess.TimeoutExpired:
        problems.append("the server does not end")
    took = time.monotonic() - start
    if took > EXIT_SECONDS:
        problems.append(f"the server took {took:.1f} s to end")
    await visitor.leave()
    return problems + log.problems(), query


async def after_restart(host: Host, query: str) -> list[str]:
    """Open the address of a run that was lost with its server: it is trained again and says so."""
    seen, log = Seen(), Log(host.log)
    asked = dict(part.split("=", 1) for part in query.split("&")) | {"steps": str(CONFIG.steps)}
    async with Returning(host.address, seen, "visitor") as visitor:
        await visitor.open(**asked)
        await until(lambda: visitor.shown_steps() == list(CONFIG.recorded_steps), "the run, trained again")
        said = visitor.texts()
        problems = _of_pages(visitor, seen, log)
    if "not in memory here" not in said:
        problems.append("the page does not say that the run was trained again")
    return problems


def _outcome(kind: str, fault: str, work: Awaitable[list[str]]) -> Outcome:
    async def run() -> list[str]:
        try:
            return await work
        except (Broken, OSError, websockets.WebSocketException) as error:
            return [f"{type(error).__name__}: {error}"]

    return Outcome(f"app: {kind}", fault, tuple(asyncio.run(run())))


def app_faults(rounds: int, cuts: int, storm_seconds: float, restarts: int) -> Iterator[Outcome]:
    """Serve the dashboard and break what can be broken around it, so many times each."""
    draw = random.Random(0)
    with started() as host:
        threads = 0
        for number in range(rounds):
            said = f"round {number}"
            yield _outcome("the line cut in a run", f"{said}, {cuts} times", lines_cut(host, cuts, draw))
            threads = threads or host.threads
            yield _outcome("a double click on Train", said, double_click(host, draw))
            yield _outcome("Stop in a run", said, stop_midway(host, draw))
            yield _outcome("gone while a page is drawn", said, vanish(host, draw))
        yield _outcome("a storm of changes", f"{storm_seconds} s", storm(host, storm_seconds, draw))
        yield Outcome("app: threads at the end", f"{rounds} rounds", tuple(_of_threads(host, threads)))
        problems, query = asyncio.run(ended(host, signal.SIGTERM))
        yield Outcome("app: SIGTERM in a run", "round 0", tuple(problems))
    for number in range(restarts):
        with started() as host:
            yield _outcome("started again", f"round {number}", after_restart(host, query))
            how = (signal.SIGKILL, signal.SIGTERM)[number % 2]
            problems, query = asyncio.run(ended(host, how))
            yield Outcome(f"app: {how.name} in a run", f"round {number}", tuple(problems))
    if restarts:
        yield from _without_a_disk(restarts, draw)


@contextlib.contextmanager
def environment(**changes: str) -> Iterator[None]:
    """Set variables of the environment for what is started in the block."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def started() -> Iterator[Host]:
    """Start a server whose log says what becomes of jobs."""
    with (
        tempfile.TemporaryDirectory() as folder,
        environment(NNLAB_LOG="info"),
        serve(Path(folder) / "log") as host,
    ):
        yield host


def take_disk(host: Host) -> None:
    """Let a server write no file any more, its log neither."""
    limits = resource.prlimit(host.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(host.pid, resource.RLIMIT_FSIZE, (0, limits[1]))


async def trained(host: Host, draw: random.Random) -> list[str]:
    """Train a run to its end."""
    seen, log = Seen(), Log(host.log)
    async with visiting(host, seen, CONFIG.replace(seed=draw.randrange(10**6))) as visitor:
        await begin(visitor)
        await until(lambda: visitor.shown_steps() == list(CONFIG.recorded_steps), "every recorded step")
        return _of_pages(visitor, seen, log)


def _without_a_disk(rounds: int, draw: random.Random) -> Iterator[Outcome]:
    with started() as host:
        take_disk(host)
        for number in range(rounds):
            yield _outcome("a server that can write no file", f"round {number}", trained(host, draw))


def _of_threads(host: Host, before: int) -> list[str]:
    """The server has no more threads than after its first run, once sessions have been let go."""
    end = time.monotonic() + PATIENCE
    while host.threads > before + THREADS_MORE:
        if time.monotonic() > end:
            return [f"{before} threads became {host.threads}"]
        time.sleep(0.5)
    return []
