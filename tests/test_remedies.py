"""Remedies: each makes its finding go away, none makes its own number worse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from faults import ENTANGLED, FAULTS, trained

import nnlab
from nnlab import Run
from nnlab.diagnosis import Finding
from nnlab.rules import can_saturate


def sick(fault: str) -> Run:
    return trained(nnlab.ExperimentConfig(**(FAULTS | ENTANGLED)[fault]))


def healed(run: Run, finding: Finding) -> Run:
    assert run.config is not None
    assert finding.remedy
    return trained(run.config.replace(**finding.remedy))


def last(run: Run, metric: str) -> np.ndarray:
    return np.asarray(run.series(metric)[1][-1])[: run.depth]


def ratio_badness(run: Run, *, vanishes: bool) -> float:
    ratio = float(run.series("gradient_ratio")[1][-1])
    if not 0 < ratio < math.inf:
        return math.inf
    return max(0.0, math.log10(0.05 / ratio) if vanishes else math.log10(ratio / 20))


def badness(run: Run, kind: str) -> float:
    """Give how bad a finding's own number is at a run's end, from the records alone; larger is worse."""
    if kind in ("diverged", "stalled"):
        return float(run.status in ("diverged", "stalled"))
    if kind in ("vanishing", "exploding"):
        return ratio_badness(run, vanishes=kind == "vanishing")
    if kind == "blocked":
        return float((last(run, "delta_norm") == 0).sum())
    if kind in ("updates_small", "updates_large"):
        values = [record.layers["update_ratio"][:-1] for record in run.records[1:]]
        median = float(np.median(values))
        return abs(math.log10(median / 1e-3)) if median > 0 else math.inf
    if kind == "saturating" and not can_saturate(run.hidden[0]):
        return 0.0
    metric = {"saturating": "saturation", "rank_collapse": "mean_cosine"}.get(kind, "dead_fraction")
    return float(np.nanmax(last(run, metric)))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_one_of_the_remedies_ends_it(fault: str) -> None:
    run = sick(fault)
    found = [finding for finding in run.findings if finding.kind == fault]
    assert found, [finding.kind for finding in run.findings]
    assert fault not in {finding.kind for finding in healed(run, found[0]).findings}


@pytest.mark.parametrize("fault", [*FAULTS, *ENTANGLED])
def test_no_remedy_makes_its_own_number_worse(fault: str) -> None:
    run = sick(fault)
    worse = []
    for finding in run.findings:
        if finding.remedy:
            before, after = badness(run, finding.kind), badness(healed(run, finding), finding.kind)
            if not after <= before:
                worse.append((finding.kind, finding.remedy, before, after))
    assert worse == []


def test_what_a_cause_brings_about_is_treated_at_the_cause() -> None:
    """A dead layer blocks those before it: slower steps alone would leave it dead."""
    remedies = {finding.kind: finding.remedy for finding in sick("dead_layer").findings}
    assert remedies["dead_layer"]
    assert remedies["blocked"] == remedies["dead_layer"]


def test_updates_far_too_small_are_brought_to_their_usual_size_at_once() -> None:
    """An update is proportional to the rate: 1e-5 gives a hundredth to a thousandth of the usual ratio."""
    (finding,) = sick("updates_small").findings
    assert finding.remedy == {"learning_rate": pytest.approx(0.01)}
