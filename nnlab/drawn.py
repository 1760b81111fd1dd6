"""Drawn: a rule's networks drawn from several seeds, one forward and backward pass each, measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from nnlab.autograd_learner import AutogradLearner
from nnlab.datasets import load_dataset
from nnlab.engine import covers
from nnlab.ensemble import MOST_NETWORKS, Ensemble, seeds_from
from nnlab.errands import Told, untold
from nnlab.learner import Check, EngineLearner
from nnlab.member import Member, begin
from nnlab.metrics import METRICS, measure_network
from nnlab.model import Block
from nnlab.random_network import RandomNetwork
from nnlab.recorder import Measured
from nnlab.samples import LayerSample, NetworkSample
from nnlab.streams import torch_stream
from nnlab.threads import one_thread
from nnlab.training import unwarned
from nnlab.trajectory import Plan

BATCH_METRICS = (
    "pre_activation_mean",
    "pre_activation_std",
    "activation_mean",
    "activation_std",
    "saturation",
    "zero_fraction",
    "delta_norm",
    "delta_rms",
    "backward_gain",
    "weight_grad_norm",
)
# Elsewhere they are taken on a larger probe set; here one batch is all there is.
UNIT_METRICS = ("dead_fraction", "effective_rank", "mean_cosine")
WHOLE_METRICS = ("gradient_ratio", "vanishing_index")


def draw(network: RandomNetwork, count: int, told: Told = untold) -> Ensemble:
    """Draw `count` networks, from the experiment's seed and those after it, and measure each.

    Weights, data and batch are those with which the experiment's training begins, seed by seed; `sigma_b`
    adds biases from a stream of their own. All along `told` hears how many are drawn; what it raises breaks
    the drawing off.

    Raises:
        ValueError: count is not allowed, or the dataset is a CSV file that cannot be used.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_NETWORKS:
        raise ValueError(f"count: {count!r} is not allowed; allowed: 1 to {MOST_NETWORKS}")
    seeds = seeds_from(network.config.seed, count)
    with one_thread(), unwarned():
        measured: list[tuple[dict[str, np.ndarray], dict[str, float]]] = []
        for seed in seeds:
            measured.append(_measure(network, seed, partial(told, len(measured))))
    layers = {name: np.stack([numbers[name] for numbers, _ in measured]) for name in measured[0][0]}
    whole = {name: np.array([numbers[name] for _, numbers in measured]) for name in WHOLE_METRICS}
    return Ensemble(network, seeds, layers, whole)


def _measure(
    network: RandomNetwork, seed: int, check: Check
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    check()
    config = network.config.replace(seed=seed)
    member = begin(Plan(config, load_dataset(config)))
    if network.sigma_b > 0:
        _add_biases(member, network.sigma_b)
    learner = (
        EngineLearner([member.model], config, member.batch)
        if covers(config)
        else AutogradLearner(member.model, config)
    )
    learner.load(0, member.x, member.y, next(member.batches))
    learner.forward_backward(watched=True, check=check)
    (batch,) = learner.measure()
    layers = {name: batch.layers[name][: config.depth] for name in BATCH_METRICS}
    layers |= _of_units(batch, check)
    learner.close()
    delta = layers["delta_norm"]
    # Nothing relative to nothing is nothing: the step function lets no signal through to any layer.
    layers["relative_to_last_hidden"] = np.where(delta == 0, 0.0, delta / delta[-1])
    return layers, _of_the_whole(layers)


@torch.no_grad()
def _add_biases(member: Member, sigma_b: float) -> None:
    generator = torch_stream(member.config.seed, "drawn biases")
    for part in member.model.children():
        if isinstance(part, Block):
            bias = part.linear.bias
            bias.add_(torch.empty_like(bias).normal_(0.0, sigma_b, generator=generator))


def _of_units(batch: Measured, check: Check) -> dict[str, np.ndarray]:
    """Measure what needs the units one by one, and the mean square of the slopes."""
    rows = []
    for sample in _one_by_one(batch):
        check()
        slope_power = float(sample.slope.double().square().mean())
        rows.append([slope_power, *(METRICS[name].measure(sample) for name in UNIT_METRICS)])
    columns = np.array(rows, dtype=float).T
    return dict(zip(("slope_power", *UNIT_METRICS), columns, strict=True))


def _one_by_one(batch: Measured) -> Iterator[LayerSample]:
    """Give the hidden layers' samples, each to be forgotten with its copies in float64."""
    waiting = list(batch.samples())[-2::-1]
    while waiting:
        yield waiting.pop()


def _of_the_whole(layers: dict[str, np.ndarray]) -> dict[str, float]:
    unknown = math.nan
    return measure_network(
        NetworkSample(unknown, unknown, unknown, unknown, (), layers["delta_norm"], layers["delta_rms"]),
        at_probe=False,
    )
