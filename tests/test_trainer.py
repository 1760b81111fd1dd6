"""train: the numbers of plain PyTorch, recorded without changing them, and an end for every way to end."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from at_once import train_at_once
from torch.nn import functional as F

import nnlab
from nnlab import member
from nnlab.frames import histogram_at
from nnlab.run import STATUSES, StepRecord
from nnlab.threads import one_thread
from nnlab.trainer import train

OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop")
NORMALIZATIONS = ("none", "batch", "layer")
LAST_ONLY = 20_000  # record_every above the steps: the first and the last
VARIANTS = [
    # Any two values of two of these fields meet in some network.
    *(
        {"optimizer": optimizer, "normalization": normalization, "clip_norm": (None, 0.05)[(i + j) % 2]}
        for (i, optimizer), (j, normalization) in product(enumerate(OPTIMIZERS), enumerate(NORMALIZATIONS))
    ),
    *({"optimizer": optimizer, "weight_decay": 0.1, "loss": "mse"} for optimizer in OPTIMIZERS),
    {"residual": True, "activation": "sine", "initializer": "pytorch_default"},
    {"batch_size": 1000},
    {"batch_size": 1},
]
every_variant = pytest.mark.parametrize(
    "fields", VARIANTS, ids=lambda fields: "-".join(str(value) for value in fields.values())
)


def _config(**fields: Any) -> nnlab.ExperimentConfig:
    small = {"dataset": "iris", "depth": 2, "width": 4, "batch_size": 16, "steps": 12, "record_every": 1}
    return nnlab.ExperimentConfig(**small | fields)


def _endless(**fields: Any) -> nnlab.ExperimentConfig:
    return _config(steps=20_000, record_every=100, **fields)


def _assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    weights, others = one.state_dict(), other.state_dict()
    assert weights.keys() == others.keys()
    assert [name for name in weights if not torch.equal(weights[name], others[name])] == []


def _number(value: torch.Tensor) -> float:
    return float(value.detach())


@every_variant
def test_recording_changes_no_bit_of_the_training(fields: dict[str, Any]) -> None:
    often, seldom = train(_config(**fields)), train(_config(**fields, record_every=LAST_ONLY))
    assert (len(often.records), len(seldom.records)) == (13, 2)
    _assert_same_weights(often.model, seldom.model)


def _plain_optimizer(config: nnlab.ExperimentConfig, model: torch.nn.Module) -> torch.optim.Optimizer:
    made = {
        "sgd": (torch.optim.SGD, {}),
        "momentum": (torch.optim.SGD, {"momentum": 0.9}),
        "adam": (torch.optim.Adam, {"fused": True}),
        "adamw": (torch.optim.AdamW, {"fused": True}),
        "rmsprop": (torch.optim.RMSprop, {}),
    }
    optimizer, options = made[config.optimizer]
    return optimizer(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, **options)


def _plain_loop(config: nnlab.ExperimentConfig) -> tuple[torch.nn.Module, list[float], list[float]]:
    """Train as anybody would write it; give the model, and loss and accuracy of every step."""
    data = nnlab.load_dataset(config)
    model = nnlab.build_model(config, data)
    optimizer = _plain_optimizer(config, model)
    batches = member.batches(data, config)
    losses, accuracies = [], []
    for step in range(config.steps + 1):
        rows = next(batches).numpy()
        x, y = torch.from_numpy(data.x_train[rows]), torch.from_numpy(data.y_train[rows])
        optimizer.zero_grad()
        outputs = model(x)
        loss = F.cross_entropy(outputs, y)
        if config.loss == "mse":
            loss = ((outputs - F.one_hot(y, 3)) ** 2).mean()
        loss.backward()
        losses.append(_number(loss))
        accuracies.append(_number((outputs.argmax(1) == y).double().mean()))
        if step < config.steps:
            if config.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
    return model, losses, accuracies


@every_variant
def test_training_is_what_a_plain_loop_does_bit_for_bit(fields: dict[str, Any]) -> None:
    config = _config(**fields)
    run = train(config)
    with one_thread():
        model, losses, accuracies = _plain_loop(config)
    assert [record.network["loss"] for record in run.records] == losses
    assert [record.network["accuracy"] for record in run.records] == accuracies
    _assert_same_weights(run.model, model)


def test_a_larger_network_is_what_a_plain_loop_makes_of_it_bit_for_bit() -> None:
    config = nnlab.ExperimentConfig(depth=4, steps=20)  # digits, more than one epoch
    run = train(config)
    with one_thread():
        model, losses, _ = _plain_loop(config)
    assert [record.network["loss"] for record in run.records] == losses
    _assert_same_weights(run.model, model)


def test_batches_are_shuffled_epochs_without_the_short_last_batch() -> None:
    config = _config(batch_size=50)
    batches = member.batches(nnlab.load_dataset(config), config)  # 120 examples
    first, second = (torch.cat([next(batches), next(batches)]).tolist() for _ in range(2))
    assert len(set(first)) == len(set(second)) == 100
    assert first != second
    assert first != sorted(first)


def test_batches_come_from_the_seed_and_not_from_the_network() -> None:
    def order(**fields: Any) -> list[int]:
        config = _config(**fields)
        return next(member.batches(nnlab.load_dataset(config), config)).tolist()

    assert order() == order(depth=7, activation="relu", initializer="lsuv", steps=3)
    assert order() != order(seed=1)


def test_the_same_configuration_gives_the_same_bits(assert_same_records: Callable[..., None]) -> None:
    one, other = train(_config(normalization="batch")), train(_config(normalization="batch"))
    assert_same_records(one.records, other.records)
    _assert_same_weights(one.model, other.model)


def test_another_seed_gives_another_run() -> None:
    losses = [train(_config(seed=seed)).records[0].network["loss"] for seed in (0, 1)]
    assert losses[0] != losses[1]


def test_no_random_state_of_the_process_is_used() -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    train(_config())
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


def test_runs_in_two_threads_at_once_are_those_of_each_alone(
    assert_same_records: Callable[..., None],
) -> None:
    configs = [_config(steps=60), _config(steps=60, activation="relu", normalization="batch", seed=3)]
    alone = [train(config) for config in configs]
    together = train_at_once(configs)
    for number, run in enumerate(alone):
        assert_same_records(together[number].records, run.records)
        _assert_same_weights(together[number].model, run.model)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Set a number of torch threads that a run does not have, and put the old one back."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_a_run_has_one_torch_thread_and_puts_the_number_back() -> None:
    seen = set()
    train(_config(), on_record=lambda run, record: seen.add(torch.get_num_threads()))
    assert seen == {1}
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_run_that_fails_puts_the_number_of_threads_back() -> None:
    def fail(run: nnlab.Run, record: StepRecord) -> None:
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        train(_config(), on_record=fail)
    assert torch.get_num_threads() == 2


def test_every_record_is_reported_when_it_is_taken() -> None:
    reported: list[tuple[nnlab.Run, StepRecord]] = []
    run = train(_config(steps=20, record_every=3), on_record=lambda *given: reported.append(given))
    assert [record.step for _, record in reported] == [0, 3, 6, 9, 12, 15, 18, 20]
    assert [record for _, record in reported] == list(run.records)
    for count, (so_far, record) in enumerate(reported, start=1):  # later records have not changed it
        assert so_far.records == run.records[:count]
        assert so_far.records[-1] is record
        assert (so_far.status, so_far.model, so_far.layers) == ("running", None, run.layers)


def test_a_run_says_what_it_is() -> None:
    config = _config()
    run = train(config)
    assert (run.status, run.config, run.notes) == ("completed", config, ())
    assert [layer.name for layer in run.layers] == ["hidden_1", "hidden_2", "output"]
    assert [layer.weight_shape for layer in run.layers] == [(4, 4), (4, 4), (3, 4)]
    assert run.environment["torch"] == torch.__version__
    assert run.environment["dataset_sha256"] == nnlab.load_dataset(config).sha256


def test_stop_keeps_the_records_so_far() -> None:
    stop = threading.Event()
    run = train(_config(), on_record=lambda run, record: record.step == 4 and stop.set(), stop=stop)
    assert run.status == "stopped"
    assert [record.step for record in run.records] == [0, 1, 2, 3, 4, 5]
    assert run.model is not None


def test_a_stopped_run_ends_in_a_probe_record_of_its_last_weights() -> None:
    stop = threading.Event()
    config = _config(steps=500, record_every=7)
    run = train(config, on_record=lambda run, record: record.step == 70 and stop.set(), stop=stop)
    last = run.records[-1]
    assert (run.status, last.step, last.is_probe) == ("stopped", 71, True)
    norms = [linear.weight.double().norm().item() for linear in run.model.linears]
    assert last.layers["weight_norm"].tolist() == pytest.approx(norms, rel=1e-6)


class _StopAtLook:
    """Says stop from the n-th look on, which may come in the midst of a pass."""

    def __init__(self, number: int) -> None:
        self._left = number

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_a_run_that_is_stopped_within_a_step_ends_in_a_record_of_that_steps_batch(normalization: str) -> None:
    config = _config(normalization=normalization)
    losses = {record.step: record.network["loss"] for record in train(config).records}
    for look in range(20, 60):
        for record in train(config, stop=_StopAtLook(look)).records:
            assert record.network["loss"] == losses[record.step], (look, record.step)


def test_a_stop_from_outside_ends_a_run_long_before_its_end() -> None:
    stop, times = threading.Event(), {}

    def ask() -> None:
        times["asked"] = time.monotonic()
        stop.set()

    timer = threading.Timer(0.2, ask)
    timer.start()
    run = train(_endless(), stop=stop)
    assert time.monotonic() - times["asked"] < 10  # its 20,000 steps take minutes; speed: benchmarks
    assert run.status == "stopped"
    assert run.records


def test_a_stop_before_the_first_step_leaves_an_empty_run() -> None:
    stop = threading.Event()
    stop.set()
    run = train(_config(), stop=stop)
    assert (run.status, run.records, run.findings) == ("stopped", (), ())


def test_a_run_is_timed_out_and_keeps_its_records() -> None:
    start = time.monotonic()
    run = train(_endless(), time_limit=0.3)
    assert 0.3 <= time.monotonic() - start < 10
    assert run.status == "timed_out"
    assert run.records[0].step == 0
    assert run.records[-1].step < 20_000


def test_a_time_limit_that_is_not_reached_changes_nothing(assert_same_records: Callable[..., None]) -> None:
    limited = train(_config(), time_limit=600)
    assert limited.status == "completed"
    assert_same_records(limited.records, train(_config()).records)


@pytest.mark.parametrize("record_every", [1, LAST_ONLY])
def test_a_diverged_run_ends_with_a_record_of_the_offending_step(record_every: int) -> None:
    run = train(_config(steps=60, activation="identity", learning_rate=1e3, record_every=record_every))
    assert run.status == "diverged"
    (note,) = run.notes
    last = run.records[-1]
    assert note.startswith(f"step {last.step}: the first non-finite number was in the loss")
    assert 0 < last.step < 60
    assert not math.isfinite(last.network["loss"])
    assert all(math.isfinite(record.network["loss"]) for record in run.records[:-1])
    assert [r.step for r in run.records] == ([0, last.step] if record_every > 1 else [*range(last.step + 1)])


def test_numbers_that_are_not_finite_stay_in_the_frames() -> None:
    run = train(_config(steps=60, activation="identity", learning_rate=1e3))
    last = run.metrics[run.metrics["step"] == run.records[-1].step]
    values = last.set_index(["layer", "metric"])["value"]
    assert not np.isfinite(values["network", "loss"])
    assert not np.isfinite(values["output", "delta_norm"])
    counts = histogram_at(run, run.records[-1].step, "delta")
    assert counts.loc[counts["bin_left"].isna(), "count"].sum() > 0


def test_a_diverged_run_is_the_plain_loop_up_to_there() -> None:
    config = _config(steps=60, activation="identity", learning_rate=1e3)
    run = train(config)
    with one_thread():
        _, losses, _ = _plain_loop(config.replace(steps=run.records[-1].step))
    np.testing.assert_array_equal([record.network["loss"] for record in run.records], losses)


def test_a_gradient_that_overflows_is_named_by_the_first_layer_it_overflows_in() -> None:
    run = train(_config(activation="sine", depth=30, gain=1000.0))  # bounded forward, x 1000 a layer back
    assert (run.status, len(run.records)) == ("diverged", 1)
    grads = dict(
        zip((layer.name for layer in run.layers), run.records[0].layers["weight_grad_norm"], strict=True)
    )
    deepest = [name for name, norm in grads.items() if not math.isfinite(norm)][-1]
    (note,) = run.notes
    assert note.startswith(
        f"step 0: the first non-finite number was in the gradient: {deepest}.linear.bias ("
    )
    assert math.isfinite(run.records[0].network["loss"])


def test_weights_that_overflow_are_named() -> None:
    run = train(_config(gain=1e39))
    assert (run.status, len(run.records)) == ("diverged", 1)
    (note,) = run.notes
    assert note.startswith("step 0: the first non-finite number was in the weights: hidden_1.linear.weight (")


# Any two of an optimizer, a field and a value meet in some network.
EXTREME = [
    (name, (5e-324, 3e38, 1e39, 1.7e308)[(i + j) % 4], optimizer)
    for i, optimizer in enumerate(OPTIMIZERS)
    for j, name in enumerate(("learning_rate", "weight_decay", "clip_norm", "gain"))
]


@pytest.mark.parametrize(("name", "value", "optimizer"), EXTREME)
def test_every_number_is_refused_or_has_a_run(name: str, value: float, optimizer: str) -> None:
    try:
        config = _config(optimizer=optimizer, record_every=LAST_ONLY, **{name: value})
    except ValueError:
        return
    run = train(config)
    assert run.status in STATUSES
    assert run.records
    assert len(run.metrics)


# Balanced labels, a full batch and weights of 0: every gradient is exactly 0, and the loss is ln 2.
STUCK = {"dataset": "xor", "samples": 80, "noise": 0.0, "initializer": "zeros", "batch_size": 64}


def test_a_run_is_stalled_when_every_gradient_was_zero_for_twenty_steps() -> None:
    run = train(_config(**STUCK, steps=100))
    assert run.status == "stalled"
    assert [record.step for record in run.records] == list(range(20))
    assert all(record.network["grad_norm"] == 0 for record in run.records)


def test_only_steps_in_a_row_make_a_run_stalled() -> None:
    # The first update makes the output bias the mean of the labels, 1/2, where its gradient is 0.
    run = train(_config(**STUCK, steps=100, loss="mse", learning_rate=1.0))
    assert run.status == "stalled"
    assert [record.network["grad_norm"] > 0 for record in run.records] == [True] + [False] * 20


def test_a_run_is_not_stalled_by_nineteen_steps() -> None:
    assert train(_config(**STUCK, steps=19)).status == "completed"


def test_a_run_is_stalled_whenever_it_is_recorded() -> None:
    assert train(_config(**STUCK, steps=100, record_every=LAST_ONLY)).status == "stalled"


def test_a_loss_that_does_not_fall_is_a_completed_run() -> None:
    assert train(_config(dataset="gaussian", learning_rate=1e-6)).status == "completed"


def _is_probe(number: int) -> bool:
    return number < 8 or number % 2 ** (math.floor(math.log2(number)) - 3) == 0


def test_probe_records_thin_out() -> None:
    run = train(_config(steps=70))
    wanted = [number for number in range(70) if _is_probe(number)] + [70]
    assert [n for n, record in enumerate(run.records) if record.is_probe] == wanted
    assert wanted[:20] == [*range(16), 16, 18, 20, 22]
    for record in run.records:
        for part, names in (
            (record.layers, ["dead_units", "effective_rank"]),
            (record.network, ["test_loss"]),
        ):
            assert all((name in part) == record.is_probe for name in names)
        assert "saturation" in record.layers


def test_about_fifty_of_three_hundred_records_are_probe_records() -> None:
    run = train(_config(steps=299, batch_size=1))
    assert 40 <= sum(record.is_probe for record in run.records) <= 60


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_scores_of_the_test_split_are_taken_in_evaluation_mode(normalization: str) -> None:
    config = _config(normalization=normalization)
    data, run = nnlab.load_dataset(config), train(config)
    assert run.model.training
    run.model.eval()
    x, y = torch.from_numpy(data.x_test), torch.from_numpy(data.y_test)
    outputs = run.model(x)
    last = run.records[-1].network
    assert last["test_loss"] == pytest.approx(_number(F.cross_entropy(outputs, y)), rel=1e-6)
    assert last["test_accuracy"] == pytest.approx(_number((outputs.argmax(1) == y).double().mean()))


def test_probe_metrics_are_taken_on_the_training_examples() -> None:
    config = _config(activation="relu", batch_size=1)
    data, run = nnlab.load_dataset(config), train(config)
    z = run.model.hidden_1.linear(torch.from_numpy(data.x_train))
    assert run.records[-1].layers["silent_units"][0] == float((z <= 0).all(dim=0).sum())
    rank = run.records[-1].layers["effective_rank"][0]
    s = np.linalg.svd(z.detach().double().relu().numpy(), compute_uv=False)
    p = s[s > 0] / s.sum()
    assert rank == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-5)


def test_the_probe_set_is_at_most_1024_examples() -> None:
    config = _config(dataset="gaussian", samples=2000, activation="relu", width=8, steps=1)
    data, run = nnlab.load_dataset(config), train(config)
    h = run.model.hidden_1(torch.from_numpy(data.x_train[:1024])).detach().double()
    h = h[h.norm(dim=1) > 0]
    unit = h / h.norm(dim=1, keepdim=True)
    cosines = unit @ unit.T
    wanted = (cosines.sum() - len(h)) / (len(h) * (len(h) - 1))
    assert run.records[-1].layers["mean_cosine"][0] == pytest.approx(float(wanted), rel=1e-9)


def test_a_batch_above_the_split_is_the_whole_split_and_told() -> None:
    run = train(_config(batch_size=128))
    (note,) = run.notes
    assert "120" in note
    activations = histogram_at(run, 0, "pre_activation").query("layer == 'hidden_1'")
    assert activations["count"].sum() == 120 * 4


def test_a_batch_of_the_whole_split_is_not_told() -> None:
    assert train(_config(batch_size=120)).notes == ()


def test_notes_of_the_dataset_are_in_the_run() -> None:
    config = _config(dataset="digits", steps=1)
    assert train(config).notes == nnlab.load_dataset(config).notes != ()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_no_update_follows_the_last_record(optimizer: str) -> None:
    run = train(_config(optimizer=optimizer))
    linears = [run.model.hidden_1.linear, run.model.hidden_2.linear, run.model.output]
    norms = [float(np.linalg.norm(linear.weight.detach().double().numpy())) for linear in linears]
    assert run.records[-1].layers["weight_norm"].tolist() == pytest.approx(norms, rel=1e-6)
    assert run.records[-2].layers["weight_norm"].tolist() != pytest.approx(norms, rel=1e-5)


def _weight_matrices(model: torch.nn.Module) -> list[np.ndarray]:
    linears = [model.hidden_1.linear, model.hidden_2.linear, model.output]
    return [linear.weight.detach().double().numpy() for linear in linears]


@pytest.mark.parametrize(
    "fields", [{}, {"optimizer": "adam"}, {"clip_norm": 0.01}, {"weight_decay": 0.5}], ids=str
)
@pytest.mark.parametrize("record_every", [1, 7])
def test_update_ratio_is_that_of_the_update_before_the_record(
    fields: dict[str, Any], record_every: int
) -> None:
    before = train(_config(steps=6, **fields)).model
    run = train(_config(steps=7, record_every=record_every, **fields))
    ratios = [
        (new - old).std() / old.std()
        for old, new in zip(_weight_matrices(before), _weight_matrices(run.model), strict=True)
    ]
    assert run.records[-1].layers["update_ratio"].tolist() == pytest.approx(ratios, rel=1e-6)


def test_update_ratio_is_undefined_at_step_0_and_defined_later() -> None:
    records = train(_config(steps=9, record_every=3)).records
    assert np.isnan(records[0].layers["update_ratio"]).all()
    assert all((record.layers["update_ratio"] > 0).all() for record in records[1:])


def test_update_ratio_of_zero_weights_is_undefined() -> None:
    records = train(_config(initializer="zeros")).records
    assert np.isnan(records[1].layers["update_ratio"]).all()


def test_gradients_are_recorded_before_clipping() -> None:
    free, clipped = (train(_config(steps=1, clip_norm=c)).records[0] for c in (None, 1e-6))
    assert clipped.network["grad_norm"] == free.network["grad_norm"] > 1e-6
    assert (clipped.layers["weight_grad_norm"] == free.layers["weight_grad_norm"]).all()


def test_an_error_of_the_listener_is_not_swallowed() -> None:
    def fail(run: nnlab.Run, record: StepRecord) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        train(_config(), on_record=fail)


def _write_numbers(path: Any, target: str = "{i}") -> nnlab.ExperimentConfig:
    path.write_text("a,y\n" + "".join(f"{i / 7},{target.format(i=i / 10)}\n" for i in range(40)))
    return _config(dataset="csv", csv_path=str(path), target="y")


def test_cross_entropy_of_a_numeric_target_with_many_values_is_a_classification(tmp_path: Any) -> None:
    run = train(_write_numbers(tmp_path / "numbers.csv"))
    assert run.layers[-1].weight_shape == (40, 4)


def test_cross_entropy_of_numbers_to_predict_is_refused() -> None:
    x, y = np.zeros((9, 2), np.float32), np.zeros(9, np.float32)
    data = nnlab.datasets.Data(x, y, x, y, "regression", (), ("a", "b"))
    with pytest.raises(ValueError, match=r"loss: 'cross_entropy' is not allowed for a regression"):
        train(_config(), data=data)


def test_mse_of_a_numeric_target_is_a_regression(tmp_path: Any) -> None:
    config = _write_numbers(tmp_path / "numbers.csv").replace(loss="mse")
    data, run = nnlab.load_dataset(config), train(config)
    assert run.layers[-1].weight_shape == (1, 4)
    run.model.eval()
    outputs = run.model(torch.from_numpy(data.x_test))[:, 0].detach().numpy()
    assert run.records[-1].network["test_loss"] == pytest.approx(
        ((outputs - data.y_test) ** 2).mean(), rel=1e-5
    )
    assert math.isnan(run.records[-1].network["test_accuracy"])
