"""layer_chain: the layers of an MLP, found among named tensors by their names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

MAX_LAYERS = 200
# 64 examples times this many units are still only 5 MB a quantity.
MAX_UNITS = 20_000
EPSILON = 1e-5  # PyTorch's default of both normalizations

STATISTICS = ("running_mean", "running_var")
PARTS = ("weight", "bias", *STATISTICS)
# What people call the ends of a network, whatever the alphabet says.
FIRST_WORDS = frozenset({"in", "input", "inputs", "stem", "first"})
LAST_WORDS = frozenset({"out", "output", "outputs", "head", "classifier", "final", "last", "logits"})
LISTED = 6  # names in a sentence


class NoChain(ValueError):
    """The tensors are no MLP; the message says why."""


@dataclass(frozen=True)
class Norm:
    """A normalization of one layer's units; every array has shape (units,).

    `mean` and `variance` are batch normalization's stored statistics, None for layer normalization.
    `is_behind` says that it normalizes what the activation gives, not what it takes.
    """

    name: str
    weight: np.ndarray | None
    bias: np.ndarray | None
    mean: np.ndarray | None = None
    variance: np.ndarray | None = None
    is_behind: bool = False

    @property
    def kind(self) -> str:
        """Which one it is, as ExperimentConfig calls it."""
        return "layer" if self.mean is None else "batch"

    @property
    def units(self) -> int:
        """How many units it normalizes."""
        return next(len(part) for part in (self.weight, self.mean) if part is not None)


@dataclass(frozen=True)
class Stage:
    """One layer: weight (fan_out, fan_in), bias (fan_out,) or None, and its normalization."""

    name: str
    weight: np.ndarray
    bias: np.ndarray | None
    norm: Norm | None = None

    @property
    def fan_in(self) -> int:
        """Number of inputs."""
        return int(self.weight.shape[1])

    @property
    def fan_out(self) -> int:
        """Number of units."""
        return int(self.weight.shape[0])


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Give a key that sorts layers.2 before layers.10."""
    parts = re.split(r"([0-9]+)", name)  # every second one is a number
    return tuple((int(part), "") if place % 2 else (-1, part) for place, part in enumerate(parts))


def _by_use(name: str) -> tuple[int, tuple[tuple[int, str], ...]]:
    words = set(re.split(r"[^a-z]+", name.lower()))
    return (bool(words & LAST_WORDS) - bool(words & FIRST_WORDS), natural(name))


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"[0-9]+", name))


def _pattern(name: str) -> str:
    return re.sub(r"[0-9]+", "#", name)


def listed(names: Sequence[str]) -> str:
    """Write names in a sentence, many of them shortened."""
    if len(names) > LISTED:
        names = [*names[: LISTED - 2], "...", names[-1]]
    return ", ".join(name if len(name) <= 60 else name[:57] + "..." for name in names)


def _said(name: str, part: str, tensor: np.ndarray) -> str:
    return f"{f'{name}.{part}'.lstrip('.')[:100]!r} {tensor.shape}"


