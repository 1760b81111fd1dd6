"""diagnosis: what is wrong with a network, at which layer, by which number, why, and what to change.

A rule looks at the numbers of one record and gives a Breach or nothing. Thresholds were calibrated on
10 healthy and 8 pathological networks, 10 seeds each (definitions.md, "Verdict thresholds").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.metrics import METRICS
from nnlab.numerals import fraction, near_one, percent, scientific
from nnlab.remedies import propose
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
PERSISTENT_SHARE = 0.25  # of the run that something severe must have held to be reported at its end

ReluFamily = frozenset({"relu", "leaky_relu", "PReLU", "RReLU"})

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
TITLES = {
    "diverged": "Diverged",
    "stalled": "Stalled",
    "dead_layer": "Dead layer",
    "blocked": "Gradient blocked",
    "exploding": "Exploding gradient",
    "vanishing": "Vanishing gradient",
    "saturating": "Saturated units",
    "dying": "Dying units",
    "rank_collapse": "Rank collapse",
    "updates_small": "Updates too small",
    "updates_large": "Updates too large",
    "frozen": "Frozen layer",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: which layer, which number against which threshold, why, what to change.

    `remedy` holds config fields to change, None where nnlab did not build the network or knows none.
    """

    kind: str
    severity: str
    layer: str
    step: int
    metric: str
    value: float
    threshold: float
    explanation: str
    remedy: dict[str, Any] | None

    @property
    def title(self) -> str:
        """The kind in words."""
        return TITLES[self.kind]

    @property
    def headline(self) -> str:
        """The first sentence of the explanation: what happens, where."""
        return self.explanation.partition(". ")[0].rstrip(".") + "."

    @property
    def evidence(self) -> str:
        """The rest of the explanation: the numbers behind it and the cause."""
        return self.explanation.partition(". ")[2]

    @property
    def measure(self) -> str:
        """The number against its threshold."""
        if not math.isfinite(self.threshold):
            return f"{METRICS[self.metric].label}: {scientific(self.value)}"
        side = "below" if self.value < self.threshold else "above"
        return (
            f"{METRICS[self.metric].label}: {scientific(self.value)}; "
            f"{self.severity} {side} {self.threshold:.3g}"
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

    @cached_property
    def blocked_at(self) -> np.ndarray:
        """Where delta or a trainable weight's gradient is 0 or missing and a later layer's is not."""
        delta = self.record.layers["delta_norm"]
        weight_grad = self.record.layers["weight_grad_norm"]
        trainable = np.array([layer.trainable for layer in self.run.layers])
        if not math.isfinite(self.loss):  # NaN is then no missing value but an overflow
            return np.zeros(len(self.hidden), dtype=bool)
        no_delta = ~(np.abs(delta) > 0)
        no_weight_grad = ~(np.abs(weight_grad) > 0) & trainable
        flows_later = np.logical_or.accumulate((delta > 0)[::-1])[::-1]
        grows_later = np.logical_or.accumulate(((weight_grad > 0) & trainable)[::-1])[::-1]
        blocked = (no_delta & flows_later) | (no_weight_grad & grows_later)
        return blocked[: len(self.hidden)]

    def is_underflow(self, layer: int) -> bool:
        """Whether the signal is too small for float32 where float64's product is not 0."""
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


def _worst(values: np.ndarray, allowed: np.ndarray | None = None) -> int | None:
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
    if not (view.is_last and view.run.status == "stalled"):
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


def _exploding(view: View) -> Breach | None:
    if np.isinf(view.delta).any():
        layer = int(np.flatnonzero(np.isinf(view.delta))[-1])
        return Breach("exploding", "severe", layer, "delta_norm", float(view.delta[layer]), EXPLODING_SEVERE)
    layer_or_none = _worst(view.delta)
    ratio = view.record.network["gradient_ratio"]
    if layer_or_none is None or not math.isfinite(ratio):
        return None
    return _above("exploding", "gradient_ratio", layer_or_none, ratio, EXPLODING_WARN, EXPLODING_SEVERE)


def _vanishing(view: View) -> Breach | None:
    ratio = view.record.network["gradient_ratio"]
    if not ratio < VANISHING_WARN:
        return None
    blocked = np.flatnonzero(view.blocked_at)
    if len(blocked) and not view.is_underflow(int(blocked[-1])):
        return None  # then the layer is cut off, which is another finding
    severe = ratio < VANISHING_SEVERE
    threshold = VANISHING_SEVERE if severe else VANISHING_WARN
    layer = int(np.nanargmin(view.delta))
    severity = "severe" if severe else "warn"
    return Breach("vanishing", severity, layer, "gradient_ratio", ratio, threshold)


def _can_saturate(layer: LayerInfo) -> bool:
    return layer.activation not in ReluFamily and layer.activation != "step"


def _saturating(view: View) -> Breach | None:
    values = view.layer("saturation")
    allowed = np.array([_can_saturate(layer) for layer in view.hidden], dtype=bool)
    layer = _worst(values, allowed)
    if layer is None:
        return None
    value = float(values[layer])
    return _above("saturating", "saturation", layer, value, SATURATING_WARN, SATURATING_SEVERE)


def _can_die(view: View) -> np.ndarray:
    """Where units can be dead; the step function's slope is 0 by definition, not by an accident."""
    return np.array([layer.activation != "step" for layer in view.hidden], dtype=bool)


def _dead_layer(view: View) -> Breach | None:
    dead = np.flatnonzero((view.probe("dead_fraction") == 1) & _can_die(view))
    if not len(dead):
        return None
    return Breach("dead_layer", "severe", int(dead[0]), "dead_fraction", 1.0, 1.0)


def _dying(view: View) -> Breach | None:
    values = view.probe("dead_fraction")
    layer = _worst(np.where(values == 1, np.nan, values), _can_die(view))
    if layer is None:
        return None
    value = float(values[layer])
    breach = _above("dying", "dead_fraction", layer, value, DYING_WARN, DYING_SEVERE)
    if breach is not None:
        return breach
    start = View(view.run, 0).probe("dead_fraction")
    rise = np.where(_can_die(view), values - start, np.nan)
    layer = _worst(rise)
    if layer is None or not rise[layer] > DYING_RISE or values[layer] == 1:
        return None
    threshold = float(start[layer]) + DYING_RISE
    return Breach("dying", "warn", layer, "dead_fraction", float(values[layer]), threshold)


def _rank_collapse(view: View) -> Breach | None:
    values = view.probe("mean_cosine")
    layer = _worst(values)
    if layer is None or len(view.hidden) < COLLAPSE_MIN_DEPTH:
        return None
    value = float(values[layer])
    return _above("rank_collapse", "mean_cosine", layer, value, COLLAPSE_WARN, COLLAPSE_SEVERE)


def _updates(view: View) -> Breach | None:
    first_loss = view.run.records[0].network["loss"]
    if view.number + 1 < UPDATES_MIN_RECORDS or not view.loss > UPDATES_LOSS_SHARE * first_loss:
        return None
    ratios = [r.layers["update_ratio"][:-1] for r in view.run.records[: view.number + 1]]
    values = np.concatenate(ratios)
    if np.isnan(values).all():
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


def _breaches(view: View) -> list[Breach]:
    if not view.hidden:
        return []
    found = [breach for rule in RULES if (breach := rule(view)) is not None]
    return sorted(found, key=lambda b: (b.severity != "severe", KINDS.index(b.kind)))


# Where the signal is cut off, the weights stand still because of it, not because of the step size.
_STARVING = ("dead_layer", "exploding", "vanishing", "blocked")


def _findings(view: View) -> list[Finding]:
    findings = [_finding(view, breach) for breach in _breaches(view)]
    cause = next((finding for finding in findings if finding.kind in _STARVING), None)
    if cause is None:
        return findings
    return [replace(f, remedy=cause.remedy) if f.kind == "updates_small" else f for f in findings]


def find_at(run: Run, step: int) -> tuple[Finding, ...]:
    """Give the findings at the record nearest to a step, worst first; () where it is healthy."""
    if not run.records:
        return ()
    number = int(np.abs(run.steps - step).argmin())
    return tuple(_findings(View(run, number)))


def find(run: Run) -> tuple[Finding, ...]:
    """Give a run's findings, worst first: those of its last record, and what was severe for long."""
    if not run.records:
        return ()
    last = View(run, len(run.records) - 1)
    findings = _findings(last)
    present = {finding.kind for finding in findings}
    findings += [finding for finding in _persistent(run) if finding.kind not in present]
    return tuple(sorted(findings, key=lambda f: (f.severity != "severe", KINDS.index(f.kind))))


def _persistent(run: Run) -> Iterator[Finding]:
    """Give what was severe for at least a quarter of the records but is over at the end."""
    seen: dict[str, list[tuple[View, Breach]]] = {}
    for number in range(len(run.records)):
        view = View(run, number)
        for breach in _breaches(view):
            if breach.severity == "severe":
                seen.setdefault(breach.kind, []).append((view, breach))
    for held in seen.values():
        if len(held) < PERSISTENT_SHARE * len(run.records):
            continue
        view, breach = held[-1]
        first, last = held[0][0].record.step, view.record.step
        finding = _finding(view, breach)
        span = f"At step {last}" if first == last else f"From step {first} to {last}"
        words = f"{span}, over at the end: {finding.explanation}"
        yield Finding(**{**vars(finding), "explanation": words})


def _finding(view: View, breach: Breach) -> Finding:
    layer = "network" if breach.layer < 0 else view.hidden[breach.layer].name
    return Finding(
        kind=breach.kind,
        severity=breach.severity,
        layer=layer,
        step=view.record.step,
        metric=breach.metric,
        value=breach.value,
        threshold=breach.threshold,
        explanation=_capitalized(_WORDS[breach.kind](view, breach, spoken(layer))),
        remedy=propose(breach.kind, view.run, view.number),
    )


def spoken(layer: str) -> str:
    """Say a layer's name: "hidden_3" is layer 3, a module's own name stays."""
    prefix, _, number = layer.partition("_")
    return f"layer {number}" if prefix == "hidden" and number.isdigit() else layer


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith("layer ") else text


def _chain_rule_words(view: View) -> str:
    slope, gain = view.typical_slope, view.typical_weight_gain
    if math.isnan(slope) or math.isnan(gain):
        return ""
    text = f"mean slope {scientific(slope)}, weight gain {scientific(gain)}"
    if abs(view.acting_slope / slope - 1) > 0.1:
        # Norms feel the root of the mean square: ReLU's mean slope 0.5 acts as 0.71.
        text += f" (the slopes act as x{scientific(view.acting_slope)} on the norm)"
    factor = view.acting_slope * gain
    return f"Measured per layer: {text}, so x{scientific(factor)} at each of {view.run.depth - 1} steps back."


def _slope_or_weights(view: View) -> str:
    name = view.hidden[0].activation
    sup = view.hidden[0].slope_sup
    entry = ACTIVATIONS.get(name)
    label = entry.label if entry else name
    slope, gain = view.acting_slope, view.typical_weight_gain
    if slope < gain and sup < 1:
        return f"{label}'s slope is never above {scientific(sup)}, so the slope alone does it."
    if slope < gain:
        return "The slopes take away more than the weights give back."
    return "The weights are too small for this activation."


def _vanishing_words(view: View, breach: Breach, layer: str) -> str:
    depth = view.run.depth
    last = spoken(view.hidden[-1].name)
    share = fraction(breach.value)
    text = f"{layer} gets {share} of the error signal that reaches {last}"
    slow = int((view.delta < VANISHING_SEVERE * view.delta[-1]).sum())
    if 1 < slow < depth:
        text += f"; layers 1 to {slow} get less than a thousandth"
    return f"{text}. {_chain_rule_words(view)} {_slope_or_weights(view)}"


def _exploding_words(view: View, breach: Breach, layer: str) -> str:
    if breach.metric == "delta_norm":
        return f"The error signal at {layer} is too large for a float32 number."
    return (
        f"{layer} gets {scientific(breach.value)} times the error signal of "
        f"{spoken(view.hidden[-1].name)}: it grows on its way to the input. {_chain_rule_words(view)}"
    )


def _blocked_words(view: View, breach: Breach, layer: str) -> str:
    number = breach.layer
    info = view.hidden[number]
    if info.notes:
        return f"No gradient reaches {layer}: {info.notes[0]}."
    if breach.metric == "weight_grad_norm":
        return (
            f"The weights of {layer} get a gradient of exactly 0, because its inputs are all 0, "
            "though an error signal arrives there."
        )
    if view.is_underflow(number):
        return (
            f"The error signal at {layer} is smaller than the smallest float32 number and became "
            "exactly 0 (underflow): it has vanished completely."
        )
    if info.slope_sup == 0:
        return (
            "The step function's slope is 0 everywhere, so the chain rule multiplies the error "
            f"signal by 0: nothing from {layer} down to the input can learn."
        )
    if view.record.layers["weight_norm"][number + 1] == 0:
        return (
            f"The weights after {layer} are all 0, so no error signal passes back through them; "
            f"from {layer} down to the input nothing can learn."
        )
    return (
        f"The error signal stops at {layer} and is exactly 0 from there to the input; "
        f"{percent(view.layer('zero_fraction')[number])} of the layer's outputs are 0."
    )


def _saturating_words(view: View, breach: Breach, layer: str) -> str:
    low = view.layer("saturation_low")[breach.layer]
    high = view.layer("saturation_high")[breach.layer]
    sides = ""
    if math.isfinite(low) and math.isfinite(high):
        sides = f" ({percent(low)} at the low end, {percent(high)} at the high end)"
    spread = view.layer("pre_activation_std")[breach.layer]
    return (
        f"{percent(breach.value)} of {layer}'s activations sit on the flat part of "
        f"{view.hidden[breach.layer].activation}{sides}, where the slope is below 6 % of its "
        f"largest value. The inputs of the activation spread too far: std of z is {scientific(spread)}."
    )


def _dead_words(view: View, breach: Breach, layer: str) -> str:
    width = view.hidden[breach.layer].weight_shape[0]
    dead = view.probe("dead_units")[breach.layer]
    start = View(view.run, 0).probe("dead_fraction")[breach.layer]
    text = f"{dead:.0f} of {width} units of {layer} have slope 0 for every example of the probe set"
    if start >= breach.value / 2:
        # definitions.md: deep He networks start like this, since their inputs become collinear.
        cause = "they were inactive on this probe from the start, not killed by training"
    else:
        cause = f"{percent(float(start))} were at step 0, so training killed them: the steps are too large"
    return f"{text}; {cause}. Such a unit gets no gradient and cannot come back by itself."


def _dead_layer_words(view: View, breach: Breach, layer: str) -> str:
    return (
        f"All units of {layer} have slope 0 for every example of the probe set: the network's "
        f"output is constant and no gradient passes {layer}."
    )


def _rank_words(view: View, breach: Breach, layer: str) -> str:
    rank = view.probe("effective_rank")[breach.layer]
    width = view.hidden[breach.layer].weight_shape[0]
    return (
        f"Different inputs look alike at {layer}: the mean cosine between their activations is "
        f"{near_one(breach.value)}, and they use {scientific(rank)} of {width} directions. What the layers "
        "before have merged, no later layer can tell apart."
    )


def _updates_words(view: View, breach: Breach, layer: str) -> str:
    typical = f"A typical step changes the hidden weights by {scientific(breach.value)} of their size"
    if breach.kind == "updates_large":
        return f"{typical}; about 0.001 is usual. Steps this large jump over what they look for."
    if breach.severity == "severe":
        return f"{typical}: less than half of the last float32 digit, so most weights do not move."
    return f"{typical}; about 0.001 is usual. At this rate learning takes very long."


def _diverged_words(view: View, breach: Breach, layer: str) -> str:
    note = next((note for note in view.run.notes if "non-finite" in note), "")
    since = f" ({note})" if note else ""
    return (
        f"Training broke off at step {view.record.step}{since}. The numbers grew past what "
        "float32 can hold: the steps or the starting weights are too large."
    )


def _stalled_words(view: View, breach: Breach, layer: str) -> str:
    return (
        "Every gradient has been exactly 0 for 20 steps while the loss is "
        f"{scientific(view.loss)}: no weight moves any more, and none will."
    )


def _frozen_words(view: View, breach: Breach, layer: str) -> str:
    frozen = [info.name for info in view.hidden if not info.trainable]
    return f"Not an alarm: the weights of {', '.join(frozen)} do not require gradients."


_WORDS: dict[str, Callable[[View, Breach, str], str]] = {
    "diverged": _diverged_words,
    "stalled": _stalled_words,
    "dead_layer": _dead_layer_words,
    "blocked": _blocked_words,
    "exploding": _exploding_words,
    "vanishing": _vanishing_words,
    "saturating": _saturating_words,
    "dying": _dead_words,
    "rank_collapse": _rank_words,
    "updates_small": _updates_words,
    "updates_large": _updates_words,
    "frozen": _frozen_words,
}


def why_healthy(run: Run) -> str:
    """Say by which numbers a run without findings is healthy."""
    view = View(run, len(run.records) - 1)
    ratio = view.record.network["gradient_ratio"]
    parts = [f"Layer 1 gets {scientific(ratio)} times the last hidden layer's error signal (0.05 to 20)"]
    saturated = _worst(view.layer("saturation"), np.array([_can_saturate(i) for i in view.hidden]))
    if saturated is not None:
        value = float(view.layer("saturation")[saturated])
        parts.append(f"at most {percent(value)} of a layer is saturated (limit 40 %)")
    dead = _worst(view.probe("dead_fraction"), _can_die(view))
    if dead is not None:
        value = float(view.probe("dead_fraction")[dead])
        parts.append(f"at most {percent(value)} of a layer is dead (limit 25 %)")
    return "; ".join(parts) + "."
