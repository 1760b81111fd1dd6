"""A thousand visitors, one after the other: each opens the dashboard, trains, looks and closes the tab."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import crowd
from benchmarks.host import Host, serve
from benchmarks.load import Outcome, warm
from benchmarks.verdicts import pronounce, quantile
from benchmarks.visitor import Broken, Seen, Visitor

CYCLES, SMALL_CYCLES = 1000, 20
# What is kept on purpose is full by then: twenty runs, the session of every page, the pictures of the caches.
WARM_UP_CYCLES, SMALL_WARM_UP = 100, 10
AT_ONCE = 2  # as many as train
STEPS = 40
FORGOTTEN_SECONDS = 40.0  # Streamlit keeps the session of a closed tab for 30


def main(*, small: bool = False) -> None:
    """Print a verdict line a target; write them, unless small."""
    outcome = measure(SMALL_CYCLES, SMALL_WARM_UP, 1.0) if small else measure()
    pronounce("soak", outcome.targets, outcome.figures, keep=not small)


def measure(
    cycles: int = CYCLES, warm_up: int = WARM_UP_CYCLES, forgotten_seconds: float = FORGOTTEN_SECONDS
) -> Outcome:
    """Do all cycles and give what was found."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder, "server.log")) as host:
        asyncio.run(_soak(host, cycles, warm_up, forgotten_seconds, outcome))
        outcome.require("server processes ended by the system", host.kills + (not host.is_alive), 0)
    return outcome


async def _soak(host: Host, cycles: int, warm_up: int, forgotten_seconds: float, outcome: Outcome) -> None:
    await warm(host)
    await _cycles(host, range(warm_up), Seen())
    await asyncio.sleep(forgotten_seconds)
    before, threads = await asyncio.to_thread(host.settled), host.threads
    host.forget_peak()
    seen, start = Seen(), time.monotonic()
    await _cycles(host, range(warm_up, warm_up + cycles), seen)
    seconds = time.monotonic() - start
    await asyncio.sleep(forgotten_seconds)
    grown = await asyncio.to_thread(host.settled) - before
    outcome.note("memory of the server before, MB", before / 1e6)
    outcome.note("cycles a minute", 60 * cycles / seconds)
    outcome.note("threads before and after", f"{threads}, {host.threads}")
    outcome.note("interaction, 95 %, s", quantile([s for _, s in seen.seconds], 0.95))
    for text, count in Counter(seen.errors).most_common(5):
        outcome.note("error", f"{count} x {text[:160]}")
    outcome.require(f"growth over {cycles} open-train-close cycles", grown / 1e6, 30, "MB")
    outcome.require("memory at the peak, with child processes", host.peak / 1e6, 600, "MB")
    outcome.require("threads more than before", host.threads - threads, 2)
    outcome.require("errors", len(seen.errors) + len(seen.failures), 0)


async def _cycles(host: Host, numbers: range, seen: Seen) -> None:
    ahead = iter(numbers)

    async def one_after_the_other() -> None:
        for number in ahead:
            try:
                await _cycle(host, seen, number)
            except (Broken, OSError) as error:
                seen.errors.append(str(error))

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


async def _cycle(host: Host, seen: Seen, number: int) -> None:
    """Open the lab, train, look at a tab and another page, close."""
    chance = random.Random(number)
    experiment: dict[str, Any] = crowd.experiment(chance) | {"steps": STEPS, "seed": number}
    async with Visitor(host.address, seen, f"cycle {number}") as visitor:
        await visitor.open(**experiment)
        await visitor.press("train")
        await visitor.until("train")
        await visitor.until("tabs")
        await visitor.set("tabs", chance.choice(crowd.TABS))
        await visitor.go(chance.choice(list(visitor.pages)))
