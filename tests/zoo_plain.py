"""The zoo's networks without convolution, recurrence or attention."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from animal import Animal, numbers, tokens
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def he(model):
    """Initialize as He et al. 2015: PyTorch's own start makes gradients vanish within five ReLU layers."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.kaiming_normal_(module.weight)
    return model


class Functional(nn.Module):
    """Every way to call an activation without a module."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(12, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.fc4, self.out = nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x):
        x = F.leaky_relu(input=self.fc1(x))
        x = torch.tanh(self.fc2(x))
        x = F.dropout(self.fc3(x), 0.0).relu()
        x = self.fc4(x).sigmoid()
        return self.out(x)


def functional(m, x, at):
    x = at.put("fc1", x @ m.fc1.weight.T + m.fc1.bias, "leaky_relu", of=m.fc1)
    x = at.put("fc2", x @ m.fc2.weight.T + m.fc2.bias, "tanh", of=m.fc2)
    x = at.put("fc3", x @ m.fc3.weight.T + m.fc3.bias, "relu", of=m.fc3)
    x = at.put("fc4", x @ m.fc4.weight.T + m.fc4.bias, "sigmoid", of=m.fc4)
    return at.put("out", x @ m.out.weight.T + m.out.bias, of=m.out)


class InPlace(nn.Module):
    """ReLU that overwrites, in four forms, and an output that is changed afterwards."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(5))
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        x = self.act(self.layers[0](x))
        x = F.relu(self.layers[1](x), inplace=True)
        x = self.layers[2](x).relu_()
        x = torch.relu_(self.layers[3](x))
        x = self.layers[4](x)
        x += 0.5
        x = F.relu_(x)
        logits = self.head(x)
        logits *= 0.5
        return logits


def in_place(m, x, at):
    for i in range(5):
        z = F.linear(x, m.layers[i].weight, m.layers[i].bias) + (0.5 if i == 4 else 0.0)
        x = at.put(f"layers.{i}", z, "relu", of=m.layers[i])
    return at.put("head", F.linear(x, m.head.weight, m.head.bias), of=m.head) * 0.5


class Wordy(nn.Module):
    """A model of words whose output layer is its embedding."""

    def __init__(self, sparse=False):
        super().__init__()
        self.embed = nn.Embedding(20, 12)
        self.body = nn.Linear(12, 12)

    def forward(self, words):
        x = self.embed(words).mean(1)
        return F.linear(torch.tanh(self.body(x)), self.embed.weight)


def tied(m, words, at):
    e = at.put("embed", m.embed.weight[words], weights=[m.embed.weight])
    h = at.put("body", F.linear(e.mean(1), m.body.weight, m.body.bias), "tanh", of=m.body)
    return at.put("embed.tied", h @ m.embed.weight.T, weights=[m.embed.weight])


class Written(nn.Module):
    """Weights that are multiplied by hand, one product a module and two in one."""

    class Dense(nn.Module):
        def __init__(self, n_in, n_out):
            super().__init__()
            self.W = nn.Parameter(torch.randn(n_in, n_out) / n_in**0.5)
            self.b = nn.Parameter(torch.zeros(n_out))

        def forward(self, x):
            return x @ self.W + self.b

    class Pair(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.U = nn.Parameter(torch.randn(width, width) / width**0.5)
            self.V = nn.Parameter(torch.randn(width, width) / width**0.5)

        def forward(self, x):
            return torch.matmul(torch.tanh(torch.einsum("bi,ij->bj", x, self.U)), self.V)

    def __init__(self):
        super().__init__()
        self.first, self.pair, self.last = self.Dense(10, 14), self.Pair(14), self.Dense(14, 3)

    def forward(self, x):
        return self.last(torch.relu(self.pair(torch.relu(self.first(x)))))


def written(m, x, at):
    first = {"weights": [m.first.W]}
    x = at.put("first", x @ m.first.W + m.first.b, "relu", **first)
    x = at.put("pair.U", x @ m.pair.U, "tanh", weights=[m.pair.U])
    x = at.put("pair.V", x @ m.pair.V, "relu", weights=[m.pair.V])
    return at.put("last", x @ m.last.W + m.last.b, weights=[m.last.W])


class Expert(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)))


