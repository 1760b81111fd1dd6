"""diagnose on every network of the zoo: hand-placed autograd's numbers, nothing touched, no false alarm."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from animal import Animal, drawn_from
from spots import Spots
from torch.nn import functional as F
from zoo import ZOO

import nnlab
from nnlab.run import Run
from nnlab.user_batch import call, scores_of

HIDDEN_ONLY = (
    "activation_mean",
    "activation_std",
    "zero_fraction",
    "slope_mean",
    "saturation",
    "dead_units",
    "activation_grad_norm",
)
OF_SIGNAL = (*HIDDEN_ONLY[:-1], "pre_activation_mean", "pre_activation_std")


@dataclass(frozen=True)
class Visit:
    """One animal diagnosed, and once more by hand."""

    run: Run
    spots: Spots
    outputs: Any
    by_hand: Any
    loss: float


def measure(animal: Animal) -> Visit:
    with drawn_from(7) as generator:
        model = animal.make()
        x, y = animal.batch(generator)
        twin = copy.deepcopy(model)
        state = torch.get_rng_state()
        run = nnlab.diagnose(model, x, y, animal.loss)
        spots = Spots()
        by_hand = animal.by_hand(twin, x, spots)
        loss = animal.loss if callable(animal.loss) else lambda out, y: F.cross_entropy(scores_of(out, y), y)
        loss(by_hand, y).backward()
        torch.set_rng_state(state)
        outputs = call(model, fitting(x, model))
    return Visit(run, spots, outputs, by_hand, loss(outputs, y).item())


@pytest.fixture(scope="module", params=ZOO, ids=str)
def animal(request: pytest.FixtureRequest) -> Animal:
    return request.param


@pytest.fixture(scope="module")
def visit(animal: Animal) -> Visit:
    return measure(animal)


def fitting(x: Any, model: torch.nn.Module) -> Any:
    """Give inputs in the model's precision."""
    if isinstance(x, torch.Tensor) and x.is_floating_point():
        return x.to(next(model.parameters()).dtype)
    return x


def values(run: Run, row: str) -> dict[str, float]:
    rows = run.metrics[run.metrics["layer"] == row]
    return dict(zip(rows["metric"], rows["value"], strict=True))


def test_the_rows_are_its_layers_in_order_of_execution(visit):
    rows = [(layer.name, layer.activation) for layer in visit.run.layers]
    assert rows == [(name, spot.activation) for name, spot in visit.spots.rows.items()]


def test_the_numbers_are_those_of_hand_placed_autograd(animal, visit):
    wrong = []
    last = visit.run.layers[-1].name
    for row, spot in visit.spots.rows.items():
        found = values(visit.run, row)
        for metric, expected in visit.spots.expected(row).items():
            if row == last and metric in HIDDEN_ONLY:
                continue
            if row in animal.unseen and metric in (*OF_SIGNAL, "delta_norm", "activation_grad_norm"):
                expected = math.nan
            # Where the registry lacks an activation, sup abs(phi') is looked for on a grid.
            rough = metric == "saturation" and spot.activation[0].isupper()
            slack = 0.005 if rough else 1e-7
            close = pytest.approx(expected, rel=animal.tolerance, abs=slack, nan_ok=True)
            if found[metric] != close:
                wrong.append((row, metric, found[metric], expected))
    assert wrong == []


def test_the_loss_is_that_of_the_model_without_a_probe(visit):
    loss = values(visit.run, "network")["loss"]
    assert loss == visit.loss


def test_what_cannot_be_measured_is_said_and_nothing_else(animal, visit):
    assert len(visit.run.notes) == len(animal.notes), visit.run.notes
    assert all(piece in note for piece, note in zip(animal.notes, visit.run.notes, strict=True))


# What the rules say of healthy networks that they should not.
FALSE_ALARMS = {
    "mobile": "half of a ReLU6 is inactive, as of a ReLU, not saturated",
    "highway": "gates are alike for all examples at the start, which merges none of what goes past them",
}


def test_a_healthy_network_has_no_findings(animal, visit, request):
    if animal.name in FALSE_ALARMS:
        request.applymarker(pytest.mark.xfail(reason=FALSE_ALARMS[animal.name]))
    assert [finding.kind for finding in visit.run.findings] == list(animal.findings), visit.run.findings


def test_nothing_is_touched(animal):
    with drawn_from(7) as generator:
        model = animal.make()
        x, y = animal.batch(generator)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        random_state, modes = torch.get_rng_state(), [module.training for module in model.modules()]
        outputs = []
        handle = model.register_forward_hook(lambda module, args, output: outputs.append(output))
        nnlab.diagnose(model, x, y, animal.loss)
        handle.remove()
        assert torch.equal(torch.get_rng_state(), random_state)
        assert [module.training for module in model.modules()] == modes
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert all(parameter.grad is None for parameter in model.parameters())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        torch.set_rng_state(random_state)
        assert same(outputs[0], call(model, fitting(x, model)))


def same(one: Any, other: Any) -> bool:
    """Whether outputs of any form are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return all(same(a, b) for a, b in zip(parts(one), parts(other), strict=True))


def parts(outputs: Any) -> list[Any]:
    if isinstance(outputs, (tuple, list)):
        return list(outputs)
    return list(outputs.values() if isinstance(outputs, dict) else vars(outputs).values())
