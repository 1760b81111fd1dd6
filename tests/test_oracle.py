"""nnlab's numbers against the second implementation in `oracle.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import oracle
import pandas as pd
import pytest
import torch

import nnlab
from benchmarks import oracle as random_networks
from nnlab import member

# 37 is divisible by neither 3 nor 10 classes: no sum of softmax errors is exactly 0 in one
# implementation and 1e-17 in the other.
EXAMPLES = 37
LOSSES = ("cross_entropy", "mse")
FLOAT32, FLOAT64 = 1e-5, 1e-10

SHARES = (
    "saturation",
    "saturation_low",
    "saturation_high",
    "zero_fraction",
    "dead_fraction",
    "dormant_fraction",
    "accuracy",
)
UNITS = ("dead_units", "stuck_units", "silent_units")
# On these, rounding shows on the scale of 1, whatever their own size.
OF_ORDER_ONE = ("mean_cosine", "vanishing_index", "effective_rank")


@dataclass(frozen=True)
class Net:
    """A network to try with every activation and loss."""

    dataset: str
    depth: int
    width: int
    residual: bool
    initializer: str

    def __str__(self) -> str:
        return f"{self.depth}x{self.width}-{self.initializer}" + "-residual" * self.residual


SMALL = (
    Net("iris", 1, 1, False, "pytorch_default"),
    Net("iris", 3, 7, False, "orthogonal"),
    Net("gaussian", 3, 7, True, "lsuv"),
)
CASES = [
    *((net, loss) for net in SMALL for loss in LOSSES),
    (Net("gaussian", 8, 16, False, "xavier_normal"), "cross_entropy"),
    (Net("gaussian", 8, 16, True, "pytorch_default"), "mse"),
    (Net("iris", 3, 7, False, "zeros"), "mse"),  # every z on the kink, norms and spreads of 0
]
# Deltas down to 1e-33, whose squares are 0 in float32.
VANISHING = Net("gaussian", 15, 16, False, "normal_0.01")


def _config(net: Net, activation: str) -> nnlab.ExperimentConfig:
    return nnlab.ExperimentConfig(
        dataset=net.dataset,
        depth=net.depth,
        width=net.width,
        residual=net.residual,
        initializer=net.initializer,
        activation=activation,
    )


def _weights(model: torch.nn.Module) -> oracle.Weights:
    return oracle.weights_of({name: t.numpy() for name, t in model.state_dict().items()})


def _rows(frame: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Give {layer: {metric: value}} of a frame of one step, without what the oracle leaves out."""
    kept = frame[~frame["metric"].isin(["update_ratio", "test_loss", "test_accuracy"])]
    table: dict[str, dict[str, float]] = {}
    for layer, metric, value in zip(kept["layer"], kept["metric"], kept["value"], strict=True):
        assert metric not in table.setdefault(layer, {}), f"two rows of {metric} of {layer}"
        table[layer][metric] = value
    return table


def _tolerance(metric: str, row: dict[str, float], rtol: float, elements: int, units: int) -> float:
    """Give the absolute tolerance of a metric whose layer has the oracle's numbers `row`."""
    want = row[metric]
    if metric in UNITS:
        return 0.0
    if metric in ("dead_fraction", "dormant_fraction"):
        return 0.5 / units if rtol == FLOAT32 else 1e-15
    if metric in SHARES:  # in float32 one element may cross a threshold
        return 1.5 / elements if rtol == FLOAT32 else 1e-15
    if metric in OF_ORDER_ONE:
        return rtol * max(1.0, abs(want))
    for quantity in ("pre_activation", "activation"):  # a mean and a std may cancel to 0
        if metric in (f"{quantity}_mean", f"{quantity}_std"):
            return rtol * math.hypot(row[f"{quantity}_mean"], row[f"{quantity}_std"])
    return rtol * abs(want)


def _assert_same(
    got: dict[str, dict[str, float]],
    want: dict[str, dict[str, float]],
    rtol: float,
    examples: int,
    width: int,
) -> None:
    assert {layer: sorted(row) for layer, row in got.items()} == {
        layer: sorted(row) for layer, row in want.items()
    }
    wrong = []
    for layer, row in want.items():
        for metric, value in row.items():
            elements = examples if layer == "network" else examples * width
            near = _tolerance(metric, row, rtol, elements, width)
            found = got[layer][metric]
            both_nan = math.isnan(found) and math.isnan(value)
            if not (found == value or both_nan or abs(found - value) <= near):
                wrong.append(f"{layer} {metric}: nnlab {found}, oracle {value}")
    assert not wrong, "\n".join(wrong)


