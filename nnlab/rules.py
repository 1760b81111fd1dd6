"""rules: the numbers of one record against their thresholds.

A rule gives a Breach or nothing. Thresholds were calibrated on 10 healthy and 8 pathological networks,
10 seeds each (definitions.md, "Verdict thresholds").
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnlab.run import LayerInfo, Run, StepRecord

# Schoenholz et al. 2017: trainable up to depth 6 xi, that is chi^L > e^-6, a norm ratio of e^-3.
VANISHING_WARN = math.exp(-3)
VANISHING_SEVERE = 1e-3  # the first layer learns a thousand times slower than the last
EXPLODING_WARN, EXPLODING_SEVERE = 20.0, 1e3  # the mirror image
# Healthy layer-1 maxima: hardtanh 32 %, sigmoid at gain 4 24 %, tanh at gain 5/3 21 %.
SATURATING_WARN, SATURATING_SEVERE = 0.40, 0.70
# He ReLU has up to 13 % dead on the probe at layer 10 when it starts, and learns well.
DYING_WARN, DYING_SEVERE, DYING_RISE = 0.25, 0.50, 0.10
# He ReLU reaches 0.95 at layer 20; 1 - cos below 1e-6 is invisible in float32.
COLLAPSE_WARN, COLLAPSE_SEVERE = 0.95, 0.999
COLLAPSE_MIN_DEPTH = 5  # a shallow sigmoid network starts above 0.95 and learns well
# Karpathy's makemore: 1e-3 is usual. Below half an ulp of float32 a weight does not change at all.
UPDATES_SMALL_WARN, UPDATES_SMALL_SEVERE, UPDATES_LARGE_WARN = 1e-4, 2.0**-24, 1e-2
UPDATES_MIN_RECORDS = 10
UPDATES_LOSS_SHARE = 0.5  # a converged network updates little and is healthy
# A norm from which one more layer of any usual gain falls below float32's smallest number, 1e-45.
NEARLY_UNDERFLOWN = 1e-36

# Flat on one side on purpose: half of the units may be there.
ReluFamily = frozenset(
    {"relu", "leaky_relu", "PReLU", "RReLU", "ReLU6", "Threshold", "Clamp", "Hardshrink", "Softshrink"}
)

KINDS = (
    "diverged",
    "stalled",
    "dead_layer",
    "exploding",
    "vanishing",  # before blocked: the two come together only where the signal underflows
    "blocked",
    "saturating",
    "dying",
    "rank_collapse",
    "updates_small",
    "updates_large",
    "frozen",
)


@dataclass(frozen=True)
class Breach:
    """A threshold that was crossed, before it is put into words."""

    kind: str
    severity: str
    layer: int  # position among the hidden layers, -1 for the whole network
    metric: str
    value: float
    threshold: float


@dataclass(frozen=True)
class View:
    """The numbers of one record, and what rules may know of the run up to it."""

    run: Run
    number: int  # position of the record in the run

    @property
    def record(self) -> StepRecord:
        """The record looked at."""
        return self.run.records[self.number]

    @property
    def is_last(self) -> bool:
        """Whether the run's status belongs to this record."""
        return self.number == len(self.run.records) - 1

    @property
    def hidden(self) -> tuple[LayerInfo, ...]:
        """The hidden layers."""
        return self.run.hidden

    def layer(self, metric: str) -> np.ndarray:
        """Give a batch metric of the hidden layers, shape (hidden layers,)."""
        return self.record.layers[metric][: len(self.hidden)]

    def probe(self, metric: str) -> np.ndarray:
        """Give a probe metric of the hidden layers at the latest probe record so far."""
        for record in reversed(self.run.records[: self.number + 1]):
            if metric in record.layers:
                return record.layers[metric]
        return np.full(len(self.hidden), np.nan)

    @cached_property
    def delta(self) -> np.ndarray:
        """delta_norm of the hidden layers."""
        return self.layer("delta_norm")

    @property
    def loss(self) -> float:
        """Loss of the record's batch."""
        return self.record.network["loss"]

    @property
    def is_without_signal(self) -> bool:
        """Whether no error signal leaves the loss of somebody's model, though there is one."""
        # nnlab's own training waits for 20 such steps before it says so.
        is_there = self.run.config is None and math.isfinite(self.loss) and self.loss != 0
        return is_there and not self.record.layers["delta_norm"].any()

    @cached_property
    def blocked_at(self) -> np.ndarray:
        """Where delta or a trainable weight's gradient is 0 or missing and a later layer's is not."""
        delta = self.record.layers["delta_norm"]
        weight_grad = self.record.layers["weight_grad_norm"]
        trainable = np.array([layer.trainable for layer in self.run.layers])
        if not math.isfinite(self.loss):  # NaN is then no missing value but an overflow
            return np.zeros(len(self.hidden), dtype=bool)
        # Before the first layer that learns, no error signal is needed: a missing one is no fault there.
        needs_delta = np.logical_or.accumulate(trainable)
        unseen = np.isnan(delta) & (weight_grad > 0)  # it learns, so the signal came by
        no_delta = ~(np.abs(delta) > 0) & ~unseen & (needs_delta | (delta == 0))
        no_weight_grad = ~(np.abs(weight_grad) > 0) & trainable
        flows_later = np.logical_or.accumulate((delta > 0)[::-1])[::-1]
        grows_later = np.logical_or.accumulate(((weight_grad > 0) & trainable)[::-1])[::-1]
        blocked = (no_delta & flows_later) | (no_weight_grad & grows_later)
        return (blocked & self._has_run)[: len(self.hidden)]

    @property
    def _has_run(self) -> np.ndarray:
        """Where a layer was there at all: part of a model may run for the first time at step 40."""
        absent = [np.isnan(self.record.layers[name]) for name in ("weight_norm", "pre_activation_mean")]
        return ~np.logical_and(*absent)

    def is_underflow(self, layer: int) -> bool:
        """Whether the signal is too small for float32 where float64's product is not 0."""
        # Only what nnlab built is known to be a chain; elsewhere a branch may be multiplied by 0.
        after = self.record.layers["delta_norm"][layer + 1]
        if self.run.config is None and not after < NEARLY_UNDERFLOWN:
            return False
        slopes = self.layer("slope_mean")[layer:]
        weights = self.record.layers["weight_norm"][layer + 1 :]
        return bool((slopes > 0).all() and (weights > 0).all())

    @cached_property
    def typical_slope(self) -> float:
        """Geometric mean over layers 1..L-1 of the measured mean abs(phi')."""
        return _geometric_mean(self.layer("slope_mean")[:-1])

    @cached_property
    def acting_slope(self) -> float:
        """Geometric mean of the factor that the slopes put on the signal's norm."""
        return _geometric_mean(slope_factors(self.record)[:-1])

    @cached_property
    def typical_weight_gain(self) -> float:
        """Geometric mean of the factor that the weights put on the signal's norm."""
        return _geometric_mean(weight_factors(self.record))


