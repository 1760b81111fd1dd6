"""Drawn networks against NumPy in float64, against training's first record, and against theory."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nnlab.config import ExperimentConfig
from nnlab.datasets import load_dataset
from nnlab.drawn import draw
from nnlab.ensemble import MAX_WORK, drawing_bytes, drawing_work, networks_allowed, seeds_from
from nnlab.member import batches
from nnlab.model import build_model
from nnlab.prediction import predict
from nnlab.random_network import RandomNetwork
from nnlab.streams import torch_stream
from nnlab.trainer import train

# phi, phi' and where abs(phi') is below 0.0591 of its largest
CURVES = {
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2, lambda z: abs(np.tanh(z)) > 0.97),
    "relu": (lambda z: z * (z > 0), lambda z: 1.0 * (z > 0), lambda z: z <= 0),
}


def random_network(sigma_b=0.0, **fields):
    usual = {"dataset": "gaussian", "depth": 10, "width": 100, "batch_size": 256}
    return RandomNetwork(ExperimentConfig(**{**usual, **fields}), sigma_b)


def by_hand(config, sigma_b):
    """Pass the first batch of training through the experiment's weights, in float64."""
    data = load_dataset(config)
    rows = next(batches(data, config)).numpy()
    x, y = data.x_train[rows].astype(float), data.y_train[rows]
    weights = {name: w.double().numpy() for name, w in build_model(config, data).state_dict().items()}
    generator = torch_stream(config.seed, "drawn biases")
    phi, slope, _ = CURVES[config.activation]
    matrices, biases, zs, hs = [], [], [], [x]
    for layer in range(1, config.depth + 1):
        added = torch.empty(config.width).normal_(0, sigma_b, generator=generator).double().numpy()
        matrices.append(weights[f"hidden_{layer}.linear.weight"])
        biases.append(weights[f"hidden_{layer}.linear.bias"] + added)
        zs.append(hs[-1] @ matrices[-1].T + biases[-1])
        hs.append(phi(zs[-1]))
    logits = hs[-1] @ weights["output.weight"].T + weights["output.bias"]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    signal = (p - np.eye(10)[y]) / len(y) @ weights["output.weight"]
    deltas = []
    for z, matrix in zip(zs[::-1], matrices[::-1]):
        deltas.append(signal * slope(z))
        signal = deltas[-1] @ matrix
    return zs, hs, deltas[::-1]


def numbers_by_hand(config, sigma_b):
    zs, hs, deltas = by_hand(config, sigma_b)
    _, slope, is_flat = CURVES[config.activation]
    norms = np.array([np.linalg.norm(delta) for delta in deltas])
    found = {
        "pre_activation_mean": [z.mean() for z in zs],
        "pre_activation_std": [z.std() for z in zs],
        "activation_mean": [h.mean() for h in hs[1:]],
        "activation_std": [h.std() for h in hs[1:]],
        "slope_power": [(slope(z) ** 2).mean() for z in zs],
        "saturation": [is_flat(z).mean() for z in zs],
        "zero_fraction": [(h == 0).mean() for h in hs[1:]],
        "dead_fraction": [(slope(z) == 0).all(axis=0).mean() for z in zs],
        "delta_norm": norms,
        "relative_to_last_hidden": norms / norms[-1],
        "backward_gain": [*(norms[:-1] / norms[1:]), math.nan],
        "weight_grad_norm": [np.linalg.norm(d.T @ h) for d, h in zip(deltas, hs)],
    }
    cosines, ranks = [], []
    for h in hs[1:]:
        lengths = np.linalg.norm(h, axis=1)
        kept = h[lengths > 0] / lengths[lengths > 0, None]
        pairs = kept @ kept.T
        cosines.append((pairs.sum() - np.trace(pairs)) / (len(kept) * (len(kept) - 1)))
        values = np.linalg.svd(h, compute_uv=False)
        share = values[values > 0] / values.sum()
        ranks.append(math.exp(-(share * np.log(share)).sum()))
    slope_of_line = np.polyfit(range(len(norms)), np.log10(norms), 1)[0]
    return found | {"mean_cosine": cosines, "effective_rank": ranks}, (norms[0] / norms[-1], slope_of_line)


@pytest.mark.parametrize(
    ("sigma_b", "fields"),
    [
        (0.0, {"activation": "relu", "initializer": "kaiming_normal"}),
        (0.3, {"activation": "tanh", "gain": 1.5, "seed": 7}),
        (0.2, {"activation": "relu", "initializer": "pytorch_default"}),
    ],
)
def test_every_number_is_that_of_numpy_in_float64(sigma_b, fields):
    network = random_network(sigma_b, depth=4, width=30, **fields)
    ensemble = draw(network, 2)
    for place, seed in enumerate(ensemble.seeds):
        layers, (ratio, index) = numbers_by_hand(network.config.replace(seed=seed), sigma_b)
        assert set(layers) | {"delta_rms"} == set(ensemble.layers)
        for name, expected in layers.items():
            close = {"rel": 2e-5, "abs": 2e-6, "nan_ok": True}
            assert ensemble.layers[name][place] == pytest.approx(np.array(expected), **close), name
        assert ensemble.whole["gradient_ratio"][place] == pytest.approx(ratio, rel=1e-5)
        assert ensemble.whole["vanishing_index"][place] == pytest.approx(index, abs=1e-5)


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
def test_they_are_the_networks_that_training_begins_with(normalization):
    network = random_network(depth=3, width=20, normalization=normalization, residual=True, seed=3)
    ensemble = draw(network, 2)
    assert ensemble.seeds == (3, 4)
    for place, seed in enumerate(ensemble.seeds):
        first = train(network.config.replace(seed=seed, steps=1)).records[0]
        for metric in ("delta_norm", "pre_activation_std", "activation_std", "saturation"):
            assert ensemble.layers[metric][place].tolist() == first.layers[metric][:3].tolist()
        assert ensemble.whole["gradient_ratio"][place] == first.network["gradient_ratio"]


