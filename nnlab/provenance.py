"""provenance: with what a run's numbers were computed, in a word for links and in words for pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# What the word in a link may look like; anybody may have written it.
_WORD = re.compile(r"[A-Za-z0-9.+]{1,40}_[A-Za-z0-9.+-]{1,40}", re.ASCII)


def made_with(environment: Mapping[str, Any]) -> str:
    """Give torch's version and the processor's kind, 2.13.0+cpu_AVX512, "" where they are not known."""
    word = f"{environment.get('torch', '')}_{environment.get('cpu_capability', '')}"
    return word if _WORD.fullmatch(word) else ""


def in_words(environment: Mapping[str, Any]) -> str:
    """Say what must be equal for the numbers to be equal bit for bit."""
    known = {name: environment.get(name, "unknown") for name in ("nnlab", "torch", "cpu_capability")}
    return f"nnlab {known['nnlab']} · torch {known['torch']} · {known['cpu_capability']} · one thread"


def difference(linked: str, environment: Mapping[str, Any]) -> str:
    """Say how a link's numbers were computed otherwise than a run's; "" where they were not."""
    here = made_with(environment)
    if not linked or not here or linked == here:
        return ""
    if not _WORD.fullmatch(linked):
        return "The link does not say in a way that can be read with what its numbers were made."
    there = linked.replace("_", " on ")
    return (
        f"The link's numbers were made with torch {there}, these with torch {here.replace('_', ' on ')}: "
        "they agree within rounding, which deep or unstable networks amplify, but not to the last digit."
    )