def slope_factors(record: StepRecord) -> np.ndarray:
    """Give what the activation's slope multiplies the signal's norm by, shape (hidden layers,)."""
    delta = record.layers["delta_norm"][:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return delta / record.layers["activation_grad_norm"]


def weight_factors(record: StepRecord) -> np.ndarray:
    """Give what the weights between layers l and l+1 multiply the signal's norm by, for l = 1..L-1.

    A normalization or a skip connection on the way is part of it.
    """
    delta = record.layers["delta_norm"][:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return record.layers["activation_grad_norm"][:-1] / delta[1:]


def _geometric_mean(values: np.ndarray) -> float:
    usable = values[np.isfinite(values) & (values > 0)]
    return float(np.exp(np.log(usable).mean())) if len(usable) else math.nan


def worst(values: np.ndarray, allowed: np.ndarray | None = None) -> int | None:
    """Give the position of the largest number that is not NaN, None if there is none."""
    usable = ~np.isnan(values) if allowed is None else ~np.isnan(values) & allowed
    return int(np.where(usable, values, -np.inf).argmax()) if usable.any() else None


def _above(kind: str, metric: str, layer: int, value: float, warn: float, severe: float) -> Breach | None:
    if value > severe:
        return Breach(kind, "severe", layer, metric, value, severe)
    if value > warn:
        return Breach(kind, "warn", layer, metric, value, warn)
    return None


def _diverged(view: View) -> Breach | None:
    if not (view.is_last and view.run.status == "diverged"):
        return None
    metric = "loss" if not math.isfinite(view.loss) else "grad_norm"
    value = view.record.network[metric]
    return Breach("diverged", "severe", -1, metric, value, math.inf)


def _stalled(view: View) -> Breach | None:
    if not (view.is_last and (view.run.status == "stalled" or view.is_without_signal)):
        return None
    return Breach("stalled", "severe", -1, "grad_norm", view.record.network["grad_norm"], 0.0)


def _blocked(view: View) -> Breach | None:
    blocked = np.flatnonzero(view.blocked_at)
    if not len(blocked):
        return None
    layer = int(blocked[-1])  # nearest the output: where the signal dies
    has_delta = view.delta[layer] > 0
    metric = "weight_grad_norm" if has_delta else "delta_norm"
    return Breach("blocked", "severe", layer, metric, float(view.layer(metric)[layer]), 0.0)


def _exploding_in_time(view: View) -> Breach | None:
    """Find a recurrent layer whose error signal grows from step to step on its way back in time."""
    if "time_ratio" not in view.record.layers:
        return None
    ratios = view.layer("time_ratio")
    layer = worst(ratios)
    if layer is None:
        return None
    value = float(ratios[layer])
    return _above("exploding", "time_ratio", layer, value, EXPLODING_WARN, EXPLODING_SEVERE)


def _exploding(view: View) -> Breach | None:
    return _exploding_in_depth(view) or _exploding_in_time(view)


def _outgrows_what_arrives(view: View, layer: int) -> bool:
    """Whether a layer's error signal is large beside what the output sends back, too.

    In a model that nnlab did not build the last hidden layer may be a gate, or lie behind one, past which the
    signal flows: where that is closed, its own signal is small, and all others look large beside it.
    """
    if view.run.config is not None:
        return True
    sent = max(view.record.layers["delta_norm"][-1], view.layer("activation_grad_norm")[-1])
    return not view.delta[layer] <= EXPLODING_WARN * sent


def _exploding_in_depth(view: View) -> Breach | None:
    if np.isinf(view.delta).any():
        layer = int(np.flatnonzero(np.isinf(view.delta))[-1])
        return Breach("exploding", "severe", layer, "delta_norm", float(view.delta[layer]), EXPLODING_SEVERE)
    layer_or_none = worst(view.delta)
    ratio = view.record.network["gradient_ratio"]
    if layer_or_none is None or not math.isfinite(ratio) or not _outgrows_what_arrives(view, layer_or_none):
        return None
    return _above("exploding", "gradient_ratio", layer_or_none, ratio, EXPLODING_WARN, EXPLODING_SEVERE)


def _vanishing(view: View) -> Breach | None:
    ratio = view.record.network["gradient_ratio"]
    if not ratio < VANISHING_WARN or np.isnan(view.delta).all():
        return None
    blocked = np.flatnonzero(view.blocked_at)
    if len(blocked) and not view.is_underflow(int(blocked[-1])):
        return None  # then the layer is cut off, which is another finding
    severe = ratio < VANISHING_SEVERE
    threshold = VANISHING_SEVERE if severe else VANISHING_WARN
    layer = int(np.nanargmin(view.delta))
    severity = "severe" if severe else "warn"
    return Breach("vanishing", severity, layer, "gradient_ratio", ratio, threshold)


def can_saturate(layer: LayerInfo) -> bool:
    """Whether a flat slope is a fault of this layer: not for ReLU, whose purpose it is, nor for step."""
    return layer.activation not in ReluFamily and layer.activation != "step"


def _saturating(view: View) -> Breach | None:
    return _saturated(view, "saturation") or _saturated(view, "gate_saturation")


def _saturated(view: View, metric: str) -> Breach | None:
    if metric not in view.record.layers:
        return None
    values = view.layer(metric)
    allowed = np.array([can_saturate(layer) for layer in view.hidden], dtype=bool)
    layer = worst(values, allowed)
    if layer is None:
        return None
    value = float(values[layer])
    return _above("saturating", metric, layer, value, SATURATING_WARN, SATURATING_SEVERE)


def can_die(view: View) -> np.ndarray:
    """Where units can be dead; the step function's slope is 0 by definition, not by an accident."""
    return np.array([layer.activation != "step" for layer in view.hidden], dtype=bool)


def _dead_layer(view: View) -> Breach | None:
    dead = np.flatnonzero((view.probe("dead_fraction") == 1) & can_die(view))
    if not len(dead):
        return None
    return Breach("dead_layer", "severe", int(dead[0]), "dead_fraction", 1.0, 1.0)


def _dying(view: View) -> Breach | None:
    values = view.probe("dead_fraction")
    layer = worst(np.where(values == 1, np.nan, values), can_die(view))
    if layer is None:
        return None
    value = float(values[layer])
    breach = _above("dying", "dead_fraction", layer, value, DYING_WARN, DYING_SEVERE)
    if breach is not None:
        return breach
    start = View(view.run, 0).probe("dead_fraction")
    rise = np.where(can_die(view), values - start, np.nan)
    layer = worst(rise)
    if layer is None or not rise[layer] > DYING_RISE or values[layer] == 1:
        return None
    threshold = float(start[layer]) + DYING_RISE
    return Breach("dying", "warn", layer, "dead_fraction", float(values[layer]), threshold)


def can_collapse(view: View) -> np.ndarray:
    """Where alike outputs merge what the inputs were, shape (hidden layers,).

    Gates are alike for all inputs when they start, and let others past them: those of a recurrent layer,
    and in a model that nnlab did not build any layer before one that is not collapsed, or a lone last one.
    """
    plain = np.array(["+" not in layer.activation for layer in view.hidden], dtype=bool)
    if view.run.config is not None:
        return plain
    collapsed = (view.probe("mean_cosine") > COLLAPSE_WARN) | ~plain
    to_the_end = np.logical_and.accumulate(collapsed[::-1])[::-1]
    return plain & to_the_end & (to_the_end.sum() > 1)


def _rank_collapse(view: View) -> Breach | None:
    values = view.probe("mean_cosine")
    layer = worst(values, can_collapse(view))
    if layer is None or len(view.hidden) < COLLAPSE_MIN_DEPTH:
        return None
    value = float(values[layer])
    return _above("rank_collapse", "mean_cosine", layer, value, COLLAPSE_WARN, COLLAPSE_SEVERE)


def _updates(view: View) -> Breach | None:
    first_loss = view.run.records[0].network["loss"]
    if view.number + 1 < UPDATES_MIN_RECORDS or not view.loss > UPDATES_LOSS_SHARE * first_loss:
        return None
    values = view.run.hidden_updates[: view.number + 1]
    usable = np.count_nonzero(~np.isnan(values))
    # Two counts tell what most runs are, in a tenth of the time that the median of a long run takes.
    outside = (values < UPDATES_SMALL_WARN, values > UPDATES_LARGE_WARN)
    if all(2 * np.count_nonzero(side) < usable for side in outside) or not usable:
        return None
    median = float(np.nanmedian(values))
    if median > UPDATES_LARGE_WARN:
        limit = UPDATES_LARGE_WARN
        return Breach("updates_large", "warn", -1, "update_ratio", median, limit)
    if median >= UPDATES_SMALL_WARN:
        return None
    severe = median < UPDATES_SMALL_SEVERE
    limit = UPDATES_SMALL_SEVERE if severe else UPDATES_SMALL_WARN
    severity = "severe" if severe else "warn"
    return Breach("updates_small", severity, -1, "update_ratio", median, limit)


def _frozen(view: View) -> Breach | None:
    frozen = [number for number, layer in enumerate(view.hidden) if not layer.trainable]
    if not frozen:
        return None
    return Breach("frozen", "warn", frozen[0], "weight_grad_norm", math.nan, 0.0)


RULES: tuple[Callable[[View], Breach | None], ...] = (
    _diverged,
    _stalled,
    _dead_layer,
    _blocked,
    _exploding,
    _vanishing,
    _saturating,
    _dying,
    _rank_collapse,
    _updates,
    _frozen,
)


def breaches(view: View) -> list[Breach]:
    """List what is beyond a threshold at one record, worst first."""
    if not view.hidden:
        return []
    found = [breach for rule in RULES if (breach := rule(view)) is not None]
    return sorted(found, key=lambda b: (b.severity != "severe", KINDS.index(b.kind)))
