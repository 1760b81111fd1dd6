"""diagnose on modules nnlab did not build: the right rows, autograd's own numbers, nothing touched."""

from __future__ import annotations

import math

import numpy as np
import pytest

import nnlab


@pytest.fixture
def generator():
    import torch

    return torch.Generator().manual_seed(0)


@pytest.fixture(autouse=True)
def keep_the_process_wide_generator():
    """nn.Linear draws from it; other tests must not notice."""
    import torch

    with torch.random.fork_rng(devices=[]):
        yield


def batch(generator, *shape, classes=3):
    import torch

    x = torch.randn(*shape, generator=generator)
    return x, torch.randint(classes, (shape[0],), generator=generator)


def row(run, layer, metric):
    return run.metrics.query("layer == @layer and metric == @metric")["value"].item()


def test_rows_are_the_weight_bearing_modules_under_their_own_names(generator):
    from torch import nn

    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))
    run = nnlab.diagnose(model, *batch(generator, 20, 5))
    rows = run.metrics[run.metrics["metric"] == "delta_norm"]
    assert list(zip(rows["layer"], rows["layer_index"], strict=True)) == [("0", 1), ("4", 2)]
    assert [layer.activation for layer in run.layers] == ["relu", "identity"]
    assert run.status == "completed"
    assert run.config is None


def test_z_h_and_delta_are_those_of_hand_placed_autograd(generator):
    import torch
    from torch import nn
    from torch.nn import functional as F

    one, norm, two = nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)
    x, y = batch(generator, 20, 5)
    run = nnlab.diagnose(nn.Sequential(one, norm, nn.Tanh(), two), x, y)

    z = norm(one(x))
    h = torch.tanh(z)
    loss = F.cross_entropy(two(h), y)
    delta, h_grad, weight_grad = torch.autograd.grad(loss, [z, h, one.weight])
    assert row(run, "0", "pre_activation_std") == pytest.approx(z.double().std(correction=0).item())
    assert row(run, "0", "delta_norm") == pytest.approx(delta.double().norm().item(), rel=1e-6)
    assert row(run, "0", "activation_grad_norm") == pytest.approx(h_grad.double().norm().item(), rel=1e-6)
    assert row(run, "0", "weight_grad_norm") == pytest.approx(weight_grad.double().norm().item(), rel=1e-6)
    assert row(run, "network", "loss") == pytest.approx(loss.item(), rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_model_gradients_buffers_mode_and_random_state_stay_as_they_were(generator, training):
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    model.train(training)
    x, y = batch(generator, 20, 5)
    model(x).sum().backward()
    gradients = [(p.grad, p.grad.clone()) for p in model.parameters()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    nnlab.diagnose(model, x, y)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert model.training is training
    for parameter, (before, copy) in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is before
        assert torch.equal(before, copy)
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_everything_is_put_back_when_the_model_fails(generator):
    import torch
    from torch import nn

    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            self.layer(x)
            raise RuntimeError("no output")

    model = Broken()
    marker = torch.ones(4, 4)
    model.layer.weight.grad = marker
    with pytest.raises(RuntimeError, match="no output"):
        nnlab.diagnose(model, *batch(generator, 6, 4))
    assert model.layer.weight.grad is marker
    assert not model.layer._forward_hooks


def test_a_unit_of_a_convolution_is_a_channel(generator):
    from torch import nn

    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    model[0].bias.data[1] = -1000.0
    run = nnlab.diagnose(model, *batch(generator, 10, 1, 8, 8))
    assert row(run, "0", "dead_units") == 1
    assert row(run, "0", "dead_fraction") == 0.25
    counts = run.histograms.query("layer == '0' and quantity == 'activation'")["count"].sum()
    assert counts == 10 * 4 * 6 * 6


def test_an_in_place_activation_does_not_overwrite_z(generator):
    import torch
    from torch import nn

    first, last = nn.Linear(5, 8), nn.Linear(8, 3)
    x, y = batch(generator, 20, 5)
    separate = nnlab.diagnose(nn.Sequential(first, nn.ReLU(), last), x, y)
    in_place = nnlab.diagnose(nn.Sequential(first, nn.ReLU(inplace=True), last), x, y)
    assert separate.metrics.equals(in_place.metrics)
    assert separate.histograms.equals(in_place.histograms)
    assert torch.isfinite(x).all()


def test_a_reused_activation_belongs_to_each_layer_it_follows(generator):
    from torch import nn

    shared = nn.Tanh()
    model = nn.Sequential(nn.Linear(5, 6), shared, nn.Linear(6, 7), shared, nn.Linear(7, 3))
    run = nnlab.diagnose(model, *batch(generator, 20, 5))
    assert [layer.activation for layer in run.layers] == ["tanh", "tanh", "identity"]
    assert run.records[0].layers["slope_mean"].shape == (2,)


@pytest.mark.parametrize(
    ("make", "sup"),
    [
        (lambda nn: nn.LeakyReLU(0.3), 1.0),
        (lambda nn: nn.GELU(approximate="tanh"), 1.1289),
        (lambda nn: nn.Hardswish(), 1.5),
        (lambda nn: nn.ELU(alpha=2.0), 2.0),
        (lambda nn: nn.PReLU(), 1.0),
        (lambda nn: nn.LogSigmoid(), 1.0),
    ],
    ids=["leaky0.3", "gelu-tanh", "hardswish", "elu2", "prelu", "logsigmoid"],
)
def test_slopes_of_other_activations_come_from_autograd(generator, make, sup):
    import torch
    from torch import nn

    activation, layer = make(nn), nn.Linear(5, 8)
    x, y = batch(generator, 50, 5)
    run = nnlab.diagnose(nn.Sequential(layer, activation, nn.Linear(8, 3)), x, y)
    z = layer(x).detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(z).sum(), z)
    assert row(run, "0", "slope_mean") == pytest.approx(slope.double().abs().mean().item(), rel=1e-6)
    expected = (slope.abs() < (1 - 0.97**2) * sup).double().mean().item()
    assert row(run, "0", "saturation") == pytest.approx(expected, abs=0.003)


def test_a_frozen_layer_is_measured_as_far_as_it_can_be(generator):
    from torch import nn

    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))
    model[0].requires_grad_(False)
    run = nnlab.diagnose(model, *batch(generator, 20, 5))
    assert math.isnan(row(run, "0", "weight_grad_norm"))
    assert math.isnan(row(run, "0", "delta_norm"))
    assert row(run, "2", "delta_norm") > 0
    assert "frozen" in {finding.kind for finding in run.findings}
    assert any(note.startswith("0: ") for note in run.notes)


