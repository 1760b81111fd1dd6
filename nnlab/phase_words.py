"""Words about where a network stands on the phase map, and what that does to its gradients."""

from __future__ import annotations

import math

from nnlab.activations import ACTIVATIONS
from nnlab.numerals import scientific
from nnlab.phase_map import (
    BLOCKED,
    CRITICAL,
    EXPLODING,
    RUNAWAY,
    VANISHING,
    least_sigma_b,
    nowhere,
    ratio_of,
    standing,
    state,
)
from nnlab.random_network import RandomNetwork
from nnlab.theory import MeanField

PHASES = {
    VANISHING: "The network is in the ordered phase: gradients vanish on their way back.",
    EXPLODING: "The network is in the chaotic phase: gradients explode on their way back.",
    CRITICAL: "The network is on the edge of chaos: gradients keep their size on their way back.",
    RUNAWAY: "The signal runs away: every layer makes it larger, without an end.",
    BLOCKED: "Nothing passes: every slope is 0, so no gradient gets through even one layer.",
}


def place_words(network: RandomNetwork) -> str:
    """Say in one sentence where the network stands, or why it stands nowhere."""
    missing = nowhere(network)
    if missing:
        return missing
    return PHASES[state(_field(network))]


def caption_words(network: RandomNetwork) -> str:
    """Say in a line what network a saved picture is of."""
    config, field = network.config, standing(network)
    made = (
        f"{config.depth} x {config.width} {config.activation} · {config.initializer} · gain {config.gain:.4g}"
    )
    if field is None:
        return made
    return f"{made} · sigma_w {field.sigma_w:.4g} · sigma_b {field.sigma_b:.3g}"


def layer_words(network: RandomNetwork) -> tuple[str, ...]:
    """Say in sentences what one layer does at the network's point; () if it stands nowhere."""
    field = standing(network)
    if field is None:
        return ()
    here = f"sigma_w = {field.sigma_w:.4g}, sigma_b = {field.sigma_b:.3g}"
    if math.isinf(field.q_star):
        return (f"{here}: the variance of z has no end value (q* is infinite), so there is no chi.",)
    change = _exact(math.sqrt(field.chi))
    return (
        f"{here}: layer by layer the variance of z goes to q* = {scientific(field.q_star)}.",
        f"There chi = {_exact(field.chi)}, and each layer multiplies the gradient by its root, {change}.",
    )


def depth_words(network: RandomNetwork) -> tuple[str, ...]:
    """Say in sentences how deep a network at this point can be; () if it stands nowhere."""
    field, depth = standing(network), network.config.depth
    if field is None:
        return ()
    layers = "1 layer" if depth == 1 else f"{depth} layers"
    if math.isinf(field.q_star):
        return (
            "There is no depth scale. Signal and gradient grow layer by layer, until the numbers of a deep "
            "network overflow.",
        )
    if field.chi == 0:
        return (f"The depth scale xi is 0: of {layers}, only the last one gets a gradient.",)
    if math.isinf(field.xi):
        return (f"The depth scale xi is infinite: no depth is too deep. This network has {layers}.",)
    limit = field.trainable_depth
    verdict = "that is within reach" if depth <= limit else "that is too deep"
    return (
        f"The depth scale xi is {scientific(field.xi)} layers.",
        f"Networks train up to about 6 xi, here {scientific(limit)} layers. This one has {layers}: "
        f"{verdict}.",
        f"Over {layers} the gradient at the first is expected to be {_times(ratio_of(field, depth))} that at "
        "the last.",
    )


def plain_words(network: RandomNetwork) -> tuple[str, ...]:
    """Say what of the network the map leaves out."""
    config, words = network.config, []
    if config.normalization != "none" or config.residual:
        parts = [f"{config.normalization} normalization"] if config.normalization != "none" else []
        parts += ["residual connections"] if config.residual else []
        words.append(
            f"The map is of the plain network: it leaves out {' and '.join(parts)}, with which signal and "
            "gradient go other ways."
        )
    own = least_sigma_b(network)
    if own > 0:
        words.append(
            f"This initializer draws biases of its own, with sigma_b = {own:.3g}: the point cannot go below."
        )
    return tuple(words)


def unreached_words(name: str) -> str:
    """Say what the dashed part of an edge of chaos is."""
    return (
        f"Dashed: there {ACTIVATIONS[name].label} has a critical fixed point too, but a signal of size 1 "
        "does not go to it. The colors show what such a signal does."
    )


def _field(network: RandomNetwork) -> MeanField:
    field = standing(network)
    assert field is not None
    return field


def _exact(chi: float) -> str:
    """Write a number near 1 so that 0.999 does not read as 1."""
    return f"{chi:.4g}" if 0.1 <= chi < 10 else scientific(chi)


def _times(decades: float) -> str:
    """Write 10^decades, which float64 may not hold."""
    return f"{scientific(10.0**decades)} x" if abs(decades) < 300 else f"1e{decades:.0f} x"
