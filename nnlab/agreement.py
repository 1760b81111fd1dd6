"""Agreement: a few numbers of drawn networks against theory, with the relative deviation in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nnlab.ensemble import Ensemble
from nnlab.numerals import percent, scientific
from nnlab.prediction import Prediction

if TYPE_CHECKING:
    import pandas as pd

# What drawn networks are held to: a variance at width 500, a ratio over ten layers at width 100.
CLOSE, FAR = 0.10, 0.25
MUCH = 1.5  # a factor that says more than a share: "3.2 times", not "220 %"
ROUNDING = 1e-6  # of a percent: 3.0000000003 is 3
ERRORS = 2.0  # standard errors within which 95 % of chance lies


@dataclass(frozen=True)
class Agreement:
    """One quantity: theory's number, and the geometric mean of the networks' with their range.

    `chance` is by what share the mean would move with other seeds, two standard errors; nan for one network.
    `undefined` counts networks whose number is 0 or not finite: they are in no mean. `zeros` counts the
    exact zeros among them.
    """

    quantity: str
    theory: float
    measured: float
    low: float
    high: float
    chance: float
    undefined: int
    zeros: int
    networks: int

    @property
    def deviation(self) -> float:
        """Measured over theory, less 1; nan where it has no meaning."""
        if not (0 < self.theory < math.inf and 0 < self.measured < math.inf):
            return math.nan
        return self.measured / self.theory - 1

    @property
    def is_apart(self) -> bool:
        """Whether the two differ by more than is usual and more than chance explains."""
        return self._size > math.log1p(max(CLOSE, 0.0 if math.isnan(self.chance) else self.chance))

    @property
    def _size(self) -> float:
        if math.isnan(self.deviation):
            return math.nan
        return abs(math.log(self.measured) - math.log(self.theory))

    @property
    def words(self) -> str:
        """How well the two agree, in a few words."""
        if self.theory == 0 and self.zeros and math.isnan(self.measured):
            return "agrees: both exactly 0"
        if math.isnan(self.deviation):
            return "cannot be compared: a number is 0 or not finite"
        factor = math.exp(self._size)
        share = f"{max(1, math.ceil(100 * abs(self.deviation) - ROUNDING))} %"
        if abs(self.deviation) <= CLOSE:
            return f"agrees within {share}"
        if self._size <= math.log1p(self.chance or 0.0):
            return f"agrees within chance: {share} apart"
        if factor >= MUCH:
            return f"differs: {scientific(factor)} times {'more' if self.deviation > 0 else 'less'}"
        return f"{'close' if abs(self.deviation) <= FAR else 'differs'}: {share} apart"


def agreement(quantity: str, theory: float, values: np.ndarray) -> Agreement:
    """Compare one number of theory with one of each network, values (networks,), in the logarithm."""
    usable = values[np.isfinite(values) & (values > 0)]
    logs = np.log(usable)
    error = logs.std(ddof=1) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    has_mean = len(logs) > 0
    return Agreement(
        quantity=quantity,
        theory=float(theory),
        measured=float(np.exp(logs.mean())) if has_mean else math.nan,
        low=float(usable.min()) if has_mean else math.nan,
        high=float(usable.max()) if has_mean else math.nan,
        chance=float(np.expm1(ERRORS * error)),
        undefined=len(values) - len(usable),
        zeros=int((values == 0).sum()),
        networks=len(values),
    )


def agreements(prediction: Prediction, ensemble: Ensemble) -> tuple[Agreement, ...]:
    """Compare what reaches layer 1, its change a layer, and the last layer's variances and slopes."""
    depth = prediction.network.config.depth
    found = []
    if depth > 1:
        index = ensemble.whole["vanishing_index"]
        reached = ensemble.layers["relative_to_last_hidden"][:, 0]
        with np.errstate(over="ignore"):
            changes = 10.0**-index
        expected = 10.0**-prediction.signal.vanishing_index
        found = [
            agreement(
                "Error signal at layer 1, of the last layer's", prediction.signal.gradient_ratio, reached
            ),
            agreement("Its change a layer, backward", expected, changes),
        ]
    for words, metric, power in (
        (f"Variance of z in layer {depth}", "pre_activation_std", 2),
        (f"Variance of h in layer {depth}", "activation_std", 2),
        (f"Mean squared slope in layer {depth}", "slope_power", 1),
    ):
        found.append(
            agreement(words, prediction.curve(metric)[-1] ** power, ensemble.layers[metric][:, -1] ** power)
        )
    return tuple(found)


def agreement_table(found: tuple[Agreement, ...]) -> pd.DataFrame:
    """Give the comparison as text, one row a quantity."""
    import pandas as pd  # takes a third of a second to load

    return pd.DataFrame(
        [
            {
                "Quantity": one.quantity,
                "Verdict": one.words,
                "Theory": scientific(one.theory),
                "Measured": scientific(one.measured),
                "Lowest": scientific(one.low),
                "Highest": scientific(one.high),
                "Deviation": _signed(one.deviation),
                "Chance": _spread(one.chance),
            }
            for one in found
        ]
    )


def _signed(deviation: float) -> str:
    if math.isnan(deviation):
        return "undefined"
    return f"{'-' if deviation < 0 else '+'}{percent(abs(deviation))}"


def _spread(chance: float) -> str:
    if math.isnan(chance):
        return "unknown"
    return f"a factor of {scientific(1 + chance)}" if 1 + chance >= MUCH else f"± {percent(chance)}"
