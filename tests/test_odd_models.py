"""diagnose on models that do odd things: right numbers, or a sentence that says why there are none."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from animal import drawn_from
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import nnlab


class Odd(nn.Module):
    """A model of the parts and the forward pass that it is given."""

    def __init__(self, forward, **parts) -> None:
        super().__init__()
        self.pass_ = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.pass_(self, x)


@pytest.fixture(autouse=True)
def seeded():
    with drawn_from(0):
        yield


def batch(*shape):
    return torch.randn(*shape), torch.randint(3, shape[:1])


def mlp():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def odd(forward, **more):
    return Odd(forward, a=nn.Linear(4, 6), b=nn.Linear(6, 3), **more)


def row(run, layer, metric):
    return run.metrics.query("layer == @layer and metric == @metric")["value"].item()


def near(tensor):
    return pytest.approx(tensor.double().norm().item(), rel=1e-5)


def by_hand(z_of, h_of, logits_of, x, y, *, weight):
    """Give delta, dLoss/dh and the weight's gradient of a layer, by hand-placed autograd."""
    z = z_of(x)
    h = h_of(z)
    return torch.autograd.grad(F.cross_entropy(logits_of(h), y), [z, h, weight])


def changed_by(change):
    def forward(model, x):
        h = model.a(x)
        change(h)
        return model.b(torch.tanh(h))

    return forward


def set_first(h):
    h[:, 0] = 0.25


@pytest.mark.parametrize(
    ("change", "z_of"),
    [
        (lambda h: h.add_(1), lambda z: z + 1),
        (lambda h: h.__imul__(2), lambda z: z * 2),
        (lambda h: h.view(-1).mul_(2), lambda z: z * 2),
        (lambda h: h.clamp_(-1, 1), None),
        (set_first, lambda z: torch.cat([torch.full_like(z[:, :1], 0.25), z[:, 1:]], 1)),
    ],
    ids=["add_", "*=", "view", "clamp_", "setitem"],
)
def test_a_changed_output_is_measured_as_what_goes_into_the_activation(change, z_of):
    model, (x, y) = odd(changed_by(change)), batch(12, 4)
    run = nnlab.diagnose(model, x, y)
    if z_of is None:  # then the clamp is the activation
        assert [layer.activation for layer in run.layers] == ["Clamp", "identity"]
        return
    delta, h_grad, weight_grad = by_hand(
        lambda x: z_of(model.a(x)), torch.tanh, model.b, x, y, weight=model.a.weight
    )
    assert row(run, "a", "delta_norm") == near(delta)
    assert row(run, "a", "activation_grad_norm") == near(h_grad)
    assert row(run, "a", "weight_grad_norm") == near(weight_grad)
    assert row(run, "a", "pre_activation_mean") == pytest.approx(z_of(model.a(x)).mean().item(), rel=1e-5)


def test_an_error_that_the_model_catches_leaves_the_rest_in_sight():
    def forward(model, x):
        for part in (model.a, model.gru, model.own):
            with pytest.raises((RuntimeError, ValueError)):
                part(x[..., :1])
        return model.b(F.relu(model.a(x)) + model.gru(x.unsqueeze(1))[0][:, 0])

    class Own(nn.Module):
        def forward(self, x):
            raise ValueError

    class Custom(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 4))

        def forward(self, x):
            return F.linear(x, self.weight)

    model = Odd(forward, a=Custom(), b=nn.Linear(6, 3), gru=nn.GRU(4, 6, batch_first=True), own=Own())
    run = nnlab.diagnose(model, *batch(12, 4))
    assert [(layer.name, layer.activation) for layer in run.layers] == [
        ("a", "relu"),
        ("gru", "sigmoid+tanh"),
        ("b", "identity"),
    ]


def test_a_gradient_that_the_model_takes_itself_is_not_that_of_the_loss():
    def forward(model, x):
        x = x.clone().requires_grad_()
        (force,) = torch.autograd.grad(torch.tanh(model.a(x)).sum(), x, create_graph=True)
        return model.b(force)

    model, (x, y) = Odd(forward, a=nn.Linear(4, 6), b=nn.Linear(4, 3)), batch(12, 4)
    run = nnlab.diagnose(model, x, y)
    z = F.linear(x, model.a.weight, model.a.bias)
    force = (1 - torch.tanh(z).square()) @ model.a.weight
    (delta,) = torch.autograd.grad(F.cross_entropy(model.b(force), y), z)
    assert row(run, "a", "delta_norm") == near(delta)


def test_a_call_that_the_loss_does_not_depend_on_adds_nothing():
    def forward(model, x):
        with torch.no_grad():
            target = torch.tanh(model.a(x + 1))
        model.a(2 * x)
        return model.b(torch.tanh(model.a(x)) - target)

    model, (x, y) = odd(forward), batch(12, 4)
    run = nnlab.diagnose(model, x, y)
    with torch.no_grad():
        target = torch.tanh(model.a(x + 1))
    delta, _, _ = by_hand(model.a, torch.tanh, lambda h: model.b(h - target), x, y, weight=model.a.weight)
    assert row(run, "a", "delta_norm") == near(delta)
    assert run.findings == ()


