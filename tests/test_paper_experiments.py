"""The papers' experiments: their parts computed again by other means, and their charts."""

from __future__ import annotations

import itertools
import math
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from chart_checks import assert_charts_explain_themselves

from nnlab import (
    hanin_fluctuation,
    klambauer_fixed_point,
    lu_born_dead,
    saxe_modes,
    saxe_times,
    schoenholz_depth,
    yang_explosion,
)
from nnlab.config import ExperimentConfig
from nnlab.datasets import load_dataset
from nnlab.length_chain import length_law
from nnlab.linear_task import digits_task
from nnlab.paper import Interrupted
from nnlab.paper_charts import Axis, Caption
from nnlab.paper_law_charts import LAW, MEASURED, law_points
from nnlab.paper_result import stored_result
from nnlab.paper_rows import counted, different, picked, to_columns
from nnlab.random_network import RandomNetwork

GO_ON = threading.Event()
PAPERS = (
    saxe_times.TIMES,
    saxe_modes.MODES,
    schoenholz_depth.DEPTH,
    klambauer_fixed_point.FIXED_POINT,
    hanin_fluctuation.FLUCTUATION,
    lu_born_dead.BORN_DEAD,
    yang_explosion.EXPLOSION,
)


@pytest.mark.parametrize(("mode", "papers"), [("light", PAPERS), ("dark", PAPERS[2:4])])
def test_every_chart_of_a_stored_result_compiles_and_explains_itself(mode, papers):
    charts = [chart for paper in papers for chart in paper.charts(stored_result(paper.name).columns, mode)]
    assert_charts_explain_themselves(charts, mode)


def test_rows_become_columns_and_are_picked_by_what_they_hold():
    rows = [{"who": "a", "x": 1, "y": 2.5}, {"who": "b", "x": 1, "y": 3.5}, {"who": "a", "x": 2, "y": 4.5}]
    columns = to_columns(rows)
    assert picked(columns, "y", who="a").tolist() == [2.5, 4.5]
    assert picked(columns, "y", who="a", x=2).tolist() == [4.5]
    assert different(columns, "x") == [1, 2]


def test_counting_reports_every_item_and_stops_when_asked():
    said, stop = [], threading.Event()
    for item in counted("abc", lambda done, of: said.append((done, of)), stop):
        if item == "b":
            break
    assert said == [(0, 3), (1, 3)]
    stop.set()
    with pytest.raises(Interrupted):
        list(counted("abc", lambda done, of: None, stop))


def test_the_linear_task_is_what_least_squares_finds():
    # The best linear map of the whitened pixels is the task itself, and explains what any linear map can.
    data = load_dataset(ExperimentConfig(dataset="digits"))
    x = np.column_stack([data.x_train.astype(float), np.ones(len(data.x_train))])
    y = np.eye(10)[data.y_train]
    found, *_ = np.linalg.lstsq(x, y, rcond=None)
    explained = np.mean(np.sum((x @ found - y.mean(axis=0)) ** 2, axis=1))
    assert np.sum(digits_task() ** 2) == pytest.approx(explained, rel=1e-6)


def test_deep_linear_learning_is_what_autograd_and_sgd_do():
    rng = np.random.default_rng(0)
    task = rng.standard_normal((2, 4)) / 2
    drawn = [rng.standard_normal(shape) / 2 for shape in ((4, 4), (4, 4), (2, 4))]
    rate = 0.1
    weights = [torch.tensor(weight, requires_grad=True) for weight in drawn]
    steps = 0
    while True:
        product = weights[2] @ weights[1] @ weights[0]
        error = (product - torch.tensor(task)).square().sum()
        if error / (task**2).sum() < saxe_times.LEARNED:
            break
        for weight, gradient in zip(weights, torch.autograd.grad(error / 2, weights), strict=True):
            weight.data -= rate * gradient
        steps += 1
    assert steps > 10
    rates = np.array([rate / 8, rate, 1e6])  # one slower, and one that runs away
    assert saxe_times.learning_steps(drawn, task, rates, 10 * steps, GO_ON) == steps
    assert saxe_times.learning_steps(drawn, task, rates, steps - 1, GO_ON) == math.inf
    assert saxe_times.learning_steps(drawn, task, np.array([1e6]), steps, GO_ON) == math.inf


def test_orthogonal_weights_are_orthogonal_and_gaussian_ones_have_unit_gain():
    rotation = saxe_times._draw(saxe_times.ORTHOGONAL, 30, 0, 1)
    assert rotation @ rotation.T == pytest.approx(np.eye(30), abs=1e-12)
    gaussian = saxe_times._draw(saxe_times.GAUSSIAN, 100, 0, 1)
    assert 100 * gaussian.var() == pytest.approx(1, abs=0.06)