def _in_order(counts: np.ndarray) -> np.ndarray:
    """Sort rows of (bin_left, bin_right, count) by their edges, nan last."""
    return counts[np.lexsort((counts[:, 1], counts[:, 0]))]


def _assert_same_counts(got: pd.DataFrame, want: dict[tuple[str, str], np.ndarray], moves: int) -> None:
    """Compare counts bin by bin; `moves` elements of a histogram may sit in a neighboring bin."""
    places = got.groupby(["layer", "quantity"]).indices
    assert set(places) == set(want)
    rows = got[["bin_left", "bin_right", "count"]].to_numpy(float)
    wrong = []
    for name, counts in want.items():
        found, expected = _in_order(rows[places[name]]), _in_order(counts)
        assert found.shape == expected.shape, name
        assert np.allclose(found[:, :2], expected[:, :2], rtol=0, atol=1e-9, equal_nan=True), name
        surplus = np.cumsum(found[:, 2] - expected[:, 2])
        assert surplus[-1] == 0, f"{name}: {surplus[-1]:+g} elements"
        if abs(surplus).sum() > moves:
            differ = found[:, 2] != expected[:, 2]
            wrong.append(f"{name}: nnlab\n{found[differ]}\noracle\n{expected[differ]}")
    assert not wrong, "\n".join(wrong)


def _table(
    weights: oracle.Weights, activation: str, record: oracle.Pass, probe: oracle.Pass
) -> dict[str, dict[str, float]]:
    layers = oracle.layer_metrics(weights, activation, record, probe)
    return {"network": oracle.network_metrics(record), **layers}


def _assert_agrees_in_both_precisions(
    model: torch.nn.Module, config: nnlab.ExperimentConfig, x: np.ndarray, y: np.ndarray
) -> dict[str, dict[str, float]]:
    """Compare `diagnose` in float32, then float64, and give the oracle's numbers."""
    weights, activation = _weights(model), config.activation
    record = oracle.run_pass(weights, activation, x, y, config.loss, config.residual)
    want = _table(weights, activation, record, record)
    counts = oracle.histograms(activation, record)
    for rtol, moves in ((FLOAT32, 2), (FLOAT64, 0)):
        run = nnlab.diagnose(model, x, y, loss=config.loss)
        _assert_same(_rows(run.metrics), want, rtol, examples=len(x), width=config.width)
        _assert_same_counts(run.histograms, counts, moves)
        model = model.double()
    return want


@pytest.mark.parametrize(
    ("activation", "net", "loss"),
    [
        *((activation, net, loss) for activation in sorted(oracle.PHI) for net, loss in CASES),
        ("sigmoid", VANISHING, "cross_entropy"),
    ],
    ids=str,
)
def test_diagnose_agrees_in_both_precisions(activation: str, net: Net, loss: str) -> None:
    config = _config(net, activation).replace(loss=loss)
    data = nnlab.load_dataset(config)
    model = nnlab.build_model(config, data)
    x, y = data.x_train[:EXAMPLES], data.y_train[:EXAMPLES]
    _assert_agrees_in_both_precisions(model, config, x, y)


def test_zeros_are_left_out_of_the_vanishing_index_and_divide_as_ieee_says() -> None:
    config = _config(Net("iris", 4, 7, False, "orthogonal"), "relu")
    data, model = nnlab.load_dataset(config), nnlab.build_model(config)
    with torch.no_grad():
        model.hidden_2.linear.bias.fill_(-1e3)
        model.hidden_3.linear.bias.copy_(torch.linspace(-1, 1, 7))
    x, y = data.x_train[:EXAMPLES], data.y_train[:EXAMPLES]
    want = _assert_agrees_in_both_precisions(model, config, x, y)
    assert want["network"]["gradient_ratio"] == 0
    assert want["hidden_2"]["backward_gain"] == 0
    assert math.isnan(want["hidden_1"]["backward_gain"])
    assert math.isfinite(want["network"]["vanishing_index"])


