"""Charts of units that do no work: dead, stuck and silent ones."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.chart import Chart, finish, layer_ticks, missing_notes, rows, without_probes
from nnlab.palette import CATEGORIES, Mode
from nnlab.run import Run, spoken

KINDS = {
    "dead_units": "dead: slope exactly 0",
    "stuck_units": "stuck: slope below 6 % of its largest",
    "silent_units": "silent: output exactly 0",
}
TABLE_COLUMNS = ["step", "name", "metric", "count", "width", "share"]
PROBE_WORDS = "for every example of the probe set (up to 1,024 training examples)"
HOW_TO_READ = (
    f"Units of a layer that are idle {PROBE_WORDS}. **Dead**: the slope φ′(z) is exactly 0, so "
    "the unit gets no gradient (Maas et al. 2013; Lu et al. 2019). **Stuck**: the slope is "
    "below 0.0591 of its largest value. **Silent**: the output is exactly 0. Dead and silent "
    "differ: a clipped hardtanh unit is dead but not silent. Zeros now and then are normal for "
    "ReLU. With 1,024 examples and none that wakes a unit, it fires for fewer than 0.3 % of "
    "inputs (95 %)."
)


@lru_cache(maxsize=64)
def _spec(mode: Mode, layers: int) -> dict[str, Any]:
    order = list(KINDS.values())
    color = (
        alt.Color("kind:N", title=None)
        .scale(domain=order, range=[CATEGORIES[5], CATEGORIES[1], CATEGORIES[0]])
        .legend(orient="top", columns=1)
    )
    x = (
        alt.X("left:Q", title="layer, from input to output")
        .axis(values=layer_ticks(layers), format="d", grid=False)
        .scale(domain=[0.5, layers + 0.5], nice=False)
    )
    y = alt.Y("share:Q", title="share of the layer's units").scale(domain=[0, 1]).axis(format="%")
    tooltip = [
        alt.Tooltip("name:N", title="layer"),
        alt.Tooltip("kind:N", title="kind"),
        alt.Tooltip("count:Q", title="units", format="d"),
        alt.Tooltip("width:Q", title="of", format="d"),
    ]
    bars = alt.Chart(rows()).mark_rect().encode(
        x=x, x2="right:Q", y=y, y2=alt.datum(0), color=color, tooltip=tooltip
    )  # fmt: skip
    return finish(alt.layer(bars), mode, 260)


def idle_units(run: Run, step: int, mode: Mode) -> Chart:
    """Dead, stuck and silent units per layer at the probe record nearest to a step."""
    if not run.has_probes:
        return without_probes("idle_units", "Units that do no work", HOW_TO_READ)
    record = run.record_at(step, probe=True)
    width = np.array([layer.weight_shape[0] for layer in run.hidden], dtype=float)
    place = np.arange(1, len(run.hidden) + 1, dtype=float)
    parts = []
    for slot, (metric, words) in enumerate(KINDS.items()):
        left = place - 0.39 + 0.26 * slot
        parts.append(
            pd.DataFrame(
                {
                    "name": [spoken(layer.name) for layer in run.hidden],
                    "metric": metric,
                    "kind": words,
                    "left": left,
                    "right": left + 0.25,
                    "count": record.layers[metric],
                    "width": width,
                    "share": record.layers[metric] / width,
                }
            )
        )
    long = pd.concat(parts, ignore_index=True)
    total = int(width.sum())
    dead = np.nansum(record.layers["dead_units"]) if run.config is None else record.layers["dead_units"].sum()
    undefined = int(long["count"].isna().sum())
    notes: list[str] = []
    is_empty = not long["count"].any() and not undefined
    if is_empty:
        notes.append(f"No unit of {total} is dead, stuck or silent at step {record.step}.")
    if undefined:
        notes += missing_notes(run, record.layers["dead_units"]) or [
            "Undefined where the numbers are not finite."
        ]
    return Chart(
        name="idle_units",
        title=f"Units that do no work, step {record.step}",
        how_to_read=HOW_TO_READ,
        alt_text=f"Dead, stuck and silent units per layer: {dead:.0f} of {total} units are dead.",
        spec=_spec(mode, len(run.hidden)),
        frames={"rows": long.drop(columns="metric")},
        make_table=lambda: long.assign(step=record.step)[TABLE_COLUMNS],
        notes=tuple(notes),
        is_empty=is_empty,
    )
