"""summary: a run in four numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnlab.layer_names import shortened
from nnlab.numerals import fraction, percent, scientific
from nnlab.rules import ReluFamily
from nnlab.run import Run, is_numbered, spoken

MAX_SPARKS = 60  # points; a sparkline is an inch wide


@dataclass(frozen=True)
class Tile:
    """One number with its name, a second line that pins it down, and its course over the steps."""

    label: str
    value: str
    detail: str
    help: str
    course: tuple[float, ...]


def _course(values: np.ndarray) -> tuple[float, ...]:
    """Give the finite values of a series, thinned, at least two of them, as a sparkline needs."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return (0.0, 0.0)
    thinned = finite[:: max(1, len(finite) // MAX_SPARKS)]
    return tuple(float(value) for value in (thinned if len(thinned) > 1 else np.repeat(thinned, 2)))


def _log10(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(values)


def _upto(run: Run, metric: str, step: int) -> np.ndarray:
    steps, values = run.series(metric)
    return values[steps <= step] if (steps <= step).any() else values[:1]


def _worst(values: np.ndarray) -> tuple[float, int | None]:
    """Give the largest number of a row and its position; (nan, None) if all are NaN."""
    if not len(values) or np.isnan(values).all():
        return float("nan"), None
    return float(np.nanmax(values)), int(np.nanargmax(values))


def _largest(rows: np.ndarray) -> np.ndarray:
    """Give the largest number of every row (records, layers), NaN where all are; shape (records,)."""
    known = np.where(np.isnan(rows), -np.inf, rows)
    largest = known.max(axis=1, initial=-np.inf)
    return np.where(np.isnan(rows).all(axis=1), np.nan, largest)


def _unknown(run: Run) -> str:
    """Say what NaN means: an overflow in a network of nnlab's own, where nothing goes unmeasured."""
    return "not measured" if run.config is None else "not finite"


def _named(run: Run, place: int) -> str:
    return shortened(spoken(run.layers[place].name))


def _signal_tile(run: Run, step: int) -> Tile:
    ratios = _upto(run, "gradient_ratio", step)
    ratio = float(ratios[-1])
    is_own = is_numbered(run.layers[0].name)
    detail = f"R = {scientific(ratio)}" if np.isfinite(ratio) else _unknown(run)
    return Tile(
        label="Signal at layer 1" if is_own else "Signal at first layer",
        value=fraction(ratio) if ratio < 0.1 else scientific(ratio),
        detail=detail,
        help="R = ‖δ₁‖ / ‖δ_L‖: the error signal that reaches the first hidden layer, relative to the "
        "last one. Healthy between 0.05 and 20. The line is log10 R over the steps."
        + ("" if is_own else f" The first layer here is {run.layers[0].name}."),
        course=_course(_log10(ratios)),
    )


def _saturation_tile(run: Run, step: int) -> Tile:
    rows = _upto(run, "saturation", step)
    bent = [layer.activation for layer in run.hidden if layer.activation != "identity"]
    inactive = bool(bent) and all(name in ReluFamily for name in bent)
    if not inactive:
        # In a network of several activations ReLU's usual half would hide what is saturated.
        can = [layer.activation not in ReluFamily for layer in run.hidden]
        rows = np.where(can, rows[:, : run.depth], np.nan)
    value, layer = _worst(rows[-1, : run.depth])
    where = f"worst: {_named(run, layer)}" if layer is not None else _unknown(run)
    return Tile(
        label="Inactive" if inactive else "Saturated",
        value=percent(value),
        detail=where,
        help="Share of activations on the flat part of the curve, |φ′(z)| < 0.0591 sup|φ′|, in the worst "
        "layer. Warning above 40 %; for ReLU half is normal and called inactive.",
        course=_course(_largest(rows)),
    )


def _dead_tile(run: Run, step: int) -> Tile:
    rows = _upto(run, "dead_units", step)
    missing = np.isnan(rows[-1])
    if run.config is None and not missing.all():
        rows = np.where(missing, 0.0, rows)
    units = sum(layer.weight_shape[0] for layer, lost in zip(run.hidden, missing, strict=True) if not lost)
    units = units or sum(layer.weight_shape[0] for layer in run.hidden)
    dead = float(rows[-1].sum())
    _, layer = _worst(rows[-1])
    where = f"worst: {_named(run, layer)}" if dead > 0 and layer is not None else "none"
    where = _unknown(run) if np.isnan(dead) else where
    return Tile(
        label="Dead units",
        value=f"{scientific(dead) if np.isnan(dead) else f'{dead:.0f}'} / {units:,}",
        detail=where,
        help="Units whose slope is exactly 0 for every example of the probe set.",
        course=_course(rows.sum(axis=1)),
    )


def _batch_loss_tile(run: Run, step: int) -> Tile:
    values = _upto(run, "loss", step)
    return Tile(
        label="Loss",
        value=scientific(float(values[-1])),
        detail=f"{scientific(float(values[0]))} at the start",
        help="Loss of the recorded batch. No test split is known here, so there is no test accuracy.",
        course=_course(values),
    )


def _score_tile(run: Run, step: int) -> Tile:
    """Give the test accuracy; where nnlab knows no test split, the loss."""
    known = run.series("test_accuracy")[1]
    if run.config is None and not np.isfinite(known).any():
        return _batch_loss_tile(run, step)
    return _accuracy_tile(run, step)


def _accuracy_tile(run: Run, step: int) -> Tile:
    values = _upto(run, "test_accuracy", step)
    loss = float(_upto(run, "test_loss", step)[-1])
    return Tile(
        label="Test accuracy",
        value=percent(float(values[-1])),
        detail=f"test loss {scientific(loss)}",
        help="Share of the test split, which the network never learns from, that is classified right.",
        course=_course(values),
    )


def _loss_tile(run: Run, step: int) -> Tile:
    values = _upto(run, "test_loss", step)
    training = float(_upto(run, "loss", step)[-1])
    return Tile(
        label="Test loss",
        value=scientific(float(values[-1])),
        detail=f"training batch {scientific(training)}",
        help="Mean squared error on the test split, which the network never learns from; 1 is as good as "
        "always guessing the mean. The line is log10 of it over the steps.",
        course=_course(_log10(values)),
    )


def tiles(run: Run, step: int) -> list[Tile]:
    """Give the four numbers of a run at a step."""
    last = _loss_tile if run.predicts_numbers else _score_tile
    makers = (_signal_tile, _saturation_tile, _dead_tile, last)
    return [make(run, step) for make in makers]