def test_one_example_has_no_cosine() -> None:
    config = _config(SMALL[1], "tanh")
    data, model = nnlab.load_dataset(config), nnlab.build_model(config)
    want = _assert_agrees_in_both_precisions(model, config, data.x_train[:1], data.y_train[:1])
    assert math.isnan(want["hidden_1"]["mean_cosine"])


def test_random_networks_of_every_kind_agree() -> None:
    """The first of the thousand that `python -m benchmarks oracle` compares."""
    for tally in random_networks.compare(range(6)).values():
        assert tally.wrong == []
        assert tally.networks >= 5
        # What needs more room than the tolerance must stay the exception, or nothing was compared.
        assert tally.roomy.total() < 0.1 * tally.compared


@pytest.mark.parametrize(
    ("metric", "factor", "seen"), [("delta_norm", 1 + 3e-5, True), ("delta_norm", 1 + 3e-12, False)]
)
def test_a_number_that_is_a_little_wrong_is_found(
    metric: str, factor: float, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong digit in one metric of one layer: beyond the tolerance of one precision, or of the other."""
    found = random_networks._found

    def wrong(run: nnlab.Run, step: int) -> random_networks.Answer:
        table, counts = found(run, step)
        table["hidden_1"][metric] *= factor
        return table, counts

    monkeypatch.setattr(random_networks, "_found", wrong)
    single, double = random_networks.compare(range(2, 4)).values()
    assert any(metric in line for line in single.wrong) == seen
    assert any(metric in line for line in double.wrong)


def test_every_activation_of_nnlab_is_compared() -> None:
    assert sorted(oracle.PHI) == sorted(nnlab.ACTIVATIONS)


def test_a_network_worked_by_hand() -> None:
    config = nnlab.ExperimentConfig(dataset="xor", depth=2, width=2, activation="relu")
    model = nnlab.build_model(config)
    parameters = {
        "hidden_1.linear.weight": [[1, -1], [2, 1]],
        "hidden_1.linear.bias": [0, 1],
        "hidden_2.linear.weight": [[1, 1], [-1, 1]],
        "hidden_2.linear.bias": [-6, 0],
        "output.weight": [[2, 1], [1, -1]],
        "output.bias": [-4, 5],
    }
    model.load_state_dict({name: torch.tensor(v).float() for name, v in parameters.items()})
    x, y = np.array([[1.0, 2.0], [2.0, -1.0]]), np.array([1, 1])
    # Forward, an example a row:
    #   z1 = [-1 5; 3 4]  h1 = [0 5; 3 4]   z2 = [-1 5; 1 1]  h2 = [0 5; 1 1]   out = [1 0; -1 5]
    # mse, targets [0 1; 0 1]: errors [1 -1; -1 4], loss (1+1+1+16)/4 = 4.75
    # Backward: delta_out = errors / 2 = [.5 -.5; -.5 2]
    #   dh2 = delta_out W3 = [.5 1; 1 -2.5]    delta_2 = [0 1; 1 -2.5]
    #   dh1 = delta_2 W2 = [-1 1; 3.5 -1.5]    delta_1 = [0 1; 3.5 -1.5]
    #   dW3 = [-.5 2; 2 -.5]  dW2 = [3 4; -7.5 -5]  dW1 = [7 -3.5; -2 3.5]
    #   db3 = [0 1.5]         db2 = [1 -1.5]        db1 = [3.5 -.5]
    # h1 has the singular values 3 sqrt 5 and sqrt 5: shares 3/4 and 1/4, rank 4 / 3^(3/4).
    root = math.sqrt
    by_hand = {
        "network": {
            "loss": 4.75,
            "accuracy": 0.5,  # [1 0] says 0, [-1 5] says 1
            "grad_norm": 14.5,  # root of 77.5 + 12.5 + 106.25 + 3.25 + 8.5 + 2.25 = 210.25
            "gradient_ratio": root(15.5 / 8.25),
            "vanishing_index": math.log10(8.25 / 15.5) / 2,
        },
        "hidden_1": {
            "pre_activation_mean": 2.75,
            "pre_activation_std": root(5.1875),  # 51/4 - 2.75^2
            "activation_mean": 3,
            "activation_std": root(3.5),  # 50/4 - 3^2
            "slope_mean": 0.75,
            "saturation": 0.25,
            "zero_fraction": 0.25,
            "dead_units": 0,
            "silent_units": 0,
            "dormant_fraction": 0,
            "mean_cosine": 0.8,  # 20 / (5 * 5)
            "effective_rank": 4 / 3**0.75,
            "delta_norm": root(15.5),
            "delta_rms": root(15.5) / 2,
            "activation_grad_norm": root(16.5),
            "backward_gain": root(15.5 / 8.25),
            "weight_norm": root(7),
            "weight_grad_norm": root(77.5),
            "bias_grad_norm": root(12.5),
            "grad_to_weight": root(77.5 / 7),
        },
        "hidden_2": {
            "delta_norm": root(8.25),
            "activation_grad_norm": root(8.5),
            "backward_gain": math.nan,
            "weight_grad_norm": root(106.25),
            "bias_grad_norm": root(3.25),
            "mean_cosine": root(0.5),
        },
        "output": {
            "delta_norm": root(4.75),
            "weight_grad_norm": root(8.5),
            "bias_grad_norm": 1.5,
        },
    }
    weights = _weights(model)
    record = oracle.run_pass(weights, "relu", x, y, "mse", residual=False)
    run = nnlab.diagnose(model.double(), x, y, loss="mse")
    for table in (_table(weights, "relu", record, record), _rows(run.metrics)):
        for layer, row in by_hand.items():
            found = {metric: table[layer][metric] for metric in row}
            assert found == pytest.approx(row, rel=1e-12, nan_ok=True), layer


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", sorted(oracle.PHI))
def test_oracle_agrees_with_central_differences(activation: str, loss: str) -> None:
    random = np.random.default_rng(3)
    shapes = [(4, 3), (4, 4), (4, 4), (3, 4)]
    weights = [(random.normal(size=shape), random.normal(size=shape[0])) for shape in shapes]
    x, y = random.normal(size=(3, 3)), np.array([0, 2, 1])

    def slopes(parameter: np.ndarray, rows: slice) -> np.ndarray:
        """Give the loss of some examples differentiated by each entry of a parameter."""
        result = np.empty(parameter.shape)
        for place in np.ndindex(parameter.shape):
            kept, ends = parameter[place], []
            for nudge in (1e-6, -1e-6):
                parameter[place] = kept + nudge
                ends.append(oracle.run_pass(weights, activation, x[rows], y[rows], loss, True).loss)
            parameter[place] = kept
            result[place] = (ends[0] - ends[1]) / 2e-6
        return result

    record = oracle.run_pass(weights, activation, x, y, loss, residual=True)
    table = oracle.layer_metrics(weights, activation, record, record)
    for (weight, bias), row in zip(weights, table.values(), strict=True):
        by_weight = np.linalg.norm(slopes(weight, slice(None)))
        # What a bias does to one example alone is B times that example's delta.
        by_z = np.linalg.norm([slopes(bias, slice(i, i + 1)) / len(x) for i in range(len(x))])
        assert row["weight_grad_norm"] == pytest.approx(by_weight, rel=1e-6)
        assert row["delta_norm"] == pytest.approx(by_z, rel=1e-6)


@pytest.mark.parametrize("activation", sorted(oracle.PHI))
def test_counts_hold_what_is_outside_and_what_is_not_finite(activation: str) -> None:
    config = _config(Net("iris", 2, 7, True, "xavier_uniform"), activation)
    model = nnlab.build_model(config).double()
    x, y = 3 * np.random.default_rng(4).normal(size=(EXAMPLES, 4)), np.arange(EXAMPLES) % 3
    x[0, 0], x[1, 1] = math.nan, 1e300
    with np.errstate(all="ignore"):
        record = oracle.run_pass(_weights(model), activation, x, y, "mse", residual=True)
        counts = oracle.histograms(activation, record)
    assert counts["hidden_1", "pre_activation"][-3:, 2].min() > 0
    frame = nnlab.diagnose(model, x, y, loss="mse").histograms
    # Forward only: what a backward pass makes of nan is PyTorch's choice for each activation.
    forward = ("pre_activation", "activation")
    _assert_same_counts(
        frame[frame["quantity"].isin(forward)],
        {name: rows for name, rows in counts.items() if name[1] in forward},
        moves=0,
    )


def test_counts_hold_magnitudes_outside() -> None:
    config = _config(Net("iris", 2, 7, False, "xavier_uniform"), "relu")
    data, model = nnlab.load_dataset(config), nnlab.build_model(config).double()
    with torch.no_grad():
        model.output.weight.mul_(1e-26)
        model.output.bias[0] = 1e7
    x, y = data.x_train[:EXAMPLES], data.y_train[:EXAMPLES]
    record = oracle.run_pass(_weights(model), "relu", x, y, "mse", residual=False)
    counts = oracle.histograms("relu", record)
    assert counts["hidden_1", "delta"][[-4, -1], 2].min() > 0  # below 1e-20; exactly 0
    assert counts["output", "delta"][-3, 2] > 0  # above 1e4
    _assert_same_counts(nnlab.diagnose(model, x, y, loss="mse").histograms, counts, moves=0)


@pytest.mark.parametrize("activation", sorted(oracle.PHI))
def test_dead_units_are_those_for_which_autograd_gives_zero(activation: str) -> None:
    config = _config(Net("iris", 1, 16, False, "pytorch_default"), activation)
    model = nnlab.build_model(config)
    with torch.no_grad():  # every unit on its own side, some beyond where float32 slopes are 0
        model.hidden_1.linear.bias.copy_(torch.linspace(-120, 120, 16))
    data = nnlab.load_dataset(config)
    z = model.hidden_1.linear(torch.from_numpy(data.x_train)).detach().requires_grad_()
    model.hidden_1.activation(z).sum().backward() if activation != "step" else None
    slope = torch.zeros_like(z) if z.grad is None else z.grad
    rows = _rows(nnlab.diagnose(model, data.x_train, data.y_train).metrics)
    assert rows["hidden_1"]["dead_units"] == int((slope == 0).all(dim=0).sum())


@pytest.mark.parametrize(
    ("activation", "net"),
    [
        ("tanh", Net("iris", 3, 7, False, "pytorch_default")),
        ("tanh", Net("iris", 3, 7, True, "pytorch_default")),
        ("sigmoid", Net("iris", 1, 3, False, "zeros")),  # weights leave 0, the output's first
    ],
    ids=str,
)
def test_a_training_run_agrees_with_gradient_descent_by_hand(activation: str, net: Net) -> None:
    config = _config(net, activation).replace(batch_size=32, steps=6, record_every=1)
    data = nnlab.load_dataset(config)
    weights, batches = _weights(nnlab.build_model(config, data)), member.batches(data, config)
    names, previous = oracle.layer_names(weights), None
    run = nnlab.train(config)

    def go(x: np.ndarray, y: np.ndarray) -> oracle.Pass:
        return oracle.run_pass(weights, config.activation, x, y, config.loss, net.residual)

    for step in range(config.steps + 1):
        rows = next(batches).numpy()
        record, test = go(data.x_train[rows], data.y_train[rows]), go(data.x_test, data.y_test)
        probe = go(data.x_train, data.y_train)  # 120 examples: all of them are the probe set
        frame = run.metrics[run.metrics["step"] == step]
        want = _table(weights, config.activation, record, probe)
        _assert_same(_rows(frame), want, FLOAT32, examples=32, width=net.width)

        extra = {(row.layer, row.metric): row.value for row in frame.itertuples()}
        assert extra["network", "test_loss"] == pytest.approx(test.loss, rel=FLOAT32)
        assert extra["network", "test_accuracy"] == pytest.approx(test.accuracy, abs=1e-6)
        for i, name in enumerate(names):
            ratio = math.nan
            if previous is not None and previous[i][0].any():
                ratio = (weights[i][0] - previous[i][0]).std() / previous[i][0].std()
            # float32 weights carry each update with a rounding error of 1e-7 of the weight.
            found = extra[name, "update_ratio"]
            assert found == pytest.approx(ratio, rel=1e-4, nan_ok=True), (step, name)
        previous = weights
        weights = [
            (w - config.learning_rate * dw, b - config.learning_rate * db)
            for (w, b), (dw, db) in zip(weights, record.gradients, strict=True)
        ]