def test_unlearned_depths_are_said_and_count_as_slower():
    columns = to_columns(
        [
            {"start": start, "depth": depth, "seed": 0, "steps": steps}
            for depth, fast, slow in ((2, 10, 20), (5, 11, 90), (9, 10, math.inf))
            for start, steps in ((saxe_times.ORTHOGONAL, fast), (saxe_times.GAUSSIAN, slow))
        ]
    )
    assert all(check.passes for check in saxe_times.check(columns, {}))
    (chart,) = saxe_times.TIMES.charts(columns, "light")
    assert "at depth 9" in chart.notes[0]
    worse = {**columns, "steps": [10, 20, 30, 15, 90, 12]}
    assert [check.passes for check in saxe_times.check(worse, {})] == [False, False]


def test_training_side_by_side_is_training_alone():
    config = ExperimentConfig(depth=3, width=8, steps=30, batch_size=32, initializer="lecun_normal")
    from nnlab.drawn_training import trained_accuracies
    from nnlab.trainer import train

    data = load_dataset(config)
    together = [RandomNetwork(config.replace(gain=gain)) for gain in (1.0, 1.5)]
    found = trained_accuracies([*together, RandomNetwork(config, sigma_b=1.0)], GO_ON)
    for network, accuracy in zip(together, found, strict=False):
        outputs = train(network.config).model(torch.from_numpy(data.x_train)).detach().numpy()
        assert accuracy == np.mean(outputs.argmax(axis=1) == data.y_train)
    assert found[2] != found[0]
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        trained_accuracies(together, stop)


def test_the_depth_scale_of_correlations_is_that_of_a_plain_quadrature():
    nodes, shares = np.polynomial.hermite_e.hermegauss(60)
    weights = np.outer(shares, shares) / shares.sum() ** 2

    def mean(function, q, c):
        one = math.sqrt(q) * nodes[:, None]
        other = math.sqrt(q) * (c * nodes[:, None] + math.sqrt(1 - c * c) * nodes[None, :])
        return float(np.sum(weights * function(one) * function(other)))

    variance, q, c = 4.0, 1.0, 0.5
    for _ in range(60):
        q = variance * mean(np.tanh, q, 1.0) + 0.05
    for _ in range(300):
        c = (variance * mean(np.tanh, q, c) + 0.05) / q
    slope = variance * mean(lambda z: 1 - np.tanh(z) ** 2, q, c)
    assert schoenholz_depth.correlation_scale(variance) == pytest.approx(-1 / math.log(slope), rel=1e-3)


def cells(accuracy: list[list[float]], xi: tuple[float, ...] = (2.0, 1.0, 50.0)) -> dict[str, list[float]]:
    rows = [
        {"weight_variance": variance, "depth": depth, "xi": scale, "accuracy": row[place]}
        for depth, row in zip((5, 10, 20), accuracy, strict=True)
        for place, (variance, scale) in enumerate(zip((1.0, 3.0, 1.76), xi, strict=True))
    ]
    return to_columns(rows)


def test_agreement_and_limits_of_planted_networks():
    # 6 xi is 12, 6 and 300 layers; training ends half way between 10 and 20, and between 5 and 10.
    planted = cells([[0.9, 0.9, 0.9], [0.9, 0.2, 0.9], [0.2, 0.2, 0.9]])
    agreement, limit = schoenholz_depth.check(planted, {"agreement_tolerance": 0.2})
    assert agreement.measured == 1
    assert limit.measured == pytest.approx((15 / 2 + 7.5 / 1) / 2)
    contrary = cells([[0.2, 0.2, 0.2], [0.2, 0.9, 0.2], [0.9, 0.9, 0.2]])
    agreement, limit = schoenholz_depth.check(contrary, {"agreement_tolerance": 0.2})
    assert agreement.measured == 0
    assert math.isnan(limit.measured)
    assert not limit.passes


def test_the_map_of_depths_fills_its_window_and_names_lost_networks():
    (chart,) = schoenholz_depth.charts(
        cells([[0.9, math.nan, 0.9], [0.9, 0.2, 0.9], [0.2, 0.2, 0.9]]), "dark"
    )
    frame = chart.frames["cells"]
    assert frame["state"].tolist().count("undefined") == 1
    assert "1 network left float32" in chart.notes[0]
    area = ((frame["x2"] - frame["x"]) * (frame["y2"] - frame["y"])).sum()
    whole = (frame["x2"].max() - frame["x"].min()) * (frame["y2"].max() - frame["y"].min())
    assert area == pytest.approx(whole)
    curve = chart.frames["curve"].dropna()
    assert curve["y"].between(frame["y"].min(), frame["y2"].max()).all()
    at_one = curve.loc[(curve["x"] - 1.0).abs().idxmin(), "y"]
    assert at_one == pytest.approx(6 * schoenholz_depth.correlation_scale(1.0), rel=0.01)


