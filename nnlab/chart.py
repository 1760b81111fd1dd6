"""Chart: a Vega-Lite picture, the numbers in it, and how to read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from nnlab.layer_names import axis_word
from nnlab.palette import CATEGORIES, THEMES, Mode, chart_config
from nnlab.run import BROKEN_OFF, Run, StepRecord, is_numbered

# More cells or lines cannot be told apart on a screen and make the browser stall.
MAX_CELLS = 4000
MAX_COLUMNS = 75
MAX_LINES = 16
MAX_POINTS = 100
# A picture of a run in training is redrawn within a second or two, and every mark costs the browser time
# that training on the same machine could use: 40 columns or points on half a screen are ten pixels apart.
MAX_LIVE = 40
HOVER_EVERY = 5  # points of a line that answer the mouse; each is a mark the browser must draw
MAX_TICKS = 8
MAX_LAYERS_NAMED = 12  # numbers of two digits beside each other on half a screen
MAX_NAMES = 24  # names of modules on one axis
MAX_MISSING = 4  # layers that a note names
# 1e-6, 1e0: without the plus sign and the typographic minus that d3 writes.
DECADE_LABEL = "replace(replace(format(datum.value, '.0e'), '+', ''), '\u2212', '-')"
LOWEST_DECADE = -46  # float32's smallest number is 1.4e-45


@dataclass(frozen=True)
class Chart:
    """One picture.

    `spec` is Vega-Lite without data; `frames` are its named datasets, whose columns have fixed names
    so that no user text ever becomes a field. `make_table` gives the plotted values in full precision;
    it is called for a download only, since a live page draws every second.
    `how_to_read` is Markdown; `alt_text` says in a sentence what the picture shows, for screen readers.
    """

    name: str
    title: str
    how_to_read: str
    alt_text: str
    spec: dict[str, Any]
    frames: dict[str, pd.DataFrame]
    make_table: Callable[[], pd.DataFrame]
    notes: tuple[str, ...] = ()
    is_empty: bool = False  # nothing to draw; the notes say why
    # The browser sets a picture up anew whenever its spec or its words for screen readers change, which takes
    # it longer than new data do. These stay while a slider moves; the page or the data say the rest.
    steady_text: str = ""

    @property
    def drawable(self) -> dict[str, Any]:
        """The spec with its datasets as frames, as Streamlit takes it."""
        return {**self.spec, "datasets": self.frames}

    def to_altair(self) -> alt.Chart | alt.LayerChart:
        """Give the picture as an Altair object with its data inside."""
        return alt.Chart.from_dict({**self.spec, "datasets": records_of(self.frames)})


def records_of(frames: dict[str, pd.DataFrame]) -> dict[str, list[dict[str, Any]]]:
    """Give datasets as JSON records; NaN and inf, which JSON does not know, become null."""
    plain = {name: frame.astype(object).where(_is_plain(frame), None) for name, frame in frames.items()}
    return {
        name: [{str(column): cell for column, cell in row.items()} for row in frame.to_dict("records")]
        for name, frame in plain.items()
    }


def _is_plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.apply(lambda column: np.isfinite(column) if column.dtype.kind == "f" else column.notna())


def rows(name: str = "rows") -> alt.NamedData:
    """Refer to a named dataset."""
    return alt.NamedData(name=name)


def finish(
    chart: alt.Chart | alt.LayerChart | alt.FacetChart, mode: Mode, height: int, **extra: Any
) -> dict[str, Any]:
    """Turn an Altair chart into a spec in the project's looks, as wide as its container."""
    # Checking against the schema takes a third of the time, while a run goes on; tests check every spec.
    spec = chart.properties(width="container", height=height, **extra).to_dict(validate=False)
    spec["config"] = chart_config(mode)
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


def depth_colors(mode: Mode, depth: int) -> alt.Scale:
    """Give the color scale of layers, from the first to the last hidden one."""
    return alt.Scale(domain=[1, max(2, depth)], range=list(THEMES[mode].depth), clamp=True)


def spread(count: int, most: int) -> list[int]:
    """Give at most `most` positions out of `count`, evenly spaced, the first and the last included."""
    if count <= most:
        return list(range(count))
    return sorted({int(place) for place in np.linspace(0, count - 1, most).round()})


def drawn_places(run: Run, count: int, most: int) -> list[int]:
    """Give the positions of at most `most` out of `count` records to draw, the first and the last included.

    While a run goes on they are multiples of a power of two, so that a curve grows instead of wobbling.
    """
    if run.status != "running":
        return spread(count, most)
    stride = 1
    while count > stride * (min(most, MAX_LIVE) - 1):
        stride *= 2
    return sorted({*range(0, count, stride), count - 1}) if count else []


