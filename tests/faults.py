"""Networks with one fault each, small enough to be trained in a moment, and trained once for all tests."""

from __future__ import annotations

from functools import cache
from typing import Any

import nnlab
from nnlab.run import Run

SMALL: dict[str, Any] = {"width": 32, "steps": 100, "record_every": 10}
TOWER = {**SMALL, "depth": 10}
HE = {"activation": "relu", "initializer": "kaiming_normal"}
FAULTS: dict[str, dict[str, Any]] = {
    "vanishing": {**TOWER, "activation": "sigmoid"},
    "exploding": {**TOWER, **HE, "gain": 2.5, "optimizer": "adam", "learning_rate": 0.001},
    "blocked": {**SMALL, "activation": "step"},
    "dying": {**TOWER, **HE, "optimizer": "adam", "learning_rate": 0.04},
    "dead_layer": {**TOWER, **HE, "optimizer": "adam", "learning_rate": 0.5},
    "saturating": {**TOWER, "activation": "tanh", "gain": 4.0},
    "rank_collapse": {**TOWER, "activation": "softplus", "initializer": "pytorch_default"},
    "updates_small": {**SMALL, "learning_rate": 1e-5},
    "updates_large": {"dataset": "gaussian", "depth": 2, "width": 32, "steps": 60, "learning_rate": 1.0},
    "diverged": {**SMALL, **HE, "learning_rate": 1e6},
    "stalled": {"dataset": "xor", "samples": 80, "noise": 0.0, "initializer": "zeros", "batch_size": 64},
}


# Where one fault hides another.
ENTANGLED: dict[str, dict[str, Any]] = {
    "a slope too small, and steps too large": {**SMALL, "activation": "sigmoid", "learning_rate": 30.0},
    "skip connections that add up": {
        **SMALL,
        "depth": 30,
        "activation": "relu",
        "residual": True,
        "steps": 60,
    },
    "skip connections that saturate": {
        "depth": 15,
        "width": 16,
        "steps": 100,
        "record_every": 10,
        "activation": "silu",
        "initializer": "xavier_normal",
        "residual": True,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "seed": 1,
    },
}


@cache
def trained(config: nnlab.ExperimentConfig) -> Run:
    return nnlab.train(config)
