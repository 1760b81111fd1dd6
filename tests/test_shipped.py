"""The tables that scikit-learn ships, and the split, against scikit-learn itself."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import nnlab
from nnlab import shipped, split
from nnlab.datasets import DATASETS
from nnlab.streams import stream_seed

REAL = ("digits", "iris", "wine", "breast_cancer")


@pytest.mark.parametrize("name", REAL)
def test_tables_are_those_of_scikit_learn_bit_for_bit(name):
    from sklearn import datasets

    bunch, table = getattr(datasets, f"load_{name}")(), shipped.load_shipped(name)
    assert table.x.dtype == np.float64
    assert np.array_equal(table.x, bunch.data)
    assert np.array_equal(table.y, bunch.target)
    assert table.classes == tuple(str(word) for word in bunch.target_names)
    assert table.feature_names == tuple(str(word) for word in bunch.feature_names)


def test_a_scikit_learn_that_keeps_its_files_elsewhere_is_asked_itself(monkeypatch, tmp_path):
    expected = shipped.load_shipped("iris")
    monkeypatch.setattr(shipped, "_file", lambda name: tmp_path / name)
    found = shipped.load_shipped("iris")
    assert np.array_equal(found.x, expected.x)
    assert np.array_equal(found.y, expected.y)
    assert (found.classes, found.feature_names) == (expected.classes, expected.feature_names)


def test_a_missing_scikit_learn_is_said_as_python_says_it(monkeypatch):
    monkeypatch.setattr(shipped, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="sklearn"):
        shipped.load_shipped("iris")


def _sklearn_split(y, *, by_class):
    from sklearn.model_selection import train_test_split

    return train_test_split(
        np.arange(len(y)), test_size=0.2, random_state=0, stratify=y if by_class else None
    )


@pytest.mark.parametrize("name", REAL)
def test_the_split_by_class_is_scikit_learns(name):
    y = shipped.load_shipped(name).y
    for ours, theirs in zip(split.stratified(y), _sklearn_split(y, by_class=True), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("seed", range(30))
def test_splits_of_any_classes_are_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 12))
    # Two of each class at least, and sizes that tie, which scikit-learn breaks by drawing.
    y = rng.permutation(np.concatenate([np.arange(classes)] * 2 + [rng.integers(0, classes, 5 * classes)]))
    for ours, theirs in zip(split.stratified(y), _sklearn_split(y, by_class=True), strict=True):
        assert np.array_equal(ours, theirs)
    for ours, theirs in zip(split.at_random(len(y)), _sklearn_split(y, by_class=False), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("samples", [10, 11, 1000])
@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("seed", [0, 7])
def test_moons_and_circles_are_scikit_learns(samples, noise, seed):
    from sklearn.datasets import make_circles, make_moons

    state = stream_seed(seed, "data") % 2**32
    makers = {"moons": (make_moons, {}), "circles": (make_circles, {"factor": 0.5})}
    for name, (make, options) in makers.items():
        x, y = DATASETS[name].generate(samples, noise, seed)
        theirs = make(samples, noise=noise, random_state=state, **options)
        assert np.array_equal(x, theirs[0])
        assert np.array_equal(y, theirs[1])


def test_no_dataset_loads_scikit_learn_or_scipy():
    code = (
        "import sys, nnlab\n"
        "for name in nnlab.DATASETS:\n"
        "    if name != 'csv': nnlab.load_dataset(nnlab.ExperimentConfig(dataset=name))\n"
        "sys.exit(bool({'sklearn', 'scipy', 'torch', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_split_is_the_same_for_every_seed():
    one, other = (nnlab.load_dataset(nnlab.ExperimentConfig(dataset="iris", seed=seed)) for seed in (0, 1))
    assert np.array_equal(one.x_train, other.x_train)
