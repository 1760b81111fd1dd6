"""Every optimizer against torch.optim's, bit for bit, over tensors of many sizes."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from nnlab.config import ExperimentConfig
from nnlab.engine import flatten
from nnlab.optimizer import UpdateOverflow, make_optimizer, update

THEIRS = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "rmsprop": (torch.optim.RMSprop, {}),
}


def layers(seed: int) -> nn.Sequential:
    draw = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(13, 7), nn.Linear(7, 33), nn.Linear(33, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1, generator=draw)
    return model


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("name", THEIRS)
def test_fifty_steps_are_torchs_bit_for_bit(name, weight_decay):
    config = ExperimentConfig(optimizer=name, learning_rate=0.01, weight_decay=weight_decay)
    mine, theirs = layers(0), layers(0)
    values, grads = flatten([mine])
    optimizer = make_optimizer(config, values, grads, list(mine.parameters()))
    kind, options = THEIRS[name]
    judge = kind(theirs.parameters(), lr=0.01, weight_decay=weight_decay, **options)
    draw = torch.Generator().manual_seed(1)
    for _ in range(50):
        for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
            other.grad = torch.empty(other.shape).normal_(generator=draw)
            one.grad.copy_(other.grad)
        update(optimizer)
        judge.step()
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_factor_that_no_float32_holds_is_an_overflow():
    model = layers(0)
    values, grads = flatten([model])
    config = ExperimentConfig(learning_rate=1e39)
    with pytest.raises(UpdateOverflow):
        update(make_optimizer(config, values, grads, list(model.parameters())))


def test_training_does_not_load_pytorchs_compiler():
    code = (
        "import sys, nnlab\n"
        "for fields in ({'optimizer': 'adam'}, {'optimizer': 'rmsprop'}, {'normalization': 'batch'}):\n"
        "    config = nnlab.ExperimentConfig(dataset='moons', samples=50, steps=2, clip_norm=1, **fields)\n"
        "    nnlab.train(config)\n"
        "    print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n" * 3
