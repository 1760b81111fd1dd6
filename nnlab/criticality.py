"""Criticality: which sigma_w makes a network critical, and what to do where none does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nnlab.activations import ACTIVATIONS
from nnlab.phase_map import b_top, edge, is_critical, least_sigma_b, nowhere
from nnlab.random_network import RandomNetwork
from nnlab.theory import edge_of_chaos


@dataclass(frozen=True)
class Criticality:
    """The critical sigma_w of a network at its sigma_b; nan where moving there would not make it critical.

    Then `reason` says why, and `other` is the (sigma_w, sigma_b) of the nearest sigma_b that has one; None
    if no sigma_b of the map has.
    """

    sigma_w: float
    reason: str = ""
    other: tuple[float, float] | None = None


def criticality(network: RandomNetwork) -> Criticality:
    """Find the sigma_w with chi = 1 at a network's sigma_b (Schoenholz et al. 2017, section 3)."""
    missing = nowhere(network)
    name, sigma_b = network.config.activation, network.total_sigma_b
    if missing and not network.base_sigma_w > 0:
        return Criticality(math.nan, missing)
    critical = edge_of_chaos(name, sigma_b)
    if is_critical(name, critical, sigma_b):
        return Criticality(critical)
    other = _nearest(network)
    return Criticality(math.nan, _reason(name, critical, sigma_b, other, least_sigma_b(network)), other)


def _nearest(network: RandomNetwork) -> tuple[float, float] | None:
    line = edge(network.config.activation, b_top(network))
    allowed = line.is_reached & (line.sigma_b >= least_sigma_b(network))
    places = np.flatnonzero(allowed)
    if not len(places):
        return None
    place = places[np.abs(line.sigma_b[places] - network.total_sigma_b).argmin()]
    return float(line.sigma_w[place]), float(line.sigma_b[place])


def _reason(name: str, critical: float, sigma_b: float, other: tuple[float, float] | None, own: float) -> str:
    label = ACTIVATIONS[name].label
    if name == "step":
        why = "The step's slope is 0 everywhere, so no sigma_w lets a gradient pass."
    elif math.isnan(critical):
        why = f"{label} has no sigma_w with chi = 1 at sigma_b = {sigma_b:.3g}."
    else:
        why = (
            f"At sigma_b = {sigma_b:.3g} {label} has chi = 1 at sigma_w = {critical:.4g}, but only for a "
            "signal of one certain size: one of size 1 does not go to it, and the network is not critical."
        )
    return f"{why} {_advice(other, own, is_possible=math.isfinite(edge_of_chaos(name, 0.0)))}"


def _advice(other: tuple[float, float] | None, own: float, *, is_possible: bool) -> str:
    if other is not None:
        return (
            f"The nearest network that is critical has sigma_b = {other[1]:.3g} and sigma_w = {other[0]:.4g}."
        )
    if is_possible and own > 0:
        return "It has one without biases: choose an initializer that draws none."
    return "Choose another activation: tanh has one at every sigma_b, ReLU without biases."
