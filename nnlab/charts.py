"""charts: every chart of a run by name; one registry entry makes one more chart everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nnlab.chart import Chart
from nnlab.gradient_charts import delta_heatmap, delta_strip, layer_norms
from nnlab.histogram_charts import ridges
from nnlab.line_charts import accuracy, loss, saturation, update_ratio
from nnlab.palette import Mode
from nnlab.run import Run
from nnlab.unit_charts import idle_units

Build = Callable[[Run, int, Mode], Chart]

CHARTS: dict[str, Build] = {
    "delta_strip": delta_strip,
    "delta_heatmap": delta_heatmap,
    "layer_norms": layer_norms,
    "delta_histograms": partial(ridges, quantity="delta"),
    "weight_grad_histograms": partial(ridges, quantity="weight_grad"),
    "pre_activation_histograms": partial(ridges, quantity="pre_activation"),
    "activation_histograms": partial(ridges, quantity="activation"),
    "saturation": saturation,
    "idle_units": idle_units,
    "loss": loss,
    "accuracy": accuracy,
    "update_ratio": update_ratio,
}


def draw(name: str, run: Run, step: int, mode: Mode) -> Chart:
    """Draw one chart of a run at a step.

    Raises:
        ValueError: no chart of this name, or a run without records.
    """
    if name not in CHARTS:
        raise ValueError(f"chart: {name!r} is not known; allowed: {', '.join(CHARTS)}")
    if not run.records:
        raise ValueError("run: has no records to draw")
    return CHARTS[name](run, step, mode)