# Within 25 % at depth 10 and width 100; for ReLU, which scatters most, as a mean of more networks.
@pytest.mark.parametrize(
    ("activation", "initializer", "count"),
    [
        ("sigmoid", "xavier_uniform", 4),
        ("tanh", "xavier_uniform", 4),
        ("relu", "kaiming_normal", 10),
        ("selu", "lecun_normal", 4),
        ("softsign", "lecun_normal", 4),
        ("sine", "lecun_normal", 4),
    ],
)
def test_drawn_gradients_follow_theory(activation, initializer, count):
    network = random_network(activation=activation, initializer=initializer)
    ratios = draw(network, count).whole["gradient_ratio"]
    expected = predict(network).signal.gradient_ratio
    assert math.exp(np.log(ratios).mean()) == pytest.approx(expected, rel=0.25)


def test_variances_follow_theory_at_width_500():
    network = random_network(
        0.3, activation="tanh", initializer="xavier_normal", gain=1.4, width=500, depth=6
    )
    drawn, theory = draw(network, 2), predict(network)
    for metric in ("pre_activation_std", "activation_std"):
        variances = np.exp(np.log(drawn.layers[metric] ** 2).mean(axis=0))
        assert variances == pytest.approx(theory.curve(metric) ** 2, rel=0.1)
    assert drawn.layers["saturation"].mean(axis=0) == pytest.approx(theory.curve("saturation"), abs=0.02)
    assert drawn.layers["mean_cosine"].mean(axis=0) == pytest.approx(theory.curve("mean_cosine"), abs=0.04)


@pytest.mark.parametrize(
    "fields",
    [
        {"initializer": "zeros"},
        {"activation": "step"},
        {"activation": "relu", "initializer": "kaiming_normal", "gain": 1e19},
        {"activation": "relu", "width": 1},
        {"activation": "tanh", "depth": 1},
        {"activation": "gelu", "initializer": "lsuv"},
        {"activation": "sigmoid", "normalization": "batch", "width": 1},
    ],
)
def test_nothing_and_too_much_are_results(fields):
    network = random_network(**{"activation": "sigmoid", "depth": 3, "width": 8, "batch_size": 16, **fields})
    ensemble, theory = draw(network, 2), predict(network)
    for metric in ("pre_activation_std", "relative_to_last_hidden", "mean_cosine", "saturation"):
        assert ensemble.layers[metric].shape == (2, network.config.depth)
        assert theory.curve(metric).shape == (network.config.depth,)
    if fields.get("activation") == "step" or fields.get("initializer") == "zeros":
        assert not ensemble.layers["relative_to_last_hidden"].all()
        assert theory.signal.gradient_ratio == 0


def test_the_tidy_table_holds_every_number_once():
    ensemble = draw(random_network(depth=2, width=5, activation="tanh", seed=2**32 - 1), 2)
    frame = ensemble.frame()
    assert list(frame.columns) == ["seed", "layer", "layer_index", "metric", "value"]
    assert set(frame["seed"]) == {2**32 - 1, 0}
    (value,) = frame.query("seed == 0 and layer == 'hidden_2' and metric == 'delta_norm'")["value"]
    assert value == ensemble.layers["delta_norm"][1, 1]
    (ratio,) = frame.query("seed == 0 and layer == 'network' and metric == 'gradient_ratio'")["value"]
    assert ratio == ensemble.whole["gradient_ratio"][1]
    assert not frame.duplicated(["seed", "layer", "metric"]).any()


def test_large_networks_are_fewer_and_huge_ones_refused():
    small, large = random_network().config, random_network(width=1024, depth=12).config
    work = 60e9
    assert networks_allowed(small, 20, work=work) == 20
    assert networks_allowed(large, 20, work=work) == 1
    middle = random_network(depth=60).config
    assert 1 < networks_allowed(middle, 40, work=work) == int(work / drawing_work(middle)) < 40
    assert networks_allowed(middle, 40, work=work / 2) == int(work / 2 / drawing_work(middle))
    assert networks_allowed(large, 20) == int(MAX_WORK / drawing_work(large)) > 5
    assert networks_allowed(small, 20, memory=drawing_bytes(small)) == 20
    with pytest.raises(ValueError, match=r"width: 1024 with depth 12 needs .* MB .* at most 64 MB"):
        networks_allowed(large, 20, memory=64_000_000)


def test_seeds_go_round_and_counts_are_checked():
    assert seeds_from(2**32 - 2, 4) == (2**32 - 2, 2**32 - 1, 0, 1)
    for count in (0, 41, 2.0, True):
        with pytest.raises(ValueError, match=r"count: .* is not allowed; allowed: 1 to 40"):
            draw(random_network(depth=1, width=2), count)
    with pytest.raises(ValueError, match="metric: 'loss' is not allowed"):
        predict(random_network(depth=1, width=2)).curve("loss")