class Mixture(nn.Module):
    """Top-1 routing by index_select; one expert is asked with no example, one never."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 12)
        self.gate = nn.Linear(12, 4)
        self.experts = nn.ModuleList(Expert(12) for _ in range(4))
        self.head = nn.Linear(12, 3)
        self.register_buffer("off", torch.tensor([False, False, True, True]))

    def forward(self, x):
        x = torch.tanh(self.inner(x))
        share, choice = torch.softmax(self.gate(x).masked_fill(self.off, -1e9), dim=-1).max(dim=-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            chosen = (choice == number).nonzero().squeeze(1)
            if number == 3 and chosen.numel() == 0:
                continue
            result = expert(x.index_select(0, chosen)) * share.index_select(0, chosen).unsqueeze(1)
            out = out.index_add(0, chosen, result)
        return self.head(x + out)


def mixture(m, x, at):
    x = at.put("inner", F.linear(x, m.inner.weight, m.inner.bias), "tanh", of=m.inner)
    scores = at.put("gate", F.linear(x, m.gate.weight, m.gate.bias), of=m.gate)
    share, choice = scores[:, :2].softmax(-1).max(-1)
    out = torch.zeros_like(x)
    for k in range(2):
        up, down = m.experts[k].up, m.experts[k].down
        chosen = torch.where(choice == k)[0]
        h = at.put(f"experts.{k}.up", F.linear(x[chosen], up.weight, up.bias), "gelu", of=up)
        h = at.put(f"experts.{k}.down", F.linear(h, down.weight, down.bias), of=down)
        out = out.index_add(0, chosen, h * share[chosen, None])
    return at.put("head", F.linear(x + out, m.head.weight, m.head.bias), of=m.head)


class Siamese(nn.Module):
    """One encoder for two inputs."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(9, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh())
        self.head = nn.Linear(16, 2)

    def forward(self, left, right):
        a, b = self.encoder(left), self.encoder(right)
        return self.head(torch.cat([torch.abs(a - b), a * b], dim=1))


def siamese(m, x, at):
    codes = []
    for side in x:
        one, two = m.encoder[0], m.encoder[2]
        h = at.put("encoder.0", F.linear(side, one.weight, one.bias), "relu", of=one)
        codes.append(at.put("encoder.2", F.linear(h, two.weight, two.bias), "tanh", of=two))
    a, b = codes
    return at.put(
        "head", F.linear(torch.cat([(a - b).abs(), a * b], 1), m.head.weight, m.head.bias), of=m.head
    )


def two_inputs(generator):
    left, y = numbers(24, 9, classes=2)(generator)
    return (left, torch.randn(24, 9, generator=generator)), y


@dataclass
class Output:
    """What libraries of language models return."""

    logits: torch.Tensor
    hidden: torch.Tensor


class Returning(nn.Module):
    """Gives its hidden state beside its logits, in one of three forms."""

    def __init__(self, form):
        super().__init__()
        self.form, self.fc, self.classifier = form, nn.Linear(7, 16), nn.Linear(16, 3)

    def forward(self, x):
        hidden = F.silu(self.fc(x))
        logits = self.classifier(hidden)
        if self.form == "tuple":
            return logits, hidden
        return {"hidden": hidden, "logits": logits} if self.form == "dict" else Output(logits, hidden)


def returning(m, x, at):
    h = at.put("fc", F.linear(x, m.fc.weight, m.fc.bias), "silu", of=m.fc)
    return at.put("classifier", F.linear(h, m.classifier.weight, m.classifier.bias), of=m.classifier)


class Autoencoder(nn.Module):
    """A variational one."""

    def __init__(self):
        super().__init__()
        self.enc, self.mu, self.logvar = nn.Linear(10, 16), nn.Linear(16, 4), nn.Linear(16, 4)
        self.dec, self.out = nn.Linear(4, 16), nn.Linear(16, 10)

    def forward(self, x):
        h = F.relu(self.enc(x))
        mu, logvar = self.mu(h), self.logvar(h)
        std = torch.exp(0.5 * logvar)
        code = mu + torch.randn_like(std) * std
        return torch.sigmoid(self.out(F.relu(self.dec(code)))), mu, logvar


def autoencoder(m, x, at):
    h = at.put("enc", F.linear(x, m.enc.weight, m.enc.bias), "relu", of=m.enc)
    mu = at.put("mu", F.linear(h, m.mu.weight, m.mu.bias), of=m.mu)
    logvar = at.put("logvar", F.linear(h, m.logvar.weight, m.logvar.bias), of=m.logvar)
    std = (0.5 * logvar).exp()
    h = at.put("dec", F.linear(mu + torch.randn_like(std) * std, m.dec.weight, m.dec.bias), "relu", of=m.dec)
    return at.put("out", F.linear(h, m.out.weight, m.out.bias), "sigmoid", of=m.out), mu, logvar


