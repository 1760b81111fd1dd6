"""Linear task: scanned digits as a linear network learns them, with inputs that are uncorrelated."""

from __future__ import annotations

import numpy as np

from nnlab.config import ExperimentConfig
from nnlab.datasets import load_dataset

# Directions that vary less than this share of the widest hold nothing but rounding (pixels always blank).
NOTHING = 1e-6


def digits_task() -> np.ndarray:
    """Give the correlation of one-hot classes with whitened pixels, both centered; shape (classes, inputs).

    A linear map W then has the mean squared error |W - task|^2 and a constant: the task is all that gradient
    descent on the whole training split ever sees of the digits.
    """
    data = load_dataset(ExperimentConfig(dataset="digits"))
    x = data.x_train.astype(np.float64)
    y = np.eye(len(data.classes))[data.y_train]
    left, lengths, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    whitened = left[:, lengths > NOTHING * lengths[0]] * np.sqrt(len(x))
    return (y - y.mean(axis=0)).T @ whitened / len(x)
