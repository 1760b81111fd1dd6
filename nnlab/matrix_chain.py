"""Matrix chain: the singular values of a product of many matrices, each to its own leading digits.

Multiplied out in float64, a product of thirty random matrices has lost every singular value below 1e-14 of
its largest to rounding. Here the product is kept as Q D T with orthogonal columns Q, a diagonal D in
logarithms and a tame T (Stewart 1995), so that nothing small is ever added to something large.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Beyond e^600 below the largest float64 has no room; there the diagonal stands for the singular value.
ROOM, MARGIN = 600.0, 60.0
# e^-200 adds nothing to a number near 1, but numbers below e^-708 slow a processor down a hundredfold.
NOTHING = 200.0


def chain_singular_values(factors: Sequence[np.ndarray], ranks: Sequence[int] | None = None) -> np.ndarray:
    """Give log10 of the singular values of ... factors[1] @ factors[0], largest first; -inf for exact zeros.

    There are as many as factors[0] has columns. Rows of zeros, of units that are off, are left out before
    anything is computed: what they make 0 is exactly 0.

    Args:
        factors: matrices of float64, the one that is applied first at the beginning.
        ranks: the most that each factor can have, where that is less than its rows that are not zero.

    Raises:
        ValueError: there is no factor, shapes do not fit each other, or a number is not finite.
    """
    _check_factors(factors)
    count = factors[0].shape[1]
    q, logs, tame = np.eye(count), np.zeros(count), np.eye(count)
    for place, factor in enumerate(factors):
        alive = factor.any(axis=1)
        rank = min(len(logs), int(alive.sum()), ranks[place] if ranks else count)
        if not rank:
            return np.full(count, -np.inf)
        q, logs, tame = _absorb(factor[alive] @ q, logs, tame, rank)
        whole = np.zeros((len(factor), rank))
        whole[alive] = q
        q = whole
    found = _graded(logs, tame) / np.log(10)
    return np.concatenate([found, np.full(count - len(found), -np.inf)])


def _check_factors(factors: Sequence[np.ndarray]) -> None:
    if not len(factors):
        raise ValueError("factors: nothing is not allowed; allowed: one matrix or more")
    columns = factors[0].shape[-1]
    for place, factor in enumerate(factors):
        if factor.ndim != 2 or factor.shape[1] != columns:
            raise ValueError(
                f"factors: shape {factor.shape} at place {place} is not allowed; allowed: {columns} columns, "
                "as many as there are rows before"
            )
        if not np.isfinite(factor).all():
            raise ValueError(f"factors: a number at place {place} is not finite; allowed: finite numbers")
        columns = factor.shape[0]


def _absorb(
    product: np.ndarray, logs: np.ndarray, tame: np.ndarray, rank: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take product (rows, k), which is the next factor times Q, apart into the new Q, D and T.

    Large rows first, large columns first: then a QR decomposition spoils none of the small ones
    (Cox & Higham 1998).
    """
    with np.errstate(divide="ignore"):
        sizes = np.log(np.linalg.norm(product, axis=0)) + logs
    columns = np.argsort(-sizes, kind="stable")
    rows = np.argsort(-np.abs(product).max(axis=1), kind="stable")
    logs, tame = logs[columns], tame[columns]
    sorted_q, upper = np.linalg.qr(product[rows][:, columns])
    q = np.empty_like(sorted_q)
    q[rows] = sorted_q
    upper, q = upper[:rank], q[:, :rank]
    diagonal = np.abs(np.diagonal(upper)[:rank])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        apart = np.minimum(logs[None, :] - logs[:rank, None], ROOM)
        apart[apart < -NOTHING] = -np.inf
        share = np.where(diagonal[:, None] == 0, 0.0, upper / diagonal[:, None] * np.exp(apart))
        return q, logs[:rank] + np.log(diagonal), share @ tame


def _graded(logs: np.ndarray, tame: np.ndarray) -> np.ndarray:
    """Give the logarithms of the singular values of D T, largest first."""
    order = np.argsort(-logs, kind="stable")
    logs, tame = logs[order], tame[order]
    upper = np.linalg.qr(tame.T, mode="r")
    top = logs[0]
    if not np.isfinite(top):
        return np.full(len(logs), -np.inf)
    with np.errstate(divide="ignore"):
        rough = np.sort(logs + np.log(np.abs(np.diagonal(upper))))[::-1]
        scaled = upper * np.exp(np.maximum(logs - top, -ROOM - MARGIN))
        exact = top + np.log(np.linalg.svd(scaled, compute_uv=False))
    return np.where(exact - top > -ROOM, exact, rough)