def elbo(outputs, x):
    recon, mu, logvar = outputs
    divergence = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).mean()
    return F.binary_cross_entropy(recon, x) + 0.01 * divergence


def itself(generator):
    x = torch.rand(20, 10, generator=generator)
    return x, x


def spectral():
    model = nn.Sequential(
        nn.utils.parametrizations.spectral_norm(nn.Linear(8, 12)),
        nn.LeakyReLU(),
        nn.utils.parametrizations.weight_norm(nn.Linear(12, 12)),
        nn.ReLU(),
        nn.Linear(12, 3),
    )
    return model.train()


def normed(m, x, at):
    one, two, three = m[0], m[2], m[4]
    w, sn = one.parametrizations.weight.original, one.parametrizations.weight[0]
    with torch.no_grad():  # one step of the power iteration, as in training mode; Miyato et al. 2018
        u = F.normalize(w @ sn._v, dim=0, eps=sn.eps)
        v = F.normalize(w.T @ u, dim=0, eps=sn.eps)
    w1 = w / (u @ (w @ v))
    g, d = two.parametrizations.weight.original0, two.parametrizations.weight.original1
    w2 = g * d / d.norm(dim=1, keepdim=True)
    w1.retain_grad()
    w2.retain_grad()
    x = at.put("0", F.linear(x, w1, one.bias), "leaky_relu", weights=[w1], biases=[one.bias])
    x = at.put("2", F.linear(x, w2, two.bias), "relu", weights=[w2], biases=[two.bias])
    return at.put("4", F.linear(x, three.weight, three.bias), of=three)


def backbone():
    model = nn.Sequential(
        nn.Linear(8, 16),
        nn.ReLU(),
        nn.Linear(16, 16),
        nn.ReLU(),
        nn.Linear(16, 16),
        nn.Tanh(),
        nn.Linear(16, 3),
    )
    model[0].requires_grad_(False)
    model[2].requires_grad_(False)
    return model


def sequential_by_hand(*phis):
    """Give the hand-written pass of an nn.Sequential of Linear layers and activations."""

    def by_hand(m, x, at):
        linears = [(name, layer) for name, layer in m.named_children() if isinstance(layer, nn.Linear)]
        for (name, layer), phi in zip(linears, [*phis, "identity"], strict=True):
            z = F.linear(x.to(layer.weight.dtype), layer.weight, layer.bias)
            x = at.put(name, z, phi, of=layer)
        return x

    return by_hand


class Winding(nn.Module):
    """Branches on its data, loops over one layer, leaves early."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(8, 12), nn.Linear(8, 12)
        self.loop, self.head, self.late = nn.Linear(12, 12), nn.Linear(12, 3), nn.Linear(12, 3)

    def forward(self, x):
        h = torch.relu(self.left(x)) if x.mean() > 100 else torch.tanh(self.right(x))
        for _ in range(3):
            h = h + 0.5 * F.elu(self.loop(h))
        logits = self.head(h)
        if logits.detach().abs().max() < 1e6:
            return logits
        return self.late(h)


def winding(m, x, at):
    h = at.put("right", F.linear(x, m.right.weight, m.right.bias), "tanh", of=m.right)
    for _ in range(3):
        h = h + 0.5 * at.put("loop", F.linear(h, m.loop.weight, m.loop.bias), "elu", of=m.loop)
    return at.put("head", F.linear(h, m.head.weight, m.head.bias), of=m.head)


class Checkpointed(nn.Module):
    """A block whose insides are computed once more in the backward pass."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(8, 12)
        self.block = nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 12), nn.Tanh())
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        return self.head(checkpoint(self.block, x, use_reentrant=False))


def checkpointed(m, x, at):
    one, two = m.block[0], m.block[2]
    x = at.put("stem", F.linear(x, m.stem.weight, m.stem.bias), "relu", of=m.stem)
    x = at.put("block.0", F.linear(x, one.weight, one.bias), "relu", of=one)
    x = at.put("block.2", F.linear(x, two.weight, two.bias), "tanh", of=two)
    return at.put("head", F.linear(x, m.head.weight, m.head.bias), of=m.head)