class Merged(nn.Module):
    """LoRA merged into its weight, which is a property."""

    def __init__(self):
        super().__init__()
        self.base = nn.Parameter(torch.randn(6, 4) / 2)
        self.down, self.up = nn.Parameter(torch.randn(2, 4)), nn.Parameter(torch.randn(6, 2) / 4)

    @property
    def weight(self):
        return self.base + self.up @ self.down

    def forward(self, x):
        return F.linear(x, self.weight)


class Graph(nn.Module):
    """A graph convolution: its second product is not with its weight."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(4, 6) / 2), nn.Parameter(torch.zeros(6))

    def forward(self, x):
        mixing = torch.full((len(x), len(x)), 0.2 / len(x)) + 0.8 * torch.eye(len(x))
        return torch.matmul(mixing, torch.mm(x, self.weight)) + self.bias


class Standardized(nn.Linear):
    """Its weight is standardized at every call; Qiao et al. 2019."""

    def forward(self, x):
        weight = self.weight - self.weight.mean(1, keepdim=True)
        return F.linear(x, weight / weight.std(1, keepdim=True), self.bias)


@pytest.mark.parametrize(
    "make", [Merged, Graph, lambda: Standardized(4, 6)], ids=["lora", "graph", "standard"]
)
def test_a_layer_with_a_weight_of_its_own_making(make):
    model, (x, y) = odd(lambda m, x: m.b(torch.relu(m.a(x)))), batch(12, 4)
    model.a = make()
    run = nnlab.diagnose(model, x, y)
    parameter = model.a.base if isinstance(model.a, Merged) else model.a.weight
    delta, _, weight_grad = by_hand(model.a, torch.relu, model.b, x, y, weight=parameter)
    assert row(run, "a", "delta_norm") == near(delta)
    assert row(run, "a", "weight_norm") == near(model.a.weight.detach())
    assert row(run, "a", "weight_grad_norm") == near(weight_grad)


def test_a_weight_that_changes_by_looking_at_it_is_put_back():
    model = Odd(
        lambda m, words: m.b(m.a(words).sum(1)),
        a=nn.Embedding(10, 4, max_norm=0.5),
        b=nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)),
    )
    model.b.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    nnlab.diagnose(model, torch.randint(10, (8, 3)), torch.randint(3, (8,)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def by_reentry(model, x):
    return model.c(checkpoint(model.b, F.relu(model.a(x)), use_reentrant=True))


def padded(model, x):
    packed = nn.utils.rnn.pack_padded_sequence(x.unsqueeze(1), [1] * len(x), batch_first=True)
    return model.b(model.a(packed)[1][0][-1])


@pytest.mark.parametrize(
    ("model", "layer", "why"),
    [
        (lambda: Odd(padded, a=nn.LSTM(4, 6, batch_first=True), b=nn.Linear(6, 3)), "a", "a packed sequence"),
        (
            lambda: Odd(
                by_reentry, a=nn.Linear(4, 6), b=nn.Sequential(nn.Linear(6, 6), nn.Tanh()), c=nn.Linear(6, 3)
            ),
            "b.0",
            "computed without gradients",
        ),
        (
            lambda: Odd(
                lambda m, x: m.b(m.a(*[x.unsqueeze(1)] * 3)[0][:, 0]),
                a=nn.MultiheadAttention(4, 2, batch_first=True, add_bias_kv=True),
                b=nn.Linear(4, 3),
            ),
            "a",
            "adds keys of its own",
        ),
    ],
    ids=["packed", "re-entrant", "bias_kv"],
)
def test_what_cannot_be_seen_is_said_and_is_no_fault(model, layer, why):
    run = nnlab.diagnose(model(), *batch(12, 4))
    assert math.isnan(row(run, layer, "delta_norm"))
    assert row(run, layer, "weight_grad_norm") > 0
    assert [layer in note and why in note for note in run.notes] == [True]
    assert "blocked" not in {finding.kind for finding in run.findings}


def by_vmap(model, x):
    return model.b(torch.func.vmap(lambda example: torch.relu(model.a(example)))(x))


def in_a_thread(model, x):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return model.b(F.relu(pool.submit(model.a, x).result()))


def complex_(model, x):
    return model.b(model.complex(x.to(torch.complex64)).abs())


@pytest.mark.parametrize(
    ("forward", "unseen"),
    [(by_vmap, "a"), (in_a_thread, "a"), (complex_, "a, complex")],
    ids=["vmap", "thread", "complex"],
)
def test_layers_out_of_sight_are_named(forward, unseen):
    model = odd(forward)
    if forward is complex_:
        model.complex = nn.Linear(4, 6, dtype=torch.complex64)
    run = nnlab.diagnose(model, *batch(12, 4))
    assert [layer.name for layer in run.layers] == ["b"]
    assert run.notes == (f"not in the table, as no call with examples was seen: {unseen}",)
    assert math.isfinite(row(run, "network", "grad_norm"))


def compiled_part():
    return nn.Sequential(torch.compile(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 3))


def made_in_inference_mode():
    with torch.inference_mode():
        return mlp()


NUMBERS, CLASSES = torch.ones(5, 4), torch.zeros(5, dtype=torch.int64)


@pytest.mark.parametrize(
    ("make", "y", "loss", "words"),
    [
        (lambda: mlp().to("meta"), CLASSES, "mse", "device meta"),
        (made_in_inference_mode, CLASSES, "mse", "made under inference_mode"),
        (lambda: odd(lambda m, x: m.a(x).argmax(1)), CLASSES, "mse", "gives torch.int64"),
        (lambda: odd(lambda m, x: m.a(x) is None), CLASSES, "mse", "gives bool"),
        (mlp, CLASSES[:4], "cross_entropy", r"y: \(4,\) of torch.int64 against"),
        (mlp, CLASSES.bool(), "cross_entropy", r"y: \(5,\) of torch.bool against"),
        (mlp, None, "cross_entropy", "y: NoneType is not allowed"),
        (mlp, CLASSES, lambda out, y: out, r"loss: gave \(5, 3\); allowed: a tensor of one"),
        (mlp, CLASSES, lambda out, y: 3.0, "loss: gave float; allowed: a tensor of one"),
    ],
)
def test_what_is_impossible_is_one_sentence(make, y, loss, words):
    with pytest.raises(ValueError, match=words) as caught:
        nnlab.diagnose(make(), NUMBERS, y, loss)
    assert "\n" not in str(caught.value)


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match=r"x: shape \(0, 4\) holds no numbers"):
        nnlab.diagnose(mlp(), NUMBERS[:0], CLASSES[:0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_part_is_refused_by_name():
    with pytest.raises(ValueError, match="model: 0 is compiled by torch"):
        nnlab.diagnose(compiled_part(), NUMBERS, CLASSES)


def test_inference_mode_around_it_and_in_its_inputs_does_not_matter():
    model, (x, y) = mlp(), batch(12, 4)
    expected = nnlab.diagnose(model, x, y)
    with torch.inference_mode():
        found = nnlab.diagnose(model, x.clone(), y.clone())
    assert found.metrics.equals(expected.metrics)


def test_a_copy_a_wrapper_and_a_hook_of_the_users_are_seen_as_they_are():
    model, (x, y) = mlp(), batch(12, 4)
    expected = nnlab.diagnose(model, x, y)
    assert nnlab.diagnose(copy.deepcopy(model), x, y).metrics.equals(expected.metrics)
    wrapped = nnlab.diagnose(nn.DataParallel(model), x, y)
    assert [layer.name for layer in wrapped.layers] == ["module.0", "module.2"]
    assert wrapped.metrics["value"].equals(expected.metrics["value"])
    directly = Odd(lambda m, x: m.net[2].forward(F.relu(m.net[0].forward(x))), net=model)
    assert nnlab.diagnose(directly, x, y).metrics["value"].equals(expected.metrics["value"])
    called = Odd(
        lambda m, x: torch.func.functional_call(m.net, dict(m.net.named_parameters()), (x,)), net=model
    )
    assert nnlab.diagnose(called, x, y).metrics["value"].equals(expected.metrics["value"])
    model[0].register_forward_hook(lambda module, args, output: 2 * output)
    delta, _, _ = by_hand(
        lambda x: 2 * F.linear(x, model[0].weight, model[0].bias),
        torch.relu, model[2], x, y, weight=model[0].weight,
    )  # fmt: skip
    assert row(nnlab.diagnose(model, x, y), "0", "delta_norm") == near(delta)


def test_the_fast_path_of_attention_in_evaluation_is_seen_and_right():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(24, 3)).eval()
    model.requires_grad_(False)
    model[2].requires_grad_(True)
    x, y = batch(6, 3, 8)
    run = nnlab.diagnose(model, x, y)
    attention = model[0].layers[0].self_attn
    z = F.linear(x, attention.in_proj_weight, attention.in_proj_bias)
    assert len(run.layers) == 9
    found = row(run, "0.layers.0.self_attn", "pre_activation_std")
    assert found == pytest.approx(z.std(correction=0).item(), rel=1e-5)
    loss = F.cross_entropy(model(x), y)
    (gradient,) = torch.autograd.grad(loss, model[2].weight)
    assert row(run, "2", "weight_grad_norm") == near(gradient)


def test_weights_that_are_integers_are_measured_as_far_as_they_can_be():
    class Quantized(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("weight", torch.randint(-8, 8, (6, 4), dtype=torch.int8))

        def forward(self, x):
            return x @ (self.weight.float() * 0.1).T

    model, (x, y) = nn.Sequential(Quantized(), nn.ReLU(), nn.Linear(6, 3)), batch(12, 4)
    run = nnlab.diagnose(model, x, y)
    assert row(run, "0", "pre_activation_mean") == pytest.approx(model[0](x).mean().item(), rel=1e-5)
    assert [finding.kind for finding in run.findings] == ["frozen"]
