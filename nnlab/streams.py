"""Random streams: every use of randomness in a run draws from its own, named stream.

Streams are derived from (seed, name), so adding a use never shifts another one, and nothing touches
the process-wide generators that visitors of one server share.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stream_seed(seed: int, name: str) -> int:
    """Give the 63-bit seed of the stream `name` of an experiment."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def numpy_stream(seed: int, name: str) -> np.random.Generator:
    """Give a NumPy generator for the stream `name` of an experiment."""
    return np.random.default_rng(stream_seed(seed, name))


def torch_stream(seed: int, name: str) -> torch.Generator:
    """Give a torch generator for the stream `name` of an experiment."""
    import torch

    return torch.Generator().manual_seed(stream_seed(seed, name))
