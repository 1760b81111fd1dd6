"""The datasets: shapes, split, standardization, and what the seed has a say in."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

import nnlab
from nnlab.datasets import DATASETS, Data

# name: (examples, features, classes)
REAL = {
    "digits": (1797, 64, 10),
    "iris": (150, 4, 3),
    "wine": (178, 13, 3),
    "breast_cancer": (569, 30, 2),
}
GENERATED = {
    "xor": (2, 2),
    "moons": (2, 2),
    "circles": (2, 2),
    "spiral": (2, 2),
    "blobs": (2, 2),
    "gaussian": (64, 10),
}

every_dataset = pytest.mark.parametrize("name", [*REAL, *GENERATED])
every_real = pytest.mark.parametrize("name", REAL)
every_generated = pytest.mark.parametrize("name", GENERATED)


def _load(name: str, **fields: object) -> Data:
    return nnlab.load_dataset(nnlab.ExperimentConfig(dataset=name, **fields))


def _arrays(data: Data) -> tuple[np.ndarray, ...]:
    return data.x_train, data.y_train, data.x_test, data.y_test


def _equal(one: Data, other: Data) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(_arrays(one), _arrays(other), strict=True))


def test_the_registry_holds_these_and_csv() -> None:
    assert set(DATASETS) == {*REAL, *GENERATED, "csv"}


@pytest.mark.parametrize("entry", DATASETS.values(), ids=DATASETS)
def test_says_what_it_is(entry: nnlab.datasets.Dataset) -> None:
    assert DATASETS[entry.name] is entry
    for text in (entry.label, entry.formula, entry.source, entry.description):
        assert text.strip() == text != ""


@every_dataset
def test_types_and_names_fit(name: str) -> None:
    data = _load(name)
    assert (data.x_train.dtype, data.x_test.dtype) == (np.float32, np.float32)
    assert (data.y_train.dtype, data.y_test.dtype) == (np.int64, np.int64)
    assert data.task == "classification"
    assert data.x_test.shape[1] == data.n_features == len(data.feature_names) == DATASETS[name].n_features
    assert data.n_outputs == len(data.classes) == DATASETS[name].n_classes
    assert set(np.concatenate([data.y_train, data.y_test]).tolist()) == set(range(data.n_outputs))


@every_real
def test_real_data_are_whole(name: str) -> None:
    data = _load(name)
    examples, features, classes = REAL[name]
    assert (len(data.x_train) + len(data.x_test), data.n_features, data.n_outputs) == (
        examples,
        features,
        classes,
    )


@every_generated
@pytest.mark.parametrize("samples", [10, 11, 1000])
def test_generated_data_are_as_many_as_asked_for(name: str, samples: int) -> None:
    data = _load(name, samples=samples)
    assert len(data.x_train) + len(data.x_test) == samples
    assert (data.n_features, data.n_outputs) == GENERATED[name]


@every_dataset
def test_a_fifth_is_held_out(name: str) -> None:
    data = _load(name)
    n = len(data.x_train) + len(data.x_test)
    assert len(data.x_test) == len(data.y_test) == -(-n // 5)
    assert len(data.x_train) == len(data.y_train)


@every_dataset
def test_the_split_is_stratified(name: str) -> None:
    data = _load(name)
    train, test = (np.bincount(y, minlength=data.n_outputs) for y in (data.y_train, data.y_test))
    assert (abs(test - 0.2 * (train + test)) <= 1).all()


@every_dataset
def test_inputs_are_standardized_by_the_training_split(name: str) -> None:
    data = _load(name)
    x = data.x_train.astype(float)
    constant = np.ptp(x, axis=0) == 0
    assert abs(x.mean(axis=0)).max() < 1e-6
    assert (x[:, constant] == 0).all()
    assert x[:, ~constant].std(axis=0) == pytest.approx(1, rel=0, abs=1e-6)


def test_the_test_split_has_no_say_in_the_standardization() -> None:
    data = _load("wine")
    assert abs(data.x_test.mean(axis=0)).max() > 0.05


def test_constant_inputs_are_told() -> None:
    (note,) = _load("digits").notes
    constant = (np.ptp(_load("digits").x_train, axis=0) == 0).sum()
    assert constant >= 3
    assert f"{constant} of 64" in note


@every_real
def test_real_data_are_the_same_for_every_seed(name: str) -> None:
    one, other = _load(name, seed=0, samples=10, noise=0), _load(name, seed=2**32 - 1)
    assert _equal(one, other)
    assert one.sha256 == other.sha256


@every_generated
def test_generated_data_are_the_same_for_the_same_seed(name: str) -> None:
    assert _equal(_load(name, seed=7), _load(name, seed=7))


@every_generated
def test_generated_data_are_others_for_another_seed(name: str) -> None:
    one, other = _load(name, seed=7), _load(name, seed=8)
    assert not np.array_equal(one.x_train, other.x_train)
    assert one.sha256 != other.sha256


@every_generated
@pytest.mark.parametrize("noise", [0.0, 10.0])
def test_ten_samples_are_enough(name: str, noise: float) -> None:
    data = _load(name, samples=10, noise=noise)
    assert (len(data.x_train), len(data.x_test)) == (8, 2)
    assert all(np.isfinite(part).all() for part in _arrays(data))


def test_xor_without_noise_is_the_truth_table() -> None:
    x, y = DATASETS["xor"].generate(100, 0.0, 0)
    rows = np.column_stack([x, y]).astype(int).tolist()
    table = [[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert sorted(rows) == sorted(table * 25)


def test_xor_is_loaded_with_its_labels() -> None:
    data = _load("xor", noise=0.0)
    bits = data.x_train > 0
    assert (data.y_train == bits[:, 0] ^ bits[:, 1]).all()


def test_circles_without_noise_follow_their_formula() -> None:
    x, y = DATASETS["circles"].generate(100, 0.0, 0)
    assert (y == (np.linalg.norm(x, axis=1) < 3 / 4)).all()


def test_spiral_without_noise_follows_its_formula() -> None:
    x, y = DATASETS["spiral"].generate(100, 0.0, 0)
    r = np.linalg.norm(x, axis=1)
    angle = 3.5 * np.pi * r + np.pi * y
    np.testing.assert_allclose(x, np.column_stack([r * np.sin(angle), r * np.cos(angle)]), atol=1e-12)


def test_blobs_have_their_centers_and_their_noise() -> None:
    x, y = DATASETS["blobs"].generate(4000, 0.5, 0)
    for label, center in ((0, -1.0), (1, 1.0)):
        assert x[y == label].mean(axis=0) == pytest.approx(center, abs=0.05)
        assert x[y == label].std(axis=0) == pytest.approx(0.5, rel=0.05)


def test_gaussian_is_standard_normal_with_labels_that_say_nothing() -> None:
    x, y = DATASETS["gaussian"].generate(4000, 0.1, 0)
    assert np.cov(x.T) == pytest.approx(np.eye(64), abs=0.1)
    assert np.bincount(y) == pytest.approx(400, rel=0.2)
    assert abs(x[y == 3].mean(axis=0)).max() < 0.3


@every_generated
def test_noise_spreads_the_points(name: str) -> None:
    if name == "gaussian":  # it is noise already
        assert _equal(_load(name, noise=0.0), _load(name, noise=1.0))
        return
    assert not np.array_equal(_load(name, noise=0.0).x_train, _load(name, noise=1.0).x_train)


@every_dataset
def test_no_random_state_of_the_process_is_used(name: str) -> None:
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    _load(name)
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


def test_a_class_too_small_to_be_split_is_told() -> None:
    data = _load("gaussian", samples=10)
    assert any("class" in note for note in data.notes)


def test_the_fingerprint_covers_every_part() -> None:
    data = _load("iris")
    prints = {data.sha256}
    for name in ("x_train", "y_train", "x_test", "y_test"):
        values = getattr(data, name).copy()
        values.flat[-1] += 1
        prints.add(replace(data, **{name: values}).sha256)
    assert len(prints) == 5
