"""Signal theory: what mean field predicts, layer by layer, for the network of one experiment.

Where `theory` asks where a signal ends, this follows it from the input: z's variance forward, the gradient's
norm backward, for the initializer's Var(W), fan-ins, biases, normalization and residual connections as they
are. Exact as the width goes to infinity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from nnlab.activation_facts import DEFAULT_TAU, NARROW, entry_of, facts, saturated_zones
from nnlab.datasets import DATASETS
from nnlab.gaussian_mean import WAVE_VARIANCE, output_mean, output_power, slope_power
from nnlab.initializers import INITIALIZERS

if TYPE_CHECKING:
    from nnlab.config import ExperimentConfig

# Beyond it every activation but a wave stays flat or stays steep; a wave's z is never taken this far out.
WINDOW = 100.0
LARGEST = 1e300  # a variance beyond it is infinite in all but name: its sums leave float64


@dataclass(frozen=True)
class LayerSignal:
    """What is predicted for hidden layer `index`, from 1 on.

    `pre_activation_variance` is that of phi's input z over examples and units (1 after a normalization),
    `activation_mean` and `activation_std` are those of phi(z) before the residual add, `slope_power` is
    E phi'(z)^2, `saturation` the share of abs(phi') < tau sup abs(phi'). `chi` is by what the squared norm
    of delta grows from the next layer to this one, and `backward_gain` its root; nan for the last layer.
    Where the signal grows beyond float64 the numbers are inf or nan.
    """

    index: int
    sigma_w2: float
    sigma_b2: float
    pre_activation_variance: float
    activation_mean: float
    activation_std: float
    slope_power: float
    saturation: float
    chi: float

    @property
    def backward_gain(self) -> float:
        """Predicted delta_norm of this layer over that of the next (definitions.md, 2.7: the L2 form)."""
        return math.sqrt(self.chi)


@dataclass(frozen=True)
class SignalTheory:
    """The prediction for a whole network, input side first."""

    layers: tuple[LayerSignal, ...]

    @property
    def gradient_ratio(self) -> float:
        """Predicted delta_norm of layer 1 over that of the last hidden layer; 1 at depth 1.

        The product of the backward gains: it is 0 where no gradient passes at all.
        """
        return math.prod(layer.backward_gain for layer in self.layers[:-1])

    @property
    def vanishing_index(self) -> float:
        """Least-squares slope of log10 delta_rms on the layer, decades a layer; nan where it has none."""
        growths = [layer.chi for layer in self.layers[:-1]]
        if not growths or not all(0 < chi < math.inf for chi in growths):
            return math.nan
        gains = [0.5 * math.log10(chi) for chi in growths]
        decades = -np.cumsum([0.0, *gains])
        return float(np.polyfit(np.arange(len(decades)), decades, 1)[0])


@dataclass(frozen=True)
class _Stream:
    """What enters a layer: E h^2, E h, and Var h over examples with the unit held fixed."""

    power: float
    mean: float
    spread: float


@dataclass(frozen=True)
class _Forward:
    """One layer's z: weights and biases scaled by their fan-in, the spread before normalization, z's own."""

    sigma_w2: float
    sigma_b2: float
    raw: float
    variance: float


def predict_signal(
    config: ExperimentConfig,
    *,
    n_inputs: int | None = None,
    input_power: float = 1.0,
    bias_std: float = 0.0,
) -> SignalTheory:
    """Predict variances and gradient gains for an experiment's network at its initial weights.

    Variances follow Poole et al. 2016, equation 3, with Var(W) as the initializer has it; gradients follow
    Schoenholz et al. 2017, section 4. Batch normalization: Yang et al. 2019, for large batches of inputs that
    are unlike each other. Residual: Yang & Schoenholz 2017.

    Args:
        config: the experiment.
        n_inputs: number of inputs; None takes the dataset's.
        input_power: mean of the inputs' squares, 1 for standardized inputs without constant ones.
        bias_std: standard deviation of biases added to the initializer's own in every hidden layer.

    Raises:
        ValueError: n_inputs, input_power or bias_std is not allowed, or a CSV file's n_inputs is missing.
    """
    inputs = _checked_inputs(config, n_inputs)
    for field, value in (("input_power", input_power), ("bias_std", bias_std)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{field}: {value!r} is not allowed; allowed: a finite number, 0 or more")
    scales = [_weight_scale(config, inputs, layer) for layer in range(1, config.depth + 1)]
    if INITIALIZERS[config.initializer].fitted_to_data:
        scales = _fitted(config, scales, input_power)
    gained = [config.gain * config.gain * scale for scale in scales]
    biases = [_bias_variance(config, inputs, layer) + bias_std**2 for layer in range(1, config.depth + 1)]
    forwards = _forward(config, gained, biases, input_power)
    return SignalTheory(_with_gradients(config, forwards))


def _checked_inputs(config: ExperimentConfig, n_inputs: int | None) -> int:
    given = DATASETS[config.dataset].n_features if n_inputs is None else n_inputs
    if given is None:
        raise ValueError(f"n_inputs: None is not allowed with dataset {config.dataset}; allowed: 1 or more")
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1:
        raise ValueError(f"n_inputs: {given!r} is not allowed; allowed: a whole number, 1 or more")
    return int(given)


def _weight_scale(config: ExperimentConfig, inputs: int, layer: int) -> float:
    """Give fan_in Var(W) of a hidden layer before the gain."""
    fan_in = inputs if layer == 1 else config.width
    return fan_in * INITIALIZERS[config.initializer].std(fan_in, config.width) ** 2


def _bias_variance(config: ExperimentConfig, inputs: int, layer: int) -> float:
    bound = INITIALIZERS[config.initializer].bias_bound
    fan_in = inputs if layer == 1 else config.width
    return bound(fan_in) ** 2 / 3 if bound else 0.0


def _fitted(config: ExperimentConfig, scales: list[float], input_power: float) -> list[float]:
    """Give the weight scales after LSUV: those that make the variance of each layer's z 1.

    Mishkin & Matas 2016, algorithm 1; what it leaves within 10 % of 1 is taken as 1.
    """
    stream, fitted = _Stream(input_power, 0.0, input_power), []
    for layer, scale in enumerate(scales, start=1):
        incoming = stream.power
        fitted.append(1 / incoming if incoming > 0 else scale)
        stream = _outgoing(config, layer, stream, 1.0 if incoming > 0 else 0.0)
    return fitted


def _forward(
    config: ExperimentConfig, scales: list[float], biases: list[float], input_power: float
) -> list[_Forward]:
    stream, forwards = _Stream(input_power, 0.0, input_power), []
    for layer, (scale, bias) in enumerate(zip(scales, biases, strict=True), start=1):
        # Over a batch a unit's bias, and what all examples share, is part of the mean that is taken away.
        raw = scale * stream.spread if config.normalization == "batch" else scale * stream.power + bias
        variance = raw if config.normalization == "none" else float(raw > 0)
        forwards.append(_Forward(scale, bias, raw, variance))
        stream = _outgoing(config, layer, stream, variance)
    return forwards


def _outgoing(config: ExperimentConfig, layer: int, entering: _Stream, variance: float) -> _Stream:
    """Give what leaves a layer: phi(z), plus what entered in a residual block.

    phi(z) and what entered are independent unit by unit, since z mixes all units at random.
    """
    mean, power = _output_moments(config.activation, variance)
    spread = _positive(power - mean**2)
    if not (config.residual and layer > 1):
        return _Stream(power, mean, spread)
    return _Stream(
        entering.power + power + 2 * entering.mean * mean, entering.mean + mean, entering.spread + spread
    )


def _positive(variance: float) -> float:
    """Give a variance, 0 where rounding took it below; nan stays nan, as it would not in max()."""
    return 0.0 if variance < 0 else variance


def _output_moments(name: str, variance: float) -> tuple[float, float]:
    """Give E phi(z) and E phi(z)^2, nan where the variance leaves float64."""
    if not variance <= LARGEST:
        return math.nan, math.nan
    if variance == 0:
        rest = float(entry_of(name).function(np.zeros(1))[0])
        return rest, rest**2
    return float(output_mean(name, variance)), float(output_power(name, variance))


def _with_gradients(config: ExperimentConfig, forwards: list[_Forward]) -> tuple[LayerSignal, ...]:
    """Walk backward: delta = phi'(z) g, and g of the layer below is W' delta over the normalization's spread.

    In a residual block g itself is added to that; the two are uncorrelated, so their squares add up.
    """
    layers: list[LayerSignal] = []
    above: LayerSignal | None = None
    for index in range(len(forwards), 0, -1):
        chi = math.nan
        if above is not None:
            chi = _growth(config, forwards[index], forwards[index - 1], above)
        above = _layer(config.activation, index, forwards[index - 1], chi)
        layers.append(above)
    return tuple(reversed(layers))


def _growth(config: ExperimentConfig, upper: _Forward, lower: _Forward, above: LayerSignal) -> float:
    """Give abs(delta_l)^2 / abs(delta_(l+1))^2; only the first block, never the upper one, adds no input."""
    passed = upper.sigma_w2
    if config.normalization != "none":
        passed = passed / upper.raw if upper.raw > 0 else math.nan
    if config.residual:  # abs(g)^2 of the upper layer is abs(delta)^2 / E phi'^2
        passed = passed + 1 / above.slope_power if above.slope_power > 0 else math.nan
    return passed * _slope_power(config.activation, lower.variance)


def _slope_power(name: str, variance: float) -> float:
    if not variance <= LARGEST:
        return math.nan
    if variance > 0:
        return float(slope_power(name, variance))
    return float(entry_of(name).derivative(np.zeros(1))[0] ** 2)


def _layer(name: str, index: int, forward: _Forward, chi: float) -> LayerSignal:
    variance = forward.variance
    mean, power = _output_moments(name, variance)
    return LayerSignal(
        index=index,
        sigma_w2=forward.sigma_w2,
        sigma_b2=forward.sigma_b2,
        pre_activation_variance=variance,
        activation_mean=mean,
        activation_std=math.sqrt(_positive(power - mean**2)),
        slope_power=_slope_power(name, variance),
        saturation=saturation_share(name, variance) if variance <= LARGEST else math.nan,
        chi=chi,
    )


def saturation_share(name: str, variance: float, tau: float = DEFAULT_TAU) -> float:
    """Give the share of normal z, mean 0, with abs(phi'(z)) < tau sup abs(phi'); step 1, identity 0.

    Raises:
        ValueError: unknown activation, tau not between 0 and 1, or a variance that is not finite and >= 0.
    """
    entry = entry_of(name)
    if not (math.isfinite(variance) and variance >= 0):
        raise ValueError(f"variance: {variance!r} is not allowed; allowed: a finite number, 0 or more")
    if variance == 0:
        slope = abs(float(entry.derivative(np.zeros(1))[0]))
        return float(entry.slope_sup == 0 or slope < tau * entry.slope_sup)
    is_wave = facts(name).saturates == NARROW
    std = math.sqrt(min(variance, WAVE_VARIANCE) if is_wave else variance)
    zones = np.array(saturated_zones(name, tau, -WINDOW, WINDOW)).reshape(-1, 2)
    zones[zones >= WINDOW], zones[zones <= -WINDOW] = np.inf, -np.inf
    return float(np.sum(ndtr(zones[:, 1] / std) - ndtr(zones[:, 0] / std)))
