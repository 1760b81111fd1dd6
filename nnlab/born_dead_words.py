"""Born-dead words: how likely a ReLU network is born dead, in sentences, and what to change."""

from __future__ import annotations

from nnlab.born_dead import born_dead_at_one_input
from nnlab.born_dead_curves import Place
from nnlab.numerals import near_one, percent

RARE = 0.01
COMPARED, COMPARED_TOO = 10, 20  # widths of the comparison


def chance(probability: float) -> str:
    """Write a probability with two digits, and close to 1 by what it lacks."""
    return near_one(probability) if probability > 1 - RARE else f"{probability:.2g}"


def shape_words(depth: int, width: int) -> str:
    """Name a shape: "10 layers deep and 2 wide"."""
    return f"{depth} layer{'s' if depth > 1 else ''} deep and {width:,} wide"


def width_for(depth: int, probability: float = RARE) -> int:
    """Give the smallest width at which fewer than this share of networks are dead at one given input."""
    width = 1
    while born_dead_at_one_input([width] * depth) >= probability:
        width += 1
    return width


def born_dead_words(place: Place) -> list[str]:
    """Say how likely networks of one shape are born dead, and how to lower it."""
    depth, width = place.depth, place.width
    other = COMPARED if width != COMPARED else COMPARED_TOO
    told, compared = chance(place.one_input), chance(born_dead_at_one_input([other] * depth))
    sentences = [
        f"A ReLU network {shape_words(depth, width)} is born dead with probability {told}; "
        f"at width {other} it is {compared}. Dead means: for a given input some layer has all its units off, "
        "so that nothing reaches the output and no gradient comes back."
    ]
    low, high = chance(place.bounds.low), chance(place.bounds.high)
    said = f"between {low} and {high}" if low != high else low
    drawn = place.drawn
    found = f"; of {drawn.draws:,} drawn ones it is {percent(drawn.share)}" if drawn is not None else ""
    sentences.append(
        "Networks with one input number that are dead for every input are fewer: with probability "
        f"{said} by the published bounds{found}."
    )
    wanted = width_for(depth)
    if place.one_input >= RARE:
        sentences.append(
            f"What helps: {wanted} units in each layer bring it below 1 %. Also fewer layers, an activation "
            "whose slope is never 0 (Leaky ReLU, ELU), biases above 0, or residual connections, which lead "
            "past a layer that is off."
        )
    else:
        sentences.append(f"At this depth {wanted} units in each layer are enough to keep it below 1 %.")
    return sentences


def chosen_words(depth: int, width: int) -> str:
    """Say the same of the network that the page looks at."""
    probability = born_dead_at_one_input([width] * depth)
    never = "" if probability > 1e-12 else ", which is never in practice"
    said = chance(probability) if probability else "below 1e-300"
    return (
        f"The network chosen above, {shape_words(depth, width)}, would be born dead with probability {said} "
        f"if it had ReLU and no biases{never}."
    )
