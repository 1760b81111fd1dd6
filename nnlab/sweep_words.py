"""sweep_words: what a sweep found, in sentences: what still trains, what is best, where the signal dies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from nnlab.config import FIELDS
from nnlab.numerals import percent
from nnlab.rules import EXPLODING_WARN, VANISHING_WARN
from nnlab.sweep_row import LEARNED_ACCURACY
from nnlab.sweep_summary import SEED, Spot, SweptRuns, spots, value_words

MOST_NAMED = 6  # values in one sentence
_LEARNED = f"{LEARNED_ACCURACY:.0%}".replace("%", " %")


@lru_cache(maxsize=16)
def findings(swept: SweptRuns) -> tuple[str, ...]:
    """Say what a sweep found, in sentences of Markdown, the answer first; empty without finished runs.

    "Trains" means that the median of the seeds has 90 % of the test split right at the end.
    """
    shown = swept.fields or (SEED,)
    accuracy = spots(swept, "test_accuracy", shown)
    if not accuracy:
        return ()
    if not any(spot.state in ("value", "zero") for spot in accuracy):
        return (_nothing_measured(accuracy),)
    return (*_what_trains(swept, shown, accuracy), *_signal(swept, shown, accuracy), *_failures(accuracy))


def _trains(spot: Spot) -> bool:
    return spot.median >= LEARNED_ACCURACY  # never of NaN


def _nothing_measured(found: Sequence[Spot]) -> str:
    if all(spot.state == "failed" for spot in found):
        return "No run could be trained."
    return "There is no test accuracy to compare: these data have no classes, or no answer was a number."


def _what_trains(swept: SweptRuns, shown: Sequence[str], found: Sequence[Spot]) -> list[str]:
    best = max((spot for spot in found if not math.isnan(spot.median)), key=lambda spot: spot.median)
    where = _where(shown, best)
    if not any(map(_trains, found)):
        return [
            f"**Nothing here trains**: no choice reaches {_LEARNED} of the test split. "
            f"The best is {where} with {percent(best.median)}."
        ]
    numeric = [name for name in shown if _is_numeric(name)]
    said = [f"The best is {where} with **{percent(best.median)}** of the test split right."]
    if len(shown) == 2 and numeric:
        # Of two numbers the one named last, as a picture shows it from left to right.
        along = numeric[-1]
        other = next(name for name in shown if name != along)
        return [_by_value(swept, other, along, found, shown), *said]
    good = [spot for spot in found if _trains(spot)]
    named = _listed([_where(shown, spot) for spot in good])
    count = "All" if len(good) == len(found) else f"{len(good)} of {len(found)}"
    return [
        f"**{count} train{'s' * (len(good) == 1)}** (at least {_LEARNED} of the test split right): {named}.",
        *said,
    ]


def _by_value(swept: SweptRuns, other: str, along: str, found: Sequence[Spot], shown: Sequence[str]) -> str:
    """Say for each value of one field where along another, numeric one, it trains."""
    label = FIELDS[along].label.lower()
    reach: dict[str, list[str]] = {}
    for value in swept.axes[other]:
        mine = [spot for spot in found if spot.values[shown.index(other)] == value]
        if mine:
            reach.setdefault(_reach(mine, shown.index(along), along), []).append(_named(other, value))
    parts = [f"{_listed(names)} {reached}" for reached, names in reach.items()]
    return f"**Which {label} trains** (at least {_LEARNED} of the test split right): {'; '.join(parts)}."


def _reach(found: Sequence[Spot], place: int, along: str) -> str:
    ordered = sorted(found, key=lambda spot: spot.values[place])
    good = [spot.values[place] for spot in ordered if _trains(spot)]
    values = [spot.values[place] for spot in ordered]
    if not good:
        return "**at none**"
    if len(good) == len(values):
        return "**at all**"
    first, last = values.index(good[0]), values.index(good[-1])
    if good != values[first : last + 1]:
        return f"**at {_listed([value_words(along, value) for value in good])}**"
    if first == 0:
        return f"**up to {value_words(along, good[-1])}**"
    if last == len(values) - 1:
        return f"**from {value_words(along, good[0])} on**"
    if first == last:
        return f"**at {value_words(along, good[0])} only**"
    return f"**from {value_words(along, good[0])} to {value_words(along, good[-1])}**"


def _signal(swept: SweptRuns, shown: Sequence[str], accuracy: Sequence[Spot]) -> list[str]:
    """Say in how many combinations the error signal is lost or grows, and what became of them."""
    ratios = spots(swept, "gradient_ratio", shown)
    trained = {spot.values for spot in accuracy if _trains(spot)}
    lost = [spot for spot in ratios if spot.median < VANISHING_WARN]
    grown = [spot for spot in ratios if spot.median > EXPLODING_WARN]
    said = []
    if lost:
        also = sum(spot.values not in trained for spot in lost)
        said.append(
            f"The error signal that reaches layer 1 ends below 1/{1 / VANISHING_WARN:.0f} of the last hidden "
            f"layer's in {len(lost)} of {len(ratios)} combinations; {_of_them(also, len(lost))}."
        )
    if grown:
        also = sum(spot.values not in trained for spot in grown)
        said.append(
            f"It ends above {EXPLODING_WARN:.0f} times the last hidden layer's in {len(grown)} of "
            f"{len(ratios)}; {_of_them(also, len(grown))}."
        )
    return said


def _of_them(idle: int, total: int) -> str:
    if idle == total:
        return "none of these trains"
    return f"{idle} of these do not train" if idle else "all of these train all the same"


def _failures(found: Sequence[Spot]) -> list[str]:
    failed = sum(spot.failed for spot in found)
    lost = sum(spot.lost - spot.failed for spot in found)
    said = [f"{failed} run{'s' * (failed != 1)} could not be trained."] if failed else []
    return said + ([f"{lost} run{'s' * (lost != 1)} ended without a test accuracy."] if lost else [])


def _where(shown: Sequence[str], spot: Spot) -> str:
    """Name a combination: "Tanh at depth 20", "LSUV, residual true"."""
    pairs = sorted(zip(shown, spot.values, strict=True), key=lambda pair: FIELDS[pair[0]].kind != "choice")
    said = _named(*pairs[0])
    for name, value in pairs[1:]:
        said += f"{' at ' if _is_numeric(name) else ', '}{_named(name, value)}"
    return said


def _is_numeric(field: str) -> bool:
    return FIELDS[field].kind in ("integer", "number")


def _named(field: str, value: Any) -> str:
    words = value_words(field, value)
    return words if FIELDS[field].kind == "choice" else f"{FIELDS[field].label.lower()} {words}"


def _listed(words: Sequence[str]) -> str:
    if len(words) > MOST_NAMED:
        return f"{', '.join(words[:MOST_NAMED])} and {len(words) - MOST_NAMED} more"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
