"""The ensembles of the Initialization page: drawn in the background, kept for all visitors, never changed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nnlab.ensemble import Ensemble
from nnlab.errands import Told
from nnlab.random_network import RandomNetwork
from pages.parts.awaited import await_errand, found

_Key = tuple[str, RandomNetwork, int]


def _key(network: RandomNetwork, count: int) -> _Key:
    return "ensemble", network, count


def kept(network: RandomNetwork, count: int) -> Ensemble | None:
    """Give the ensemble of a rule and a number of networks, where it is drawn."""
    return found(_key(network, count))


def awaiting(network: RandomNetwork, count: int, say: Callable[[int], str]) -> None:
    """Have it drawn; say how far that is until the page is drawn anew with it."""
    await_errand("networks", _key(network, count), partial(_draw, network, count), say)


def _draw(network: RandomNetwork, count: int, told: Told) -> Ensemble:
    from nnlab.drawn import draw  # loads torch, which takes a second on a fresh server

    return draw(network, count, told)