def layer_ticks(count: int) -> list[int]:
    """Give the layer numbers to print on an axis of `count` layers: evenly apart, but for the last one."""
    stride = max(1, math.ceil((count - 1) / (MAX_LAYERS_NAMED - 1)))
    # Two numbers closer than half a stride would run into each other.
    even = range(1, count - stride // 2, stride)
    return [*even, count] if count > 1 else [1]


def step_axis(**options: Any) -> alt.Axis:
    """Give the axis of training steps: whole numbers that do not run into each other."""
    return alt.Axis(tickMinStep=1, labelOverlap=True, labelSeparation=6, **options)


def layer_axis(count: int) -> alt.Axis:
    """Give the axis of all layers, the last of which is the output."""
    words = f"datum.value == {count} ? 'out' : datum.label"
    return alt.Axis(values=layer_ticks(count), format="d", grid=False, labelExpr=words)


def has_module_names(run: Run) -> bool:
    """Whether the layers have names of their own, which tell more than their numbers."""
    return not is_numbered(run.layers[0].name)


def module_axis(values: Sequence[int], first: int) -> alt.Axis:
    """Give an axis that says the words of the dataset "modules", whose first row stands at `first`.

    The words are looked up as data: a module's name may be anything, and must not become an expression.
    """
    words = f"(data('modules')[datum.value - {first}] || {{word: ''}}).word"
    return alt.Axis(values=list(values), grid=False, labelExpr=words, labelOverlap=False)


def modules_frame(names: Sequence[str]) -> pd.DataFrame:
    """Give the dataset "modules": the names as they fit beside a picture."""
    return pd.DataFrame({"word": [axis_word(name) for name in names]})


def modules_layer() -> alt.Chart:
    """Draw nothing: Vega knows only datasets that are drawn."""
    return alt.Chart(rows("modules")).mark_point(opacity=0, size=0)


def missing_notes(run: Run, values: np.ndarray) -> tuple[str, ...]:
    """Name the layers of another's model whose number, one a layer, was not measured."""
    if run.config is not None:
        return ()
    lost = [layer.name for layer, value in zip(run.layers, values, strict=False) if np.isnan(value)]
    if not lost:
        return ()
    more = f" and {len(lost) - MAX_MISSING} more layers" if len(lost) > MAX_MISSING else ""
    return (f"Not measured, and left out: {', '.join(lost[:MAX_MISSING])}{more}.",)


def without_probes(name: str, title: str, how_to_read: str) -> Chart:
    """Say that a run holds nothing of what is taken at probe records only."""
    return Chart(
        name=name,
        title=title,
        how_to_read=how_to_read,
        alt_text=f"{title}: not recorded.",
        spec=finish(alt.Chart(rows()).mark_point(), "light", 60),
        frames={"rows": pd.DataFrame({"layer": []})},
        make_table=lambda: pd.DataFrame({"layer": []}),
        notes=("Not recorded in this file.",),
        is_empty=True,
    )


def guide_layers(mode: Mode) -> list[alt.Chart]:
    """Draw guide lines of the dataset "guide" with their words, readable over other lines."""
    base = alt.Chart(rows("guide"))
    rule = base.mark_rule(color=CATEGORIES[2], strokeWidth=1.5, strokeDash=[6, 4])
    position = {"x": alt.value(0), "y": alt.Y("shown:Q"), "text": alt.Text("word:N")}
    halo = base.mark_text(
        align="left", dx=6, dy=-8, stroke=THEMES[mode].background, strokeWidth=4, strokeOpacity=0.9
    )
    word = base.mark_text(align="left", dx=6, dy=-8, color=THEMES[mode].text)
    return [rule.encode(y=alt.Y("shown:Q")), halo.encode(**position), word.encode(**position)]


def decade_exponents(low: int, high: int) -> range:
    """Give exponents of ten from `low` to `high`, thinned to MAX_TICKS; where 0 is among them, it stays."""
    stride = max(1, math.ceil((high - low + 1) / MAX_TICKS))
    return range(math.ceil(low / stride) * stride, high + 1, stride)


def decade_ticks(low: int, high: int) -> list[float]:
    """Give powers of ten from 10^low to 10^high, as `decade_exponents` does."""
    return [float(f"1e{exponent}") for exponent in decade_exponents(low, high)]


def decades(values: np.ndarray | Sequence[float]) -> tuple[int, int]:
    """Give the exponents of the decades that hold all positive finite values."""
    array = np.asarray(values, dtype=float)
    usable = array[np.isfinite(array) & (array > 0)]
    if not len(usable):
        return -1, 0
    low = max(LOWEST_DECADE, math.floor(math.log10(usable.min())))
    high = math.ceil(math.log10(usable.max()))
    return low, max(high, low + 1)


def drawn_decades(run: Run, values: np.ndarray | Sequence[float]) -> tuple[int, int]:
    """Give the exponents of the axis of all positive finite values.

    While a run goes on the axis ends at even powers of ten: it jumps less often, and every jump costs a new
    spec and a new picture in the browser.
    """
    low, high = decades(values)
    if run.status != "running":
        return low, high
    return max(LOWEST_DECADE, low - low % 2), high + high % 2


def state_of(values: np.ndarray) -> np.ndarray:
    """Tell numbers from exact zeros and from NaN and inf: "value", "zero", "undefined"."""
    states = np.where(values == 0, "zero", "value")
    return np.where(np.isfinite(values), states, "undefined")


def drawn_records(run: Run, metric: str, most: int) -> list[StepRecord]:
    """Give at most `most` records that hold a per-layer metric, evenly spaced."""
    taken = [record for record in run.records if metric in record.layers]
    return [taken[position] for position in drawn_places(run, len(taken), most)]


def left_out_notes(shown: int, total: int, noun: str) -> tuple[str, ...]:
    """Say how many of something are drawn, if not all."""
    return () if shown == total else (f"{shown} of {total} {noun} are drawn; exports hold all.",)


def last_step(run: Run) -> int:
    """Give the end of the step axis: while a run goes on, where it will end, so that nothing jumps."""
    if run.status == "running" and run.config is not None:
        return run.config.steps
    return max(1, int(run.records[-1].step))


def end_marks(run: Run) -> pd.DataFrame:
    """Give the step at which a run broke off, and the word for it; empty for a finished run."""
    if run.status not in BROKEN_OFF or not run.records:
        return pd.DataFrame({"step": [], "word": []}).astype({"step": float, "word": str})
    return pd.DataFrame({"step": [float(run.records[-1].step)], "word": [BROKEN_OFF[run.status]]})
