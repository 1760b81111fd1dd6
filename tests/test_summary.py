"""Tiles, comparison and layer table: the numbers of the records, nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import nnlab
from nnlab.comparison import compare
from nnlab.layer_table import layer_table
from nnlab.numerals import scientific
from nnlab.presets import PRESETS, STORED_RUN
from nnlab.summary import _largest, tiles


@pytest.fixture(scope="module")
def stored():
    return nnlab.load_run(STORED_RUN)


def test_tiles_of_the_stored_run(stored):
    signal, saturated, dead, accuracy = tiles(stored, 300)
    assert signal.value == "1 / 480,000"
    assert "2.1e-06" in signal.detail
    assert saturated.value == "0.28 %"
    assert saturated.detail == "worst: layer 1"
    assert dead.value == "0 / 640"
    assert accuracy.value == "10 %"
    # The loss beside the test accuracy is that of the same split, not of the last batch.
    assert accuracy.detail == f"test loss {scientific(stored.records[-1].network['test_loss'])}"
    assert all(len(tile.course) >= 2 for tile in (signal, saturated, dead, accuracy))


def test_tiles_follow_the_step(stored):
    accuracy = stored.series("test_accuracy")
    early = tiles(stored, 0)[3]
    assert early.value == f"{100 * accuracy[1][0]:.0f} %"


def test_tiles_survive_one_record_and_nan():
    config = nnlab.ExperimentConfig(dataset="iris", depth=1, width=2, batch_size=16, steps=1, record_every=1)
    run = nnlab.train(config).until(0)
    assert len(tiles(run, 0)) == 4
    sick = nnlab.train(config.replace(learning_rate=1e30, steps=5))
    assert len(tiles(sick, 5)) == 4


def test_comparison_shows_both_sides(stored):
    healthy = nnlab.train(PRESETS["Healthy"].config.replace(record_every=50))
    frame = compare(stored, healthy).set_index("number")
    assert frame.loc["Verdict"].tolist() == ["Vanishing gradient, severe, and 2 more", "healthy"]
    assert frame.loc["Signal at layer 1 (R)", "before"] == "2.1e-06"


def test_layer_table_holds_the_record_and_its_factors_multiply(stored):
    table = layer_table(stored, 300)
    record = stored.record_at(300)
    assert table["layer"].tolist() == [layer.name for layer in stored.layers]
    assert table["delta_norm"].tolist() == record.layers["delta_norm"].tolist()
    product = table["slope_factor"] * table["weight_factor"]
    gain = table["backward_gain"]
    assert np.allclose(product[:9], gain[:9], rtol=1e-12)
    assert gain[9:].isna().all()


def test_the_stored_run_is_what_training_its_preset_gives(stored):
    """Same torch and CPU kind: the same numbers; elsewhere within float32's rounding."""
    assert stored.config == PRESETS["Sigmoid tower"].config
    fresh = nnlab.train(stored.config.replace(steps=20, record_every=2))
    for step in (0, 2, 10, 20):
        for metric in ("delta_norm", "slope_mean", "weight_norm"):
            expected = stored.record_at(step).layers[metric]
            assert fresh.record_at(step).layers[metric] == pytest.approx(expected, rel=1e-3)


def test_the_largest_of_every_record_is_what_a_search_finds():
    nan = float("nan")
    rows = np.array([[0.1, 0.7, 0.3], [nan, 0.2, nan], [nan, nan, nan], [0.0, 0.0, 0.0]])
    assert _largest(rows).tolist() == pytest.approx([0.7, 0.2, nan, 0.0], nan_ok=True)
    assert np.isnan(_largest(np.empty((2, 0)))).all()
