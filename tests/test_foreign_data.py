"""Several visitors of one hosted server at once: each sees its own names only, or the benchmark tells."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from benchmarks import crowd
from benchmarks.host import serve
from benchmarks.verdicts import Target, quantile
from benchmarks.visitor import Seen, Visitor

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="no /proc to read memory from")


async def _train_own(address: str, seen: Seen, name: str) -> None:
    chance = random.Random(name)
    async with Visitor(address, seen, name) as visitor:
        await visitor.open(v=1, dataset="csv", depth=2, width=4, steps=20)
        await visitor.upload("own_upload", "table.csv", crowd.table(visitor.canary, chance, rows=40))
        await visitor.press("train")
        await visitor.until("train")
        await visitor.until("tabs")
        assert f"target={visitor.canary}kind" in visitor.query
        await visitor.set("tabs", "Activations")


async def _bring(address: str, seen: Seen) -> None:
    async with Visitor(address, seen, "bring") as visitor:
        await visitor.open("Your_model")
        await visitor.upload("model_file", "run.jsonl", crowd.run_file(visitor.canary))
        assert f"{visitor.canary}.stem.0" in visitor.texts()


async def _visit(address: str, seen: Seen) -> None:
    await asyncio.gather(
        _train_own(address, seen, "one"), _train_own(address, seen, "other"), _bring(address, seen)
    )


def test_visitors_of_one_server_see_only_their_own(tmp_path: Path) -> None:
    seen = Seen()
    with serve(tmp_path / "server.log") as host:
        asyncio.run(_visit(host.address, seen))
        assert host.is_alive
        assert host.threads > 1
        assert host.peak > 100e6
    assert (seen.errors, seen.failures, seen.foreign) == ([], [], [])
    assert seen.canaries > 20


def test_what_is_of_another_visitor_is_noticed() -> None:
    seen = Seen()
    one, other = (Visitor("http://localhost:1", seen, name) for name in ("one", "other"))
    one._look_for_canaries(f"ab{one.canary}cd".encode())
    assert seen.foreign == []
    one._look_for_canaries(f"{one.canary}{other.canary}".encode())
    assert (seen.foreign, seen.canaries) == ([f"one was sent {other.canary}"], 3)


def test_what_could_not_be_measured_does_not_hold() -> None:
    assert Target("", 1.0, 1.0).holds
    assert not Target("", 1.1, 1.0).holds
    assert not Target("", float("nan"), 1.0).holds
    assert quantile(range(1, 101), 0.95) == 95
