"""What the papers' measurements measure, against autograd; and checks that must fail where a claim fails."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from nnlab import glorot_first_pass, glorot_training
from nnlab.datasets import load_dataset
from nnlab.first_pass import first_pass
from nnlab.model import build_model
from nnlab.paper_result import stored_result
from nnlab.papers import PAPERS

TINY = {"width": 12, "seeds": 1, "examples": 40, "seeds_with_jacobian": 1}
STARTS = glorot_first_pass.INITIALIZERS


def walked(start: str) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.nn.Module]:
    """Walk a network by hand in float64: z and h of every hidden layer, with their gradients."""
    config = glorot_first_pass.config_of(TINY, start, 0)
    data = load_dataset(config)
    model = build_model(config, data).double()
    x = torch.from_numpy(data.x_train[:40]).double()
    zs, hs = [], []
    for linear in model.linears[:-1]:
        zs.append(linear(x))
        zs[-1].retain_grad()
        x = zs[-1].tanh()
        hs.append(x)
    torch.nn.functional.cross_entropy(model.linears[-1](x), torch.from_numpy(data.y_train[:40])).backward()
    return zs, hs, model


@pytest.mark.parametrize("start", STARTS)
def test_the_first_pass_is_what_autograd_gives(start):
    zs, hs, model = walked(start)
    columns = glorot_first_pass.measure(TINY, lambda done, steps: None, threading.Event())
    rows = [place for place, word in enumerate(columns["start"]) if word == start]
    assert [columns["layer"][place] for place in rows] == [1, 2, 3, 4, 5]
    for place, z, h, linear in zip(rows, zs, hs, model.linears, strict=False):
        wanted = (
            h.detach().std(correction=0),
            z.grad.square().mean().sqrt(),
            linear.weight.grad.square().mean().sqrt(),
        )
        for field, number in zip(glorot_first_pass.FIELDS, wanted, strict=True):
            assert columns[field][place] == pytest.approx(float(number), rel=1e-4)


@pytest.mark.parametrize("start", STARTS)
def test_the_jacobian_of_a_layer_is_that_of_autograd(start):
    _, hs, model = walked(start)
    linear = model.linears[1]
    jacobian = torch.autograd.functional.jacobian(lambda h: linear(h).tanh(), hs[0][0].detach())
    sizes = np.sqrt(np.linalg.eigvalsh((jacobian.T @ jacobian).detach().numpy()).clip(0))
    columns = glorot_first_pass.measure(TINY, lambda done, steps: None, threading.Event())
    place = columns["start"].index(start)
    assert math.isnan(columns["jacobian"][place])
    assert columns["jacobian"][place + 1] == pytest.approx(sizes.mean(), rel=1e-4)


def test_the_first_pass_takes_the_first_examples_and_leaves_a_layer_for_the_output():
    config = glorot_first_pass.config_of(TINY, "standard", 3)
    samples = first_pass(config)
    assert len(samples) == config.depth + 1
    assert samples[0].z.shape == (40, 12)
    assert torch.equal(samples[0].weight, build_model(config).linears[0].weight)


def swapped(columns: dict[str, list[Any]], field: str) -> dict[str, list[Any]]:
    """Give a table in which two words have changed their places."""
    one, other = dict.fromkeys(columns[field])
    return {**columns, field: [other if word == one else one for word in columns[field]]}


def upside_down(columns: dict[str, list[Any]], field: str) -> dict[str, list[Any]]:
    """Give a table in which the last layer is the first."""
    ends = max(columns[field]) + min(columns[field])
    return {**columns, field: [ends - value for value in columns[field]]}


def doubled(columns: dict[str, list[Any]], field: str) -> dict[str, list[Any]]:
    return {**columns, field: [2 * value for value in columns[field]]}


# By paper: what would be measured if its claim were wrong.
WRONG: dict[str, tuple[tuple[Callable[..., Any], str], ...]] = {
    "glorot_sigmoid": ((upside_down, "layer"), (doubled, "test_loss")),
    "glorot_saturation": ((upside_down, "layer"), (swapped, "activation")),
    "glorot_activations": ((upside_down, "layer"), (swapped, "start")),
    "glorot_gradients": ((upside_down, "layer"), (swapped, "start"), (doubled, "jacobian")),
    "glorot_weight_gradients": ((upside_down, "layer"), (swapped, "start")),
    "he_depth": ((swapped, "start"), (doubled, "loss")),
    "makemore": ((upside_down, "layer"), (doubled, "saturation"), (doubled, "activation_std")),
}


@pytest.mark.parametrize(
    ("name", "change", "field"), [(n, *case) for n, cases in WRONG.items() for case in cases]
)
def test_a_claim_that_is_wrong_does_not_pass(name, change, field):
    result = stored_result(name)
    checks = PAPERS[name].check(change(dict(result.columns), field), result.settings)
    assert not all(check.passes for check in checks)


def test_layers_that_never_spread_out_are_not_in_order():
    columns = {
        "activation": ["tanh"] * 4, "step": [0.0] * 4, "layer": [1, 2, 3, 4],
        "activation_std": [0.9, 0.1, 0.1, 0.1], "extreme": [0.5] * 4,
    }  # fmt: skip
    assert glorot_training.spread_out_at(columns, "tanh") == [0.0, math.inf, math.inf, math.inf]
    two = {name: [*values, *values] for name, values in columns.items()}
    two["activation"] = ["tanh"] * 4 + ["softsign"] * 4
    order, _ = glorot_training.check_two(two, {})
    assert (order.measured, order.passes) == (0.0, False)
