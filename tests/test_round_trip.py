"""What is written comes back: any number to its last bit, any text, and of a torn file a prefix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from any_network import few

from nnlab.run import LayerInfo, Run, StepRecord
from nnlab.runfile import RunFileError, parse_run, to_bytes

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")
given = hypothesis.given

SameRecords = Callable[..., None]
ODD = [math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e-310, 1.7976931348623157e308]

numbers = st.floats() | st.sampled_from(ODD)
# Lone surrogates are no text: UTF-8 has no bytes for them.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
# What a module's name is made into before it names a layer (nnlab.bearers).
names_of_layers = texts.filter(lambda text: bool(text) and text.isprintable())


@st.composite
def runs(draw: Any, tiny: Run) -> Run:
    """Change every number of a run's records, and every text of it."""
    records = []
    step = 0
    for record in tiny.records[: draw(st.integers(0, 3))]:
        each = draw(st.lists(numbers, min_size=1, max_size=12))
        layers = {name: np.resize(np.array(each), len(row)) for name, row in record.layers.items()}
        network = {name: draw(numbers) for name in record.network}
        records.append(StepRecord(step, layers, network, record.histograms))
        step += draw(st.integers(1, 10**6))
    names = draw(st.lists(names_of_layers, min_size=len(tiny.layers), max_size=len(tiny.layers), unique=True))
    layers = tuple(replace(info, name=name) for info, name in zip(tiny.layers, names, strict=True))
    return replace(
        tiny,
        config=draw(st.sampled_from([None, tiny.config])),
        status=draw(st.sampled_from(["completed", "stopped", "diverged", "timed_out", "failed"])),
        layers=layers,
        records=tuple(records),
        environment={"model": draw(texts)},
        notes=tuple(draw(st.lists(texts, max_size=3, unique=True))),  # said twice is said once
        model=None,
    )


def _read(content: bytes) -> Run:
    return parse_run(content, "run.jsonl")


def _known(info: LayerInfo) -> tuple[Any, ...]:
    return info.name, info.index, info.activation, tuple(info.weight_shape), info.trainable, info.notes


@few(2)
@given(data=st.data())
def test_any_run_reads_back(data: Any, tiny_run: Run, assert_same_records: SameRecords) -> None:
    run = data.draw(runs(tiny_run))
    content = to_bytes(run)
    loaded = _read(content)
    assert_same_records(loaded.records, run.records)
    assert (loaded.config, loaded.status, loaded.notes) == (run.config, run.status, run.notes)
    assert loaded.environment["model"] == run.environment["model"]
    assert list(map(_known, loaded.layers)) == list(map(_known, run.layers))
    assert to_bytes(loaded) == content


@few(2)
@given(data=st.data(), cuts=st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_any_run_cut_anywhere_gives_a_prefix_of_its_records(
    data: Any, cuts: list[float], tiny_run: Run, assert_same_records: SameRecords
) -> None:
    run = data.draw(runs(tiny_run))
    content = to_bytes(run)
    for cut in cuts:
        size = int(cut * (len(content) - 1))
        try:
            loaded = _read(content[:size])
        except RunFileError:
            assert size < content.index(b"\n")
            continue
        assert_same_records(loaded.records, run.records[: len(loaded.records)])
        assert len(loaded.records) >= min(content[:size].count(b"\n") - 1, len(run.records))
