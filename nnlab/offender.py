"""offender: the first tensor of a step that is not finite, by name, and how many of its numbers are not."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def counted(name: str, values: torch.Tensor) -> str:
    """Name a tensor with its numbers that are not finite: "output.bias (3 NaN, 1 inf of 64)"."""
    kinds = {"NaN": values.isnan(), "inf": values == torch.inf, "-inf": values == -torch.inf}
    found = {kind: int(where.sum()) for kind, where in kinds.items()}
    words = ", ".join(f"{count:,} {kind}" for kind, count in found.items() if count)
    return f"{name} ({words} of {values.numel():,})"


def is_finite(values: torch.Tensor) -> bool:
    """Whether every number of a tensor is finite."""
    return bool(dense(values).isfinite().all())


def dense(values: torch.Tensor) -> torch.Tensor:
    """Give the numbers that a tensor stores."""
    return values.coalesce().values() if values.is_sparse else values


def first_bad(named: Sequence[tuple[str, torch.Tensor]]) -> str | None:
    """Name the first tensor that is not finite, with its counts; None where all are finite."""
    return next((counted(name, dense(values)) for name, values in named if not is_finite(values)), None)
