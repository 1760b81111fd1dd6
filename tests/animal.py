"""One architecture of the zoo: how it is made and fed, and its forward pass once more by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from spots import Spots
from torch import nn


@dataclass(frozen=True)
class Animal:
    """A healthy network at its usual initialization.

    `by_hand` computes the model's outputs without calling a module that bears weights, marking z and h.
    `unseen` are rows whose signals cannot be had; `notes` what the run has to say, each a piece of it.
    """

    name: str
    make: Callable[[], nn.Module]
    batch: Callable[[torch.Generator], tuple[Any, Any]]
    by_hand: Callable[[Any, Any, Spots], Any]
    loss: Any = "cross_entropy"
    unseen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    tolerance: float = 1e-5
    findings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


@contextmanager
def drawn_from(seed: int) -> Iterator[torch.Generator]:
    """Modules draw their weights from the process-wide generator: start it at a seed, and put it back.

    One thread: for networks this small, waiting for a second one on a busy machine takes six times as long.
    """
    generator = torch.Generator().manual_seed(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator.get_state())
            yield generator
    finally:
        torch.set_num_threads(threads)


def numbers(*shape: int, classes: int = 3) -> Callable[[torch.Generator], tuple[Any, Any]]:
    """Give a maker of batches: standard normal inputs, random class numbers."""

    def batch(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randn(*shape, generator=generator)
        return x, torch.randint(classes, (shape[0],), generator=generator)

    return batch


def tokens(*shape: int, words: int, classes: int) -> Callable[[torch.Generator], tuple[Any, Any]]:
    """Give a maker of batches of word numbers with one class each."""

    def batch(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randint(words, shape, generator=generator)
        return x, torch.randint(classes, (shape[0],), generator=generator)

    return batch


def next_words(*shape: int, words: int) -> Callable[[torch.Generator], tuple[Any, Any]]:
    """Give a maker of batches of a language model: the target of a word is the next one."""

    def batch(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        text = torch.randint(words, (shape[0], shape[1] + 1), generator=generator)
        return text[:, :-1].contiguous(), text[:, 1:].contiguous()

    return batch
