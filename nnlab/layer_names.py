"""layer_names: the names of a model's modules: their blocks, and a short form for an axis."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

SHORT = 22  # characters; an axis label of these takes 130 pixels, a third of a phone's width
SHORTEST_WORD = 2
GAP = "…"
_FOLDED = re.compile(r"(.*) \((\d+) layers, worst: .*\)", re.DOTALL)


def shortened(name: str, limit: int = SHORT) -> str:
    """Shorten the longest words first, so that numbers stay: "trans.h.10.attn.c_attn"."""
    parts = name.split(".")
    while len(".".join(parts)) > limit:
        longest = max(range(len(parts)), key=lambda place: len(parts[place]))
        if len(parts) == 1 or len(parts[longest]) <= SHORTEST_WORD:
            return _without_middle(".".join(parts), limit)
        parts[longest] = parts[longest][:-1]
    return ".".join(parts)


def _without_middle(name: str, limit: int) -> str:
    """Keep most of the end, where modules differ."""
    kept = limit - len(GAP)
    tail = 2 * kept // 3
    return f"{name[: kept - tail]}{GAP}{name[len(name) - tail :]}"


def folded_name(block: str, count: int, worst: str) -> str:
    """Name a block of layers that is shown by its worst one."""
    return f"{block} ({count} layers, worst: {worst})"


def axis_word(name: str) -> str:
    """Give what fits beside a picture: a block's name with the number of its layers, else the name."""
    found = _FOLDED.fullmatch(name)
    if found is None:
        return shortened(name)
    count = f" ×{found[2]}"
    return shortened(found[1], SHORT - len(count)) + count


def block_of(name: str, levels: int) -> str:
    """Give the first parts of a module's name: "transformer.h.7" for 3 of "transformer.h.7.mlp.c_fc"."""
    return ".".join(name.split(".")[:levels])


def blocks(names: Sequence[str], levels: int) -> list[tuple[str, list[int]]]:
    """Group neighbors of the same block: its name, and the positions of its layers."""
    numbered = enumerate(names)
    grouped = groupby(numbered, key=lambda pair: block_of(pair[1], levels))
    return [(block, [place for place, _ in group]) for block, group in grouped]


def depth_of(names: Sequence[str]) -> int:
    """Give the number of parts of the longest name."""
    return max((len(name.split(".")) for name in names), default=0)
