"""The split into training and test rows, the same for every seed of an experiment.

The rows are those of scikit-learn's train_test_split with random_state=0, draw by draw; importing it for
this costs a server 90 MB. NumPy keeps the streams of RandomState as they are (NEP 19).
"""

from __future__ import annotations

import numpy as np

TEST_SHARE = 0.2
SPLIT_SEED = 0  # one split for all seeds, so that seeds differ in weights and batches only

Rows = tuple[np.ndarray, np.ndarray]


def _shares(class_counts: np.ndarray, total: int, draws: np.random.RandomState) -> np.ndarray:
    """Give how many of each class make `total`, in proportion; ties of the last ones are drawn."""
    exact = class_counts / class_counts.sum() * total
    counts = np.floor(exact)
    missing = int(total - counts.sum())
    remainders = exact - counts
    for value in np.unique(remainders)[::-1]:
        if missing <= 0:
            break
        tied = np.flatnonzero(remainders == value)
        taken = min(len(tied), missing)
        counts[draws.choice(tied, size=taken, replace=False)] += 1
        missing -= taken
    return counts.astype(int)


def stratified(y: np.ndarray) -> Rows:
    """Give the training and the test rows, with the classes of y (examples,) in proportion in both."""
    draws = np.random.RandomState(SPLIT_SEED)
    _, numbers, counts = np.unique(y, return_inverse=True, return_counts=True)
    rows_of = np.split(np.argsort(numbers, kind="stable"), np.cumsum(counts)[:-1])
    n_test = int(np.ceil(len(y) * TEST_SHARE))
    n_train = _shares(counts, len(y) - n_test, draws)
    n_tested = _shares(counts - n_train, n_test, draws)
    shuffled = [rows[draws.permutation(len(rows))] for rows in rows_of]
    train = [rows[:n] for rows, n in zip(shuffled, n_train, strict=True)]
    test = [rows[n : n + m] for rows, n, m in zip(shuffled, n_train, n_tested, strict=True)]
    return draws.permutation(np.concatenate(train)), draws.permutation(np.concatenate(test))


def at_random(examples: int) -> Rows:
    """Give the training and the test rows of so many examples."""
    rows = np.random.RandomState(SPLIT_SEED).permutation(examples)
    n_test = int(np.ceil(examples * TEST_SHARE))
    return rows[n_test:], rows[:n_test]
