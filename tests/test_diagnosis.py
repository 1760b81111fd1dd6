"""Findings: the right layer, the right number, silence on healthy networks."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import numpy as np
import pytest

import nnlab
from nnlab import diagnosis
from nnlab.diagnosis import TITLES, find, find_at
from nnlab.explanations import why_healthy
from nnlab.presets import PRESETS
from nnlab.rules import View, breaches, slope_factors, weight_factors
from nnlab.run import LayerInfo, Run, StepRecord

DEPTH, WIDTH = 6, 10


def made_up_run(records=1, status="completed", activation="tanh", **changes):
    """Give a run of a healthy made-up network with some numbers changed.

    A change is a number for all hidden layers, a list of one number a layer, or for network metrics a
    number; a callable is asked with the record's position.
    """
    names = [f"hidden_{n}" for n in range(1, DEPTH + 1)] + ["output"]
    layers = tuple(
        LayerInfo(name, n, activation, (WIDTH, WIDTH), slope_sup=1.0) for n, name in enumerate(names, 1)
    )
    made = []
    for position in range(records):
        given = {k: v(position) if callable(v) else v for k, v in changes.items()}
        everywhere = {
            "delta_norm": 1.0, "weight_grad_norm": 1.0, "weight_norm": 5.0, "update_ratio": 1e-3,
            "bias_grad_norm": 1.0, "delta_rms": 0.1, "pre_activation_mean": 0.0, "pre_activation_std": 1.0,
        }  # fmt: skip
        hidden = {
            "activation_grad_norm": 1.2, "slope_mean": 0.8, "saturation": 0.1, "saturation_low": 0.05,
            "saturation_high": 0.05, "zero_fraction": 0.0, "dead_units": 0.0, "dead_fraction": 0.0,
            "mean_cosine": 0.2, "effective_rank": 8.0,
        }  # fmt: skip
        network = {"loss": 2.0, "gradient_ratio": 1.0, "grad_norm": 1.0}
        rows = {n: np.full(DEPTH + 1, v) for n, v in everywhere.items()}
        rows |= {n: np.full(DEPTH, v) for n, v in hidden.items()}
        for name, value in given.items():
            if name in network:
                network[name] = value
            else:
                row = rows[name].copy()
                row[:DEPTH] = value
                rows[name] = row
        if "delta_norm" in given and "gradient_ratio" not in given:
            with np.errstate(invalid="ignore", divide="ignore"):
                network["gradient_ratio"] = float(rows["delta_norm"][0] / rows["delta_norm"][DEPTH - 1])
        made.append(StepRecord(position * 10, rows, network))
    config = nnlab.ExperimentConfig(depth=DEPTH, width=WIDTH, activation=activation)
    return Run(config, status, layers, tuple(made), {})


def kinds(run):
    return [(finding.kind, finding.severity, finding.layer) for finding in find(run)]


def test_a_healthy_network_has_no_findings_and_says_why():
    run = made_up_run(records=20)
    assert find(run) == ()
    assert "0.05 to 20" in why_healthy(run)


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (math.exp(-3) * 1.001, None), (math.exp(-3) * 0.999, "warn"),
        (1.001e-3, "warn"), (0.999e-3, "severe"),
    ],
)  # fmt: skip
def test_vanishing_thresholds(ratio, expected):
    found = find(made_up_run(delta_norm=np.geomspace(ratio, 1.0, DEPTH)))
    assert [f.severity for f in found if f.kind == "vanishing"] == ([expected] if expected else [])


def test_vanishing_names_the_most_starved_layer_not_the_first():
    delta = [1e-4, 1e-5, 1e-3, 1e-2, 1e-1, 1.0]
    assert kinds(made_up_run(delta_norm=delta)) == [("vanishing", "severe", "hidden_2")]


@pytest.mark.parametrize(
    ("ratio", "expected"), [(19.9, None), (20.1, "warn"), (999.0, "warn"), (1001.0, "severe")]
)
def test_exploding_thresholds(ratio, expected):
    found = find(made_up_run(delta_norm=np.geomspace(ratio, 1.0, DEPTH)))
    assert [f.severity for f in found if f.kind == "exploding"] == ([expected] if expected else [])


def test_exploding_names_the_most_flooded_layer():
    assert kinds(made_up_run(delta_norm=[30, 90, 50, 10, 5, 1])) == [("exploding", "warn", "hidden_2")]


def test_an_infinite_error_signal_is_severely_exploding():
    found = find(made_up_run(delta_norm=[math.inf, math.inf, 1, 1, 1, 1], gradient_ratio=math.inf))
    assert (found[0].kind, found[0].severity, found[0].layer) == ("exploding", "severe", "hidden_2")


@pytest.mark.parametrize(
    ("share", "expected"), [(0.40, None), (0.41, "warn"), (0.70, "warn"), (0.71, "severe")]
)
def test_saturating_thresholds_at_the_worst_layer(share, expected):
    found = find(made_up_run(saturation=[0.1, 0.1, share, 0.1, 0.1, 0.1]))
    assert kinds(made_up_run(saturation=[0.1, 0.1, share, 0.1, 0.1, 0.1])) == (
        [("saturating", expected, "hidden_3")] if expected else []
    )
    assert not found or found[0].value == share


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_inactive_relu_units_are_not_called_saturated(activation):
    assert find(made_up_run(activation=activation, saturation=0.9)) == ()


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.25, None), (0.26, ("dying", "warn", "hidden_2")), (0.50, ("dying", "warn", "hidden_2")),
        (0.51, ("dying", "severe", "hidden_2")), (1.0, ("dead_layer", "severe", "hidden_2")),
    ],
)  # fmt: skip
def test_dying_thresholds(share, expected):
    row = [0.0, share, 0.0, 0.0, 0.0, 0.0]
    found = kinds(made_up_run(dead_fraction=row, dead_units=[0, share * WIDTH, 0, 0, 0, 0]))
    assert found == ([expected] if expected else [])


def test_ten_points_more_dead_units_than_at_the_start_warn():
    def share(position):
        return 0.05 if position == 0 else 0.16

    found = find(made_up_run(records=3, dead_fraction=share))
    assert [(f.kind, f.severity) for f in found] == [("dying", "warn")]
    assert found[0].threshold == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("cosine", "expected"), [(0.95, None), (0.951, "warn"), (0.999, "warn"), (0.9995, "severe")]
)
def test_rank_collapse_thresholds(cosine, expected):
    found = kinds(made_up_run(mean_cosine=[0.1, 0.1, 0.1, 0.1, 0.1, cosine]))
    assert found == ([("rank_collapse", expected, "hidden_6")] if expected else [])


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (1e-3, None), (0.99e-4, ("updates_small", "warn", "network")),
        (5e-8, ("updates_small", "severe", "network")),
        (0.011, ("updates_large", "warn", "network")),
    ],
)  # fmt: skip
def test_update_thresholds_count_from_the_tenth_record_on(ratio, expected):
    assert kinds(made_up_run(records=9, update_ratio=ratio)) == []
    assert kinds(made_up_run(records=10, update_ratio=ratio)) == ([expected] if expected else [])


def test_a_converged_network_may_update_little():
    def loss(position):
        return 2.0 if position == 0 else 0.99

    assert kinds(made_up_run(records=12, update_ratio=1e-6, loss=loss)) == []


def test_a_layer_with_zero_error_signal_blocks_and_is_named():
    found = find(made_up_run(delta_norm=[0, 0, 0, 1, 1, 1], slope_mean=[0.5, 0.5, 0.0, 0.5, 0.5, 0.5]))
    assert [(f.kind, f.severity, f.layer) for f in found] == [("blocked", "severe", "hidden_3")]


def test_an_underflow_is_vanishing_and_called_by_its_name():
    found = find(made_up_run(delta_norm=[0, 0, 1e-40, 1e-20, 1e-10, 1]))
    assert [f.kind for f in found] == ["vanishing", "blocked"]
    assert "underflow" in found[1].explanation


def test_zero_weight_gradients_block_where_an_error_signal_arrives():
    found = find(made_up_run(weight_grad_norm=[1, 1, 0, 1, 1, 1]))
    assert [(f.kind, f.layer, f.metric) for f in found] == [("blocked", "hidden_3", "weight_grad_norm")]


def test_shrinking_all_gradients_never_heals_a_vanishing_network():
    delta = np.geomspace(1e-4, 1.0, DEPTH)
    for power in range(0, 120, 10):
        assert find(made_up_run(delta_norm=delta * 2.0**-power))[0].kind == "vanishing"


def test_what_was_severe_for_a_quarter_of_the_run_is_reported_with_its_steps():
    def saturation(position):
        return 0.9 if position < 5 else 0.1

    found = find(made_up_run(records=20, saturation=saturation))
    assert [(f.kind, f.step) for f in found] == [("saturating", 40)]
    assert found[0].explanation.startswith("From step 0 to 40, over at the end")
    assert find(made_up_run(records=21, saturation=saturation)) == ()


def test_findings_at_a_step_use_that_record():
    def saturation(position):
        return 0.9 if position == 2 else 0.1

    run = made_up_run(records=20, saturation=saturation)
    assert [f.kind for f in find_at(run, 20)] == ["saturating"]
    assert find_at(run, 30) == ()


@pytest.mark.parametrize("status", ["diverged", "stalled"])
def test_status_findings_belong_to_the_network(status):
    found = find(made_up_run(status=status, loss=math.nan if status == "diverged" else 2.0))
    assert (found[0].kind, found[0].severity, found[0].layer) == (status, "severe", "network")


def test_a_frozen_layer_is_said_and_no_alarm():
    run = made_up_run()
    layers = list(run.layers)
    layers[1] = LayerInfo("hidden_2", 2, "tanh", (WIDTH, WIDTH), trainable=False)
    frozen = Run(run.config, run.status, tuple(layers), run.records, {})
    assert [(f.kind, f.layer) for f in find(frozen)] == [("frozen", "hidden_2")]
    assert "Not an alarm" in find(frozen)[0].explanation


def test_the_output_never_has_a_finding_of_its_own():
    run = made_up_run()
    rows = {name: values.copy() for name, values in run.records[0].layers.items()}
    rows["delta_norm"][-1] = 0.0
    rows["weight_grad_norm"][-1] = 0.0
    run = Run(run.config, run.status, run.layers, (StepRecord(0, rows, run.records[0].network),), {})
    assert find(run) == ()


def test_the_chain_rule_factors_multiply_to_the_measured_gain():
    run = nnlab.train(nnlab.ExperimentConfig(depth=8, width=32, activation="silu", steps=3))
    for record in run.records:
        product = slope_factors(record)[:-1] * weight_factors(record)
        assert product == pytest.approx(record.layers["backward_gain"][:-1], rel=1e-12)


def test_the_weight_factor_stays_below_the_spectral_norm():
    """Bengio, Simard & Frasconi 1994: no delta can gain more than the largest singular value."""
    import torch

    run = nnlab.train(nnlab.ExperimentConfig(depth=3, width=16, activation="tanh", steps=1, record_every=1))
    weight = dict(run.model.named_parameters())["hidden_3.linear.weight"].detach()
    bound = torch.linalg.matrix_norm(weight, ord=2).item()
    assert 0 < weight_factors(run.records[-1])[1] <= bound * (1 + 1e-6)


HEALTHY = [
    {"activation": "tanh"},
    {"activation": "tanh", "depth": 10},
    {"activation": "relu", "initializer": "kaiming_normal"},
    {"activation": "leaky_relu", "initializer": "kaiming_normal"},
    {"activation": "selu", "initializer": "lecun_normal", "learning_rate": 0.03},
    {"activation": "gelu", "initializer": "lsuv"},
    {"activation": "softsign"},
    {"activation": "elu", "initializer": "kaiming_normal", "learning_rate": 0.03},
    {"activation": "hardtanh"},
    {"activation": "relu", "initializer": "kaiming_normal", "normalization": "batch"},
]


@pytest.mark.parametrize("fields", HEALTHY, ids=lambda fields: "-".join(map(str, fields.values())))
def test_silence_on_healthy_networks(fields):
    for seed in range(2):
        run = nnlab.train(nnlab.ExperimentConfig(**fields, seed=seed, record_every=10))
        assert run.records[-1].network["test_accuracy"] > 0.9
        assert [(f.kind, f.layer, f.value) for f in run.findings] == []


EXPECTED = {
    "Sigmoid tower": "vanishing",
    "Healthy": None,
    "Dying ReLU": "dying",
    "Exploding": "exploding",
    "PyTorch default": "vanishing",
    "Saturated tanh": "saturating",
    "Step": "blocked",
    "Deep, rescued": None,
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_show_what_they_promise_and_their_remedies_help(name):
    run = nnlab.train(PRESETS[name].config.replace(record_every=10))
    expected = EXPECTED[name]
    assert [finding.kind for finding in run.findings[:1]] == ([expected] if expected else [])
    if expected is None:
        return
    worst = run.findings[0]
    assert worst.remedy
    healed = nnlab.train(run.config.replace(**worst.remedy))
    assert worst.kind not in {finding.kind for finding in healed.findings}
    before, after = (r.records[-1].network["test_accuracy"] for r in (run, healed))
    assert after > max(0.9, before)


def test_every_kind_has_a_title_and_every_finding_reads_as_sentences():
    assert set(diagnosis.KINDS) == set(TITLES)
    run = nnlab.train(nnlab.ExperimentConfig(depth=10, activation="sigmoid", steps=20))
    for finding in run.findings:
        assert finding.headline.endswith(".")
        assert finding.evidence
        assert finding.measure
        assert "nan" not in finding.explanation


@pytest.mark.parametrize("seed", range(40))
def test_the_size_of_updates_is_judged_by_the_median_of_all_so_far(tiny_run: nnlab.Run, seed: int) -> None:
    draw = np.random.default_rng(seed)
    center, count, last = 10.0 ** draw.uniform(-9, 0), int(draw.integers(10, 14)), tiny_run.records[-1]
    ratios = center * 10.0 ** draw.uniform(-3, 3, (count, 3))
    if seed % 3 == 0:  # half on either side of a threshold
        ratios[:] = np.where(
            draw.permutation(count * 3).reshape(count, 3) % 2, 5e-3, draw.choice([2e-2, 1e-2])
        )
    ratios[draw.random((count, 3)) < 0.1] = np.nan
    network = {**last.network, "loss": 1.0}
    records = tuple(
        replace(last, step=step, layers={**last.layers, "update_ratio": row}, network=network)
        for step, row in enumerate(ratios)
    )
    run = replace(tiny_run, records=records)
    found = [breach for breach in breaches(View(run, count - 1)) if breach.metric == "update_ratio"]
    usable = sorted(value for row in ratios[:, :2] for value in row if not math.isnan(value))
    middle = statistics.median(usable)
    assert [breach.value for breach in found] == [pytest.approx(middle)] * (not 1e-4 <= middle <= 1e-2)


@pytest.mark.parametrize(
    ("scale", "shift", "words"),
    [(30.0, 0.0, "spread too far: std of z is"), (1.0, 9.0, "lie off to one side: mean of z is 9")],
)
def test_saturation_is_explained_by_what_does_it(scale, shift, words):
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.Sigmoid(), nn.Linear(16, 3))
        x, y = torch.randn(40, 8), torch.randint(3, (40,))
    with torch.no_grad():
        model[0].weight.mul_(scale)
        model[0].bias.fill_(shift)
    finding = next(f for f in nnlab.diagnose(model, x, y).findings if f.kind == "saturating")
    assert words in finding.explanation
