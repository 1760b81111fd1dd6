"""diagnosis: what is wrong with a network, at which layer, by which number, why, and what to change."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nnlab.explanations import explain
from nnlab.metrics import METRICS
from nnlab.numerals import scientific
from nnlab.remedies import propose
from nnlab.rules import KINDS, Breach, View, breaches
from nnlab.run import Run

PERSISTENT_SHARE = 0.25  # of the run that something severe must have held to be reported at its end

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


# What a finding brings with it, whose remedy is then its own. Where the signal is cut off, the weights stand
# still because of it, not because of the step size. A dead layer blocks what is before it, and makes all that
# follows alike. What diverged was measured as it overflowed.
_CONSEQUENCES = {
    "diverged": frozenset(TITLES),
    "dead_layer": frozenset({"blocked", "vanishing", "rank_collapse", "updates_small"}),
    "exploding": frozenset({"updates_small", "updates_large"}),
    "vanishing": frozenset({"updates_small"}),
    "blocked": frozenset({"updates_small"}),
}


def _findings(view: View) -> list[Finding]:
    return [_finding(view, breach) for breach in breaches(view)]


def _treated_at_the_cause(findings: list[Finding]) -> tuple[Finding, ...]:
    """Give every finding that another one brings about the other one's remedy."""
    remedies = {finding.kind: finding.remedy for finding in findings if finding.remedy}
    treated = []
    for finding in findings:
        causes = [cause for cause, led in _CONSEQUENCES.items() if finding.kind in led and cause in remedies]
        treated.append(replace(finding, remedy=remedies[causes[0]]) if causes else finding)
    return tuple(treated)


def find_at(run: Run, step: int) -> tuple[Finding, ...]:
    """Give the findings at the record nearest to a step, worst first; () where it is healthy."""
    if not run.records:
        return ()
    number = int(np.abs(run.steps - step).argmin())
    return _treated_at_the_cause(_findings(View(run, number)))


def find(run: Run) -> tuple[Finding, ...]:
    """Give a run's findings, worst first: those of its last record, and what was severe for long."""
    if not run.records:
        return ()
    last = View(run, len(run.records) - 1)
    findings = _findings(last)
    present = {finding.kind for finding in findings}
    findings += [finding for finding in _persistent(run) if finding.kind not in present]
    findings.sort(key=lambda f: (f.severity != "severe", KINDS.index(f.kind)))
    return _treated_at_the_cause(findings)


def _persistent(run: Run) -> Iterator[Finding]:
    """Give what was severe for at least a quarter of the records but is over at the end."""
    seen: dict[str, list[tuple[View, Breach]]] = {}
    for number in range(len(run.records)):
        view = View(run, number)
        for breach in breaches(view):
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
        explanation=explain(view, breach, layer),
        remedy=propose(breach.kind, view.run, view.number),
    )
