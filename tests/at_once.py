"""Runs trained at the same time, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import nnlab


def train_at_once(configs: Sequence[nnlab.ExperimentConfig]) -> list[nnlab.Run]:
    """Train all experiments side by side; none begins before all may."""
    start, together = threading.Barrier(len(configs)), dict[int, nnlab.Run]()

    def work(number: int) -> None:
        start.wait()
        together[number] = nnlab.train(configs[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(configs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [together[number] for number in range(len(configs))]
