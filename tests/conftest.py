"""A tiny experiment and its trained run, for every test that needs some run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

import nnlab
from nnlab.run import StepRecord


@pytest.fixture(scope="session")
def tiny_config() -> nnlab.ExperimentConfig:
    return nnlab.ExperimentConfig(dataset="iris", depth=2, width=4, batch_size=16, steps=5, record_every=1)


@pytest.fixture(scope="session")
def tiny_run(tiny_config: nnlab.ExperimentConfig) -> nnlab.Run:
    return nnlab.train(tiny_config)


def _bits(numbers: object) -> list[int]:
    """Give the bits of float64 numbers, every NaN alike: -0.0 is not 0.0 here."""
    values = np.atleast_1d(np.asarray(numbers, dtype=np.float64))
    return np.where(np.isnan(values), np.nan, values).view(np.int64).tolist()


def _assert_same_records(got: Sequence[StepRecord], want: Sequence[StepRecord]) -> None:
    assert [record.step for record in got] == [record.step for record in want]
    for one, other in zip(got, want, strict=True):
        for part in ("layers", "network"):
            found, expected = getattr(one, part), getattr(other, part)
            assert {name: _bits(v) for name, v in found.items()} == {
                name: _bits(v) for name, v in expected.items()
            }
        assert _counts(one) == _counts(other)


def _counts(record: StepRecord) -> dict[str, list[list[int] | None]]:
    return {
        quantity: [None if c is None else c.tolist() for c in rows]
        for quantity, rows in record.histograms.items()
    }


@pytest.fixture(scope="session")
def assert_same_records() -> Callable[..., None]:
    """Compare records bit for bit."""
    return _assert_same_records