def test_drawn_gradients_are_autograds():
    widths, rng = (6, 4, 5), np.random.default_rng(0)
    state = np.random.default_rng(0)
    found = hanin_fluctuation._draw(rng, 40, widths)
    ends = (hanin_fluctuation.INPUTS, *widths, hanin_fluctuation.OUTPUTS)
    weights = [
        torch.from_numpy(state.standard_normal((40, rows, columns), dtype=np.float32))
        * math.sqrt(2 / columns)
        for columns, rows in itertools.pairwise(ends)
    ]
    error = torch.from_numpy(state.standard_normal((40, ends[-1]), dtype=np.float32))
    h = torch.ones(40, ends[0], 1)
    zs = []
    for weight in weights:
        zs.append((weight @ h).requires_grad_() if not zs else weight @ h)
        h = zs[-1].relu()
    (zs[-1][:, :, 0] * error).sum().backward()
    expected = zs[0].grad.square().sum(dim=(1, 2)) / error.square().sum(dim=1)
    assert found == pytest.approx(expected.numpy(), rel=1e-4)
    assert (found == 0).any()


def test_the_squared_gradient_follows_the_law_of_lengths():
    drawn = hanin_fluctuation.draw_gradient_lengths((12, 8), 6000, 3, GO_ON)
    law = length_law((12, 8))
    assert drawn.mean() == pytest.approx(1, abs=4 * math.sqrt((law.second_moment - 1) / 6000))
    alive = np.log(drawn[drawn > 0])
    assert (alive.mean(), alive.std()) == pytest.approx((law.log_mean, law.log_std), abs=0.06)


def test_shapes_are_read_as_written():
    assert hanin_fluctuation.widths_of("4 x 80") == (80, 80, 80, 80)
    assert hanin_fluctuation.widths_of("3 x 15/45") == (15, 45, 15)


def test_a_share_outside_its_bounds_is_noticed():
    stored = stored_result("lu_born_dead")
    settings = dict(stored.settings)
    moved = {**stored.columns, "share": [min(1.0, share + 0.05) for share in stored.columns["share"]]}
    assert lu_born_dead.check(stored.columns, settings)[0].passes
    assert not lu_born_dead.check(moved, settings)[0].passes


def test_growth_under_batch_normalization_is_read_from_a_planted_one():
    rows = [
        {"activation": name, "seed": seed, "layer": layer, "delta_norm": (3 + seed) * growth**-layer}
        for name, growth in (("relu", 1.21), ("identity", 1.0))
        for seed in range(2)
        for layer in range(1, 7)
    ]
    columns = to_columns(rows)
    assert yang_explosion.growth_per_layer(columns, "relu") == pytest.approx(1.21)
    checks = yang_explosion.check(columns, {"growth_tolerance": 0.03})
    assert [check.passes for check in checks] == [True, True]
    assert checks[0].published == pytest.approx(1.2112, abs=5e-5)


def test_selus_curve_is_its_moment_map_iterated():
    # One layer by Monte Carlo, then the fixed point.
    z = math.sqrt(2.5) * np.random.default_rng(0).standard_normal(400_000)
    h = torch.selu(torch.from_numpy(z)).numpy()
    law = klambauer_fixed_point._law(2.5, 60)
    assert law[0] == pytest.approx(h.var(), rel=0.01)
    assert law[-1] == pytest.approx(1, abs=1e-5)


def test_a_law_with_bounds_and_a_measurement_of_zero_on_a_log_axis():
    table = pd.DataFrame(
        {
            "series": ["a", "a", "a"],
            "x": [1.0, 2.0, 2.0],
            "value": [10.0, 1.0, 0.0],
            "low": [5.0, math.nan, 0.0],
            "high": [10.0, math.nan, 0.0],
            "kind": [LAW, LAW, MEASURED],
        }
    )
    caption = Caption("zeros", "Zeros", "words", "Numbers: 1.")
    chart = law_points(table, Axis("x"), Axis("y", is_log=True), caption, "light")
    assert chart.frames["rows"]["shown"].isna().tolist() == [False, False, True]
    assert chart.frames["rows"]["low"].tolist()[:2] == [5.0, 1.0]
    assert chart.notes == ("1 value is 0 or not finite and cannot stand on this axis.",)
    many = pd.concat([table.assign(series=str(number)) for number in range(7)])
    with pytest.raises(ValueError, match="7 series"):
        law_points(many, Axis("x"), Axis("y"), caption, "light")
