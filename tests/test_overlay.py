"""Several configurations on the same axes: labels, bands over seeds, tables, and their text in a link."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from judge import assert_same_numbers

from nnlab import member, trainer, training
from nnlab.activations import ACTIVATIONS
from nnlab.config import ExperimentConfig
from nnlab.initializers import INITIALIZERS
from nnlab.overlay import (
    LAYER_COLUMNS,
    MOST,
    STEP_COLUMNS,
    UNSAID,
    Group,
    band,
    by_configuration,
    config_labels,
    endings,
    labels,
    layer_bands,
    shared_steps,
    step_bands,
)
from nnlab.overlay_job import OverlayJob, seeds_plans, without_bulk
from nnlab.overlay_sets import SETS
from nnlab.overlay_stored import FIRST, RECORD_EVERY, SEEDS, stored_groups
from nnlab.overlay_table import difference_table, headline, run_table, spoken_range
from nnlab.overlay_text import from_text, to_text
from nnlab.presets import PRESETS
from nnlab.run import Run, StepRecord
from nnlab.trainer import train, train_groups, train_seeds

SMALL = ExperimentConfig(dataset="iris", depth=3, width=6, batch_size=30, steps=20, record_every=4)
DEEP = SMALL.replace(depth=6, activation="step")


@pytest.fixture(scope="module")
def groups() -> tuple[Group, ...]:
    return tuple(Group(train_seeds(config, (3, 4, 5))) for config in (SMALL, DEEP))


def test_labels_say_only_what_differs_and_never_the_seed():
    configs = [SMALL, SMALL.replace(activation="relu", seed=7), SMALL.replace(gain=2.0, record_every=1)]
    assert config_labels(configs, [""] * 3) == ("tanh, gain 1", "relu, gain 1", "tanh, gain 2")
    assert config_labels([SMALL, SMALL.replace(residual=True)], [""] * 2) == ("no residual", "residual")


def test_the_name_of_a_files_column_does_not_make_a_label_long():
    other = SMALL.replace(dataset="csv", csv_path="a.csv", target="price\n" * 200, features=("a", "b" * 500))
    _one, two = config_labels([SMALL, other], ["", ""])
    assert len(two) < 120
    assert "\n" not in two


def test_every_field_that_can_differ_is_said():
    for preset in PRESETS.values():
        other = preset.config
        wanted = set(other.differences(SMALL)) - UNSAID
        one, two = config_labels([SMALL, other], ["", ""])
        assert one != two
        assert len(two.split(", ")) == len(wanted)


def test_labels_are_unique_even_where_nothing_differs():
    files = ["a.jsonl", "b.jsonl", "b.jsonl", "x" * 300]
    found = config_labels([SMALL, SMALL, SMALL.replace(seed=1), None], files)
    assert len(set(found)) == 4
    assert found[0] == "a.jsonl"
    assert max(map(len, found)) < 40


def test_a_layers_band_is_the_median_and_range_of_the_runs_own_frames(groups):
    found = layer_bands(groups, "delta_norm", 8)
    assert list(found) == LAYER_COLUMNS
    frames = [run.metrics for run in groups[0].runs]
    rows = pd.concat(frames).query("metric == 'delta_norm' and step == 8 and layer == 'hidden_2'")["value"]
    row = found.query("group == 0 and layer == 'hidden_2'").iloc[0]
    assert (row["median"], row["low"], row["high"]) == (sorted(rows)[1], min(rows), max(rows))
    assert (row["seeds"], row["lost"], row["step"]) == (3, 0, 8)


def test_layers_of_unequal_networks_meet_at_the_output(groups):
    found = layer_bands(groups, "saturation", 0)
    last = found.groupby("group")["place"].last()
    assert last.tolist() == [1.0, 1.0]
    assert found.query("group == 1")["place"].tolist() == pytest.approx([n / 6 for n in range(1, 7)])
    assert layer_bands(groups[:1], "saturation", 0)["place"].tolist() == [1.0, 2.0, 3.0]


def test_a_layer_that_was_not_measured_at_a_step_is_shown_at_the_nearest(groups):
    records = [replace(r, layers={k: v for k, v in r.layers.items() if k != "mean_cosine" or r.step == 4})
               for r in groups[0].runs[0].records]  # fmt: skip
    group = Group((replace(groups[0].runs[0], records=tuple(records)),))
    assert set(layer_bands([group], "mean_cosine", 20)["step"]) == {4}
    bare = Group((replace(group.runs[0], records=tuple(replace(r, layers={}) for r in records)),))
    assert layer_bands([bare], "mean_cosine", 20).empty


def test_a_networks_band_over_the_steps_is_of_the_seeds_that_go_on(groups):
    first, *others = groups[0].runs
    short = Group((replace(first, records=first.records[:3], status="diverged"), *others))
    found = step_bands([short], "loss")
    assert list(found) == STEP_COLUMNS
    assert dict(zip(found["step"], found["seeds"], strict=True)) == {0: 3, 4: 3, 8: 3, 12: 2, 16: 2, 20: 2}
    at_end = [run.records[-1].network["loss"] for run in others]
    assert found["median"].iloc[-1] == pytest.approx(sum(at_end) / 2)
    assert endings([short, groups[1]]) == ("1 of 3 seeds diverged at step 8", "")
    assert shared_steps([short]) == [0, 4, 8, 12, 16, 20]


def test_what_is_not_finite_is_counted_and_left_out():
    found = band(np.array([[1.0, np.nan, 0.0], [3.0, np.inf, np.nan], [2.0, np.nan, 4.0]]))
    assert found["lost"].tolist() == [0, 3, 1]
    assert found["median"].tolist() == [2.0, pytest.approx(np.nan, nan_ok=True), 2.0]
    assert (found["low"][2], found["high"][2]) == (0.0, 4.0)


def test_runs_are_gathered_by_configuration(groups):
    runs = [run for group in groups for run in group.runs]
    assert by_configuration(runs) == groups
    assert by_configuration([replace(runs[0], records=())]) == ()


# The table


def test_the_table_names_the_fields_that_differ_and_the_verdicts(groups):
    table = difference_table(groups).set_index("what")
    assert list(table.columns) == list(labels(groups)) == ["depth 3, tanh", "depth 6, step"]
    assert table.loc["Activation"].tolist() == ["tanh", "step"]
    assert "Width" not in table.index
    assert table.loc["Verdict"].iloc[1] == "Gradient blocked, severe (3 of 3 seeds)"
    assert table.loc["Dead units (worst)"].iloc[1] == "100 %"


def test_the_runs_table_holds_every_run_in_full_precision(groups):
    table = run_table(groups)
    assert table["seed"].tolist() == [3, 4, 5, 3, 4, 5]
    runs = [run for group in groups for run in group.runs]
    assert table["test_loss"].tolist() == [run.records[-1].network["test_loss"] for run in runs]
    assert table["findings"].tolist() == [", ".join(f.kind for f in run.findings) for run in runs]


@pytest.mark.parametrize(("values", "words"), [
    ([0.5, 0.25, 1.0], "0.5 (0.25 to 1.0)"), ([2.0, 2.0], "2.0"), ([1.0, float("nan")], "1.0, 1 not finite"),
    ([float("inf")] * 2, "infinite"), ([float("inf"), float("nan")], "not finite"),
])  # fmt: skip
def test_a_range_is_said_with_what_it_lacks(values, words):
    from nnlab.numerals import scientific

    assert spoken_range(values, scientific) == words


def scored(config: ExperimentConfig, scores: list[float]) -> Group:
    run = train_seeds(config, (0,))[0]

    def at(score: float) -> Run:
        last = run.records[-1]
        record = StepRecord(last.step, last.layers, {**last.network, "test_accuracy": score})
        return replace(run, records=(record,))

    return Group(tuple(map(at, scores)))


def test_the_headline_ranks_those_that_have_a_number():
    good, bad = scored(SMALL, [0.9, 0.8]), scored(SMALL.replace(gain=3.0), [0.1, 0.2])
    unknown = scored(SMALL.replace(gain=2.0), [float("nan")] * 2)
    text = headline([unknown, bad, good])
    assert text.startswith("Highest test accuracy: gain 1, 85 % (80 % to 90 %). Every seed")
    assert "gain 2" not in text
    assert headline([unknown, good]).startswith("Lowest test loss")
    assert headline([good]) == ""


def test_the_headline_says_how_sure_the_order_is():
    good, close = scored(SMALL, [0.9, 0.8]), scored(SMALL.replace(gain=2.0), [0.85, 0.7])
    bad = scored(SMALL.replace(gain=3.0), [0.1, 0.2])
    assert headline([bad, good]).startswith("Highest test accuracy: gain 1, 85 %")
    assert "Every seed of it beats" in headline([bad, good])
    assert "seeds overlap with the next, gain 2" in headline([bad, close, good])
    assert "may be chance" in headline([scored(SMALL, [0.9]), scored(SMALL.replace(gain=3.0), [0.1])])


# Links and sets


def test_configurations_come_back_from_their_text():
    configs = tuple(preset.config for preset in PRESETS.values())[:MOST]
    text = to_text(configs)
    assert from_text(text) == (configs, ())
    assert re.fullmatch(r"[A-Za-z0-9_.~+-]+", text)
    assert all(f"{name}." in text.split("~~")[0] for name in ("gain", "clip_norm", "record_every"))


@pytest.mark.parametrize(("text", "count", "said"), [
    ("depth.3~~depth.3", 1, "it is there already"),
    ("depth.3~~depth.1e9~~depth.4", 2, "'1e9' is not allowed"),
    ("depth.<b>~~depth.4", 0, "The others say only how they differ"),
    ("depth.3~~dataset.csv", 1, "takes no file"),
    ("depth.3~~csv_path./etc/passwd", 1, "no field with a value"),
    ("~~".join(f"depth.{n}" for n in range(1, 9)), 6, "the first 6 are compared"),
    ("~" * 5000, 1, "already"), ("x" * 5000, 0, "no field"),
    ("depth.3~~normalization.batch~batch_size.1", 1, "batch_size"),
])  # fmt: skip
def test_what_a_text_cannot_say_is_named_and_the_rest_is_used(text, count, said):
    configs, notes = from_text(text)
    assert len(configs) == count
    assert any(said in note for note in notes)
    assert all(len(note) < 250 for note in notes)


def test_sets_hold_all_activations_and_initializers_in_comparable_parts():
    for field, registry in (("activation", ACTIVATIONS), ("initializer", INITIALIZERS)):
        parts = [entry for entry in SETS.values() if entry.field == field]
        assert [value for part in parts for value in part.values] == list(registry)
        assert all(value in entry.name for entry in parts for value in entry.values)
    for entry in SETS.values():
        configs = entry.configs(FIRST[0])
        assert 2 <= len(configs) <= MOST
        assert len({config.replace(seed=1) for config in configs}) == len(configs)


# Training, and what is kept


def test_groups_give_the_numbers_of_single_runs_bit_for_bit(groups, assert_same_records):
    plans = OverlayJob(plans=seeds_plans([SMALL.replace(seed=3), DEEP.replace(seed=99)], 3)).groups
    assert [len(part) for part in plans] == [3, 3]
    seen: list[int] = []
    runs = train_groups(plans, on_progress=lambda runs: seen.append(sum(len(run.records) for run in runs)))
    for got, want in zip(runs, [run for group in groups for run in group.runs], strict=True):
        assert (got.config, got.status) == (want.config, "completed")
        assert_same_records(got.records, want.records)
    assert seen == sorted(seen)
    assert seen[0] == 6


def test_one_that_stops_training_leaves_the_others_their_bits(assert_same_records):
    wild = SMALL.replace(learning_rate=1e30, activation="relu")
    broken, sound = train_groups([[p] for p in seeds_plans([wild, SMALL], 1)])
    assert broken.status == "diverged"
    assert_same_records(sound.records, train(SMALL).records)


@pytest.mark.parametrize(("seconds", "end"), [(60.0, 5), (1e-9, 4)])
def test_a_stop_waits_for_the_last_records_of_all_only_where_they_are_quick(monkeypatch, seconds, end):
    monkeypatch.setattr(training, "LAST_RECORDS_SECONDS", seconds)
    stop = threading.Event()
    plans = [seeds_plans([config.replace(steps=5000)], 3) for config in (SMALL, SMALL.replace(depth=6))]
    runs = train_groups(plans, lambda runs: runs[-1].records[-1].step == 4 and stop.set(), stop)
    assert {run.status for run in runs} == {"stopped"}
    assert {run.records[-1].step for run in runs} == {end}


def test_a_stop_does_not_wait_until_all_networks_are_made(monkeypatch):
    stop, made = threading.Event(), []

    def begin(plan):
        made.append(plan)
        if len(made) == 4:
            stop.set()
        return member.begin(plan)

    monkeypatch.setattr(trainer, "begin", begin)
    runs = train_groups([seeds_plans([config], 3) for config in (SMALL, DEEP, SMALL)], stop=stop)
    assert len(made) == 4
    assert [(run.status, run.records) for run in runs] == [("stopped", ())] * 4


def test_a_job_keeps_neither_histograms_nor_weights():
    job = OverlayJob(plans=seeds_plans([SMALL, DEEP], 2))
    job.execute()
    assert job.status == "completed"
    runs = [trajectory.run for trajectory in job.trajectories]
    assert len(runs) == 4
    assert all(run.model is None and not run.has_probes for run in runs)
    assert job.steps_done == job.steps == 80


def test_the_seeds_begin_at_the_first_configurations(groups):
    plans = seeds_plans([SMALL.replace(seed=5), DEEP.replace(seed=9)], 2)
    assert [plan.config.seed for plan in plans] == [5, 6, 5, 6]
    with pytest.raises(ValueError, match="seed"):
        seeds_plans([SMALL.replace(seed=2**32 - 1)], 2)


def test_the_kept_comparison_is_what_training_gives():
    kept = stored_groups()
    assert [group.config.replace(record_every=None) for group in kept] == list(FIRST)
    assert [len(group.runs) for group in kept] == [SEEDS] * len(FIRST)
    short = FIRST[1].replace(record_every=RECORD_EVERY, steps=RECORD_EVERY)
    again = without_bulk(train(short))
    for got, want in zip(kept[1].runs[0].records, again.records[:1], strict=False):
        assert_same_numbers(got, want, rel=1e-4)
    assert kept[1].runs[0].records[1].network["loss"] == pytest.approx(
        again.records[1].network["loss"], rel=1e-3
    )
