"""Alignment: what was measured of a layer stays that layer's, wherever new layers come in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nnlab.alignment import aligned, merged
from nnlab.histogram import QUANTITIES, bin_rows
from nnlab.metrics import METRICS
from nnlab.run import LayerInfo, StepRecord


def layers_of(names: str, activation: str = "relu") -> tuple[LayerInfo, ...]:
    """Layers a, b, c, ... of a word."""
    return tuple(LayerInfo(name, number, activation, (2, 2)) for number, name in enumerate(names, start=1))


def record_of(layers: tuple[LayerInfo, ...], *, probe: bool = True) -> StepRecord:
    """A record in which every number says its layer's letter and its metric."""
    letters = [float(ord(layer.name)) for layer in layers]
    metrics = [m for m in METRICS.values() if m.scope == "layer"]
    values = {
        metric.name: np.array(letters[: len(letters) - metric.hidden_only]) + number / 100
        for number, metric in enumerate(metrics)
    }
    counts = {
        quantity: [np.full(len(bin_rows(quantity, layer.activation)[0]), ord(layer.name)) for layer in layers]
        for quantity in QUANTITIES
    }
    return StepRecord(7, values, {"loss": 1.0}, counts if probe else {}, {"future": 1})


def names_of(layers: tuple[LayerInfo, ...]) -> str:
    return "".join(layer.name for layer in layers)


@pytest.mark.parametrize(
    ("known", "seen", "expected"),
    [
        ("", "abc", "abc"),
        ("abc", "abc", "abc"),
        ("abc", "ac", "abc"),
        ("abc", "axbc", "axbc"),
        ("abc", "xabc", "xabc"),
        ("abc", "abcx", "abcx"),
        ("abc", "axyc", "axybc"),
        ("abc", "x", "xabc"),
        ("abc", "cxa", "abcx"),
        ("abc", "", "abc"),
        ("axc", "ayzc", "ayzxc"),
    ],
)
def test_a_new_layer_stands_right_after_its_predecessor(known: str, seen: str, expected: str) -> None:
    result = merged(layers_of(known), layers_of(seen))
    assert names_of(result) == expected
    assert [layer.index for layer in result] == list(range(1, len(expected) + 1))


def test_what_is_seen_anew_of_a_layer_replaces_what_was_known() -> None:
    seen = (replace(layers_of("b")[0], activation="gelu", trainable=False, notes=("odd",)),)
    result = merged(layers_of("abc"), seen)
    assert [layer.activation for layer in result] == ["relu", "gelu", "relu"]
    assert result[1] == LayerInfo("b", 2, "gelu", (2, 2), trainable=False, notes=("odd",))


@pytest.mark.parametrize(
    ("before", "after"),
    [("abc", "axbc"), ("abc", "xabyczq"), ("ab", "abx"), ("a", "xa"), ("a", "ax"), ("abc", "abc")],
)
def test_every_number_stays_with_its_layer(before: str, after: str) -> None:
    record = record_of(layers_of(before))
    result = aligned(record, layers_of(before), layers_of(after))
    metrics = [m for m in METRICS.values() if m.scope == "layer"]
    assert set(result.layers) == {metric.name for metric in metrics}
    for number, metric in enumerate(metrics):
        # The last of `before` has no number of a metric of hidden layers only.
        measured = before[:-1] if metric.hidden_only else before
        wanted = [
            ord(name) + number / 100 if name in measured else np.nan
            for name in (after[:-1] if metric.hidden_only else after)
        ]
        np.testing.assert_array_equal(result.layers[metric.name], wanted)
    for quantity in QUANTITIES:
        found = [None if counts is None else int(counts[0]) for counts in result.histograms[quantity]]
        assert found == [ord(name) if name in before else None for name in after]
    assert (result.step, result.network, result.extras) == (7, {"loss": 1.0}, {"future": 1})


def test_a_record_without_histograms_gets_none() -> None:
    record = record_of(layers_of("ab"), probe=False)
    assert not aligned(record, layers_of("ab"), layers_of("axb")).is_probe


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("relu", "gelu", True),  # the same bins
        ("tanh", "relu", False),
        ("tanh", "sigmoid", False),  # as many bins, but of other edges
    ],
)
def test_counts_of_other_bins_are_left_out(before: str, after: str, kept: bool) -> None:
    record = record_of(layers_of("ab", before))
    for names in ("ab", "axb"):
        result = aligned(record, layers_of("ab", before), layers_of(names, after))
        assert (result.histograms["activation"][0] is not None) == kept
        assert result.histograms["delta"][0] is not None


def test_a_metric_of_a_newer_version_is_told_by_its_length() -> None:
    record = record_of(layers_of("ab"))
    extra = {"all": np.array([1.0, 2.0]), "hidden": np.array([3.0])}
    newer = replace(record, layers={**record.layers, **extra})
    result = aligned(newer, layers_of("ab"), layers_of("axb")).layers
    np.testing.assert_array_equal(result["all"], [1, np.nan, 2])
    np.testing.assert_array_equal(result["hidden"], [3, np.nan])


def test_nothing_is_changed_in_place() -> None:
    record = record_of(layers_of("ab"))
    before = {name: values.copy() for name, values in record.layers.items()}
    aligned(record, layers_of("ab"), layers_of("xaxb"[1:]))
    for name, values in before.items():
        np.testing.assert_array_equal(record.layers[name], values)