class Sparse(nn.Module):
    """Sparse gradients of an embedding, and a bilinear layer."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 8, sparse=True)
        self.bag = nn.EmbeddingBag(30, 8, mode="mean")
        self.mix, self.head = nn.Bilinear(8, 8, 10), nn.Linear(10, 3)

    def forward(self, words):
        return self.head(torch.tanh(self.mix(self.embed(words[:, 0]), self.bag(words))))


def sparse(m, words, at):
    one = at.put("embed", F.embedding(words[:, 0], m.embed.weight, sparse=True), weights=[m.embed.weight])
    many = at.put("bag", m.bag.weight[words].mean(1), weights=[m.bag.weight])
    z = torch.einsum("bi,oij,bj->bo", one, m.mix.weight, many) + m.mix.bias
    h = at.put("mix", z, "tanh", of=m.mix)
    return at.put("head", F.linear(h, m.head.weight, m.head.bias), of=m.head)


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(-1, 1)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * ((x >= -1) & (x <= 1))


class StraightThrough(nn.Module):
    def forward(self, x):
        return _Clipped.apply(x)


class Custom(nn.Module):
    """Buffers that change as it runs, and an autograd.Function of its own."""

    def __init__(self):
        super().__init__()
        self.fc, self.act, self.head = nn.Linear(8, 12), StraightThrough(), nn.Linear(12, 3)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("average", torch.zeros(12))

    def forward(self, x):
        z = self.fc(x)
        self.calls += 1
        self.average.mul_(0.9).add_(0.1 * z.detach().mean(0))
        return self.head(self.act(z))


def custom(m, x, at):
    h = at.put("fc", F.linear(x, m.fc.weight, m.fc.bias), "StraightThrough", of=m.fc)
    return at.put("head", F.linear(h, m.head.weight, m.head.bias), of=m.head)


class Autocast(nn.Module):
    """Mixed precision inside the model."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3))

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            x = self.net(x)
        return x.float()


def autocast(m, x, at):
    one, two, three = m.net[0], m.net[2], m.net[4]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        x = at.put("net.0", F.linear(x, one.weight, one.bias), "gelu", of=one)
        x = at.put("net.2", F.linear(x, two.weight, two.bias), "tanh", of=two)
        return at.put("net.4", F.linear(x, three.weight, three.bias), of=three).float()


def small(dtype=torch.float32):
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 3)).to(
        dtype
    )


ANIMALS = (
    Animal("functional", lambda: he(Functional()), numbers(32, 12), functional),
    Animal("in place", lambda: he(InPlace()), numbers(32, 16), in_place),
    Animal("tied words", Wordy, tokens(32, 5, words=20, classes=20), tied),
    Animal("weights written out", Written, numbers(32, 10), written),
    Animal(
        "mixture of experts",
        Mixture,
        numbers(40, 8),
        mixture,
        notes=(
            "not executed, so not in the table: experts.2.up, experts.2.down, experts.3.up, experts.3.down",
        ),
    ),
    Animal("siamese", Siamese, two_inputs, siamese),
    Animal("returns a tuple", lambda: Returning("tuple"), numbers(24, 7), returning),
    Animal("returns a dict", lambda: Returning("dict"), numbers(24, 7), returning),
    Animal("returns an object", lambda: Returning("object"), numbers(24, 7), returning),
    Animal("variational autoencoder", Autoencoder, itself, autoencoder, loss=elbo),
    Animal("spectral and weight norm", spectral, numbers(24, 8), normed),
    Animal(
        "frozen backbone",
        backbone,
        numbers(24, 8),
        sequential_by_hand("relu", "relu", "tanh"),
        notes=("0: no gradient reaches", "2: no gradient reaches"),
        findings=("frozen",),
    ),
    Animal(
        "control flow",
        Winding,
        numbers(24, 8),
        winding,
        notes=("not executed, so not in the table: left, late",),
    ),
    Animal("checkpoint", Checkpointed, numbers(24, 8), checkpointed),
    Animal("sparse and bilinear", Sparse, tokens(24, 4, words=30, classes=3), sparse),
    Animal("own function", Custom, numbers(24, 8), custom),
    Animal("autocast", Autocast, numbers(24, 8), autocast),
    Animal("bfloat16", lambda: small(torch.bfloat16), numbers(24, 8), sequential_by_hand("relu", "tanh")),
    Animal("half", lambda: small(torch.float16), numbers(24, 8), sequential_by_hand("relu", "tanh")),
    Animal("double", lambda: small(torch.float64), numbers(24, 8), sequential_by_hand("relu", "tanh")),
)
