"""Glorot & Bengio 2010 before training, figures 6, 7 and 8: what two ways to draw weights do to signals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nnlab.config import ExperimentConfig
from nnlab.paper import Check, Columns, Interrupted, Report, Settings
from nnlab.stop import Stop

if TYPE_CHECKING:
    from nnlab.samples import LayerSample

FIELDS = ("activation_std", "delta_rms", "weight_grad_rms")
LAWS = ("activation_std_law", "delta_ratio_law")  # the second relative to the last hidden layer
# Their words for the two: U(+-1/sqrt(n)), common then and PyTorch's default to this day, and their own.
STANDARD, NORMALIZED = "standard", "normalized"
INITIALIZERS = {STANDARD: "glorot_standard", NORMALIZED: "xavier_uniform"}
DEPTH = 5
FULL = {"width": 1000, "seeds": 5, "examples": 300, "seeds_with_jacobian": 0}
SMALL = {"width": 100, "seeds": 5, "examples": 300, "seeds_with_jacobian": 0}
# A finite width, 300 images and 5 seeds leave about 5 %; the paper's own numbers are printed as "around".
TOLERANCE = 0.15


def config_of(settings: Settings, start: str, seed: int) -> ExperimentConfig:
    """Give the experiment of one network, of which only the first pass is looked at."""
    return ExperimentConfig(
        dataset="digits",
        depth=DEPTH,
        width=settings["width"],
        activation="tanh",
        initializer=INITIALIZERS[start],
        batch_size=settings["examples"],
        seed=seed,
    )


def measure(settings: Settings, report: Report, stop: Stop) -> Columns:
    """Measure the spread of h, delta and weight gradient in every hidden layer, and layer Jacobians.

    `jacobian` is the mean singular value of dh_l / dh_(l-1), of the first example, in the first
    `seeds_with_jacobian`; NaN in layer 1, whose input has another size, and elsewhere.
    """
    from nnlab.first_pass import first_pass

    columns: dict[str, list[Any]] = {
        name: [] for name in ("start", "seed", "layer", *FIELDS, *LAWS, "jacobian")
    }
    rounds = [(start, seed) for seed in range(settings["seeds"]) for start in INITIALIZERS]
    for done, (start, seed) in enumerate(rounds):
        report(done, len(rounds))
        hidden = first_pass(config_of(settings, start, seed))[:-1]
        law = laws(settings, start)
        for layer, sample in enumerate(hidden, start=1):
            if stop.is_set():
                raise Interrupted
            is_wanted = layer > 1 and seed < settings["seeds_with_jacobian"]
            row = {
                "start": start,
                "seed": seed,
                "layer": layer,
                **_spreads(sample),
                **law[layer - 1],
                "jacobian": _mean_singular_value(sample) if is_wanted else math.nan,
            }
            for name, value in row.items():
                columns[name].append(value)
    report(len(rounds), len(rounds))
    return columns


def _spreads(sample: LayerSample) -> Mapping[str, float]:
    delta, gradient = sample.delta, sample.weight_grad
    assert delta is not None
    assert gradient is not None
    return {
        "activation_std": float(sample.h64.std(correction=0)),
        "delta_rms": float(delta.double().square().mean().sqrt()),
        "weight_grad_rms": float(gradient.double().square().mean().sqrt()),
    }


def _mean_singular_value(sample: LayerSample) -> float:
    """Give the mean singular value of diag(phi'(z)) W for the first example."""
    import torch

    assert sample.weight is not None
    jacobian = sample.slope[0].unsqueeze(1) * sample.weight.detach()
    return float(torch.linalg.svdvals(jacobian).mean())


def geometric_ratio(columns: Columns, field: str, start: str, above: int, below: int) -> float:
    """Give a field in layer `above` over that in layer `below`, the geometric mean over the seeds."""
    logs = {above: 0.0, below: 0.0}
    seeds = set()
    for word, seed, layer, value in zip(
        columns["start"], columns["seed"], columns["layer"], columns[field], strict=True
    ):
        if word == start and layer in logs:
            logs[int(layer)] += math.log(value) if value > 0 else math.nan
            seeds.add(seed)
    return math.exp((logs[above] - logs[below]) / len(seeds))


def _jacobian(columns: Columns, start: str) -> float:
    found = [
        value
        for word, value in zip(columns["start"], columns["jacobian"], strict=True)
        if word == start and math.isfinite(value)
    ]
    return sum(found) / len(found) if found else math.nan


def laws(settings: Settings, start: str) -> list[dict[str, float]]:
    """Predict by mean field, for the digits' mean square, what LAWS names in every hidden layer."""
    from nnlab.datasets import load_dataset
    from nnlab.signal_theory import predict_signal

    config = config_of(settings, start, 0)
    power = float((load_dataset(config).x_train ** 2).mean())
    layers = predict_signal(config, input_power=power).layers
    return [
        {
            "activation_std_law": layer.activation_std,
            "delta_ratio_law": math.prod(above.backward_gain for above in layers[layer.index - 1 : -1]),
        }
        for layer in layers
    ]


EQUATION_5 = "law: equation 5, with the slope of tanh kept (mean field)"
EQUATION_6 = "law: equation 6, with the slope of tanh kept (mean field)"
EQUATION_14 = "law: equation 14"


def check_activations(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Hold the spread of activations against equation 5."""
    checks = []
    for start in INITIALIZERS:
        law = [layer["activation_std_law"] for layer in laws(settings, start)]
        measured = geometric_ratio(columns, "activation_std", start, DEPTH, 1)
        words = f"{start}: spread of activations, layer {DEPTH} / layer 1"
        checks.append(Check(words, law[-1] / law[0], EQUATION_5, measured, TOLERANCE))
    return tuple(checks)


def check_weight_gradients(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Hold the weight gradients against equation 14, and the error signal against equation 6."""

    def ratio(field: str, start: str, layer: int) -> float:
        return geometric_ratio(columns, field, start, layer, DEPTH)

    return (
        Check(
            f"standard: weight gradient, layer 1 / layer {DEPTH}",
            1.0,
            EQUATION_14,
            ratio("weight_grad_rms", STANDARD, 1),
            TOLERANCE,
        ),
        Check(
            f"normalized: weight gradient, layer 2 / layer {DEPTH}",
            1.0,
            EQUATION_14,
            ratio("weight_grad_rms", NORMALIZED, 2),
            TOLERANCE,
        ),
        Check(
            f"standard: error signal, layer 1 / layer {DEPTH}",
            laws(settings, STANDARD)[0]["delta_ratio_law"],
            EQUATION_6,
            ratio("delta_rms", STANDARD, 1),
            TOLERANCE,
        ),
    )


def check_gradients(columns: Columns, settings: Settings) -> tuple[Check, ...]:
    """Hold the error signal against equation 6, and the layers' Jacobians against the printed numbers."""
    ratios = [
        Check(
            f"{start}: error signal, layer 1 / layer {DEPTH}",
            laws(settings, start)[0]["delta_ratio_law"],
            EQUATION_6,
            geometric_ratio(columns, "delta_rms", start, 1, DEPTH),
            TOLERANCE,
        )
        for start in INITIALIZERS
    ]
    printed = {STANDARD: 0.5, NORMALIZED: 0.8}
    jacobians = [
        Check(
            f"{start}: mean singular value of a layer's Jacobian",
            value,
            'printed in section 4.2, as "around"',
            _jacobian(columns, start),
            TOLERANCE,
        )
        for start, value in printed.items()
    ]
    return (*ratios, *jacobians)