def test_a_detached_tensor_blocks_and_the_layer_before_it_is_named(generator):
    from torch import nn

    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.before, self.after = nn.Linear(5, 8), nn.Linear(8, 8)
            self.act_one, self.act_two, self.head = nn.Tanh(), nn.Tanh(), nn.Linear(8, 3)

        def forward(self, x):
            h = self.act_one(self.before(x)).detach()
            return self.head(self.act_two(self.after(h)))

    run = nnlab.diagnose(Detached(), *batch(generator, 20, 5))
    assert [(f.kind, f.layer) for f in run.findings] == [("blocked", "before")]


def test_numpy_inputs_regression_and_own_losses(generator):
    import torch
    from torch import nn

    model = nn.Sequential(nn.Linear(4, 6), nn.SiLU(), nn.Linear(6, 1))
    x = np.random.default_rng(0).normal(size=(30, 4))
    y = x.sum(axis=1).astype(np.float32)
    mse = nnlab.diagnose(model, x, y, loss="mse")
    own = nnlab.diagnose(model, x, y, loss=lambda out, target: ((out[:, 0] - target) ** 2).mean())
    assert row(mse, "network", "loss") == pytest.approx(row(own, "network", "loss"), rel=1e-6)
    assert math.isnan(row(mse, "network", "accuracy"))
    assert torch.get_num_threads() >= 1


def test_bad_arguments_are_named(generator):
    from torch import nn

    x, y = batch(generator, 6, 4)
    with pytest.raises(ValueError, match=r"loss: 'hinge' is not allowed; allowed: cross_entropy, mse"):
        nnlab.diagnose(nn.Linear(4, 3), x, y, loss="hinge")
    with pytest.raises(ValueError, match="model: no call of a module with a weight"):
        nnlab.diagnose(nn.ReLU(), x, y)
    with pytest.raises(ValueError, match="model: has lazy modules of unknown shape"):
        nnlab.diagnose(nn.Sequential(nn.LazyLinear(3)), x, y)


def test_a_model_that_cannot_learn_at_all_says_so(generator):
    from torch import nn

    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).requires_grad_(False)
    run = nnlab.diagnose(model, *batch(generator, 6, 4))
    assert "the loss depends on no trainable parameter: there are no gradients" in run.notes
    assert math.isfinite(run.records[0].network["loss"])
    assert np.isnan(run.records[0].layers["delta_norm"]).all()
    assert [finding.kind for finding in run.findings] == ["frozen"]


def test_a_single_linear_layer_is_only_an_output(generator):
    from torch import nn

    run = nnlab.diagnose(nn.Linear(4, 3), *batch(generator, 6, 4))
    assert [layer.name for layer in run.layers] == ["Linear"]
    assert run.findings == ()
    assert math.isnan(row(run, "network", "gradient_ratio"))


def test_a_diagnosed_run_can_be_saved_and_read(generator, tmp_path):
    from torch import nn

    run = nnlab.diagnose(
        nn.Sequential(nn.Linear(4, 6), nn.Hardswish(), nn.Linear(6, 3)), *batch(generator, 9, 4)
    )
    run.save(tmp_path / "run.jsonl")
    back = nnlab.load_run(tmp_path / "run.jsonl")
    assert back.metrics.equals(run.metrics)
    assert back.histograms.equals(run.histograms)
    assert back.layers == run.layers
    assert back.model is None


def test_names_of_modules_may_be_any_text(generator, tmp_path):
    import torch
    from torch import nn

    long = "long" * 50
    keys = ["line\nbreak", f"{long}1{long}", f"{long}2{long}", "<b>$x$</b>", "\u202eback", " "]
    layers = nn.ModuleDict({key: nn.Linear(4, 4) for key in keys})

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = layers
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            for layer in self.layers.values():
                x = torch.tanh(layer(x))
            return self.head(x)

    run = nnlab.diagnose(Net(), *batch(generator, 6, 4))
    run.save(tmp_path / "run.jsonl")
    names = [layer.name for layer in nnlab.load_run(tmp_path / "run.jsonl").layers]
    assert names == [layer.name for layer in run.layers]
    assert names[0] == "layers.line\\nbreak"
    assert names[3] == "layers.<b>$x$</b>"
    assert all(name.isprintable() and len(name) <= 300 for name in names)
    assert len(set(names)) == 7
