"""Effective rank: how many directions a layer really uses."""

from __future__ import annotations

import math

import torch

# float64's eps times the modest factor of LAPACK's bound on symmetric eigenvalues.
EIGENVALUE_ROUNDING = 1e-15
# As close as float64 networks are compared with other programs.
RANK_TOLERANCE = 1e-10


def effective_rank(h: torch.Tensor) -> float:
    """Give exp of the entropy of the singular values' shares; h (examples, units) float64; NaN if undefined.

    Source: Roy & Vetterli 2007.
    """
    if not h.isfinite().all():
        return math.nan
    singular = quick_singular_values(h)
    if singular is None:
        singular = torch.linalg.svdvals(h)
    total = singular.sum()
    if total == 0:
        return math.nan
    share = singular[singular > 0] / total
    return float(torch.exp(-(share * share.log()).sum()))


def quick_singular_values(h: torch.Tensor) -> torch.Tensor | None:
    """Give the singular values of h (examples, units), float64, None where this way is not exact enough.

    They are the roots of the eigenvalues of h^T h, which takes half the time; but what rounding does to an
    eigenvalue, about 1e-15 of the largest one, weighs heavily in the root of a small one.
    """
    if h.shape[0] < h.shape[1]:
        return None
    eigenvalues = torch.linalg.eigvalsh(h.T @ h).flip(0)
    if not eigenvalues[0] > 0:
        return None
    rounding = eigenvalues[0] * EIGENVALUE_ROUNDING
    if not eigenvalues[-1] > rounding:
        return None
    singular = eigenvalues.sqrt()
    share = singular / singular.sum()
    wrong = rounding / (2 * singular) / singular.sum()
    return singular if float((wrong * (1 - share.log())).sum()) < RANK_TOLERANCE else None
