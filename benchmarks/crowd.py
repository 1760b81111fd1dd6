"""What visitors of a class do: read, change things, train, bring files; and what one does who means harm.

A behavior is `await behave(visitor, random, end)`: it acts until the clock is at `end`.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.visitor import Visitor, Widget
from nnlab.presets import EXAMPLE_RUN
from nnlab.runfile import load_run

Behavior = Callable[[Visitor, random.Random, float], Awaitable[None]]

THINK_SECONDS = 15.0  # mean, between two interactions of somebody who reads what a chart says
WATCH_SECONDS = 4.0  # of somebody who waits for a run
TRAINED_STEPS = 1500
ACTIVATIONS = ("sigmoid", "tanh", "relu", "gelu", "elu", "silu")
TABS = ("Learning", "Activations", "Units", "Gradients", "Table and files")
# Not for aimless clicks: what trains is for those who came to train; a file of another is not there.
LEFT_ALONE = ("train", "stop", "start_", "try_", "run_paper", "field_dataset", "field_steps", "vega_", "_run")
LAB_CHANGES: dict[str, tuple[str, ...]] = {
    "field_depth": ("2", "5", "10", "20", "30"),
    "field_width": ("8", "16", "32", "64", "128"),
    "field_activation": ("Sigmoid", "Tanh", "ReLU", "GELU"),
    "tabs": TABS,
}


async def think(mean: float, chance: random.Random, end: float) -> bool:
    """Do nothing for a while, not beyond the end; tell whether there is time left.

    Whoever acted at the end would act in the same instant as all others, which no class does.
    """
    await asyncio.sleep(max(0.0, min(chance.expovariate(1 / mean), end - time.monotonic())))
    return time.monotonic() < end


async def read(visitor: Visitor, chance: random.Random, end: float) -> None:
    """Open the lab or a lesson, change what is there, go on to another page."""
    await think(THINK_SECONDS / 2, chance, end)  # a class does not click within one second
    await visitor.open(chance.choice(("", *LESSONS)))
    while await think(THINK_SECONDS, chance, end):
        if chance.random() < 0.15:
            await visitor.go(chance.choice(list(visitor.pages)))
        else:
            await change_something(visitor, chance)


LESSONS = ("Activation_functions", "Why_nonlinearity", "Lighter_sevens", "Initialization", "Compare", "Sweep")


async def change_something(visitor: Visitor, chance: random.Random) -> None:
    """Give one widget of the page another value that it allows."""
    if visitor.has("field_depth"):
        key = chance.choice(list(LAB_CHANGES))
        if visitor.has(key):
            options = _words(visitor.widget(key)) or LAB_CHANGES[key]
            fitting = [value for value in LAB_CHANGES[key] if value in options] or options
            await visitor.set(key, chance.choice(fitting), "change on lab")
            return
    possible = [(key, values) for key in visitor.shown() if (values := _allowed(visitor.widget(key)))]
    possible = [(key, values) for key, values in possible if not any(word in key for word in LEFT_ALONE)]
    if possible:
        key, values = chance.choice(possible)
        await visitor.set(key, chance.choice(values), f"change on {visitor.where}")


def _words(widget: Widget) -> list[str]:
    """Give the options of a widget that has some."""
    options = getattr(widget.message, "options", ())
    return [option if isinstance(option, str) else option.content for option in options]


def _allowed(widget: Widget) -> list[Any]:
    """Give values that a tab could send for a widget, none where it is not one to be changed aimlessly."""
    message = widget.message
    if getattr(message, "disabled", False):
        return []
    if widget.kind in ("selectbox", "button_group") or (widget.kind == "slider" and message.options):
        return list(_words(widget))
    if widget.kind == "slider" and len(message.default) == 1:
        steps = int((message.max - message.min) / (message.step or 1))
        return [message.min + message.step * number for number in range(0, steps + 1, max(1, steps // 20))]
    if widget.kind in ("checkbox", "popover"):
        return [True, False]
    return []


async def train(visitor: Visitor, chance: random.Random, end: float) -> None:
    """Train one network after the other, watch, look at what came out."""
    await think(THINK_SECONDS / 4, chance, end)
    await visitor.open(**experiment(chance))
    await _train_again_and_again(visitor, chance, end)


def experiment(chance: random.Random) -> dict[str, Any]:
    """Draw the network that a visitor chooses, as the query of its link."""
    return {
        "v": 1,
        "depth": chance.choice((5, 10, 20)),
        "width": chance.choice((32, 64, 128)),
        "activation": chance.choice(ACTIVATIONS),
        "steps": TRAINED_STEPS,
        "seed": chance.randrange(10_000),
    }


async def _train_again_and_again(visitor: Visitor, chance: random.Random, end: float) -> None:
    while time.monotonic() < end:
        await visitor.press("train", "train")
        while visitor.has("stop") and await think(WATCH_SECONDS, chance, end):
            if chance.random() < 0.1 and visitor.has("stop"):
                await visitor.press("stop", "stop")
            elif visitor.has("tabs"):
                await visitor.set("tabs", chance.choice(TABS[:4]), "tab while training")
        if await think(WATCH_SECONDS, chance, end):
            await visitor.set("field_seed", float(chance.randrange(10_000)))


async def train_own(visitor: Visitor, chance: random.Random, end: float) -> None:
    """Upload a table whose columns bear the visitor's canary, and train on it."""
    await think(THINK_SECONDS / 4, chance, end)
    await visitor.open(**experiment(chance) | {"dataset": "csv", "depth": 5})
    await visitor.upload("own_upload", f"{visitor.canary}.csv", table(visitor.canary, chance))
    await _train_again_and_again(visitor, chance, end)


