"""forecast: what signal theory expects of a network before its first update, beside what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from nnlab.config import ExperimentConfig
from nnlab.initializers import INITIALIZERS
from nnlab.numerals import percent, scientific
from nnlab.remedies import Change
from nnlab.run import Run
from nnlab.signal_theory import predict_signal

if TYPE_CHECKING:
    import pandas as pd

# Yang et al. 2019 take a batch's mean and variance for those of all inputs: of 32 examples a variance is off
# by a quarter (the root of 2/31), of 64 by less than a fifth.
SMALL_BATCH = 64
# Hanin 2018, for ReLU: the logarithm of a signal's squared length scatters from network to network with a
# variance of about 5 depth / width; beyond 1 one of them says little about all.
SCATTER = 5
CAVEAT = (
    "Theory is exact for endlessly wide layers and standardized inputs; single networks scatter around it."
)


@dataclass(frozen=True)
class Forecast:
    """What theory expects at the initial weights; `saturation` is the worst layer's."""

    gradient_ratio: float
    vanishing_index: float
    saturation: float


@lru_cache(maxsize=256)
def forecast(config: ExperimentConfig, n_inputs: int | None = None) -> Forecast:
    """Predict R, the vanishing index and the worst saturation of an experiment's network.

    Raises:
        ValueError: the dataset is a CSV file and `n_inputs` is missing.
    """
    theory = predict_signal(config, n_inputs=n_inputs)
    shares = [layer.saturation for layer in theory.layers]
    known = [share for share in shares if not math.isnan(share)]
    return Forecast(theory.gradient_ratio, theory.vanishing_index, max(known, default=math.nan))


def _inputs(run: Run) -> int:
    return run.layers[0].weight_shape[1]


def limits(config: ExperimentConfig) -> tuple[str, ...]:
    """Say what theory cannot know of an experiment's network; () where it holds as it is."""
    said = []
    if config.activation == "step":
        said.append("The step function has slope 0: theory expects no error signal at all, in any layer.")
    if INITIALIZERS[config.initializer].fitted_to_data:
        said.append("LSUV fits the weights to the data within 10 %, which theory takes as exact.")
    if config.normalization == "batch" and config.batch_size < SMALL_BATCH:
        said.append(
            f"For batch normalization theory takes large batches; these have {config.batch_size} examples."
        )
    elif config.normalization == "batch":
        said.append(
            "For batch normalization theory takes examples as unlike each other; in data some are alike."
        )
    if SCATTER * config.depth > config.width:
        said.append(
            f"{config.depth} layers of {config.width} units: one network can scatter widely around theory."
        )
    return tuple(said)


def _arrow(before: float, after: float) -> str:
    return f"{scientific(before)} → {scientific(after)}"


def expectation(run: Run, change: Change) -> str:
    """Say before a remedy is tried what theory expects it to do to R."""
    if run.config is None:
        raise ValueError(
            "run: a model that nnlab did not build has no theory here; allowed: a run of the lab"
        )
    changed = run.config.replace(**change)
    one, other = (forecast(config, _inputs(run)) for config in (run.config, changed))
    if set(change) <= {"learning_rate"}:
        return (
            "Theory is about the start, before the first step, which a learning rate does not change: it "
            f"expects R = {scientific(other.gradient_ratio)} there, before and after."
        )
    if math.isnan(other.gradient_ratio) or math.isinf(other.gradient_ratio):
        return "Theory cannot follow this signal: it leaves the range of numbers."
    words = f"from {scientific(one.gradient_ratio)} to {scientific(other.gradient_ratio)}"
    return f"Theory expects R to go {words} at the start."


def at_start(run: Run) -> Forecast:
    """Give what was measured before the first update."""
    first = run.records[0]
    saturation = first.layers["saturation"][: run.depth]
    known = [float(share) for share in saturation if not math.isnan(share)]
    return Forecast(
        first.network["gradient_ratio"], first.network["vanishing_index"], max(known, default=math.nan)
    )


def _pairs(before: Run, after: Run) -> tuple[tuple[Forecast, Forecast], tuple[Forecast, Forecast]]:
    """Give what was predicted, before and after, and what was measured."""
    assert before.config is not None
    assert after.config is not None
    predicted = (forecast(before.config, _inputs(before)), forecast(after.config, _inputs(after)))
    return predicted, (at_start(before), at_start(after))


def in_words(before: Run, after: Run) -> str:
    """Say what R was predicted to be before the first update of two runs, and what it was."""
    predicted, measured = _pairs(before, after)
    said = _arrow(*(side.gradient_ratio for side in predicted))
    found = _arrow(*(side.gradient_ratio for side in measured))
    return f"Before the first update: predicted R {said}, measured {found}."


def beside(before: Run, after: Run) -> pd.DataFrame:
    """Give theory beside measurement at step 0: "before → after" in the columns predicted and measured."""
    import pandas as pd  # the first paint, which says what theory expects, does without

    predicted, measured = _pairs(before, after)
    rows = {
        "Signal at layer 1 (R)": [
            _arrow(*(s.gradient_ratio for s in side)) for side in (predicted, measured)
        ],
        "Vanishing index (decades a layer)": [
            _arrow(*(s.vanishing_index for s in side)) for side in (predicted, measured)
        ],
        "Worst saturation (for ReLU: inactive)": [
            " → ".join(percent(s.saturation) for s in side) for side in (predicted, measured)
        ],
    }
    return pd.DataFrame(
        {
            "at the start": list(rows),
            "predicted": [cells[0] for cells in rows.values()],
            "measured": [cells[1] for cells in rows.values()],
        }
    )
