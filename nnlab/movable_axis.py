"""Movable axis: ends, ticks and words of a picture are data, so that it keeps its spec where they change.

The browser sets a picture up anew for every new spec, which takes it longer than to draw new data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from nnlab.chart import rows


def axis_frame(low: float, high: float, ticks: Sequence[float]) -> pd.DataFrame:
    """Give the dataset of an axis: a row for each tick, at least one, and the ends in all of them."""
    return pd.DataFrame({"tick": [float(tick) for tick in ticks], "low": float(low), "high": float(high)})


def ends_of(name: str, **options: Any) -> alt.Scale:
    """Give a scale from `low` to `high` of a dataset."""
    # A page draws a picture before it has its data, and a logarithmic scale must not begin at 0.
    row = f"(data('{name}')[0] || {{low: 1, high: 10}})"
    ends = [{"expr": f"{row}.low"}, {"expr": f"{row}.high"}]
    return alt.Scale(domain=ends, nice=False, **options)


def ticks_of(name: str) -> dict[str, str]:
    """Give the values of an axis: each `tick` of a dataset."""
    return {"expr": f"pluck(data('{name}'), 'tick')"}


def axis_layers(*names: str) -> list[alt.Chart]:
    """Draw nothing: Vega knows only datasets that are drawn."""
    return [alt.Chart(rows(name)).mark_point(opacity=0, size=0, aria=False) for name in names]


def words_frame(words: str) -> pd.DataFrame:
    """Give the dataset "said": a sentence for those who do not see the picture."""
    return pd.DataFrame({"said": [words]})


def words_layer() -> alt.Chart:
    """Draw nothing that is seen; screen readers read the dataset "said" there."""
    return alt.Chart(rows("said")).mark_point(opacity=0, size=0).encode(description="said:N")
