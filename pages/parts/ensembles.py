"""The ensembles drawn last, kept for all visitors; nobody changes them."""

from __future__ import annotations

import threading
from collections import OrderedDict

from nnlab.ensemble import Ensemble, Told, untold
from nnlab.random_network import RandomNetwork
from pages.parts.in_turn import in_turn

MOST_KEPT = 16

_Key = tuple[RandomNetwork, int]
_kept: OrderedDict[_Key, Ensemble] = OrderedDict()
_lock = threading.Lock()


def kept(network: RandomNetwork, count: int) -> Ensemble | None:
    """Give the ensemble of a rule and a number of networks, where it is kept."""
    with _lock:
        found = _kept.get((network, count))
        if found is not None:
            _kept.move_to_end((network, count))
        return found


def drawn(network: RandomNetwork, count: int, told: Told = untold) -> Ensemble:
    """Give it in any case; what `told` raises breaks the drawing off, between two networks."""
    return kept(network, count) or _draw(network, count, told)


@in_turn
def _draw(network: RandomNetwork, count: int, told: Told) -> Ensemble:
    from nnlab.drawn import draw  # loads torch, which takes a second on a fresh server

    # Who waited for a turn may find that it was drawn meanwhile.
    found = kept(network, count)
    if found is None:
        found = draw(network, count, told)
        with _lock:
            _kept[network, count] = found
            while len(_kept) > MOST_KEPT:
                _kept.popitem(last=False)
    return found


def forget() -> None:
    """Empty the cache."""
    with _lock:
        _kept.clear()
