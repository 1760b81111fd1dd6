"""event_file: a run for TensorBoard: scalars of every layer and of the network, histograms of every layer."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from nnlab.histogram import QUANTITIES, bin_rows
from nnlab.run import Run, StepRecord

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary

MISSING = (
    "TensorBoard is not installed, and writing its event files takes it: pip install tensorboard, "
    "or leave --format tensorboard out"
)


class NoTensorBoard(ValueError):
    """The optional package is absent."""


def check_tensorboard() -> None:
    """Raise NoTensorBoard, in one sentence that says what to do, where the package is absent."""
    try:
        import tensorboard.compat.proto.event_pb2  # noqa: F401
    except ImportError:
        raise NoTensorBoard(MISSING) from None


def _scalars(record: StepRecord, run: Run, summary: Summary) -> None:
    for name, value in record.network.items():
        summary.value.add(tag=f"network/{name}", simple_value=value)
    for name, values in record.layers.items():
        for layer, value in zip(run.layers, values, strict=False):
            summary.value.add(tag=f"{name}/{layer.name}", simple_value=value)


def _histogram(counts: np.ndarray, left: np.ndarray, right: np.ndarray) -> HistogramProto:
    """Give one histogram; what lies below or above all bins stands in a bin of no width at their edge.

    TensorBoard has no place for numbers that are not finite, nor for exact zeros on a logarithmic axis:
    those are left out here, and in the CSV and Parquet tables they are not.
    """
    from tensorboard.compat.proto.summary_pb2 import HistogramProto

    finite = np.isfinite(left) & np.isfinite(right)
    low, high = left[finite].min(), right[finite].max()
    below = counts[np.isneginf(left) & np.isfinite(right)].sum()
    above = counts[np.isfinite(left) & np.isposinf(right)].sum()
    inner = counts[finite]
    centers = (left[finite] + right[finite]) / 2
    return HistogramProto(
        min=low,
        max=high,
        num=float(inner.sum() + below + above),
        sum=float((inner * centers).sum() + below * low + above * high),
        sum_squares=float((inner * centers**2).sum() + below * low**2 + above * high**2),
        bucket_limit=[low, *right[finite], np.finfo(float).max],
        bucket=[float(below), *inner.astype(float), float(above)],
    )


def _histograms(record: StepRecord, run: Run, summary: Summary) -> None:
    for quantity in QUANTITIES:
        for layer, counts in zip(run.layers, record.histograms.get(quantity, ()), strict=False):
            if counts is None:
                continue
            histogram = _histogram(np.asarray(counts), *bin_rows(quantity, layer.activation))
            # Of delta and weight_grad the exponent is binned, since their sizes span decades.
            scale = "log10_" if quantity in ("delta", "weight_grad") else ""
            summary.value.add(tag=f"{scale}{quantity}/{layer.name}", histo=histogram)


def to_event_file(run: Run) -> bytes:
    """Write a run as the content of one event file.

    Raises:
        NoTensorBoard: the optional package is absent.
    """
    check_tensorboard()
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    content = io.BytesIO()
    writer = RecordWriter(content)
    writer.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
    for record in run.records:
        summary = Summary()
        _scalars(record, run, summary)
        if record.is_probe:
            _histograms(record, run, summary)
        # A run has no clock of its own; its steps are its time.
        event = Event(wall_time=float(record.step), step=record.step, summary=summary)
        writer.write(event.SerializeToString())
    return content.getvalue()
