"""Tiles, comparison and layer table: the numbers of the records, nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import nnlab
from nnlab.__main__ import _test_score
from nnlab.charts import draw
from nnlab.comparison import compare
from nnlab.layer_table import layer_table
from nnlab.numerals import scientific
from nnlab.presets import PRESETS, STORED_RUN
from nnlab.run import StepRecord
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


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """Give a run that predicts numbers."""
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    path.write_text("a,b,y\n" + "".join(f"{i},{i * i % 7},{i * 1000.5}\n" for i in range(40)))
    config = nnlab.ExperimentConfig(
        dataset="csv", csv_path=str(path), target="y", loss="mse", depth=2, width=4, steps=5, batch_size=16
    )
    return nnlab.train(config)


def test_where_numbers_are_predicted_the_loss_of_the_test_split_stands_for_the_accuracy(numbers, stored):
    assert numbers.predicts_numbers
    assert not stored.predicts_numbers
    tile = tiles(numbers, 5)[3]
    assert (tile.label, tile.value) == ("Test loss", scientific(numbers.series("test_loss")[1][-1]))
    assert "Test accuracy" not in compare(numbers, numbers)["number"].tolist()
    assert not compare(numbers, numbers).isin(["undefined", "nan"]).any(axis=None)
    chart = draw("accuracy", numbers, 5, "light")
    assert chart.is_empty
    assert "look at the loss" in chart.notes[0]
    assert "guessing their mean gives 1" in draw("loss", numbers, 5, "light").how_to_read
    assert _test_score(numbers) == f"test loss {tile.value}"
    assert _test_score(stored) == "test accuracy 10 %"


def test_a_diverged_classification_is_not_taken_for_a_regression():
    record = StepRecord(0, {}, dict.fromkeys(("loss", "accuracy", "test_loss", "test_accuracy"), np.nan))
    run = nnlab.Run(None, "diverged", (), (record,), {})
    assert not run.predicts_numbers


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
