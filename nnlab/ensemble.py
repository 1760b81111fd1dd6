"""Ensemble: networks drawn by one rule from several seeds, as numbers layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnlab.config import FIELDS, ExperimentConfig
from nnlab.random_network import RandomNetwork

if TYPE_CHECKING:
    import pandas as pd

MOST_NETWORKS = 40
# Ten to twenty seconds of one core, as measured, in the background: all twenty of 40 x 300 and of 20 x 512.
MAX_WORK = 800e9
# On a public server, where the networks of other visitors wait meanwhile: half a second, and still all twenty
# of the page's default.
HOSTED_MAX_WORK = 24e9
# What one layer takes beside its products, in floating point operations: Python's calls; the moments in
# float64 and h^T h; the singular values. Measured for widths from 100 to 1,024.
CALLS, MOMENTS, SPECTRUM = 5e7, 12, 20
# What the smallest drawing takes, and what is lost between blocks: measured, from 2 x 16 to 10 x 512.
SMALLEST_BYTES, MARGIN = 3_000_000, 1.1
SEEDS = int(FIELDS["seed"].high or 0) + 1


@dataclass(frozen=True)
class Ensemble:
    """What one forward and backward pass left in each of several networks.

    `layers` maps a metric to an array (networks, hidden layers), `whole` one of the whole network to an
    array (networks,). `slope_power` is the mean of phi'(z)^2, `relative_to_last_hidden` delta_norm over that
    of the last hidden layer (0 where it is exactly 0); all others are nnlab's metrics. All are of the batch
    that training would begin with.
    """

    network: RandomNetwork
    seeds: tuple[int, ...]
    layers: Mapping[str, np.ndarray]
    whole: Mapping[str, np.ndarray]

    def frame(self) -> pd.DataFrame:
        """Give a tidy table: seed, layer, layer_index, metric, value; `whole` is layer "network", index 0."""
        import pandas as pd  # takes a third of a second to load

        parts = []
        for metric, values in {**self.whole, **self.layers}.items():
            table = values.reshape(len(self.seeds), -1)
            first = 0 if metric in self.whole else 1
            numbers = range(first, first + table.shape[1])
            columns = {
                "seed": np.repeat(np.array(self.seeds), table.shape[1]),
                "layer": [_name(number) for number in numbers] * len(table),
                "layer_index": np.tile(numbers, len(table)),
                "metric": metric,
                "value": table.ravel(),
            }
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)


def _name(number: int) -> str:
    return f"hidden_{number}" if number else "network"


def seeds_from(first: int, count: int) -> tuple[int, ...]:
    """Give `count` seeds in a row; after the largest comes 0."""
    return tuple((first + step) % SEEDS for step in range(count))


def drawing_work(config: ExperimentConfig) -> float:
    """Estimate the work of drawing and measuring one network, in floating point operations."""
    batch, width = config.batch_size, config.width
    fewer = min(batch, width)
    layer = CALLS + MOMENTS * batch * width**2 + SPECTRUM * width * fewer**2
    return config.step_flop + config.depth * layer


def drawing_bytes(config: ExperimentConfig) -> int:
    """Estimate the memory of drawing and measuring one network; the next one takes its place."""
    # float32: weights, gradients, the meter's copy; z, h and their gradients, with a sum or a norm's output
    # where there is one. One layer's copies in float64 come on top.
    buffers = 4 + config.residual + 2 * (config.normalization != "none")
    units = config.batch_size * config.width
    needed = 4 * 3 * config.weight_count + 4 * buffers * units * config.depth + 8 * 6 * units
    return SMALLEST_BYTES + round(MARGIN * needed)


def networks_allowed(
    config: ExperimentConfig, wanted: int, *, memory: float | None = None, work: float = MAX_WORK
) -> int:
    """Give how many of the networks wanted can be drawn for so much work; at least one.

    Raises:
        ValueError: a single network needs more than `memory` bytes.
    """
    needed = drawing_bytes(config)
    if memory is not None and needed > memory:
        raise ValueError(
            f"width: {config.width} with depth {config.depth} needs {needed / 1e6:.0f} MB to draw; "
            f"allowed here: at most {memory / 1e6:.0f} MB (make one of them smaller)"
        )
    return max(1, min(wanted, int(work / drawing_work(config))))