def _grouped(tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Gather the tensors of one module."""
    groups: dict[str, dict[str, np.ndarray]] = {}
    for label, tensor in tensors.items():
        name, _, part = label.rpartition(".")
        if part not in PARTS:
            raise NoChain(
                f"tensor {label[:100]!r} {tensor.shape} belongs to no MLP, whose tensors are called "
                f"{', '.join(PARTS)}; in Python, nnlab.diagnose takes any model"
            )
        groups.setdefault(name, {})[part] = tensor
    return groups


def _read_linear(name: str, parts: Mapping[str, np.ndarray]) -> Stage:
    weight, bias = parts["weight"], parts.get("bias")
    if weight.ndim != 2:
        raise NoChain(
            f"tensor {_said(name, 'weight', weight)} has {weight.ndim} dimensions; an MLP's weights have 2; "
            "in Python, nnlab.diagnose takes any model"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise NoChain(
            f"{_said(name, 'weight', weight)} and {_said(name, 'bias', bias)} do not fit each other"
        )
    return Stage(name, weight, bias)


def _read_norm(name: str, parts: Mapping[str, np.ndarray]) -> Norm:
    mean, variance = (parts.get(part) for part in STATISTICS)
    weight, bias = parts.get("weight"), parts.get("bias")
    if (mean is None) != (variance is None) or (weight is None) != (bias is None):
        there = ", ".join(parts)
        raise NoChain(f"{name[:100]!r} has only {there}: which normalization it is cannot be told")
    if len({part.shape for part in parts.values()}) > 1 or next(iter(parts.values())).ndim != 1:
        said = " and ".join(_said(name, part, tensor) for part, tensor in parts.items())
        raise NoChain(f"{said} do not fit each other")
    return Norm(name, weight, bias, mean, variance)


def _read_modules(groups: Mapping[str, Mapping[str, np.ndarray]]) -> tuple[dict[str, Stage], dict[str, Norm]]:
    stages, norms = {}, {}
    for name, parts in groups.items():
        has_statistics = any(part in parts for part in STATISTICS)
        if not has_statistics and "weight" not in parts:
            raise NoChain(f"{_said(name, 'bias', parts['bias'])} is a bias without a weight")
        if has_statistics or parts["weight"].ndim == 1:
            norms[name] = _read_norm(name, parts)
        else:
            stages[name] = _read_linear(name, parts)
    return stages, norms


def _check_chain(stages: Sequence[Stage]) -> None:
    if len(stages) < 2:
        count = "one 2-D weight" if stages else "no 2-D weight"
        raise NoChain(f"it holds {count}; an MLP with a hidden layer has at least two")
    for before, after in pairwise(stages):
        if before.fan_out != after.fan_in:
            raise NoChain(
                f"{_said(before.name, 'weight', before.weight)} gives {before.fan_out} values and "
                f"{_said(after.name, 'weight', after.weight)}, which comes next, takes {after.fan_in}: "
                "the layers do not follow each other"
            )
    units = sum(stage.fan_out for stage in stages)
    if len(stages) > MAX_LAYERS or units > MAX_UNITS:
        raise NoChain(
            f"{len(stages)} layers of together {units:,} units; at most {MAX_LAYERS} and {MAX_UNITS:,}"
        )


def _by_numbers(norms: Mapping[str, Norm], stages: Sequence[Stage]) -> dict[str, Norm] | None:
    """Pair bn1 with fc1; None unless every normalization has one partner of its own."""
    partners: dict[tuple[int, ...], list[str]] = {(): []}
    for stage in stages:
        partners.setdefault(_numbers(stage.name), []).append(stage.name)
    pairs: dict[str, Norm] = {}
    for norm in norms.values():
        numbers = _numbers(norm.name)
        found = partners.get(numbers, []) if numbers else []
        if len(found) != 1 or found[0] in pairs:
            return None
        pairs[found[0]] = norm
    return pairs


def _by_place(norms: Mapping[str, Norm], stages: Sequence[Stage], order: Sequence[str]) -> dict[str, Norm]:
    """Pair a normalization with the layer before it, where names or the file say what comes before."""
    pairs: dict[str, Norm] = {}
    latest = ""
    has_stage = False
    names = {stage.name for stage in stages}
    for name in order:
        if name in names:
            latest, has_stage = name, True
        elif not has_stage or latest in pairs or _pattern(latest) != _pattern(name):
            raise NoChain(
                f"which layer the normalization {name[:100]!r} follows cannot be told from the names"
            )
        else:
            gap = _numbers(name)[-1:] > tuple(n + 1 for n in _numbers(latest)[-1:])
            pairs[latest] = replace(norms[name], is_behind=gap)
    return pairs


def _with_norms(
    stages: Sequence[Stage], norms: Mapping[str, Norm], order: Sequence[str]
) -> tuple[Stage, ...]:
    if not norms:
        return tuple(stages)
    pairs = _by_numbers(norms, stages)
    pairs = _by_place(norms, stages, order) if pairs is None else pairs
    for stage in stages:
        norm = pairs.get(stage.name)
        if norm is not None and norm.units != stage.fan_out:
            raise NoChain(
                f"the normalization {norm.name[:100]!r} is for {norm.units} units, but "
                f"{_said(stage.name, 'weight', stage.weight)} before it has {stage.fan_out}"
            )
    if stages[-1].name in pairs:
        raise NoChain(f"the normalization {pairs[stages[-1].name].name[:100]!r} follows the last layer")
    return tuple(replace(stage, norm=pairs.get(stage.name)) for stage in stages)


def find_stages(tensors: Mapping[str, np.ndarray], order: Sequence[str] = ()) -> tuple[Stage, ...]:
    """Find an MLP's layers from input to output.

    Args:
        tensors: by name, as PyTorch names them: "net.0.weight".
        order: the tensors' names in the order of their use where it is known; else names are sorted.

    Raises:
        NoChain: the tensors are no MLP, or which one cannot be told.
    """
    groups = _grouped(tensors)
    stages, norms = _read_modules(groups)
    names = list(dict.fromkeys(label.rpartition(".")[0] for label in order)) or sorted(groups, key=_by_use)
    chain = [stages[name] for name in names if name in stages]
    _check_chain(chain)
    return _with_norms(chain, norms, names)


def describe(stages: Sequence[Stage], *, is_as_listed: bool) -> tuple[str, ...]:
    """Say what names and shapes alone do not tell, and how it was taken."""
    how = "in which the file lists them" if is_as_listed else "of their names"
    names = listed([stage.name or "weight" for stage in stages])
    notes = [f"The layers are taken in the order {how}: {names}."]
    notes.append(
        "A file of weights says neither activations nor connections: the chosen activation stands after "
        "every layer but the last, and no layer's input is added to its output."
    )
    norms = [stage.norm for stage in stages if stage.norm is not None]
    for is_behind, place in (
        (False, "before the activation"),
        (True, "behind the activation, by its number"),
    ):
        for kind, how in (("batch", "its stored statistics"), ("layer", "no stored statistics")):
            names = listed([n.name for n in norms if (n.kind, n.is_behind) == (kind, is_behind)])
            if names:
                notes.append(
                    f"Taken as {kind} normalization {place}, with {how} and epsilon {EPSILON:g}: {names}."
                )
    return tuple(notes)
