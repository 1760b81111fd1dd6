"""The diagnostics: tensors in, numbers out; one registry entry makes one more column everywhere.

What every number means is fixed here, formula and source beside the code. Norms and moments accumulate
in float64: in float32 a sigmoid network of depth 100 shows 32 layers with norm 0 whose norm is not 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from nnlab.samples import NAN, SATURATION_TAU, LayerSample, NetworkSample, norm

if TYPE_CHECKING:
    import torch

End = Literal["smallest", "largest"]

# Sokar et al. 2023: a unit is dormant below this share of its layer's mean activity.
DORMANT_TAU = 0.025


def _ratio(above: float, below: float) -> float:
    """Give above / below by IEEE rules: x/0 is inf, 0/0 is NaN."""
    if below == 0:
        return NAN if above == 0 or math.isnan(above) else math.inf
    return float(above) / float(below)


def _share(where: torch.Tensor, sample: LayerSample) -> float:
    return NAN if sample.is_undefined else float(where.double().mean())


def _units(where: torch.Tensor, sample: LayerSample) -> float:
    """Count the units for which `where`, boolean (units,), holds."""
    return NAN if sample.is_undefined else float(where.sum())


def _stuck_units(sample: LayerSample) -> float:
    if sample.is_step:
        return _units(sample.steepest == 0, sample)
    return _units(sample.steepest < SATURATION_TAU * sample.slope_sup, sample)


def _silent_units(sample: LayerSample) -> float:
    return NAN if sample.h.isnan().any() else _units(sample.h.abs().amax(dim=0) == 0, sample)


def _saturation_low(sample: LayerSample) -> float:
    return _share(sample.flat & (sample.z < 0), sample) if sample.two_sided else NAN


def _saturation_high(sample: LayerSample) -> float:
    return _share(sample.flat & (sample.z > 0), sample) if sample.two_sided else NAN


def _gate_saturation(sample: LayerSample) -> float:
    """Give the largest saturated share of one gate: a mean over all gates would hide it."""
    if sample.is_undefined or sum(sample.gates) != sample.z.shape[1] or not sample.gates:
        return NAN
    return max(float(gate.double().mean()) for gate in sample.flat.split(list(sample.gates), dim=1))


def _dead_fraction(sample: LayerSample) -> float:
    return _units(sample.steepest == 0, sample) / sample.z.shape[1]


def _dormant_fraction(sample: LayerSample) -> float:
    activity = sample.h64.abs().mean(dim=0)
    if not activity.isfinite().all():
        return NAN
    return float((activity <= DORMANT_TAU * activity.mean()).double().mean())


def _effective_rank(sample: LayerSample) -> float:
    from nnlab.rank import effective_rank  # loads torch, which a registry does not

    return effective_rank(sample.h64)


def _mean_cosine(sample: LayerSample) -> float:
    """Mean over pairs of different examples; examples with h = 0 have no direction and are left out."""
    lengths = sample.h64.norm(dim=1)
    directions = sample.h64[lengths != 0] / lengths[lengths != 0].unsqueeze(1)
    n = len(directions)
    if n < 2 or not lengths.isfinite().all():
        return NAN
    # The sum over all pairs is |sum of directions|^2; the n pairs of an example with itself give 1.
    mean = float((directions.sum(dim=0).square().sum() - n) / (n * (n - 1)))
    return max(-1.0, min(1.0, mean))  # rounding may put equal examples at 1 + 4e-16


def _delta_rms(sample: LayerSample) -> float:
    return NAN if sample.delta is None else sample.delta_norm / math.sqrt(sample.delta.numel())


def _backward_gain(sample: LayerSample) -> float:
    return _ratio(sample.delta_norm, sample.delta_norm_after)


def _grad_to_weight(sample: LayerSample) -> float:
    return _ratio(norm(sample.weight_grad), norm(sample.weight))


def _update_ratio(sample: LayerSample) -> float:
    if not sample.weight_std_before > 0:
        return NAN
    return _ratio(sample.update_std, sample.weight_std_before)


def _gradient_ratio(sample: NetworkSample) -> float:
    if len(sample.delta_norm) == 0:
        return NAN
    if len(sample.delta_norm) == 1:
        return 1.0
    return _ratio(sample.delta_norm[0], sample.delta_norm[-1])


def _vanishing_index(sample: NetworkSample) -> float:
    # Plain floats: for a few dozen layers NumPy's calls take longer than the sums.
    points = [
        (layer, math.log10(rms)) for layer, rms in enumerate(sample.delta_rms.tolist()) if 0 < rms < math.inf
    ]
    if len(points) < 2:
        return NAN
    mean_layer = sum(layer for layer, _ in points) / len(points)
    spread = sum((layer - mean_layer) ** 2 for layer, _ in points)
    return sum((layer - mean_layer) * power for layer, power in points) / spread


def _grad_norm(sample: NetworkSample) -> float:
    return math.sqrt(sum(norm * norm for norm in sample.grad_norms))


@dataclass(frozen=True)
class Metric:
    """One diagnostic.

    `measure` maps a LayerSample (scope "layer") or a NetworkSample (scope "network") to a float.
    `at_probe` ones are measured on the probe set at probe records only. `hidden_only` ones have no
    meaning for the output layer. `of_signal` ones need z and h. `optional` ones are there only where
    a layer has them. `values` are sizes, never negative, shares from 0 to 1, or signed. `worst` names the
    ends at which a layer is in trouble, so that one layer's number can speak for its network.
    """

    name: str
    label: str
    formula: str
    meaning: str
    source: str
    measure: Callable[..., float]
    scope: str = "layer"
    at_probe: bool = False
    hidden_only: bool = True
    of_signal: bool = False
    optional: bool = False
    values: Literal["size", "share", "signed"] = "size"
    worst: tuple[End, ...] = ("largest",)


_GLOROT = "Glorot & Bengio 2010"
_OURS = "as nnlab defines it"

_ENTRIES = (
    Metric(
        name="pre_activation_mean",
        label="Mean of z",
        formula=r"\mathrm{mean}\,z",
        meaning="Average input of the activation, over examples and units.",
        source=_GLOROT,
        measure=lambda s: float(s.z64.mean()),
        hidden_only=False,
        of_signal=True,
        values="signed",
        worst=("smallest", "largest"),
    ),
    Metric(
        name="pre_activation_std",
        label="Spread of z",
        formula=r"\mathrm{std}\,z",
        meaning="Standard deviation of the activation's input, over examples and units.",
        source=_GLOROT,
        measure=lambda s: float(s.z64.std(correction=0)),
        hidden_only=False,
        of_signal=True,
        worst=("smallest", "largest"),
    ),
    Metric(
        name="activation_mean",
        label="Mean of h",
        formula=r"\mathrm{mean}\,h",
        meaning="Average output of the activation, over examples and units.",
        source=f"{_GLOROT}, figure 2",
        measure=lambda s: float(s.h64.mean()),
        of_signal=True,
        values="signed",
        worst=("smallest", "largest"),
    ),
    Metric(
        name="activation_std",
        label="Spread of h",
        formula=r"\mathrm{std}\,h",
        meaning="Standard deviation of the activation's output, over examples and units.",
        source=f"{_GLOROT}, figure 2",
        measure=lambda s: float(s.h64.std(correction=0)),
        of_signal=True,
        worst=("smallest", "largest"),
    ),
    Metric(
        name="slope_mean",
        label="Mean slope",
        formula=r"\mathrm{mean}\,|\varphi'(z)|",
        meaning="What backpropagation multiplies the error signal by at this layer, on average.",
        source="Hochreiter 1991",
        measure=lambda s: NAN if s.is_undefined else float(s.slope.double().abs().mean()),
        of_signal=True,
        worst=("smallest",),
    ),
    Metric(
        name="saturation",
        label="Saturated",
        formula=r"P(|\varphi'(z)| < 0.0591\,\sup|\varphi'|)",
        meaning="Share of activations on the flat part of the curve, where learning stops.",
        source="1 - 0.97^2: Karpathy's |tanh| > 0.97, stated for every activation",
        measure=lambda s: _share(s.flat, s),
        of_signal=True,
        values="share",
    ),
    Metric(
        name="saturation_low",
        label="Saturated low",
        formula=r"P(\text{saturated},\ z < 0)",
        meaning="The saturated share on the left side of the curve.",
        source=f"{_GLOROT}, figure 2",
        measure=_saturation_low,
        of_signal=True,
        values="share",
    ),
    Metric(
        name="saturation_high",
        label="Saturated high",
        formula=r"P(\text{saturated},\ z > 0)",
        meaning="The saturated share on the right side of the curve.",
        source=f"{_GLOROT}, figure 3",
        measure=_saturation_high,
        of_signal=True,
        values="share",
    ),
    Metric(
        name="zero_fraction",
        label="Zeros",
        formula=r"P(h = 0)",
        meaning="Share of outputs that are exactly 0. Zeros are not dead units: half is normal for ReLU.",
        source="Glorot, Bordes & Bengio 2011",
        measure=lambda s: _share(s.h == 0, s),
        of_signal=True,
        values="share",
    ),
    Metric(
        name="dead_units",
        label="Dead units",
        formula=r"\#\{j : \varphi'(z_{ij}) = 0\ \forall i\}",
        meaning="Units whose slope is exactly 0 for every example of the probe set: they cannot learn.",
        source="Maas et al. 2013; Lu et al. 2019",
        measure=lambda s: _units(s.steepest == 0, s),
        at_probe=True,
        of_signal=True,
    ),
    Metric(
        name="dead_fraction",
        label="Dead share",
        formula=r"\mathrm{dead\ units} / n",
        meaning="Dead units as a share of the layer.",
        source="Lu et al. 2019",
        measure=_dead_fraction,
        at_probe=True,
        of_signal=True,
        values="share",
    ),
    Metric(
        name="stuck_units",
        label="Stuck units",
        formula=r"\#\{j : |\varphi'(z_{ij})| < 0.0591\,\sup|\varphi'|\ \forall i\}",
        meaning="Units on the flat part of the curve for every example of the probe set.",
        source=_OURS,
        measure=_stuck_units,
        at_probe=True,
        of_signal=True,
    ),
    Metric(
        name="silent_units",
        label="Silent units",
        formula=r"\#\{j : h_{ij} = 0\ \forall i\}",
        meaning="Units that put out exactly 0 for every example of the probe set.",
        source="UvA deep learning tutorial 3; Sokar et al. 2023, tau = 0",
        measure=_silent_units,
        at_probe=True,
        of_signal=True,
    ),
    Metric(
        name="dormant_fraction",
        label="Dormant share",
        formula=r"P_j(E|h_j| \le 0.025\,\overline{E|h|})",
        meaning="Share of units that do next to nothing compared with their layer.",
        source="Sokar, Agarwal, Castro & Evci 2023",
        measure=_dormant_fraction,
        at_probe=True,
        of_signal=True,
        values="share",
    ),
    Metric(
        name="effective_rank",
        label="Effective rank",
        formula=r"\exp(-\sum_k p_k \ln p_k),\ p_k = s_k / \sum s",
        meaning="How many directions the layer really uses.",
        source="Roy & Vetterli 2007",
        measure=_effective_rank,
        at_probe=True,
        of_signal=True,
        worst=("smallest",),
    ),
    Metric(
        name="mean_cosine",
        label="Mean cosine",
        formula=r"\overline{\cos(h_i, h_{i'})},\ i \ne i'",
        meaning="How alike different inputs look to this layer; near 1 they all look the same.",
        source="Poole et al. 2016",
        measure=_mean_cosine,
        at_probe=True,
        of_signal=True,
        values="signed",
    ),
    Metric(
        name="delta_norm",
        label="Error signal",
        formula=r"\|\partial L / \partial z\|_F",
        meaning="How much of the error signal arrives at this layer.",
        source="Rumelhart, Hinton & Williams 1986; Hochreiter 1991",
        measure=lambda s: s.delta_norm,
        hidden_only=False,
        worst=("smallest", "largest"),
    ),
    Metric(
        name="delta_rms",
        label="Error signal (rms)",
        formula=r"\|\partial L / \partial z\|_F / \sqrt{B n}",
        meaning="The error signal per example and unit.",
        source=_OURS,
        measure=_delta_rms,
        hidden_only=False,
        worst=("smallest", "largest"),
    ),
    Metric(
        name="activation_grad_norm",
        label="Gradient at h",
        formula=r"\|\partial L / \partial h\|_F",
        meaning="The error signal before it is multiplied by the activation's slope.",
        source=_GLOROT,
        measure=lambda s: norm(s.h_grad),
        worst=("smallest", "largest"),
    ),
    Metric(
        name="backward_gain",
        label="Backward gain",
        formula=r"\|\delta_l\| / \|\delta_{l+1}\|",
        meaning="What this step backward multiplies the error signal by; below 1 it shrinks.",
        source="Schoenholz et al. 2017, square root of chi",
        measure=_backward_gain,
        worst=("smallest", "largest"),
    ),
    Metric(
        name="weight_norm",
        label="Weights",
        formula=r"\|W\|_F",
        meaning="Size of the weights.",
        source=_OURS,
        measure=lambda s: norm(s.weight),
        hidden_only=False,
        worst=("smallest", "largest"),
    ),
    Metric(
        name="weight_grad_norm",
        label="Weight gradient",
        formula=r"\|\partial L / \partial W\|_F",
        meaning="Size of the gradient that changes the weights, before clipping.",
        source=f"{_GLOROT}, figure 8",
        measure=lambda s: norm(s.weight_grad),
        hidden_only=False,
        worst=("smallest", "largest"),
    ),
    Metric(
        name="bias_grad_norm",
        label="Bias gradient",
        formula=r"\|\partial L / \partial b\|_2",
        meaning="Size of the gradient that changes the biases, before clipping.",
        source=_OURS,
        measure=lambda s: norm(s.bias_grad),
        hidden_only=False,
        worst=("smallest", "largest"),
    ),
    Metric(
        name="grad_to_weight",
        label="Gradient / weights",
        formula=r"\|\partial L / \partial W\|_F / \|W\|_F",
        meaning="The gradient relative to what it changes.",
        source=_OURS,
        measure=_grad_to_weight,
        hidden_only=False,
        worst=("smallest", "largest"),
    ),
    Metric(
        name="update_ratio",
        label="Update / weights",
        formula=r"\mathrm{std}(w_s - w_{s-1}) / \mathrm{std}(w_{s-1})",
        meaning="How far the last update moved the weights; about 0.001 is usual.",
        source="Karpathy's makemore, part 3, with the update that was really made",
        measure=_update_ratio,
        hidden_only=False,
        worst=("smallest", "largest"),
    ),
    Metric(
        name="time_ratio",
        label="First step / last step",
        formula=r"\|\delta_l^{(1)}\| / \|\delta_l^{(T)}\|",
        meaning="The error signal at the first time step of a recurrent layer relative to the last one.",
        source="Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013",
        measure=lambda s: s.time_ratio,
        optional=True,
        worst=("smallest", "largest"),
    ),
    Metric(
        name="gate_saturation",
        label="Saturated gate",
        formula=r"\max_g P_g(|\varphi'(z)| < 0.0591\,\sup|\varphi'|)",
        meaning="The saturated share of the gate that is saturated most, in a layer of several gates.",
        source="Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000",
        measure=_gate_saturation,
        of_signal=True,
        optional=True,
        values="share",
    ),
    Metric(
        name="loss",
        label="Loss",
        formula="L",
        meaning="Mean loss of the record's batch.",
        source=_OURS,
        measure=lambda s: s.loss,
        scope="network",
    ),
    Metric(
        name="accuracy",
        label="Accuracy",
        formula=r"P(\arg\max f(x) = y)",
        meaning="Share of the record's batch that is classified right.",
        source=_OURS,
        measure=lambda s: s.accuracy,
        scope="network",
        values="share",
    ),
    Metric(
        name="test_loss",
        label="Test loss",
        formula=r"L_{test}",
        meaning="Mean loss of the test split.",
        source=_OURS,
        measure=lambda s: s.test_loss,
        scope="network",
        at_probe=True,
    ),
    Metric(
        name="test_accuracy",
        label="Test accuracy",
        formula=r"P_{test}(\arg\max f(x) = y)",
        meaning="Share of the test split that is classified right.",
        source=_OURS,
        measure=lambda s: s.test_accuracy,
        scope="network",
        at_probe=True,
        values="share",
    ),
    Metric(
        name="grad_norm",
        label="Gradient norm",
        formula=r"\|\nabla_\theta L\|_2",
        meaning="Size of the whole gradient, before clipping.",
        source=_OURS,
        measure=_grad_norm,
        scope="network",
    ),
    Metric(
        name="gradient_ratio",
        label="Signal reaching layer 1",
        formula=r"R = \|\delta_1\| / \|\delta_L\|",
        meaning="The error signal at the first hidden layer relative to the last one.",
        source="Schoenholz et al. 2017",
        measure=_gradient_ratio,
        scope="network",
    ),
    Metric(
        name="vanishing_index",
        label="Decades lost per layer",
        formula=r"\mathrm{slope\ of}\ \log_{10}\mathrm{rms}(\delta_l)\ \mathrm{on}\ l",
        meaning="Powers of ten that the error signal loses per layer on its way to the input.",
        source="Schoenholz et al. 2017: -0.5 log10(chi)",
        measure=_vanishing_index,
        scope="network",
        values="signed",
    ),
)

METRICS: dict[str, Metric] = {entry.name: entry for entry in _ENTRIES}


def layer_metrics(*, at_probe: bool) -> list[Metric]:
    """List the per-layer metrics that are measured on the probe set, or on the batch, of every network."""
    every = [m for m in METRICS.values() if m.scope == "layer" and m.at_probe is at_probe]
    return [metric for metric in every if not metric.optional]


def optional_metrics(samples: Sequence[LayerSample]) -> list[Metric]:
    """List the batch metrics that only some layers have, if a hidden one of these has them."""
    hidden = samples[:-1]
    has = {
        "time_ratio": not all(math.isnan(sample.time_ratio) for sample in hidden),
        "gate_saturation": any(sample.gates for sample in hidden),
    }
    return [METRICS[name] for name, is_there in has.items() if is_there]


def _no_check() -> None:
    pass


def measure_layers(
    samples: Sequence[LayerSample],
    *,
    at_probe: bool,
    check: Callable[[], None] = _no_check,
) -> dict[str, np.ndarray]:
    """Measure every layer; each array has one number a layer, without the output if hidden only.

    `check` is called before every layer, so that a stopped run need not wait for all of them.
    """
    metrics = layer_metrics(at_probe=at_probe)
    metrics += [] if at_probe else optional_metrics(samples)
    measured: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    for number, shared in enumerate(samples, start=1):
        check()
        # What a layer's metrics share, copies in float64 above all, goes with the layer.
        sample = replace(shared)
        for metric in metrics:
            if number < len(samples) or not metric.hidden_only:
                is_missing = metric.of_signal and sample.is_unseen
                measured[metric.name].append(NAN if is_missing else metric.measure(sample))
    if measured.get("backward_gain"):
        # The last hidden layer's gain would compare it with the linear output: definitions.md.
        measured["backward_gain"][-1] = NAN
    return {name: np.array(values, dtype=float) for name, values in measured.items()}


def measure_network(sample: NetworkSample, *, at_probe: bool) -> dict[str, float]:
    """Measure the whole network; probe metrics only if `at_probe`."""
    return {
        metric.name: float(metric.measure(sample))
        for metric in METRICS.values()
        if metric.scope == "network" and (at_probe or not metric.at_probe)
    }
