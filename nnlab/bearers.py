"""Bearers: the modules of a model that bear weights, and what they are called."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from nnlab.fused import FUSED

NORMALIZATIONS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)
# Layers of torch.nn that are one call of a function with their weight, and nothing else.
ONE_CALL = {
    nn.Linear: "linear", nn.Bilinear: "bilinear", nn.Embedding: "embedding", nn.EmbeddingBag: "embedding_bag",
    nn.Conv1d: "conv1d", nn.Conv2d: "conv2d", nn.Conv3d: "conv3d", nn.ConvTranspose1d: "conv_transpose1d",
    nn.ConvTranspose2d: "conv_transpose2d", nn.ConvTranspose3d: "conv_transpose3d",
}  # fmt: skip
LONGEST_NAME = 200  # a module's path in a large model has about 80 characters


def computes_weight(module: nn.Module) -> bool:
    """Whether a weight is no parameter but computed: by a parametrization or a hook, or as a property."""
    if nn.utils.parametrize.is_parametrized(module, "weight"):
        return True
    if isinstance(vars(module).get("weight"), torch.Tensor):
        return True
    return isinstance(getattr(type(module), "weight", None), property)


def is_weighted(module: nn.Module) -> bool:
    """Tell whether a module is a row of the frames: a weight of two or more dimensions."""
    if nn.utils.parametrize.is_parametrized(module, "weight"):
        # To ask for such a weight is to compute it, which changes what a spectral norm remembers.
        weight = next(module.parametrizations.weight.parameters(), None)  # type: ignore[union-attr]
    else:
        try:
            weight = getattr(module, "weight", None)
        except Exception:  # a property of the user's that cannot be asked for now
            weight = None
    return isinstance(weight, torch.Tensor) and weight.dim() >= 2 and not isinstance(module, NORMALIZATIONS)


def printable(name: str) -> str:
    """Give a module's name as one short line: the keys of a ModuleDict may be any text."""
    shown = name if name.isprintable() else name.encode("unicode_escape").decode()
    half = LONGEST_NAME // 2 - 1
    return shown if len(shown) <= LONGEST_NAME else f"{shown[:half]}…{shown[-half:]}"


def owners_of(model: nn.Module) -> dict[int, tuple[nn.Module | None, str]]:
    """Tell which module a parameter is of, under which name; None where several share it."""
    owners: dict[int, tuple[nn.Module | None, str]] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            owners[id(parameter)] = (None if id(parameter) in owners else module, name)
    return owners


def bearing(names: Mapping[nn.Module, str]) -> dict[nn.Module, str]:
    """Name the modules that bear weights, without the parts of fused ones."""
    inside = {part for module in names if isinstance(module, FUSED) for part in module.modules()}
    return {
        module: name or type(module).__name__
        for module, name in names.items()
        if isinstance(module, FUSED) or (is_weighted(module) and module not in inside)
    }