async def bring(visitor: Visitor, chance: random.Random, end: float) -> None:
    """Open a run file whose modules bear the visitor's canary, and look at it."""
    await think(THINK_SECONDS / 2, chance, end)
    await visitor.open("Your_model")
    await visitor.upload("model_file", "run.jsonl", await asyncio.to_thread(run_file, visitor.canary))
    while await think(THINK_SECONDS, chance, end):
        if visitor.has("tabs_model"):
            await visitor.set("tabs_model", chance.choice(TABS))


def table(canary: str, chance: random.Random, rows: int = 300) -> bytes:
    """Make a CSV file of two classes."""
    lines = [f"{canary}a,{canary}b,{canary}c,{canary}kind"]
    for _ in range(rows):
        kind = chance.randrange(2)
        numbers = (chance.gauss(kind, 1.0) for _ in range(3))
        lines.append(",".join([*(f"{number:.4f}" for number in numbers), "ab"[kind]]))
    return "\n".join(lines).encode()


def run_file(canary: str) -> bytes:
    """Make a run file whose layers bear a name."""
    run = load_run(EXAMPLE_RUN)
    layers = tuple(replace(layer, name=f"{canary}.{layer.name}") for layer in run.layers)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.jsonl")
        replace(run, layers=layers).save(path)
        return path.read_bytes()


async def harm(visitor: Visitor, chance: random.Random, end: float) -> None:
    """Ask for too much of everything, as fast as the server answers."""
    await visitor.open()
    upload = asyncio.create_task(_upload_for_ever(visitor, chance, end))
    try:
        while time.monotonic() < end:
            await chance.choice((_largest_run, _largest_sweep, _storm))(visitor, chance)
    finally:
        upload.cancel()


async def _upload_for_ever(visitor: Visitor, chance: random.Random, end: float) -> None:
    content = chance.randbytes(4_900_000)
    while time.monotonic() < end:
        place = f"/_stcore/upload_file/{visitor.session}/{chance.getrandbits(64):x}"
        await visitor.put(place, "evil.exe", content)


async def _largest_run(visitor: Visitor, chance: random.Random) -> None:
    """Ask for the largest networks, the allowed ones and those that are not."""
    depth, width = chance.choice(((100, 64), (100, 512), (30, 128), (100, 1024)))
    await visitor.open(v=1, depth=depth, width=width, activation="sigmoid", steps=5000, record_every=1)
    for key in ("stop", "train"):
        if visitor.has(key):
            await visitor.press(key, "harm")


async def _largest_sweep(visitor: Visitor, chance: random.Random) -> None:
    await visitor.open("Sweep")
    for key, value in (("sweep_seeds", 10.0), ("sweep_vary_too", "depth")):
        if visitor.has(key):
            await visitor.set(key, value, "harm")
    for key in ("stop_sweep", "start_sweep"):
        if visitor.has(key) and not visitor.widget(key).message.disabled:
            await visitor.press(key, "harm")


async def _storm(visitor: Visitor, chance: random.Random) -> None:
    """Move sliders on the page that computes most, without a pause."""
    await visitor.open("Initialization", networks=50)
    for _ in range(20):
        await change_something(visitor, chance)
