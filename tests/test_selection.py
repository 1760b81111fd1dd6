"""Fewer layers of a deep run, the worst ones first, and what was not measured: against plain loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nnlab.advice import ADVICE
from nnlab.chart import has_module_names
from nnlab.charts import CHARTS, draw
from nnlab.gaps import gaps, general_notes
from nnlab.histogram import bin_rows
from nnlab.layer_names import SHORT, axis_word, blocks, folded_name, shortened
from nnlab.layer_table import layer_table
from nnlab.measures import MEASURES, by_badness, ranked, telling
from nnlab.metrics import METRICS
from nnlab.presets import EXAMPLE_RUN, STORED_RUN
from nnlab.rules import KINDS
from nnlab.run import LayerInfo, LayerNumbers, Run, StepRecord
from nnlab.runfile import load_run
from nnlab.selection import NO_FOLD, READABLE, folded, folds, matching, searched, usual_fold
from nnlab.summary import tiles

PARTS = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
BROKEN = 94  # place of the layer that gets a thousandth of its neighbors' signal
UNMEASURED = 7


def transformer(layers: int = 200, records: int = 3) -> Run:
    """Make a run of a network of many blocks, one layer of which is broken and one not measured."""
    names = [f"transformer.h.{n // 4}.{PARTS[n % 4]}" for n in range(layers - 1)] + ["lm_head"]
    infos = tuple(LayerInfo(name, n, "gelu", (8, 8)) for n, name in enumerate(names, start=1))
    rng = np.random.default_rng(0)
    histograms = {
        quantity: [np.ones(len(bin_rows(quantity, "gelu")[0]), dtype=int) for _ in infos]
        for quantity in ("pre_activation", "activation", "delta", "weight_grad")
    }
    made = []
    for number in range(records):
        values = {
            name: rng.uniform(0.1, 0.2, layers - metric.hidden_only)
            for name, metric in METRICS.items()
            if metric.scope == "layer"
        }
        if layers > BROKEN:
            values["delta_norm"][BROKEN] *= 1e-3
            values["delta_norm"][UNMEASURED] = math.nan
        network = {"loss": 2.0, "accuracy": 0.5, "gradient_ratio": 1.0, "grad_norm": 1.0}
        values |= {name: np.zeros(layers - 1) for name in ("dead_units", "dead_fraction")}
        network["vanishing_index"] = 0.0
        made.append(StepRecord(10 * number, LayerNumbers.of(values), network, histograms))
    return Run(None, "completed", infos, tuple(made), {"model": "GPT"})


@pytest.fixture(scope="module")
def deep() -> Run:
    return transformer()


@pytest.fixture(scope="module")
def example() -> Run:
    return load_run(EXAMPLE_RUN)


def test_a_search_keeps_the_layers_whose_name_contains_the_text_and_the_output(deep):
    found = searched(deep, " C_FC ")
    expected = [layer.name for layer in deep.layers if "c_fc" in layer.name] + ["lm_head"]
    assert [layer.name for layer in found.layers] == expected
    assert [layer.index for layer in found.layers] == list(range(1, len(expected) + 1))
    for name, metric in METRICS.items():
        if metric.scope == "layer":
            whole, part = deep.records[1].layers[name], found.records[1].layers[name]
            places = [n for n, layer in enumerate(deep.layers) if layer.name in expected and n < len(whole)]
            assert part.tolist() == [whole[place] for place in places]


def test_a_search_for_nothing_or_in_vain_changes_nothing(deep):
    assert searched(deep, "") is deep
    assert searched(deep, "no such layer") is deep
    assert matching(deep.hidden, "no such layer") == []


def test_a_search_leaves_the_run_it_searched_as_it_was(deep):
    before = deep.records[0].layers["delta_norm"].copy()
    searched(deep, "attn").records[0].layers["delta_norm"][:] = 0
    assert np.array_equal(deep.records[0].layers["delta_norm"], before, equal_nan=True)


def test_a_block_is_shown_by_its_worst_layer_and_says_how_many_it_stands_for(deep):
    found = folded(deep, 3, 20)
    assert found.depth == 50
    assert found.layers[BROKEN // 4].name == "transformer.h.23 (4 layers, worst: mlp.c_fc)"
    assert found.records[2].layers["delta_norm"][BROKEN // 4] == deep.records[2].layers["delta_norm"][BROKEN]
    assert found.layers[-1].name == "lm_head"
    # The block of the layer that was not measured is shown by another one.
    assert not np.isnan(found.records[2].layers["delta_norm"]).any()


def test_folding_follows_the_step_that_is_shown(deep):
    last = deep.records[-1]
    changed = {**last.layers, "delta_norm": last.layers["delta_norm"].copy()}
    changed["delta_norm"][0] = 1e-9
    later = replace(deep, records=(*deep.records[:-1], replace(last, layers=changed)))
    assert folded(later, 3, 20).layers[0].name.endswith("worst: attn.c_attn)")
    assert folded(later, 3, 0).layers[0].name == folded(deep, 3, 0).layers[0].name


def test_the_ways_to_fold_differ_in_rows_and_end_with_none(deep):
    assert [(fold.levels, fold.rows) for fold in folds(deep)] == [(3, 50), (4, 100), (NO_FOLD, 199)]
    assert usual_fold(deep).rows == 50  # even the coarsest has more rows than can be read at a glance
    small = transformer(READABLE)
    assert usual_fold(small).levels == NO_FOLD
    assert folded(deep, NO_FOLD, 0) is deep


def test_blocks_hold_neighbors_only():
    assert blocks(["a.x", "a.y", "b.x", "a.z"], 1) == [("a", [0, 1]), ("b", [2]), ("a", [3])]


def test_long_names_keep_what_tells_them_apart():
    one, other = (f"model.encoder.layers.{n}.self_attention.output.dense" for n in (10, 11))
    assert len(shortened(one)) == len(shortened("x" * 300)) == len(shortened("a.b." * 50)) == SHORT
    assert shortened(one) != shortened(other)
    assert shortened("conv1") == "conv1"
    assert shortened("transformer.h.10.attn.c_attn") == "trans.h.10.attn.c_attn"
    assert axis_word(folded_name("transformer.h.7", 12, "x")) == "transformer.h.7 ×12"
    assert len(axis_word(folded_name(other, 120, other))) <= SHORT


def test_the_worst_layers_come_first_and_the_unmeasured_are_left_out(deep):
    found = ranked(deep, 20, "signal")
    assert found[0].layer == deep.layers[BROKEN].name
    assert found[0].is_beyond
    assert not any(entry.is_beyond for entry in found[1:])
    assert UNMEASURED not in [entry.place for entry in found]
    delta = deep.records[2].layers["delta_norm"]
    assert found[0].value == delta[BROKEN] / delta[-2]
    far = [abs(math.log10(entry.value)) for entry in found]
    assert far == sorted(far, reverse=True)


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_orders_every_layer_once(deep, name):
    order = by_badness(deep, 20, name)
    assert sorted(order) == list(range(200))
    assert order[-1] == 199  # the output


def test_exact_zeros_are_the_worst_signal(example):
    found = ranked(example, 300, "signal")
    assert (found[0].layer, found[0].value) == ("stem.0", 0.0)
    assert found[0].is_beyond


def test_every_kind_of_finding_has_advice_and_a_measure():
    assert set(ADVICE) == set(KINDS)
    assert {telling(kind) for kind in KINDS} <= set(MEASURES)


def test_the_table_takes_chosen_rows_in_their_order(deep):
    table = layer_table(deep, 20, [BROKEN, 3])
    assert table.index.tolist() == [BROKEN + 1, 4]
    assert table["layer"].tolist() == [deep.layers[BROKEN].name, deep.layers[3].name]


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_draws_a_deep_run_a_part_of_it_and_a_single_layer(deep, name):
    tiny = transformer(1, 1)
    for run in (deep, folded(searched(deep, "attn"), 3, 20), transformer(2, 1), tiny):
        chart = draw(name, run, 20, "light")
        assert sum(map(len, chart.frames.values())) < 10_000
        assert chart.is_empty or len(chart.make_table()) or run is tiny


def test_names_stand_beside_the_heat_map_as_data(deep):
    chart = draw("delta_heatmap", folded(deep, 3, 20), 20, "light")
    assert chart.frames["modules"]["word"].tolist()[:2] == ["transformer.h.0 ×4", "transformer.h.1 ×4"]
    assert "transformer" not in str(chart.spec)
    assert has_module_names(deep)
    assert not has_module_names(load_run(STORED_RUN))


def test_charts_name_what_was_not_measured(deep):
    name = deep.layers[UNMEASURED].name
    for chart in ("delta_strip", "layer_norms"):
        assert draw(chart, deep, 20, "light").notes == (f"Not measured, and left out: {name}.",)
    drawn = draw("layer_norms", deep, 20, "light").frames["rows"]
    gap = drawn[(drawn["layer"] == UNMEASURED + 1) & (drawn["series"].str.startswith("error signal"))]
    assert gap["shown"].isna().all()


def test_gaps_say_which_layer_and_why_once(deep):
    layers = list(deep.layers)
    layers[3] = replace(layers[3], notes=("its weights are frozen",))
    run = replace(deep, layers=tuple(layers), notes=(f"{layers[3].name}: its weights are frozen", "torn"))
    found = [(gap.layer, gap.why) for gap in gaps(run, 20)]
    assert found[0] == (layers[3].name, "its weights are frozen")
    assert [layer for layer, _ in found[1:]] == [layers[UNMEASURED].name]
    assert general_notes(run) == ("torn",)


def test_the_tiles_of_another_model_say_loss_and_count_what_was_measured(deep):
    signal, _, dead, loss = tiles(deep, 20)
    assert signal.label == "Signal at first layer"
    assert deep.layers[0].name in signal.help
    assert (loss.label, loss.value) == ("Loss", "2.0")
    last = deep.records[-1]
    counts = {**last.layers, "dead_units": np.append(np.zeros(198), math.nan)}
    partly = replace(deep, records=(*deep.records[:-1], replace(last, layers=counts)))
    assert dead.value.endswith(f"/ {199 * 8:,}")
    assert tiles(partly, 20)[2].value == f"0 / {198 * 8:,}"


def test_the_example_shows_a_severe_fault_of_a_real_network_in_a_small_file(example):
    assert EXAMPLE_RUN.stat().st_size < 150_000
    assert example.findings[0].severity == "severe"
    assert example.config is None
    steps, loss = example.series("loss")
    assert loss[steps == 120][0] < 1 < 2.2 < loss[-1]


@pytest.mark.parametrize("name", CHARTS)
def test_a_run_without_histograms_is_drawn_as_far_as_it_goes(name):
    run = transformer(4, 2)
    bare = replace(run, records=tuple(replace(record, histograms={}) for record in run.records))
    chart = draw(name, bare, 10, "light")
    assert chart.is_empty == (name.endswith("histograms") or name == "idle_units")
    assert len(layer_table(bare, 10)) == 4
    assert ranked(bare, 10, "dead") == []
