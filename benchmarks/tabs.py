"""A few real Chromium tabs among the visitors: they bring a table of their own, train on it, look around."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks.app import ARGUMENTS
from benchmarks.crowd import TABS, WATCH_SECONDS, table, think
from benchmarks.visitor import CANARY, PATIENCE, Seen

LABEL = "tab of charts in a browser"  # drawing it takes the browser as long as the server
PROGRESS = "[data-testid=stProgress]"
CALM = "[data-testid=stApp][data-test-script-state=notRunning]"
# The server is to have the cores that it is promised, as its visitors sit at machines of their own: beside it
# the browser gets a tenth of a core. (At 19, the lowest priority, it gets so little that clicks fail.) The
# group first: where the system shares time between sessions, it does so before it looks at a process.
YIELDING = """#!/bin/sh
echo 10 > /proc/self/autogroup
exec nice -n 10 {path} "$@"
"""


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Any]:
    """Start the browser, at a low priority."""
    from playwright.async_api import async_playwright

    path = next(found for name in ("chromium", "google-chrome") if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "chromium")
        script.write_text(YIELDING.format(path=path))
        script.chmod(0o700)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=script, args=ARGUMENTS)
            yield browser
            await browser.close()


async def visit(browser: Any, address: str, seen: Seen, name: str, end: float) -> None:
    """Be one tab until the end: upload, train, click through the tabs."""
    chance, canary = random.Random(name), f"canary{uuid.uuid4().hex[:12]}"
    page = await (await browser.new_context(viewport={"width": 1440, "height": 900})).new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.on("pageerror", lambda error: seen.errors.append(f"{name}: {error}"))
    page.on(
        "websocket", lambda socket: socket.on("framereceived", lambda data: _look(seen, name, canary, data))
    )
    try:
        await page.goto(
            f"{address}/?v=1&dataset=csv&depth=5&width=32&steps=1500&seed={chance.randrange(9999)}"
        )
        await page.locator("input[type=file]").first.set_input_files(
            {"name": f"{canary}.csv", "mimeType": "text/csv", "buffer": table(canary, chance)}
        )
        await page.get_by_text(f"{canary}.csv.").first.wait_for()
        while time.monotonic() < end:
            await _act(page, seen, chance)
            if await page.locator("[data-testid=stException]").count():
                seen.errors.append(f"{name}: an exception on the page")
            await think(WATCH_SECONDS, chance, end)
    except Exception as error:
        seen.errors.append(f"{name}: {type(error).__name__}: {error}")
    finally:
        await page.context.close()


def _look(seen: Seen, name: str, canary: str, data: bytes | str) -> None:
    content = data.encode() if isinstance(data, str) else data
    for found in CANARY.findall(content):
        seen.canaries += 1
        if found.decode() != canary:
            seen.foreign.append(f"{name} was sent {found.decode()}")


async def _act(page: Any, seen: Seen, chance: random.Random) -> None:
    """Press Train where one can, else look at another tab of the charts."""
    train = page.locator(".st-key-train button")
    if await train.count() and await train.is_enabled() and chance.random() < 0.3:
        await train.click()
        return
    tab = page.get_by_role("tab", name=chance.choice(TABS[:4])).first
    await tab.or_(page.locator(PROGRESS).first).first.wait_for()
    if not await tab.count():
        return  # its run waits in the queue, as the page says, and has no charts yet
    start = time.perf_counter()
    await tab.click()
    await page.wait_for_selector(CALM)
    seen.seconds.append((LABEL, time.perf_counter() - start))
