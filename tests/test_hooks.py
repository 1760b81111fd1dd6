"""Looking at somebody's model leaves no trace: no hook, no changed bit, no reference."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from any_network import few
from torch import nn
from torch.nn import functional as F

import nnlab

hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")
given = hypothesis.given

WIDTH = 6
PARTS = {
    "linear": lambda: nn.Linear(WIDTH, WIDTH),
    "relu": nn.ReLU,
    "in place": lambda: nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(inplace=True)),
    "tanh": nn.Tanh,
    "dropout": nn.Dropout,
    "batch norm": lambda: nn.BatchNorm1d(WIDTH),
    "layer norm": lambda: nn.LayerNorm(WIDTH),
    "prelu": nn.PReLU,
}


def _model(names: list[str], seed: int) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(4, WIDTH), *(PARTS[name]() for name in names), nn.Linear(WIDTH, 3))
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5, generator=draw)
    return model


def _everything(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _hooks(model: nn.Module) -> list[object]:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    of_modules = [hook for m in model.modules() for kind in kinds for hook in getattr(m, kind).values()]
    return of_modules + [p._backward_hooks for p in model.parameters() if p._backward_hooks]


def _look(model: nn.Module, x: torch.Tensor, y: torch.Tensor, way: str) -> nnlab.Run:
    if way == "diagnose":
        return nnlab.diagnose(model, x, y)
    with nnlab.watch(model) as watch:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        watch.step(loss)
    model.zero_grad(set_to_none=True)
    return watch.run


@few()
@given(
    names=st.lists(st.sampled_from(sorted(PARTS)), max_size=5), seed=st.integers(0, 9999),
    is_training=st.booleans(), way=st.sampled_from(["diagnose", "watch"]),
)  # fmt: skip
def test_a_model_that_was_looked_at_is_as_it_was(
    names: list[str], seed: int, is_training: bool, way: str
) -> None:
    model, twin = _model(names, seed).train(is_training), _model(names, seed).train(is_training)
    draw = torch.Generator().manual_seed(seed)
    x, y = torch.randn(8, 4, generator=draw), torch.randint(0, 3, (8,), generator=draw)
    state = torch.get_rng_state()
    run = _look(model, x, y, way)
    if way == "watch":  # the loop's own forward pass draws masks and moves running means
        torch.set_rng_state(state)
        twin(x)
    assert not _hooks(model)
    for name, tensor in _everything(twin).items():
        assert torch.equal(_everything(model)[name], tensor), name
    state = torch.get_rng_state()
    mine = model(x)
    torch.set_rng_state(state)
    assert torch.equal(mine, twin(x))
    assert all(parameter.grad is None for parameter in model.parameters())

    # The first layer's numbers, by hand.
    torch.set_rng_state(state)
    z = model[0](x)
    followed = names and names[0] in ("batch norm", "layer norm")
    if not followed:
        want = float(z.detach().double().mean())
        assert run.records[0].layers["pre_activation_mean"][0] == pytest.approx(want, rel=1e-5, abs=1e-6)


@few(4)
@given(names=st.lists(st.sampled_from(sorted(PARTS)), max_size=4), way=st.sampled_from(["diagnose", "watch"]))
def test_nothing_of_a_model_is_kept(names: list[str], way: str) -> None:
    model: Any = _model(names, 1)
    x, y = torch.ones(8, 4) * torch.arange(8)[:, None], torch.arange(8) % 3
    # A diagnosed run holds the model, as its readers ask for it; without the run nobody does.
    values = np.array(_look(model, x, y, way).records[0].layers["weight_norm"])
    reference, kept = weakref.ref(model), weakref.ref(model[0])
    del model
    gc.collect()
    assert reference() is None
    assert kept() is None
    assert np.isfinite(values).all()
