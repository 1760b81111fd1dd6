"""What training and measuring leave in memory: nothing that waits for a full collection."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest
import torch

from nnlab.config import ExperimentConfig
from nnlab.drawn import draw
from nnlab.metrics import measure_layers
from nnlab.probe import Probe
from nnlab.random_network import RandomNetwork
from nnlab.trainer import train, train_together
from nnlab.trajectory import Plan

SMALL = ExperimentConfig(dataset="iris", depth=3, width=8, batch_size=16, steps=4)
# What the libraries keep for themselves, such as a constant of a loss.
FEW_BYTES = 1_000


@pytest.fixture(scope="module", autouse=True)
def _no_collection() -> Iterator[None]:
    train(SMALL)  # what is made once is made
    gc.collect()
    gc.freeze()  # nobody looks through all of torch again and again
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def bytes_in_tensors() -> int:
    tensors = [found for found in gc.get_objects() if type(found) in (torch.Tensor, torch.nn.Parameter)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


@pytest.mark.parametrize(
    "change",
    [{}, {"residual": True}, {"normalization": "batch"}, {"activation": "sine"}, {"optimizer": "adam"}],
    ids=str,
)
def test_a_run_that_is_let_go_of_frees_its_tensors_at_once(change):
    before = bytes_in_tensors()
    run = train(SMALL.replace(**change))
    assert bytes_in_tensors() > before  # the trained network: the count sees what there is
    del run
    assert bytes_in_tensors() <= before + FEW_BYTES


@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_a_run_that_is_stopped_frees_its_tensors_too(normalization):
    before = bytes_in_tensors()
    stop = threading.Event()
    train(SMALL.replace(normalization=normalization), on_record=lambda *_: stop.set(), stop=stop)
    assert bytes_in_tensors() <= before + FEW_BYTES


def test_networks_side_by_side_free_their_tensors():
    before = bytes_in_tensors()
    train_together([Plan(SMALL), Plan(SMALL.replace(seed=1))])
    assert bytes_in_tensors() <= before + FEW_BYTES


def test_drawn_networks_free_their_tensors():
    before = bytes_in_tensors()
    draw(RandomNetwork(SMALL), 2)
    assert bytes_in_tensors() <= before + FEW_BYTES


def test_a_probe_frees_what_it_saw_as_soon_as_nobody_asks_any_more():
    before = bytes_in_tensors()
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    with Probe(model, gradients=True) as probe:
        model(torch.ones(500, 4)).sum().backward()
    assert probe.samples()[0].z.shape == (500, 4)
    del probe, model
    assert bytes_in_tensors() <= before + FEW_BYTES


def test_measuring_layers_keeps_no_copies_in_float64():
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    with Probe(model, gradients=False) as probe, torch.no_grad():
        model(torch.ones(500, 4))
    samples = probe.samples()
    before = bytes_in_tensors()
    measure_layers(samples, at_probe=True)
    assert bytes_in_tensors() <= before + FEW_BYTES
